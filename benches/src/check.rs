//! Checks a store's answers against a plain model before the store is timed.

use crate::peers::{Peer, Producer, Record};
use slipring::Indexes as _;
use slipring::{Key, KeyBuf};
use std::collections::HashMap;

/// The number of records that are pushed before the store settles. A producer far ahead of the
/// indexer would spread its records unevenly over the shards, and the model could no longer tell
/// which records are kept.
const STRETCH: usize = 256;

/// Pushes three times the capacity from one producer, and compares every lookup and every list of
/// keys with the model, which holds all records in one list.
///
/// Answers must list the newest records first, and must contain exactly the newest `capacity`
/// records. If the store's [`tolerance`](Peer::tolerance) is above 0, records within this distance
/// of the oldest one may be present or absent.
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
        // Alternate between single pushes and batches.
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

/// The records that an answer for one key must and may contain.
struct Expected<'a, T> {
    /// All records that may be present, newest first.
    records: Vec<&'a T>,
    /// The number of them, from the newest on, that must be present.
    surely: usize,
}

/// Records from number `surely` on must be present. Records before number `perhaps` must be absent.
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
