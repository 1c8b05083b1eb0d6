//! OTLP → stores → OTLP: what stores hold is what a request had, and comes out of them, by either
//! encoding, as it went in.

#![no_main]

use libfuzzer_sys::fuzz_target;
use slipring::otlp::{Encoding, Exported, Kind, Request};
use slipring::{OnFull, Order, Signal, Store, Telemetry};

#[allow(dead_code, reason = "shared by several targets")]
#[path = "../src/requests.rs"]
mod requests;

fn out<T: Exported + Signal + Clone + std::fmt::Debug>(
    kind: Kind,
    store: &Store<T>,
    sent: &[T],
    of: fn(Request) -> Vec<T>,
) {
    store.audit().expect("the books are right");
    let answer = store.query().order(Order::Oldest).collect().expect("it can be asked");
    // The newest of what was sent, in the order in which it was sent.
    let kept = &sent[sent.len().saturating_sub(store.capacity())..];
    assert_eq!(format!("{kept:?}"), format!("{:?}", answer.records), "what was sent is held");
    let back = [Encoding::Protobuf, Encoding::Json].map(|encoding| {
        let read = Request::read(kind, encoding, &answer.to_otlp(encoding))
            .expect("what we write is a request");
        assert!(read.rejected.is_empty(), "{}", read.rejected);
        of(read)
    });
    requests::same(&answer.records, back);
    let held = [store.stats().offered, store.stats().count + store.stats().evicted.total()];
    assert_eq!(held, [sent.len() as u64; 2]);
}

fuzz_target!(|input: &[u8]| {
    let Some((kind, body)) = requests::kind_and_body(input) else { return };
    let Some((choice, body)) = body.split_first() else { return };
    let encoding = if choice % 2 == 0 { Encoding::Protobuf } else { Encoding::Json };
    let capacity = usize::from(choice / 2 % 32) + 1;
    let Ok(request) = Request::read(kind, encoding, body) else { return };
    if request.len() > 100 {
        return;
    }
    fn store<T: Signal>(capacity: usize) -> Store<T> {
        Store::builder()
            .capacity(capacity)
            .shards(1)
            .manual()
            .on_full(OnFull::Wait)
            .build()
            .expect("it can be")
    }
    let telemetry = Telemetry::new(store(capacity), store(capacity), store(capacity));
    let rejected = telemetry.ingest(kind, encoding, body.to_vec()).expect("it was read before");
    assert_eq!(rejected.records(), request.rejected.records());
    out(Kind::Traces, telemetry.traces(), &request.spans, |read| read.spans);
    out(Kind::Logs, telemetry.logs(), &request.logs, |read| read.logs);
    out(Kind::Metrics, telemetry.metrics(), &request.points, |read| read.points);
});
