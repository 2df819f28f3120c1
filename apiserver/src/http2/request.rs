//! A request from its fields. Whatever could be read in two ways is no request. RFC 9113 §8.1 to §8.3.

use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version, header};

use super::hpack::table::{Field, Name};

/// Bytes of a request's fields, by the standard's count.
pub const HEAD_BYTES: usize = 64 << 10;

/// Why there is no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It breaks the rules.
    Malformed,
    /// It is too large.
    TooLarge,
}

/// The head of a request, and how long its body is said to be.
#[derive(Debug)]
pub struct Asked {
    /// The request but its body.
    pub request: Request<()>,
    /// What `content-length` says.
    pub length: Option<u64>,
}

/// Collects the fields of one block.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    method: Option<Method>,
    scheme: Option<Scheme>,
    authority: Option<Authority>,
    path: Option<PathAndQuery>,
    headers: HeaderMap,
    bytes: usize,
    is_malformed: bool,
}

impl Collector {
    pub(crate) fn add(&mut self, field: &Field) {
        self.bytes += field.bytes();
        if self.bytes > HEAD_BYTES || self.is_malformed {
            return;
        }
        let value = &field.value;
        let fits = match &field.name {
            Name::Method => set(&mut self.method, Method::from_bytes(value.as_bytes()).ok()),
            Name::Scheme => set(&mut self.scheme, scheme(value)),
            Name::Authority => set(
                &mut self.authority,
                Authority::try_from(value.as_bytes()).ok(),
            ),
            Name::Path => set(&mut self.path, path(value)),
            Name::Header(name) => return self.header(name, value),
            Name::Status | Name::Unlawful => None,
        };
        // What is about the request itself comes first, and once.
        self.is_malformed |= fits.is_none() || !self.headers.is_empty();
    }

    fn header(&mut self, name: &HeaderName, value: &HeaderValue) {
        let is_lawful = match name.as_str() {
            "connection" | "transfer-encoding" | "proxy-connection" | "keep-alive" | "upgrade" => {
                false
            }
            "te" => value == "trailers",
            _ => true,
        };
        let added = self.headers.try_append(name, value.clone());
        self.is_malformed |= !is_lawful || added.is_err();
    }

    /// The request that the fields make.
    pub(crate) fn finish(self) -> Result<Asked, Refusal> {
        if self.bytes > HEAD_BYTES {
            return Err(Refusal::TooLarge);
        }
        let (Some(method), Some(scheme), Some(path), false) =
            (self.method, self.scheme, self.path, self.is_malformed)
        else {
            return Err(Refusal::Malformed);
        };
        let length = length(&self.headers)?;
        let mut parts = http::uri::Parts::default();
        if self.authority.is_some() {
            parts.scheme = Some(scheme);
            parts.authority = self.authority;
        }
        parts.path_and_query = Some(path);
        let mut request = Request::new(());
        *request.method_mut() = method;
        *request.uri_mut() = Uri::from_parts(parts).map_err(|_parts| Refusal::Malformed)?;
        *request.version_mut() = Version::HTTP_2;
        *request.headers_mut() = self.headers;
        Ok(Asked { request, length })
    }
}

/// Sets what was not set yet.
fn set<T>(place: &mut Option<T>, value: Option<T>) -> Option<()> {
    let value = value.filter(|_| place.is_none())?;
    *place = Some(value);
    Some(())
}

fn scheme(value: &HeaderValue) -> Option<Scheme> {
    let bytes = Some(value.as_bytes()).filter(|bytes| !bytes.is_empty())?;
    Scheme::try_from(bytes).ok()
}

fn path(value: &HeaderValue) -> Option<PathAndQuery> {
    let bytes = value.as_bytes();
    // OPTIONS alone may ask for the server as a whole; nobody here answers that.
    bytes
        .starts_with(b"/")
        .then(|| PathAndQuery::try_from(bytes).ok())?
}

fn length(headers: &HeaderMap) -> Result<Option<u64>, Refusal> {
    let mut all = headers.get_all(header::CONTENT_LENGTH).iter();
    let (first, second) = (all.next(), all.next());
    match (first, second) {
        (None, _) => Ok(None),
        (Some(value), None) => {
            let digits = value
                .to_str()
                .ok()
                .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
            let length = digits.and_then(|digits| digits.parse().ok());
            length.map(Some).ok_or(Refusal::Malformed)
        }
        (Some(_), Some(_)) => Err(Refusal::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn asked(fields: &[(&str, &str)]) -> Result<Asked, Refusal> {
        let mut collector = Collector::default();
        for (name, value) in fields {
            collector.add(&Field::new(
                name.as_bytes(),
                Bytes::copy_from_slice(value.as_bytes()),
            ));
        }
        collector.finish()
    }

    const GET: [(&str, &str); 4] = [
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", "a:1"),
        (":path", "/x?y=z"),
    ];

    #[test]
    fn a_request() {
        let fields = [&GET[..], &[("accept", "*/*"), ("content-length", "12")]].concat();
        let Asked { request, length } = asked(&fields).unwrap();
        assert_eq!(request.uri().to_string(), "https://a:1/x?y=z");
        assert_eq!(request.method(), Method::GET);
        assert_eq!(request.headers()["accept"], "*/*");
        assert_eq!(length, Some(12));
        let [method, scheme, _, path] = GET;
        let nameless = asked(&[method, scheme, path]).unwrap();
        assert_eq!(nameless.request.uri().to_string(), "/x?y=z");
    }

    #[test]
    fn what_is_none() {
        for more in [
            &[(":path", "/z")][..],
            &[("x", "y"), (":other", "z")],
            &[("connection", "close")],
            &[("te", "gzip")],
            &[("X", "y")],
            &[("", "y")],
            &[("x", "a\r\nb")],
            &[("content-length", "1"), ("content-length", "1")],
            &[("content-length", "-1")],
            &[("content-length", "+1")],
            &[("content-length", "99999999999999999999")],
        ] {
            let found = asked(&[&GET[..], more].concat());
            assert_eq!(found.unwrap_err(), Refusal::Malformed, "{more:?}");
        }
        for (place, value) in [
            (0, ""),
            (0, "G T"),
            (1, ""),
            (2, ""),
            (2, "a b"),
            (3, ""),
            (3, "x"),
            (3, "/ x"),
        ] {
            let mut fields = GET;
            fields[place].1 = value;
            assert_eq!(
                asked(&fields).unwrap_err(),
                Refusal::Malformed,
                "{fields:?}"
            );
        }
        for missing in [0, 1, 3] {
            let mut fields = GET.to_vec();
            fields.remove(missing);
            assert_eq!(
                asked(&fields).unwrap_err(),
                Refusal::Malformed,
                "{fields:?}"
            );
        }
        let late = [GET[0], GET[1], GET[2], ("x", "y"), GET[3]];
        assert_eq!(asked(&late).unwrap_err(), Refusal::Malformed);
        let long = "x".repeat(HEAD_BYTES);
        let large = [&GET[..], &[("x", long.as_str())]].concat();
        assert_eq!(asked(&large).unwrap_err(), Refusal::TooLarge);
    }
}
