//! Unusual telemetry that real senders produce: its series, traces and service graphs.

use slipring::Indexes as _;
use slipring::attribute::*;
use slipring::metric::*;
use slipring::span::*;
use slipring::trace::*;
use slipring::*;

const S: u64 = 1_000_000_000;

fn exp(
    scale: i32,
    neg: (i32, &[u64]),
    pos: (i32, &[u64]),
    zeros: u64,
    th: f64,
) -> ExponentialHistogram {
    ExponentialHistogram {
        count: neg.1.iter().sum::<u64>() + pos.1.iter().sum::<u64>() + zeros,
        scale,
        zero_count: zeros,
        zero_threshold: th,
        positive: Buckets { offset: pos.0, bucket_counts: pos.1.into() },
        negative: Buckets { offset: neg.0, bucket_counts: neg.1.into() },
        ..Default::default()
    }
}

fn expl(bounds: &[f64], counts: &[u64]) -> Histogram {
    Histogram {
        count: counts.iter().sum(),
        bucket_counts: counts.into(),
        explicit_bounds: bounds.into(),
        ..Default::default()
    }
}

fn series(kind: MetricKind, points: &[(u64, u64, PointValue)]) -> Series {
    let source = Source::default().with_metric(&Metric::new("m", kind));
    let points = points.iter().map(|(start, time, value)| {
        MetricPoint::builder()
            .source(&source)
            .start_unix_nanos(*start)
            .time_unix_nanos(*time)
            .value(value.clone())
            .build()
    });
    let mut all = Series::assemble(points.collect());
    assert_eq!(all.len(), 1);
    all.remove(0)
}

const CUM: MetricKind = MetricKind::Sum { temporality: Temporality::Cumulative, monotonic: true };
const UPDOWN: MetricKind =
    MetricKind::Sum { temporality: Temporality::Cumulative, monotonic: false };
const DELTA: MetricKind = MetricKind::Sum { temporality: Temporality::Delta, monotonic: true };
const CH: MetricKind = MetricKind::Histogram { temporality: Temporality::Cumulative };
const DH: MetricKind = MetricKind::Histogram { temporality: Temporality::Delta };
const CE: MetricKind = MetricKind::ExponentialHistogram { temporality: Temporality::Cumulative };
const DE: MetricKind = MetricKind::ExponentialHistogram { temporality: Temporality::Delta };

fn sums(kind: MetricKind, points: &[(u64, u64, f64)]) -> Series {
    let points: Vec<_> =
        points.iter().map(|&(a, b, v)| (a * S, b * S, PointValue::Double(v))).collect();
    series(kind, &points)
}

fn amounts(one: &Series) -> Vec<f64> {
    one.increments().iter().map(|one| one.amount).collect()
}

#[test]
fn integers_beyond_doubles_are_counted_exactly() {
    let big = 1i64 << 60;
    let one = series(
        CUM,
        &[
            (S, 2 * S, PointValue::Int(big)),
            (S, 3 * S, PointValue::Int(big + 1)),
            (S, 4 * S, PointValue::Int(big + 3)),
        ],
    );
    assert_eq!(amounts(&one), [1.0, 2.0]);
    let one =
        series(CUM, &[(S, 2 * S, PointValue::Int(big + 1)), (S, 3 * S, PointValue::Int(big))]);
    assert_eq!(amounts(&one), [big as f64], "it fell by one");
    let one = series(
        UPDOWN,
        &[(S, 2 * S, PointValue::Int(i64::MAX)), (S, 3 * S, PointValue::Int(i64::MIN))],
    );
    assert_eq!(amounts(&one), [-(u64::MAX as f64)]);
}

#[test]
fn nan_and_infinities_are_left_out() {
    let nan = f64::NAN;
    let one =
        sums(CUM, &[(1, 2, 5.0), (1, 3, nan), (1, 4, 9.0), (1, 5, f64::INFINITY), (1, 6, 13.0)]);
    assert_eq!(amounts(&one), [4.0, 4.0]);
    assert_eq!(one.rate(), Some(2.0));
    let one = sums(DELTA, &[(1, 2, 5.0), (2, 3, nan), (3, 4, 7.0)]);
    assert_eq!(amounts(&one), [5.0, 7.0]);
}

