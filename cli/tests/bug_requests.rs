//! Requests that were answered as if something else had been asked, or refused without a word.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use support::{Server, parse};

const JSON: &str = "application/json";
const SPAN: &[u8] = br#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"cart"}}]},
    "scopeSpans":[{"spans":[{"traceId":"00000000000000000000000000000007","spanId":"0000000000000008","name":"n"}]}]}]}"#;

fn refused(server: &Server) -> u64 {
    let text = server.get("/metrics").text();
    let name = "slipring_requests_total{outcome=\"refused\"} ";
    text.lines()
        .find_map(|line| line.strip_prefix(name))
        .expect("it is told")
        .parse::<f64>()
        .unwrap() as u64
}

#[test]
fn a_body_that_says_a_parameter_twice_means_both() {
    let server = Server::start(&[]);
    assert_eq!(server.post("/v1/traces", JSON, SPAN).status, 200);
    let count = |body: &str| server.post("/api/count/spans", JSON, body.as_bytes());
    assert_eq!(
        count(r#"{"service":"cart","service":"shop"}"#).json()["count"],
        1,
        "one of the two"
    );
    assert_eq!(
        count(r#"{"attribute":"service.name=cart","attribute":"service.name=shop"}"#).json()["count"],
        0,
        "both"
    );
    for (body, why) in [
        (r#"{"status":"ok","status":"error"}"#, "give it once"),
        (r#"{"service":[]}"#, "the list is empty"),
        (r#"{"service":null}"#, "give a text"),
        ("[]", "no JSON object"),
    ] {
        let answer = count(body);
        assert!(answer.status == 400 && answer.text().contains(why), "{body}: {answer}");
    }
}

#[test]
fn signs_that_other_languages_have_are_taken_or_put_right() {
    let server = Server::start(&[]);
    server.post("/v1/traces", JSON, SPAN);
    assert_eq!(server.get("/api/count/spans?service==cart").json()["count"], 1);
    for (question, why) in [
        ("/api/spans?service=~c*", "write service~=c*"),
        ("/api/spans?service~c*", "write service~=c*"),
        ("/api/spans?attribute=!!code", "one ! asks"),
        ("/api/logs?min_severity=99", "1 to 24"),
        ("/api/spans?trace=xyz", "'x', which is no hexadecimal digit\""),
    ] {
        let answer = server.get(question);
        assert!(answer.status == 400 && answer.text().contains(why), "{question}: {answer}");
    }
}

#[test]
fn telemetry_that_goes_nowhere_is_told_and_counted() {
    let server = Server::start(&[]);
    let nowhere = ["/v1/trace", "/v1/profiles", "/api/v2/spans"];
    for path in nowhere {
        assert_eq!(server.post(path, JSON, SPAN).status, 404, "{path}");
    }
    // The page is there, for GET.
    let answer = server.post("/", JSON, SPAN);
    assert!(answer.status == 405 && answer.text().contains("/v1/traces"), "{answer}");
    let answer = server.get("/v1/traces");
    assert!(answer.status == 405 && answer.text().contains("telemetry comes by POST"), "{answer}");
    assert_eq!(server.get("/favicon.ico").status, 404);
    assert_eq!(refused(&server), nowhere.len() as u64 + 2);
    let (_, log) = server.stop();
    assert!(
        log.contains("refused a request") && log.contains("there is nothing at /v1/trace"),
        "{log}"
    );
}

#[test]
fn a_foreign_name_is_refused_wherever_it_stands() {
    let server = Server::start(&[]);
    for head in [
        "GET http://evil.example/api/stats HTTP/1.1\r\nHost: 127.0.0.1\r\n",
        "GET /api/stats HTTP/1.1\r\nHost: evil.example\r\n",
        "GET /api/stats HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\n",
    ] {
        let mut stream = TcpStream::connect(server.http).unwrap();
        write!(stream, "{head}Connection: close\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = parse(&answer);
        assert!(matches!(answer.status, 400 | 403), "{head}: {answer}");
    }
}

#[test]
fn who_speaks_tls_is_told() {
    let server = Server::start(&[]);
    // The beginning of a client's greeting.
    let hello = [&b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03"[..], &[7; 64]].concat();
    for address in [server.http, server.grpc] {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(&hello).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    }
    let told = (0..100).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(20));
        refused(&server) == 2
    });
    assert!(told, "{}", refused(&server));
    let (_, log) = server.stop();
    assert!(log.contains("this is no HTTP") && log.contains("TLS"), "{log}");
}
