//! A burst of more new keys than a directory was sized for is indexed. In an earlier version the
//! new table was filled before the old one's entries had been moved into it, and the indexer died.

mod support;

use slipring::Store;
use support::{Census, Counted};

#[test]
fn a_burst_of_new_keys_is_indexed() {
    for manual in [true, false] {
        for burst in [40, 300, 2_000, 9_999] {
            let census = Census::new();
            let builder = Store::<Counted>::builder().capacity(10_000).shards(1);
            let store = if manual { builder.manual() } else { builder }.build().unwrap();
            for number in 0..burst {
                store.push(Counted::new(&census, number, number)).unwrap();
            }
            store.flush().unwrap();
            store.audit().unwrap();
            assert_eq!(store.stats().index("key").unwrap().entries, burst);
            assert_eq!(store.query().key("number", burst - 1).count().unwrap(), 1);
        }
    }
}
