//! What records share: a resource, a scope and, for points, a metric. Encoded once, found again by its bytes.

use super::metric::{Metric, MetricKind, MetricRef};
use super::resource::{Resource, ResourceRef, Scope, ScopeRef, UNKNOWN_SERVICE};
use super::{AttributesRef, Ledger, Shared, ValueRef};
use crate::wire::{Raw, Writer, field_of};
use std::fmt;
use std::ops::Range;
use std::sync::OnceLock;

/// Where records come from: the resource and the scope that they travel with, and for points the metric. Records share it; a
/// clone costs one atomic increment.
///
/// Made once for many records, it is encoded once:
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

/// A part of a group's bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Part {
    start: u32,
    end: u32,
}

/// What encloses records: the fields of a `ResourceSpans`, a `ScopeLogs` and so on, but for those that hold what it encloses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Envelope {
    /// What is written before what it encloses.
    pub(crate) before: Part,
    /// What is written after it.
    pub(crate) after: Part,
    /// The resource or the scope.
    pub(crate) message: Part,
    /// The schema of what is enclosed.
    pub(crate) schema_url: Part,
}

/// What encloses points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MetricParts {
    /// Fields that are written before the data.
    pub(crate) before: Part,
    /// Fields that are written after the data.
    pub(crate) after: Part,
    /// The number of the data's field.
    pub(crate) tag: u32,
    /// Fields of the data that are written after its points.
    pub(crate) data: Part,
    /// What kind of metric that makes.
    pub(crate) kind: MetricKind,
    pub(crate) name: Part,
}

/// The bytes of what records share, and where in them things are.
pub(crate) struct Group {
    bytes: Box<[u8]>,
    /// What is asked for often, as texts that need no check: the service's name, its namespace, the metric's name.
    names: Box<str>,
    /// Where the namespace and the metric's name begin in it.
    starts: [u32; 2],
    /// A metric's resource and scope are shared with other metrics.
    origin: Option<Source>,
    layout: Layout,
}

/// Where in a group's bytes things are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) resource: Envelope,
    pub(crate) scope: Envelope,
    pub(crate) metric: Option<MetricParts>,
    /// The service's name, and its namespace; nothing if there is none.
    service: Part,
    namespace: Part,
}

/// A group in the making.
#[derive(Clone, Debug, Default)]
pub(crate) struct Draft {
    pub(crate) bytes: Vec<u8>,
    pub(crate) layout: Layout,
}

impl Part {
    fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

impl Draft {
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.layout = Layout::default();
    }

    #[cfg(feature = "otlp")]
    /// Appends these bytes.
    pub(crate) fn part(&mut self, bytes: &[u8]) -> Part {
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(bytes);
        Part { start, end: self.bytes.len() as u32 }
    }

    #[cfg(feature = "otlp")]
    /// Where these bytes lie, which have to be some of its own.
    pub(crate) fn within(&self, around: Part, start: usize, length: usize) -> Part {
        let start = around.start + start as u32;
        Part { start, end: start + length as u32 }
    }

    /// The bytes of a part.
    #[cfg(feature = "otlp")]
    pub(crate) fn at(&self, part: Part) -> &[u8] {
        &self.bytes[part.range()]
    }

    /// It is of a metric, and its resource and scope are another's.
    #[cfg(feature = "otlp")]
    pub(crate) fn set_metric(&mut self, metric: MetricParts) {
        self.layout = Layout { metric: Some(metric), ..Layout::default() };
    }

    /// What is here from this place on.
    pub(crate) fn since(&self, start: usize) -> Part {
        Part { start: start as u32, end: self.bytes.len() as u32 }
    }

    /// Looks for the service's name and namespace in the resource.
    pub(crate) fn find_service(&mut self) {
        let resource = &self.bytes[self.layout.resource.message.range()];
        let find = |key| {
            let name = match AttributesRef::of(resource, 1).get(key) {
                Some(ValueRef::Text(name)) => name,
                _ => "",
            };
            // The name lies within the bytes, so this is where.
            let start = if name.is_empty() { 0 } else { name.as_ptr() as usize - self.bytes.as_ptr() as usize };
            Part { start: start as u32, end: (start + name.len()) as u32 }
        };
        (self.layout.service, self.layout.namespace) = (find("service.name"), find("service.namespace"));
    }

