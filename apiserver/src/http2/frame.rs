//! Frames: their heads, and those that are written here. RFC 9113 §4 and §6.

/// What every client begins with.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes of a frame's head.
pub(crate) const HEAD: usize = 9;

/// Longest payload either side takes unless it says otherwise; we never do.
pub(crate) const PAYLOAD: usize = 16 << 10;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RESET: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const ACK: u8 = 1;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const PADDED: u8 = 8;
pub(crate) const PRIORITIZED: u8 = 0x20;

/// Highest number of a stream, and largest window.
pub(crate) const MAX: u32 = (1 << 31) - 1;

/// Why a stream or a connection ends, as RFC 9113 §7 numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Nothing is wrong.
    None = 0,
    /// The peer broke the rules.
    Protocol = 1,
    /// We failed.
    Internal = 2,
    /// More was sent than there was room for.
    FlowControl = 3,
    /// A frame of a length that its kind cannot have.
    FrameSize = 6,
    /// Not begun: may be tried again.
    Refused = 7,
    /// Headers that cannot be unpacked.
    Compression = 9,
    /// Too much that leads to nothing.
    Calm = 11,
}

/// The head of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) length: usize,
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
}

impl Head {
    /// Reads a head; none if there is not all of it.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let [a, b, c, kind, flags, rest @ ..] = bytes.first_chunk::<HEAD>()?;
        Some(Self {
            length: usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c),
            kind: *kind,
            flags: *flags,
            stream: u32::from_be_bytes(*rest) & MAX,
        })
    }

    pub(crate) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// Writes the head of a frame; its payload is to follow.
pub(crate) fn head(out: &mut Vec<u8>, length: usize, kind: u8, flags: u8, stream: u32) {
    let [.., a, b, c] = length.to_be_bytes();
    let [d, e, f, g] = stream.to_be_bytes();
    out.extend_from_slice(&[a, b, c, kind, flags, d, e, f, g]);
}

/// Writes a frame.
pub(crate) fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    head(out, payload.len(), kind, flags, stream);
    out.extend_from_slice(payload);
}

/// Ends a stream.
pub(crate) fn reset(out: &mut Vec<u8>, stream: u32, reason: Reason) {
    frame(out, RESET, 0, stream, &(reason as u32).to_be_bytes());
}

/// Grants so many bytes more, on a stream or (0) the connection.
pub(crate) fn window(out: &mut Vec<u8>, stream: u32, bytes: u32) {
    frame(out, WINDOW, 0, stream, &bytes.to_be_bytes());
}

/// Says that no stream after `last` will be served.
pub(crate) fn goaway(out: &mut Vec<u8>, last: u32, reason: Reason) {
    head(out, 8, GOAWAY, 0, 0);
    out.extend_from_slice(&last.to_be_bytes());
    out.extend_from_slice(&(reason as u32).to_be_bytes());
}

/// A payload of exactly four bytes as a number.
pub(crate) fn number(payload: &[u8]) -> Result<u32, Reason> {
    let bytes = payload.try_into().map_err(|_length| Reason::FrameSize)?;
    Ok(u32::from_be_bytes(bytes))
}

/// The payload without its padding, RFC 9113 §6.1.
pub(crate) fn unpadded(head: Head, payload: &[u8]) -> Result<&[u8], Reason> {
    if !head.has(PADDED) {
        return Ok(payload);
    }
    let (&padding, rest) = payload.split_first().ok_or(Reason::FrameSize)?;
    let length = rest.len().checked_sub(usize::from(padding));
    length.map(|length| &rest[..length]).ok_or(Reason::Protocol)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads() {
        let mut out = Vec::new();
        frame(&mut out, DATA, END_STREAM, 7, b"abc");
        let head = Head::read(&out).unwrap();
        assert_eq!((head.length, head.kind, head.stream), (3, DATA, 7));
        assert!(head.has(END_STREAM) && !head.has(PADDED));
        assert_eq!(Head::read(&out[..8]), None);
        let reserved = [0, 0, 1, 0, 0, 0x80, 0, 0, 1];
        assert_eq!(Head::read(&reserved).unwrap().stream, 1);
    }

    #[test]
    fn padding() {
        let head = Head {
            length: 0,
            kind: DATA,
            flags: PADDED,
            stream: 1,
        };
        for (payload, expected) in [
            (&[2, b'a', 0, 0][..], Ok(&b"a"[..])),
            (&[0], Ok(b"")),
            (&[], Err(Reason::FrameSize)),
            (&[2, 0], Err(Reason::Protocol)),
        ] {
            assert_eq!(unpadded(head, payload), expected, "{payload:?}");
        }
    }
}
