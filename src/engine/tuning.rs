//! All constants that trade one cost against another.
//!
//! Each says what it is for and what it was measured to be worth. Where no measurement is named,
//! none has been taken, and the value is a guess that has caused no complaint. Under loom the
//! constants are small, so that a model reaches every case in few steps.

use std::time::Duration;

/// Picks `in_models` under loom, and `usual` otherwise.
const fn sized(usual: u64, in_models: u64) -> u64 {
    if cfg!(loom) { in_models } else { usual }
}

// --- the shape of a store ---

/// The most shards that a store may have.
pub(crate) const MOST_SHARDS: usize = 1024;

/// The fewest records in a shard, unless the builder sets the number of shards.
///
/// Measured: with 2,048, a store of 10,000 records had four shards. Sixteen producers on sixteen
/// cores then pushed a fifth of what they push to nineteen shards.
pub(crate) const SHARD_AT_LEAST: usize = 512;

/// The most slack of a shard, unless the builder sets it. A smaller shard has an eighth of its
/// capacity.
///
/// Measured: stores of 10,000 spans, 50,000 logs and 100,000 points in four shards took as many
/// records a second with a quarter, an eighth and a sixteenth. With 1,024 and 2,048 slots for
/// shards of 25,000 points, a single producer took 0.76 and 0.85 times as many (one round each).
pub(crate) const MOST_SLACK: usize = 8_192;

/// Spare slots of a shard, unless the builder sets their number.
///
/// A suspended producer occupies one slot, a suspended batch up to [`PUSH_CHUNK`], and a suspended
/// reader up to [`PINS_PER_READER`]. So 48 slots outlast three batches or six readers at once.
pub(crate) const SPARE_SLOTS: usize = 48;

/// Indexes of a shard: one in use, and one for each suspended holder whose indexer lock was taken
/// over.
pub(crate) const INDEXES_PER_SHARD: usize = sized(16, 2) as usize;

/// Records of a time block. A scan for a time range skips whole blocks.
pub(crate) const BLOCK: u64 = sized(64, 2);

/// Lines of a directory that fits into the nearer caches: 32 KiB. A larger directory is prefetched.
///
/// Measured: if smaller ones are, too, one and two producers take 0.96 and 0.94 times as many logs.
pub(crate) const NEAR_LINES: usize = 512;

/// Raises of the low watermark whose reasons are kept apart while their records wait for eviction.
/// A further raise counts under the reason of the last one.
pub(crate) const WATERMARK_NOTES: usize = sized(64, 4) as usize;

/// Notes of the claims that are taken while a record reaches its greatest age. A record leaves late
/// by at most one part in this number.
pub(crate) const AGE_NOTES: u32 = 64;

// --- producers ---

/// The longest run: records that a producer pushes to one shard before it goes on to the next.
/// Records that are pushed together stay together, so a trace usually has an entry in one shard's
/// index and not in each.
///
/// Measured: against runs of 250, a processor second took 0.94 to 0.97 times as many log records of
/// 184 bytes in runs of 125, and 0.85 in runs of 50 (50,000 kept in four shards, one and two
/// producers).
pub(crate) const MAX_RUN: usize = sized(256, 2) as usize;

/// Runs that a shard may lack and still be given later. What it lacks beyond them is forgiven.
///
/// Of `S` shards, `m` may lack this many runs after a stall. The others then get `4m(S - m) / S`
/// runs less than their part, which is at most `S`, as many as the store promises. Simulated: eight
/// shards, and in turn a steady producer that takes six turns and two threads that take one each
/// and end after one push. Of the newest 10,000 records, 22 runs of 50 were missing with a debt of
/// 2, and 4 with a debt of 4.
pub(crate) const MOST_DEBT: u64 = 4;

/// Shard groups whose runs a thread remembers. Of the groups whose numbers are equal modulo this,
/// it remembers the last one used.
///
/// Measured: a thread that pushed to six stores in turn reached 0.91 to 0.96 of its speed with 8
/// places, 0.86 to 0.90 with 4, and 0.82 to 0.90 with one.
pub(crate) const REMEMBERED_RUNS: usize = 16;

/// Records of a batch that are prepared and claimed together.
pub(crate) const PUSH_CHUNK: usize = sized(16, 2) as usize;

/// How long a producer or follower sleeps before it looks for itself. Some events wake no sleeper:
/// new records in a store without an indexer thread, and a reader that unpins a slot.
pub(crate) const WAIT_AT_MOST: Duration = Duration::from_millis(1);

