//! All constants that trade one cost against another.
//!
//! Each says what it is for. A *limit* bounds something that a store promises, and says what its
//! size costs. Any other constant was measured, and says what it was found to be worth. Where
//! nothing else is said, a figure compares another value with the one that stands here: two busy
//! cores, the values in turn within each round, medians of the rounds' ratios. Under loom the
//! constants are small, so that a model reaches every case in few steps.

use std::time::Duration;

/// Picks `in_models` under loom, and `usual` otherwise.
const fn sized(usual: u64, in_models: u64) -> u64 {
    if cfg!(loom) { in_models } else { usual }
}

// --- the shape of a store ---

/// The most shards that a store may have.
///
/// A limit: a lookup asks each shard, at some 0.2 µs, and a bookmark or a note of age has eight
/// bytes for each. With so many, that is 0.2 ms and 8 KiB.
pub(crate) const MOST_SHARDS: usize = 1024;

/// The fewest records in a shard, unless the builder sets the number of shards.
///
/// Measured: with 2,048, a store of 10,000 records had four shards. Sixteen producers on sixteen
/// cores then pushed a fifth of what they push to nineteen shards.
pub(crate) const SHARD_AT_LEAST: usize = 512;

/// The most slack of a shard, unless the builder sets it.
///
/// Measured: with 1,024 and 2,048 slots for shards of 25,000 points, a single producer took 0.76
/// and 0.85 times as many (one round each).
pub(crate) const MOST_SLACK: usize = 8_192;

/// The slack of a smaller shard, as a part of its capacity: an eighth.
///
/// Measured: stores of 10,000 spans, 50,000 logs and 100,000 points in four shards took as many
/// records a second with a quarter, an eighth and a sixteenth. A sixteenth takes 10 bytes a span
/// less, but bursts have half the room.
pub(crate) const SLACK_PART: usize = 8;

/// Spare slots of a shard, unless the builder sets their number.
///
/// A limit (invariant 7): a suspended producer occupies one slot, a suspended batch up to
/// [`PUSH_CHUNK`], and a suspended reader up to [`PINS_PER_READER`]. So 48 slots outlast three
/// batches or six readers at once. They take a head of 64 bytes and a record each: 4.6 KB a shard
/// of built-in spans.
pub(crate) const SPARE_SLOTS: usize = 48;

/// Indexes of a shard: one in use, and one for each suspended holder whose indexer lock was taken
/// over.
///
/// A limit (invariants 4 and 7): fifteen holders may sleep while a sixteenth works. Each needs
/// twelve bytes in a shard, and an index only once it has happened.
pub(crate) const INDEXES_PER_SHARD: usize = sized(16, 2) as usize;

/// Records of a time block. A scan for a time range skips whole blocks. Each block has 16 bytes.
///
/// Measured: without blocks, a hundredth of the time of 100,000 spans takes 6.6 times as long to
/// count, and of a service in that time 7.6 times. With 16, 256 and 1,024, the first takes 189, 878
/// and 1,884 µs where it takes 162 with 64, and the second 235, 2,955 and 3,390 where it takes 195.
/// Rates stay as they are.
pub(crate) const BLOCK: u64 = sized(64, 2);

/// Number of keys for each line of a table before the directory grows.
///
/// Where keys are many, a line is full by chance. With five keys for eight words, one line in
/// fifteen is full; with four, as in a ring whose indexer keeps up, one in fifty. Measured: with
/// four and six, rates did not differ clearly (0.92 to 1.02).
pub(crate) const KEYS_PER_LINE: usize = sized(5, 1) as usize;

/// How many times as many lines a directory's next table has.
///
/// A limit (invariant 4): the former tables stay, and take a third of the last one at most. With 2
/// it would be as much as the last one. With 16, a table could be sixteen times as large as its
/// keys want. Measured: with 2 and 16, rates did not differ clearly (0.98 to 1.11).
pub(crate) const GROWTH: usize = sized(4, 2) as usize;

/// The fewest lines of a table that can grow: a kibibyte.
///
/// A limit: what a directory takes that has few keys. Measured: with one line and with 256, rates
/// did not differ clearly (0.91 to 1.06), but 256 lines are 16 KiB for each index and shard.
pub(crate) const FEWEST_LINES: usize = sized(16, 3) as usize;

/// Lines of a directory that fits into the nearer caches: 32 KiB. A larger directory is prefetched.
///
/// Measured: if smaller ones are, too, one and two producers take 0.97 and 0.95 times as many logs.
/// If none is, two take 0.90 times as many.
pub(crate) const NEAR_LINES: usize = 512;

