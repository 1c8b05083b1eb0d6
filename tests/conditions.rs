//! Conditions on spans, log records and metric points other than keys, and groups of the results.

use slipring::attribute::Attributes;
use slipring::metric::{Exemplar, Metric, MetricKind};
use slipring::query::{By, Level};
use slipring::span::{SpanEvent, SpanLink};
use slipring::{
    KeyBuf, LogRecord, Match, MetricPoint, Query, Resource, Scope, Severity, Signal, Source, Span,
    Store, TraceId, Value,
};
use std::ops::Bound;

fn store_of<T: Signal>(records: Vec<T>) -> Store<T> {
    let store = Store::builder().capacity(100).shards(1).manual().build().unwrap();
    store.push_batch(records).unwrap();
    store
}

/// Returns a part whose attribute names its level.
fn at(level: &str) -> Attributes {
    Attributes::from([("level", level), (level, "is here")])
}

fn scope() -> Scope {
    Scope { attributes: at("scope"), ..Scope::default() }
}

fn source() -> Source {
    Source::new(&Resource::new(at("resource")), &scope())
}

const NAMES: [&str; 6] = ["record", "resource", "scope", "event", "link", "exemplar"];

/// Queries each attribute at every level and at any level. The record must match at the attribute's
/// own level only, if it has this level.
macro_rules! each_level {
    ($records:expr, $has:expr) => {
        let store = store_of($records);
        for (level, name) in Level::ALL.into_iter().zip(NAMES) {
            let has = $has.contains(&level);
            let count = |query: Query<'_, _>| query.count().unwrap();
            assert_eq!(
                count(store.query().attribute(name, Match::Has)),
                usize::from(has),
                "{name} at any level"
            );
            let places: Vec<Level> = Level::ALL
                .into_iter()
                .filter(|&at| count(store.query().attribute_at(at, name, Match::Has)) > 0)
                .collect();
            assert_eq!(places, if has { vec![level] } else { vec![] }, "{name}");
            let by = store.query().group(By::attribute(Some(level), "level"), |_| None).unwrap();
            let keys: Vec<Option<KeyBuf>> = by.groups.into_iter().map(|group| group.key).collect();
            assert_eq!(keys, [has.then(|| KeyBuf::Text(name.into()))]);
        }
        let by = store.query().group(By::attribute(None, "level"), |_| None).unwrap();
        assert_eq!(
            by.groups[0].key,
            Some(KeyBuf::Text("record".into())),
            "the record's own comes first"
        );
    };
}

#[test]
fn attributes_are_found_at_each_level_of_a_span() {
    let span = Span::builder()
        .source(&source())
        .attributes(&at("record"))
        .events(&[
            SpanEvent::default(),
            SpanEvent { attributes: at("event"), ..SpanEvent::default() },
        ])
        .links(&[SpanLink::default(), SpanLink { attributes: at("link"), ..SpanLink::default() }])
        .build();
    each_level!(
        vec![span],
        [Level::Record, Level::Resource, Level::Scope, Level::Event, Level::Link]
    );
}

#[test]
fn attributes_are_found_at_each_level_of_a_log_record() {
    let record = LogRecord::builder().source(&source()).attributes(&at("record")).build();
    each_level!(vec![record], [Level::Record, Level::Resource, Level::Scope]);
}

#[test]
fn attributes_are_found_at_each_level_of_a_metric_point() {
    let metric = source().with_metric(&Metric::new("requests", MetricKind::Gauge));
    let exemplar = Exemplar { filtered_attributes: at("exemplar"), ..Exemplar::default() };
    let point = MetricPoint::builder()
        .source(&metric)
        .attributes(&at("record"))
        .exemplars(&[Exemplar::default(), exemplar])
        .build();
    each_level!(vec![point], [Level::Record, Level::Resource, Level::Scope, Level::Exemplar]);
}

#[test]
fn a_record_without_the_attribute_does_not_match() {
    let record = |name: &str, value: i64| LogRecord::builder().attribute(name, value).build();
    let store = store_of(vec![record("status", 200), record("other", 200), LogRecord::default()]);
    assert_eq!(store.query().attribute("status", Match::equals(200)).count(), Ok(1));
    assert_eq!(store.query().attribute("status", Match::equals(201)).count(), Ok(0));
    let by = store.query().group(By::attribute(None, "status"), |_| None).unwrap();
    let counted: Vec<_> = by.groups.into_iter().map(|group| (group.key, group.count)).collect();
    assert_eq!(counted, [(None, 2), (Some(KeyBuf::Text("200".into())), 1)]);
}

