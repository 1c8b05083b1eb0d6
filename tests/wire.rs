//! Hostile protobuf: slipring accepts what prost accepts, with the same meaning, refuses what prost
//! refuses, and writes what other decoders can read.
#![cfg(feature = "otlp")]

#[path = "support/protobuf.rs"]
mod protobuf;

use opentelemetry_proto::tonic::{logs::v1 as logs, metrics::v1 as metrics, trace::v1 as trace};
use prost::Message;
use protobuf::*;
use slipring::Telemetry;
use slipring::otlp::{Encoding, Kind, Request, encode};

fn read(kind: Kind, body: &[u8]) -> Request {
    Request::read(kind, Encoding::Protobuf, body).unwrap()
}

fn out(kind: Kind, request: &Request) -> Vec<u8> {
    match kind {
        Kind::Traces => encode(&request.spans, Encoding::Protobuf),
        Kind::Logs => encode(&request.logs, Encoding::Protobuf),
        _ => encode(&request.points, Encoding::Protobuf),
    }
}

/// Formats prost's decoding of a request, without messages that enclose no records, since the
/// library does not keep them.
fn decoded(kind: Kind, body: &[u8]) -> Result<String, prost::DecodeError> {
    Ok(match kind {
        Kind::Traces => {
            let mut data = trace::TracesData::decode(body)?;
            data.resource_spans
                .iter_mut()
                .for_each(|of| of.scope_spans.retain(|of| !of.spans.is_empty()));
            data.resource_spans.retain(|of| !of.scope_spans.is_empty());
            format!("{data:#?}")
        }
        Kind::Logs => {
            let mut data = logs::LogsData::decode(body)?;
            data.resource_logs
                .iter_mut()
                .for_each(|of| of.scope_logs.retain(|of| !of.log_records.is_empty()));
            data.resource_logs.retain(|of| !of.scope_logs.is_empty());
            format!("{data:#?}")
        }
        _ => {
            use metrics::metric::Data::{ExponentialHistogram, Gauge, Histogram, Sum, Summary};
            let mut data = metrics::MetricsData::decode(body)?;
            let is_empty = |metric: &metrics::Metric| match &metric.data {
                None => true,
                Some(Gauge(of)) => of.data_points.is_empty(),
                Some(Sum(of)) => of.data_points.is_empty(),
                Some(Histogram(of)) => of.data_points.is_empty(),
                Some(ExponentialHistogram(of)) => of.data_points.is_empty(),
                Some(Summary(of)) => of.data_points.is_empty(),
            };
            for of in data.resource_metrics.iter_mut().flat_map(|of| &mut of.scope_metrics) {
                of.metrics.retain(|metric| !is_empty(metric));
            }
            data.resource_metrics
                .iter_mut()
                .for_each(|of| of.scope_metrics.retain(|of| !of.metrics.is_empty()));
            data.resource_metrics.retain(|of| !of.scope_metrics.is_empty());
            format!("{data:#?}")
        }
    })
}

/// A request that is read and written back decodes as the original does. If prost refuses the
/// original, it is rejected.
fn differential(what: &str, kind: Kind, body: &[u8]) {
    let request = Request::read(kind, Encoding::Protobuf, body);
    match (decoded(kind, body), request) {
        (Err(_), Err(_)) => {}
        (Err(error), Ok(request)) => {
            assert!(
                !request.rejected.is_empty(),
                "{what}: prost refuses it ({error}), and it was taken"
            );
            decoded(kind, &out(kind, &request)).unwrap();
        }
        (Ok(_), Err(error)) => panic!("{what}: prost takes it, and it was refused: {error}"),
        (Ok(expected), Ok(request)) => {
            assert!(
                request.rejected.is_empty(),
                "{what}: prost takes it, and it was rejected: {}",
                request.rejected
            );
            let out = out(kind, &request);
            assert_eq!(decoded(kind, &out).unwrap(), expected, "{what}");
            let again = read(kind, &out);
            assert_eq!(again.len(), request.len(), "{what}");
        }
    }
}

