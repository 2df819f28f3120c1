//! The wire format: numbered fields, one after another. Knows no message.

use thiserror::Error;

/// Why bytes are no message.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum Malformed {
    #[error("it breaks off within a field")]
    Truncated,
    #[error("a number has more than ten bytes")]
    Varint,
    #[error("field number {0} is not allowed")]
    Number(u64),
    #[error("wire type {0} is not used by Kubernetes")]
    WireType(u8),
    #[error("{0}: the wire type does not fit the field")]
    Misfit(&'static str),
    #[error("{0}: the text is not UTF-8")]
    Utf8(&'static str),
    #[error("{0}: the bytes are not JSON")]
    Json(&'static str),
    #[error("{0}: the time is out of range")]
    Time(&'static str),
    #[error("it is nested too deeply")]
    Deep,
    #[error("it has too many fields")]
    Many,
}

/// The value of one field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Wire<'a> {
    Number(u64),
    Double(f64),
    Bytes(&'a [u8]),
    /// Four bytes; no field we know is written so.
    Four,
}

/// Reads the fields of one message.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next field with its number; none at the end.
    pub(super) fn next(&mut self) -> Result<Option<(u32, Wire<'a>)>, Malformed> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).ok().filter(|n| *n > 0);
        let number = number.ok_or(Malformed::Number(tag >> 3))?;
        let wire = match (tag & 7) as u8 {
            0 => Wire::Number(self.varint()?),
            1 => Wire::Double(f64::from_le_bytes(self.array()?)),
            2 => {
                let length = self.varint()?;
                let length = usize::try_from(length).map_err(|_too_long| Malformed::Truncated)?;
                Wire::Bytes(self.take(length)?)
            }
            5 => {
                self.take(4)?;
                Wire::Four
            }
            other => return Err(Malformed::WireType(other)),
        };
        Ok(Some((number, wire)))
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0;
        for n in 0..10 {
            let [byte] = self.array()?;
            value |= u64::from(byte & 0x7f) << (7 * n);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed::Varint)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(Malformed::Truncated)?;
        self.rest = rest;
        Ok(*head)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (head, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or(Malformed::Truncated)?;
        self.rest = rest;
        Ok(head)
    }
}

/// The text of a field.
pub(super) fn text<'a>(bytes: &'a [u8], field: &'static str) -> Result<&'a str, Malformed> {
    std::str::from_utf8(bytes).map_err(|_invalid| Malformed::Utf8(field))
}
