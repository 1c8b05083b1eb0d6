//! A record is dropped once even if its drop panics with a payload that panics when dropped. In an
//! earlier version the panic unwound through the reclaim, after the record had been dropped and
//! before the cursor had moved, so the next step dropped it again.

use slipring::{Index, Signal, Store};
use std::panic::{panic_any, set_hook, take_hook};
use std::sync::atomic::{AtomicU64, Ordering};

static DROPS: AtomicU64 = AtomicU64::new(0);

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic_any(Bomb);
    }
}

struct Record;

impl Drop for Record {
    fn drop(&mut self) {
        DROPS.fetch_add(1, Ordering::SeqCst);
        panic_any(Bomb);
    }
}

impl Signal for Record {
    const NAME: &'static str = "record";
    type Indexes = [Index<Self>; 0];
    const INDEXES: Self::Indexes = [];

    fn timestamp(&self) -> u64 {
        0
    }
}

#[test]
fn a_record_is_dropped_once_even_if_its_panic_payload_panics() {
    set_hook(Box::new(|_| {}));
    let store: Store<Record> = Store::builder().capacity(1).shards(1).manual().build().unwrap();
    // Forget refused records, which go back to the caller: their drops are not under test.
    for _ in 0..4 {
        std::mem::forget(store.push(Record));
    }
    for _ in 0..10 {
        store.step();
    }
    assert_eq!(DROPS.load(Ordering::SeqCst), 3);
    drop(store);
    assert_eq!(DROPS.load(Ordering::SeqCst), 4);
    let _ = take_hook();
}
