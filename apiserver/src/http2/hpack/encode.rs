//! Packs the head of an answer, with the names that everybody knows and without a table. RFC 7541 §6.

use http::{HeaderMap, StatusCode, header};

use super::table::KNOWN;

/// First byte of a block: the sender's table has no room, so that the other end keeps none either.
const NO_TABLE: u8 = 0x20;

/// The number of `:status` with the value 200; those of other values follow.
const STATUS: usize = 8;

/// Appends the block of an answer's head.
pub(crate) fn answer(out: &mut Vec<u8>, status: StatusCode, headers: &HeaderMap) {
    out.push(NO_TABLE);
    put_status(out, status);
    for (name, value) in headers {
        // What speaks of the connection has no place here, RFC 9113 §8.2.2.
        if matches!(
            *name,
            header::CONNECTION | header::TRANSFER_ENCODING | header::UPGRADE
        ) {
            continue;
        }
        put_name(out, name.as_str());
        put_text(out, value.as_bytes());
    }
}

fn put_status(out: &mut Vec<u8>, status: StatusCode) {
    let text = status.as_str();
    let usual = &KNOWN[STATUS - 1..STATUS + 6];
    if let Some(place) = usual.iter().position(|(_, value)| *value == text) {
        known(out, STATUS + place);
    } else {
        literal(out, STATUS, text.as_bytes());
    }
}

/// A name whose value follows and is not to be entered anywhere.
fn put_name(out: &mut Vec<u8>, name: &str) {
    match KNOWN.iter().position(|(known, _)| *known == name) {
        Some(place) => put_number(out, 0, 4, place + 1),
        None => {
            out.push(0);
            put_text(out, name.as_bytes());
        }
    }
}

/// Appends a field of which everybody knows name and value, by its number.
pub fn known(out: &mut Vec<u8>, number: usize) {
    put_number(out, 0x80, 7, number);
}

/// Appends a field of which everybody knows the name, by its number; its value is not to be entered anywhere.
pub fn literal(out: &mut Vec<u8>, name: usize, value: &[u8]) {
    put_number(out, 0, 4, name);
    put_text(out, value);
}

fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    put_number(out, 0, 7, text.len());
    out.extend_from_slice(text);
}

fn put_number(out: &mut Vec<u8>, first: u8, prefix: u32, number: usize) {
    let full = (1_usize << prefix) - 1;
    let low = |number: usize| u8::try_from(number & 0x7f).unwrap_or(0);
    if number < full {
        out.push(first | low(number));
        return;
    }
    out.push(first | low(full));
    let mut rest = number - full;
    while rest >= 0x80 {
        out.push(low(rest) | 0x80);
        rest >>= 7;
    }
    out.push(low(rest));
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn heads() {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("a/b"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        headers.insert(
            HeaderName::from_static("audit-id"),
            HeaderValue::from_static("7"),
        );
        let mut out = Vec::new();
        answer(&mut out, StatusCode::OK, &headers);
        let mut expected = vec![0x20, 0x88, 0x0f, 0x10, 3];
        expected.extend(b"a/b\0\x08audit-id\x017");
        assert_eq!(out, expected);
        out.clear();
        answer(&mut out, StatusCode::CREATED, &HeaderMap::new());
        assert_eq!(out, b"\x20\x08\x03201");
    }

    #[test]
    fn numbers() {
        for (prefix, number, expected) in [
            (5, 10, &[10][..]),
            (5, 1_337, &[31, 154, 10]),
            (7, 126, &[126]),
            (7, 127, &[127, 0]),
            (7, 255, &[127, 128, 1]),
        ] {
            let mut out = Vec::new();
            put_number(&mut out, 0, prefix, number);
            assert_eq!(out, expected, "{number}");
        }
    }
}
