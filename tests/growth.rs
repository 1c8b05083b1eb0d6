//! The bytes that the library allocates for a request grow linearly with the request's bytes.
//!
//! Allocated bytes are measured instead of time, because they are the same on every machine.
#![cfg(feature = "otlp")]

#[path = "support/protobuf.rs"]
mod protobuf;

use protobuf::*;
use slipring::Telemetry;
use slipring::otlp::{Encoding, Kind};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    /// Bytes that this thread has allocated, freed ones included.
    static ALLOCATED: Cell<u64> = const { Cell::new(0) };
}

fn count(bytes: usize) {
    ALLOCATED.set(ALLOCATED.get() + bytes as u64);
}

// SAFETY: Every method forwards to the system's allocator. The counter is a thread-local without a
// destructor, and does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: The caller's contract is that of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: As above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: As above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: As above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Returns the bytes that are allocated while a request is read and written back.
fn allocated(kind: Kind, body: Vec<u8>) -> u64 {
    let body = bytes::Bytes::from(body);
    // Without a thread, everything happens here.
    let telemetry = Telemetry::builder().traces(20_000).manual().build().unwrap();
    let before = ALLOCATED.get();
    telemetry.ingest(kind, Encoding::Protobuf, body).unwrap();
    match kind {
        Kind::Metrics => {
            drop(telemetry.metrics().query().collect().unwrap().to_otlp(Encoding::Protobuf))
        }
        _ => {
            let answer = telemetry.traces().query().collect().unwrap();
            answer.to_otlp(Encoding::Protobuf);
            let some = answer.iter().take(10);
            some.for_each(|span| drop(serde_json::to_vec(span).unwrap()));
        }
    }
    ALLOCATED.get() - before
}

#[test]
fn a_request_of_ten_times_the_bytes_allocates_about_ten_times_as_much() {
    let named = |number: usize| field(9, &attribute(&number.to_string(), b""));
    type Make<'a> = &'a dyn Fn(usize) -> Vec<u8>;
    let cases: [(&str, Kind, Make<'_>); 8] = [
        ("scopes of a large resource", Kind::Traces, &scopes_of_a_large_resource),
        ("equal attributes", Kind::Traces, &|size| {
            in_scope(&span(&field(9, &attribute("a", b"")).repeat(size / 5)))
        }),
        ("attributes", Kind::Traces, &|size| {
            in_scope(&span(&(0..size / 12).flat_map(named).collect::<Vec<_>>()))
        }),
        ("fields given twice", Kind::Traces, &|size| {
            in_scope(&span(&[field(5, b"a"), named(1)].concat().repeat(size / 10)))
        }),
        ("statuses given twice", Kind::Traces, &|size| {
            in_scope(&span(&field(15, &field(2, b"a")).repeat(size / 5)))
        }),
        ("resources", Kind::Traces, &|size| {
            field(1, &[field(1, b""), field(2, &field(2, &span(b"")))].concat()).repeat(size / 36)
        }),
        ("gauges of a metric", Kind::Metrics, &|size| {
            metric(&field(5, &point(1)).repeat(size / 22))
        }),
        ("groups", Kind::Traces, &|size| in_scope(&span(&group(99, b"").repeat(size / 4)))),
    ];
    for (what, kind, make) in cases {
        let (one, ten) = (allocated(kind, make(50_000)), allocated(kind, make(500_000)));
        let ratio = ten as f64 / one as f64;
        println!("{what}: {one}, {ten}, {ratio:.1}");
        assert!(ratio < 15.0, "{what}: {one} bytes, then {ten}: {ratio:.1} times as many");
    }
}
