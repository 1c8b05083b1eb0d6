//! A token bucket.

/// Tokens that become available over time, up to a maximum.
#[derive(Debug)]
pub(super) struct Bucket {
    per_nano: f64,
    burst: f64,
    tokens: f64,
    /// The time of the last look, in nanoseconds of the sampler's clock.
    last: u64,
}

impl Bucket {
    pub(super) fn new(per_second: f64, burst: f64) -> Self {
        Self { per_nano: per_second / 1e9, burst, tokens: burst, last: 0 }
    }

    /// Takes tokens. One that asks for more than the bucket ever holds gets through when it is
    /// full, and leaves a debt.
    pub(super) fn take(&mut self, tokens: f64, now: u64) -> bool {
        let new = now.saturating_sub(self.last) as f64 * self.per_nano;
        self.tokens = (self.tokens + new).min(self.burst);
        self.last = self.last.max(now);
        let enough = self.tokens >= tokens.min(self.burst);
        if enough {
            self.tokens -= tokens;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn over_time_no_more_gets_through_than_the_rate() {
        let mut bucket = Bucket::new(10.0, 5.0);
        let taken = |bucket: &mut Bucket, at| (0..100).filter(|_| bucket.take(1.0, at)).count();
        assert_eq!(taken(&mut bucket, 0), 5);
        assert_eq!(taken(&mut bucket, 1_000_000_000), 5, "no more than a burst is saved up");
        assert_eq!(taken(&mut bucket, 1_200_000_000), 2);
        // Eight tokens of a bucket that holds five: through, and the debt is paid first.
        assert!(bucket.take(8.0, 10_000_000_000));
        assert!(!bucket.take(1.0, 10_300_000_000));
        assert!(bucket.take(1.0, 10_400_000_001));
    }
}
