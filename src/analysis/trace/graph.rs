//! The service graph that a query returns.

/// Services and the calls between them, derived from a query's spans.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct ServiceGraph {
    /// The services, and the callees without spans of their own, by name.
    pub services: Vec<ServiceNode>,
    /// The calls, by caller and callee, most frequent first.
    pub calls: Vec<ServiceCall>,
    /// The number of spans whose parent the query did not find: it was evicted, has not arrived, or
    /// does not match the query.
    pub unlinked: u64,
    /// The number of spans that were added to those of the query: see
    /// [`service_graph_with`](crate::Query::service_graph_with).
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "is_zero"))]
    pub added: u64,
    /// How the query went.
    pub report: crate::query::Report,
}

#[cfg(feature = "serde")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A service of a [`ServiceGraph`], or something that services call.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct ServiceNode {
    /// The name.
    pub service: Box<str>,
    /// The resource's `service.namespace`; empty if there is none. Services of the same name in two
    /// namespaces are separate nodes.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "str::is_empty"))]
    pub namespace: Box<str>,
    /// Whether the node has spans of its own, and if not, what its callers say that it is.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "NodeKind::is_service"))]
    pub kind: NodeKind,
    /// The number of its spans. Redelivered spans count once.
    pub spans: u64,
    /// The number of its spans that failed.
    pub errors: u64,
}

/// The kind of a [`ServiceGraph`] node. All kinds but `Service` are virtual nodes: they are known
/// only from their callers' spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum NodeKind {
    /// A service with spans of its own.
    Service,
    /// Something that is not instrumented, or that was down.
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
    /// The caller's name.
    pub caller: Box<str>,
    /// The caller's namespace; empty if there is none.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "str::is_empty"))]
    pub caller_namespace: Box<str>,
    /// The callee's name.
    pub callee: Box<str>,
    /// The callee's namespace; empty if there is none.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "str::is_empty"))]
    pub callee_namespace: Box<str>,
    /// The number of calls.
    pub calls: u64,
    /// The number of calls that failed according to either side. A call counts as failed if the
    /// caller gave up, even if the callee finished well.
    pub errors: u64,
    /// The number of calls that are known from the caller's span only.
    pub unmatched: u64,
    /// The calls' durations in nanoseconds, sorted: the callee's, or the caller's where only the
    /// caller has a span. Calls without known times are left out.
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
    /// Returns the share of calls that failed, from 0 to 1.
    pub fn error_rate(&self) -> f64 {
        self.errors as f64 / self.calls.max(1) as f64
    }

    /// Returns the least duration, in nanoseconds, that this share of the calls (from 0 to 1) does
    /// not exceed: exact, by nearest rank.
    pub fn latency(&self, share: f64) -> u64 {
        crate::query::nearest_rank(&self.durations, share).unwrap_or(0)
    }
}
