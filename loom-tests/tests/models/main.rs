//! The models, in one program, so that what they share is compiled once.

mod bookmarks;
mod cells;
mod clear;
mod cut_answers;
mod event_count;
mod evictions;
mod following;
mod key_lists;
mod lapping;
mod pins;
mod pins_alone;
mod retention;
mod shard_alone;
mod shutdown;
mod sleepers;
mod tail_and_walk;
mod terms;
mod together;
mod two_shards;
mod waiting_for_room;
mod wakers;
mod wakeups;
