//! Answers that reach back beyond the stores, into the history's files.
//!
//! A record may be in several places at once: it moves from the store into a file while a question
//! is answered, and a kept trace has records that the store or a file has as well. So each record is
//! told by its [identity], and counts as often as the place that has most of it says.
//!
//! Files know when records began and not when they arrived. So answers that reach into files go by
//! time.

mod each;
mod files;
mod first;
mod identity;
mod page;
mod reach;
mod traces;

pub use each::each;
pub use files::{Files, InFiles, NO_FILES, Sought};
pub use first::{Tier, Timed};
pub use page::Page;
pub use reach::{Older, Reaching};
pub use traces::{traces, with_files};
