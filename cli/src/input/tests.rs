use super::*;
use flate2::{Compression, write::GzEncoder};
use std::io::Write;

fn read(bytes: &[u8]) -> Vec<(u64, Result<Vec<u8>, String>)> {
    let requests = Requests::of(io::Cursor::new(bytes.to_vec())).unwrap();
    let body = |item: Item| match item.body {
        Body::Json(body) | Body::Protobuf(body) => (item.number, Ok(body)),
        Body::Damaged(why) => (item.number, Err(why)),
    };
    requests.map(body).collect()
}

#[test]
fn lines_are_numbered() {
    let found = read(b"{\"a\":1}\n\n  \n{\"b\":2}");
    assert_eq!(found, [(1, Ok(b"{\"a\":1}\n".to_vec())), (4, Ok(b"{\"b\":2}".to_vec()))]);
    assert_eq!(read(b"{\n\"a\":1}\n"), [(1, Ok(b"{\n\"a\":1}\n".to_vec()))]);
    for damaged in ["x", "}", "{", "\u{e9}t\u{e9}", "\0\0\0"] {
        let text = format!("{damaged}\n{{\"a\":1}}\n{{\"b\":2}}\n");
        let found = read(text.as_bytes());
        assert_eq!(found.len(), 3, "{damaged}: {found:?}");
        assert_eq!(found[1], (2, Ok(b"{\"a\":1}\n".to_vec())), "{damaged}");
    }
    assert_eq!(read(b"\xef\xbb\xbf{\"a\":1}"), [(1, Ok(b"{\"a\":1}".to_vec()))]);
    assert_eq!(read(b""), []);
    assert_eq!(read(b"garbage\n"), [(1, Ok(b"garbage\n".to_vec()))]);
}

#[test]
fn documents_of_many_lines_are_separated() {
    let one = "{\n  \"a\": {\n    \"b\": \"} {\\\"\"\n  }\n}\n";
    let found = read(format!("{one}{{}}\n{one}\n{{\"c\":1}}\n{one}").as_bytes());
    let expected = [(1, one), (6, "{}\n"), (7, one), (13, "{\"c\":1}\n"), (14, one)];
    assert_eq!(found, expected.map(|(line, text)| (line, Ok(text.as_bytes().to_vec()))));
    // Documents without indentation, with one indented line, several in a line, as elements of
    // a list, and in a JSON text sequence.
    let flat = "{\n\"a\": [\n{\n\"b\": 1\n},\n{}\n]\n}\n";
    let half = "{\"resourceSpans\": [\n{\"resource\":{}},\n{}\n]}\n";
    let bodies = |file: &str| {
        let texts = read(file.as_bytes())
            .into_iter()
            .map(|(_, body)| String::from_utf8(body.unwrap()).unwrap());
        texts.map(|text| text.trim().to_owned()).collect::<Vec<_>>()
    };
    for file in [format!("{flat}{flat}"), format!("{half}{half}")] {
        assert_eq!(bodies(&file), [file[..file.len() / 2].trim(); 2]);
    }
    for file in [
        "{\"a\":1}{\"a\":1}",
        "{\"a\":1} {\"a\":1}\n",
        "{\"a\":1}\r{\"a\":1}\r",
        "[{\"a\":1},{\"a\":1}]\n",
        "[\n{\"a\":1},\n{\"a\":1}\n]\n",
        "[\n  {\"a\":1}\n  ,\n  {\"a\":1}\n]",
        "\u{1e}{\"a\":1}\n\u{1e}{\"a\":1}\n",
    ] {
        assert_eq!(bodies(file), ["{\"a\":1}"; 2], "{file:?}");
    }
    let many = "{}".repeat(100_000);
    assert_eq!(read(many.as_bytes()).len(), 100_000, "many requests in one line");
    // A truncated request costs only itself, wherever it was cut.
    let whole = "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{\"name\":\"a{b\"}]}]}]}";
    for cut in 1..whole.len() {
        let found = read(format!("{}\n{whole}\n{whole}", &whole[..cut]).as_bytes());
        assert_eq!(found.len(), 3, "{cut}: {found:?}");
    }
    // A request without an end costs only itself.
    let found = read(format!("{{\n  \"a\": {{\n{one}").as_bytes());
    assert_eq!(found.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(found[1].1, Ok(one.as_bytes().to_vec()));
}

#[test]
fn utf_16_is_refused() {
    let text: Vec<u8> = "\u{feff}{}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let wrong = Requests::of(io::Cursor::new(text)).err().expect("UTF-16 is refused");
    assert!(wrong.to_string().contains("UTF-16"), "{wrong}");
}

#[test]
fn zstd_files_and_messages_are_decompressed() {
    let packed = zstd::encode_all(&b"{\"a\":1}\n{\"b\":2}\n"[..], 3).unwrap();
    assert_eq!(read(&packed).len(), 2);
    assert_eq!(read(&[&packed[..], &packed[..]].concat()).len(), 4);
    let framed = |message: &[u8]| {
        let packed = zstd::encode_all(message, 3).unwrap();
        [&(packed.len() as u32).to_be_bytes()[..], &packed].concat()
    };
    let message = [0x0a, 2, 0x12, 0];
    let file = [framed(b"{\"a\":1}"), framed(&message)].concat();
    assert_eq!(read(&file), [(1, Ok(b"{\"a\":1}".to_vec())), (2, Ok(message.to_vec()))]);
    let damaged = read(&[&framed(b"{\"a\":1}")[..], &[0, 0, 0, 5], &ZSTD, b"x"].concat());
    assert!(damaged.len() == 2 && damaged[1].1.is_err(), "{damaged:?}");
}

#[test]
fn messages_have_lengths_of_four_bytes_or_varints() {
    let message = [0x0a, 2, 0x12, 0];
    let four = [&[0, 0, 0, 4], &message[..], &[0, 0, 0, 0]].concat();
    assert_eq!(read(&four), [(1, Ok(message.to_vec())), (2, Ok(vec![]))]);
    let varint = [&[4], &message[..], &[4], &message[..]].concat();
    assert_eq!(read(&varint), [(1, Ok(message.to_vec())), (2, Ok(message.to_vec()))]);
    let long = [&[0x80, 0x01, 0x0a, 126], &[0; 126][..]].concat();
    assert_eq!(read(&long), [(1, Ok(long[2..].to_vec()))]);
    for length in [9_u8, 10, 13, 32, 123] {
        let message = [&[0x0a, length - 2][..], &vec![0; usize::from(length) - 2]].concat();
        let file = [&[length][..], &message].concat();
        assert_eq!(read(&file), [(1, Ok(message))], "{length}");
    }
    let cut = &four[..7];
    assert!(
        matches!(&read(cut)[..], [(2, Err(why))] if why.contains("skipped")),
        "{:?}",
        read(cut)
    );
    assert!(matches!(&read(&[0, 0xff, 0xff, 0xff, 0x0a])[..], [(2, Err(_))]));
}

#[test]
fn gzip_files_are_decompressed_and_damage_is_reported() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(b"{\"a\":1}\n{\"b\":2}\n").unwrap();
    let packed = encoder.finish().unwrap();
    assert_eq!(read(&packed).len(), 2);
    let twice = [&packed[..], &packed[..]].concat();
    assert_eq!(read(&twice).len(), 4);
    let cut = read(&packed[..packed.len() - 4]);
    assert!(cut.last().is_some_and(|(_, body)| body.is_err()), "{cut:?}");
}
