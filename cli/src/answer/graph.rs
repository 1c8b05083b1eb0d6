//! Which service calls which.

use super::Report;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use slipring::trace::{NodeKind, ServiceCall, ServiceGraph, ServiceNode};
use std::borrow::Cow;

/// Services, and the calls between them.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Graph<'a> {
    /// By name.
    pub services: Vec<Node<'a>>,
    /// Most frequent first.
    pub calls: Vec<Call<'a>>,
    /// How many spans name a parent that does not fit or is not here.
    pub unlinked: u64,
    pub report: Report<'a>,
}

/// A service, or something that services call.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Node<'a> {
    pub service: Cow<'a, str>,
    /// The resource's `service.namespace`; left out if there is none.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub namespace: Cow<'a, str>,
    /// `service`, or for what has no spans of its own `virtual_node`, `messaging_system` or
    /// `database`.
    pub kind: Cow<'static, str>,
    pub spans: u64,
    pub errors: u64,
}

/// The calls from one service to another.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Call<'a> {
    /// The caller.
    pub from: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub from_namespace: Cow<'a, str>,
    /// The callee.
    pub to: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub to_namespace: Cow<'a, str>,
    pub calls: u64,
    /// How many of them failed, by what either side says.
    pub errors: u64,
    /// How many of them are known from the caller's span only.
    pub unmatched: u64,
    /// How long half of them took at most; null if no times are known.
    pub p50_nanos: Option<u64>,
    pub p99_nanos: Option<u64>,
}

impl<'a> Graph<'a> {
    /// Shows a graph.
    pub fn of(graph: &'a ServiceGraph) -> Self {
        Self {
            services: graph.services.iter().map(Node::of).collect(),
            calls: graph.calls.iter().map(Call::of).collect(),
            unlinked: graph.unlinked,
            report: Report { from_kept: graph.added, ..Report::of(&graph.report) },
        }
    }
}

impl<'a> Node<'a> {
    fn of(node: &'a ServiceNode) -> Self {
        let kind = match node.kind {
            NodeKind::Service => "service",
            NodeKind::MessagingSystem => "messaging_system",
            NodeKind::Database => "database",
            _ => "virtual_node",
        };
        Self {
            service: Cow::Borrowed(&node.service),
            namespace: Cow::Borrowed(&node.namespace),
            kind: kind.into(),
            spans: node.spans,
            errors: node.errors,
        }
    }
}

impl<'a> Call<'a> {
    fn of(call: &'a ServiceCall) -> Self {
        let latency = |share| (!call.durations.is_empty()).then(|| call.latency(share));
        Self {
            from: Cow::Borrowed(&call.caller),
            from_namespace: Cow::Borrowed(&call.caller_namespace),
            to: Cow::Borrowed(&call.callee),
            to_namespace: Cow::Borrowed(&call.callee_namespace),
            calls: call.calls,
            errors: call.errors,
            unmatched: call.unmatched,
            p50_nanos: latency(0.5),
            p99_nanos: latency(0.99),
        }
    }
}
