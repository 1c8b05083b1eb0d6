//! Reads this process's metrics from the system, under the names that Prometheus' clients use.
//! Metrics that the system does not report are left out.

use std::fmt::Write;
use std::fs;

/// Linux reports a process's CPU time in hundredths of a second, whatever the kernel's tick rate.
const TICKS: f64 = 100.0;

/// Returns the number after a name, as in `VmRSS: 12 kB`.
fn field(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim_start_matches(':').split_whitespace().next()?.parse().ok()
}

pub fn write_metrics(text: &mut String) {
    let mut figure = |name: &str, kind: &str, help: &str, value: Option<f64>| {
        if let Some(value) = value {
            let _ = writeln!(
                text,
                "# HELP process_{name} {help}\n# TYPE process_{name} {kind}\nprocess_{name} {value}"
            );
        }
    };
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Skips the program's name, which may contain any characters.
    let fields: Vec<&str> =
        stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let ticks = |place: usize| fields.get(place)?.parse::<f64>().ok().map(|ticks| ticks / TICKS);
    let booted = fs::read_to_string("/proc/stat").ok().and_then(|stat| field(&stat, "btime"));
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let open = fs::read_dir("/proc/self/fd").ok().map(|files| files.count() as f64);
    let cpu = ticks(11).zip(ticks(12)).map(|(user, system)| user + system);
    let started = booted.zip(ticks(19)).map(|(booted, after)| booted + after);
    let kibibytes = |name| field(&status, name).map(|kibibytes| kibibytes * 1024.0);
    figure("cpu_seconds_total", "counter", "Processor time, the system's included.", cpu);
    figure("resident_memory_bytes", "gauge", "Memory that is in use.", kibibytes("VmRSS"));
    figure("virtual_memory_bytes", "gauge", "Memory that is asked for.", kibibytes("VmSize"));
    figure("threads", "gauge", "Threads.", field(&status, "Threads"));
    figure("open_fds", "gauge", "Open files.", open);
    figure("max_fds", "gauge", "Files that may be open.", field(&limits, "Max open files"));
    figure("start_time_seconds", "gauge", "When it started, in seconds since 1970.", started);
}
