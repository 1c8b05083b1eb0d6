//! What the store answers, held against the model.

use super::*;
use slipring::error::GetError;

impl Pair {
    pub(super) fn compare_get(&self, back: u8) {
        let Some((position, record)) = self.recent(back) else { return };
        match self.store.get(position) {
            Ok(found) => {
                assert!(self.is_visible(position), "{position} is gone");
                assert_eq!(found, record);
            }
            Err(error) => {
                assert!(!self.is_visible(position), "{position}: {error}");
                let cleared = position.sequence() < self.cleared_below[position.shard()];
                assert_eq!(error, if cleared { GetError::Cleared } else { GetError::Evicted });
            }
        }
    }

    pub(super) fn compare_lookup(&self, index: usize, key: u8, limit: usize) {
        let key = number_key(index, key);
        let key = key.as_key();
        let limit = if limit == 0 { usize::MAX } else { limit };
        let carriers = self
            .visible()
            .rev()
            .filter(|(_, record)| Record::INDEXES[index].key(record) == Some(key));
        let expected: Vec<(Position, Record)> = carriers.take(limit).cloned().collect();
        let answer = self.store.query().key(INDEXES[index], key).limit(limit).collect().unwrap();
        assert!(!answer.report.cut, "the answer is cut although nothing was evicted");
        assert_eq!(answer.into_positioned().collect::<Vec<_>>(), expected);
    }

