//! The flight recorder: spans and events of `tracing` are complete and in their traces.
#![cfg(feature = "tracing")]

use slipring::attribute::ValueRef;
use slipring::otlp::Request;
use slipring::span::StatusCode;
use slipring::{FlightRecorder, OnFull, Severity, Span, Store, Telemetry, Value};
use std::sync::Mutex;
use tracing::field::Empty;
use tracing::{debug, error, info, info_span, trace, warn};
use tracing_subscriber::layer::SubscriberExt;

fn recorded(telemetry: &Telemetry, run: impl FnOnce()) -> FlightRecorder {
    let recorder = FlightRecorder::keeping("test", telemetry);
    tracing::subscriber::with_default(tracing_subscriber::registry().with(recorder.clone()), run);
    recorder
}

fn only(telemetry: &Telemetry, name: &str) -> Span {
    let found = telemetry.traces().query().key("name", name).collect().unwrap();
    assert_eq!(found.len(), 1, "{name}");
    found.records[0].clone()
}

#[test]
fn spans_and_events_are_complete_and_in_their_traces() {
    let telemetry = Telemetry::builder().build().unwrap();
    recorded(&telemetry, || {
        let outer = info_span!(
            "outer",
            message = "of a span",
            items = 3_u64,
            ready = true,
            user = "ann",
            late = Empty
        );
        let before = info_span!(parent: None, "before");
        outer.follows_from(&before);
        drop(before);
        outer.in_scope(|| {
            trace!("t");
            debug!("d");
            info!(size = 1.5, "a message with {}", 7);
            let inner = info_span!("inner");
            inner.in_scope(|| error!(code = -4, cause = ?Some("x"), "broken"));
        });
        outer.record("late", "recorded");
        outer.record("items", 4_u64);
        drop(outer);
        warn!("on its own");
    });
    let (outer, inner, before) =
        (only(&telemetry, "outer"), only(&telemetry, "inner"), only(&telemetry, "before"));
    assert_eq!(
        (inner.trace_id(), inner.parent_span_id()),
        (outer.trace_id(), Some(outer.span_id()))
    );
    assert_ne!(before.trace_id(), outer.trace_id());
    assert_eq!(
        (outer.links().first().unwrap().trace_id(), outer.links().first().unwrap().span_id()),
        (before.trace_id(), before.span_id())
    );
    assert_eq!((outer.status().code, inner.status().code), (StatusCode::Unset, StatusCode::Error));
    assert!(
        outer.start_unix_nanos() <= inner.start_unix_nanos()
            && inner.end_unix_nanos() <= outer.end_unix_nanos()
    );
    let of_outer = |name| outer.attributes().get(name).map(ValueRef::to_value);
    assert_eq!(
        [of_outer("items"), of_outer("ready")],
        [Some(Value::Int(4)), Some(Value::Bool(true))]
    );
    assert_eq!([of_outer("user"), of_outer("late")], [Some("ann".into()), Some("recorded".into())]);
    assert_eq!(of_outer("message"), Some("of a span".into()));
    assert_eq!(of_outer("code.file.path"), Some(file!().into()));

    let events = telemetry.logs().query().order(slipring::Order::Oldest).collect().unwrap();
    let levels: Vec<Severity> = events.iter().map(|event| event.severity()).collect();
    assert_eq!(
        levels,
        [Severity::TRACE, Severity::DEBUG, Severity::INFO, Severity::ERROR, Severity::WARN]
    );
    let [_, _, message, broken, alone] = &events.records[..] else { unreachable!() };
    assert_eq!(message.body().and_then(ValueRef::as_str), Some("a message with 7"));
    assert_eq!(message.attributes().get("size"), Some(ValueRef::Double(1.5)));
    assert_eq!(
        (message.trace_id(), message.span_id()),
        (Some(outer.trace_id()), Some(outer.span_id()))
    );
    assert_eq!(
        (broken.trace_id(), broken.span_id()),
        (Some(outer.trace_id()), Some(inner.span_id()))
    );
    assert_eq!(broken.attributes().get("code"), Some(ValueRef::Int(-4)));
    assert_eq!(broken.attributes().get("cause").and_then(ValueRef::as_str), Some("Some(\"x\")"));
    assert_eq!((alone.trace_id(), alone.service()), (None, "test"));
}

#[test]
fn a_dump_holds_everything_and_can_be_read_back() {
    let telemetry = Telemetry::builder().build().unwrap();
    let recorder = recorded(&telemetry, || {
        for number in 0..1_000 {
            let _span = info_span!("step", number).entered();
            info!("done");
        }
    });
    let mut dump = Vec::new();
    recorder.dump(&mut dump).unwrap();
    let lines: Vec<Request> = dump
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| Request::read_json(line).unwrap())
        .collect();
    let spans: Vec<Span> = lines.iter().flat_map(|request| request.spans.clone()).collect();
    assert_eq!(
        spans,
        telemetry.traces().query().order(slipring::Order::Oldest).collect().unwrap().records
    );
    assert_eq!(lines.iter().map(|request| request.logs.len()).sum::<usize>(), 1_000);
}

