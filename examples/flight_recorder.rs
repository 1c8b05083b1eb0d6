//! A program that keeps its own last spans and events, and when it panics leaves them in a file.
//!
//! `cargo run --release --example flight_recorder --features tracing -- FILE`, then `cargo run
//! --release -- replay FILE`

use slipring::{FlightRecorder, Severity};
use std::error::Error;
use tracing::{error, info, info_span, instrument};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

#[instrument]
fn bake(loaf: u64) -> Result<(), String> {
    let _kneading = info_span!("knead", minutes = loaf % 3).entered();
    if loaf % 40 == 39 {
        error!(flour = 0.0, "out of flour");
        return Err(format!("loaf {loaf} was not baked"));
    }
    info!("kneaded");
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let file = std::env::args().nth(1).ok_or("usage: flight_recorder FILE")?;
    let recorder = FlightRecorder::new("bakery")?;
    recorder.dump_on_panic(&file);
    tracing_subscriber::registry().with(recorder.clone()).init();

    let failed = (0..1_000).filter(|&loaf| bake(loaf).is_err()).count();
    let errors =
        recorder.telemetry().logs().query().severity_at_least(Severity::ERROR).collect()?;
    println!("{failed} loaves were not baked; the recorder has {} errors", errors.len());
    assert_eq!(errors.len(), failed);

    let accident = std::thread::spawn(|| {
        let _span = info_span!("fire").entered();
        panic!("the oven is on fire");
    });
    assert!(accident.join().is_err());
    println!("what led to it is in {file}; look at it with `slipring replay {file}`");
    Ok(())
}
