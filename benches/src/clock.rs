//! Times of a few nanoseconds: the processor's counter, and histograms of its ticks.

use hdrhistogram::Histogram;
use quanta::Clock;

/// Reads the processor's counter, and knows how long a tick is.
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
    /// One in a hundred is longer.
    pub p99: f64,
    /// One in a thousand is longer.
    pub p999: f64,
    /// The longest.
    pub max: f64,
}

impl Quantiles {
    /// By name.
    pub fn named(self) -> [(&'static str, f64); 4] {
        [("p50", self.p50), ("p99", self.p99), ("p99.9", self.p999), ("max", self.max)]
    }
}

impl Ticks {
    /// Finds out how long a tick is: some milliseconds the first time.
    pub fn new() -> Self {
        const MANY: u64 = 1 << 40;
        let clock = Clock::new();
        let nanos = clock.delta_as_nanos(0, MANY) as f64 / MANY as f64;
        Self { clock, nanos }
    }

    /// The counter.
    #[inline(always)]
    pub fn now(&self) -> u64 {
        self.clock.raw()
    }

    /// Ticks from one event to the next, of so many a second.
    pub fn apart(&self, per_second: f64) -> f64 {
        1e9 / per_second / self.nanos
    }

    /// How long the clock itself takes: the times between two readings that follow each other.
    pub fn floor(&self) -> Quantiles {
        let mut times = self.times();
        for _ in 0..200_000 {
            let started = self.now();
            times.note(started, self.now());
        }
        times.quantiles()
    }

    /// An empty histogram.
    pub fn times(&self) -> Times {
        // A quarter of an hour, with three digits.
        let histogram = Histogram::new_with_bounds(1, 1 << 42, 3).expect("the bounds are fair");
        Times { histogram, nanos: self.nanos }
    }
}

impl Default for Ticks {
    fn default() -> Self {
        Self::new()
    }
}

/// Times, counted by length.
#[derive(Clone, Debug)]
pub struct Times {
    histogram: Histogram<u64>,
    nanos: f64,
}

impl Times {
    /// Counts one, from tick to tick.
    #[inline]
    pub fn note(&mut self, from: u64, to: u64) {
        // Another core's counter may be a few ticks behind.
        self.histogram.saturating_record(to.saturating_sub(from).max(1));
    }

    /// Counts another's too.
    ///
    /// # Panics
    /// If they are of another clock's making.
    pub fn add(&mut self, other: &Self) {
        self.histogram.add(&other.histogram).expect("all have the same bounds");
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// The quantiles.
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
