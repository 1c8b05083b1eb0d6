//! Server-sent events, as a tail sends them.

use super::ClientError;
use axum::body::Body;
use http_body_util::BodyExt;

/// One event.
#[derive(Debug, PartialEq, Eq)]
pub struct Event {
    /// Empty for a record; `missed` for how many were evicted before they could be sent.
    pub name: String,
    pub data: String,
}

/// Reads events as they come.
pub struct Events {
    body: Body,
    /// Bytes that are no whole event yet.
    waiting: Vec<u8>,
    /// How many of these are known to hold no end.
    seen: usize,
}

impl Events {
    pub(super) fn of(body: Body) -> Self {
        Self { body, waiting: Vec::new(), seen: 0 }
    }

    /// Waits for the next event. `None` is the end: the server stops.
    pub async fn next(&mut self) -> Result<Option<Event>, ClientError> {
        loop {
            while let Some(event) = self.take() {
                if !event.data.is_empty() {
                    return Ok(Some(event));
                }
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(error)) => return Err(ClientError::Broken(error.to_string())),
                Some(Ok(frame)) => {
                    self.waiting.extend(frame.into_data().unwrap_or_default());
                }
            }
        }
    }

    /// Takes what is there of a whole event; comments that keep the connection alive have no data.
    fn take(&mut self) -> Option<Event> {
        let from = self.seen.saturating_sub(1);
        let Some(end) = self.waiting[from..].windows(2).position(|two| two == b"\n\n") else {
            self.seen = self.waiting.len();
            return None;
        };
        let text: Vec<u8> = self.waiting.drain(..from + end + 2).collect();
        self.seen = 0;
        let (mut event, text) = (Event { name: String::new(), data: String::new() }, text);
        for line in String::from_utf8_lossy(&text).lines() {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "event" => value.clone_into(&mut event.name),
                "data" if event.data.is_empty() => value.clone_into(&mut event.data),
                "data" => event.data = format!("{}\n{value}", event.data),
                _ => {}
            }
        }
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Bytes;
    use std::convert::Infallible;

    #[tokio::test]
    async fn events_come_whole_however_they_are_cut() {
        let text = ": here\n\ndata: {\"a\":1}\n\nevent: missed\ndata: 7\n\n:\n\ndata: x\ndata: y\n\ndata: cut";
        for size in [1, 2, 5, 1_000] {
            let pieces: Vec<_> = text.as_bytes().chunks(size).map(Bytes::copy_from_slice).collect();
            let pieces = pieces.into_iter().map(Ok::<_, Infallible>);
            let mut events = Events::of(Body::from_stream(futures::stream::iter(pieces)));
            let mut all = Vec::new();
            while let Some(event) = events.next().await.unwrap() {
                all.push((event.name, event.data));
            }
            let expected = [("", "{\"a\":1}"), ("missed", "7"), ("", "x\ny")];
            assert_eq!(all, expected.map(|(name, data)| (name.to_owned(), data.to_owned())));
        }
    }
}