    /// Returns whether a record meets a query's conditions, regardless of the bookmarks.
    fn meets(&self, ask: Ask, record: &Record) -> bool {
        let carries = |index: usize| {
            let wanted = |key: Key<'_>| {
                (0..8)
                    .filter(|key| ask.keys[index] >> key & 1 != 0)
                    .any(|one| key == number_key(index, one).as_key())
            };
            Record::INDEXES[index].key(record).is_some_and(wanted)
        };
        let of_time = || self.times(ask).contains(&record.timestamp());
        (0..3).all(|index| ask.conditions >> index & 1 == 0 || carries(index))
            && (ask.conditions & 8 == 0 || of_time())
            && (ask.conditions & 16 == 0 || !record.number.is_multiple_of(3))
    }

    fn times(&self, ask: Ask) -> std::ops::Range<u64> {
        let start = (self.pushed.len() as u64 / 2).saturating_sub(u64::from(ask.time.0));
        start..start + u64::from(ask.time.1)
    }

    fn ask(&self, ask: Ask) -> Query<'_, Record> {
        let mut query = self.store.query();
        for index in (0..3).filter(|index| ask.conditions >> index & 1 != 0) {
            let keys: Vec<KeyBuf> = (0..8)
                .filter(|key| ask.keys[index] >> key & 1 != 0)
                .map(|key| number_key(index, key))
                .collect();
            query = query.any_of(INDEXES[index], keys.iter());
        }
        if ask.conditions & 8 != 0 {
            query = query.between(self.times(ask));
        }
        if ask.conditions & 16 != 0 {
            query = query.filter(|record| !record.number.is_multiple_of(3));
        }
        query
    }

    /// Compares every form of query, in every order, as a whole and page by page.
    pub(super) fn compare_ask(&self, ask: Ask) {
        let bookmark = |bit: u8, back: u8| {
            let wanted = ask.conditions & bit != 0;
            self.bookmarks.iter().rev().nth(usize::from(back % 4)).filter(|_| wanted)
        };
        let (since, until) = (bookmark(32, ask.since), bookmark(64, ask.until));
        let build = |ask| {
            let mut query = self.ask(ask);
            if let Some((bookmark, _)) = since {
                query = query.since(bookmark);
            }
            if let Some((bookmark, _)) = until {
                query = query.until(bookmark);
            }
            query
        };
        let order = match ask.order % 5 {
            0 => Some(Order::Newest),
            1 => Some(Order::Oldest),
            2 => Some(Order::Latest),
            3 => Some(Order::Earliest),
            _ => None,
        };
        let from = since.map_or(0, |(_, pushed)| *pushed);
        let to = until.map_or(self.pushed.len(), |(_, pushed)| *pushed).max(from);
        let asked = &self.pushed[from..to];
        let mut expected: Vec<&(Position, Record)> = asked
            .iter()
            .filter(|(at, record)| self.is_visible(*at) && self.meets(ask, record))
            .collect();
        let gone = asked.iter().filter(|(at, _)| !self.is_visible(*at)).count();
        match order.unwrap_or(if since.is_some() { Order::Oldest } else { Order::Newest }) {
            Order::Newest => expected.reverse(),
            Order::Oldest => {}
            Order::Latest => expected
                .sort_by_key(|(_, record)| std::cmp::Reverse((record.timestamp(), record.number))),
            Order::Earliest => {
                expected.sort_by_key(|(_, record)| (record.timestamp(), record.number))
            }
            other => panic!("the model does not know the order {other:?}"),
        }
        let expected: Vec<(Position, Record)> = expected.into_iter().cloned().collect();
        let with_order = |query: Query<'_, Record>| match order {
            Some(order) => query.order(order).collect(),
            None => query.collect(),
        };
        let answer = with_order(build(ask)).unwrap();
        let report = answer.report.clone();
        assert_eq!(answer.into_positioned().collect::<Vec<_>>(), expected, "{report:?}");
        assert_eq!(report.shown as usize, expected.len());
        assert!(!report.cut && report.next.is_none(), "{report:?}");
        let bounded = since.is_some();
        assert_eq!(report.missed as usize, if bounded { gone } else { 0 }, "{report:?}");
        if let Some(bookmark) = &report.bookmark {
            let rest = self.store.query().since(bookmark).collect().unwrap();
            let expected: Vec<&Record> = self.pushed[to..]
                .iter()
                .filter(|(at, _)| self.is_visible(*at))
                .map(|(_, record)| record)
                .collect();
            assert!(rest.iter().eq(expected));
        }

        // The same query, page by page.
        let limit = usize::from(ask.limit % 8) + 1;
        let (mut pages, mut missed) = (Vec::new(), 0);
        let mut page = with_order(build(ask).limit(limit)).unwrap();
        loop {
            assert!(page.len() <= limit);
            missed += page.report.missed;
            let next = page.report.next.clone();
            pages.extend(page.into_positioned());
            let Some(next) = next else { break };
            page = build(ask).after(&next).limit(limit).collect().unwrap();
        }
        assert_eq!(pages, expected);
        assert_eq!(missed as usize, if bounded { gone } else { 0 }, "{ask:?}");
    }

    fn compare_keys(&self, index: usize) {
        let mut expected: BTreeMap<KeyBuf, u64> = BTreeMap::new();
        for key in self.visible().filter_map(|(_, record)| Record::INDEXES[index].key(record)) {
            *expected.entry(key.to_owned()).or_default() += 1;
        }
        let listed = self.store.key_counts(INDEXES[index]).unwrap();
        assert!(listed.is_sorted_by(|a, b| a.count >= b.count));
        let found: BTreeMap<KeyBuf, u64> =
            listed.into_iter().map(|count| (count.key, count.count)).collect();
        assert_eq!(found, expected);
        assert!(self.store.keys(INDEXES[index]).unwrap().iter().eq(expected.keys()));
        let entries = self.store.stats().indexes[index].entries as usize;
        if self.narrow {
            assert!(entries <= expected.len() && (entries == 0) == expected.is_empty());
        } else {
            assert_eq!(entries, expected.len());
        }
    }

    /// Checks everything that holds after every call.
    pub fn compare(&self) {
        self.store.audit().unwrap();
        for index in 0..INDEXES.len() {
            self.compare_keys(index);
            (0..8).for_each(|key| self.compare_lookup(index, key, 0));
        }
        let live = self.visible().count() as u64;
        let stats = self.store.stats();
        assert_eq!(self.store.len() as u64, live);
        assert_eq!(stats.count, live);
        assert_eq!(stats.offered, stats.count + stats.evicted.total() + stats.rejected.total());
        assert_eq!(stats.offered - stats.rejected.total(), self.pushed.len() as u64);
        assert_eq!(stats.evicted.cleared, self.cleared);
        assert_eq!(stats.caught_panics, 0);
        if let Some(class) = stats.class {
            let of_class = |(at, record): &&(Position, Record)| {
                let is_there = at.shard() == self.claimed.len() - 1;
                assert_eq!(is_there, record.is_picked());
                is_there
            };
            assert_eq!(class.count as usize, self.visible().filter(of_class).count());
        }
    }

    /// Ends the store: hooks must have seen each evicted record once, in order.
    pub fn finish(self) {
        self.store.flush().unwrap();
        while self.store.step_at(|| self.now) {}
        let stats = self.store.stats();
        let hooked = self.hooked.lock().unwrap();
        let gone: HashMap<Position, &Record> = self
            .pushed
            .iter()
            .filter(|(at, _)| !self.is_visible(*at))
            .map(|(at, record)| (*at, record))
            .collect();
        let seen: HashSet<Position> = hooked.iter().map(|(position, ..)| *position).collect();
        assert_eq!(hooked.len(), seen.len(), "each once");
        assert_eq!(hooked.len(), gone.len());
        assert!(hooked.iter().all(|(position, record, _)| gone[position] == record));
        let of_reason =
            |wanted| hooked.iter().filter(|(.., reason)| *reason == wanted).count() as u64;
        assert_eq!(of_reason(EvictReason::Capacity), stats.evicted.capacity);
        assert_eq!(of_reason(EvictReason::Cleared), stats.evicted.cleared);
        assert_eq!(of_reason(EvictReason::Age), stats.evicted.age);
        assert_eq!(of_reason(EvictReason::Bytes), stats.evicted.bytes);
        for shard in 0..self.claimed.len() {
            let order = hooked.iter().filter(|(position, ..)| position.shard() == shard);
            assert!(order.is_sorted_by_key(|(position, ..)| position.sequence()));
        }
    }
}