#[test]
fn repeated_fields_are_read_as_prost_reads_them() {
    use Kind::{Logs, Metrics, Traces};
    let resource = |name: &str| field(1, &field(1, &attribute(name, &field(1, b"x"))));
    let spans = field(2, &field(2, &span(b"")));
    differential(
        "two resources",
        Traces,
        &field(1, &[resource("a"), spans.clone(), resource("b")].concat()),
    );
    let scope =
        |fields: &[u8]| field(1, &field(2, &[fields.to_vec(), field(2, &span(b""))].concat()));
    let two = [field(1, &field(1, b"name")), field(1, &field(2, b"version"))].concat();
    differential("two scopes", Traces, &scope(&two));
    differential("two schemas", Traces, &scope(&[field(3, b"one"), field(3, b"two")].concat()));
    let (one, other) = (field(2, b"message"), number(3, 2));
    let status = [field(15, &one), field(15, &other), field(15, b"")].concat();
    differential("two statuses", Traces, &in_scope(&span(&status)));
    differential(
        "two names",
        Traces,
        &in_scope(&span(&[field(5, b"one"), field(5, b"")].concat())),
    );
    let array = |value: u64| field(5, &field(1, &number(3, value)));
    for (what, value) in [
        ("two arrays", [array(1), array(2)].concat()),
        ("an array, a text, an array", [array(1), field(1, b"text"), array(2)].concat()),
        ("an array, a text", [array(1), field(1, b"text")].concat()),
        ("two texts", [field(1, b"one"), field(1, b"two")].concat()),
        ("a text, an index", [field(1, b"one"), number(8, 2)].concat()),
    ] {
        differential(what, Logs, &in_scope(&field(5, &value)));
        differential(what, Logs, &in_scope(&[field(5, &value), field(5, &value)].concat()));
        differential(what, Traces, &in_scope(&span(&field(9, &attribute("a", &value)))));
        differential(
            what,
            Traces,
            &in_scope(&span(&field(9, &[field(2, &value), attribute("b", &value)].concat()))),
        );
    }
    differential(
        "two gauges",
        Metrics,
        &metric(&[field(5, &point(1)), field(5, &point(2))].concat()),
    );
    differential(
        "two sums",
        Metrics,
        &metric(
            &[
                field(7, &[point(1), number(2, 2)].concat()),
                field(7, &[point(2), number(3, 1)].concat()),
            ]
            .concat(),
        ),
    );
    let mixed =
        [field(5, &point(1)), field(7, &point(2)), field(5, &point(3)), field(5, &point(4))]
            .concat();
    differential("a gauge, a sum, two gauges", Metrics, &metric(&mixed));
    let meta = |name: &str| field(12, &attribute(name, b""));
    differential(
        "metadata on both sides",
        Metrics,
        &metric(&[meta("a"), field(5, &point(1)), meta("b")].concat()),
    );
    differential(
        "two units",
        Metrics,
        &metric(&[field(3, b"a"), field(5, &point(1)), field(3, b"b")].concat()),
    );
    let buckets =
        |number: u32, tag: u32, bytes: &[u8]| metric(&field(tag, &field(1, &field(number, bytes))));
    differential("no whole numbers", Metrics, &buckets(6, 9, &[0; 12]));
    let lists =
        [fixed64(6, 1), field(6, &[1; 16]), fixed64(6, 3), field(7, b""), fixed64(7, 9)].concat();
    differential("unpacked buckets", Metrics, &metric(&field(9, &field(1, &lists))));
    let counts = [field(2, &[1, 2]), number(2, 300), number(1, 5)].concat();
    let sides = [field(8, &counts), field(8, &counts), field(9, &counts)].concat();
    differential("unpacked counts", Metrics, &metric(&field(10, &field(1, &sides))));
    let values = [fixed64(4, 7), fixed64(6, 8), fixed64(4, 9)].concat();
    differential("two values", Metrics, &metric(&field(5, &field(1, &values))));
}

