//! The page, from outside: how its files are served, and what it does in a real browser.
//!
//! The browser is the machine's own chromium; what drives it comes from npm, into the target
//! folder. Where one of them is not to be had, the test says so and passes; with
//! `SLIPRING_BROWSER_TEST=required` it fails. `SLIPRING_BROWSER` names another browser.

mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use support::{Answer, SLIPRING, Server};

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    answer.head.lines().find_map(|line| {
        let (told, value) = line.split_once(": ")?;
        told.eq_ignore_ascii_case(name).then_some(value)
    })
}

/// The files of the page, by following each to those that it names.
fn all_files(server: &Server) -> Vec<(String, Answer)> {
    let (mut known, mut open) = (BTreeSet::from(["/".to_owned()]), vec!["/".to_owned()]);
    let mut all = Vec::new();
    while let Some(path) = open.pop() {
        let answer = server.get(&path);
        assert_eq!(answer.status, 200, "{path}: {answer}");
        for quoted in answer.text().split('"') {
            let name = quoted.strip_prefix("./").or_else(|| quoted.strip_prefix("page/"));
            if let Some(path) =
                name.map(|name| format!("/page/{name}")).filter(|path| known.insert(path.clone()))
            {
                open.push(path);
            }
        }
        all.push((path, answer));
    }
    all
}

#[test]
fn each_file_of_the_page_is_served_under_the_strict_policy() {
    let server = Server::start(&[]);
    let files = all_files(&server);
    let in_folder =
        std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/page")).unwrap().count();
    assert_eq!(files.len(), in_folder, "a file is named by no other");
    for (path, answer) in &files {
        let kind = match path.rsplit_once('.').map_or("html", |(_, end)| end) {
            "js" => "text/javascript; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            "svg" => "image/svg+xml",
            _ => "text/html; charset=utf-8",
        };
        assert_eq!(header(answer, "content-type"), Some(kind), "{path}");
        assert_eq!(header(answer, "content-security-policy"), Some(POLICY), "{path}");
        assert_eq!(header(answer, "x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(header(answer, "cache-control"), Some("no-cache"), "{path}");

        let head = server.send("HEAD", path, &[], b"");
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
        assert_eq!(
            header(&head, "content-length"),
            Some(answer.body.len().to_string().as_str()),
            "{path}"
        );

        let tag = header(answer, "etag").expect("it has one");
        let again = server.send("GET", path, &[("if-none-match", tag)], b"");
        assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
        let other = server.send("GET", path, &[("if-none-match", "\"0\"")], b"");
        assert_eq!(other.status, 200, "{path}");
    }
}

#[test]
fn what_the_page_does_not_have_stays_an_error_in_json() {
    let server = Server::start(&[]);
    for path in
        ["/page/none.js", "/page/..%2fapp.js", "/page/", "/index.html", "/favicon.ico", "/none"]
    {
        let answer = server.get(path);
        assert_eq!(answer.status, 404, "{path}: {answer}");
        assert!(answer.json()["error"].is_string(), "{path}: {answer}");
    }
    assert_eq!(server.post("/", "text/plain", b"").status, 405);
}

#[test]
fn a_foreign_name_gets_no_page() {
    let server = Server::start(&[]);
    let asked = b"GET / HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n";
    assert_eq!(support::parse(&server.raw(asked)).status, 403);
}

#[test]
fn the_server_says_what_it_is_and_the_graph_how_long_calls_took() {
    let server = Server::start(&[]);
    let told = server.ask("/api/server");
    assert_eq!(told["grpc"], server.grpc.to_string());
    assert_eq!(told["http"], server.http.to_string());
    assert_eq!(told["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(told["requests"]["taken"], 0);
    let span = |id: u8, parent: &str, kind: u8, until: u32| {
        format!(
            r#"{{"traceId":"{:032x}","spanId":"{id:016x}","parentSpanId":"{parent}","name":"a","kind":{kind},
            "startTimeUnixNano":"1700000000000000000","endTimeUnixNano":"{}"}}"#,
            1,
            1_700_000_000_000_000_000 + u64::from(until)
        )
    };
    let of = |service: &str, span: &str| {
        format!(
            r#"{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"{service}"}}}}]}},"scopeSpans":[{{"spans":[{span}]}}]}}"#
        )
    };
    let spans =
        [of("web", &span(1, "", 3, 900)), of("cart", &span(2, &format!("{:016x}", 1), 2, 700))]
            .join(",");
    let body = format!(r#"{{"resourceSpans":[{spans}]}}"#);
    assert_eq!(server.post("/v1/traces", "application/json", body.as_bytes()).status, 200);
    assert_eq!(server.ask("/api/server")["requests"]["taken"], 1);
    let graph = server.ask("/api/graph");
    let call = &graph["calls"][0];
    assert_eq!((&call["from"], &call["to"]), (&"web".into(), &"cart".into()), "{graph}");
    assert!(
        call["p50_nanos"].as_u64().is_some_and(|nanos| nanos > 0)
            && call["p50_nanos"] == call["p99_nanos"],
        "{graph}"
    );
    assert!(graph["report"]["looked_at"].is_u64(), "{graph}");
    let traces = server.ask("/api/traces?service=cart");
    assert_eq!(
        (&traces["report"]["led_by"], &traces["report"]["cut"]),
        (&"service".into(), &false.into()),
        "{traces}"
    );
    assert!(traces["report"].get("next").is_none(), "{traces}");
    assert!(server.ask("/api").as_object().unwrap().contains_key("/api/server"));
    assert_eq!(server.get("/api/server?x=1").status, 400);
}

#[test]
fn a_series_is_shown_with_its_latest_points_and_what_is_left_out() {
    let server = Server::start(&[]);
    let point = |number: u64| {
        let time = 1_700_000_000_000_000_000 + number * 1_000_000_000;
        format!(
            r#"{{"startTimeUnixNano":"1700000000000000000","timeUnixNano":"{time}","asInt":"{}"}}"#,
            2 * number
        )
    };
    let points = (1..=5).map(point).collect::<Vec<_>>().join(",");
    let body = format!(
        r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{{"name":"a","sum":{{"aggregationTemporality":2,"isMonotonic":true,"dataPoints":[{points}]}}}}]}}]}}]}}"#
    );
    assert_eq!(server.post("/v1/metrics", "application/json", body.as_bytes()).status, 200);
    let ask = |parameters: &str| {
        server.ask(&format!("/api/series?name=a{parameters}"))["series"][0].clone()
    };
    let (all, some) = (ask(""), ask("&points=2"));
    let values = |series: &serde_json::Value| -> Vec<u64> {
        let points = series["points"].as_array().unwrap();
        points.iter().map(|point| point["value"].as_u64().unwrap()).collect()
    };
    assert_eq!((values(&all), &all["points_left_out"]), (vec![2, 4, 6, 8, 10], &0.into()));
    assert_eq!((values(&some), &some["points_left_out"]), (vec![8, 10], &3.into()));
    assert_eq!(all["rate_per_second"], some["rate_per_second"]);
    for wrong in ["0", "-1", "all", "2&points=3"] {
        assert_eq!(
            server.get(&format!("/api/series?name=a&points={wrong}")).status,
            400,
            "{wrong}"
        );
    }
}

