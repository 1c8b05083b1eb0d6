//! OTLP/gRPC, by the protocol's own generated client.

mod support;

use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsServiceRequest, logs_service_client::LogsServiceClient,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, metrics_service_client::MetricsServiceClient,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, trace_service_client::TraceServiceClient,
};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use std::io::Write;
use support::{Server, request};
use tonic::Code;
use tonic::codec::CompressionEncoding;
use tonic::transport::Channel;

fn spans(spans: Vec<Span>) -> ExportTraceServiceRequest {
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }],
    }
}

fn span(id: u8) -> Span {
    Span { trace_id: vec![id; 16], span_id: vec![id; 8], name: "work".into(), ..Span::default() }
}

fn logs(body_bytes: usize) -> ExportLogsServiceRequest {
    let log = LogRecord { severity_text: "x".repeat(body_bytes), ..LogRecord::default() };
    let scope_logs = vec![ScopeLogs { log_records: vec![log], ..ScopeLogs::default() }];
    ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs { scope_logs, ..ResourceLogs::default() }],
    }
}

async fn channel(server: &Server) -> Channel {
    Channel::from_shared(format!("http://{}", server.grpc)).unwrap().connect().await.unwrap()
}

#[tokio::test]
async fn requests_are_taken_and_bad_records_rejected_alone() {
    let server = Server::start(&["--max-body", "100000"]);
    let channel = channel(&server).await;
    let mut traces = TraceServiceClient::new(channel.clone());
    let answer = traces.export(spans(vec![span(1), span(2)])).await.unwrap().into_inner();
    assert_eq!(answer.partial_success, None);
    let mut packing = TraceServiceClient::new(channel.clone())
        .send_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Gzip);
    packing.export(spans(vec![span(3)])).await.unwrap();

    let bad = Span { trace_id: vec![1, 2], ..span(4) };
    let partial = traces
        .export(spans(vec![bad, span(5)]))
        .await
        .unwrap()
        .into_inner()
        .partial_success
        .unwrap();
    assert_eq!(partial.rejected_spans, 1);
    assert_eq!(partial.error_message, "1 record rejected: traceId has 2 bytes instead of 16");
    assert_eq!(server.ask("/api/count/spans?name=work")["count"], 4);

    let mut to_logs = LogsServiceClient::new(channel.clone());
    to_logs.export(logs(10)).await.unwrap();
    let mut to_metrics = MetricsServiceClient::new(channel.clone());
    to_metrics.export(ExportMetricsServiceRequest::default()).await.unwrap();

    let too_large = to_logs.export(logs(100_001)).await.unwrap_err();
    assert!(too_large.code() == Code::ResourceExhausted, "not to be sent again: {too_large}");
    let mut packing = LogsServiceClient::new(channel).send_compressed(CompressionEncoding::Gzip);
    let bomb = packing.export(logs(50 << 20)).await.unwrap_err();
    assert!(bomb.code() == Code::ResourceExhausted, "{bomb}");
    assert_eq!(server.ask("/api/count/logs")["count"], 1);
    server.ask("/api/audit");
    // Elsewhere, because the client has to answer meanwhile.
    assert!(tokio::task::spawn_blocking(|| server.stop()).await.unwrap().0);
}

#[tokio::test]
async fn what_can_not_be_done_has_its_code() {
    let server = Server::start(&["--max-in-flight", "1000", "--max-body", "1000"]);
    let channel = channel(&server).await;
    let mut grpc = tonic::client::Grpc::new(channel.clone());
    grpc.ready().await.unwrap();
    let codec =
        tonic_prost::ProstCodec::<ExportTraceServiceRequest, ExportTraceServiceRequest>::default();
    let path = "/opentelemetry.proto.collector.profiles.v1.ProfilesService/Export".parse().unwrap();
    let unknown = grpc.unary(tonic::Request::new(spans(vec![])), path, codec).await.unwrap_err();
    assert_eq!(unknown.code(), Code::Unimplemented);

    let mut slow = server.connect();
    let headers = [("content-type", "application/x-protobuf")];
    slow.write_all(&request("POST", "/v1/traces", &headers, &[b'\n'; 990], 1000)).unwrap();
    while !server.get("/metrics").text().contains("slipring_requests_in_flight 1") {
        std::thread::yield_now();
    }
    // What it has sent is read, and counted, a moment later.
    std::thread::sleep(std::time::Duration::from_millis(200));
    let mut traces = TraceServiceClient::new(channel);
    let overloaded = traces.export(spans(vec![span(1)])).await.unwrap_err();
    assert_eq!(overloaded.code(), Code::Unavailable, "the code to come back after: {overloaded}");
    drop(slow);
    while server.get("/metrics").text().contains("slipring_requests_in_flight 1") {
        std::thread::yield_now();
    }
    traces.export(spans(vec![span(1)])).await.unwrap();
}

