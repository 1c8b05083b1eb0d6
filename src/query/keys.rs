//! The keys of an index, alone or with counts.

use super::ahead::Step;
use super::plan::Plan;
use super::scan::Scan;
use super::view::{Reader, View};
use crate::engine::index::NO_KEY;
use crate::engine::key_list::{KeyList, ListedKey, ListedShard};
use crate::engine::state::Engine;
use crate::engine::tuning::{LISTINGS, PINS_PER_READER};
use crate::signal::{KeyBuf, Signal, key_of};
use crate::sync::fault::{Fault, planted};
use smallvec::SmallVec;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

/// A key and the number of the store's records that carry it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct KeyCount {
    /// The key.
    pub key: KeyBuf,
    /// The number of records with this key.
    pub count: u64,
}

/// A hasher for fingerprints. They are keyed hashes already: a sender that cannot choose
/// fingerprints cannot choose these hashes either.
#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn write_u64(&mut self, print: u64) {
        // Fingerprints must not be used unchanged. Directories list them in the order of some of
        // their bits. A map that grows would take them in with its buckets in that order, which
        // makes insertion quadratic (rust-lang/rust#36481).
        self.0 = print.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(32);
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("fingerprints are numbers of 64 bits");
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

type FingerprintHash = BuildHasherDefault<Spread>;

/// Returns every key of an index with its count, most frequent first.
///
/// Records are grouped by fingerprint, and one record of each group gives the key. The chance that
/// any two of n keys share a fingerprint is at most n²/2⁶¹. If fingerprints are configured to be
/// narrow, the key of each record is read instead.
pub(crate) fn count_keys<T: Signal>(engine: &Engine<T>, index: usize) -> Vec<KeyCount> {
    let narrow = engine.fingerprints.narrow();
    let mut by_print: HashMap<u64, KeyCount, FingerprintHash> = HashMap::default();
    let mut by_key: HashMap<KeyBuf, u64> = HashMap::new();
    let all = Plan::everything();
    let mut reader = Reader::new(engine);
    for (number, shard) in engine.shards.iter().enumerate() {
        let mut scan = Scan::up(View::open(shard), shard.evicted(), &(0..u64::MAX));
        while let Some(Step { sequence, .. }) = scan.next(&all) {
            let print = shard.slots.head(sequence).try_read(sequence, |head| head.print(index));
            let Some(print) = print.filter(|&print| print != NO_KEY) else { continue };
            if !narrow && let Some(known) = by_print.get_mut(&print) {
                known.count += 1;
                continue;
            }
            let key = reader.read_one(number, sequence, |record| own_key(engine, record, index));
            let Some(key) = key.flatten() else { continue };
            if narrow {
                *by_key.entry(key).or_default() += 1;
            } else {
                by_print.insert(print, KeyCount { key, count: 1 });
            }
        }
    }
    let mut counts: Vec<KeyCount> = by_print.into_values().collect();
    counts.extend(by_key.into_iter().map(|(key, count)| KeyCount { key, count }));
    counts.sort_unstable_by(|a, b| b.count.cmp(&a.count).then_with(|| a.key.cmp(&b.key)));
    counts
}

/// Returns the number of distinct fingerprints that an index holds now, without waiting for the
/// indexer. O(keys + lag).
pub(crate) fn distinct<T: Signal>(engine: &Engine<T>, index: usize) -> u64 {
    let mut prints: HashSet<u64, FingerprintHash> = HashSet::default();
    for shard in &engine.shards {
        carriers(&View::open(shard), index, |print, _| {
            prints.insert(print);
        });
    }
    prints.len() as u64
}