/// Returns which of these values match.
fn fitting(wanted: Match) -> Vec<usize> {
    let values = [
        Value::Empty,
        "a cart".into(),
        "cart 7".into(),
        7.into(),
        Value::Double(7.0),
        Value::Double(7.5),
        true.into(),
    ];
    let records = values.map(|value| LogRecord::builder().body(&value).build());
    let store = store_of(records.into());
    let mut found = Vec::new();
    store
        .query()
        .body(wanted)
        .for_each(|position, _| found.push(position.sequence() as usize))
        .unwrap();
    found.sort_unstable();
    found
}

#[test]
fn each_kind_of_match_fits_the_documented_values() {
    assert_eq!(fitting(Match::Has), [0, 1, 2, 3, 4, 5, 6]);
    assert_eq!(fitting(Match::equals(7)), [3, 4]);
    assert_eq!(fitting(Match::reads("7")), [3, 4]);
    assert_eq!(fitting(Match::reads("cart 7")), [2]);
    assert_eq!(fitting(Match::at_least(7.0)), [3, 4, 5]);
    assert_eq!(fitting(Match::above(7.0)), [5]);
    assert_eq!(fitting(Match::at_most(7.0)), [3, 4]);
    assert_eq!(fitting(Match::below(7.5)), [3, 4]);
    assert!(fitting(Match::Number(Bound::Excluded(7.0), Bound::Excluded(7.5))).is_empty());
    assert_eq!(fitting(Match::contains("cart")), [1, 2]);
    assert_eq!(fitting(Match::starts_with("cart")), [2]);
    assert_eq!(fitting(Match::like("*cart")), [1]);
    assert_eq!(fitting(Match::like("?")), [3, 4], "what is no text is compared as it is displayed");
    assert_eq!(fitting(Match::like("7*")), [3, 4, 5]);
    assert_eq!(fitting(Match::contains("7")), [2, 3, 4, 5]);
    assert_eq!(fitting(!Match::contains("7")), [0, 1, 6]);
}

#[test]
fn a_record_without_a_body_matches_only_absence() {
    let store = store_of(vec![LogRecord::default()]);
    assert_eq!(store.query().body(Match::Has).count(), Ok(0));
    assert_eq!(store.query().body(!Match::reads("x")).count(), Ok(0));
    assert_eq!(store.query().body(Match::absent()).count(), Ok(1));
}

#[test]
fn severity_at_least_returns_this_severity_and_above() {
    let severities = [
        Severity(-1),
        Severity::UNSPECIFIED,
        Severity::INFO,
        Severity::WARN,
        Severity::FATAL4,
        Severity(25),
    ];
    let store =
        store_of(severities.map(|severity| LogRecord::builder().severity(severity).build()).into());
    let count = |least| store.query().severity_at_least(least).count().unwrap();
    assert_eq!(count(Severity::WARN), 2);
    assert_eq!(count(Severity::INFO), 3);
    assert_eq!(count(Severity::FATAL4), 1);
    assert_eq!(count(Severity(1)), 3);
    assert_eq!(count(Severity::UNSPECIFIED), 4, "records without a severity count too");
    assert_eq!(count(Severity(-1)), 5);
    assert_eq!(count(Severity(25)), 0);
}

