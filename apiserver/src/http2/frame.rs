//! Frames: their heads, and those that are written here. RFC 9113 §4 and §6.

/// What every client begins with.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes of a frame's head.
pub const HEAD: usize = 9;

/// Longest payload either side takes unless it says otherwise; we never do.
pub const PAYLOAD: usize = 16 << 10;

/// A piece of a body.
pub const DATA: u8 = 0;
/// A block of headers, or its beginning.
pub const HEADERS: u8 = 1;
/// How urgent a stream is; nobody asks any more.
pub const PRIORITY: u8 = 2;
/// A stream ends at once.
pub const RESET: u8 = 3;
/// What the sender can take.
pub const SETTINGS: u8 = 4;
/// An answer that nobody asked for.
pub const PROMISE: u8 = 5;
/// Is the other end there?
pub const PING: u8 = 6;
/// No new streams.
pub const GOAWAY: u8 = 7;
/// More may be sent.
pub const WINDOW: u8 = 8;
/// More of a block of headers.
pub const CONTINUATION: u8 = 9;

/// Settings and pings: what came was heard.
pub const ACK: u8 = 1;
/// Nothing follows on the stream.
pub const END_STREAM: u8 = 1;
/// The block of headers ends here.
pub const END_HEADERS: u8 = 4;
/// The payload begins with the length of its padding.
pub const PADDED: u8 = 8;
/// The headers begin with how urgent they are.
pub const PRIORITIZED: u8 = 0x20;

/// Highest number of a stream, and largest window.
pub const MAX: u32 = (1 << 31) - 1;

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
    /// No longer of interest.
    Cancel = 8,
    /// Headers that cannot be unpacked.
    Compression = 9,
    /// Too much that leads to nothing.
    Calm = 11,
}

/// The head of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Bytes of the payload.
    pub length: usize,
    /// What it is: [`DATA`] and so on.
    pub kind: u8,
    /// What is said of it: [`END_STREAM`] and so on.
    pub flags: u8,
    /// Its stream, or 0 for the connection.
    pub stream: u32,
}

impl Head {
    /// Reads a head; none if there is not all of it.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let [a, b, c, kind, flags, rest @ ..] = bytes.first_chunk::<HEAD>()?;
        Some(Self {
            length: usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c),
            kind: *kind,
            flags: *flags,
            stream: u32::from_be_bytes(*rest) & MAX,
        })
    }

    /// True if the flag is set.
    #[must_use]
    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// Writes the head of a frame; its payload is to follow.
pub fn head(out: &mut Vec<u8>, length: usize, kind: u8, flags: u8, stream: u32) {
    let [.., a, b, c] = length.to_be_bytes();
    let [d, e, f, g] = stream.to_be_bytes();
    out.extend_from_slice(&[a, b, c, kind, flags, d, e, f, g]);
}

/// Writes a frame.
pub fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    head(out, payload.len(), kind, flags, stream);
    out.extend_from_slice(payload);
}

/// Writes our settings: numbers and values.
pub fn settings(out: &mut Vec<u8>, settings: &[(u16, u32)]) {
    head(out, 6 * settings.len(), SETTINGS, 0, 0);
    for (name, value) in settings {
        out.extend_from_slice(&name.to_be_bytes());
        out.extend_from_slice(&value.to_be_bytes());
    }
}

/// Writes a block of headers where it is sent from, in as many frames as the peer's longest `payload` asks for. Its length
/// is known afterwards.
pub fn headers(
    out: &mut Vec<u8>,
    (stream, end): (u32, u8),
    payload: usize,
    write: impl FnOnce(&mut Vec<u8>),
) {
    let start = out.len();
    head(out, 0, HEADERS, end | END_HEADERS, stream);
    write(out);
    let length = out.len() - start - HEAD;
    if length <= payload {
        out[start..start + 3].copy_from_slice(&length.to_be_bytes()[5..]);
    } else {
        let block = out.split_off(start + HEAD);
        out.truncate(start);
        long(out, (stream, end), payload, &block);
    }
}

/// A block of headers in several frames.
fn long(out: &mut Vec<u8>, (stream, end): (u32, u8), payload: usize, block: &[u8]) {
    let chunks = block.chunks(payload);
    let last = chunks.len() - 1;
    for (n, chunk) in chunks.enumerate() {
        let (kind, end) = if n == 0 {
            (HEADERS, end)
        } else {
            (CONTINUATION, 0)
        };
        let ends_block = if n == last { END_HEADERS } else { 0 };
        frame(out, kind, end | ends_block, stream, chunk);
    }
}

/// Ends a stream.
pub fn reset(out: &mut Vec<u8>, stream: u32, reason: Reason) {
    frame(out, RESET, 0, stream, &(reason as u32).to_be_bytes());
}

/// Grants so many bytes more, on a stream or (0) the connection.
pub fn window(out: &mut Vec<u8>, stream: u32, bytes: u32) {
    frame(out, WINDOW, 0, stream, &bytes.to_be_bytes());
}

/// Says that no stream after `last` will be served.
pub fn goaway(out: &mut Vec<u8>, last: u32, reason: Reason) {
    head(out, 8, GOAWAY, 0, 0);
    out.extend_from_slice(&last.to_be_bytes());
    out.extend_from_slice(&(reason as u32).to_be_bytes());
}

/// A payload of exactly four bytes as a number.
///
/// # Errors
/// When there are more or fewer.
pub fn number(payload: &[u8]) -> Result<u32, Reason> {
    let bytes = payload.try_into().map_err(|_length| Reason::FrameSize)?;
    Ok(u32::from_be_bytes(bytes))
}

/// The payload without its padding, RFC 9113 §6.1.
///
/// # Errors
/// When there is more padding than payload.
pub fn unpadded(head: Head, payload: &[u8]) -> Result<&[u8], Reason> {
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
    fn blocks_in_one_frame_and_in_several() {
        for (payload, expected) in [
            (8, &[(HEADERS, END_STREAM | END_HEADERS, 8)][..]),
            (
                3,
                &[
                    (HEADERS, END_STREAM, 3),
                    (CONTINUATION, 0, 3),
                    (CONTINUATION, END_HEADERS, 2),
                ],
            ),
        ] {
            let mut out = b"before".to_vec();
            headers(&mut out, (5, END_STREAM), payload, |out| {
                out.extend_from_slice(b"abcdefgh");
            });
            let mut rest = &out[6..];
            let (mut frames, mut block) = (Vec::new(), Vec::new());
            while let Some(head) = Head::read(rest) {
                assert_eq!(head.stream, 5);
                frames.push((head.kind, head.flags, head.length));
                block.extend_from_slice(&rest[HEAD..HEAD + head.length]);
                rest = &rest[HEAD + head.length..];
            }
            assert_eq!((&frames[..], &block[..]), (expected, &b"abcdefgh"[..]));
        }
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
