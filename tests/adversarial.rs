//! Keys that a hostile sender chooses, built to collide in hash functions whose constants are
//! public, or to differ in few bits. Each list of keys is distinct, so a store must tell all of
//! them apart, and a lookup must look at few records.

use slipring::{Index, KeyBuf, LogRecord, Signal, Store, TraceId};
use std::collections::BTreeMap;

/// A record that consists of its key.
struct Sent(KeyBuf);

impl Signal for Sent {
    const NAME: &'static str = "sent";
    type Indexes = [Index<Self>; 1];
    const INDEXES: Self::Indexes = [Index::new("key", |sent| Some(sent.0.as_key()))];

    fn timestamp(&self) -> u64 {
        0
    }
}

/// Keys of one list.
const KEYS: u64 = 600;

/// Constants of foldhash (digits of pi), wyhash, rapidhash and fxhash, as their sources publish
/// them.
const PUBLISHED: [u64; 20] = [
    0x243f_6a88_85a3_08d3,
    0x1319_8a2e_0370_7344,
    0xa409_3822_299f_31d0,
    0x082e_fa98_ec4e_6c89,
    0x4528_21e6_38d0_1377,
    0xbe54_66cf_34e9_0c6c,
    0xc0ac_29b7_c97c_50dd,
    0x3f84_d5b5_b547_0917,
    0x9216_d5d9_8979_fb1b,
    0xd131_0ba6_98df_b5ac,
    0x2ffd_72db_d01a_dfb7,
    0xb8e1_afed_6a26_7e96,
    0xa076_1d64_78bd_642f,
    0xe703_7ed1_a0b4_28db,
    0x2d35_8dcc_aa6c_78a5,
    0x8bb8_4b93_962e_acc9,
    0x4b33_a62e_d433_d4a3,
    0x517c_c1b7_2722_0a95,
    0xf135_7aea_2e62_a9c5,
    0,
];

/// Pushes the nth key 1 + n % 3 times, and checks everything that the store returns about keys.
fn check(what: &str, keys: Vec<KeyBuf>) {
    let times = |number: usize| 1 + number % 3;
    let wanted: BTreeMap<&KeyBuf, u64> =
        keys.iter().enumerate().map(|(number, key)| (key, times(number) as u64)).collect();
    assert_eq!(wanted.len(), keys.len(), "{what}: the list itself is of distinct keys");
    // One shard, in which all records with one fingerprint would be in one chain; and three shards.
    for shards in [1, 3] {
        let store: Store<Sent> =
            Store::builder().capacity(6 * keys.len()).shards(shards).manual().build().unwrap();
        for (number, key) in keys.iter().enumerate() {
            for _ in 0..times(number) {
                store.push(Sent(key.clone())).map_err(|error| error.reason).unwrap();
            }
        }
        store.flush().unwrap();
        assert_eq!(store.keys("key").unwrap().len(), keys.len(), "{what}: distinct");
        assert_eq!(
            store.stats().index("key").unwrap().entries,
            keys.len() as u64,
            "{what}: entries"
        );
        let counted = store.key_counts("key").unwrap();
        let counted: BTreeMap<&KeyBuf, u64> =
            counted.iter().map(|one| (&one.key, one.count)).collect();
        assert_eq!(counted, wanted, "{what}: keys");
        for (number, key) in keys.iter().enumerate().step_by(7) {
            let found = store.query().key("key", key).showing_only(key);
            assert_eq!(found.0, times(number), "{what}: a lookup of {key:?}");
            assert!(
                found.1 <= times(number) as u64,
                "{what}: a lookup of {key:?} looked at {} records",
                found.1
            );
        }
        store.audit().unwrap();
    }
}

/// Looks up a key. Returns the number of records shown, which must all have the key, and the number
/// of records looked at.
trait Lookup {
    fn showing_only(self, key: &KeyBuf) -> (usize, u64);
}