#[test]
fn other_wire_types_are_refused_where_prost_refuses_them() {
    use Kind::{Logs, Metrics, Traces};
    let any = |at: u32| {
        [
            number(at, 5),
            fixed64(at, 5),
            fixed32(at, 5),
            field(at, b""),
            field(at, b"\x08\x01"),
            group(at, b""),
        ]
    };
    for at in (1..=18).chain([100, 536_870_911]) {
        for field_of in any(at) {
            let shown = format!("field {at}: {field_of:?}");
            differential(&shown, Traces, &field_of);
            differential(&shown, Traces, &field(1, &field_of));
            differential(
                &shown,
                Traces,
                &field(1, &[field(2, &field(2, &span(b""))), field_of.clone()].concat()),
            );
            differential(&shown, Traces, &field(1, &field(1, &field_of)));
            // An empty span has no ids.
            if at != 2 {
                let scope = [field(2, &span(b"")), field_of.clone()].concat();
                differential(&shown, Traces, &field(1, &field(2, &scope)));
            }
            differential(&shown, Logs, &in_scope(&field_of));
            differential(&shown, Logs, &in_scope(&field(5, &field_of)));
            differential(&shown, Logs, &in_scope(&field(6, &field_of)));
            for tag in [5, 7, 9, 10, 11] {
                differential(
                    &shown,
                    Metrics,
                    &metric(&field(tag, &[point(1), field_of.clone()].concat())),
                );
                differential(&shown, Metrics, &metric(&field(tag, &field(1, &field_of))));
            }
            if at != 1 && !(5..=11).contains(&at) {
                differential(
                    &shown,
                    Metrics,
                    &metric(&[field_of.clone(), field(5, &point(1))].concat()),
                );
            } else {
                // For a metric that has only damaged data, prost's error is expected.
                let request =
                    Request::read(Metrics, Encoding::Protobuf, &metric(&field_of)).unwrap();
                let refused = decoded(Metrics, &metric(&field_of)).is_err();
                assert_eq!(!request.rejected.is_empty(), refused, "{shown}");
            }
            // Ids of 0 and 2 bytes are refused by rule.
            if !matches!(at, 1 | 2 | 4) {
                differential(&shown, Traces, &in_scope(&span(&field_of)));
                differential(&shown, Traces, &in_scope(&span(&field(11, &field_of))));
                differential(&shown, Traces, &in_scope(&span(&field(13, &field_of))));
            }
        }
    }
}

#[test]
fn damaged_framing_is_refused_where_prost_refuses_it() {
    let long = |length: usize, last: u8| [vec![0x80; length - 1], vec![last]].concat();
    let mut cases: Vec<(String, Vec<u8>)> = Vec::new();
    for length in 1..=12 {
        for last in [0, 1, 2, 0x7f] {
            cases.push((
                format!("a varint of {length}, {last}"),
                [key(6, 0), long(length, last)].concat(),
            ));
            cases.push((
                format!("a length of {length}, {last}"),
                [key(5, 2), long(length, last), vec![b'a'; 9]].concat(),
            ));
            cases.push((
                format!("a key of {length}, {last}"),
                [long(length, last), vec![0; 16]].concat(),
            ));
        }
    }
    for length in
        [1, 100, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 32, i64::MAX as u64, u64::MAX]
    {
        cases.push((format!("a length of {length}"), [key(5, 2), varint(length)].concat()));
    }
    for wire in [3, 4, 6, 7] {
        cases.push((format!("wire type {wire}"), key(99, wire)));
    }
    cases.push(("a group's other end".to_owned(), [key(99, 3), key(98, 4)].concat()));
    cases.push((
        "groups".to_owned(),
        group(99, &[number(1, 1), group(98, &field(7, b"x"))].concat()),
    ));
    cases.push(("number 0".to_owned(), vec![0, 0]));
    cases.push(("number 0 in a group".to_owned(), group(99, &[0, 0])));
    cases.push(("a number too large".to_owned(), [varint(1 << 32), vec![0]].concat()));
    cases.push((
        "a number too large in a group".to_owned(),
        group(99, &[varint(1 << 32 | 8), vec![0]].concat()),
    ));
    for (what, bytes) in cases {
        differential(&what, Kind::Traces, &in_scope(&span(&bytes)));
        differential(&what, Kind::Logs, &in_scope(&field(5, &bytes)));
        differential(
            &what,
            Kind::Traces,
            &field(1, &[field(2, &field(2, &span(b""))), bytes.clone()].concat()),
        );
        differential(&what, Kind::Metrics, &metric(&field(7, &[point(1), bytes.clone()].concat())));
        differential(&what, Kind::Metrics, &metric(&[bytes, field(5, &point(1))].concat()));
    }
}

