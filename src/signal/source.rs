//! The source of a record: the resource, the scope and, for points, the metric that it shares with
//! other records. Each of these parts is encoded once, and looked up again by its bytes.
//!
//! ```text
//!  point ──► metric ──► scope ──► resource        (one group of bytes each, shared)
//!  span, log ──────────► scope ──► resource
//! ```

use super::draft::{Draft, Layout, MetricParts, Part};
use super::metric::{Metric, MetricKind, MetricRef};
use super::resource::{Resource, ResourceRef, Scope, ScopeRef, UNKNOWN_SERVICE};
use super::{AttributesRef, Ledger, Shared};
use std::fmt;
use std::sync::OnceLock;

/// The resource and the scope of records, and the metric of points. Records share a source; cloning
/// it costs one atomic increment.
///
/// A source that is created once for many records is encoded once:
///
/// ```
/// use slipring::{Resource, Scope, Source, Span};
///
/// let resource = Resource::new([("service.name", "cart")]);
/// let source = Source::new(&resource, &Scope { name: "http-server".into(), ..Scope::default() });
/// let span = Span::builder().source(&source).name("GET /cart").build();
/// assert_eq!((span.service(), span.scope().name()), ("cart", "http-server"));
/// ```
#[derive(Clone)]
pub struct Source(Shared<Group>);

/// The bytes of one shared part, and the layout of these bytes.
pub(crate) struct Group {
    bytes: Box<[u8]>,
    /// Frequently read names, stored as text so that reading them needs no UTF-8 check: a service's
    /// name and namespace, or a metric's name.
    names: Box<str>,
    /// The end of the first name in `names`.
    split: u32,
    /// A bit for each name of the part's attributes, see [`name_bit`].
    attribute_names: u64,
    /// The part that encloses this one: a scope's resource, or a metric's scope.
    origin: Option<Source>,
    layout: Layout,
}

/// Returns one of 64 bits for the name of an attribute. Sets of such bits show quickly that a name
/// is not among many.
fn name_bit(name: &str) -> u64 {
    let name = name.as_bytes();
    let byte = |at: usize| name.get(at).map_or(0, |byte| u32::from(*byte));
    let length = name.len();
    let mixed = byte(length / 2) * 5 + byte(length.wrapping_sub(1)) * 11 + length as u32 * 17;
    1 << (mixed % 64)
}

impl Draft {
    /// Creates a shared part from the draft's bytes, enclosed by `origin`.
    pub(crate) fn share(&self, layout: Layout, origin: Option<&Source>) -> Source {
        let names = match layout {
            Layout::Resource { service, namespace, .. } => [service, namespace],
            Layout::Scope(_) => [Part::default(); 2],
            Layout::Metric(metric) => [metric.name, Part::default()],
        };
        let attributes = match layout {
            Layout::Resource { envelope, .. } => AttributesRef::of(self.at(envelope.message), 1),
            Layout::Scope(envelope) => AttributesRef::of(self.at(envelope.message), 3),
            Layout::Metric(_) => AttributesRef::default(),
        };
        let attribute_names = attributes.iter().fold(0, |bits, one| bits | name_bit(one.key));
        let names = names.map(|part| std::str::from_utf8(self.at(part)).unwrap_or_default());
        let group = Group {
            bytes: self.bytes.as_slice().into(),
            names: names.concat().into(),
            split: names[0].len() as u32,
            attribute_names,
            origin: origin.cloned(),
            layout,
        };
        let bytes = group.bytes.len() + group.names.len();
        Source(Shared::with_heap_bytes(group, bytes))
    }
}

impl Source {
    /// Encodes a resource and a scope for records to share. O(attributes), with a few allocations.
    pub fn new(resource: &Resource, scope: &Scope) -> Self {
        let mut draft = Draft::default();
        let layout = draft.resource(resource);
        let resource = draft.share(layout, None);
        let layout = draft.scope(scope);
        draft.share(layout, Some(&resource))
    }

    /// Creates a source with the same resource and scope, for the points of this metric.
    pub fn with_metric(&self, metric: &Metric) -> Self {
        let mut draft = Draft::default();
        let layout = draft.metric(metric);
        draft.share(layout, Some(self.scope_part()))
    }