impl Lookup for slipring::Query<'_, Sent> {
    fn showing_only(self, key: &KeyBuf) -> (usize, u64) {
        let mut shown = 0;
        let report = self.for_each(|_, record| {
            assert_eq!(&record.0, key);
            shown += 1;
        });
        (shown, report.unwrap().looked_at)
    }
}

fn id(high: u64, low: u64) -> KeyBuf {
    KeyBuf::Id(u128::from(high) << 64 | u128::from(low))
}

fn text(text: String) -> KeyBuf {
    KeyBuf::Text(text.into())
}

fn bytes(parts: &[&[u8]]) -> KeyBuf {
    KeyBuf::Bytes(parts.concat().into())
}

/// Pseudo-random numbers.
fn scattered(number: u64) -> u64 {
    (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[test]
fn ids_that_collide_in_a_folded_multiply_are_told_apart() {
    // foldhash multiplies the high half, xored with this constant, by the low half: by zero.
    check("the prefix", (1..=KEYS).map(|low| id(0xc0ac_29b7_c97c_50dd, low)).collect());
    for constant in PUBLISHED {
        check(
            &format!("high {constant:#x}"),
            (1..=KEYS / 10).map(|low| id(constant, scattered(low))).collect(),
        );
        check(
            &format!("low {constant:#x}"),
            (1..=KEYS / 10).map(|high| id(scattered(high), constant)).collect(),
        );
    }
}

#[test]
fn spans_with_colliding_trace_ids_are_told_apart() {
    let store: Store<LogRecord> =
        Store::builder().capacity(2 * KEYS as usize).shards(1).manual().build().unwrap();
    let trace = |low: u64| TraceId::from(0xc0ac_29b7_c97c_50dd_u128 << 64 | u128::from(low));
    for low in 0..KEYS {
        store.push(LogRecord::builder().trace_id(trace(low)).build()).unwrap();
    }
    store.flush().unwrap();
    assert_eq!(store.keys("trace").unwrap().len(), KEYS as usize);
    assert_eq!(store.key_counts("trace").unwrap().len(), KEYS as usize);
    assert!(store.key_counts("trace").unwrap().iter().all(|one| one.count == 1));
    let found = store.query().key("trace", trace(0)).collect().unwrap();
    assert_eq!((found.len(), found.report.looked_at), (1, 1));
}

#[test]
fn ids_and_numbers_that_differ_in_few_bits_are_told_apart() {
    check("low half", (0..KEYS).map(|low| id(7, low)).collect());
    check("high half", (0..KEYS).map(|high| id(high, 7)).collect());
    check("top bits", (0..KEYS).map(|high| id(high << 48, 0)).collect());
    check("halves alike", (0..KEYS).map(|both| id(scattered(both), scattered(both))).collect());
    check(
        "complements",
        (0..KEYS).map(|n| scattered(n / 2) ^ (n % 2).wrapping_neg()).map(|n| id(n, n)).collect(),
    );
    check(
        "numbers in their high bits",
        (0..KEYS).map(|number| KeyBuf::Int(number << 48)).collect(),
    );
    check("numbers in their low bits", (0..KEYS).map(KeyBuf::Int).collect());
}

#[test]
fn ids_that_collide_in_fxhash_are_told_apart() {
    for factor in [0x517c_c1b7_2722_0a95_u64, 0xf135_7aea_2e62_a9c5] {
        // rustc-hash 1: (rotl(low × K, 5) ^ high) × K. rustc-hash 2: (low × K + high) × K.
        let xored = |low: u64| id(low.wrapping_mul(factor).rotate_left(5) ^ 0xfeed, low);
        let added = |low: u64| id(0xfeed_u64.wrapping_sub(low.wrapping_mul(factor)), low);
        check("rotated and xored", (1..=KEYS).map(xored).collect());
        check("added", (1..=KEYS).map(added).collect());
    }
}

fn fnv64(bytes: &[u8]) -> u64 {
    let step = |state: u64, &byte: &u8| (state ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

fn fnv32_on(state: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(state, |state, &byte| (state ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[test]
fn keys_that_collide_in_fnv_are_told_apart() {
    // These eight bytes bring its state to zero, where zeros keep it.
    let zero = [0xd5, 0x6b, 0xb9, 0x53, 0x42, 0x87, 0x08, 0x36];
    let zeros = [0; 300];
    let keys: Vec<KeyBuf> = (0..=300).map(|count| bytes(&[&zero, &zeros[..count]])).collect();
    for key in &keys {
        let KeyBuf::Bytes(bytes) = key else { unreachable!() };
        assert_eq!(fnv64(bytes), 0);
    }
    check("FNV-1a of 64 bits", keys);

    // Two texts with one hash, one after the other: n such pairs make 2ⁿ texts (Joux).
    let mut texts = vec![String::new()];
    let mut state = 0x811c_9dc5;
    for _ in 0..10 {
        let mut seen = BTreeMap::new();
        let (first, second, hash) = (0_u32..)
            .find_map(|number| {
                let word = format!("{number:06x}");
                let hash = fnv32_on(state, word.as_bytes());
                seen.insert(hash, word.clone()).map(|before| (before, word, hash))
            })
            .unwrap();
        texts = texts
            .iter()
            .flat_map(|text| [format!("{text}{first}"), format!("{text}{second}")])
            .collect();
        state = hash;
    }
    assert!(texts.iter().all(|text| fnv32_on(0x811c_9dc5, text.as_bytes()) == state));
    check("FNV-1a of 32 bits", texts.into_iter().map(text).collect());
}

#[test]
fn bytes_that_collide_in_a_folded_multiply_are_told_apart() {
    for constant in PUBLISHED {
        for constant in [constant.to_le_bytes(), constant.to_be_bytes()] {
            let number = |number: u64| scattered(number).to_le_bytes();
            check("at the end", (0..KEYS / 20).map(|n| bytes(&[&number(n), &constant])).collect());
            check(
                "at the beginning",
                (0..KEYS / 20).map(|n| bytes(&[&constant, &number(n)])).collect(),
            );
            let long = |n| bytes(&[&number(n), &constant, &constant, &number(n), &constant]);
            check("in a long one", (0..KEYS / 20).map(long).collect());
        }
    }
}

#[test]
fn texts_that_differ_in_one_character_are_told_apart() {
    let letter = |number: u64| char::from(b'!' + number as u8);
    for length in [1, 7, 8, 15, 16, 17, 40, 200] {
        let rest = "x".repeat(length - 1);
        check("first letter", (0..90).map(|n| text(format!("{}{rest}", letter(n)))).collect());
        check("last letter", (0..90).map(|n| text(format!("{rest}{}", letter(n)))).collect());
    }
    let prefix = "GET /api/v1/customers/orders/".repeat(8);
    check("a long common prefix", (0..KEYS).map(|n| text(format!("{prefix}{n}"))).collect());
    check("a long common ending", (0..KEYS).map(|n| text(format!("{n}{prefix}"))).collect());
    check("nothing but a length", (0..300).map(|n| text("\0".repeat(n))).collect());
}

/// Keys of different kinds are different keys.
#[test]
fn keys_of_different_kinds_with_the_same_bytes_are_told_apart() {
    let word = |n: u64| format!("{n:08}");
    let as_number = |n: u64| u64::from_le_bytes(word(n).as_bytes().try_into().unwrap());
    let alike = |n: u64| {
        [
            KeyBuf::Int(as_number(n)),
            text(word(n)),
            bytes(&[word(n).as_bytes()]),
            id(0, as_number(n)),
            text(format!("{}\0\0\0\0\0\0\0\0", word(n))),
        ]
    };
    check("kinds", (0..KEYS / 5).flat_map(alike).collect());
}