#[test]
fn the_recorder_never_waits_and_counts_what_it_drops() {
    let traces = Store::builder()
        .capacity(4)
        .shards(1)
        .spare_slots(0)
        .on_full(OnFull::Wait)
        .build()
        .unwrap();
    let telemetry = Telemetry::new(
        traces,
        Store::builder().build().unwrap(),
        Store::builder().build().unwrap(),
    );
    let first = telemetry.traces().push(Span::default()).unwrap();
    let recorder = FlightRecorder::keeping("test", &telemetry);
    let subscriber = Mutex::new(Some(tracing_subscriber::registry().with(recorder)));
    telemetry
        .traces()
        .visit(first, |_| {
            let run = || {
                let subscriber = subscriber.lock().unwrap().take().unwrap();
                tracing::subscriber::with_default(subscriber, || {
                    (0..100).for_each(|_| drop(info_span!("step")))
                });
            };
            std::thread::scope(|scope| scope.spawn(run).join().unwrap());
        })
        .unwrap();
    let stats = telemetry.traces().stats();
    assert_eq!((stats.offered, stats.waits), (101, 0));
    assert!(stats.rejected.full > 0);
}

#[test]
fn open_spans_are_dumped_and_marked() {
    let telemetry = Telemetry::builder().build().unwrap();
    recorded(&telemetry, || {
        let recorder = FlightRecorder::keeping("inner", &Telemetry::builder().build().unwrap());
        tracing::subscriber::with_default(
            tracing_subscriber::registry().with(recorder.clone()),
            || {
                let outer = info_span!("outer", order = 7).entered();
                let inner = info_span!("inner").entered();
                let open = recorder.open_spans();
                assert_eq!(
                    open.iter().map(|span| span.name()).collect::<Vec<_>>(),
                    ["outer", "inner"]
                );
                assert_eq!(
                    (open[1].trace_id(), open[1].parent_span_id()),
                    (open[0].trace_id(), Some(open[0].span_id()))
                );
                assert!(open.iter().all(|span| span.end_unix_nanos() == 0 && span.duration() == 0));
                assert_eq!(open[0].attributes().get("slipring.open"), Some(ValueRef::Bool(true)));
                assert_eq!(open[0].attributes().get("order"), Some(ValueRef::Int(7)));
                drop(inner);
                let mut dump = Vec::new();
                recorder.dump(&mut dump).unwrap();
                let spans = Request::read_json(&dump).unwrap().spans;
                let names: Vec<(&str, bool)> =
                    spans.iter().map(|span| (span.name(), span.end_unix_nanos() > 0)).collect();
                assert_eq!(names, [("inner", true), ("outer", false)]);
                drop(outer);
                assert!(recorder.open_spans().is_empty());
            },
        );
    });
    assert!(only_closed(&telemetry), "each recorder has its own");
}

fn only_closed(telemetry: &Telemetry) -> bool {
    telemetry.traces().is_empty()
}

#[tracing::instrument]
async fn bake(loaf: u64) {
    heat(loaf).await;
}

#[tracing::instrument]
async fn heat(loaf: u64) {
    warn!("it smells");
    assert!(loaf != 7, "the oven is on fire");
}

#[test]
fn a_panic_writes_a_dump() {
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("panic.jsonl");
    let telemetry = Telemetry::builder().build().unwrap();
    let recorder = FlightRecorder::keeping("test", &telemetry);
    // The panic hook belongs to the whole process, so panics of other tests would reach it too.
    recorder.dump_on_panic(&file);
    let subscriber = tracing_subscriber::registry().with(recorder.clone());
    let run =
        || tracing::subscriber::with_default(subscriber, || futures::executor::block_on(bake(7)));
    let ran = std::thread::scope(|scope| {
        std::thread::Builder::new().name("oven".into()).spawn_scoped(scope, run).unwrap().join()
    });
    assert!(ran.is_err());
    let read = || {
        let dump = std::fs::read(&file).unwrap();
        let mut all = Request::default();
        for line in dump.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let request = Request::read_json(line).unwrap();
            all.spans.extend(request.spans);
            all.logs.extend(request.logs);
        }
        all
    };
    let dump = read();
    let event = dump.logs.last().unwrap();
    assert_eq!(event.body().and_then(ValueRef::as_str), Some("the oven is on fire"));
    assert_eq!(
        (event.severity(), event.attributes().get("panic.location").is_some()),
        (Severity::FATAL, true)
    );
    let text =
        |name: &str| event.attributes().get(name).and_then(ValueRef::as_str).unwrap_or_default();
    assert_eq!((text("thread.name"), text("exception.message")), ("oven", "the oven is on fire"));
    assert!(text("exception.stacktrace").contains("recorder"), "{}", text("exception.stacktrace"));

    let [bake, heat] =
        ["bake", "heat"].map(|name| dump.spans.iter().find(|span| span.name() == name).unwrap());
    assert_eq!((event.trace_id(), event.span_id()), (Some(heat.trace_id()), Some(heat.span_id())));
    assert_eq!((heat.trace_id(), heat.parent_span_id()), (bake.trace_id(), Some(bake.span_id())));
    assert_eq!((bake.end_unix_nanos(), heat.end_unix_nanos()), (0, 0), "open spans have an end");
    assert_eq!((heat.status().code, bake.status().code), (StatusCode::Error, StatusCode::Unset));
    assert_eq!(bake.attributes().get("loaf"), Some(ValueRef::Int(7)));

    // An event outside of any span, on a thread that was in spans before.
    let outside = std::thread::spawn(|| panic!("nothing is in the oven")).join();
    drop(std::panic::take_hook());
    assert!(outside.is_err() && read().logs.last().unwrap().trace_id().is_none());
    assert!(recorder.open_spans().is_empty(), "unwinding has closed them");
    assert_eq!(telemetry.traces().len(), 2);
}