/// Raises of the low watermark whose reasons are kept apart while their records wait for eviction.
/// A further raise counts under the reason of the last one.
///
/// A limit (invariant 4): eight bytes a shard for each, and a raise reads all of them. A raise for
/// the same reason as the one before needs no further note.
pub(crate) const WATERMARK_NOTES: usize = sized(64, 4) as usize;

/// Notes of the claims that are taken while a record reaches its greatest age. A record leaves late
/// by at most one part in this number.
///
/// A limit (invariant 4): a note takes 32 bytes, and eight for each shard. 64 notes of four shards
/// are 4 KiB, and a record leaves at most 1.6 % late.
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

/// Runs that a shard holds at least, where that makes them no shorter than a quarter of
/// [`MAX_RUN`].
///
/// A limit: of the newest records, one run may be missing for each shard and each producer, at most
/// so small a part of a shard.
pub(crate) const RUNS_AT_LEAST: usize = 32;

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

/// Records of a batch that are prepared and claimed together. A producer that is suspended in a
/// batch occupies as many slots.
///
/// Measured, batches of 100 log records, one and two producers: with 1, 4 and 8, a processor second
/// took 0.90, 0.99 and 0.96 and 0.95, 0.99 and 0.98 times as many. With 32, 0.90 to 0.95: what is
/// prepared no longer stays in the nearest cache.
pub(crate) const PUSH_CHUNK: usize = sized(16, 2) as usize;

/// Bytes by which a producer prefetches slots ahead of the one that it writes.
///
/// Measured, two producers: with 256 and 4,096, 0.93 to 0.95 and 0.97 times as many flat spans, and
/// as many points (0.99 and 1.00). Without prefetching, 0.80 times as many points. If only two of a
/// span's eight lines are prefetched, 0.62 times as many spans.
pub(crate) const PREFETCHED_AHEAD: usize = 1024;

/// How long a producer or follower sleeps before it looks for itself. Some events wake no sleeper:
/// new records in a store without an indexer thread, and a reader that unpins a slot.
///
/// A limit: such an event is noticed so late at most. Each thread that waits then wakes 900 times a
/// second, which takes 1.4 % of a core.
pub(crate) const WAIT_AT_MOST: Duration = Duration::from_millis(1);

/// Pushes after which a producer evicts as many records, and indexes up to twice as many, while its
/// shard has less than a quarter of its slack left. If records own memory, it also drops up to
/// [`DROP_BATCH`] evicted ones. A power of two.
///
/// Measured, two producers on two busy cores, in one run: with 16 and with none, the p99 of a push
/// of a 480-byte record is 0.91 and 0.15 µs, its p99.9 is 1.15 and 5.9 µs, and the rate 17.9 and
/// 19.7 million records a second; for 136 bytes, p99.9 is 0.77 and 2.6 µs, and the rate 32 and 36
/// million.
///
/// Measured, records that own memory: against eight pushes and 16 drops, one producer took 1.03,
/// 1.06 and 1.03 times as many points, logs and spans, and two took 1.10, 1.04 and 0.97 times.
pub(crate) const HELP_EVERY: u64 = sized(16, 1);

// --- the indexer ---

/// Records that one step of the indexer thread evicts. It indexes up to twice as many. Any step
/// passes up to as many evicted records whose drop does nothing.
///
/// A limit: a step holds the lock so long, some 0.1 ms. Measured, flat records: with 64, two
/// producers took 0.94 times as many logs. With 128, they took 0.97 times as many spans and points,
/// and one 0.94 times as many logs. With 1,024 and 4,096, two took as many logs (0.99 and 1.01).
pub(crate) const STEP_BATCH: u64 = sized(256, 1);

/// The same for a producer that finds its ring full, and for a reader. It limits what a step adds
/// to a push or a lookup.
///
/// Measured, two producers of 480-byte records on two busy cores: with 128, 32 and 16, the p99 of a
/// push is 0.5, 2.5 and 1.8 µs, and its p99.9 is 14.7, 4.1 and 2.9 µs. With 256, rates are the same
/// (0.95 to 1.03), but beside a producer without a pause the p99 of a look-up of 100 errors is 3
/// times as long.
pub(crate) const ASSIST_BATCH: u64 = sized(128, 1);

