//! The reference page of the API, for people: HTML without a script, made from the same table.

use super::parameters::{SIGNS, parameter};
use super::table::Route;
use std::collections::BTreeSet;
use std::fmt::Write;

/// What answers say of themselves.
const WORDS: [(&str, &str); 13] = [
    ("report", "How the answer was found. It stands in every answer that looks through records."),
    (
        "report.led_by",
        "The index that led to the records. Null: no index could, and the store was looked through.",
    ),
    ("report.looked_at", "How many slots were looked at: what the question cost."),
    ("report.shown", "How many records fitted, as far as the limit lets them be shown."),
    (
        "report.cut",
        "Records that fit were, or may have been, evicted while the question was being answered. Ask again, or keep more.",
    ),
    (
        "report.missed",
        "Only of a page after another (after=): how many records of its range were evicted since the page before.",
    ),
    (
        "report.from_kept",
        "How many records of the answer the stores have evicted: they are here because their traces are kept (serve --keep). They have no position. Absent if there are none.",
    ),
    (
        "report.history",
        "Told if the history's files were asked (history=true, or times that memory does not hold any more), or should have been: what came from memory, kept traces and files, how much was read, why it ended early (cut), how many files could not be read (failed, last_error) or were deleted meanwhile (gone), and whether all files were read (complete); how many records, of any kind, were on their way to a file (waiting) or are in none (lost); else why files were not asked (why_not).",
    ),
    (
        "kept",
        "Of a trace: the policy that kept it, how many of its spans, log records and metric points the stores have evicted, and how many were refused because it had become too large. Absent if it is not kept.",
    ),
    (
        "partial",
        "Records that fit are known to have been evicted before the question was asked. Of a trace: spans of it are gone, so that times, parents and the critical path may lack something. False means that nothing is known of it, not that all is there.",
    ),
    (
        "next",
        "More records fit than the limit shows: give it as after= for the next page. Records that came in meanwhile are not in it.",
    ),
    (
        "more, left_out, points_left_out",
        "The limit left something out; raise limit, or narrow the conditions.",
    ),
    (
        "note",
        "Of a span in a trace. missing_parent: it names a parent that was evicted, was never sent or has not ended yet; it stands at the top. bad_times: its start or end is unknown, or the end lies before the start.",
    ),
];

const RULES: [&str; 6] = [
    "A time stands twice: in RFC 3339 (UTC, nine digits of the second), and as text of nanoseconds since 1970 in the member that ends in _unix_nanos. An unknown time is null and \"0\".",
    "A duration is a number whose unit ends its name: duration_nanos, rate_per_second.",
    "Kinds, statuses and severities stand by their lower-case names.",
    "Attributes are an object. Numbers that JSON lacks are text: NaN, Infinity, whole numbers beyond 2^53.",
    "A resource, a scope or a metric stands once an answer, in resources, scopes and metrics; a record names it by its place there, from 0 on. In a tail, a record has its own.",
    "An error is {\"error\": \"what was wrong, and what to write instead\"} with the status 400, 403, 404, 410, 500 or 503.",
];

/// Escapes text for HTML.
fn text(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Returns the page.
pub fn page(table: &[Route]) -> String {
    let mut page = String::from(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>The API of slipring</title>\n<link rel=\"icon\" href=\"../page/icon.svg\" type=\"image/svg+xml\">\n\
         <link rel=\"stylesheet\" href=\"../page/base.css\">\n</head>\n<body>\n<main>\n<p><a href=\"..\">&larr; The page</a></p>\n<h1>The API</h1>\n\
         <p>Questions are asked by GET, or by POST with the parameters in a JSON object. Answers are JSON, packed by gzip or zstd if Accept-Encoding asks for it. \
         <a href=\"openapi.json\">openapi.json</a> describes all of it for programs.</p>\n",
    );
    // Writing to a string never fails.
    let _ = write(&mut page, table);
    page.push_str("</main>\n</body>\n</html>\n");
    page
}

fn write(page: &mut String, table: &[Route]) -> std::fmt::Result {
    writeln!(page, "<h2>How answers read</h2>\n<ul>")?;
    RULES.iter().try_for_each(|rule| writeln!(page, "<li>{}</li>", text(rule)))?;
    writeln!(page, "</ul>\n<h2>What answers say of themselves</h2>\n<dl>")?;
    for (word, what) in WORDS {
        writeln!(page, "<dt><code>{}</code></dt><dd>{}</dd>", text(word), text(what))?;
    }
    writeln!(page, "</dl>\n<h2>Questions</h2>\n<dl>")?;
    for one in table {
        write!(page, "<dt><code>{}</code></dt><dd>{}", text(one.path), text(one.what))?;
        for (at, name) in one.takes.iter().enumerate() {
            let before = if at == 0 { "<br>takes " } else { ", " };
            write!(page, "{before}<a href=\"#{name}\">{name}</a>")?;
        }
        writeln!(page, "</dd>")?;
    }
    writeln!(
        page,
        "</dl>\n<h2>Parameters</h2>\n<p>Signs before the =: {}.</p>\n<dl>",
        text(SIGNS)
    )?;
    let names: BTreeSet<&str> = table.iter().flat_map(|one| one.takes.iter().copied()).collect();
    for one in names.into_iter().map(parameter) {
        let signs =
            if one.signs.is_empty() { String::new() } else { format!(" (also {})", one.signs) };
        let example = match one.example {
            "" => String::new(),
            example => format!(", as <code>{}={}</code>", one.name, text(example)),
        };
        writeln!(
            page,
            "<dt id=\"{0}\"><code>{0}</code>{signs}</dt><dd>{1}{example}</dd>",
            one.name,
            text(one.what)
        )?;
    }
    writeln!(
        page,
        "</dl>\n<p>In a pattern, * stands for any characters and ? for one; \\ before one of these three stands for itself. \
         In a URL, a space is %20, &lt; is %3C, &gt; is %3E, &amp; is %26, # is %23.</p>"
    )
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn text_is_no_markup() {
        assert_eq!(text("<a b=\"c&d\">"), "&lt;a b=&quot;c&amp;d&quot;&gt;");
    }
}
