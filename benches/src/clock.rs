//! Measures times of a few nanoseconds with the processor's tick counter, and collects them in
//! histograms.

use hdrhistogram::Histogram;
use quanta::Clock;

/// Reads the processor's tick counter, and converts ticks to nanoseconds.
#[derive(Clone, Debug)]
pub struct Ticks {
    clock: Clock,
    nanos: f64,
}

/// Quantiles of times, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantiles {
    /// The median.
    pub p50: f64,
    /// The 99th percentile.
    pub p99: f64,
    /// The 99.9th percentile.
    pub p999: f64,
    /// The longest.
    pub max: f64,
}

impl Quantiles {
    /// Returns the quantiles with their names.
    pub fn named(self) -> [(&'static str, f64); 4] {
        [("p50", self.p50), ("p99", self.p99), ("p99.9", self.p999), ("max", self.max)]
    }
}

impl Ticks {
    /// Calibrates the length of a tick, which takes some milliseconds the first time.
    pub fn new() -> Self {
        const MANY: u64 = 1 << 40;
        let clock = Clock::new();
        let nanos = clock.delta_as_nanos(0, MANY) as f64 / MANY as f64;
        Self { clock, nanos }
    }

    /// Reads the counter.
    #[inline(always)]
    pub fn now(&self) -> u64 {
        self.clock.raw()
    }

    /// Returns the number of ticks between two events that occur `per_second` times per second.
    pub fn apart(&self, per_second: f64) -> f64 {
        1e9 / per_second / self.nanos
    }

    /// Measures the clock's own cost: the times between two consecutive readings.
    pub fn floor(&self) -> Quantiles {
        let mut times = self.times();
        for _ in 0..200_000 {
            let started = self.now();
            times.note(started, self.now());
        }
        times.quantiles()
    }

    /// Creates an empty histogram.
    pub fn times(&self) -> Times {
        // Up to a quarter of an hour, with three significant digits.
        let histogram = Histogram::new_with_bounds(1, 1 << 42, 3).expect("the bounds are valid");
        Times { histogram, nanos: self.nanos }
    }
}

impl Default for Ticks {
    fn default() -> Self {
        Self::new()
    }
}

/// A histogram of times.
#[derive(Clone, Debug)]
pub struct Times {
    histogram: Histogram<u64>,
    nanos: f64,
}

impl Times {
    /// Adds the time between two readings of the counter.
    #[inline]
    pub fn note(&mut self, from: u64, to: u64) {
        // Another core's counter may be a few ticks behind.
        self.histogram.saturating_record(to.saturating_sub(from).max(1));
    }

    /// Adds the times of another histogram.
    ///
    /// # Panics
    /// If the histograms have different bounds.
    pub fn add(&mut self, other: &Self) {
        self.histogram.add(&other.histogram).expect("all have the same bounds");
    }

    /// Returns the number of times.
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// Returns the quantiles.
    pub fn quantiles(&self) -> Quantiles {
        let at = |quantile| self.histogram.value_at_quantile(quantile) as f64 * self.nanos;
        Quantiles {
            p50: at(0.5),
            p99: at(0.99),
            p999: at(0.999),
            max: self.histogram.max() as f64 * self.nanos,
        }
    }
}
