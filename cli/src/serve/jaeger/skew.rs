//! Clocks of hosts that differ: by how much Jaeger would move a span so that it fits into its
//! parent.
//!
//! Jaeger's default is to tell of it and to move nothing, which is done here as well.

use super::golang;
use slipring::attribute::ValueRef;
use slipring::resource::ResourceRef;
use slipring::trace::TraceSpan;
use std::ops::Range;

/// The spans of a trace that were looked at, each after its parent.
#[derive(Default)]
pub struct Clocks<'t> {
    spans: Vec<Clock<'t>>,
}

/// The clock by which a span was measured.
struct Clock<'t> {
    host: &'t str,
    /// By how many nanoseconds it is behind the root's.
    behind: i64,
    start: u64,
    end: u64,
}

impl<'t> Clocks<'t> {
    /// Looks at the next span. Returns the warning if its clock is off.
    pub fn warning(&mut self, one: &'t TraceSpan) -> Option<String> {
        let span = &one.span;
        let host = host(span.resource());
        let (start, end) = (span.start_unix_nanos(), span.end_unix_nanos());
        let parent = one.parent.map(|place| &self.spans[place]);
        let behind = match parent {
            None => 0,
            Some(parent) if parent.host == host && !host.is_empty() => parent.behind,
            Some(parent) => behind(start..end, parent.start..parent.end),
        };
        self.spans.push(Clock { host, behind, start, end });
        (behind != 0).then(|| {
            let delta = golang::shown(behind);
            format!("clock skew adjustment disabled; not applying calculated delta of {delta}")
        })
    }
}

/// Returns by how much a child's clock is behind its parent's.
fn behind(child: Range<u64>, parent: Range<u64>) -> i64 {
    let [child, parent] =
        [child, parent].map(|times| i128::from(times.start)..i128::from(times.end));
    let [took, parent_took] = [&child, &parent].map(|times| times.end - times.start);
    let delta = if took > parent_took {
        // It was not waited for. It must not begin before its parent, and that is all.
        (parent.start - child.start).max(0)
    } else if child.start >= parent.start && child.end <= parent.end {
        0
    } else {
        // The way there and the way back are taken to be equally long.
        parent.start + (parent_took - took) / 2 - child.start
    };
    delta.clamp(i64::MIN.into(), i64::MAX.into()) as i64
}

/// Returns what tells one host from another; nothing if no attribute does.
fn host(resource: ResourceRef<'_>) -> &str {
    let attributes = resource.attributes();
    let of = |name| attributes.get(name);
    let addresses = || match of("host.ip")? {
        ValueRef::Text(address) => Some(address),
        ValueRef::Array(addresses) => addresses.iter().next()?.as_str(),
        _ => None,
    };
    if let Some(id) = of("host.id") {
        return id.as_str().unwrap_or_default();
    }
    addresses().or_else(|| of("host.name")?.as_str()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_moved_into_its_parent_and_no_further() {
        // It fits.
        assert_eq!(behind(10..20, 10..20), 0);
        // It is early, or late, and gets into the middle.
        assert_eq!(behind(0..10, 100..120), 105);
        assert_eq!(behind(200..210, 100..120), -95);
        // It takes longer than its parent.
        assert_eq!(behind(90..200, 100..120), 10);
        assert_eq!(behind(110..200, 100..120), 0);
    }
}
