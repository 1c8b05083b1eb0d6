//! What each parameter means.

/// A parameter of a question.
pub struct Parameter {
    pub name: &'static str,
    pub what: &'static str,
    /// A value that every question with this parameter takes.
    pub example: &'static str,
    /// The signs that are taken beside `=`.
    pub signs: &'static str,
    /// Whether it may be given several times.
    pub repeats: bool,
}

/// What is said of all signs together.
pub const SIGNS: &str = "!= is any other, ~= a pattern, !~= anything that the pattern does not fit";

const ALL: &str = "!=, ~=, !~=";
const NOT: &str = "!=";
const ONCE: bool = false;
const OFTEN: bool = true;

/// Name, signs, how often, example, meaning.
type Row = (&'static str, &'static str, bool, &'static str, &'static str);

const ROWS: [Row; 29] = [
    (
        "trace",
        NOT,
        OFTEN,
        "5b8efff798038103d269b633813fc60c",
        "A trace's id, in either case, with or without dashes and leading zeros; one of several, if given several times",
    ),
    ("service", ALL, OFTEN, "cart", "A service's name; one of several, if given several times"),
    ("name", ALL, OFTEN, "GET /", "A span's or a metric's name; one of several"),
    (
        "severity",
        NOT,
        OFTEN,
        "error",
        "A level, such as error for ERROR to ERROR4, or a number; one of several",
    ),
    (
        "type",
        ALL,
        OFTEN,
        "sum",
        "gauge, sum, histogram, exponential_histogram or summary; one of several",
    ),
    (
        "since",
        "",
        ONCE,
        "15m",
        "From this time on: a date, a time as 2026-01-31T12:00:00Z, a number since 1970 (seconds to nanoseconds, by its size), or how long ago",
    ),
    ("until", "", ONCE, "2100-01-01", "Up to this time, given as for since"),
    (
        "attribute",
        "",
        OFTEN,
        "http.route.like./api*",
        "[level:]name, !name, name=text, name!=text, name~pattern, name!~pattern, name>=number (>, <=, <), as often as you like; level: record, resource, scope, event, link, exemplar; a name with such signs in it stands in \"double quotes\"; in a URL also name.ge.500 (eq, ne, like, unlike, ge, gt, le, lt)",
    ),
    ("status", NOT, ONCE, "error", "unset, ok or error"),
    ("min_duration", "", ONCE, "250ms", "At least this long, with its unit"),
    ("max_duration", "", ONCE, "10s", "At most this long, with its unit"),
    ("event", ALL, OFTEN, "exception", "The name of an event, as often as you like"),
    ("min_severity", "", ONCE, "warn", "At least this severe: a name, or a number from 1 to 24"),
    ("body", ALL, OFTEN, "*failed*", "A pattern that the body fits, as often as you like"),
    (
        "order",
        "",
        ONCE,
        "",
        "Of records newest (by arrival), oldest, latest (by timestamp) or earliest; of traces newest or slowest; of groups count, errors or p99",
    ),
    ("limit", "", ONCE, "10", "How many are shown: 1 to 10,000, else 100"),
    ("after", "", ONCE, "", "What next of the page before says"),
    (
        "moment",
        "",
        ONCE,
        "",
        "What arrived after a moment: what moment of /api/moment said; order is oldest unless given, and the report's missed counts what was evicted since",
    ),
    (
        "kept",
        "",
        ONCE,
        "no",
        "yes or no: whether records count that the stores have evicted, and that are here because serve --keep keeps their traces; yes unless given",
    ),
    (
        "format",
        "",
        ONCE,
        "json",
        "json, or otlp: an export request in OTLP/JSON; of an export json or protobuf",
    ),
    (
        "signal",
        "",
        ONCE,
        "spans",
        "What is exported: spans, logs or metrics; all three unless given",
    ),
    ("root_service", "", ONCE, "frontend", "The service of a trace's root"),
    ("root_name", "", ONCE, "GET /", "The name of a trace's root"),
    ("at_least", "", ONCE, "250ms", "Traces that took at least this long, with its unit"),
    (
        "by",
        "",
        OFTEN,
        "service",
        "What records are grouped by: the name of an index, kind or status of spans, body of logs, unit of metrics, or attribute:[level:]name; up to three times",
    ),
    (
        "history",
        "",
        ONCE,
        "false",
        "true or false: whether what has left the stores is looked for in files, too, if the program was built for that and has --history; unless given, it is if since or until is about times that memory does not hold any more. An answer with files goes by time: newest is latest, and oldest is earliest",
    ),
    ("points", "", ONCE, "50", "Points of each series, the latest, at most"),
    (
        "step",
        "",
        ONCE,
        "10s",
        "Steps of time, with their unit: rates and quantiles in each; at most 1,000 steps between since and until, or the first point and the last",
    ),
    (
        "sum_by",
        "",
        OFTEN,
        "service",
        "With step: series are summed that have this in common: name, service, all, or attribute:[level:]name; up to three times",
    ),
];

/// Returns a parameter by its name.
pub fn parameter(name: &str) -> Parameter {
    let row = ROWS.iter().find(|row| row.0 == name);
    let &(name, signs, repeats, example, what) =
        row.unwrap_or_else(|| panic!("the parameter {name} is not described"));
    Parameter { name, what, example, signs, repeats }
}