/// Records that one step moves out of their slots to be dropped. A producer does so while it pushes
/// half as many: an allocator is fastest where the thread that allocated a record frees it.
///
/// Measured, two producers: with 16, they took 0.90 times as many of the shop's points, and as many
/// spans. With 256, as many points and spans (1.03 and 1.01), but the p99.9 of a push of a span
/// beside another producer was 1.7 times as long. With 64, 1.2 times.
pub(crate) const DROP_BATCH: u64 = sized(32, 1);

/// Records that one step evicts because shared parts take too many bytes. A part is freed with the
/// last record that holds it, so small batches soon show whether enough was freed.
///
/// A limit: so many records leave a shard in vain at most.
pub(crate) const BYTE_LIMIT_BATCH: u64 = sized(16, 1);

/// Records that are entered into one index before the next index's turn. Their heads stay in the
/// nearest cache meanwhile. After each, the holder of the lock shows that it makes progress.
///
/// Measured, flat records: with one, two producers took 0.61 times as many spans and 0.49 as many
/// points, and one producer 0.55 times as many logs. With 32, 0.99, 0.98 and 1.05, and with 256,
/// 0.97, 1.00 and 0.98.
pub(crate) const INDEX_CHUNK: u64 = 64;

/// The indexer's nap between two passes. What was pushed meanwhile is unindexed so long, and
/// followers learn of it so late.
///
/// Measured: with 250 µs, 1 ms and 4 ms, a store with 1,000 pushes a second took 1.22, 0.75 and
/// 0.65 times the processor time (4.4 % of a core, the pushing thread included). A follower was
/// told of a push within 0.65, 1.8 and 3.8 times as long (0.31 ms at p50). Rates and lookups stayed
/// as they were.
pub(crate) const NAP: Duration = Duration::from_micros(500);

/// Naps without work after which the indexer parks.
///
/// Measured: if it parks at once, a push has to wake it, and at 200 and 1,000 pushes a second the
/// p50 of a push is 3.9 and 4.2 times as long (4.9 and 1.3 µs). With 4, 2.5 and 1.0 times. With 64,
/// 1.2 and 1.1, and 1.1 times the processor time.
pub(crate) const IDLE_NAPS: u32 = sized(16, 0) as u32;

/// How often the nap doubles while a stalled producer or reader holds a shard up.
///
/// Measured: while a reader slept over an evicted record, an otherwise idle store took 0.5 % of a
/// core. Without doublings it took 2.8 %, with two 1.4 %, and with ten 0.04 %, but then naps are
/// half a second, in which nothing is indexed unless a push or a reader does it.
pub(crate) const NAP_DOUBLINGS: u32 = 5;

/// Rounds over the shards between two ticks of the coarse clock.
///
/// Measured: with one round, a single producer took 0.65 times as many traces and 0.91 times as
/// many points.
pub(crate) const ROUNDS: u32 = 16;

/// How long `flush`, and the end of a store, sleep before they look again, while another thread holds
/// a shard's indexer lock or a push has not finished.
///
/// A limit: a flush notices so late at most. To sleep and look again takes 12 µs of a core, every
/// 110 µs. Measured beside a producer without a pause: with 10 µs and 1 ms, the p99 of a flush is
/// 0.5 and 1.5 times as long.
pub(crate) const FLUSH_LOOKS_AFTER: Duration = Duration::from_micros(50);

/// How long the holder of an indexer lock may stand still before another thread takes the lock
/// over. A scheduler rarely keeps a thread off its core for so long, and taking over costs as much
/// as indexing a shard anew.
///
/// A limit (invariant 7): what a sleeping holder costs the others. Measured, flat records: sixteen
/// producers on two cores took locks over 8 to 15 times in a run of 0.3 s. With 1 and 5 ms, it was
/// 50 to 90 times, and they pushed 1.3 times as many; with 100 ms, it was never, and 1.15 times.
/// Four producers took over only with 1 ms, 39 times, and then pushed 0.84 times as many.
pub(crate) const STALLED_AFTER: Duration = Duration::from_millis(20);

// --- readers ---

/// Slots that a reader pins at a time. One fence serves all of them.
///
/// A limit: a suspended reader occupies so many slots. They fit a cache line. Measured: with 1, 2
/// and 4, a look-up of a trace takes 1.48, 1.32 and 1.08 times as long, and of the last 100 errors
/// 1.57, 1.32 and 1.12.
pub(crate) const PINS_PER_READER: usize = sized(8, 2) as usize;

