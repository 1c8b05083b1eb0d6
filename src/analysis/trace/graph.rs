//! Who calls whom: the answer.

/// Services and the calls between them, as a query's spans tell.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct ServiceGraph {
    /// The services, and what they call that has no spans of its own, by name.
    pub services: Vec<ServiceNode>,
    /// Who called whom, the most frequent first.
    pub calls: Vec<ServiceCall>,
    /// Spans whose parent the query did not find: it is not in the store any more, has not come yet, or is not asked for.
    pub unlinked: u64,
    /// How the query went.
    pub report: crate::query::Report,
}

/// A service of a [`ServiceGraph`], or something that a service calls.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct ServiceNode {
    /// Its name.
    pub service: Box<str>,
    /// Its resource's `service.namespace`; empty if there is none. Services of one name in two namespaces are two.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "str::is_empty"))]
    pub namespace: Box<str>,
    /// Whether it has spans of its own, and, if not, what its callers say that it is.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "NodeKind::is_service"))]
    pub kind: NodeKind,
    /// Its spans, redelivered ones once.
    pub spans: u64,
    /// Those that failed.
    pub errors: u64,
}

/// What a node of a [`ServiceGraph`] is. The last three are virtual nodes: known from their callers' spans only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum NodeKind {
    /// A service with spans of its own.
    Service,
    /// Something that is not instrumented, or was down.
    #[cfg_attr(feature = "serde", serde(rename = "virtual_node"))]
    Virtual,
    /// A messaging system, such as a broker.
    MessagingSystem,
    /// A database.
    Database,
}

/// The calls from one service to another.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct ServiceCall {
    /// Who called.
    pub caller: Box<str>,
    /// The caller's namespace; empty if there is none.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "str::is_empty"))]
    pub caller_namespace: Box<str>,
    /// Who was called.
    pub callee: Box<str>,
    /// Its namespace; empty if there is none.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "str::is_empty"))]
    pub callee_namespace: Box<str>,
    /// How often.
    pub calls: u64,
    /// How often it failed, as either of the two says: a caller that gave up counts, also where the other ended well.
    pub errors: u64,
    /// How many of the calls only the caller's spans tell of.
    pub unmatched: u64,
    /// How long the one that was called took, in nanoseconds, in order; where only the caller tells of it, how long that took. A call
    /// whose times are not known has none.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub durations: Vec<u64>,
}

#[cfg(feature = "serde")]
impl NodeKind {
    fn is_service(&self) -> bool {
        *self == Self::Service
    }
}

impl ServiceCall {
    /// The share of calls that failed, from 0 to 1.
    pub fn error_rate(&self) -> f64 {
        self.errors as f64 / self.calls.max(1) as f64
    }

    /// The least duration that so large a share of the calls did not exceed, from 0 to 1, in nanoseconds: exact, by nearest rank.
    pub fn latency(&self, share: f64) -> u64 {
        crate::query::nearest_rank(&self.durations, share).unwrap_or(0)
    }
}