    /// Returns the empty source, for records that were given none. It is created once.
    pub(crate) fn unknown() -> &'static Self {
        static UNKNOWN: OnceLock<Source> = OnceLock::new();
        UNKNOWN.get_or_init(|| Self::new(&Resource::default(), &Scope::default()))
    }

    /// Returns whether the resource or the scope may have an attribute of this name. `false` is
    /// certain. O(1).
    #[inline]
    pub(crate) fn may_have_attribute(&self, name: &str) -> bool {
        self.may_have_attribute_in(name, |_| true)
    }

    /// Returns whether the resource or the scope may have an attribute of this name, and bytes that
    /// `fits` accepts. `false` is certain.
    pub(crate) fn may_have_attribute_in(&self, name: &str, fits: impl Fn(&[u8]) -> bool) -> bool {
        let bit = name_bit(name);
        self.parts().any(|part| part.0.attribute_names & bit != 0 && fits(&part.0.bytes))
    }

    /// Iterates over this part and those that enclose it: a metric, its scope, its resource.
    fn parts(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |part| part.0.origin.as_ref())
    }

    /// Returns the part of the scope, which is all that a span or a log record shares.
    pub(crate) fn scope_part(&self) -> &Self {
        match (&self.0.layout, &self.0.origin) {
            (Layout::Metric(_), Some(scope)) => scope,
            _ => self,
        }
    }

    /// Returns the part of the resource.
    #[inline]
    pub(crate) fn resource_part(&self) -> &Self {
        let mut part = self;
        while let Some(origin) = &part.0.origin {
            part = origin;
        }
        part
    }

    /// Returns the resource.
    pub fn resource(&self) -> ResourceRef<'_> {
        let group = &*self.resource_part().0;
        match group.layout {
            Layout::Resource { envelope, .. } => ResourceRef {
                message: group.at(envelope.message),
                schema_url: group.text(envelope.schema_url),
            },
            _ => ResourceRef { message: &[], schema_url: "" },
        }
    }

    /// Returns the scope.
    pub fn scope(&self) -> ScopeRef<'_> {
        let group = &*self.scope_part().0;
        match group.layout {
            Layout::Scope(envelope) => ScopeRef {
                message: group.at(envelope.message),
                schema_url: group.text(envelope.schema_url),
            },
            _ => ScopeRef { message: &[], schema_url: "" },
        }
    }

    /// Returns the metric. If the source has none, it is a gauge without a name.
    pub fn metric(&self) -> MetricRef<'_> {
        let group = &*self.0;
        match group.layout {
            Layout::Metric(metric) => MetricRef {
                name: group.first_name(),
                before: group.at(metric.before),
                after: group.at(metric.after),
                kind: metric.kind,
            },
            _ => MetricRef { name: "", before: &[], after: &[], kind: MetricKind::Gauge },
        }
    }

    /// Returns the name of the service, or `unknown_service`. O(1).
    pub fn service(&self) -> &str {
        let name = self.resource_part().0.first_name();
        if name.is_empty() { UNKNOWN_SERVICE } else { name }
    }

    /// Returns the service's namespace, or an empty text if there is none. O(1).
    pub fn service_namespace(&self) -> &str {
        let group = &*self.resource_part().0;
        group.names.get(group.split as usize..).unwrap_or_default()
    }

    pub(crate) fn metric_name(&self) -> &str {
        if self.metric_parts().is_some() { self.0.first_name() } else { "" }
    }

    pub(crate) fn metric_kind(&self) -> MetricKind {
        self.metric_parts().map_or(MetricKind::Gauge, |metric| metric.kind)
    }

    pub(crate) fn metric_parts(&self) -> Option<&MetricParts> {
        match &self.0.layout {
            Layout::Metric(metric) => Some(metric),
            _ => None,
        }
    }

    /// Returns the heap bytes of this part, reference counts included. The bytes of a metric's
    /// scope, or of a scope's resource, do not count.
    pub fn heap_bytes(&self) -> usize {
        self.0.heap_bytes()
    }

    /// Returns the heap bytes of those parts that `other` does not share.
    pub(crate) fn bytes_beside(&self, other: Option<&Self>) -> usize {
        let is_shared = |part: &Self| {
            other.is_some_and(|other| other.parts().any(|shared| shared.ptr_eq(part)))
        };
        self.parts().take_while(|part| !is_shared(part)).map(Source::heap_bytes).sum()
    }

    /// Returns whether both are the same allocation, not only equal.
    pub fn ptr_eq(&self, other: &Self) -> bool {
        self.0.ptr_eq(&other.0)
    }

    /// Charges this part and those that enclose it, as [`Shared::charge`] does: a metric's scope, and
    /// a scope's resource. Ends at the first one that was charged before, as those around it were
    /// then. Consumers that hold records count with it what these share.
    pub fn charge(&self, ledger: &Ledger) {
        // A source alone charges its parts, innermost first, so whoever has charged one goes on to
        // those that enclose it.
        let _ = self.parts().all(|part| part.0.charge_once(ledger));
    }

    #[cfg(feature = "otlp")]
    pub(crate) fn layout(&self) -> &Layout {
        &self.0.layout
    }

    #[cfg(feature = "otlp")]
    pub(crate) fn at(&self, part: Part) -> &[u8] {
        self.0.at(part)
    }

    #[cfg(feature = "otlp")]
    pub(crate) fn shared(&self) -> &Shared<Group> {
        &self.0
    }

    #[cfg(feature = "otlp")]
    pub(crate) fn of_shared(group: Shared<Group>) -> Self {
        Self(group)
    }

    /// Returns the part's address, which identifies it as long as it is held.
    #[cfg(feature = "otlp")]
    pub(crate) fn address(&self) -> usize {
        std::ptr::from_ref(&*self.0) as usize
    }

    /// Returns whether [`Draft::share`] would create an equal source from these arguments.
    #[cfg(feature = "otlp")]
    pub(crate) fn is_of(&self, draft: &Draft, layout: Layout, origin: Option<&Source>) -> bool {
        let same_origin = match (&self.0.origin, origin) {
            (None, None) => true,
            (Some(one), Some(other)) => one.ptr_eq(other),
            _ => false,
        };
        same_origin && self.0.layout == layout && *self.0.bytes == *draft.bytes
    }
}

