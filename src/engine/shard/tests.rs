//! Unit tests of the module above.

use super::*;
use crate::engine::state::Engine;
use crate::signal::LogRecord;
use crate::store::StoreBuilder;

#[test]
fn published_before_finds_the_cut_among_indexed_records_too() {
    let engine = Engine::of(&StoreBuilder::<LogRecord>::new().capacity(8).shards(1).manual());
    let shard = &engine.shards[0];
    let before = || [0, 1, 2].map(|stamp| shard.published_before(stamp));
    engine.push_some(3);
    engine.wakeups.advance_tick();
    engine.push_some(2);
    assert_eq!(before(), [0, 3, 5]);
    engine.settle();
    assert_eq!((shard.indexed(), before()), (5, [0, 3, 5]));
    engine.push_some(7);
    engine.settle();
    assert_eq!(
        (shard.evicted(), before()),
        (4, [4, 4, 8]),
        "evicted records are skipped; a full run ends itself"
    );
}

#[test]
fn has_room_or_is_closed_depends_on_slots_bytes_and_closing() {
    let shard = Shard::<LogRecord>::new(2, 1, 0, Some(8)).unwrap();
    assert!(shard.has_room_or_is_closed() && !shard.is_short_of_bytes());
    assert!(shard.claim(0, 2) && shard.has_room_or_is_closed());
    assert!(shard.claim(2, 1) && !shard.has_room_or_is_closed(), "no slot is free");
    let guard = shard.try_lock_indexer().unwrap();
    guard.index.set_indexed(3);
    assert!(guard.evict(0, 1) && guard.reclaim(0, 1));
    assert!(shard.has_room_or_is_closed());
    assert!(shard.byte_budget.as_ref().unwrap().try_reserve(10));
    assert!(!shard.has_room_or_is_closed() && shard.is_short_of_bytes(), "no byte is left");
    shard.close();
    assert!(shard.has_room_or_is_closed());
}

#[test]
fn a_shard_is_settled_once_no_work_is_left() {
    let size = size_of::<LogRecord>() as u64;
    let shard = Shard::<LogRecord>::new(2, 2, 0, Some(2 * size + 8)).unwrap();
    assert!(shard.is_settled());
    assert!(shard.claim(0, 3) && !shard.is_settled(), "three records are not indexed");
    let guard = shard.try_lock_indexer().unwrap();
    guard.index.set_indexed(3);
    assert!(!shard.is_settled(), "one record is due for eviction");
    assert!(guard.evict(0, 1) && !shard.is_settled(), "one record is not reclaimed");
    assert!(guard.reclaim(0, 1) && shard.is_settled());
    guard.index.heap.set(9);
    assert!(!shard.is_settled(), "the records exceed the byte budget");
    guard.index.heap.set(8);
    assert!(shard.is_settled());
}

#[test]
fn the_parked_mark_is_taken_once() {
    let shard = Shard::<LogRecord>::new(2, 2, 0, None).unwrap();
    assert!(!shard.take_parked_mark());
    assert!(shard.mark_parked() && !shard.claim(0, 1), "a claim fails at the mark");
    assert!(shard.take_parked_mark() && !shard.take_parked_mark() && shard.claim(0, 1));
    assert!(!shard.mark_parked(), "one record is not indexed");
    shard.try_lock_indexer().unwrap().index.set_indexed(1);
    assert!(shard.mark_parked());
    shard.close();
    assert!(shard.take_parked_mark() && !shard.take_parked_mark(), "closing keeps the mark");
}

#[test]
fn a_holder_whose_lock_was_taken_over_moves_no_cursor() {
    let shard = Shard::<LogRecord>::new(4, 4, 2, None).unwrap();
    assert!(shard.claim(0, 4) && shard.take_over().is_none(), "the lock is not held");
    let stalled = shard.try_lock_indexer().unwrap();
    stalled.index.set_indexed(3);
    assert!(stalled.evict(0, 2) && stalled.reclaim(0, 1));
    let successor = shard.take_over().unwrap();
    assert!(shard.try_lock_indexer().is_none() && !stalled.is_current() && successor.is_current());
    assert_eq!((successor.reclaimed(), successor.evicted(), shard.indexed()), (1, 2, 2));
    stalled.index.set_indexed(4);
    assert!(!stalled.evict(2, 3) && !stalled.reclaim(1, 2));
    successor.index.set_indexed(4);
    assert!(successor.evict(2, 3) && successor.reclaim(1, 3));
    drop(stalled);
    assert!(shard.try_lock_indexer().is_none());
    drop(successor);
    let again = shard.try_lock_indexer().unwrap();
    assert_eq!((again.index.indexed_as_writer(), again.evicted(), again.reclaimed()), (4, 3, 3));
    assert!(shard.take_over().is_some(), "the first holder's index is free again");
}