#[test]
fn invalid_utf8_is_refused() {
    let bad = b"a\xff";
    for at in [3, 5] {
        differential("in a span", Kind::Traces, &in_scope(&span(&field(at, bad))));
    }
    for inside in [
        field(9, &field(1, bad)),
        field(9, &attribute("a", &field(1, bad))),
        field(15, &field(2, bad)),
    ] {
        differential("in a span's parts", Kind::Traces, &in_scope(&span(&inside)));
    }
    for inside in [field(11, &field(2, bad)), field(13, &field(3, bad))] {
        differential("in an event or a link", Kind::Traces, &in_scope(&span(&inside)));
    }
    for at in [3, 12] {
        differential("in a log", Kind::Logs, &in_scope(&field(at, bad)));
    }
    for at in [1, 2, 3] {
        differential(
            "in a metric",
            Kind::Metrics,
            &in_scope(&[field(at, bad), field(5, &point(1))].concat()),
        );
    }
    let enclosed = field(2, &field(2, &span(b"")));
    differential("a schema", Kind::Traces, &field(1, &[enclosed.clone(), field(3, bad)].concat()));
    differential(
        "a schema that another follows",
        Kind::Traces,
        &field(1, &[field(3, bad), enclosed, field(3, b"")].concat()),
    );
    for at in [1, 2] {
        let scope = [field(1, &field(at, bad)), field(2, &span(b""))].concat();
        differential("in a scope", Kind::Traces, &field(1, &field(2, &scope)));
    }
    for at in [1, 2, 3, 4] {
        let resource = field(1, &field(3, &field(at, bad)));
        differential(
            "in an entity",
            Kind::Traces,
            &field(1, &[resource, field(2, &field(2, &span(b"")))].concat()),
        );
    }
}