/// Pushes after which a producer evicts as many records, and indexes up to twice as many, while its
/// shard has less than a quarter of its slack left. If records own memory, it also drops up to
/// [`DROP_BATCH`] evicted ones. A power of two.
///
/// Measured, two producers on two busy cores, in one run: with 16 and with none, the p99 of a push
/// of a 480-byte record is 0.91 and 0.15 µs, its p99.9 is 1.15 and 5.9 µs, and the rate 17.9 and 19.7
/// million records a second; for 136 bytes, p99.9 is 0.77 and 2.6 µs, and the rate 32 and 36 million.
///
/// Measured, records that own memory: against eight pushes and 16 drops, one producer took 1.03, 1.06
/// and 1.03 times as many points, logs and spans, and two took 1.10, 1.04 and 0.97 times.
pub(crate) const HELP_EVERY: u64 = sized(16, 1);

// --- the indexer ---

/// Records that one step of the indexer thread evicts. It indexes up to twice as many.
pub(crate) const STEP_BATCH: u64 = sized(256, 1);

/// The same for a producer that finds its ring full, and for a reader. It limits what a step adds
/// to a push or a lookup.
///
/// Measured, two producers of 480-byte records on two busy cores: with 128, 32 and 16, the p99 of a
/// push is 0.5, 2.5 and 1.8 µs, and its p99.9 is 14.7, 4.1 and 2.9 µs.
pub(crate) const ASSIST_BATCH: u64 = sized(128, 1);

/// Records that one step moves out of their slots to be dropped. A producer does so while it pushes
/// half as many: an allocator is fastest where the thread that allocated a record frees it.
pub(crate) const DROP_BATCH: u64 = sized(32, 1);

/// Records that one step evicts because shared parts take too many bytes. A part is freed with the
/// last record that holds it, so small batches soon show whether enough was freed.
pub(crate) const BYTE_LIMIT_BATCH: u64 = sized(16, 1);

/// Records that are entered into one index before the next index's turn. Their heads stay in the
/// nearest cache meanwhile.
pub(crate) const INDEX_CHUNK: u64 = 64;

/// The indexer's nap between two passes.
pub(crate) const NAP: Duration = Duration::from_micros(500);

/// Naps without work after which the indexer parks.
pub(crate) const IDLE_NAPS: u32 = sized(16, 0) as u32;

/// How often the nap doubles while a stalled producer or reader holds a shard up.
pub(crate) const NAP_DOUBLINGS: u32 = 5;

/// Rounds over the shards between two ticks of the coarse clock.
///
/// Measured: with one round, a single producer took 0.65 times as many traces and 0.91 times as many
/// points.
pub(crate) const ROUNDS: u32 = 16;

/// How long the holder of an indexer lock may stand still before another thread takes the lock
/// over. A scheduler rarely keeps a thread off its core for so long, and taking over costs as much
/// as indexing a shard anew.
pub(crate) const STALLED_AFTER: Duration = Duration::from_millis(20);

// --- readers ---

/// Slots that a reader pins at a time. One fence serves all of them.
pub(crate) const PINS_PER_READER: usize = sized(8, 2) as usize;

/// Readers that the first block of pins has room for. Each further block has room for twice as many
/// as the one before.
pub(crate) const FIRST_PIN_BLOCK: usize = sized(8, 1) as usize;

/// The most bytes that an answer reserves for copies of records before it has found them. An
/// allocation of 128 KiB and more costs glibc a system call. Not measured.
pub(crate) const RESERVED_BYTES: usize = 65_536;

/// Records not yet indexed that a reader looks through. If there are more, the reader indexes some
/// first.
pub(crate) const UNINDEXED_TAIL: u64 = sized(24, 2);

/// Records that a reader looks through to find out whether an answer was cut.
pub(crate) const LOOK_AT_MOST: u64 = 256;

/// How often a reader lists the keys of an index at most, if a key may be missing. Not
/// measured: it takes a takeover or an eviction during the call.
pub(crate) const LISTINGS: usize = sized(4, 2) as usize;

/// The most bytes of an index's list of keys that stays for the next reader. If there are more keys,
/// each reader lists them anew.
///
/// A limit (invariant 4): a store has one list for each index. 390 keys of 12 bytes fit, and 227 of
/// 72. Measured: without lists, the 12 services of 100,000 spans take 3.9 µs in place of 0.64.
pub(crate) const LIST_BYTES: usize = 32_768;

/// Records of one key and shard that the planner looks at to estimate how many there are.
pub(crate) const SAMPLED: u64 = 4;

/// If sorted stretches are on average shorter than this, or shorter than their number, sorting
/// costs no more than merging.
pub(crate) const FEW_SHARDS: usize = 8;

/// Records of a shard that one of several threads looks at in one go.
#[cfg(feature = "rayon")]
pub(crate) const PARALLEL_PORTION: u64 = 64 * BLOCK;