/// Each takes a few thousand bytes on the way, and four MiB when unpacked: no more of them are
/// unpacked at once than the help says.
#[tokio::test]
async fn packed_calls_are_unpacked_a_few_at_a_time() {
    const CALLS: usize = 60;
    let server = Server::start(&[
        "--max-body",
        "5000000",
        "--max-in-flight",
        "5000000",
        "--max-record-bytes",
        "1000",
    ]);
    let before = server.peak_memory();
    let client =
        LogsServiceClient::new(channel(&server).await).send_compressed(CompressionEncoding::Gzip);
    let calls = (0..CALLS).map(|_| {
        let mut client = client.clone();
        async move { client.export(logs(4 << 20)).await }
    });
    for answer in futures::future::join_all(calls).await {
        let partial = answer.unwrap().into_inner().partial_success.unwrap();
        assert_eq!(partial.rejected_log_records, 1);
    }
    let cores = std::thread::available_parallelism().unwrap().get() as u64;
    // Unpacked, and decoded once more, for two requests a core; and some.
    let (peak, most) = (server.peak_memory() - before, 2 * cores * 2 * 5_000_000 + (48 << 20));
    assert!(peak < most, "{} MiB more, at most {} are stated", peak >> 20, most >> 20);
    let metrics = server.get("/metrics").text();
    assert!(
        metrics.contains(&format!("slipring_requests_total{{outcome=\"taken\"}} {CALLS}\n")),
        "{metrics}"
    );
}

/// As grpcurl asks.
#[tokio::test]
async fn it_tells_its_services_and_their_messages_by_reflection() {
    use prost::Message;
    use tonic_reflection::pb::{v1, v1alpha};
    /// Asks these questions in one call, and collects the answers.
    macro_rules! ask {
        ($version:ident, $channel:expr, $questions:expr) => {{
            let questions = $questions.map(|question| $version::ServerReflectionRequest {
                message_request: Some(question),
                ..Default::default()
            });
            let mut client =
                $version::server_reflection_client::ServerReflectionClient::new($channel);
            let mut answers = client
                .server_reflection_info(futures::stream::iter(questions))
                .await
                .unwrap()
                .into_inner();
            let mut all = Vec::new();
            while let Some(answer) = answers.message().await.transpose() {
                all.push(answer.map(|answer| answer.message_response.unwrap()));
            }
            all
        }};
    }
    const SERVICES: [&str; 6] = [
        "opentelemetry.proto.collector.trace.v1.TraceService",
        "opentelemetry.proto.collector.logs.v1.LogsService",
        "opentelemetry.proto.collector.metrics.v1.MetricsService",
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    ];
    let server = Server::start(&["--timeout", "1"]);
    let channel = channel(&server).await;
    {
        use v1::server_reflection_request::MessageRequest as Question;
        use v1::server_reflection_response::MessageResponse as Answer;
        let questions = [Question::ListServices(String::new())].into_iter();
        let questions = questions
            .chain(SERVICES.map(|service| Question::FileContainingSymbol(service.to_owned())));
        let mut answers = ask!(v1, channel.clone(), questions).into_iter();
        let Some(Ok(Answer::ListServicesResponse(listed))) = answers.next() else { panic!() };
        assert!(listed.service.iter().map(|service| &service.name).eq(&SERVICES));
        for service in SERVICES {
            let Some(Ok(Answer::FileDescriptorResponse(files))) = answers.next() else {
                panic!("{service}")
            };
            let file = &files.file_descriptor_proto[0];
            let file = prost_types::FileDescriptorProto::decode(&**file).unwrap();
            let named = |name: &str| format!("{}.{name}", file.package());
            assert!(file.service.iter().any(|found| named(found.name()) == service), "{service}");
            // What it builds on is told too.
            let needed = file.dependency.into_iter().map(Question::FileByFilename);
            let files = ask!(v1, channel.clone(), needed.collect::<Vec<_>>().into_iter());
            assert!(files.iter().all(Result::is_ok), "{service}: {files:?}");
        }
        assert!(answers.next().is_none());
        let unknown = Question::FileContainingSymbol("shop.Shop".to_owned());
        let unknown = ask!(v1, channel.clone(), [unknown].into_iter());
        assert!(matches!(&unknown[..], [Err(status)] if status.code() == Code::NotFound));
        let long = Question::FileContainingSymbol("x".repeat(1 << 20));
        let long = ask!(v1, channel.clone(), [long].into_iter());
        assert!(matches!(&long[..], [Err(_)] | []), "{long:?}");

        // One that asks for nothing more does not stay for long.
        let mut client = v1::server_reflection_client::ServerReflectionClient::new(channel.clone());
        let silent = client.server_reflection_info(futures::stream::pending()).await.unwrap();
        assert!(silent.into_inner().message().await.unwrap().is_none());
    }
    use v1alpha::server_reflection_request::MessageRequest as Question;
    use v1alpha::server_reflection_response::MessageResponse as Answer;
    let listed = ask!(v1alpha, channel, [Question::ListServices(String::new())].into_iter());
    let [Ok(Answer::ListServicesResponse(listed))] = &listed[..] else { panic!("{listed:?}") };
    assert!(listed.service.iter().map(|service| &service.name).eq(&SERVICES));
    assert!(tokio::task::spawn_blocking(|| server.stop()).await.unwrap().0);
}