#[test]
fn deltas_of_one_time_add_up_unless_they_are_duplicates() {
    let one = sums(DELTA, &[(0, 10, 5.0), (0, 10, 7.0), (0, 10, 5.0)]);
    assert_eq!(amounts(&one).iter().sum::<f64>(), 12.0);
    let one = sums(DELTA, &[(0, 0, 5.0), (0, 0, 7.0)]);
    assert_eq!(amounts(&one).iter().sum::<f64>(), 12.0);
    let one = series(
        DH,
        &[
            (S, 2 * S, expl(&[1.0], &[1, 0]).into()),
            (S, 2 * S, expl(&[1.0], &[0, 1]).into()),
            (S, 2 * S, expl(&[1.0], &[1, 0]).into()),
        ],
    );
    assert!(one.distribution().unwrap().count() >= 2);
}

#[test]
fn changed_buckets_are_a_reset() {
    let one = series(
        CH,
        &[
            (S, 2 * S, expl(&[1.0], &[100, 0]).into()),
            (S, 3 * S, expl(&[2.0], &[110, 1]).into()),
            (S, 4 * S, expl(&[2.0], &[120, 1]).into()),
        ],
    );
    assert_eq!(amounts(&one), [111.0, 10.0]);
}

#[test]
fn quantiles_in_extreme_buckets_are_defined() {
    for scale in [-10, -11, -60, i32::MIN] {
        for hist in [
            exp(scale, (0, &[4]), (0, &[]), 0, 0.0),
            exp(scale, (0, &[]), (0, &[4]), 0, 0.0),
            exp(scale, (-1, &[4, 4]), (-1, &[4, 4]), 2, 0.0),
        ] {
            let one = series(DE, &[(S, 2 * S, hist.clone().into()), (2 * S, 3 * S, hist.into())]);
            for share in [0.0, 0.1, 0.3, 0.5, 0.9, 1.0] {
                let value = one.quantile(share).unwrap();
                assert!(value.is_finite(), "scale {scale} share {share}: {value}");
            }
        }
    }
    for scale in [20, 40, i32::MAX] {
        let hist = exp(scale, (i32::MIN, &[4]), (i32::MAX - 1, &[4, 4]), 0, 0.0);
        let one = series(DE, &[(S, 2 * S, hist.into())]);
        for share in [0.0, 0.3, 0.5, 0.9, 1.0] {
            assert!(!one.quantile(share).unwrap().is_nan(), "{scale}");
        }
    }
}

#[test]
fn negative_buckets_mirror_positive_ones() {
    let counts: &[u64] = &[1, 5, 2, 9];
    for (scale, offset) in [(0, 0), (3, -7), (-2, 1), (5, 212)] {
        let pos =
            series(DE, &[(S, 2 * S, exp(scale, (0, &[]), (offset, counts), 3, 0.001).into())]);
        let neg =
            series(DE, &[(S, 2 * S, exp(scale, (offset, counts), (0, &[]), 3, 0.001).into())]);
        for share in [0.21, 0.4, 0.5, 0.77, 0.95] {
            let (a, b) = (pos.quantile(share).unwrap(), neg.quantile(1.0 - share).unwrap());
            assert!((a + b).abs() <= 1e-9 * a.abs(), "{scale} {offset} {share}: {a} {b}");
        }
    }
}

