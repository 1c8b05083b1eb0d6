//! What may be asked of spans, log records and metric points beside their keys, and what is counted of the answers.

use slipring::{
    Attributes, By, Exemplar, KeyBuf, Level, LogRecord, Match, Metric, MetricKind, MetricPoint, Query, Resource, Scope,
    Severity, Signal, Source, Span, SpanEvent, SpanLink, Store, Value,
};
use std::ops::Bound;

fn store_of<T: Signal>(records: Vec<T>) -> Store<T> {
    let store = Store::builder().capacity(100).shards(1).manual().build().unwrap();
    store.push_batch(records).unwrap();
    store
}

/// A part with an attribute that says where it is.
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

/// Asks for each attribute, at every level and at any: a record has it where it is, if it has such a level.
macro_rules! each_level {
    ($records:expr, $has:expr) => {
        let store = store_of($records);
        for (level, name) in Level::ALL.into_iter().zip(NAMES) {
            let has = $has.contains(&level);
            let count = |query: Query<'_, _>| query.count().unwrap();
            assert_eq!(count(store.query().attribute(name, Match::Has)), usize::from(has), "{name} at any level");
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
        assert_eq!(by.groups[0].key, Some(KeyBuf::Text("record".into())), "the record's own comes first");
    };
}

#[test]
fn attributes_are_found_at_each_level_of_a_span() {
    let span = Span::builder()
        .source(&source())
        .attributes(&at("record"))
        .events(&[SpanEvent::default(), SpanEvent { attributes: at("event"), ..SpanEvent::default() }])
        .links(&[SpanLink::default(), SpanLink { attributes: at("link"), ..SpanLink::default() }])
        .build();
    each_level!(vec![span], [Level::Record, Level::Resource, Level::Scope, Level::Event, Level::Link]);
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
fn a_record_without_such_an_attribute_is_not_found_by_it() {
    let record = |name: &str, value: i64| LogRecord::builder().attribute(name, value).build();
    let store = store_of(vec![record("status", 200), record("other", 200), LogRecord::default()]);
    assert_eq!(store.query().attribute("status", Match::equals(200)).count(), Ok(1));
    assert_eq!(store.query().attribute("status", Match::equals(201)).count(), Ok(0));
    let by = store.query().group(By::attribute(None, "status"), |_| None).unwrap();
    let counted: Vec<_> = by.groups.into_iter().map(|group| (group.key, group.count)).collect();
    assert_eq!(counted, [(None, 2), (Some(KeyBuf::Text("200".into())), 1)]);
}

/// Which of these values fit.
fn fitting(wanted: Match) -> Vec<usize> {
    let values =
        [Value::Empty, "a cart".into(), "cart 7".into(), 7.into(), Value::Double(7.0), Value::Double(7.5), true.into()];
    let records = values.map(|value| LogRecord::builder().body(&value).build());
    let store = store_of(records.into());
    let mut found = Vec::new();
    store.query().body(wanted).for_each(|position, _| found.push(position.sequence() as usize)).unwrap();
    found.sort_unstable();
    found
}

#[test]
fn each_kind_of_match_fits_what_it_says() {
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
    assert!(fitting(Match::like("?")).is_empty(), "a pattern is for texts");
}

#[test]
fn a_record_without_a_body_fits_nothing() {
    let store = store_of(vec![LogRecord::default()]);
    assert_eq!(store.query().body(Match::Has).count(), Ok(0));
}

#[test]
fn severities_are_asked_for_from_one_upwards() {
    let severities =
        [Severity(-1), Severity::UNSPECIFIED, Severity::INFO, Severity::WARN, Severity::FATAL4, Severity(25)];
    let store = store_of(severities.map(|severity| LogRecord::builder().severity(severity).build()).into());
    let count = |least| store.query().severity_at_least(least).count().unwrap();
    assert_eq!(count(Severity::WARN), 2);
    assert_eq!(count(Severity::INFO), 3);
    assert_eq!(count(Severity::FATAL4), 1);
    assert_eq!(count(Severity(1)), 3);
    assert_eq!(count(Severity::UNSPECIFIED), 4, "those that were not said count too");
    assert_eq!(count(Severity(-1)), 5);
    assert_eq!(count(Severity(25)), 0);
}

#[test]
fn groups_keep_what_was_measured_but_no_nan() {
    let span = |name: &str, end_unix_nanos| Span::builder().name(name).end_unix_nanos(end_unix_nanos).build();
    let store = store_of(vec![span("b", 4), span("a", 5), span("b", 2), span("b", 0), span("c", 3), span("b", 9)]);
    let measure = |span: &Span| match span.duration() {
        0 => Some(f64::NAN),
        9 => None,
        nanoseconds => Some(nanoseconds as f64),
    };
    let groups = store.query().group(By::index("name"), measure).unwrap().groups;
    let found: Vec<_> = groups.iter().map(|group| (group.key.clone(), group.count, group.values())).collect();
    let key = |name: &str| Some(KeyBuf::Text(name.into()));
    assert_eq!(found, [(key("b"), 4, &[2.0, 4.0][..]), (key("a"), 1, &[5.0]), (key("c"), 1, &[3.0])]);
    let of_b = &groups[0];
    assert_eq!((of_b.measured(), of_b.min(), of_b.max(), of_b.mean()), (2, Some(2.0), Some(4.0), Some(3.0)));
}

#[test]
fn a_limit_is_one_for_all_shards() {
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
fn what_is_asked_can_be_read_in_a_log() {
    let store = store_of(vec![Span::default()]);
    let query = format!("{:?}", store.query().key("service", "cart").limit(7));
    assert!(query.contains("\"span\"") && query.contains("cart") && query.contains("limit: 7"), "{query}");
    assert_eq!(format!("{:?}", By::<Span>::index("name")), "By(Ok(()))");
    assert!(format!("{:?}", By::<Span>::index("colour")).contains("colour"));
}