#[test]
fn groups_keep_measures_except_nan() {
    let span = |name: &str, took: u64| {
        let (start_unix_nanos, end_unix_nanos) = (1, 1 + took);
        Span::builder()
            .name(name)
            .start_unix_nanos(start_unix_nanos)
            .end_unix_nanos(end_unix_nanos)
            .build()
    };
    let store = store_of(vec![
        span("b", 4),
        span("a", 5),
        span("b", 2),
        span("b", 0),
        span("c", 3),
        span("b", 9),
    ]);
    let measure = |span: &Span| match span.duration() {
        0 => Some(f64::NAN),
        9 => None,
        nanoseconds => Some(nanoseconds as f64),
    };
    let groups = store.query().group(By::index("name"), measure).unwrap().groups;
    let found: Vec<_> =
        groups.iter().map(|group| (group.key.clone(), group.count, group.values())).collect();
    let key = |name: &str| Some(KeyBuf::Text(name.into()));
    assert_eq!(
        found,
        [(key("b"), 4, &[2.0, 4.0][..]), (key("a"), 1, &[5.0]), (key("c"), 1, &[3.0])]
    );
    let of_b = &groups[0];
    assert_eq!(
        (of_b.measured(), of_b.min(), of_b.max(), of_b.mean()),
        (2, Some(2.0), Some(4.0), Some(3.0))
    );
}

#[test]
fn a_limit_applies_to_all_shards_together() {
    let store: Store<Span> = Store::builder().capacity(2_000).shards(3).manual().build().unwrap();
    let span = || Span::builder().name("GET /").build();
    (0..1_500).for_each(|_| store.push(span()).map(drop).unwrap());
    assert_eq!(store.query().count(), Ok(1_500));
    assert_eq!(store.query().limit(7).count(), Ok(7));
    assert_eq!(store.query().limit(7).key("name", "GET /").count(), Ok(7));
    let groups = store.query().limit(7).group(By::index("name"), |_| None).unwrap().groups;
    assert_eq!(groups.iter().map(|group| group.count).sum::<u64>(), 7);
}

#[test]
fn a_querys_debug_output_shows_its_conditions() {
    let store = store_of(vec![Span::default()]);
    let query = format!("{:?}", store.query().key("service", "cart").limit(7));
    assert!(
        query.contains("\"span\"") && query.contains("cart") && query.contains("limit: 7"),
        "{query}"
    );
    assert_eq!(format!("{:?}", By::<Span>::index("name")), "By(Ok(()))");
    assert!(format!("{:?}", By::<Span>::index("colour")).contains("colour"));
}

/// One name at two levels: a negated value must be at neither of them.
#[test]
fn a_negation_applies_to_all_values_of_a_name() {
    let resource = Source::new(&Resource::new([("code", 200)]), &scope());
    let record = |code: Option<i64>, source: &Source| {
        LogRecord::builder()
            .source(source)
            .attributes(&code.into_iter().map(|code| ("code", code)).collect::<Attributes>())
            .build()
    };
    let none = Source::new(&Resource::default(), &scope());
    let store = store_of(vec![
        record(Some(404), &resource),
        record(Some(404), &none),
        record(Some(200), &none),
        record(None, &none),
        record(None, &resource),
    ]);
    let count = |wanted: Match| store.query().attribute("code", wanted).count().unwrap();
    assert_eq!(count(!Match::reads("200")), 1);
    assert_eq!(count(!Match::above(300.0)), 2);
    assert_eq!(count(Match::Has), 4);
    assert_eq!(count(Match::absent()), 1);
    assert_eq!(
        store.query().attribute_at(Level::Record, "code", !Match::reads("200")).count(),
        Ok(2)
    );
}

#[test]
fn keys_can_be_matched_and_left_out() {
    let span = |service: &str, name: &'static str| {
        Span::builder()
            .source(&Source::new(&Resource::new([("service.name", service)]), &scope()))
            .name(name)
            .build()
    };
    let store = store_of(vec![
        span("cart", "GET /"),
        span("cart-db", "SELECT"),
        span("shop", "GET /"),
        span("", ""),
    ]);
    let count = |query: Query<'_, Span>| query.count().unwrap();
    assert_eq!(count(store.query().key_matches("service", Match::like("cart*"))), 2);
    assert_eq!(count(store.query().key_matches("service", !Match::like("cart*"))), 2);
    assert_eq!(
        count(store.query().key_matches("name", Match::contains("GET")).key("service", "shop")),
        1
    );
    assert_eq!(count(store.query().key_matches("name", Match::absent())), 1);
    assert_eq!(count(store.query().key_matches("name", !Match::reads("GET /"))), 1);
    assert_eq!(count(store.query().none_of("service", ["cart", "shop"])), 2);
    assert_eq!(
        count(store.query().none_of("name", ["GET /"])),
        2,
        "who has no name has not that one"
    );
    assert!(store.query().key_matches("colour", Match::Has).count().is_err());
}

