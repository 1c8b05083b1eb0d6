//! Makes answers short: chosen members, long texts cut, and as many rows as fit. What is left out
//! is said.

use serde_json::{Map, Value, json};

/// Bytes of an answer's rows, unless the caller asks for more.
pub const USUAL: usize = 6_000;
/// Bytes of an answer's rows at most.
pub const MOST: usize = 60_000;

/// Characters of a text, elements of a list and members of an object that are shown.
const CHARACTERS: usize = 240;
const ELEMENTS: usize = 8;
const MEMBERS: usize = 16;
/// How deep values are shown.
const DEPTH: usize = 4;

/// Returns a value with long texts, lists and objects cut.
pub fn short(value: &Value) -> Value {
    shortened(value, DEPTH)
}

fn shortened(value: &Value, depth: usize) -> Value {
    match value {
        Value::String(text) => Value::String(cut(text)),
        Value::Array(_) | Value::Object(_) if depth == 0 => Value::from("… (deeper)"),
        Value::Array(all) => {
            let mut shown: Vec<Value> =
                all.iter().take(ELEMENTS).map(|one| shortened(one, depth - 1)).collect();
            if all.len() > ELEMENTS {
                shown.push(Value::from(format!("… ({} more)", all.len() - ELEMENTS)));
            }
            Value::Array(shown)
        }
        Value::Object(all) => {
            let shown = all.iter().take(MEMBERS);
            let mut shown: Map<String, Value> =
                shown.map(|(name, one)| (cut(name), shortened(one, depth - 1))).collect();
            if all.len() > MEMBERS {
                shown.insert("…".to_owned(), format!("{} more", all.len() - MEMBERS).into());
            }
            Value::Object(shown)
        }
        other => other.clone(),
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(CHARACTERS) {
        None => text.to_owned(),
        Some((end, _)) => {
            format!("{}… ({} more bytes)", &text[..end], text.len() - end)
        }
    }
}

/// Returns these members of a record that say something: neither null nor empty, nor what goes
/// without saying. Durations come in milliseconds.
pub fn pick(record: &Value, names: &[&str]) -> Value {
    let mut row = Map::new();
    for &name in names {
        let Some(value) = record.get(name).filter(|value| says_something(value)) else { continue };
        match (name.strip_suffix("_nanos"), value.as_f64()) {
            (Some(stem), Some(nanos)) => {
                row.insert(format!("{stem}_ms"), milliseconds(nanos));
            }
            _ => {
                row.insert(name.to_owned(), short(value));
            }
        }
    }
    Value::Object(row)
}

/// Returns nanoseconds as milliseconds, to the microsecond.
fn milliseconds(nanos: f64) -> Value {
    json!((nanos / 1_000.0).round() / 1_000.0)
}

fn says_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty() && text != "unset",
        Value::Array(all) => !all.is_empty(),
        Value::Object(all) => {
            // As of a span whose status is unset.
            all.values().any(says_something)
        }
        _ => true,
    }
}

/// Returns as many of the rows as fit into so many bytes, at least one.
pub fn fitting(rows: Vec<Value>, bytes: usize) -> Vec<Value> {
    let mut taken = 0;
    let fits = |row: &Value| {
        let is_first = taken == 0;
        taken += row.to_string().len() + 1;
        is_first || taken <= bytes
    };
    rows.into_iter().take_while(fits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_long_is_cut_and_says_so() {
        let text = short(&json!("ä".repeat(1_000)));
        let text = text.as_str().unwrap();
        assert!(text.chars().count() < 270 && text.ends_with("(1520 more bytes)"), "{text}");
        assert_eq!(short(&json!([1, 2, 3])), json!([1, 2, 3]));
        let list = short(&json!((0..20).collect::<Vec<_>>()));
        assert_eq!((list.as_array().unwrap().len(), &list[8]), (9, &json!("… (12 more)")));
        let all: Map<String, Value> =
            (0..30).map(|one| (format!("k{one:02}"), one.into())).collect();
        assert_eq!(short(&Value::Object(all))["…"], "14 more");
        let deep = (0..100).fold(json!(1), |inner, _| json!([inner]));
        assert!(short(&deep).to_string().len() < 60);
    }

    #[test]
    fn only_what_says_something_is_picked() {
        let record = json!({
            "name": "GET", "trace_state": "", "parent_span_id": null, "status": {"code": "unset", "message": ""},
            "attributes": {}, "duration_nanos": 1_234_567, "other": 1, "errors": 0,
        });
        let names = [
            "name",
            "trace_state",
            "parent_span_id",
            "status",
            "attributes",
            "duration_nanos",
            "errors",
        ];
        assert_eq!(
            pick(&record, &names),
            json!({ "name": "GET", "duration_ms": 1.235, "errors": 0 })
        );
    }

    #[test]
    fn rows_are_taken_while_they_fit_and_one_always() {
        let rows = |count| vec![json!("0123456789"); count];
        assert_eq!(fitting(rows(10), 40).len(), 3);
        assert_eq!(fitting(rows(10), 1).len(), 1);
        assert_eq!(fitting(rows(2), 1_000).len(), 2);
        assert_eq!(fitting(rows(0), 1_000).len(), 0);
    }
}
