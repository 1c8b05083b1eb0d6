//! Real clients: OpenTelemetry's SDKs for Python (gRPC and HTTP) and for Node (HTTP, JSON), each
//! sending all three signals with gzip.
//!
//! They come from PyPI and npm, into the target folder. Where they can't be installed, or there is
//! no Python or Node, the test says so and passes; with `SLIPRING_CLIENTS=required` it fails.

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use support::Server;

fn clients(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name)
}

/// Runs it; what it printed, or why that failed.
fn run(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    } else {
        Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)))
    }
}

/// What an installation came to; `None`, said, if it was not possible.
fn installed(
    what: &str,
    install: impl FnOnce(&Path) -> Result<PathBuf, String>,
) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(what);
    match std::fs::create_dir_all(&folder)
        .map_err(|error| error.to_string())
        .and_then(|()| install(&folder))
    {
        Ok(path) => Some(path),
        Err(why) => {
            let required =
                std::env::var("SLIPRING_CLIENTS").is_ok_and(|wanted| wanted == "required");
            assert!(!required, "the client for {what} could not be installed: {why}");
            eprintln!("SKIPPED: the client for {what} could not be installed: {why}");
            None
        }
    }
}

fn python(folder: &Path) -> Result<PathBuf, String> {
    let python = folder.join("bin/python");
    if !python.exists() {
        run(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
    }
    run(Command::new(&python)
        .args(["-m", "pip", "install", "-q", "-r"])
        .arg(clients("requirements.txt")))?;
    Ok(python)
}

fn node(folder: &Path) -> Result<PathBuf, String> {
    for name in ["package.json", "client.mjs"] {
        std::fs::copy(clients(name), folder.join(name)).map_err(|error| error.to_string())?;
    }
    run(Command::new("npm")
        .args(["install", "--silent", "--no-fund", "--no-audit", "--no-package-lock"])
        .current_dir(folder))?;
    Ok(folder.join("client.mjs"))
}

/// All that the client has sent is there, told apart by its service.
fn check(server: &Server, service: &str, trace: &str) {
    let span = |name: &str| {
        let found = server.ask(&format!("/api/spans?service={service}&name={name}"));
        let [span] = &found["spans"].as_array().unwrap()[..] else { panic!("{found}") };
        span.clone()
    };
    let (parent, child) = (span("parent"), span("child"));
    assert_eq!(child["parent_span_id"], parent["span_id"]);
    assert_eq!(child["status"]["code"], "error");
    assert_eq!(child["events"][0]["name"], "exception");
    let language = service.split('-').next().unwrap();
    assert_eq!(
        server.ask(&format!("/api/count/spans?service={service}&attribute=record:lang={language}"))
            ["count"],
        1
    );

    let logs = server.ask(&format!("/api/logs?service={service}&min_severity=error"));
    let log = &logs["logs"][0];
    assert_eq!((&log["body"], &log["trace_id"]), (&"the child has failed".into(), &trace.into()));
    assert_eq!(log["span_id"], child["span_id"]);

    let series = server.ask(&format!("/api/series?service={service}"));
    let find = |name: &str| {
        let all = series["series"].as_array().unwrap();
        let of = |series: &&serde_json::Value| series["name"] == name;
        all.iter().find(of).unwrap_or_else(|| panic!("no series {name}: {series}")).clone()
    };
    // Node counts in doubles.
    let count = &find("client.count")["points"][0]["value"];
    assert_eq!(count.as_f64(), Some(3.0), "{count}");
    assert_eq!(find("client.time")["points"][0]["sum"], 12.5);
    assert_eq!(find("client.time")["unit"], "ms");

    let whole = server.ask(&format!("/api/traces/{trace}"));
    assert_eq!(whole["spans"].as_array().unwrap().len(), 2);
    assert_eq!(whole["logs"].as_array().unwrap().len(), 1);
    assert_eq!(whole["summary"]["root_name"], "parent");
    server.ask("/api/audit");
}

#[test]
fn python_sends_over_grpc_and_http() {
    let Some(python) = installed("python", python) else { return };
    let server = Server::start(&[]);
    for (protocol, address) in [("grpc", server.grpc), ("http", server.http)] {
        let trace = run(Command::new(&python)
            .arg(clients("client.py"))
            .args([protocol, &address.to_string()]))
        .unwrap();
        check(&server, &format!("python-{protocol}"), &trace);
    }
}

#[test]
fn node_sends_json_over_http() {
    let Some(client) = installed("node", node) else { return };
    let server = Server::start(&[]);
    let trace = run(Command::new("node").arg(client).arg(server.http.to_string())).unwrap();
    check(&server, "node-http", &trace);
}