#[test]
fn cumulative_exponential_scale_changes() {
    // The scale grows, becomes coarser, and grows again.
    let points = [
        (S, 2 * S, exp(1, (0, &[]), (0, &[10, 20]), 0, 0.0).into()),
        (S, 3 * S, exp(0, (0, &[]), (0, &[35, 7]), 0, 0.0).into()),
        (S, 4 * S, exp(0, (1, &[3]), (0, &[40, 7]), 2, 0.0).into()),
    ];
    let one = series(CE, &points);
    assert_eq!(amounts(&one), [12.0, 10.0]);
    assert_eq!(one.distribution().unwrap().count(), 22);
    // The scale is finer than before, so the counter must have reset.
    let one = series(
        CE,
        &[
            (S, 2 * S, exp(0, (0, &[]), (0, &[35]), 0, 0.0).into()),
            (S, 3 * S, exp(2, (0, &[]), (0, &[40]), 0, 0.0).into()),
        ],
    );
    assert_eq!(amounts(&one).len(), 1);
    // The zero threshold is raised, then lowered.
    let one = series(
        CE,
        &[
            (S, 2 * S, exp(0, (0, &[]), (0, &[5, 5]), 1, 0.0).into()),
            (S, 3 * S, exp(0, (0, &[]), (1, &[6]), 8, 2.0).into()),
        ],
    );
    assert_eq!(amounts(&one), [3.0]);
    assert_eq!(one.distribution().unwrap().count(), 3);
}

#[test]
fn writers_with_jittering_starts_are_told_apart() {
    let mut points = Vec::new();
    for turn in 0..20u64 {
        points.push((100, 1000 + turn * 30, 10.0 * turn as f64));
        points.push((500, 1010 + turn * 30, 5000.0 + turn as f64));
        points.push((900, 1020 + turn * 30, 70.0 + 2.0 * turn as f64));
    }
    let one = sums(CUM, &points);
    let total: f64 = amounts(&one).iter().sum();
    assert_eq!(total, 19.0 * 13.0);
    let mut turned = points.clone();
    turned.reverse();
    assert_eq!(sums(CUM, &turned).rate(), one.rate());
    // A non-monotonic sum with interleaved writers.
    let mut points = Vec::new();
    for turn in 0..10u64 {
        points.push((100, 1000 + turn * 20, if turn % 2 == 0 { 10.0 } else { 4.0 }));
        points.push((500, 1010 + turn * 20, 100.0 + turn as f64));
    }
    let one = sums(UPDOWN, &points);
    assert_eq!(amounts(&one).iter().sum::<f64>(), 9.0 - 6.0);
}

#[test]
fn a_start_equal_to_the_time_is_unknown() {
    // OpenTelemetry's rule: the first point with an unknown start counts nothing, and later points
    // count from it.
    let one = sums(
        CUM,
        &[(10, 10, 1000.0), (10, 20, 1005.0), (10, 30, 1010.0), (40, 40, 7.0), (40, 50, 9.0)],
    );
    assert_eq!(amounts(&one).iter().sum::<f64>(), 12.0);
    let one = sums(
        CUM,
        &[(10, 10, 1000.0), (20, 20, 1005.0), (30, 30, 1010.0), (40, 40, 3.0), (50, 50, 4.0)],
    );
    assert!(amounts(&one).iter().sum::<f64>() <= 14.0, "{:?}", amounts(&one));
}

fn res(ns: &str, service: &str) -> Source {
    Source::new(
        &Resource::new(Attributes::from([("service.name", service), ("service.namespace", ns)])),
        &Scope::default(),
    )
}

fn span<'a>(
    source: &'a Source,
    kind: SpanKind,
    trace: u128,
    id: u64,
    parent: u64,
) -> SpanBuilder<'a> {
    Span::builder()
        .source(source)
        .trace_id(TraceId::from(trace))
        .span_id(SpanId::from(id))
        .parent_span_id((parent > 0).then(|| SpanId::from(parent)))
        .kind(kind)
        .start_unix_nanos(10)
        .end_unix_nanos(30)
}

fn store(spans: Vec<Span>) -> Store<Span> {
    let store: Store<Span> = Store::builder().manual().build().unwrap();
    store.push_batch(spans).unwrap();
    store
}

