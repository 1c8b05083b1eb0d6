//! Records of one's own in a store: `cargo run --example custom_signal`.

use slipring::{Index, Key, Signal, Store};
use std::error::Error;

/// A job of some queue, as its worker reports it.
#[derive(Clone, Debug)]
struct Job {
    id: u128,
    queue: String,
    /// `None` while it waits for one.
    worker: Option<u64>,
    reported_unix_nanos: u64,
}

impl Signal for Job {
    const NAME: &'static str = "job";
    type Indexes = [Index<Self>; 3];
    // Keys borrow from the record, and are always the same for the same record.
    const INDEXES: Self::Indexes = [
        Index::new("id", |job| Some(Key::Id(job.id))),
        Index::new("queue", |job| Some(Key::Text(&job.queue))),
        Index::new("worker", |job| job.worker.map(Key::Int)),
    ];
    const DEFAULT_CAPACITY: usize = 5_000;

    fn timestamp(&self) -> u64 {
        self.reported_unix_nanos
    }

    // Without this the statistics would leave the texts out.
    fn heap_bytes(&self) -> usize {
        self.queue.capacity()
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let jobs: Store<Job> = Store::builder().build()?;
    for number in 0..20_000_u64 {
        let queue = if number.is_multiple_of(7) { "invoices" } else { "mails" };
        let worker = (number % 100 != 0).then_some(number % 3);
        jobs.push(Job {
            id: number.into(),
            queue: queue.to_owned(),
            worker,
            reported_unix_nanos: number * 1_000_000,
        })?;
    }

    println!("The newest of worker 2:");
    for job in jobs.query().key("worker", 2_u64).limit(3).collect()?.iter() {
        println!("  {job:?}");
    }
    println!("Jobs by queue:");
    for queue in jobs.key_counts("queue")? {
        println!("  {} {}", queue.count, queue.key);
    }

    let stats = jobs.stats();
    println!(
        "{} of {} jobs held, {} bytes in all",
        stats.count, stats.offered, stats.total_memory_bytes
    );
    println!("{}", serde_json::to_string_pretty(&stats)?);
    jobs.audit()?;
    Ok(())
}