/// A value that is accepted at any depth can be read by other decoders once it is written back, in
/// either encoding.
#[test]
fn accepted_messages_can_be_read_by_other_decoders() {
    let mut taken = 0;
    for in_maps in [true, false] {
        for depth in 20..40 {
            let attribute = attribute("a", &nested(depth, in_maps));
            let exemplar = field(5, &[field(7, &attribute), fixed64(6, 1)].concat());
            let cases = [
                (Kind::Logs, in_scope(&field(5, &nested(depth, in_maps)))),
                (Kind::Logs, in_scope(&field(6, &attribute))),
                (Kind::Traces, in_scope(&span(&field(9, &attribute)))),
                (Kind::Traces, in_scope(&span(&field(11, &field(3, &attribute))))),
                (Kind::Metrics, metric(&field(5, &field(1, &exemplar)))),
                (Kind::Metrics, metric(&[field(5, &point(1)), field(12, &attribute)].concat())),
                (
                    Kind::Traces,
                    field(
                        1,
                        &[field(1, &field(1, &attribute)), field(2, &field(2, &span(b"")))]
                            .concat(),
                    ),
                ),
            ];
            for (kind, body) in cases {
                let request = read(kind, &body);
                taken += request.len();
                decoded(kind, &out(kind, &request))
                    .unwrap_or_else(|error| panic!("{kind:?}, {depth}: {error}"));
                let json = match kind {
                    Kind::Traces => encode(&request.spans, Encoding::Json),
                    Kind::Logs => encode(&request.logs, Encoding::Json),
                    _ => encode(&request.points, Encoding::Json),
                };
                serde_json::from_slice::<serde_json::Value>(&json)
                    .unwrap_or_else(|error| panic!("{kind:?}, {depth}, in JSON: {error}"));
                let again = Request::read(kind, Encoding::Json, &json).unwrap();
                assert_eq!(
                    (again.len(), again.rejected.records()),
                    (request.len(), 0),
                    "{kind:?}, {depth}"
                );
            }
        }
    }
    assert!(taken > 60, "{taken}");
    for depth in [1, 4, 50, 94, 99, 100, 200] {
        let groups = (0..depth).fold(number(1, 1), |inside, _| group(99, &inside));
        let deep = field(9, &attribute("a", &[nested(20, true), groups.clone()].concat()));
        for record in [span(&groups), span(&deep)] {
            let request = read(Kind::Traces, &in_scope(&record));
            decoded(Kind::Traces, &out(Kind::Traces, &request)).unwrap();
            assert_eq!(request.len() == 1, depth <= 4, "{depth}");
        }
    }
}

/// An irregular message that is rewritten keeps unknown fields at every depth.
#[test]
fn unknown_fields_are_kept_in_rewritten_messages() {
    let unknown = number(2_000, 77);
    let shows =
        |bytes: &[u8]| bytes.windows(unknown.len()).filter(|bytes| *bytes == unknown).count();
    let value = [field(1, b"one"), field(1, b"two"), unknown.clone()].concat();
    let record = span(
        &[field(9, &[attribute("a", &value), unknown.clone()].concat()), unknown.clone()].concat(),
    );
    let request = read(Kind::Traces, &in_scope(&record));
    assert_eq!(shows(request.spans[0].bytes()), 3);
    assert_eq!(request.spans[0].attributes().get("a").unwrap().as_str(), Some("two"));
    let two = [field(1, &unknown), field(2, &field(2, &span(b""))), field(1, &unknown)].concat();
    assert_eq!(shows(&out(Kind::Traces, &read(Kind::Traces, &field(1, &two)))), 2);
    let data = [point(1), number(2, 1), number(2, 2), unknown.clone()].concat();
    let body = metric(&[field(3, b"a"), field(3, b"b"), unknown.clone(), field(7, &data)].concat());
    assert_eq!(shows(&out(Kind::Metrics, &read(Kind::Metrics, &body))), 2);
}

/// A request of which no record is rejected is written back unchanged, even if its writer writes
/// default values.
#[test]
fn explicit_default_values_are_kept() {
    for tag in [5, 7, 9, 10, 11] {
        let data = [field(1, &fixed64(3, 5)), number(2, 0), number(3, 0)].concat();
        let body = field(1, &field(2, &field(2, &[field(1, b"m"), field(tag, &data)].concat())));
        assert_eq!(out(Kind::Metrics, &read(Kind::Metrics, &body)), body, "{tag}");
    }
}

/// A resource is stored once, regardless of the number of its scopes.
#[test]
fn many_scopes_share_one_large_resource() {
    let body = scopes_of_a_large_resource(200_000);
    let telemetry = Telemetry::builder().traces(10_000).build().unwrap();
    let bare = telemetry.traces().stats().data_memory_bytes;
    assert!(telemetry.ingest(Kind::Traces, Encoding::Protobuf, body.clone()).unwrap().is_empty());
    let held = telemetry.traces().stats().data_memory_bytes - bare;
    assert!(held < 8 * body.len() as u64, "{held} bytes for a request of {}", body.len());
}
