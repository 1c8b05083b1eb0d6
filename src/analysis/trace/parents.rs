//! Which span is whose parent, also where spans share an id.
//!
//! OpenTelemetry gives each span an id of its own. Zipkin, Envoy and Azure Functions let the two sides of a call share one: the client's
//! span and the server's have the same id and, as a rule, name the same parent. The server's then hangs under the client's, and what
//! names the id as its parent hangs under the one of its own service. (As Zipkin's `SpanNode` builds its trees.)

use crate::signal::{SpanId, SpanKind, TraceId};

/// What decides a span's place among others.
#[derive(Clone, Copy)]
pub(super) struct Kin {
    pub(super) trace: TraceId,
    pub(super) id: SpanId,
    pub(super) parent: Option<SpanId>,
    /// Its service's number.
    pub(super) service: u32,
    pub(super) kind: SpanKind,
    pub(super) start: u64,
}

/// On which side of a call a span stands. In the order in which spans of one id are taken for a parent: the innermost first.
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

impl Kin {
    /// Whether others can name it. The ids that are zero name nothing.
    fn is_named(&self) -> bool {
        !self.trace.is_zero() && !self.id.is_zero()
    }
}

/// Of each span the place of its parent in the list; its own, if it names itself. O(n log n), also if all have one id. Where several
/// suit equally, the first to begin is taken, and of those the first in the list.
pub(super) fn of<T>(all: &[T], kin: impl Fn(&T) -> Kin) -> Vec<Option<usize>> {
    let at = |place: &u32| kin(&all[*place as usize]);
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
        let key = |one: Kin| (one.trace, one.id, Side::of(one.kind));
        let found = *by_id.get(by_id.partition_point(|place| key(at(place)) < (trace, id, least)))?;
        ((at(&found).trace, at(&found).id) == (trace, id)).then_some(found as usize)
    };
    let of_service = |id: SpanId, trace: TraceId, service: u32| {
        let key = |one: Kin| (one.trace, one.id, one.service);
        let found = *by_service.get(by_service.partition_point(|place| key(at(place)) < (trace, id, service)))?;
        (key(at(&found)) == (trace, id, service)).then_some(found as usize)
    };
    let parent = |(place, one): (usize, &T)| {
        let one = kin(one);
        let callee = Side::of(one.kind) == Side::Callee;
        if callee && one.is_named() {
            // The other side of its call shares its id.
            if let Some(caller) = first(one.id, one.trace, Side::Caller) {
                return Some(caller);
            }
        }
        let parent = one.parent.filter(|parent| !parent.is_zero() && !one.trace.is_zero())?;
        if parent == one.id {
            return Some(place);
        }
        // A callee was called from elsewhere: its service tells nothing of its parent's.
        let own = if callee { None } else { of_service(parent, one.trace, one.service) };
        own.or_else(|| first(parent, one.trace, Side::Callee))
    };
    all.iter().enumerate().map(parent).collect()
}
