//! Protobuf written field by field, so that tests can write what no encoder would.
#![allow(dead_code, reason = "each test uses some of it")]

pub fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

pub fn key(number: u32, wire: u32) -> Vec<u8> {
    varint(u64::from(number << 3 | wire))
}

pub fn field(number: u32, bytes: &[u8]) -> Vec<u8> {
    [key(number, 2), varint(bytes.len() as u64), bytes.to_vec()].concat()
}

pub fn number(number: u32, value: u64) -> Vec<u8> {
    [key(number, 0), varint(value)].concat()
}

pub fn fixed64(number: u32, value: u64) -> Vec<u8> {
    [key(number, 1), value.to_le_bytes().to_vec()].concat()
}

pub fn fixed32(number: u32, value: u32) -> Vec<u8> {
    [key(number, 5), value.to_le_bytes().to_vec()].concat()
}

pub fn group(number: u32, inside: &[u8]) -> Vec<u8> {
    [key(number, 3), inside.to_vec(), key(number, 4)].concat()
}

pub fn attribute(name: &str, value: &[u8]) -> Vec<u8> {
    [field(1, name.as_bytes()), field(2, value)].concat()
}

/// Returns a value nested in this many maps, or lists.
pub fn nested(depth: usize, in_maps: bool) -> Vec<u8> {
    (0..depth).fold(number(3, 1), |value, _| {
        if in_maps {
            field(6, &field(1, &attribute("a", &value)))
        } else {
            field(5, &field(1, &value))
        }
    })
}

pub fn span(more: &[u8]) -> Vec<u8> {
    [field(1, &[7; 16]), field(2, &[7; 8]), more.to_vec()].concat()
}

pub fn in_scope(record: &[u8]) -> Vec<u8> {
    field(1, &field(2, &field(2, record)))
}

/// Returns a request with one large resource, and with as many scopes as take the same number of
/// bytes.
pub fn scopes_of_a_large_resource(size: usize) -> Vec<u8> {
    let resource = field(1, &field(1, &attribute("a", &field(1, &vec![b'x'; size]))));
    let scope = |at: usize| {
        field(
            2,
            &[field(1, &field(1, format!("{at:06}").as_bytes())), field(2, &span(b""))].concat(),
        )
    };
    field(1, &[resource, (0..size / 44).flat_map(scope).collect()].concat())
}

pub fn point(value: u64) -> Vec<u8> {
    field(1, &[fixed64(3, 5), fixed64(6, value)].concat())
}

pub fn metric(data: &[u8]) -> Vec<u8> {
    in_scope(&[field(1, b"m"), data.to_vec()].concat())
}
