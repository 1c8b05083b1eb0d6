//! What a backend's answer means, by the protocol's rules.

use bytes::Bytes;
use hyper::header::RETRY_AFTER;
use hyper::{HeaderMap, StatusCode};
use prost::Message;
use std::error::Error;
use std::time::{Duration, SystemTime};
use tonic::{Code, Status};

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The backend took it.
    Taken {
        /// How many of its spans the backend rejected.
        rejected: u64,
    },
    /// It may be sent again.
    Later {
        /// After which time, if the backend has said one.
        after: Option<Duration>,
        /// What was wrong.
        why: String,
    },
    /// It will never be taken.
    Failed {
        /// What is wrong.
        why: String,
    },
}

/// `ExportTraceServiceResponse`.
#[derive(Clone, PartialEq, Message)]
struct Response {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<PartialSuccess>,
}

#[derive(Clone, PartialEq, Message)]
struct PartialSuccess {
    #[prost(int64, tag = "1")]
    rejected_spans: i64,
}

/// `google.rpc.Status`, whose details hold a `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, Message)]
struct RichStatus {
    #[prost(message, repeated, tag = "3")]
    details: Vec<Detail>,
}

#[derive(Clone, PartialEq, Message)]
struct Detail {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    delay: Option<Delay>,
}

#[derive(Clone, PartialEq, Message)]
struct Delay {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

/// Reads the body of an answer that says that the request was taken.
pub(super) fn taken(body: Bytes) -> Reply {
    // An answer that cannot be read was still one of success.
    let partial = Response::decode(body).ok().and_then(|response| response.partial_success);
    let rejected = partial.map_or(0, |partial| partial.rejected_spans);
    Reply::Taken { rejected: rejected.try_into().unwrap_or(0) }
}

/// Judges an answer over HTTP that is no success.
pub(super) fn of_http(status: StatusCode, headers: &HeaderMap) -> Reply {
    let why = format!("HTTP {status}");
    match status.as_u16() {
        429 | 502 | 503 | 504 => {
            let text = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
            Reply::Later { after: text.and_then(|text| retry_after(text, SystemTime::now())), why }
        }
        _ => Reply::Failed { why },
    }
}

/// Reads `Retry-After`: seconds, or a date.
fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

/// Judges a gRPC status.
pub(super) fn of_grpc(status: &Status) -> Reply {
    let after = retry_info(status.details());
    let why = format!("{:?}: {}", status.code(), status.message());
    let why = with(why, status.source());
    match status.code() {
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => Reply::Later { after, why },
        // Only if the backend says that it recovers.
        Code::ResourceExhausted if after.is_some() => Reply::Later { after, why },
        _ => Reply::Failed { why },
    }
}

/// Returns an error's text and those of its causes: what the outermost error says is often no more
/// than that there is one.
pub(super) fn with_causes(error: &dyn Error) -> String {
    with(error.to_string(), error.source())
}

fn with(mut text: String, mut cause: Option<&dyn Error>) -> String {
    while let Some(error) = cause {
        let said = error.to_string();
        // Some errors repeat what their causes say.
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text
}

fn retry_info(details: &[u8]) -> Option<Duration> {
    let details = RichStatus::decode(details).ok()?.details;
    let info = details.iter().find(|one| one.type_url.ends_with("google.rpc.RetryInfo"))?;
    let delay = RetryInfo::decode(&*info.value).ok()?.delay?;
    let seconds = Duration::from_secs(delay.seconds.try_into().ok()?);
    Some(seconds + Duration::from_nanos(delay.nanos.try_into().unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_over_http_are_repeated_as_the_protocol_says() {
        for status in 400..600 {
            let reply = of_http(StatusCode::from_u16(status).unwrap(), &HeaderMap::new());
            let is_later = matches!(reply, Reply::Later { .. });
            assert_eq!(is_later, [429, 502, 503, 504].contains(&status), "{status}");
        }
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:30 GMT").unwrap();
        let after = |text| retry_after(text, now).map(|time| time.as_secs());
        assert_eq!(after("120"), Some(120));
        assert_eq!(after("Sun, 06 Nov 1994 08:49:37 GMT"), Some(7));
        assert_eq!(after("Sun, 06 Nov 1994 08:49:00 GMT"), Some(0));
        assert_eq!(after("soon"), None);
    }

    #[test]
    fn grpc_statuses_are_repeated_as_the_protocol_says() {
        let info = RetryInfo { delay: Some(Delay { seconds: 3, nanos: 500_000_000 }) };
        let type_url = "type.googleapis.com/google.rpc.RetryInfo".to_owned();
        let details = vec![Detail { type_url, value: info.encode_to_vec() }];
        let details = RichStatus { details }.encode_to_vec();
        let told = Status::with_details(Code::ResourceExhausted, "", details.into());
        let after = Some(Duration::from_millis(3_500));
        assert!(matches!(of_grpc(&told), Reply::Later { after: found, .. } if found == after));
        let is_later = |code| matches!(of_grpc(&Status::new(code, "")), Reply::Later { .. });
        assert!(is_later(Code::Unavailable) && is_later(Code::DeadlineExceeded));
        assert!(!is_later(Code::ResourceExhausted) && !is_later(Code::InvalidArgument));
    }

    #[test]
    fn rejected_spans_are_read() {
        let partial_success = Some(PartialSuccess { rejected_spans: 7 });
        let body = Response { partial_success }.encode_to_vec();
        assert_eq!(taken(body.into()), Reply::Taken { rejected: 7 });
        assert_eq!(taken(Bytes::from_static(b"{}")), Reply::Taken { rejected: 0 });
    }
}