impl Group {
    fn at(&self, part: Part) -> &[u8] {
        self.bytes.get(part.range()).unwrap_or_default()
    }

    fn first_name(&self) -> &str {
        self.names.get(..self.split as usize).unwrap_or_default()
    }

    fn text(&self, part: Part) -> &str {
        std::str::from_utf8(self.at(part)).unwrap_or_default()
    }
}

/// Compares contents.
impl PartialEq for Source {
    fn eq(&self, other: &Self) -> bool {
        let same_resource = || {
            self.resource_part().ptr_eq(other.resource_part())
                || self.resource() == other.resource()
        };
        let same_scope = || {
            self.scope_part().ptr_eq(other.scope_part())
                || (self.scope() == other.scope() && same_resource())
        };
        self.ptr_eq(other) || (self.metric() == other.metric() && same_scope())
    }
}

impl Eq for Source {}

impl Default for Source {
    fn default() -> Self {
        Self::unknown().clone()
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Source");
        debug.field("resource", &self.resource()).field("scope", &self.scope());
        if self.metric_parts().is_some() {
            debug.field("metric", &self.metric());
        }
        debug.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_may_have_the_attributes_that_it_has_and_few_others() {
        let resource = Resource::new([("service.name", "cart"), ("host.name", "one")]);
        let mut scope = Scope { name: "http".into(), ..Scope::default() };
        scope.attributes = [("library", "hyper")].into_iter().collect();
        let source = Source::new(&resource, &scope);
        let point = source.with_metric(&Metric::new("requests", MetricKind::Gauge));
        for name in ["service.name", "host.name", "library"] {
            assert!(source.may_have_attribute(name) && point.may_have_attribute(name), "{name}");
        }
        let others = (0..1000).map(|number| format!("other.{number}"));
        let taken = others.filter(|name| source.may_have_attribute(name)).count();
        assert!(taken < 200, "{taken} of 1,000 names are not told apart");
        assert!(!Source::unknown().may_have_attribute("service.name"));
    }
}
