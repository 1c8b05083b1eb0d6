//! Right answers first: a store that is to be timed is asked for everything, and a plain model says
//! what is right.

use crate::peers::{Peer, Producer, Record};
use slipring::Indexes as _;
use slipring::{Key, KeyBuf};
use std::collections::HashMap;

/// Records between two settlings. A producer far ahead of an indexer would spread its records
/// unevenly over shards, and which ones are kept would no longer be known to the record.
const STRETCH: usize = 256;

/// Pushes three times the capacity by one producer and compares every lookup and every list of keys
/// with the model: all records in one list.
///
/// Answers must be the newest first, complete and of the newest `capacity` records; where the store
/// says that its oldest record may be off by some ([`Peer::tolerance`]), records that near to the
/// edge may be there or not.
///
/// # Panics
/// If an answer is wrong.
pub fn check<T, P>(capacity: usize, records: impl Iterator<Item = T>)
where
    T: Record + PartialEq,
    P: Peer<T>,
{
    if !P::ANSWERS {
        return;
    }
    let records: Vec<T> = records.take(3 * capacity).collect();
    let store = P::new(capacity, 1);
    let mut producer = store.producer(0);
    for (number, stretch) in records.chunks(STRETCH).enumerate() {
        // Both ways in, in turn.
        if number.is_multiple_of(2) {
            stretch.iter().for_each(|record| producer.push(record.clone()));
        } else {
            producer.push_batch(stretch.to_vec());
        }
        store.settle();
    }
    store.audit();
    let oldest = records.len() - capacity;
    let edge = oldest.saturating_sub(store.tolerance())..=(oldest + store.tolerance());
    for index in 0..T::INDEXES.as_slice().len() {
        check_index(&store, index, &records, *edge.start(), *edge.end());
    }
}

/// What one key's records must and may be.
struct Expected<'a, T> {
    /// From the oldest that may be there on, newest first.
    records: Vec<&'a T>,
    /// How many of them must be there.
    surely: usize,
}

/// All that begins at `surely` must be there, nothing that begins before `perhaps`.
fn check_index<T, P>(store: &P, index: usize, records: &[T], perhaps: usize, surely: usize)
where
    T: Record + PartialEq,
    P: Peer<T>,
{
    let mut model: HashMap<KeyBuf, Expected<'_, T>> = HashMap::new();
    for (number, record) in records.iter().enumerate().skip(perhaps).rev() {
        let Some(key) = T::INDEXES.as_slice()[index].key(record) else { continue };
        let expected =
            model.entry(key.to_owned()).or_insert(Expected { records: Vec::new(), surely: 0 });
        expected.records.push(record);
        expected.surely += usize::from(number >= surely);
    }
    let name = P::NAME;
    for (key, expected) in &model {
        for limit in [1, 10, usize::MAX] {
            let answer = store.lookup(index, key.as_key(), limit);
            assert!(
                expected.is_met_by(&answer, limit),
                "{name}: wrong answer for {key}, limit {limit}"
            );
        }
    }
    let mut counts: HashMap<KeyBuf, u64> = HashMap::new();
    for (key, count) in store.keys(index) {
        let expected =
            model.get(&key).unwrap_or_else(|| panic!("{name}: lists {key}, which has no records"));
        let right = expected.surely as u64..=expected.records.len() as u64;
        assert!(right.contains(&count), "{name}: counts {count} records with {key}, not {right:?}");
        assert!(counts.insert(key, count).is_none(), "{name}: lists a key twice");
    }
    let listed: std::collections::HashSet<KeyBuf> = store.list(index).into_iter().collect();
    assert!(listed.iter().all(|key| counts.contains_key(key)), "{name}: lists an unknown key");
    assert_eq!(listed.len(), counts.len(), "{name}: lists keys, and counts others");
    let missing =
        model.iter().find(|(key, expected)| expected.surely > 0 && !counts.contains_key(*key));
    assert!(missing.is_none(), "{name}: does not list {:?}", missing.map(|(key, _)| key));
    let older =
        records[..perhaps].iter().filter_map(|record| T::INDEXES.as_slice()[index].key(record));
    for gone in older.filter(|&key| !model.contains_key(&Key::to_owned(key))).take(100) {
        assert!(store.lookup(index, gone, 1).is_empty(), "{name}: {gone} should be gone");
    }
}

impl<T: PartialEq> Expected<'_, T> {
    fn is_met_by(&self, answer: &[T], limit: usize) -> bool {
        let surely = self.surely.min(limit);
        if answer.len() < surely || answer.len() > self.records.len().min(limit) {
            return false;
        }
        let (certain, rest) = answer.split_at(surely);
        let mut others = self.records[surely..].iter();
        certain.iter().zip(&self.records).all(|(found, right)| found == *right)
            && rest.iter().all(|found| others.any(|right| found == *right))
    }
}