/// Readers that the first block of pins has room for. Each further block has room for twice as many
/// as the one before.
///
/// A limit: 64 bytes a store for each, and each step that reclaims reads a word of each. A reader
/// in a further block also changes a word that it shares with the block's other readers. Measured,
/// two cores: with one and with 64, 1 to 16 readers made 0.89 to 1.04 and 1.00 to 1.09 times as
/// many lookups.
pub(crate) const FIRST_PIN_BLOCK: usize = sized(8, 1) as usize;

/// The most records of an answer that are found and sorted before the first is shown. With more, the
/// query starts again and merges the scans of all shards.
///
/// Measured: without it, a trace of eight spans takes 1.4 times as long. An answer of 65 records
/// looks at 64 heads twice.
pub(crate) const SMALL_ANSWER: usize = sized(64, 3) as usize;

/// The same for a query with a limit above this. Fewer, because such a query more often asks for the
/// newest of many records.
///
/// Measured: with it, a trace of eight spans copied out takes 0.73 to 0.76 of the time. The last 100
/// of 500 errors, which are looked for in vain up to here, take 1,100 instructions of 47,500 more.
pub(crate) const SMALL_LIMITED: usize = sized(16, 2) as usize;

/// The most bytes that an answer reserves for copies of records before it has found them: a query's
/// limit says little of how many there are.
///
/// A limit: an allocation of 128 KiB and more costs glibc a system call. Measured: if nothing is
/// reserved, the newest 100 of 10,000 spans take 1.15 times as long, and ten since a bookmark 1.25.
/// With 8 KiB and without a bound, both take as long as with this.
pub(crate) const RESERVED_BYTES: usize = 65_536;

/// Records not yet indexed that a reader looks through. If there are more, the reader indexes some
/// first.
///
/// Measured, a trace beside 100,000 pushes a second: with 0, 8, 128 and no bound, the p50 is 0.85,
/// 0.92, 1.11 and 1.13 times as long, and the p99 1.13, 1.21, 0.94 and 0.94. Beside a million, the
/// p50 0.91, 0.93, 1.96 and 2.93. Beside a producer without a pause, with 0 and 8, the p50 of a
/// trace is 2.4 and 1.0 times as long, and of the last 100 errors 1.7 and 1.9. With 128 and no
/// bound, that producer pushes 0.78 and 0.73 times as many.
pub(crate) const UNINDEXED_TAIL: u64 = sized(24, 2);

/// Records that a reader looks through to find out whether an answer was cut. If there are more,
/// the answer says that it may have been.
///
/// A limit: an answer becomes longer by so many heads at most. Measured: if a reader looks at none,
/// 12 % of the lists of all errors say so beside a producer without a pause, where 0.3 to 0.9 % do
/// with 32, 256 and 4,096. None took longer.
pub(crate) const LOOK_AT_MOST: u64 = 256;

/// How often a reader lists the keys of an index at most, if a key may be missing: because the
/// index was replaced while it was read, or records were evicted before their keys were read.
///
/// A limit: what a call costs, where that happens each time. The last list stands then.
pub(crate) const LISTINGS: usize = sized(4, 2) as usize;

/// The most bytes of an index's list of keys that stays for the next reader. If there are more
/// keys, each reader lists them anew.
///
/// A limit (invariant 4): a store has one list for each index. 390 keys of 12 bytes fit, and 227 of
/// 72. Measured: without lists, the 12 services of 100,000 spans take 3.9 µs in place of 0.64.
pub(crate) const LIST_BYTES: usize = 32_768;

/// Records of one key and shard that the planner looks at to estimate how many there are.
///
/// Measured, a service and a rare name: with 1, 2 and 16, the query takes 0.79, 0.69 and 1.29 times
/// as long (2.2 µs, 100,000 spans). But a key whose records come in pairs then counts as one that
/// every record carries, and the query goes by the wrong key: 31 times as long with 1. With records
/// in fours, 20 and 17 times as long with 1 and 2, and with sixteens 0.12 with 16.
pub(crate) const SAMPLED: u64 = 4;

/// Records of a shard that one of several threads looks at in one go. Whole shards would leave
/// threads without work where shards are fewer.
///
/// Measured, two threads: with 256, a search of 200,000 logs for errors takes 1.07 times as long,
/// and with 1,024 and 16,384 as long (0.97 to 1.01). With whole shards it takes as long in four
/// shards, and twice as long in one.
#[cfg(feature = "rayon")]
pub(crate) const PARALLEL_PORTION: u64 = 64 * BLOCK;