/// Of several tokens, and of many small fields too.
#[tokio::test]
async fn metadata_is_taken_up_to_16_kib_and_refused_in_words_beyond() {
    let server = Server::start(&[]);
    let channel = channel(&server).await;
    let call = |fields: usize, bytes: usize| {
        let mut traces = TraceServiceClient::new(channel.clone());
        let mut call = tonic::Request::new(spans(vec![span(1)]));
        for field in 0..fields {
            let name = format!("x-{field}").parse::<tonic::metadata::AsciiMetadataKey>().unwrap();
            // What HPACK does not shorten.
            call.metadata_mut().insert(name, "^".repeat(bytes).parse().unwrap());
        }
        async move { traces.export(call).await }
    };
    for (fields, bytes) in [(1, 15 << 10), (1, (16 << 10) - 35), (3, 5 << 10), (100, 120)] {
        call(fields, bytes).await.unwrap();
    }
    let beyond = [(1, 18 << 10), (4, 5 << 10), (1, 30 << 10), (7, 4 << 10), (600, 1)];
    for (fields, bytes) in beyond {
        let refused = call(fields, bytes).await.unwrap_err();
        assert_eq!(refused.code(), Code::ResourceExhausted, "{fields} × {bytes}: {refused}");
        assert!(refused.message().contains("at most 16384 bytes of metadata"), "{refused}");
    }
    let metrics = server.get("/metrics").text();
    let refused = format!("slipring_requests_total{{outcome=\"refused\"}} {}\n", beyond.len());
    assert!(metrics.contains(&refused), "{metrics}");
    // What hyper refuses by itself is not counted. The connection goes on.
    let refused = call(1, 50 << 10).await.unwrap_err();
    assert!(refused.message().contains("431"), "{refused}");
    call(1, 1).await.unwrap();
    assert_eq!(server.ask("/api/count/spans")["count"], 5);
    let (_, log) = tokio::task::spawn_blocking(|| server.stop()).await.unwrap();
    assert!(log.contains("refused a request from 127.0.0.1:"), "{log}");
}

#[tokio::test]
async fn it_tells_its_health_and_what_it_accepts() {
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_client::HealthClient;
    let server = Server::start(&[]);
    let channel = channel(&server).await;
    let mut health = HealthClient::new(channel.clone());
    for service in ["", "opentelemetry.proto.collector.trace.v1.TraceService"] {
        let answer = health
            .check(HealthCheckRequest { service: service.to_owned() })
            .await
            .unwrap()
            .into_inner();
        assert_eq!(answer.status, 1, "serving");
    }
    let unknown =
        health.check(HealthCheckRequest { service: "shop".to_owned() }).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);

    let mut traces = TraceServiceClient::new(channel.clone());
    let mut packed = tonic::Request::new(spans(vec![span(1)]));
    packed.metadata_mut().insert("grpc-encoding", "br".parse().unwrap());
    let refused = traces.export(packed).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unimplemented);
    assert_eq!(
        refused.metadata().get("grpc-accept-encoding").unwrap(),
        "identity,gzip,deflate,zstd"
    );
    let mut with_token = tonic::Request::new(spans(vec![span(1)]));
    with_token.metadata_mut().insert("authorization", "x".repeat(12 << 10).parse().unwrap());
    traces.export(with_token).await.unwrap();
    for encoding in [CompressionEncoding::Deflate, CompressionEncoding::Zstd] {
        TraceServiceClient::new(channel.clone())
            .send_compressed(encoding)
            .export(spans(vec![span(2)]))
            .await
            .unwrap();
    }
    assert_eq!(server.ask("/api/count/spans")["count"], 3);
}
