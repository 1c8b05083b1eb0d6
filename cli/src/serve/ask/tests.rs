use super::*;
use slipring::{LogRecord, MetricPoint, Span, TraceId};

fn read<T: Asking>(query: &[(&str, &str)]) -> Result<Asked, String> {
    let parameters: Vec<_> =
        query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Asked::read::<T>(&parameters, &PAGING)
}

#[test]
fn parameters_are_read_or_named() {
    let asked = read::<Span>(&[
        ("service", "cart"),
        ("service", "ad"),
        ("min_duration", "1ms"),
        ("limit", "7"),
    ])
    .unwrap();
    assert_eq!(
        asked.keys,
        [("service", vec![KeyBuf::Text("cart".into()), KeyBuf::Text("ad".into())])]
    );
    assert_eq!((asked.duration, asked.limit()), ((Some(1_000_000), None), 7));
    for (name, value, what) in [
        ("trace", "5b8x", "no hexadecimal digit"),
        ("trace", "", "32 hexadecimal digits has 0"),
        ("trace", "0", "all zero"),
        ("trace~", "5*", "no text"),
        ("service", "", "unknown_service"),
        ("name~", "\\", "backslash"),
        ("name", "~GET*", "write name~=GET*"),
        ("name~GET*", "", "write name~=GET*"),
        ("since", "100", "of what?"),
        ("min_duration", "100", "100ms"),
        ("since!", "1m", "takes nothing but since=value"),
        ("status~", "e*", "takes nothing but"),
        ("colour!", "red", "no parameter colour!"),
        ("limit", "0", "1 to 10000"),
        ("status", "bad", "unset, ok or error"),
        ("since", "yesterday", "how long ago"),
        ("order", "best", "newest"),
        ("after", "x", "`next`"),
        ("attribute", "=x", "[level:]name"),
        ("attribute", "size>=big", "no number"),
        ("colour", "red", "there is no parameter colour; there are trace, service, name, since"),
    ] {
        let error = read::<Span>(&[(name, value)]).unwrap_err();
        assert!(error.contains(what), "{error}");
    }
    assert!(
        read::<MetricPoint>(&[("status", "error")]).unwrap_err().contains("no parameter status")
    );
    assert!(read::<LogRecord>(&[("severity", "warn"), ("min_severity", "13")]).is_ok());
}

#[test]
fn what_has_one_value_is_given_once() {
    for name in ["since", "limit", "status", "min_duration", "order", "after", "format"] {
        let value = match name {
            "since" => "1m",
            "limit" => "7",
            "status" => "ok",
            "min_duration" => "1s",
            "order" => "newest",
            "after" => "x",
            _ => "json",
        };
        if name == "after" {
            continue;
        }
        let error = read::<Span>(&[(name, value), (name, value)]).unwrap_err();
        assert!(error.contains("give it once"), "{error}");
    }
    let twice = read::<LogRecord>(&[
        ("body", "*a*"),
        ("body!~", "*b*"),
        ("attribute", "x"),
        ("attribute", "y"),
    ]);
    let twice = twice.unwrap();
    assert_eq!((twice.bodies.len(), twice.attributes.len()), (2, 2));
}

#[test]
fn keys_take_signs() {
    assert_eq!(
        read::<Span>(&[("service", "=a")]).unwrap().keys,
        [("service", vec![KeyBuf::Text("a".into())])]
    );
    let asked =
        read::<Span>(&[("service!", "a"), ("service!", "b"), ("name~", "GET*"), ("name!~", "*x")])
            .unwrap();
    assert_eq!(
        asked.unwanted,
        [("service", vec![KeyBuf::Text("a".into()), KeyBuf::Text("b".into())])]
    );
    assert_eq!(asked.alike, [("name", Match::like("GET*")), ("name", !Match::like("*x"))]);
    assert_eq!(read::<Span>(&[("status!", "ok")]).unwrap().status, Some((false, StatusCode::Ok)));
    assert_eq!(
        read::<Span>(&[("event", "exception")]).unwrap().events,
        [Match::reads("exception")]
    );
}

#[test]
fn a_severity_by_its_level_is_all_four() {
    let keys = |value: &str| {
        let asked = read::<LogRecord>(&[("severity", value)]).unwrap();
        asked.keys[0].1.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(keys("error"), ["17", "18", "19", "20"]);
    assert_eq!((keys("ERROR2"), keys("17")), (vec!["18".to_owned()], vec!["17".to_owned()]));
    assert!(read::<LogRecord>(&[("severity", "0")]).unwrap_err().contains("1 to 24"));
    for beyond in ["25", "-1"] {
        assert!(
            read::<LogRecord>(&[("min_severity", beyond)]).unwrap_err().contains("1 to 24"),
            "{beyond}"
        );
    }
    assert!(read::<MetricPoint>(&[("type", "foo")]).unwrap_err().contains("gauge, sum"));
}

#[test]
fn trace_ids_are_read_as_tools_write_them() {
    let id = TraceId::from(0x00f0_67aa_0ba9_02b7);
    for text in [
        "f067aa0ba902b7",
        "00F067AA0BA902B7",
        "00000000-0000-0000-00f0-67aa0ba902b7",
        " f067aa0ba902b7 ",
    ] {
        assert_eq!(trace_id(text), Ok(id), "{text}");
    }
    assert!(trace_id(&"1".repeat(33)).is_err());
}
