//! The few protobuf messages of `etcdserverpb` that are spoken here, with the frame around them. The
//! numbers of fields are those of etcd's `rpc.proto` and `kv.proto`.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};
use store::Item;

/// Bytes before each message: compression (none), then the length.
const PREFIX: usize = 5;

/// Protobuf's wire types.
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const DELIMITED: u64 = 2;
const FIXED32: u64 = 5;

/// A body that is no message of the expected kind.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body is not one whole message")
    }
}

impl std::error::Error for Malformed {}

/// `PutRequest`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Put {
    pub(crate) key: Bytes,
    pub(crate) value: Bytes,
}

impl Put {
    /// The framed request; takes slices so that a caller's buffer is used again.
    pub(crate) fn encode(key: &[u8], value: &[u8]) -> Bytes {
        framed(key.len() + value.len() + 16, |to| {
            delimited(to, 1, key);
            delimited(to, 2, value);
        })
    }

    pub(crate) fn decode(frame: &Bytes) -> Result<Self, Malformed> {
        let mut put = Self {
            key: Bytes::new(),
            value: Bytes::new(),
        };
        for field in unframed(frame)? {
            match field? {
                (1, Field::Delimited(key)) => put.key = frame.slice_ref(key),
                (2, Field::Delimited(value)) => put.value = frame.slice_ref(value),
                _ => {}
            }
        }
        Ok(put)
    }
}

/// `RangeRequest` of one key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Get {
    pub(crate) key: Bytes,
    /// True when the member's own state will do, however old.
    pub(crate) serializable: bool,
}

impl Get {
    pub(crate) fn encode(key: &[u8], serializable: bool) -> Bytes {
        framed(key.len() + 16, |to| {
            delimited(to, 1, key);
            number(to, 7, u64::from(serializable));
        })
    }

    pub(crate) fn decode(frame: &Bytes) -> Result<Self, Malformed> {
        let mut get = Self {
            key: Bytes::new(),
            serializable: false,
        };
        for field in unframed(frame)? {
            match field? {
                (1, Field::Delimited(key)) => get.key = frame.slice_ref(key),
                (7, Field::Number(flag)) => get.serializable = flag != 0,
                _ => {}
            }
        }
        Ok(get)
    }
}

/// What both answers are read for: the revision in the header, and how many keys were found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) revision: u64,
    pub(crate) count: u64,
    /// Length of the last value found.
    pub(crate) value_bytes: usize,
}

impl Answer {
    /// `PutResponse`.
    pub(crate) fn encode_put(revision: u64) -> Bytes {
        framed(16, |to| header(to, revision))
    }

    /// `RangeResponse` with at most one item.
    pub(crate) fn encode_get(revision: u64, item: Option<&Item>) -> Bytes {
        let bytes = item.map_or(0, |item| item.key.len() + item.value.len() + 64);
        framed(bytes + 32, |to| {
            header(to, revision);
            if let Some(item) = item {
                delimited(to, 2, &key_value(item));
                number(to, 4, 1);
            }
        })
    }

    pub(crate) fn decode(frame: &Bytes) -> Result<Self, Malformed> {
        let mut answer = Self::default();
        for field in unframed(frame)? {
            match field? {
                (1, Field::Delimited(header)) => answer.revision = number_of(header, 3)?,
                (2, Field::Delimited(item)) => answer.value_bytes = length_of(item, 5)?,
                (4, Field::Number(count)) => answer.count = count,
                _ => {}
            }
        }
        Ok(answer)
    }
}

fn header(to: &mut BytesMut, revision: u64) {
    let mut fields = BytesMut::with_capacity(16);
    number(&mut fields, 3, revision);
    delimited(to, 1, &fields);
}

fn key_value(item: &Item) -> BytesMut {
    let mut fields = BytesMut::with_capacity(item.key.len() + item.value.len() + 48);
    delimited(&mut fields, 1, &item.key);
    number(&mut fields, 2, item.create_revision);
    number(&mut fields, 3, item.mod_revision);
    number(&mut fields, 4, item.version);
    delimited(&mut fields, 5, &item.value);
    fields
}

fn number_of(message: &[u8], wanted: u64) -> Result<u64, Malformed> {
    let mut found = 0;
    for field in Fields(message) {
        if let (at, Field::Number(value)) = field?
            && at == wanted
        {
            found = value;
        }
    }
    Ok(found)
}

fn length_of(message: &[u8], wanted: u64) -> Result<usize, Malformed> {
    let mut found = 0;
    for field in Fields(message) {
        if let (at, Field::Delimited(value)) = field?
            && at == wanted
        {
            found = value.len();
        }
    }
    Ok(found)
}

