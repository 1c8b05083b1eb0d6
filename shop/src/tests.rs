//! Tests the properties of the shop that examples, benches and tests rely on.

use std::collections::{BTreeMap, HashMap, HashSet};

use slipring::attribute::ValueRef;
use slipring::metric::PointValue;
use slipring::span::{SpanKind, StatusCode};
use slipring::{LogRecord, Severity, Span};

use super::{Request, SCRAPE_INTERVAL, START, Shop};

fn requests(seed: u64, count: usize) -> Vec<Request> {
    Shop::new(seed).requests().take(count).collect()
}

#[test]
fn equal_seeds_yield_equal_telemetry_and_other_seeds_do_not() {
    assert_eq!(requests(11, 200), requests(11, 200));
    let (mut one, mut same) = (Shop::new(11), Shop::new(11));
    assert_eq!(one.metrics(), same.metrics());
    let ids = |seed| {
        requests(seed, 500)
            .into_iter()
            .map(|request| request.spans[0].trace_id())
            .collect::<HashSet<_>>()
    };
    assert!(ids(11).is_disjoint(&ids(12)));
}

#[test]
fn the_sequence_is_the_same_on_every_machine() {
    let mut print = 0_u64;
    let mut take = |number: u64| print = crate::rng::mix(print ^ number);
    for span in Shop::new(1).spans().take(2_000) {
        take(span.span_id().into());
        take(span.duration());
        take(span.attributes().to_string().len() as u64);
    }
    for point in Shop::new(1).metrics() {
        if let PointValue::Double(value) = point.value() {
            take(value.to_bits());
        }
    }
    // After an intended change of the shop's telemetry, write the new number here.
    assert_eq!(print, 0x9c53_3f0b_bf02_9ada, "{print:#x}");
}

#[test]
fn the_spans_of_a_trace_form_one_tree_of_calls() {
    let mut ids = HashSet::new();
    let (mut deepest, mut sizes) = (0, Vec::new());
    for request in requests(3, 5_000) {
        let spans = request.spans;
        let by_id: HashMap<_, _> = spans.iter().map(|span| (span.span_id(), span)).collect();
        assert_eq!(by_id.len(), spans.len());
        assert_eq!(spans.iter().filter(|span| span.parent_span_id().is_none()).count(), 1);
        assert!(spans.is_sorted_by_key(Span::end_unix_nanos));
        for span in &spans {
            assert!(ids.insert(span.span_id()) && span.trace_id() == spans[0].trace_id());
            assert!(
                span.start_unix_nanos() >= START
                    && span.start_unix_nanos() <= span.end_unix_nanos()
            );
            assert!(span.links().iter().all(|link| by_id.contains_key(&link.span_id())));
            let mut depth = 1;
            let mut up = span;
            while let Some(parent) = up.parent_span_id() {
                assert!(by_id[&parent].start_unix_nanos() <= up.start_unix_nanos());
                up = by_id[&parent];
                depth += 1;
            }
            deepest = deepest.max(depth);
        }
        sizes.push(spans.len());
    }
    sizes.sort_unstable();
    assert!(sizes[0] == 1 && sizes[sizes.len() - 1] <= 100, "{sizes:?}");
    assert!((5..30).contains(&sizes[sizes.len() / 2]), "median of {}", sizes[sizes.len() / 2]);
    assert!(
        sizes[sizes.len() * 99 / 100] >= 50,
        "99th percentile of {}",
        sizes[sizes.len() * 99 / 100]
    );
    assert!(deepest >= 20, "{deepest}");
}

#[test]
fn there_are_errors_retries_exceptions_and_big_attributes() {
    let spans: Vec<Span> = Shop::new(4).spans().take(100_000).collect();
    let share = |of: &dyn Fn(&Span) -> bool| {
        spans.iter().filter(|span| of(span)).count() as f64 / spans.len() as f64
    };
    let errors = share(&|span| span.status().code == StatusCode::Error);
    assert!((0.003..0.05).contains(&errors), "{errors}");
    let retries = share(&|span| span.kind() == SpanKind::Client && !span.links().is_empty());
    assert!((0.0003..0.02).contains(&retries), "{retries}");
    let traces = share(&|span| {
        span.events().iter().any(|event| event.attributes().to_string().len() > 1_000)
    });
    assert!((0.0005..0.02).contains(&traces), "{traces}");
    let big = share(&|span| span.attributes().to_string().len() > 2_000);
    assert!((0.0003..0.02).contains(&big), "{big}");
    let kinds: HashSet<_> = spans.iter().map(|span| span.kind()).collect();
    assert_eq!(kinds.len(), 5);
    let values =
        spans.iter().flat_map(Span::attributes).map(|one| std::mem::discriminant(&one.value));
    assert_eq!(values.collect::<HashSet<_>>().len(), 7);
}

