//! Taps: what enters the history while an answer is being read.

use crate::queue::held_bytes;
use slipring::{MetricPoint, Position};

/// The points that entered since a reader opened its tap.
#[derive(Default)]
pub(crate) struct Tap {
    pub(crate) points: Vec<(Position, MetricPoint)>,
    bytes: usize,
    /// Whether there were too many, so that the reader has to begin anew.
    pub(crate) overran: bool,
}

/// The taps of all readers.
pub(crate) struct Taps {
    open: Vec<(u64, Tap)>,
    next: u64,
    most_points: usize,
    most_bytes: usize,
}

impl Taps {
    pub(crate) fn new(most_points: usize, most_bytes: usize) -> Self {
        Self { open: Vec::new(), next: 0, most_points, most_bytes }
    }

    pub(crate) fn open(&mut self) -> u64 {
        self.next += 1;
        self.open.push((self.next, Tap::default()));
        self.next
    }

    /// Closes a tap, and returns what came through it.
    pub(crate) fn close(&mut self, number: u64) -> Tap {
        let at = self.open.iter().position(|(other, _)| *other == number);
        at.map(|at| self.open.swap_remove(at).1).unwrap_or_default()
    }

    /// Shows a point to all readers. A tap that has no room for it is emptied: its reader is too
    /// slow, and must not hold more.
    pub(crate) fn offer(&mut self, position: Position, point: &MetricPoint) {
        for (_, tap) in self.open.iter_mut().filter(|(_, tap)| !tap.overran) {
            tap.bytes += held_bytes(point);
            if tap.points.len() >= self.most_points || tap.bytes > self.most_bytes {
                *tap = Tap { overran: true, ..Tap::default() };
            } else {
                tap.points.push((position, point.clone()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slipring::Store;

    #[test]
    fn a_tap_holds_what_came_since_it_was_opened_or_says_that_it_was_too_much() {
        let store: Store<MetricPoint> = Store::builder().build().unwrap();
        let point = MetricPoint::builder().value(1).build();
        let positions: Vec<_> = (0..5).map(|_| store.push(point.clone()).unwrap()).collect();
        let mut taps = Taps::new(3, 1 << 20);
        let first = taps.open();
        taps.offer(positions[0], &point);
        let second = taps.open();
        positions[1..].iter().for_each(|&position| taps.offer(position, &point));
        let tap = taps.close(first);
        assert!(tap.overran && tap.points.is_empty());
        assert!(taps.close(second).overran && taps.open.is_empty());
        let third = taps.open();
        taps.offer(positions[0], &point);
        let tap = taps.close(third);
        assert!(!tap.overran && tap.points.len() == 1);
        let mut taps = Taps::new(10, 5);
        let number = taps.open();
        taps.offer(positions[0], &point);
        assert!(taps.close(number).overran, "it has no room for the bytes");
    }
}
