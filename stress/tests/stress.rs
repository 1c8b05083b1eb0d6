//! Runs the stress program at a small size: every phase ends without a failure, and its counts show
//! that it did something.

use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

const STRESS: &str = env!("CARGO_BIN_EXE_slipring-stress");

fn stress(arguments: &[&str]) -> (Option<i32>, Value) {
    let output = Command::new(STRESS).args(arguments).arg("--json").output().unwrap();
    let report = serde_json::from_slice(&output.stdout);
    (
        output.status.code(),
        report
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr))),
    )
}

#[test]
fn every_phase_ends_in_order() {
    let (_, listed) = stress(&["--list"]);
    let names = |list: &Value, name| {
        list.as_array().unwrap().iter().map(|phase| phase[name].clone()).collect::<Vec<_>>()
    };
    let (code, report) = stress(&["--length", "0.3", "--capacity", "1000", "--producers", "5"]);
    assert_eq!((code, &report["in_order"]), (Some(0), &Value::Bool(true)), "{report:#}");
    let phases = report["phases"].as_array().unwrap();
    assert_eq!(names(&report["phases"], "phase"), names(&listed, "name"));
    assert!(phases.len() >= 14);
    for phase in phases {
        let count = |name: &str| phase[name].as_u64().unwrap();
        assert!(
            count("offered") > count("held") && count("held") > 0 && count("lookups") > 0,
            "{phase:#}"
        );
    }
    let noted = |name: &str, what: &str| {
        let phase = phases
            .iter()
            .find(|phase| phase["phase"] == name)
            .unwrap_or_else(|| panic!("no phase {name}"));
        phase["notes"][what].as_u64().unwrap_or(0)
    };
    for (phase, what) in [
        ("mixed", "cleared"),
        ("mixed", "streamed"),
        ("mixed", "followed"),
        ("suspended-producers", "between claim and publish"),
        ("panics", "caught panics"),
        ("dying-threads", "threads that lived"),
        ("short-lives", "pushed by hooks"),
    ] {
        assert!(noted(phase, what) > 0, "{phase}, {what}: {report:#}");
    }
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_says_that_it_was_stopped() {
    let mut child = Command::new(STRESS)
        .args(["--length", "600", "--producers", "2", "mixed", "times"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    // The program has installed its signal handler by then.
    output.read_line(&mut text).unwrap();
    assert!(
        Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success()
    );
    output.read_to_string(&mut text).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1), "{text}");
    assert!(
        text.contains("Stopped after") && !text.contains("\ntimes") && !text.contains("In order"),
        "{text}"
    );
}

#[test]
fn an_unknown_phase_is_refused_with_the_list_of_phases() {
    let output = Command::new(STRESS).args(["nothing"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("suspended-producers"),
        "the message lists the phases"
    );
}
