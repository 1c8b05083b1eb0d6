//! Figures of the stores for Prometheus.

use super::app::App;
use crate::receive::Figures;
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use slipring::store::Stats;
use std::sync::Arc;

pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/metrics", get(|State(app): State<Arc<App>>| async move { figures(&app) }))
}

/// Returns the figures of the stores and of the program.
fn figures(app: &App) -> Figures {
    let stats = app.telemetry.stats();
    let stats = [&stats.traces, &stats.logs, &stats.metrics];
    let mut figures = Figures::default();
    let each = |figure: fn(&Stats) -> u64| {
        stats.map(|stats| (format!("{{signal=\"{}\"}}", stats.signal), figure(stats)))
    };
    type Counts = fn(&Stats) -> Vec<(&'static str, u64)>;
    let by_reason = |counts: Counts| -> Vec<(String, u64)> {
        let of = |stats: &Stats| {
            let label = |(reason, count)| {
                (format!("{{signal=\"{}\",reason=\"{reason}\"}}", stats.signal), count)
            };
            counts(stats).into_iter().map(label).collect::<Vec<_>>()
        };
        stats.into_iter().flat_map(of).collect()
    };
    figures.family(
        "capacity_records",
        "gauge",
        "Records that are kept at most.",
        &each(|stats| stats.capacity),
    );
    figures.family("records", "gauge", "Records that are held.", &each(|stats| stats.count));
    figures.family(
        "offered_records_total",
        "counter",
        "Records that were offered.",
        &each(|stats| stats.offered),
    );
    let evicted = by_reason(|stats| {
        let counts = stats.evicted;
        vec![
            ("capacity", counts.capacity),
            ("cleared", counts.cleared),
            ("age", counts.age),
            ("bytes", counts.bytes),
        ]
    });
    figures.family(
        "evicted_records_total",
        "counter",
        "Records that have left, by reason.",
        &evicted,
    );
    let rejected = by_reason(|stats| {
        let counts = stats.rejected;
        vec![
            ("full", counts.full),
            ("closed", counts.closed),
            ("panicked", counts.panicked),
            ("too_large", counts.too_large),
        ]
    });
    figures.family(
        "rejected_records_total",
        "counter",
        "Records that the stores did not take, by reason.",
        &rejected,
    );
    let shares: Vec<_> = by_reason(|stats| {
        let counts = stats.shares.into_iter();
        counts.flat_map(|one| [("share", one.diverted), ("beyond", one.beyond)]).collect()
    });
    if !shares.is_empty() {
        let help = "Records of services that had used their share up (share), and of those that were not counted, since there were too many (beyond).";
        figures.family("share_records_total", "counter", help, &shares);
    }
    figures.family(
        "memory_bytes",
        "gauge",
        "All bytes of a store.",
        &each(|stats| stats.total_memory_bytes),
    );
    figures.family(
        "index_bytes",
        "gauge",
        "Bytes of its indexes.",
        &each(|stats| stats.index_memory_bytes),
    );
    figures.family(
        "lag_records",
        "gauge",
        "Records that are not indexed yet; queries see them.",
        &each(|stats| stats.indexer_lag),
    );
    if let Some(history) = &app.history {
        let stats = history.stats();
        figures.one("history_points", "gauge", "Metric points in the history.", stats.held);
        figures.one("history_series", "gauge", "Series in the history.", stats.series as u64);
        figures.one("history_bytes", "gauge", "Bytes of the history.", stats.bytes as u64);
        let gone = [
            ("missed", stats.missed),
            ("cleared", stats.cleared),
            ("summary", stats.summaries),
            ("too_large", stats.too_large),
            ("expired", stats.expired),
        ]
        .map(|(reason, count)| (format!("{{reason=\"{reason}\"}}"), count));
        let help = "Metric points that left their store and are not in the history, by reason.";
        figures.family("history_gone_points_total", "counter", help, &gone);
    }
    #[cfg(feature = "archive")]
    if let Some(archive) = &app.archive {
        of_archive(&archive.stats(), &mut figures);
    }
    if let Some(keep) = &app.keep {
        keep.figures().metrics(&mut |name, kind, help, of| figures.family(name, kind, help, of));
    }
    figures.of_program(&app.intake);
    figures
}

/// Adds what is in files, waits for them, and was lost.
#[cfg(feature = "archive")]
fn of_archive(stats: &slipring_archive::Stats, figures: &mut Figures) {
    let waiting = stats.held + stats.queued;
    figures.one("archive_waiting_records", "gauge", "Records that wait for a file.", waiting);
    let help = "Records that were written into files.";
    figures.one("archive_written_records_total", "counter", help, stats.written);
    let help = "Bytes of files that were written.";
    figures.one("archive_written_bytes_total", "counter", help, stats.written_bytes);
    figures.one("archive_files_total", "counter", "Files that were written.", stats.files);
    let help = "Files that were deleted for their age, or for the bytes of all.";
    figures.one("archive_deleted_files_total", "counter", help, stats.deleted_files);
    let help = "Attempts to write, list or delete files that have failed.";
    figures.one("archive_errors_total", "counter", help, stats.errors);
    let lost = [
        ("no_room", stats.lost.no_room),
        ("cleared", stats.lost.cleared),
        ("failed", stats.lost.failed),
        ("unfinished", stats.lost.unfinished),
        ("unknown", stats.lost.unknown),
        ("unreadable", stats.lost.unreadable),
    ]
    .map(|(reason, count)| (format!("{{reason=\"{reason}\"}}"), count));
    let help = "Records that left their store and are in no file, by reason.";
    figures.family("archive_lost_records_total", "counter", help, &lost);
    let help = "Small files that were merged and are gone.";
    figures.one("archive_merged_files_total", "counter", help, stats.merged_files);
    let help = "Files that small ones were merged into.";
    figures.one("archive_merged_into_total", "counter", help, stats.merged_into);
    let help =
        "Records that an earlier start had left in the log, and that are in files now, or lost.";
    figures.one("archive_recovered_records_total", "counter", help, stats.recovered);
    figures.one("archive_log_bytes", "gauge", "Bytes of the log.", stats.log.bytes);
    let help = "Records that were logged.";
    figures.one("archive_logged_records_total", "counter", help, stats.log.logged);
    let help = "Records of these that were synced to the disk.";
    figures.one("archive_synced_records_total", "counter", help, stats.log.synced);
    let unlogged = [("full", stats.log.full), ("failed", stats.log.failed)]
        .map(|(reason, count)| (format!("{{reason=\"{reason}\"}}"), count));
    let help = "Records that are not in the log, by reason: kill -9 loses them while they wait.";
    figures.family("archive_unlogged_records_total", "counter", help, &unlogged);
}
