//! A shard without a store around it: what a reader concludes from a word that another thread has
//! written, and what one holder of the indexer lock leaves to the next. With a store around them,
//! these take more steps than a model has.

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;
use slipring::ModelShard;
use slipring_loom_tests::explore;
use std::sync::Arc;

/// Stands for a word whose order loom does not explore: it runs the read-modify-writes, and the
/// stores, of a word in the order in which it executes them. loom checks that no two threads access
/// the cell without an order between them.
#[derive(Clone)]
struct Word(Arc<UnsafeCell<u64>>);

impl Word {
    #[allow(clippy::arc_with_non_send_sync, reason = "models run on one thread at a time")]
    fn new() -> Self {
        Self(Arc::new(UnsafeCell::new(0)))
    }

    fn change(&self) {
        // SAFETY: loom checks that no other thread accesses the word meanwhile.
        self.0.with_mut(|word| unsafe { *word += 1 });
    }
}

/// Creates a shard that holds and has indexed these keys, each at the time 5.
fn shard(capacity: usize, slack: usize, keys: &[u64]) -> Arc<ModelShard> {
    let shard = ModelShard::new(capacity, slack);
    keys.iter().for_each(|&key| shard.push(key, 5));
    shard.lock().unwrap().insert(0..keys.len() as u64);
    Arc::new(shard)
}

fn spawn<R: 'static>(
    shard: &Arc<ModelShard>,
    run: impl FnOnce(&ModelShard) -> R + 'static,
) -> thread::JoinHandle<R> {
    let shard = Arc::clone(shard);
    thread::spawn(move || run(&shard))
}

/// A reader that does not find a key's entry sees the claim for which the key's record was evicted.
#[test]
fn a_removed_entry_tells_of_the_claim() {
    explore("entry removed", 3, || {
        let shard = shard(1, 1, &[1]);
        let producer = spawn(&shard, |shard| assert!(shard.claim(1, 1)));
        let holder = spawn(&shard, |shard| {
            if shard.claimed() == 2 {
                shard.lock().unwrap().remove(0..1);
            }
        });
        assert!(shard.finds(1) || shard.claimed() == 2, "an eviction that nobody asked for");
        producer.join().unwrap();
        holder.join().unwrap();
    });
}

/// Three keys have one home line, which has two words. When the third is removed, what is left of
/// the others becomes empty.
#[test]
fn a_line_that_becomes_empty_tells_of_the_claim() {
    explore("line emptied", 3, || {
        let shard = shard(3, 3, &[1, 2, 3]);
        let producer = spawn(&shard, |shard| assert!(shard.claim(3, 3)));
        let holder = spawn(&shard, |shard| {
            if shard.claimed() == 6 {
                shard.lock().unwrap().remove(0..3);
            }
        });
        assert!(shard.finds(1) || shard.claimed() == 6, "an eviction that nobody asked for");
        producer.join().unwrap();
        holder.join().unwrap();
    });
}

/// A reader that finds a record being moved out sees the claim for which it was evicted.
#[test]
fn a_record_that_is_moved_out_tells_of_the_claim() {
    explore("record moved out", 3, || {
        let shard = shard(1, 1, &[1]);
        let producer = spawn(&shard, |shard| assert!(shard.claim(1, 1)));
        let holder = spawn(&shard, |shard| {
            if shard.claimed() == 2 {
                assert_eq!(shard.move_out(0), (true, true));
            }
        });
        assert!(shard.holds_one(0) || shard.claimed() == 2, "an eviction that nobody asked for");
        producer.join().unwrap();
        holder.join().unwrap();
    });
}

/// A holder stalls as it moves a record out. The one that takes over finds it moved, and lets the
/// slot be written again.
#[test]
fn a_slot_is_written_after_another_thread_has_moved_its_record_out() {
    explore("moved by another", 3, || {
        let shard = shard(1, 1, &[1]);
        let stalled = spawn(&shard, |shard| shard.move_out(0).1);
        let (is_free, moved) = shard.move_out(0);
        if is_free && !moved {
            shard.publish(2, 2, 5);
        }
        assert!(moved != stalled.join().unwrap(), "moved by one of the two");
    });
}