#[test]
fn spans_are_found_by_their_events() {
    let span = |names: &[&str]| {
        Span::builder()
            .events(
                &names
                    .iter()
                    .map(|name| SpanEvent { name: (*name).into(), ..SpanEvent::default() })
                    .collect::<Vec<_>>(),
            )
            .build()
    };
    let store = store_of(vec![span(&["retry", "exception"]), span(&["retry"]), span(&[])]);
    assert_eq!(store.query().event(Match::reads("exception")).count(), Ok(1));
    assert_eq!(store.query().event(Match::like("re*")).count(), Ok(2));
    assert_eq!(store.query().event(!Match::reads("exception")).count(), Ok(1));
}

#[test]
fn an_impossible_key_is_refused_with_a_hint() {
    let (spans, logs) = (store_of(vec![Span::default()]), store_of(vec![LogRecord::default()]));
    let points = store_of(vec![MetricPoint::default()]);
    let error = |found: Result<usize, slipring::error::QueryError>| found.unwrap_err().to_string();
    for (error, instead) in [
        (error(spans.query().key("trace", "00000000000000000000000000000007").count()), "TraceId"),
        (error(spans.query().key("trace", 7_u64).count()), "TraceId::from(7)"),
        (error(spans.query().key("service", 7_u64).count()), "a service's name"),
        (error(spans.query().key("service", "").count()), "unknown_service"),
        (error(spans.query().key("name", "").count()), "a span's name"),
        (error(spans.query().none_of("service", [7_u64]).count()), "a service's name"),
        (error(logs.query().key("severity", "ERROR").count()), "Severity::ERROR"),
        (error(logs.query().key("severity", Severity::UNSPECIFIED).count()), "1 to 24"),
        (error(logs.query().key("trace", "7").count()), "TraceId"),
        (error(points.query().key("type", "foo").count()), "gauge, sum, histogram"),
        (error(points.query().key("name", 1_u128).count()), "a metric's name"),
    ] {
        assert!(error.contains(instead), "{error}");
    }
    assert!(spans.trace(0u128).is_none(), "no trace has this id");
}

#[test]
fn two_indexes_of_one_name_are_refused() {
    struct Twice;
    impl Signal for Twice {
        const NAME: &'static str = "twice";
        type Indexes = [slipring::Index<Self>; 3];
        const INDEXES: Self::Indexes = [
            slipring::Index::new("a", |_| None),
            slipring::Index::new("b", |_| None),
            slipring::Index::new("a", |_| None),
        ];

        fn timestamp(&self) -> u64 {
            0
        }
    }
    let error = Store::<Twice>::builder().build().unwrap_err().to_string();
    assert!(error.contains("two indexes \"a\""), "{error}");
}

#[test]
fn a_query_as_a_test_accepts_what_the_query_finds() {
    let span = |number: u64| {
        Span::builder()
            .trace_id(u128::from(number % 3))
            .span_id(number)
            .name(if number.is_multiple_of(2) { "even" } else { "odd" })
            .start_unix_nanos(1_000 + number)
            .attribute("number", number as i64)
            .build()
    };
    let spans: Vec<Span> = (1..=20).map(span).collect();
    let store = store_of(spans.clone());
    let conditions: [fn(Query<'_, Span>) -> Query<'_, Span>; 6] = [
        |query| query,
        |query| query.key("name", "even"),
        |query| query.any_of("name", ["even", "none", "odd"]).none_of("name", ["odd"]),
        |query| query.between(1_005..=1_010).key_matches("name", Match::like("o*")),
        |query| query.attribute("number", Match::at_least(7.0)).key("trace", TraceId::from(1)),
        |query| query.any_of("name", [""; 0]),
    ];
    for conditions in conditions {
        let mut found = conditions(store.query()).collect().unwrap().into_records();
        found.sort_by_key(|span| span.start_unix_nanos());
        let accepts = conditions(store.query()).limit(1).into_test().unwrap();
        let accepted: Vec<Span> = spans.iter().filter(|span| accepts(span)).cloned().collect();
        assert_eq!(accepted, found);
    }
    assert!(store.query().key("nothing", "x").into_test().is_err());
}
