//! Open spans, and the spans that each thread has entered.

use crate::signal::{KeyValue, SpanId, SpanLink, TraceId};
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The number of tables. Spans are spread over them by id, so that threads seldom contend for a
/// lock.
const TABLES: usize = 16;

/// The properties of an open span.
#[derive(Clone, Debug)]
pub(super) struct Open {
    pub(super) name: &'static str,
    pub(super) trace_id: TraceId,
    pub(super) span_id: SpanId,
    pub(super) parent: Option<SpanId>,
    pub(super) started: u64,
    pub(super) fields: Vec<KeyValue>,
    pub(super) links: Vec<SpanLink>,
    pub(super) failed: bool,
}

#[derive(Debug, Default)]
pub(super) struct OpenSpans([Mutex<HashMap<SpanId, Open>>; TABLES]);

thread_local! {
    /// The spans that this thread has entered, innermost last, each with the address of its
    /// recorder's table.
    static ENTERED: RefCell<Vec<(usize, TraceId, SpanId)>> = const { RefCell::new(Vec::new()) };
}

impl OpenSpans {
    /// Locks a span's table. No user code runs under the lock, and it is held briefly.
    fn table(&self, span: SpanId) -> MutexGuard<'_, HashMap<SpanId, Open>> {
        self.0[u64::from(span) as usize % TABLES].lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, open: Open) {
        self.table(open.span_id).insert(open.span_id, open);
    }

    pub(super) fn change(&self, span: SpanId, change: impl FnOnce(&mut Open)) {
        self.table(span).get_mut(&span).map(change);
    }

    pub(super) fn remove(&self, span: SpanId) -> Option<Open> {
        self.table(span).remove(&span)
    }

    pub(super) fn all(&self) -> Vec<Open> {
        let tables =
            self.0.iter().map(|table| table.lock().unwrap_or_else(PoisonError::into_inner));
        tables.flat_map(|table| table.values().cloned().collect::<Vec<_>>()).collect()
    }

    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    pub(super) fn enter(&self, trace: TraceId, span: SpanId) {
        // The thread-local is gone while a thread ends; the thread is then in no span.
        let _ =
            ENTERED.try_with(|entered| entered.borrow_mut().push((self.address(), trace, span)));
    }

    pub(super) fn exit(&self, span: SpanId) {
        let _ = ENTERED.try_with(|entered| {
            let mut entered = entered.borrow_mut();
            let index = entered
                .iter()
                .rposition(|(recorder, _, known)| (*recorder, *known) == (self.address(), span));
            index.map(|index| entered.remove(index));
        });
    }

    /// Returns the innermost span that this thread has entered.
    pub(super) fn entered(&self) -> Option<(TraceId, SpanId)> {
        let innermost = |entered: &RefCell<Vec<(usize, TraceId, SpanId)>>| {
            let entered = entered.try_borrow().ok()?;
            let own = entered.iter().rev().find(|(recorder, ..)| *recorder == self.address());
            own.map(|(_, trace, span)| (*trace, *span))
        };
        ENTERED.try_with(innermost).ok().flatten()
    }
}
