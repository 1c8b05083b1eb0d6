//! A store of spans inside a program of one's own: `cargo run --example embed`.

use slipring::error::GetError;
use slipring::{Resource, Scope, Source, Span, Store, TraceId};
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

fn main() -> Result<(), Box<dyn Error>> {
    let store: Store<Span> = Store::builder().capacity(1_500).build()?;

    // The hook runs on the store's own thread, before the record's slot is used again.
    let evicted = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&evicted);
    store.on_evict(move |_position, _span, _| {
        counter.fetch_add(1, Ordering::Relaxed);
    });

    // A position names its record for good.
    let first = store.push(span(&source("cart"), 1))?;
    assert_eq!(store.get(first)?.span_id(), 1.into());

    // Handles are cheap to clone, and any number of threads may push at once.
    let producers =
        [("cart", 2..1_000), ("checkout", 1_000..2_000)].map(|(service, mut numbers)| {
            let (store, source) = (store.clone(), source(service));
            thread::spawn(move || {
                // An error has the record in it, in case somebody wants it back; here nobody does.
                numbers.try_for_each(|number| {
                    store.push(span(&source, number)).map(drop).map_err(|error| error.reason)
                })
            })
        });
    for producer in producers {
        producer.join().expect("a producer does not panic")?;
    }

    let trace = TraceId::from(199);
    println!("trace {trace} has {} spans", store.query().key("trace", trace).count()?);
    let newest = store.query().key("service", "checkout").limit(3).collect()?;
    newest.iter().for_each(|span| println!("checkout: {} as span {}", span.name(), span.span_id()));
    // A record that has gone is never mistaken for the one in its place.
    assert_eq!(store.get(first), Err(GetError::Evicted));

    let stats = store.stats();
    println!(
        "{} of {} spans held, in {} bytes",
        stats.count, stats.offered, stats.total_memory_bytes
    );
    // Once it is shut down, the hook has seen every span that made room for another.
    store.shutdown()?;
    println!("the hook saw {} spans leave", evicted.load(Ordering::Relaxed));
    Ok(())
}

/// What all spans of a service share; stored once, however many hold it.
fn source(service: &str) -> Source {
    Source::new(&Resource::new([("service.name", service)]), &Scope::default())
}

fn span(source: &Source, number: u64) -> Span {
    Span::builder()
        .source(source)
        .trace_id(u128::from(number / 10))
        .span_id(number)
        .name("GET /cart")
        .build()
}
