//! How the backend does, told in the log now and then.

use crate::text::{counted, printable};
use slipring_sampling::forward::{Endpoint, ForwardStats};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

/// Minimum interval between two warnings.
const SILENCE: Duration = Duration::from_secs(10);

/// Returns whether an endpoint is an address on which this program listens. Its kept spans would
/// come back to it for ever. Of names, only `localhost` is recognized.
pub fn is_one_of(to: &Endpoint, listens: [SocketAddr; 2]) -> bool {
    let host = to.host().trim_start_matches('[').trim_end_matches(']');
    let is_local = host.eq_ignore_ascii_case("localhost");
    let ip: Option<IpAddr> =
        if is_local { Some(Ipv4Addr::LOCALHOST.into()) } else { host.parse().ok() };
    let Some(ip) = ip.map(|ip| ip.to_canonical()) else { return false };
    let leads_to = |own: IpAddr| match own.is_unspecified() || ip.is_unspecified() {
        true => ip.is_loopback() || ip.is_unspecified(),
        false => own == ip || (is_local && own.is_loopback()),
    };
    listens.iter().any(|at| at.port() == to.port() && leads_to(at.ip().to_canonical()))
}

/// What was seen and said of the backend.
#[derive(Default)]
pub struct Backend {
    /// The figures at the last look.
    seen: ForwardStats,
    /// The figures when something was said last.
    told: ForwardStats,
    /// When a warning was said last.
    warned: Option<Instant>,
    is_failing: bool,
}

/// Something to log.
#[derive(Debug, PartialEq)]
enum News {
    Fails(String),
    TakesAgain(String),
}

impl Backend {
    /// Logs what has changed since the last look: at most one warning in ten seconds.
    pub fn look(&mut self, now: Instant, stats: &ForwardStats) {
        match self.news(now, stats) {
            Some(News::Fails(what)) => tracing::warn!("{}", printable(&what)),
            Some(News::TakesAgain(what)) => tracing::info!("{what}"),
            None => {}
        }
    }

    fn news(&mut self, now: Instant, stats: &ForwardStats) -> Option<News> {
        let seen = std::mem::replace(&mut self.seen, stats.clone());
        let is_in_trouble = trouble(stats) > trouble(&seen);
        if self.is_failing && !is_in_trouble && stats.sent > self.told.sent {
            self.is_failing = false;
            let before = std::mem::replace(&mut self.told, stats.clone());
            let mut all = vec!["the backend takes spans again".to_owned()];
            all.extend(losses(&before, stats));
            return Some(News::TakesAgain(all.join("; ")));
        }
        let is_silent = self.warned.is_some_and(|warned| now.duration_since(warned) < SILENCE);
        if is_silent || trouble(stats) == trouble(&self.told) {
            return None;
        }
        (self.warned, self.is_failing) = (Some(now), true);
        let before = std::mem::replace(&mut self.told, stats.clone());
        let mut all = Vec::new();
        if stats.retries + stats.lost_failed > before.retries + before.lost_failed {
            let why = stats.last_failure.as_deref().unwrap_or("it does not answer");
            all.push(format!("the backend fails: {why}"));
        }
        all.extend(losses(&before, stats));
        Some(News::Fails(all.join("; ")))
    }
}

/// Returns a number that grows with everything that goes wrong.
fn trouble(stats: &ForwardStats) -> u64 {
    stats.retries + stats.lost_full + stats.lost_failed + stats.refused
}

/// Tells which spans were lost between two looks, and how many wait.
fn losses(before: &ForwardStats, stats: &ForwardStats) -> Vec<String> {
    let spans = |now: u64, before: u64| counted(now - before, "span");
    let mut told = Vec::new();
    if stats.lost_full > before.lost_full {
        let lost = spans(stats.lost_full, before.lost_full);
        told.push(format!("{lost} lost for want of room; if that lasts, raise --max-waiting"));
    }
    if stats.lost_failed > before.lost_failed {
        told.push(format!("{} given up", spans(stats.lost_failed, before.lost_failed)));
    }
    if stats.refused > before.refused {
        told.push(format!("the backend rejected {}", spans(stats.refused, before.refused)));
    }
    told.push(format!("waiting: {}", counted(stats.waiting, "span")));
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_that_leads_back_is_recognized() {
        let leads = |to: &str, listens: &str| {
            let other = "127.0.0.1:1".parse().unwrap();
            is_one_of(&to.parse().unwrap(), [other, listens.parse().unwrap()])
        };
        for (to, listens) in [
            ("grpc://localhost:4317", "127.0.0.1:4317"),
            ("http://127.0.0.1:4317/v1/traces", "127.0.0.1:4317"),
            ("grpc://LOCALHOST:4317", "[::1]:4317"),
            ("grpc://[::1]:4317", "[::1]:4317"),
            ("grpc://127.0.0.1:4317", "0.0.0.0:4317"),
            ("grpc://0.0.0.0:4317", "127.0.0.1:4317"),
        ] {
            assert!(leads(to, listens), "{to} {listens}");
        }
        for (to, listens) in [
            ("grpc://localhost:5317", "127.0.0.1:4317"),
            ("grpc://127.0.0.2:4317", "127.0.0.1:4317"),
            ("grpc://backend:4317", "0.0.0.0:4317"),
            ("grpc://192.168.1.7:4317", "0.0.0.0:4317"),
        ] {
            assert!(!leads(to, listens), "{to} {listens}");
        }
    }

    #[test]
    fn failures_are_said_now_and_then_and_their_end_once() {
        let (mut backend, start) = (Backend::default(), Instant::now());
        let mut stats = ForwardStats::default();
        assert_eq!(backend.news(start, &stats), None);
        stats.waiting = 5;
        stats.retries = 1;
        stats.last_failure = Some("connection refused".to_owned());
        let said = "the backend fails: connection refused; waiting: 5 spans";
        assert_eq!(backend.news(start, &stats), Some(News::Fails(said.to_owned())));
        stats.retries = 2;
        stats.lost_full = 3;
        assert_eq!(backend.news(start + SILENCE / 2, &stats), None);
        let Some(News::Fails(said)) = backend.news(start + SILENCE, &stats) else { panic!() };
        assert!(said.contains("3 spans lost for want of room; if that lasts, raise"), "{said}");
        stats.sent = 5;
        stats.waiting = 0;
        let said = "the backend takes spans again; waiting: 0 spans".to_owned();
        assert_eq!(backend.news(start + SILENCE, &stats), Some(News::TakesAgain(said)));
        assert_eq!(backend.news(start + 9 * SILENCE, &stats), None);
    }

    #[test]
    fn what_went_wrong_in_silence_does_not_hide_that_the_backend_is_back() {
        let (mut backend, start) = (Backend::default(), Instant::now());
        let mut stats = ForwardStats::default();
        (stats.retries, stats.waiting) = (1, 5);
        assert!(matches!(backend.news(start, &stats), Some(News::Fails(_))));
        (stats.retries, stats.lost_full) = (3, 2);
        assert_eq!(backend.news(start + SILENCE / 5, &stats), None);
        // Between two looks it fails once more, and then takes everything.
        (stats.retries, stats.sent, stats.waiting) = (4, 5, 0);
        assert_eq!(backend.news(start + SILENCE / 4, &stats), None);
        let Some(News::TakesAgain(said)) = backend.news(start + SILENCE / 3, &stats) else {
            panic!()
        };
        assert!(said.contains("takes spans again; 2 spans lost for want of room"), "{said}");
        assert_eq!(backend.news(start + 2 * SILENCE, &stats), None, "nothing is wrong any more");
    }
}
