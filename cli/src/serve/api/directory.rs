//! The directory at `/api`: what there is to ask, in short.

use super::parameters::{SIGNS, parameter};
use super::table::Route;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Returns what there is to ask.
pub fn directory(table: &[Route]) -> Value {
    let question = |one: &Route| {
        let told = if one.takes.is_empty() {
            one.what.to_owned()
        } else {
            format!("{}: {}", one.what, one.takes.join(", "))
        };
        (one.path.to_owned(), Value::from(told))
    };
    let mut all: Map<String, Value> = table.iter().map(question).collect();
    let names: BTreeSet<&str> = table.iter().flat_map(|one| one.takes.iter().copied()).collect();
    let told = |name: &str| {
        let one = parameter(name);
        let signs = if one.signs.is_empty() { "" } else { "; also " };
        (name.to_owned(), Value::from(format!("{}{signs}{}", one.what, one.signs)))
    };
    let parameters: Map<String, Value> = names.into_iter().map(told).collect();
    all.insert("parameters".to_owned(), parameters.into());
    all.insert(
        "how".to_owned(),
        json!({
            "signs": SIGNS,
            "pattern": "* stands for any characters, ? for one; \\ before one of these three for itself",
            "values": "compared by what they display, so that 5* fits 503; an array fits by any of its elements, a map by any of its values, however deep; a negation asks that none fits",
            "in a URL": "a space is %20, < is %3C, > is %3E, & is %26, # is %23",
            "in a body": "POST takes the same parameters in JSON: {\"service\": [\"cart\", \"shop\"], \"attribute\": \"http.status_code>=500\"}",
            "packed": "gzip and zstd, as Accept-Encoding asks",
        }),
    );
    Value::Object(all)
}