    /// Makes it a part that records share.
    pub(crate) fn share(&self, origin: Option<&Source>) -> Source {
        let text = |part: Part| std::str::from_utf8(&self.bytes[part.range()]).unwrap_or_default();
        let Layout { service, namespace, metric, .. } = self.layout;
        let names = [text(service), text(namespace), metric.map_or("", |metric| text(metric.name))];
        let starts = [names[0].len() as u32, (names[0].len() + names[1].len()) as u32];
        let group = Group {
            bytes: self.bytes.as_slice().into(),
            names: names.concat().into(),
            starts,
            origin: origin.cloned(),
            layout: self.layout,
        };
        let bytes = group.bytes.len() + group.names.len();
        Source(Shared::with_heap_bytes(group, bytes))
    }

    fn resource_and_scope(&mut self, resource: &Resource, scope: &Scope) {
        self.clear();
        let bytes = &mut self.bytes;
        Writer(bytes).nested(1, |writer| resource.write(writer));
        let key = envelope_key(bytes);
        let before = self.since(0);
        let message = Part { start: key as u32, end: before.end };
        let after = self.url(resource.schema_url());
        self.layout.resource = Envelope { before, after: after.0, message, schema_url: after.1 };
        let start = self.bytes.len();
        Writer(&mut self.bytes).nested(1, |writer| scope.write(writer));
        let key = envelope_key(&self.bytes[start..]);
        let before = self.since(start);
        let message = Part { start: (start + key) as u32, end: before.end };
        let after = self.url(&scope.schema_url);
        self.layout.scope = Envelope { before, after: after.0, message, schema_url: after.1 };
        self.find_service();
    }

    /// Writes a schema's URL, if there is one: the field, and the URL in it.
    fn url(&mut self, url: &str) -> (Part, Part) {
        let start = self.bytes.len();
        Writer(&mut self.bytes).bytes(3, url.as_bytes());
        let field = self.since(start);
        (field, Part { start: field.end - url.len() as u32, end: field.end })
    }

    fn metric(&mut self, metric: &Metric) {
        self.clear();
        let mut writer = Writer(&mut self.bytes);
        writer.bytes(1, metric.name.as_bytes());
        let name = Part { start: (writer.0.len() - metric.name.len()) as u32, end: writer.0.len() as u32 };
        writer.bytes(2, metric.description.as_bytes());
        writer.bytes(3, metric.unit.as_bytes());
        let before = self.since(0);
        let start = self.bytes.len();
        AttributesRef::from(&metric.metadata).write(12, &mut Writer(&mut self.bytes));
        let after = self.since(start);
        let start = self.bytes.len();
        let (tag, temporality, monotonic) = metric.kind.on_the_wire();
        let mut writer = Writer(&mut self.bytes);
        writer.number(2, temporality.number() as u64);
        writer.number(3, monotonic.into());
        let data = self.since(start);
        self.layout.metric = Some(MetricParts { before, after, tag, data, kind: metric.kind, name });
    }
}

/// The length of the key and the length that a message of one field begins with.
fn envelope_key(field: &[u8]) -> usize {
    field.len() - field_of(field, 1).map_or(&[][..], Raw::bytes).len()
}

impl Source {
    /// Encodes what records of this resource and this scope share. O(attributes); some allocations.
    pub fn new(resource: &Resource, scope: &Scope) -> Self {
        let mut draft = Draft::default();
        draft.resource_and_scope(resource, scope);
        draft.share(None)
    }

    /// Makes a source of the same resource and scope, for the points of this metric.
    pub fn with_metric(&self, metric: &Metric) -> Self {
        let mut draft = Draft::default();
        draft.metric(metric);
        draft.share(Some(self.origin()))
    }