#[test]
fn endpoints_services_and_products_are_skewed() {
    let mut shop = Shop::new(5);
    let mut counts: [BTreeMap<String, usize>; 3] = Default::default();
    for spans in std::iter::repeat_with(|| shop.trace()).take(10_000) {
        for span in &spans {
            *counts[0].entry(span.resource().service().unwrap().to_owned()).or_default() += 1;
            if let Some(product) =
                span.attributes().get("app.product.id").and_then(ValueRef::as_str)
            {
                *counts[1].entry(product.to_owned()).or_default() += 1;
            }
            if span.parent_span_id().is_none() {
                *counts[2].entry(span.name().to_string()).or_default() += 1;
            }
        }
    }
    let [services, products, endpoints] = counts;
    assert_eq!((services.len(), endpoints.len()), (12, 12));
    let total: usize = products.values().sum();
    let first = *products.values().max().unwrap();
    assert!((total / 15..total / 5).contains(&first), "{first} of {total}");
    assert!(products.len() > 500);
    assert!(endpoints["GET /healthz"] > 20 * endpoints["POST /newsletter"]);
}

#[test]
fn logs_belong_to_their_spans_and_severities_have_the_documented_shares() {
    let mut logs: Vec<LogRecord> = Vec::new();
    for request in requests(6, 20_000) {
        let spans: HashMap<_, _> =
            request.spans.iter().map(|span| (Some(span.span_id()), span)).collect();
        assert!(request.logs.is_sorted_by_key(|log| log.time_unix_nanos()));
        for log in request.logs.iter().filter(|log| log.trace_id().is_some()) {
            let span = spans[&log.span_id()];
            assert_eq!((log.trace_id(), log.resource()), (Some(span.trace_id()), span.resource()));
            assert!(
                (span.start_unix_nanos()..=span.end_unix_nanos()).contains(&log.time_unix_nanos())
            );
        }
        logs.extend(request.logs);
    }
    let share = |of: &dyn Fn(&LogRecord) -> bool| {
        logs.iter().filter(|log| of(log)).count() as f64 / logs.len() as f64
    };
    for (level, low, high) in [
        (Severity::INFO, 0.77, 0.83),
        (Severity::DEBUG, 0.13, 0.17),
        (Severity::WARN, 0.03, 0.05),
        (Severity::ERROR, 0.005, 0.015),
    ] {
        let share = share(&|log| log.severity().level() == level);
        assert!((low..high).contains(&share), "{level}: {share}");
    }
    let background = share(&|log| log.trace_id().is_none());
    assert!((0.005..0.05).contains(&background), "{background}");
    assert!(logs.iter().any(|log| matches!(log.body(), Some(ValueRef::Map(_))) && !log.event_name().is_empty()));
}

#[test]
fn a_scrape_has_every_type_and_cumulative_points_grow() {
    let mut shop = Shop::new(7);
    shop.requests().take(500).for_each(drop);
    let (first, second) = (shop.metrics(), shop.metrics());
    assert_eq!(first.len(), second.len());
    assert!((1_500..4_000).contains(&first.len()), "{}", first.len());
    let names: HashSet<_> = first.iter().map(|point| point.metric().name()).collect();
    assert!(names.len() >= 100, "{}", names.len());
    let types: HashSet<_> = first.iter().map(|point| point.metric().kind().name()).collect();
    assert_eq!(types.len(), 5);
    assert!(first.iter().any(|point| !point.exemplars().is_empty()));
    for (before, after) in first.iter().zip(&second) {
        assert!(before.source().ptr_eq(after.source()));
        assert!(
            before.attributes() == after.attributes()
                && after.time_unix_nanos() - before.time_unix_nanos() == SCRAPE_INTERVAL
        );
        if let (PointValue::Histogram(before), PointValue::Histogram(after)) =
            (before.value(), after.value())
        {
            assert!(before.count <= after.count);
        }
    }
}

#[test]
fn an_instance_has_one_resource() {
    let mut resources = Vec::new();
    for span in Shop::new(8).spans().take(20_000) {
        if !resources.iter().any(|known: &Span| span.resource() == known.resource()) {
            resources.push(span);
        }
    }
    assert_eq!(resources.len(), 30);
}
