//! Serves the browser page: static files compiled into the program, with a content security policy.

use super::app::App;
use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::sync::Arc;

/// A file of the page.
struct File {
    name: &'static str,
    text: &'static str,
}

/// Lists the files in `cli/page` by name.
macro_rules! files {
    ($($name:literal),* $(,)?) => {
        &[$(File { name: $name, text: include_str!(concat!("../../page/", $name)) }),*]
    };
}

const INDEX: &str = "index.html";

static FILES: &[File] = files![
    "index.html",
    "api.js",
    "app.js",
    "base.css",
    "chart.js",
    "dom.js",
    "drawing.js",
    "export.js",
    "filters.js",
    "first.js",
    "heat.js",
    "holdings.js",
    "icon.svg",
    "live.js",
    "logs.js",
    "metrics.js",
    "numbers.js",
    "overview.js",
    "points.js",
    "record.js",
    "report.js",
    "route.js",
    "scatter.js",
    "services.js",
    "span.js",
    "store.js",
    "stream.js",
    "text.js",
    "token.js",
    "trace.js",
    "traces.js",
    "tree.js",
    "views.css",
    "waterfall.js",
];

/// What the page may do: run and show its own files, and ask this server. Text that a sender wrote
/// can't become code.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Headers of every file.
pub const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    // Browsers revalidate their copy each time: another version of the program has other files.
    (header::CACHE_CONTROL, "no-cache"),
];

pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/", get(|headers: HeaderMap| async move { send(INDEX, &headers) })).route(
        "/page/{name}",
        get(|Path(name): Path<String>, headers: HeaderMap| async move { send(&name, &headers) }),
    )
}

/// Returns the page's URL. For a server that listens on all addresses, it names this machine.
pub fn address(listens: SocketAddr, has_tls: bool) -> String {
    let (scheme, port) = (if has_tls { "https" } else { "http" }, listens.port());
    if listens.ip().is_unspecified() {
        format!("{scheme}://localhost:{port}/")
    } else {
        format!("{scheme}://{listens}/")
    }
}

impl File {
    fn kind(&self) -> &'static str {
        match self.name.rsplit_once('.') {
            Some((_, "html")) => "text/html; charset=utf-8",
            Some((_, "css")) => "text/css; charset=utf-8",
            Some((_, "js")) => "text/javascript; charset=utf-8",
            Some((_, "svg")) => "image/svg+xml",
            _ => "text/plain; charset=utf-8",
        }
    }

    /// Returns the entity tag, which changes whenever the file does.
    fn tag(&self) -> String {
        let mut hasher = DefaultHasher::new();
        self.text.hash(&mut hasher);
        format!("\"{:016x}\"", hasher.finish())
    }
}

/// A file, or that the browser's copy is still the same. The method HEAD gets its headers alone.
fn send(name: &str, asked: &HeaderMap) -> Response {
    let Some(file) = FILES.iter().find(|file| file.name == name) else {
        let what = format!("the page has no file {name:?}");
        return (StatusCode::NOT_FOUND, axum::Json(serde_json::json!({ "error": what })))
            .into_response();
    };
    let tag = file.tag();
    let known =
        asked.get(header::IF_NONE_MATCH).and_then(|tags| tags.to_str().ok()).unwrap_or_default();
    let is_known = known
        .split(',')
        .any(|known| known.trim().trim_start_matches("W/") == tag || known.trim() == "*");
    let status = if is_known { StatusCode::NOT_MODIFIED } else { StatusCode::OK };
    let body = if is_known { "" } else { file.text };
    (status, HEADERS, [(header::ETAG, tag), (header::CONTENT_TYPE, file.kind().to_owned())], body)
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_file_of_the_folder_is_served_and_small() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/page");
        let there = std::fs::read_dir(folder).unwrap();
        let there: BTreeSet<String> =
            there.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        let served: BTreeSet<String> = FILES.iter().map(|file| file.name.to_owned()).collect();
        assert_eq!(there, served);
        for file in FILES {
            assert!(file.text.lines().count() < 500, "{} is too long for one file", file.name);
            assert_ne!(
                file.kind(),
                "text/plain; charset=utf-8",
                "{} is of no known kind",
                file.name
            );
        }
    }

    /// What would let a sender's text become markup, or would be refused by the policy.
    #[test]
    fn no_file_makes_markup_of_text_or_holds_code_of_its_own() {
        let never = [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "DOMParser",
            "eval(",
            "new Function",
            "createContextualFragment",
            "style=\"",
            "onclick=",
            "javascript:",
            "<style",
            "srcdoc",
        ];
        for file in FILES {
            for word in never {
                assert!(!file.text.contains(word), "{} has {word}", file.name);
            }
        }
        let index = FILES.iter().find(|file| file.name == INDEX).unwrap().text;
        for script in index.split("<script").skip(1) {
            let (opening, rest) = script.split_once('>').unwrap();
            assert!(opening.contains("src=\"") && rest.starts_with("</script>"), "{opening}");
        }
    }

    #[test]
    fn no_file_names_a_foreign_address_and_each_named_file_is_there() {
        let names: BTreeSet<&str> = FILES.iter().map(|file| file.name).collect();
        for file in FILES {
            for (at, _) in file.text.match_indices("://") {
                let before =
                    file.text[..at].rsplit(|sign: char| !sign.is_alphanumeric()).next().unwrap();
                let after = &file.text[at + 3..];
                // A name of an XML language is no address, and what is put together from this
                // page's own is none beside it.
                let is_own = after.starts_with("www.w3.org/2000/svg") || after.starts_with("${");
                assert!(
                    is_own,
                    "{} names {before}://{}",
                    file.name,
                    after.lines().next().unwrap_or_default()
                );
            }
            let quoted = file.text.split(['"', '\'', '`']).filter_map(|text| {
                text.strip_prefix("./")
                    .or_else(|| text.strip_prefix("page/"))
                    .filter(|name| !name.is_empty())
            });
            for name in quoted {
                assert!(names.contains(name), "{} names {name}, which is not there", file.name);
            }
        }
    }

    #[test]
    fn the_address_is_one_that_a_browser_takes() {
        let address = |text: &str| address(text.parse().unwrap(), false);
        assert_eq!(address("0.0.0.0:4318"), "http://localhost:4318/");
        assert_eq!(address("[::]:4318"), "http://localhost:4318/");
        assert_eq!(address("127.0.0.1:80"), "http://127.0.0.1:80/");
        assert_eq!(address("[::1]:4318"), "http://[::1]:4318/");
    }

    #[test]
    fn a_known_file_is_not_sent_again() {
        let first = send("app.js", &HeaderMap::new());
        let tag = first.headers()[header::ETAG].clone();
        let again = HeaderMap::from_iter([(header::IF_NONE_MATCH, tag)]);
        assert_eq!(
            (first.status(), send("app.js", &again).status()),
            (StatusCode::OK, StatusCode::NOT_MODIFIED)
        );
        assert_eq!(send("base.css", &again).status(), StatusCode::OK);
    }
}