    /// Returns the source of a process that says nothing of itself. It is made once.
    pub(crate) fn unknown() -> &'static Self {
        static UNKNOWN: OnceLock<Source> = OnceLock::new();
        UNKNOWN.get_or_init(|| Self::new(&Resource::default(), &Scope::default()))
    }

    /// The resource and the scope alone.
    pub(crate) fn origin(&self) -> &Self {
        self.0.origin.as_ref().unwrap_or(self)
    }

    /// The process.
    pub fn resource(&self) -> ResourceRef<'_> {
        let group = &*self.origin().0;
        let envelope = group.layout.resource;
        ResourceRef { message: group.at(envelope.message), schema_url: group.text(envelope.schema_url) }
    }

    /// The library.
    pub fn scope(&self) -> ScopeRef<'_> {
        let group = &*self.origin().0;
        let envelope = group.layout.scope;
        ScopeRef { message: group.at(envelope.message), schema_url: group.text(envelope.schema_url) }
    }

    /// The metric; a gauge without a name, if none was given.
    pub fn metric(&self) -> MetricRef<'_> {
        let group = &*self.0;
        match &group.layout.metric {
            None => MetricRef { name: "", before: &[], after: &[], kind: MetricKind::Gauge },
            Some(metric) => MetricRef {
                name: group.metric_name(),
                before: group.at(metric.before),
                after: group.at(metric.after),
                kind: metric.kind,
            },
        }
    }

    /// The name of the service, or `unknown_service`. O(1).
    pub fn service(&self) -> &str {
        let name = self.origin().0.service();
        if name.is_empty() { UNKNOWN_SERVICE } else { name }
    }

    /// The service's namespace; empty if there is none. O(1).
    pub fn service_namespace(&self) -> &str {
        self.origin().0.namespace()
    }

    pub(crate) fn metric_name(&self) -> &str {
        self.0.metric_name()
    }

    pub(crate) fn metric_kind(&self) -> MetricKind {
        self.0.layout.metric.map_or(MetricKind::Gauge, |metric| metric.kind)
    }

    /// Bytes that it takes on the heap, its counters included; of a metric, without the resource and the scope.
    pub fn heap_bytes(&self) -> usize {
        self.0.heap_bytes()
    }

    /// Whether both are the same, not only equal.
    pub fn same(&self, other: &Self) -> bool {
        self.0.same(&other.0)
    }

    pub(crate) fn charge(&self, ledger: &Ledger) {
        self.0.charge(ledger);
        if let Some(origin) = &self.0.origin {
            origin.0.charge(ledger);
        }
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

    /// Whether this is what a draft would become.
    #[cfg(feature = "otlp")]
    pub(crate) fn is_of(&self, draft: &Draft, origin: Option<&Source>) -> bool {
        let same_origin = match (&self.0.origin, origin) {
            (None, None) => true,
            (Some(one), Some(other)) => one.same(other),
            _ => false,
        };
        same_origin && self.0.layout == draft.layout && *self.0.bytes == *draft.bytes
    }
}

impl Group {
    fn at(&self, part: Part) -> &[u8] {
        self.bytes.get(part.range()).unwrap_or_default()
    }

    fn service(&self) -> &str {
        self.names.get(..self.starts[0] as usize).unwrap_or_default()
    }

    fn namespace(&self) -> &str {
        self.names.get(self.starts[0] as usize..self.starts[1] as usize).unwrap_or_default()
    }

    fn metric_name(&self) -> &str {
        self.names.get(self.starts[1] as usize..).unwrap_or_default()
    }

    fn text(&self, part: Part) -> &str {
        std::str::from_utf8(self.at(part)).unwrap_or_default()
    }
}

/// By content.
impl PartialEq for Source {
    fn eq(&self, other: &Self) -> bool {
        self.same(other)
            || (self.resource() == other.resource() && self.scope() == other.scope() && self.metric() == other.metric())
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
        if self.0.layout.metric.is_some() {
            debug.field("metric", &self.metric());
        }
        debug.finish()
    }
}
