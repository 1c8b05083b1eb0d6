//! Counts of records, keys and services.

use super::reach::Reach;
use super::report::is_zero;
use super::time::{Nanos, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use slipring::KeyBuf;
use std::borrow::Cow;

/// A cut through the stores.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Moment {
    /// What the parameter `moment` takes.
    pub moment: String,
    pub time: Time,
    pub time_unix_nanos: Nanos,
}

/// How many records fit a question.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Count {
    pub count: usize,
    /// How many of them the store has evicted, and are here because their traces are kept. Absent
    /// if there are none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub from_kept: u64,
    /// What came from where, and what was read: told as in a report of records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<Reach>,
}

/// What the history of metrics holds and could not keep.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct History {
    pub max_bytes: usize,
    pub bytes: usize,
    /// Bytes of compressed blocks, of points that wait to be compressed, and of what is stored once
    /// a series, a metric or a source.
    pub block_bytes: usize,
    pub open_bytes: usize,
    pub dictionary_bytes: usize,
    /// Bytes of the queue, in addition to `bytes`.
    pub queue_bytes: usize,
    pub series: usize,
    pub blocks: usize,
    /// Points held.
    pub points: u64,
    /// Points that have left the store, whether they are held or not.
    pub evicted: u64,
    /// Points that wait in the queue.
    pub queued: u64,
    /// Points that the queue had no room for.
    pub missed: u64,
    /// Points that were cleared.
    pub cleared: u64,
    /// Points of summaries, and points that were too large; neither are kept.
    pub summaries: u64,
    pub too_large: u64,
    /// Points that were kept and have left, the oldest blocks first.
    pub expired: u64,
    /// Points that are held without their exemplars, and without fields that the protocol does not
    /// know.
    pub without_exemplars: u64,
    pub without_unknown_fields: u64,
    /// Answers that lacked points which were on their way for too long.
    pub incomplete_answers: u64,
}

/// All services.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Services<'a> {
    pub services: Vec<Service<'a>>,
}

/// How many records are here of a service.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Service<'a> {
    pub service: Cow<'a, str>,
    pub spans: u64,
    pub logs: u64,
    pub metrics: u64,
}

/// The keys of an index, most frequent first.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Keys<'a> {
    pub keys: Vec<Key<'a>>,
}

/// A key of an index.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Key<'a> {
    pub key: KeyValue<'a>,
    /// How many records carry it.
    pub count: u64,
}

/// Text, or the number of a severity.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum KeyValue<'a> {
    Number(u64),
    Text(Cow<'a, str>),
}

/// The program.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Server<'a> {
    pub version: Cow<'a, str>,
    /// Where OTLP/gRPC is taken.
    pub grpc: Option<String>,
    /// Where OTLP/HTTP is taken and questions are answered.
    pub http: Option<String>,
    /// Whether requests have to carry a token.
    pub token: bool,
    pub requests: ServerRequests,
}

/// What became of OTLP requests.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ServerRequests {
    pub taken: u64,
    pub refused: u64,
    /// Asked to come back later.
    pub overloaded: u64,
    pub in_flight: u64,
    /// Records of taken requests that were not taken.
    pub rejected_records: u64,
}

impl History {
    /// Shows the statistics of a history.
    pub fn of(stats: &slipring_history::Stats) -> Self {
        Self {
            max_bytes: stats.max_bytes,
            bytes: stats.bytes,
            block_bytes: stats.block_bytes,
            open_bytes: stats.open_bytes,
            dictionary_bytes: stats.dictionary_bytes,
            queue_bytes: stats.queue_bytes,
            series: stats.series,
            blocks: stats.blocks,
            points: stats.held,
            evicted: stats.evicted,
            queued: stats.queued,
            missed: stats.missed,
            cleared: stats.cleared,
            summaries: stats.summaries,
            too_large: stats.too_large,
            expired: stats.expired,
            without_exemplars: stats.without_exemplars,
            without_unknown_fields: stats.without_unknown_fields,
            incomplete_answers: stats.incomplete_answers,
        }
    }
}

impl<'a> Services<'a> {
    /// Shows services, with their numbers of spans, log records and metric points.
    pub fn of(services: impl IntoIterator<Item = (&'a str, [u64; 3])>) -> Self {
        let service = |(service, [spans, logs, metrics]): (&'a str, [u64; 3])| Service {
            service: Cow::Borrowed(service),
            spans,
            logs,
            metrics,
        };
        Self { services: services.into_iter().map(service).collect() }
    }
}

impl<'a> Keys<'a> {
    /// Shows keys, with how many records carry them.
    pub fn of(keys: &'a [(KeyBuf, u64)]) -> Self {
        let key = |(key, count): &'a (KeyBuf, u64)| Key {
            key: match key {
                KeyBuf::Int(number) => KeyValue::Number(*number),
                KeyBuf::Text(text) => KeyValue::Text(Cow::Borrowed(text)),
                other => KeyValue::Text(other.as_key().to_string().into()),
            },
            count: *count,
        };
        Self { keys: keys.iter().map(key).collect() }
    }
}
