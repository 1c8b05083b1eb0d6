//! The callee that a caller's span names in its attributes, for callees without spans of their own.

use super::graph::NodeKind;
use crate::signal::{Span, SpanKind, ValueRef};
use std::borrow::Cow;

/// The attributes that name the callee, most reliable first. These are the ones that Tempo's and
/// the OpenTelemetry Collector's service graphs use, plus the names that the semantic conventions
/// have given them since.
const NAMES: [&str; 5] = [
    "service.peer.name",
    "peer.service",
    "server.address",
    "net.peer.name",
    "network.peer.address",
];
/// The attributes that name a database, used if none of the above is set.
const DATABASES: [&str; 4] = ["db.namespace", "db.name", "db.system.name", "db.system"];
const MESSAGING: &str = "messaging.system";

/// Returns the callee's name and kind, or `None` if the span does not name it.
pub(super) fn of(span: &Span) -> Option<(Cow<'_, str>, NodeKind)> {
    let text = |name: &str| {
        span.attributes().get(name).and_then(ValueRef::as_str).filter(|text| !text.is_empty())
    };
    let database = DATABASES.iter().find_map(|name| text(name));
    let messaging = text(MESSAGING);
    let kind = match (database, messaging) {
        (Some(_), _) => NodeKind::Database,
        (None, Some(_)) => NodeKind::MessagingSystem,
        (None, None) if span.kind() == SpanKind::Producer => NodeKind::MessagingSystem,
        (None, None) => NodeKind::Virtual,
    };
    let named = NAMES.iter().find_map(|&name| text(name).map(|text| (name, text)));
    let name = match named {
        Some((name @ "network.peer.address", address)) => {
            match span.attributes().get("network.peer.port") {
                Some(port) => Cow::Owned(format!("{address}:{port}")),
                None => Cow::Borrowed(text(name)?),
            }
        }
        Some((_, text)) => Cow::Borrowed(text),
        None => Cow::Borrowed(database.or(messaging)?),
    };
    Some((name, kind))
}
