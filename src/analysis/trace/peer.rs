//! What a caller's span tells of the one it called, where that one tells nothing itself.

use super::graph::NodeKind;
use crate::signal::{Span, SpanKind, ValueRef};
use std::borrow::Cow;

/// The attributes that name who was called, the surest first. (As Tempo and the Collector's service graph have them, with the names
/// that the semantic conventions have given them since.)
const NAMES: [&str; 5] =
    ["service.peer.name", "peer.service", "server.address", "net.peer.name", "network.peer.address"];
/// Those that name a database, if nothing above does.
const DATABASES: [&str; 4] = ["db.namespace", "db.name", "db.system.name", "db.system"];
const MESSAGING: &str = "messaging.system";

/// Who was called, and what it is; `None` if the span does not say.
pub(super) fn of(span: &Span) -> Option<(Cow<'_, str>, NodeKind)> {
    let text = |name: &str| span.attributes().get(name).and_then(ValueRef::as_str).filter(|text| !text.is_empty());
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
        Some((name @ "network.peer.address", address)) => match span.attributes().get("network.peer.port") {
            Some(port) => Cow::Owned(format!("{address}:{port}")),
            None => Cow::Borrowed(text(name)?),
        },
        Some((_, text)) => Cow::Borrowed(text),
        None => Cow::Borrowed(database.or(messaging)?),
    };
    Some((name, kind))
}
