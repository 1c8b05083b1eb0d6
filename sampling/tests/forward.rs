//! Forwarding: retries by the protocol's rules, and where every span went when a backend fails.
#![cfg(feature = "forward")]

mod support;

use bytes::Bytes;
use slipring_sampling::forward::{
    Endpoint, ForwardSettings, ForwardStats, Forwarder, Reply, Sending, StartError, Transport,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use support::{Made, trace};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Answers requests with these status lines and headers one after the other, and the last one
/// again and again. An answer is followed by this body.
async fn backend(answers: Vec<(&'static str, &'static [u8])>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut turn = 0;
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (head, body) = answers[turn.min(answers.len() - 1)];
            turn += 1;
            answer(stream, head, body).await;
        }
    });
    format!("http://{address}")
}

/// Reads one request, answers it, and closes the connection.
async fn answer(mut stream: TcpStream, head: &str, body: &[u8]) {
    let (mut request, mut part) = (Vec::new(), [0; 4096]);
    loop {
        let count = stream.read(&mut part).await.unwrap();
        request.extend_from_slice(&part[..count]);
        let text = String::from_utf8_lossy(&request).to_lowercase();
        assert!(request.len() < 40_000, "the largest span and its request");
        let Some(end) = text.find("\r\n\r\n") else { continue };
        let length = text.split("content-length: ").nth(1).and_then(|text| text.split('\r').next());
        let length: usize = length.unwrap().parse().unwrap();
        let before = request.windows(4).position(|part| part == b"\r\n\r\n").unwrap();
        assert!(end > 0 && text.starts_with("post /v1/traces "));
        if request.len() >= before + 4 + length {
            break;
        }
    }
    let head =
        format!("HTTP/1.1 {head}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(&[head.as_bytes(), body].concat()).await.unwrap();
}

fn start(to: &str, change: impl FnOnce(&mut ForwardSettings)) -> (Forwarder, Sending) {
    let mut settings = ForwardSettings::to(to.parse().unwrap());
    settings.linger = Duration::from_millis(5);
    settings.senders = 1;
    settings.backoff = (Duration::from_millis(5), Duration::from_millis(20));
    change(&mut settings);
    Forwarder::start(settings).expect("it asks for no TLS")
}

fn offer(forwarder: &Forwarder, traces: u64) {
    for number in 0..traces {
        forwarder.offer(vec![Made::root(trace(number)).span()]);
    }
}

fn assert_balanced(stats: &ForwardStats) {
    let known = stats.waiting + stats.sent + stats.refused + stats.lost_full + stats.lost_failed;
    assert_eq!(stats.offered, known, "{stats:?}");
}

#[tokio::test]
async fn a_request_is_tried_again_when_the_backend_says_and_its_rejections_are_counted() {
    let to = backend(vec![
        ("503 Service Unavailable\r\nretry-after: 1", b""),
        ("429 Too Many Requests", b""),
        ("200 OK", b"\x0a\x02\x08\x03"),
    ])
    .await;
    let begin = Instant::now();
    let (forwarder, sending) = start(&to, |_| {});
    offer(&forwarder, 10);
    let stats = sending.finish(Duration::from_secs(20)).await;
    assert_balanced(&stats);
    assert_eq!((stats.sent, stats.refused, stats.retries), (7, 3, 2));
    assert!(begin.elapsed() >= Duration::from_secs(1), "Retry-After");
}

#[tokio::test]
async fn what_the_backend_will_never_take_is_lost_and_counted() {
    let to = backend(vec![("400 Bad Request", b"")]).await;
    let (forwarder, sending) = start(&to, |_| {});
    offer(&forwarder, 10);
    let stats = sending.finish(Duration::from_secs(20)).await;
    assert_balanced(&stats);
    assert_eq!((stats.lost_failed, stats.retries), (10, 0));
    assert_eq!(stats.last_failure.as_deref(), Some("HTTP 400 Bad Request"));
}

#[tokio::test]
async fn a_backend_that_is_down_takes_no_more_memory_than_the_queue() {
    for scheme in ["http", "grpc"] {
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = format!("{scheme}://{}", closed.local_addr().unwrap());
        drop(closed);
        let (forwarder, sending) = start(&to, |settings| settings.max_bytes = 20_000);
        for _ in 0..50 {
            offer(&forwarder, 20);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let stats = forwarder.stats();
        assert_balanced(&stats);
        assert!(stats.lost_full > 800 && stats.waiting < 200, "{stats:?}");
        let stats = sending.finish(Duration::from_millis(50)).await;
        assert_balanced(&stats);
        assert_eq!((stats.waiting, stats.sent), (0, 0));
        assert!(stats.retries > 0);
        let why = stats.last_failure.unwrap();
        assert!(why.to_lowercase().contains("refused"), "{scheme}: {why}");
        assert!(!forwarder.offer(vec![Made::root(7).span()]), "it is closed");
    }
}

#[tokio::test]
async fn large_resources_take_room_in_the_queue() {
    let (forwarder, sending) = start("http://127.0.0.1:9", |settings| settings.max_bytes = 100_000);
    for id in 1..=100 {
        let text = "x".repeat(20_000);
        let resource = slipring::Resource::new([("text", &*text)]);
        let source = slipring::Source::new(&resource, &slipring::Scope::default());
        forwarder.offer(vec![slipring::Span::builder().source(&source).trace_id(id).build()]);
    }
    assert_eq!(forwarder.stats().lost_full, 96);
    assert_balanced(&sending.finish(Duration::from_millis(10)).await);
}

#[tokio::test]
async fn a_giant_trace_goes_in_several_requests() {
    let to = backend(vec![("200 OK", b"")]).await;
    let (forwarder, sending) = start(&to, |settings| settings.request_bytes = 20_000);
    let spans = (1..=1_000).map(|id| Made::child(7, id).span()).collect();
    assert!(forwarder.offer(spans));
    let large = slipring::Span::builder().trace_id(7).span_id(1);
    forwarder.offer(vec![large.attribute("text", &*"x".repeat(30_000)).build()]);
    let stats = sending.finish(Duration::from_secs(20)).await;
    assert_balanced(&stats);
    assert_eq!((stats.sent, stats.offered), (1_001, 1_001));
}

/// Gives the same answer to each request.
#[derive(Clone)]
struct Same(Reply);

impl Transport for Same {
    async fn send(&mut self, _: Bytes) -> Reply {
        self.0.clone()
    }
}

fn start_over(reply: Reply, change: impl FnOnce(&mut ForwardSettings)) -> (Forwarder, Sending) {
    let mut settings = ForwardSettings::to("grpc://backend:4317".parse().unwrap());
    change(&mut settings);
    Forwarder::start_over(Same(reply), settings)
}

/// The room that is given back is the room that was taken, also of spans that share their resource.
#[tokio::test(start_paused = true)]
async fn a_trace_in_several_requests_gives_back_its_room() {
    let (forwarder, sending) = start_over(Reply::Taken { rejected: 0 }, |_| {});
    let shared = support::source("cart");
    let spans = |count: u64| {
        let span = |id| slipring::Span::builder().source(&shared).trace_id(7).span_id(id).build();
        (1..=count).map(span).collect::<Vec<_>>()
    };
    for round in 1..=3 {
        assert!(forwarder.offer(spans(2_000)), "{:?}", forwarder.stats());
        tokio::time::sleep(Duration::from_secs(5)).await;
        let stats = forwarder.stats();
        assert_eq!((stats.sent, stats.waiting_bytes), (round * 2_000, 0), "{stats:?}");
    }
    assert_balanced(&sending.finish(Duration::from_secs(60)).await);
}

/// A request has a resource once, however many spans share it, and in whatever order they are.
#[tokio::test(start_paused = true)]
async fn a_giant_trace_takes_room_for_each_resource_once_a_request() {
    let source = |bytes: usize| {
        let resource = slipring::Resource::new([("text", &*"x".repeat(bytes))]);
        slipring::Source::new(&resource, &slipring::Scope::default())
    };
    let cases = [
        ("one", vec![source(200_000)], 5_000),
        ("two in turn", vec![source(200_000), source(200_000)], 5_000),
        ("one larger than a request", vec![source(2_500_000)], 1_000),
    ];
    for (name, sources, count) in cases {
        let (forwarder, sending) = start_over(Reply::Taken { rejected: 0 }, |_| {});
        let span = |id: u64| {
            let source = &sources[id as usize % sources.len()];
            slipring::Span::builder().source(source).trace_id(7).span_id(id).build()
        };
        assert!(
            forwarder.offer((1..=count).map(span).collect()),
            "{name}: {:?}",
            forwarder.stats()
        );
        let stats = sending.finish(Duration::from_secs(60)).await;
        assert_eq!((stats.sent, stats.waiting_bytes), (count, 0), "{name}: {stats:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_time_that_a_backend_asks_for_stops_the_senders() {
    for after in [Duration::MAX, Duration::from_secs(u64::MAX), Duration::from_secs(3_600)] {
        let later = Reply::Later { after: Some(after), why: "busy".to_owned() };
        let (forwarder, sending) = start_over(later, |settings| settings.senders = 1);
        for number in 1..=3 {
            offer(&forwarder, 1);
            tokio::time::sleep(Duration::from_secs(5)).await;
            let stats = forwarder.stats();
            assert_eq!((stats.lost_failed, stats.waiting), (number, 0), "{after:?}: {stats:?}");
        }
        assert_balanced(&sending.finish(Duration::from_secs(60)).await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_asks_for_no_time_is_still_left_in_peace() {
    let later = Reply::Later { after: Some(Duration::ZERO), why: "busy".to_owned() };
    let (forwarder, sending) = start_over(later, |settings| settings.senders = 1);
    offer(&forwarder, 1);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let stats = forwarder.stats();
    assert!((50..=60).contains(&stats.retries), "{stats:?}");
    assert_balanced(&sending.finish(Duration::from_secs(1)).await);
}

/// Takes requests once it is up, and asks for so much time before.
#[derive(Clone)]
struct Switch {
    is_up: Arc<AtomicBool>,
    after: Option<Duration>,
}

impl Transport for Switch {
    async fn send(&mut self, _: Bytes) -> Reply {
        match self.is_up.load(Ordering::Relaxed) {
            true => Reply::Taken { rejected: 0 },
            false => Reply::Later { after: self.after, why: "HTTP 503".to_owned() },
        }
    }
}

/// Whatever the senders wait for when the queue closes, a backend that is up then, or comes up
/// before the deadline, gets everything.
#[tokio::test(start_paused = true)]
async fn a_queue_that_closes_is_sent_without_waiting_for_the_next_try() {
    let (second, long) = (Duration::from_secs(1), Duration::from_secs(100));
    for (after, comes_up) in
        [(Some(long), Duration::ZERO), (Some(long), 5 * second), (None, 5 * second)]
    {
        let backend = Switch { is_up: Arc::default(), after };
        let settings = ForwardSettings::to("grpc://backend:4317".parse().unwrap());
        let (forwarder, sending) = Forwarder::start_over(backend.clone(), settings);
        offer(&forwarder, 4_000);
        tokio::time::sleep(Duration::from_secs(45)).await;
        assert_eq!(forwarder.stats().waiting, 4_000);
        tokio::spawn(async move {
            tokio::time::sleep(comes_up).await;
            backend.is_up.store(true, Ordering::Relaxed);
        });
        let begin = tokio::time::Instant::now();
        let stats = sending.finish(Duration::from_secs(10)).await;
        assert_eq!(stats.sent, 4_000, "{after:?}, {comes_up:?}: {stats:?}");
        let most = comes_up + 2 * second;
        assert!(begin.elapsed() <= most, "{:?} instead of {most:?}", begin.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn why_spans_are_lost_at_the_deadline_is_told() {
    let later = Reply::Later { after: None, why: "HTTP 503".to_owned() };
    let (forwarder, sending) = start_over(later, |_| {});
    offer(&forwarder, 1);
    let stats = sending.finish(Duration::from_secs(5)).await;
    assert_eq!((stats.lost_failed, stats.waiting), (1, 0));
    assert!((4..=10).contains(&stats.retries), "once a second, or somewhat more often: {stats:?}");
    let why = stats.last_failure.unwrap();
    assert_eq!(why, "it did not take them within the last 5s; before that: HTTP 503");
}

#[test]
fn an_address_is_read_or_told_what_is_wrong_with_it() {
    for (text, host, port, shown) in [
        ("grpc://backend:4317", "backend", 4317, "grpc://backend:4317"),
        ("grpc://[::1]:1/", "[::1]", 1, "grpc://[::1]:1"),
        ("http://backend", "backend", 80, "http://backend/v1/traces"),
        ("https://backend", "backend", 443, "https://backend/v1/traces"),
        ("grpcs://backend:4317", "backend", 4317, "grpcs://backend:4317"),
        (
            "http://backend:4318/otlp/v1/traces",
            "backend",
            4318,
            "http://backend:4318/otlp/v1/traces",
        ),
    ] {
        let endpoint: Endpoint = text.parse().unwrap();
        assert_eq!((endpoint.host(), endpoint.port()), (host, port), "{text}");
        assert_eq!(
            (endpoint.to_string(), &shown.parse::<Endpoint>().unwrap()),
            (shown.to_owned(), &endpoint)
        );
    }
    for (text, what) in [
        ("backend:4317", "none of grpc://"),
        ("", "none of grpc://"),
        ("ftp://backend", "none of grpc://"),
        ("grpcs://backend", "the port is missing"),
        ("https://backend:99999", "no valid host and port"),
        ("grpc://backend", "the port is missing"),
        ("grpc://:4317", "host"),
        ("grpc://backend:4317/v1/traces", "gRPC has no path"),
        ("grpc://backend:99999", "no valid host and port"),
        ("http://backend:99999", "no valid host and port"),
        ("http://me:secret@backend", "more than a host"),
        ("http://backend?x=1", "more than a host"),
        ("http://", "host"),
        ("http://back end", "host"),
    ] {
        let told = text.parse::<Endpoint>().unwrap_err().to_string();
        assert!(told.contains(what) && told.contains("write grpc://host:4317"), "{text}: {told}");
    }
}

#[tokio::test]
async fn a_connection_is_renewed_and_one_of_ones_own_is_not() {
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut read = vec![0; 40_000];
            let count = stream.read(&mut read).await.unwrap();
            let request = String::from_utf8_lossy(&read[..count]).to_lowercase();
            // Nothing is taken before the token is another.
            let head = if request.contains("bearer new") { "200 OK" } else { "503 Busy" };
            let _ = tell.send(request);
            let head = format!("HTTP/1.1 {head}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
        }
    });
    let mut settings = ForwardSettings::to(to.parse().unwrap());
    settings.headers.add("authorization", "Bearer old").unwrap();
    let (forwarder, sending) = start(&to, |own| own.headers = settings.headers.clone());
    offer(&forwarder, 1);
    assert!(told.recv().await.unwrap().contains("\r\nauthorization: bearer old\r\n"));
    // What the settings ask for and do not have changes nothing.
    let wrong = ForwardSettings::to("https://127.0.0.1:1".parse().unwrap());
    assert!(matches!(forwarder.renew(&wrong), Err(StartError::NoTls(_))));
    settings.headers = Default::default();
    settings.headers.add("authorization", "Bearer new").unwrap();
    forwarder.renew(&settings).unwrap();
    // The request that is tried again has the new token.
    let is_new = async {
        while !told.recv().await.unwrap().contains("\r\nauthorization: bearer new\r\n") {}
    };
    tokio::time::timeout(Duration::from_secs(60), is_new).await.expect("it has the new token");
    let stats = sending.finish(Duration::from_secs(60)).await;
    assert_balanced(&stats);
    assert!(stats.sent > 0 && stats.lost_failed == 0, "{stats:?}");

    let taken = Reply::Taken { rejected: 0 };
    let (forwarder, _sending) = start_over(taken, |_| ());
    assert_eq!(forwarder.renew(&settings), Err(StartError::OwnTransport));
}
