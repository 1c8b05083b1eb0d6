//! Threads take the indexer lock over from each other, also in the middle of taking it over. A term
//! that has ended never comes back, and no move of the cursor is lost or counts twice.

use loom::sync::atomic::Ordering;
use loom::thread;
use slipring::ModelTerms;
use slipring_loom_tests::{assert_caught, explore};
use std::sync::Arc;

#[test]
fn a_term_that_has_ended_stays_ended() {
    explore("terms", 3, || {
        let terms = Arc::new(ModelTerms::held());
        let others = [(); 2].map(|()| {
            let terms = Arc::clone(&terms);
            thread::spawn(move || u64::from(terms.take_over(Ordering::Release, |_| ())))
        });
        let mut moved = u64::from(terms.take_over(Ordering::Release, |_| ()));
        moved += others.into_iter().map(|other| other.join().unwrap()).sum::<u64>();
        let mut reached = 0;
        assert!(terms.take_over(Ordering::Release, |sequence| reached = sequence));
        assert_eq!(reached, moved, "each move of the cursor counts once");
    });
}

#[test]
fn planted_faults_are_caught() {
    assert_caught("AdoptRelaxed", "a_term_that_has_ended_stays_ended", "has come back");
}