/// The slot of a record is written again and the new record indexed, while a reader follows the
/// former record's link.
#[test]
fn a_link_belongs_to_the_record_that_the_reader_has_found() {
    explore("link", 3, || {
        let shard = shard(1, 1, &[1, 1]);
        let producer = spawn(&shard, |shard| {
            assert_eq!(shard.move_out(0), (true, true));
            shard.publish(2, 1, 5);
        });
        let holder = spawn(&shard, |shard| {
            if shard.holds(2) {
                shard.lock().unwrap().insert(2..3);
            }
        });
        assert!(shard.link(0).is_none_or(|distance| distance == 0), "a later record's link");
        producer.join().unwrap();
        holder.join().unwrap();
    });
}

/// A time block is used again for later records, while a reader looks whether it may skip it.
#[test]
fn a_block_is_not_skipped_for_the_times_of_a_later_one() {
    explore("block", 3, || {
        let shard = shard(1, 1, &[1, 1]);
        let holder = spawn(&shard, |shard| {
            let guard = shard.lock().unwrap();
            assert!(guard.evict(0, 2));
            assert_eq!(shard.move_out(0), (true, true));
            shard.publish(6, 1, 9);
            guard.insert(6..7);
        });
        assert!(!shard.skips_block(1, 5..=5), "a block was skipped that holds such a time");
        holder.join().unwrap();
    });
}

/// The same, if the later record is passed over because it is not published. Whoever passes it over
/// is not the one that has evicted the earlier ones.
#[test]
fn a_block_is_not_skipped_for_the_time_of_a_record_that_was_passed_over() {
    explore("block of a skipped record", 3, || {
        let shard = shard(1, 1, &[1, 1]);
        let first = spawn(&shard, |shard| {
            if let Some(guard) = shard.lock() {
                assert!(guard.evict(0, 2));
            }
        });
        let second = spawn(&shard, |shard| {
            if let Some(guard) = shard.lock()
                && guard.evicted() == 2
            {
                guard.skip(6);
            }
        });
        assert!(!shard.skips_block(1, 5..=5), "a block was skipped that holds such a time");
        first.join().unwrap();
        second.join().unwrap();
    });
}

/// Whoever takes the lock over from a holder that has raised `evicted` sees the reasons that it has
/// noted before.
#[test]
fn what_was_noted_of_evicted_records_is_visible_after_a_takeover() {
    explore("notes", 3, || {
        let (shard, notes) = (shard(1, 1, &[1]), Word::new());
        let guard = shard.lock().unwrap();
        let other = {
            let notes = notes.clone();
            spawn(&shard, move |shard| {
                if let Some(guard) = shard.take_over()
                    && guard.evicted() == 1
                {
                    notes.change();
                }
            })
        };
        notes.change();
        guard.evict(0, 1);
        drop(guard);
        other.join().unwrap();
    });
}

/// A producer that sees another one's claim takes a later stamp.
#[test]
fn a_producer_that_sees_a_claim_takes_a_later_stamp() {
    explore("stamps", 3, || {
        let (shard, stamps) = (shard(2, 2, &[1]), Word::new());
        let other = {
            let stamps = stamps.clone();
            spawn(&shard, move |shard| {
                if shard.sequence_before_claim() == 2 {
                    stamps.change();
                    assert!(shard.claim(2, 1));
                }
            })
        };
        assert_eq!(shard.sequence_before_claim(), 1);
        stamps.change();
        assert!(shard.claim(1, 1));
        other.join().unwrap();
    });
}

/// A thread that has taken the indexer's mark wakes it after the indexer has forgotten earlier
/// wake-ups: the word is `woken`.
#[test]
fn a_wakeup_comes_after_the_indexer_has_prepared_for_it() {
    explore("mark and wake", 3, || {
        let (shard, woken) = (shard(1, 1, &[1]), Word::new());
        let other = {
            let woken = woken.clone();
            spawn(&shard, move |shard| {
                if shard.take_parked_mark() {
                    woken.change();
                }
            })
        };
        woken.change();
        assert!(shard.mark_parked());
        other.join().unwrap();
    });
}

