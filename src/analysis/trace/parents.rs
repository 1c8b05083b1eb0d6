//! Finds each span's parent, also where spans share an id.
//!
//! OpenTelemetry gives each span its own id. Zipkin, Envoy and Azure Functions let the two sides of
//! a call share one: the client's span and the server's have the same id and usually name the same
//! parent. Then the server's span becomes a child of the client's. A span that names the shared id
//! as its parent becomes a child of the span of its own service. Zipkin's `SpanNode` builds its
//! trees the same way.

use crate::signal::{SpanId, SpanKind, TraceId};

/// The properties that decide a span's place among others.
#[derive(Clone, Copy)]
pub(super) struct SpanKey {
    pub(super) trace: TraceId,
    pub(super) id: SpanId,
    pub(super) parent: Option<SpanId>,
    /// The number of its service.
    pub(super) service: u32,
    pub(super) kind: SpanKind,
    pub(super) start: u64,
}

/// The side of a call on which a span stands. Ordered by preference as a parent among spans that
/// share an id: the innermost first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    Callee,
    Neither,
    Caller,
}

impl Side {
    pub(super) fn of(kind: SpanKind) -> Self {
        match kind {
            SpanKind::Server | SpanKind::Consumer => Self::Callee,
            SpanKind::Unspecified | SpanKind::Internal => Self::Neither,
            SpanKind::Client | SpanKind::Producer => Self::Caller,
        }
    }
}

impl SpanKey {
    /// Returns whether other spans can refer to it. A zero id refers to nothing.
    fn is_named(&self) -> bool {
        !self.trace.is_zero() && !self.id.is_zero()
    }
}

/// Returns, for each span, the index of its parent in the list; its own index if it names itself.
/// O(n log n), even if all spans share one id. Among equally suitable parents the first to begin is
/// taken, then the first in the list.
pub(super) fn of<T>(all: &[T], key_of: impl Fn(&T) -> SpanKey) -> Vec<Option<usize>> {
    let at = |place: &u32| key_of(&all[*place as usize]);
    let places = 0..u32::try_from(all.len()).expect("spans take more than a byte each");
    let mut by_id: Vec<u32> = places.filter(|place| at(place).is_named()).collect();
    by_id.sort_unstable_by_key(|place| {
        let one = at(place);
        (one.trace, one.id, Side::of(one.kind), one.start, *place)
    });
    let mut by_service = by_id.clone();
    by_service.sort_unstable_by_key(|place| {
        let one = at(place);
        (one.trace, one.id, one.service, Side::of(one.kind), one.start, *place)
    });
    let first = |id: SpanId, trace: TraceId, least: Side| {
        let key = |one: SpanKey| (one.trace, one.id, Side::of(one.kind));
        let found =
            *by_id.get(by_id.partition_point(|place| key(at(place)) < (trace, id, least)))?;
        ((at(&found).trace, at(&found).id) == (trace, id)).then_some(found as usize)
    };
    let of_service = |id: SpanId, trace: TraceId, service: u32| {
        let key = |one: SpanKey| (one.trace, one.id, one.service);
        let found = *by_service
            .get(by_service.partition_point(|place| key(at(place)) < (trace, id, service)))?;
        (key(at(&found)) == (trace, id, service)).then_some(found as usize)
    };
    let parent = |(place, one): (usize, &T)| {
        let one = key_of(one);
        let callee = Side::of(one.kind) == Side::Callee;
        if callee && one.is_named() {
            // The other side of the call shares its id.
            if let Some(caller) = first(one.id, one.trace, Side::Caller) {
                return Some(caller);
            }
        }
        let parent = one.parent.filter(|parent| !parent.is_zero() && !one.trace.is_zero())?;
        if parent == one.id {
            return Some(place);
        }
        // A callee was called by another service, so do not prefer a parent of its own service.
        let own = if callee { None } else { of_service(parent, one.trace, one.service) };
        own.or_else(|| first(parent, one.trace, Side::Callee))
    };
    all.iter().enumerate().map(parent).collect()
}
