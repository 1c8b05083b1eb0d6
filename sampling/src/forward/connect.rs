//! Connections to a backend, plain or over TLS.

use super::ForwardSettings;
use hyper_util::client::legacy::connect::HttpConnector;
use std::error::Error;

#[cfg(feature = "tls")]
pub(super) type Connector = hyper_rustls::HttpsConnector<HttpConnector>;
#[cfg(not(feature = "tls"))]
pub(super) type Connector = HttpConnector;

/// Makes what connects. What it gets over TLS fits the endpoint's protocol.
pub(super) fn connector(settings: &ForwardSettings) -> Connector {
    let mut plain = HttpConnector::new();
    plain.set_connect_timeout(Some(settings.timeout));
    plain.set_nodelay(true);
    // The scheme says whether TLS comes on top.
    plain.enforce_http(false);
    #[cfg(feature = "tls")]
    {
        let config = settings.tls.clone().unwrap_or_else(super::Tls::without_roots);
        let protocol: &[u8] = if settings.to.is_grpc() { b"h2" } else { b"http/1.1" };
        Connector::from((plain, config.speaking(protocol)))
    }
    #[cfg(not(feature = "tls"))]
    plain
}

/// Says what to do about an error of a connection, if that is known.
pub(super) fn advice(error: &(dyn Error + 'static), is_plain: bool) -> Option<String> {
    if is_plain {
        let speaks_otherwise = causes(error).any(|cause| {
            // A record of TLS, read as HTTP/1 or as a frame of HTTP/2; or none, if the port closed the
            // connection before its record was read, or before the request was taken.
            let told = cause.to_string();
            cause
                .downcast_ref::<hyper::Error>()
                .is_some_and(|error| error.is_parse() || error.is_canceled())
                || told.contains("frame with invalid size")
                || told.contains("stream closed because of a broken pipe")
        });
        let told = "if that port speaks TLS, write https:// or grpcs://";
        return speaks_otherwise.then(|| told.to_owned());
    }
    #[cfg(feature = "tls")]
    return causes(error).find_map(|cause| super::tls::advice(cause.downcast_ref()?));
    #[cfg(not(feature = "tls"))]
    None
}

/// Iterates over an error and its causes, and over what errors of input and output hold.
fn causes<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| {
        let error: &'e (dyn Error + 'static) = *error;
        let held = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        match held {
            Some(held) => Some(held as &(dyn Error + 'static)),
            None => error.source(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::Empty;
    use hyper::Request;
    use hyper::body::Bytes;
    use hyper::client::conn::http1::handshake;
    use hyper_util::rt::TokioIo;

    #[tokio::test]
    async fn a_plain_port_that_closes_before_it_takes_a_request_may_speak_tls() {
        let (near, far) = tokio::io::duplex(64);
        let (mut sender, connection) = handshake(TokioIo::new(near)).await.unwrap();
        drop(far);
        let _ = connection.await;
        let error = sender.send_request(Request::new(Empty::<Bytes>::new())).await.unwrap_err();
        assert_eq!(error.to_string(), "operation was canceled");
        let advice = |is_plain| advice(&error, is_plain);
        assert!(advice(true).is_some_and(|told| told.contains("write https:// or grpcs://")));
        assert_eq!(advice(false), None);
    }
}