fn edges(graph: &ServiceGraph) -> Vec<String> {
    let mut all: Vec<String> = graph
        .calls
        .iter()
        .map(|call| {
            format!(
                "{}/{}>{}/{} {} {} {}",
                call.caller_namespace,
                call.caller,
                call.callee_namespace,
                call.callee,
                call.calls,
                call.errors,
                call.unmatched
            )
        })
        .collect();
    all.sort();
    all
}

#[test]
fn a_callee_outside_of_the_query_is_not_virtual() {
    let (a, b) = (res("", "a"), res("", "b"));
    let client = span(&a, SpanKind::Client, 1, 2, 0).attribute("peer.service", "elsewhere").build();
    for kind in [SpanKind::Server, SpanKind::Internal, SpanKind::Unspecified, SpanKind::Consumer] {
        let callee = span(&b, kind, 1, 3, 2).build();
        let store = store(vec![client.clone(), callee]);
        let graph = store.query().key("service", "a").service_graph().unwrap();
        assert_eq!(edges(&graph), Vec::<String>::new(), "{kind:?}");
        assert_eq!(edges(&store.query().service_graph().unwrap()), ["/a>/b 1 0 0"], "{kind:?}");
    }
    let own = span(&a, SpanKind::Internal, 1, 3, 2).build();
    let store = store(vec![client, own]);
    assert_eq!(
        edges(&store.query().key("service", "a").service_graph().unwrap()),
        ["/a>/elsewhere 1 0 1"]
    );
}

#[test]
fn databases_batches_and_namespaces_in_the_service_graph() {
    let (shop, lab) = (res("shop", "cart"), res("lab", "cart"));
    let db = |id, name: &'static str| {
        span(&shop, SpanKind::Client, 1, id, 1)
            .attribute("db.system.name", "postgresql")
            .attribute("db.namespace", name)
            .build()
    };
    let graph = store(vec![
        span(&shop, SpanKind::Server, 1, 1, 0).build(),
        db(2, "orders"),
        db(3, "orders"),
        db(4, "users"),
    ])
    .query()
    .service_graph()
    .unwrap();
    assert_eq!(edges(&graph), ["shop/cart>/orders 2 0 2", "shop/cart>/users 1 0 1"]);
    // A batch's consumer links to three producers of two namespaces, one of them twice.
    let producer = |source: &Source, trace, id| {
        span(source, SpanKind::Producer, trace, id, 0)
            .attribute("messaging.system", "kafka")
            .build()
    };
    let link = |trace: u128, id: u64| SpanLink {
        trace_id: trace.into(),
        span_id: id.into(),
        ..SpanLink::default()
    };
    let worker = res("", "worker");
    let consumer = span(&worker, SpanKind::Consumer, 9, 9, 0)
        .links(&[link(1, 2), link(1, 2), link(2, 2), link(3, 2), link(4, 4)])
        .build();
    let graph =
        store(vec![producer(&shop, 1, 2), producer(&shop, 2, 2), producer(&lab, 3, 2), consumer])
            .query()
            .service_graph()
            .unwrap();
    assert_eq!(edges(&graph), ["lab/cart>/worker 1 0 0", "shop/cart>/worker 2 0 0"]);
}

#[test]
fn redelivered_spans_are_shown_once_in_every_combination() {
    let (a, b) = (res("", "a"), res("", "b"));
    let client = span(&a, SpanKind::Client, 1, 2, 1).name("call").build();
    let server = span(&b, SpanKind::Server, 1, 2, 1)
        .name("call")
        .start_unix_nanos(15)
        .end_unix_nanos(25)
        .build();
    let child = span(&b, SpanKind::Internal, 1, 3, 2)
        .name("in")
        .start_unix_nanos(16)
        .end_unix_nanos(20)
        .build();
    let open = client.to_builder().end_unix_nanos(0).build();
    let failed = server.to_builder().status(StatusCode::Error, "").build();
    let all = [client.clone(), client, server.clone(), server, child.clone(), child, open, failed];
    let mut first = None;
    for turn in 0..all.len() * 2 {
        let mut some = all.to_vec();
        some.rotate_left(turn % all.len());
        if turn >= all.len() {
            some.reverse();
        }
        let store = store(some);
        let trace = store.trace(1u128).unwrap();
        let shown: Vec<String> = trace
            .spans
            .iter()
            .map(|one| {
                format!(
                    "{} {:?} {:?} {} {:?}",
                    one.span.service(),
                    one.span.kind(),
                    one.parent,
                    one.span.end_unix_nanos(),
                    one.span.status().code
                )
            })
            .collect();
        let results = (shown, trace.duplicates, edges(&store.query().service_graph().unwrap()));
        assert_eq!(results.0.len(), 3);
        assert_eq!(first.get_or_insert(results.clone()), &results, "turn {turn}");
    }
    assert_eq!(first.unwrap().2, ["/a>/b 1 1 0"]);
}

