//! The heads of requests and of answers. What is sent is packed with the names that everybody knows and without a table,
//! so that a head is a few copies.

use apiserver::http2::hpack::decode::Decoder;
use apiserver::http2::hpack::encode::{known, literal};
use apiserver::http2::hpack::table::Name;
use http::{Method, StatusCode};

use super::Ask;

/// Numbers that everybody knows, RFC 7541, Appendix A.
const AUTHORITY: usize = 1;
const GET: usize = 2;
const METHOD: usize = GET;
const POST: usize = 3;
const PATH: usize = 4;
const HTTPS: usize = 7;
const ACCEPT_ENCODING: usize = 16;
const CONTENT_LENGTH: usize = 28;
const CONTENT_TYPE: usize = 31;

/// Appends the head of a request to this authority.
pub(super) fn write(out: &mut Vec<u8>, ask: &Ask, authority: &str) {
    match ask.method {
        Method::GET => known(out, GET),
        Method::POST => known(out, POST),
        _ => literal(out, METHOD, ask.method.as_str().as_bytes()),
    }
    known(out, HTTPS);
    literal(out, AUTHORITY, authority.as_bytes());
    literal(out, PATH, ask.path.as_bytes());
    if !ask.media.is_empty() {
        literal(out, CONTENT_TYPE, ask.media.as_bytes());
    }
    if !ask.body.is_empty() {
        let mut digits = [0; 20];
        literal(out, CONTENT_LENGTH, decimal(ask.body.len(), &mut digits));
    }
    if ask.gzip {
        literal(out, ACCEPT_ENCODING, b"gzip");
    }
}

/// The number in digits.
fn decimal(mut number: usize, digits: &mut [u8; 20]) -> &[u8] {
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
        if number == 0 {
            return &digits[at..];
        }
    }
}

/// What cannot be made of a block: anything at all, also of those that follow, or an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    Block,
    Answer,
}

/// The status that a block names, if it names one. All of it is unpacked in any case, since later ones build on it.
pub(super) fn status(decoder: &mut Decoder, block: &[u8]) -> Result<Option<StatusCode>, Broken> {
    let (mut status, mut is_broken) = (None, false);
    let unpacked = decoder.decode(block, |field| {
        if field.name == Name::Status {
            let read = StatusCode::from_bytes(field.value.as_bytes()).ok();
            is_broken |= read.is_none() || status.is_some();
            status = read;
        }
    });
    unpacked.map_err(|_unpacked| Broken::Block)?;
    if is_broken {
        return Err(Broken::Answer);
    }
    Ok(status)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::JSON;
    use super::*;

    fn fields(ask: &Ask) -> Vec<String> {
        let (mut block, mut fields) = (Vec::new(), Vec::new());
        write(&mut block, ask, "127.0.0.1:6443");
        let unpacked = Decoder::default().decode(&block, |field| {
            let name = match &field.name {
                Name::Method => ":method",
                Name::Scheme => ":scheme",
                Name::Authority => ":authority",
                Name::Path => ":path",
                Name::Status => ":status",
                Name::Header(name) => name.as_str(),
                Name::Unlawful => "?",
            };
            fields.push(format!("{name} {}", field.value.to_str().unwrap()));
        });
        assert_eq!(unpacked, Ok(()));
        fields
    }

    #[test]
    fn heads_of_requests() {
        let packed = Ask {
            gzip: true,
            ..Ask::get("/a?b=c".to_owned())
        };
        let post = Ask::new(
            Method::POST,
            "/".to_owned(),
            JSON,
            Bytes::from_static(b"{}"),
        );
        let put = Ask::new(Method::PUT, "/".to_owned(), JSON, vec![0; 1_204].into());
        let [scheme, authority] = [":scheme https", ":authority 127.0.0.1:6443"];
        let json = "content-type application/json";
        for (ask, expected) in [
            (
                packed,
                &[
                    ":method GET",
                    scheme,
                    authority,
                    ":path /a?b=c",
                    "accept-encoding gzip",
                ][..],
            ),
            (
                post,
                &[
                    ":method POST",
                    scheme,
                    authority,
                    ":path /",
                    json,
                    "content-length 2",
                ],
            ),
            (
                put,
                &[
                    ":method PUT",
                    scheme,
                    authority,
                    ":path /",
                    json,
                    "content-length 1204",
                ],
            ),
        ] {
            assert_eq!(fields(&ask), expected);
        }
    }

    #[test]
    fn statuses() {
        for (block, expected) in [
            (&b"\x88"[..], Ok(Some(StatusCode::OK))),
            (
                b"\x20\x08\x03201\x0f\x10\x01x",
                Ok(Some(StatusCode::CREATED)),
            ),
            (b"\x0f\x10\x01x", Ok(None)),
            (b"\x08\x0220", Err(Broken::Answer)),
            (b"\x88\x89", Err(Broken::Answer)),
            (b"\x80", Err(Broken::Block)),
        ] {
            let found = status(&mut Decoder::default(), block);
            assert_eq!(found, expected, "{block:?}");
        }
    }
}
