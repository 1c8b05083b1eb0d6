//! Settings from TOML: what is read, and what an error says.
#![cfg(feature = "config")]

use slipring_sampling::config::{ConfigError, read, read_with_kept};
use slipring_sampling::{OnFull, Rule, Sampler};
use std::time::Duration;

const ALL: &str = r#"
quiet = "2s"
timeout = "1m"
max_bytes = "64M"
max_shared_bytes = 1000000
max_traces = 5000
on_full = "evict"
share = 0.5

[[policy]]
name = "drop"
rule = { all = [{ operation = "GET /health*" }, { not = "error" }, "never"] }

[[policy]]
name = "some"
rule = { any = [
    "error",
    { slower_than_most = { share = 0.99, operations = 10 } },
    { attribute = { name = "http.response.status_code", level = "record", at_least = 500 } },
    { attribute = { name = "tenant", is = "gold-*" } },
    { few = { count = 3, per = "1m" } },
    { named = { name = "limited", rule = { all = [{ service = "ad" }, { traces_per_second = 10 }] } } },
] }

[[policy]]
name = "rest"
rule = { probability = 0.05 }
"#;

#[test]
fn everything_is_read() {
    let settings = read(ALL).unwrap();
    assert_eq!(
        (settings.quiet, settings.timeout),
        (Duration::from_secs(2), Duration::from_secs(60))
    );
    assert_eq!((settings.max_bytes, settings.max_shared_bytes), (64 << 20, 1_000_000));
    assert_eq!((settings.on_full, settings.share), (OnFull::Evict, Some(0.5)));
    let Rule::Any(some) = &settings.policies[1].rule else { panic!() };
    assert_eq!(some.len(), 6);
    let stats = Sampler::new(&settings).unwrap().stats();
    let names: Vec<&str> = stats.policies.iter().map(|policy| &*policy.name).collect();
    assert_eq!(names, ["drop", "some", "limited", "rest"]);
}

#[test]
fn an_error_names_the_line_and_what_is_wrong() {
    for (from, to, line, what) in [
        ("quiet = \"2s\"", "quiet = \"2 parsecs\"", 2, "parsecs"),
        ("max_bytes = \"64M\"", "max_bytes = \"64 many\"", 4, "is no size"),
        ("max_traces = 5000", "max_traces = 0", 6, "0"),
        ("max_traces", "max_trace", 6, "unknown field"),
        ("share = 0.5", "share = 2", 8, "share between"),
        ("\"GET /health*\"", "\"GET \\\\health\"", 12, "pattern"),
        ("\"error\", ", "\"eror\"", 0, "eror"),
        ("at_least = 500", "at_least = 500, at_most = 600", 19, "one condition"),
        ("per = \"1m\"", "per = \"\"", 21, "\"\""),
        ("traces_per_second = 10", "traces_per_second = 0", 22, "rate above"),
        ("probability = 0.05", "probability = 5", 27, "no probability"),
        ("not = \"error\"", "not = { probability = 0.1 }", 0, "negated"),
    ] {
        let text = ALL.replace(from, to);
        if text == ALL {
            continue;
        }
        let told = read(&text).unwrap_err().to_string();
        assert!(told.contains(what), "{what}: {told}");
        assert!(line == 0 || told.contains(&format!("line {line}")), "line {line}: {told}");
    }
}

#[test]
fn an_error_says_what_to_write_instead() {
    for (text, what) in [
        ("quiet = 7", "a text, such as \"250ms\""),
        ("max_bytes = true", "\"256M\""),
        ("max_bytes = -1", "\"256M\""),
        (
            "[[policy]]\nname = \"x\"\nrule = { attribute = { name = \"y\", is = [] } }",
            "`is` takes",
        ),
        ("quiet = \"1s\"", "rule = \"always\""),
        (
            "quiet = \"3s\"\ntimeout = \"2s\"\npolicy = [{ name = \"x\", rule = \"error\" }]",
            "`quiet` is 3s",
        ),
        (
            "policy = [{ name = \"x\", rule = { any = [\"error\", { probability = 0.5 }] } },\n\
             { name = \"y\", rule = \"error\" }]",
            "\"y\" would never decide, since \"x\" before it",
        ),
    ] {
        let told = read(text).unwrap_err().to_string();
        assert!(told.contains(what), "{what}: {told}");
    }
}

#[test]
fn limits_of_kept_traces_are_read_where_traces_are_kept() {
    const POLICY: &str = "policy = [{ name = \"x\", rule = \"error\" }]\n";
    let kept = |limits: &str| read_with_kept(&format!("{POLICY}[kept]\n{limits}\n"));
    let (_, read_limits) = kept("max_age = \"2h\"\nmax_bytes = \"8M\"").unwrap();
    assert_eq!((read_limits.max_age.as_secs(), read_limits.max_bytes), (7_200, 8 << 20));
    assert_eq!(read_limits.max_trace_bytes, 8 << 20, "no more than all may take");
    let wrong = kept("max_bytes = 1000\nmax_trace_bytes = 1001").unwrap_err();
    assert_eq!(wrong, ConfigError::TraceTooLarge { trace: 1_001, all: 1_000 });
    assert!(kept("max_spans = 7").unwrap_err().to_string().contains("line 3"));
    assert!(kept("max_traces = 0").is_err());
    assert_eq!(read(&format!("{POLICY}[kept]\n")).unwrap_err(), ConfigError::NothingKept);
    assert!(read_with_kept(POLICY).is_ok());
}