/// Returns every key of an index, sorted, without counts. Trusts fingerprints as [`count_keys`]
/// does. O(keys + lag) as long as no key appears.
pub(crate) fn list_keys<T: Signal>(engine: &Engine<T>, index: usize) -> Vec<KeyBuf> {
    if engine.fingerprints.narrow() {
        let counts = count_keys(engine, index);
        let mut keys: Vec<KeyBuf> = counts.into_iter().map(|count| count.key).collect();
        keys.sort_unstable();
        return keys;
    }
    (0..engine.shards.len()).for_each(|number| engine.index_long_tail(number));
    listed_keys(engine, index).unwrap_or_else(|| list_anew(engine, index))
}

/// Returns the keys of the list that an earlier call has left, if it is still true.
///
/// **No key is missing.** A record that was pushed before this call lies below the view's `indexed`
/// or in the tail. Those of the tail are looked at. One below has an entry for its key, or had one
/// until it was evicted. If the key was added after the list had counted the additions, the count
/// differs. If it was added before, the list's maker has looked at its entry, and kept the list only
/// if it found a visible record there.
///
/// **No key is too many.** A key's witness was published before the list was made, and lies in the
/// window that is visible now.
fn listed_keys<T: Signal>(engine: &Engine<T>, index: usize) -> Option<Vec<KeyBuf>> {
    let list = engine.key_lists[index].load();
    if list.shards.is_empty() {
        return None;
    }
    let mut low: SmallVec<[u64; 8]> = SmallVec::new();
    for (shard, listed) in engine.shards.iter().zip(&list.shards) {
        let view = View::open(shard);
        let now = ListedShard { word: view.word(), additions: view.index.additions(index) };
        let is_known = |sequence| match view.look(sequence, |head| head.print(index)) {
            Some(print) => print == NO_KEY || list.has(print),
            // Not published, or evicted.
            None => true,
        };
        let tail = view.low.max(view.indexed)..view.claimed;
        if now != *listed && !planted(Fault::AdditionsIgnored)
            || !tail.into_iter().all(is_known)
            || !view.is_current()
        {
            return None;
        }
        low.push(view.low);
    }
    let is_visible = |listed: &ListedKey| listed.sequence >= low[listed.shard];
    if !list.keys.iter().all(is_visible) && !planted(Fault::WitnessesIgnored) {
        return None;
    }
    Some(list.keys.iter().map(|listed| listed.key.clone()).collect())
}

/// Lists the keys from the directories, and leaves the list for others.
///
/// Lists them once more, a few times at most, if a key may be missing: if the indexer lock was taken
/// over and an index replaced while it was read, or records were evicted before their keys were read.
fn list_anew<T: Signal>(engine: &Engine<T>, index: usize) -> Vec<KeyBuf> {
    let mut listing = Listing::of(engine, index);
    for _ in 1..LISTINGS {
        if listing.has_all {
            break;
        }
        listing = Listing::of(engine, index);
    }
    let Listing { shards, keys, is_lasting, .. } = listing;
    let own = |keys: Vec<ListedKey>| keys.into_iter().map(|listed| listed.key).collect();
    if !is_lasting && !planted(Fault::ListKeptIncomplete) {
        return own(keys);
    }
    match KeyList::new(shards, keys) {
        Ok(list) => {
            let keys = list.keys.iter().map(|listed| listed.key.clone()).collect();
            engine.key_lists[index].store(list);
            keys
        }
        Err(keys) => own(keys),
    }
}

/// What one look at all directories of an index has found.
struct Listing {
    shards: Vec<ListedShard>,
    /// The keys, sorted.
    keys: Vec<ListedKey>,
    /// Whether no key was missed that stayed.
    has_all: bool,
    /// Whether later calls may use it: it has all, and each entry led to a visible record.
    is_lasting: bool,
}