#[test]
fn patterns_match_every_kind_of_value() {
    let nested = Value::Map(
        [(
            "a",
            Value::from(vec![
                Value::Bytes([0xde, 0xad].into()),
                Value::Map([("b", Value::Empty)].into()),
            ]),
        )]
        .into(),
    );
    for (wanted, fits) in [
        (Match::like("dead"), true),
        (Match::like("de*"), true),
        (Match::contains("ea"), true),
        (Match::like(""), true),
        (Match::reads("dead"), true),
        (!Match::like("nothing"), true),
        (Match::like("b"), false),
        (Match::equals(Value::Bytes([0xde, 0xad].into())), true),
    ] {
        assert_eq!(wanted.fits(&nested), Ok(fits), "{wanted:?}");
    }
    let empty = Value::Array([].into());
    assert_eq!(Match::Has.fits(&empty), Ok(true));
    assert_eq!((!Match::like("x*")).fits(&empty), Ok(true));
    assert_eq!(Match::reads("[]").fits(&empty), Ok(true));
    let logs: Store<LogRecord> = Store::builder().manual().build().unwrap();
    logs.push(
        LogRecord::builder()
            .body(&nested)
            .attribute("codes", &Value::from(vec![Value::Int(503)]))
            .build(),
    )
    .unwrap();
    assert_eq!(logs.query().body(Match::like("dead")).count(), Ok(1));
    assert_eq!(logs.query().attribute("codes", Match::like("5*")).count(), Ok(1));
    assert_eq!(logs.query().attribute("codes", Match::at_least(500.0)).count(), Ok(1));
    assert_eq!(logs.query().attribute("codes", !Match::at_least(500.0)).count(), Ok(0));
}

#[test]
fn keys_of_the_wrong_kind_are_errors() {
    let (traces, logs, metrics) = (
        store(vec![]),
        Store::<LogRecord>::builder().manual().build().unwrap(),
        Store::<MetricPoint>::builder().manual().build().unwrap(),
    );
    fn all<T: Signal>(store: &Store<T>, texts: &[&str], ids: &[&str], ints: &[&str]) {
        for index in T::INDEXES.as_slice().iter().map(slipring::Index::name) {
            let text = store.query().key(index, "x1").count();
            let int = store.query().key(index, 7u64).count();
            let id = store.query().key(index, TraceId::from(7u128)).count();
            let bytes = store.query().key(index, &b"x"[..]).count();
            assert_eq!(text.is_ok(), texts.contains(&index), "{index} text {text:?}");
            assert_eq!(int.is_ok(), ints.contains(&index), "{index} int {int:?}");
            assert_eq!(id.is_ok(), ids.contains(&index), "{index} id {id:?}");
            assert!(bytes.is_err(), "{index} bytes {bytes:?}");
            assert!(store.query().none_of(index, [Key::Bytes(b"x")]).count().is_err());
        }
        assert!(store.query().key("nope", "x").count().is_err());
    }
    all(&traces, &["service", "name"], &["trace"], &[]);
    all(&logs, &["service"], &["trace"], &["severity"]);
    all(&metrics, &["name", "service"], &[], &[]);
    assert!(metrics.query().key("type", "gauge").count().is_ok());
}