/// One message behind its prefix, written into one buffer.
fn framed(capacity: usize, write: impl FnOnce(&mut BytesMut)) -> Bytes {
    let mut to = BytesMut::with_capacity(PREFIX + capacity);
    to.put_bytes(0, PREFIX);
    write(&mut to);
    let length = u32::try_from(to.len() - PREFIX).expect("messages here are far below 4 GiB");
    to[1..PREFIX].copy_from_slice(&length.to_be_bytes());
    to.freeze()
}

/// The fields of the one message in a body.
fn unframed(frame: &[u8]) -> Result<Fields<'_>, Malformed> {
    let (prefix, message) = frame.split_at_checked(PREFIX).ok_or(Malformed)?;
    let length = u32::from_be_bytes(prefix[1..].try_into().map_err(|_short| Malformed)?);
    if prefix[0] == 0 && usize::try_from(length) == Ok(message.len()) {
        Ok(Fields(message))
    } else {
        Err(Malformed)
    }
}

/// Protobuf leaves out numbers that are zero.
fn number(to: &mut BytesMut, field: u64, value: u64) {
    if value != 0 {
        varint(to, field << 3 | VARINT);
        varint(to, value);
    }
}

fn delimited(to: &mut BytesMut, field: u64, value: &[u8]) {
    varint(to, field << 3 | DELIMITED);
    varint(to, value.len() as u64);
    to.put_slice(value);
}

fn varint(to: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        to.put_u8((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    to.put_u8(value as u8);
}

/// What a field holds, as far as anything here looks at it.
enum Field<'a> {
    Number(u64),
    Delimited(&'a [u8]),
    /// Of a fixed width; nothing read here has one.
    Other,
}

/// Walks over the fields of a message.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, bytes: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(usize::try_from(bytes).ok()?)?;
        self.0 = rest;
        Some(taken)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn field(&mut self) -> Option<(u64, Field<'a>)> {
        let tag = self.varint()?;
        let field = match tag & 7 {
            VARINT => Field::Number(self.varint()?),
            DELIMITED => {
                let bytes = self.varint()?;
                Field::Delimited(self.take(bytes)?)
            }
            FIXED64 => self.take(8).map(|_skipped| Field::Other)?,
            FIXED32 => self.take(4).map(|_skipped| Field::Other)?,
            _ => return None,
        };
        Some((tag >> 3, field))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Field<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field().ok_or(Malformed);
        if field.is_err() {
            // What follows the damage has no meaning.
            self.0 = &[];
        }
        Some(field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_return_as_they_were_sent() {
        let put = Put::decode(&Put::encode(b"key", &[7; 256])).unwrap();
        assert_eq!((&put.key[..], &put.value[..]), (&b"key"[..], &[7; 256][..]));
        for serializable in [false, true] {
            let get = Get::decode(&Get::encode(b"key", serializable)).unwrap();
            assert_eq!(
                (&get.key[..], get.serializable),
                (&b"key"[..], serializable)
            );
        }
    }

    #[test]
    fn answers_carry_revision_count_and_value() {
        let answer = Answer::decode(&Answer::encode_put(300)).unwrap();
        assert_eq!((answer.revision, answer.count), (300, 0));
        let item = Item {
            key: Bytes::from_static(b"key"),
            value: Bytes::from_static(&[1; 200]),
            create_revision: 3,
            mod_revision: 4,
            version: 2,
        };
        let found = Answer::decode(&Answer::encode_get(9, Some(&item))).unwrap();
        assert_eq!(
            (found.revision, found.count, found.value_bytes),
            (9, 1, 200)
        );
    }

    #[test]
    fn the_bytes_are_those_of_protobuf() {
        assert_eq!(
            &Put::encode(b"a", b"bc")[..],
            b"\0\0\0\0\x07\x0a\x01a\x12\x02bc"
        );
        assert_eq!(
            &Get::encode(b"a", true)[..],
            b"\0\0\0\0\x05\x0a\x01a\x38\x01"
        );
    }

    #[test]
    fn damage_is_refused() {
        let whole = Put::encode(b"key", b"value");
        for end in 0..whole.len() {
            assert_eq!(Put::decode(&whole.slice(..end)), Err(Malformed), "{end}");
        }
        let overlong = Bytes::from_static(b"\0\0\0\0\x03\x0a\x7fa");
        assert_eq!(Put::decode(&overlong), Err(Malformed));
        let compressed = Bytes::from_static(b"\x01\0\0\0\0");
        assert_eq!(Put::decode(&compressed), Err(Malformed));
    }
}