impl Listing {
    fn of<T: Signal>(engine: &Engine<T>, index: usize) -> Self {
        let mut found: HashMap<u64, (usize, u64), FingerprintHash> = HashMap::default();
        let (mut all_led, mut are_current) = (true, true);
        let mut shards = Vec::with_capacity(engine.shards.len());
        for (number, shard) in engine.shards.iter().enumerate() {
            let view = View::open(shard);
            // Counted before the directory is read: a key that is added meanwhile is not counted in.
            shards.push(ListedShard { word: view.word(), additions: view.index.additions(index) });
            all_led &= carriers(&view, index, |print, sequence| {
                found.entry(print).or_insert((number, sequence));
            });
            // If a takeover has replaced the index meanwhile, its entries were anything.
            are_current &= view.is_current();
        }
        let (mut keys, all_read) = read_keys(engine, index, found);
        keys.sort_unstable_by(|one, other| one.key.cmp(&other.key));
        let has_all = are_current && all_read;
        Self { shards, keys, has_all, is_lasting: has_all && all_led }
    }
}

/// Reads the key of each fingerprint from the record that was found to carry it: the number of the
/// shard, and the sequence. One fence serves as many keys as a reader has pins. Returns also whether
/// all keys were read.
fn read_keys<T: Signal>(
    engine: &Engine<T>,
    index: usize,
    found: HashMap<u64, (usize, u64), FingerprintHash>,
) -> (Vec<ListedKey>, bool) {
    let mut reader = Reader::new(engine);
    let mut keys = Vec::with_capacity(found.len());
    let mut gone: HashSet<u64, FingerprintHash> = HashSet::default();
    let mut found = found.into_iter();
    loop {
        reader.restart();
        let pin = |(print, (shard, sequence))| {
            reader.pin(shard, sequence);
            print
        };
        let prints: SmallVec<[u64; PINS_PER_READER]> =
            found.by_ref().take(PINS_PER_READER).map(pin).collect();
        if prints.is_empty() {
            break;
        }
        reader.confirm();
        for (number, print) in prints.into_iter().enumerate() {
            let (shard, sequence) =
                (reader.pinned()[number].shard(), reader.pinned()[number].sequence);
            match reader.read(number, |record| own_key(engine, record, index)).flatten() {
                Some(key) => keys.push(ListedKey { key, print, shard, sequence }),
                None => drop(gone.insert(print)),
            }
        }
    }
    // Where the record has been evicted meanwhile, another may carry the key. One look at all of
    // them is enough: what is evicted before its turn once more has left during the call.
    for (shard, of_shard) in engine.shards.iter().enumerate() {
        if gone.is_empty() {
            break;
        }
        carriers(&View::open(of_shard), index, |print, sequence| {
            if gone.contains(&print) {
                let own_key = |record: &T| own_key(engine, record, index);
                if let Some(key) = reader.read_one(shard, sequence, own_key).flatten() {
                    gone.remove(&print);
                    keys.push(ListedKey { key, print, shard, sequence });
                }
            }
        });
    }
    (keys, gone.is_empty())
}

/// Returns a record's key. A panic of the user's code counts as none.
fn own_key<T: Signal>(engine: &Engine<T>, record: &T, index: usize) -> Option<KeyBuf> {
    engine.guarded(|| key_of(record, index).map(|key| key.to_owned())).flatten()
}

/// Calls `visit` with the fingerprint and sequence of a visible record of each key: from the
/// directory, and from the unindexed tail. May visit a key more than once.
///
/// Returns whether each entry of the directory led to a visible record. If one did not, a newer
/// record of its key may change that entry, and not add one.
fn carriers<T: Signal>(view: &View<'_, T>, index: usize, mut visit: impl FnMut(u64, u64)) -> bool {
    let mut all_visible = true;
    let mut visit = |print, sequence| {
        if sequence < view.low {
            all_visible = false;
        } else if print != NO_KEY {
            visit(print, sequence);
        }
    };
    let all_led = view.index.for_each_newest(&view.shard().slots, index, &mut visit);
    for sequence in view.low.max(view.indexed)..view.claimed {
        if let Some(print) = view.look(sequence, |head| head.print(index)) {
            visit(print, sequence);
        }
    }
    all_led && all_visible
}
