//! Fields that were seen before, and are named by number: sixty-one that everybody knows, and those that the sender
//! has entered. RFC 7541 §2.3 and §4.

use std::collections::VecDeque;
use std::sync::LazyLock;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};

/// Bytes of what a sender may enter, by the standard's count; what it has without saying anything.
pub(crate) const SIZE: usize = 4 << 10;

/// What an entry counts beside its text.
const OVERHEAD: usize = 32;

/// The name of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// `:method`.
    Method,
    /// `:scheme`.
    Scheme,
    /// `:authority`.
    Authority,
    /// `:path`.
    Path,
    /// `:status`, which answers have.
    Status,
    /// One of HTTP.
    Header(HeaderName),
    /// Nothing that is allowed.
    Unlawful,
}

/// A field, once and for all read: whoever names it by number gets it for a few counts.
#[derive(Clone, Debug)]
pub struct Field {
    /// Its name.
    pub name: Name,
    /// Its value; nothing where that is not allowed.
    pub value: HeaderValue,
    name_bytes: usize,
    value_bytes: usize,
}

impl Name {
    fn read(name: &[u8]) -> Self {
        match name {
            b":method" => Self::Method,
            b":scheme" => Self::Scheme,
            b":authority" => Self::Authority,
            b":path" => Self::Path,
            b":status" => Self::Status,
            name => HeaderName::from_lowercase(name).map_or(Self::Unlawful, Self::Header),
        }
    }
}

impl Field {
    pub(crate) fn new(name: &[u8], value: Bytes) -> Self {
        Self::lawful(Name::read(name), name.len(), value)
    }

    /// Another field of the same name.
    pub(crate) fn again(&self, value: Bytes) -> Self {
        Self::lawful(self.name.clone(), self.name_bytes, value)
    }

    fn lawful(name: Name, name_bytes: usize, value: Bytes) -> Self {
        let value_bytes = value.len();
        let (name, value) = match HeaderValue::from_maybe_shared(value) {
            Ok(value) => (name, value),
            Err(_letters) => (Name::Unlawful, HeaderValue::from_static("")),
        };
        Self {
            name,
            value,
            name_bytes,
            value_bytes,
        }
    }

    /// Its weight, here and in the list of a request.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.name_bytes + self.value_bytes + OVERHEAD
    }
}

/// What everybody knows: RFC 7541, Appendix A. Numbers begin at one.
pub(super) const KNOWN: [(&str, &str); 61] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];

static FIELDS: LazyLock<Vec<Field>> = LazyLock::new(|| {
    let field = |(name, value): &(&str, &'static str)| {
        Field::new(name.as_bytes(), Bytes::from_static(value.as_bytes()))
    };
    KNOWN.iter().map(field).collect()
});

/// What the sender has entered, the latest first, after what everybody knows.
#[derive(Debug)]
pub(crate) struct Table {
    entered: VecDeque<Field>,
    bytes: usize,
    limit: usize,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            entered: VecDeque::new(),
            bytes: 0,
            limit: SIZE,
        }
    }
}

impl Table {
    /// The field of this number, if there is one.
    pub(crate) fn get(&self, number: usize) -> Option<&Field> {
        let place = number.checked_sub(1)?;
        match FIELDS.get(place) {
            Some(known) => Some(known),
            None => self.entered.get(place - FIELDS.len()),
        }
    }

    /// Enters a field; the oldest make room. One that is larger than the table empties it.
    pub(crate) fn enter(&mut self, field: Field) {
        let bytes = field.bytes();
        self.shrink_to(self.limit.saturating_sub(bytes));
        if bytes <= self.limit {
            self.bytes += bytes;
            self.entered.push_front(field);
        }
    }

    /// The sender uses less, or again more, of what it may.
    pub(crate) fn limit(&mut self, bytes: usize) {
        self.limit = bytes;
        self.shrink_to(bytes);
    }

    fn shrink_to(&mut self, bytes: usize) {
        while self.bytes > bytes
            && let Some(oldest) = self.entered.pop_back()
        {
            self.bytes -= oldest.bytes();
        }
    }
}