/// An index is leased again after its former holder has written it for the last time.
#[test]
fn a_leased_index_is_written_by_one_thread() {
    explore("lease", 3, || {
        let shard = shard(2, 1, &[1, 2]);
        assert_eq!(shard.lease(2), Some(1));
        shard.push(3, 5);
        let stalled = spawn(&shard, |shard| {
            shard.insert_into(0, 2);
            shard.retire(0);
        });
        let leased = shard.lease(2);
        assert!(leased.is_none_or(|number| number == 0));
        stalled.join().unwrap();
    });
}

/// Whoever counts the bytes of all indexes finds one that is just being leased whole, or not at all.
#[test]
fn a_new_index_is_seen_whole() {
    explore("new index", 3, || {
        let shard = shard(1, 1, &[1]);
        let before = shard.directory_bytes();
        let reader = spawn(&shard, |shard| shard.directory_bytes());
        assert_eq!(shard.lease(0), Some(1));
        let during = reader.join().unwrap();
        assert!(during == before || during == 2 * before);
        assert_eq!(shard.directory_bytes(), 2 * before);
    });
}

/// Two threads take the lock over, one from the other, and put an index into use. The later term's
/// stays in use.
#[test]
fn an_earlier_terms_index_does_not_replace_a_later_ones() {
    explore("index of a term", 3, || {
        let shard = shard(1, 1, &[1]);
        std::mem::forget(shard.lock().unwrap());
        let other = spawn(&shard, |shard| shard.replace_index());
        let this = shard.replace_index();
        let last = other.join().unwrap().max(this).expect("one of them succeeds");
        assert_eq!(shard.index_term(), last, "an earlier term's index is in use");
    });
}

/// A reader that gets an index sees it as it was initialised.
#[test]
fn an_index_is_initialised_before_readers_get_it() {
    explore("index initialised", 3, || {
        let shard = shard(1, 1, &[1]);
        assert!(shard.lock().unwrap().evict(0, 1));
        std::mem::forget(shard.lock().unwrap());
        let reader = spawn(&shard, |shard| {
            assert!(shard.indexed().is_none_or(|indexed| indexed == 1), "nothing below is indexed");
        });
        drop(shard.take_over().unwrap());
        reader.join().unwrap();
    });
}

/// A reader that has read an index finds out that the index was put into use again meanwhile.
#[test]
fn a_reader_notices_that_its_index_was_initialised_again() {
    explore("index initialised again", 3, || {
        let shard = shard(1, 1, &[1]);
        std::mem::forget(shard.lock().unwrap());
        let holder = spawn(&shard, |shard| shard.reuse_first_index(0));
        let entries = shard.entries_of_first_index();
        assert!(entries.is_none_or(|entries| entries == 1), "an entry that stays is missed");
        holder.join().unwrap();
    });
}

/// A clear beside an indexer that parks: the one finds the other's mark, or the other finds what the
/// one has cleared.
#[test]
fn a_clear_is_found_before_the_indexer_parks() {
    explore("clear and park", 3, || {
        let shard = shard(1, 1, &[1]);
        let indexer = spawn(&shard, |shard| shard.mark_parked() && shard.is_settled());
        shard.clear();
        let wakes = shard.take_parked_mark();
        let parked = indexer.join().unwrap();
        assert!(wakes || !parked, "the indexer parks, and nobody wakes it");
    });
}

/// The same for the end of the store, which is another word: it is found, or its thread finds the
/// mark.
#[test]
fn an_end_is_found_before_the_indexer_parks() {
    explore("end and park", 3, || {
        let (shard, stopping) = (shard(1, 1, &[1]), Arc::new(AtomicU64::new(0)));
        let indexer = {
            let stopping = Arc::clone(&stopping);
            spawn(&shard, move |shard| {
                shard.mark_parked() && stopping.load(Ordering::Acquire) == 0 && shard.is_settled()
            })
        };
        stopping.store(1, Ordering::Release);
        let wakes = shard.take_parked_mark();
        let parked = indexer.join().unwrap();
        assert!(wakes || !parked, "the indexer parks, and nobody wakes it");
    });
}
