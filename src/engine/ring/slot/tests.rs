//! Unit tests of the module above.

use super::*;

#[test]
fn prefetching_covers_the_record_and_runs_a_kibibyte_ahead() {
    assert_eq!(
        [1, 64, 65, 184, 448, 512, 513, 4_096].map(prefetched_lines),
        [1, 1, 2, 3, 7, 8, 9, 64]
    );
    assert_eq!([0, 64, 184, 960, 4_096].map(prefetch_distance), [17, 9, 5, 2, 1]);
}