/// Runs it; why that failed.
fn run(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let told = [output.stdout, output.stderr]
        .map(|text| String::from_utf8_lossy(&text).into_owned())
        .concat();
    if output.status.success() { Ok(told) } else { Err(format!("{command:?}: {told}")) }
}

fn scripts() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser")
}

/// Lays scripts and what they need into a folder.
fn install(folder: &Path) -> Result<(), String> {
    std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    for file in std::fs::read_dir(scripts()).map_err(|error| error.to_string())? {
        let file = file.map_err(|error| error.to_string())?.path();
        if let Some(name) = file.file_name().filter(|_| file.is_file()) {
            std::fs::copy(&file, folder.join(name)).map_err(|error| error.to_string())?;
        }
    }
    let npm = ["install", "--silent", "--no-fund", "--no-audit", "--no-package-lock"];
    run(Command::new("npm").args(npm).current_dir(folder))?;
    let look = "import { found } from './browser.mjs'; if (!found()) { console.error('there is no chromium'); process.exit(1); }";
    run(Command::new("node").args(["--input-type=module", "-e", look]).current_dir(folder))
        .map(drop)
}

#[test]
fn the_page_works_in_a_browser() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("browser");
    if let Err(why) = install(&folder) {
        let required =
            std::env::var("SLIPRING_BROWSER_TEST").is_ok_and(|wanted| wanted == "required");
        assert!(!required, "no browser could be had: {why}");
        eprintln!("SKIPPED: no browser could be had: {why}");
        return;
    }
    let shop = folder.join("shop.jsonl");
    run(Command::new(SLIPRING).args(["demo", "--requests", "200", "--write"]).arg(&shop)).unwrap();
    let (server, small) =
        (Server::start(&["--traces", "30k"]), Server::start(&["--traces", "100"]));
    let (token, file) = ("correct-horse-battery-staple", folder.join("token"));
    std::fs::write(&file, token).unwrap();
    let policies = folder.join("keep.toml");
    let errors = "quiet = \"20ms\"\npolicy = [{ name = \"errors\", rule = \"error\" }]\n";
    std::fs::write(&policies, errors).unwrap();
    let keeping = Server::start(&["--traces", "100", "--keep", policies.to_str().unwrap()]);
    let locked = Server::start(&["--token-file", file.to_str().unwrap()]);
    let told = run(Command::new("node")
        .args(["--test", "--test-reporter=spec", "page.test.mjs", "login.test.mjs"])
        .current_dir(&folder)
        .env("SLIPRING_URL", format!("http://{}", server.http))
        .env("SLIPRING_SMALL", format!("http://{}", small.http))
        .env("SLIPRING_KEEPING", format!("http://{}", keeping.http))
        .env("SLIPRING_LOCKED", format!("http://{}", locked.http))
        .env("SLIPRING_LOCKED_TOKEN", token)
        .env("SLIPRING_SHOP", &shop));
    match told {
        Ok(told) => println!("{told}"),
        Err(told) => panic!("{told}"),
    }
}
