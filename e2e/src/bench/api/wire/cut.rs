//! Cuts what comes into frames, wherever it was cut on its way. Bodies are handed on piece by piece, since nobody here
//! wants them whole; of anything else a frame is kept until all of it has come.

use std::borrow::Cow;

use apiserver::http2::frame::{self, HEAD, Head, Reason};

/// The next of what has come.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// A whole frame.
    Frame(Head, Cow<'a, [u8]>),
    /// The head of a frame of a body, of which so many bytes follow in parts.
    Body(Head, usize),
    /// A part of it, and whether it is the last.
    Part(Head, &'a [u8], bool),
}

#[derive(Debug, Default)]
pub(super) struct Cutter {
    /// A frame of which the end is still to come.
    part: Vec<u8>,
    body: Option<Body>,
}

/// A frame of a body that is on its way: what of it is still to come, and the padding after it.
#[derive(Debug)]
struct Body {
    head: Head,
    data: usize,
    padding: usize,
}

impl Cutter {
    /// Cuts the next piece off the front; none if more has to come first.
    pub(super) fn cut<'a>(&mut self, bytes: &mut &'a [u8]) -> Result<Option<Piece<'a>>, Reason> {
        if let Some(body) = &mut self.body {
            if bytes.is_empty() {
                return Ok(None);
            }
            if body.data > 0 {
                return Ok(Some(body.part(bytes)));
            }
            let padding = body.padding.min(bytes.len());
            *bytes = &bytes[padding..];
            body.padding -= padding;
            if body.padding > 0 {
                return Ok(None);
            }
            self.body = None;
        }
        if self.part.is_empty()
            && let Some(head) = Head::read(bytes)
            && let Some((whole, rest)) = bytes.split_at_checked(wanted(head)?)
        {
            *bytes = rest;
            return self.piece(head, Cow::Borrowed(&whole[HEAD..])).map(Some);
        }
        self.gather(bytes)
    }

    /// Puts together what comes in several pieces.
    fn gather<'a>(&mut self, bytes: &mut &'a [u8]) -> Result<Option<Piece<'a>>, Reason> {
        loop {
            let head = Head::read(&self.part);
            let wanted = head.map_or(Ok(HEAD), wanted)?;
            if let Some(head) = head
                && self.part.len() == wanted
            {
                let mut payload = std::mem::take(&mut self.part);
                payload.drain(..HEAD);
                return self.piece(head, Cow::Owned(payload)).map(Some);
            }
            if bytes.is_empty() {
                return Ok(None);
            }
            let missing = wanted - self.part.len();
            let (more, rest) = bytes.split_at(missing.min(bytes.len()));
            self.part.extend_from_slice(more);
            *bytes = rest;
        }
    }

    fn piece<'a>(&mut self, head: Head, payload: Cow<'a, [u8]>) -> Result<Piece<'a>, Reason> {
        if head.kind != frame::DATA {
            return Ok(Piece::Frame(head, payload));
        }
        // What came of the payload is at most the length of its padding.
        let padding = payload.first().map_or(0, |padding| usize::from(*padding));
        let data = (head.length - payload.len()).checked_sub(padding);
        let data = data.ok_or(Reason::Protocol)?;
        self.body = (data + padding > 0).then_some(Body {
            head,
            data,
            padding,
        });
        Ok(Piece::Body(head, data))
    }
}

impl Body {
    fn part<'a>(&mut self, bytes: &mut &'a [u8]) -> Piece<'a> {
        let (part, rest) = bytes.split_at(self.data.min(bytes.len()));
        *bytes = rest;
        self.data -= part.len();
        Piece::Part(self.head, part, self.data == 0)
    }
}

/// How much of a frame has to be there: all of it, but of a body what comes before its data.
fn wanted(head: Head) -> Result<usize, Reason> {
    let padding = usize::from(head.has(frame::PADDED));
    if head.length > frame::PAYLOAD || head.kind == frame::DATA && head.length < padding {
        return Err(Reason::FrameSize);
    }
    let first = if head.kind == frame::DATA {
        padding
    } else {
        head.length
    };
    Ok(HEAD + first)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is cut off these bytes, with the parts of a body put together again.
    fn cut(bytes: &[u8], sizes: impl Fn(usize) -> usize) -> Result<Vec<String>, Reason> {
        let (mut cutter, mut found) = (Cutter::default(), Vec::new());
        let (mut rest, mut body, mut turn) = (bytes, Vec::new(), 0);
        while !rest.is_empty() {
            let (mut piece, after) = rest.split_at(sizes(turn).clamp(1, rest.len()));
            (rest, turn) = (after, turn + 1);
            while let Some(piece) = cutter.cut(&mut piece)? {
                match piece {
                    Piece::Frame(head, payload) => {
                        assert_eq!(head.length, payload.len());
                        found.push(format!("{} {payload:?}", head.kind));
                    }
                    Piece::Body(head, data) => {
                        found.push(format!("body {data} of {}", head.length));
                    }
                    Piece::Part(_, part, is_last) => {
                        body.extend_from_slice(part);
                        if is_last {
                            found.push(format!("{:?}", std::mem::take(&mut body)));
                        }
                    }
                }
            }
            assert!(piece.is_empty(), "all of it is taken");
        }
        assert!(cutter.part.is_empty(), "nothing is left");
        Ok(found)
    }

    #[test]
    fn frames_in_pieces() {
        let mut bytes = Vec::new();
        frame::frame(&mut bytes, frame::SETTINGS, 0, 0, &[]);
        frame::frame(&mut bytes, frame::DATA, 0, 1, b"abc");
        frame::frame(&mut bytes, frame::DATA, frame::END_STREAM, 1, b"");
        frame::frame(&mut bytes, frame::DATA, frame::PADDED, 3, &[1, 7, 0]);
        frame::frame(&mut bytes, frame::DATA, frame::PADDED, 3, &[0]);
        frame::frame(&mut bytes, frame::DATA, frame::PADDED, 3, &[2, 0, 0]);
        frame::frame(&mut bytes, frame::PING, 0, 0, &[9; 8]);
        let expected = [
            "4 []",
            "body 3 of 3",
            "[97, 98, 99]",
            "body 0 of 0",
            "body 1 of 3",
            "[7]",
            "body 0 of 1",
            "body 0 of 3",
            "6 [9, 9, 9, 9, 9, 9, 9, 9]",
        ];
        for size in 1..=bytes.len() {
            assert_eq!(cut(&bytes, |_| size).unwrap(), expected, "by {size}");
            let uneven = |turn| if turn == 0 { size } else { bytes.len() };
            assert_eq!(cut(&bytes, uneven).unwrap(), expected, "first {size}");
        }
    }

    #[test]
    fn frames_that_are_none() {
        for (length, kind, flags, expected) in [
            (frame::PAYLOAD + 1, frame::DATA, 0, Reason::FrameSize),
            (frame::PAYLOAD + 1, frame::HEADERS, 0, Reason::FrameSize),
            (0, frame::DATA, frame::PADDED, Reason::FrameSize),
            (9, frame::DATA, frame::PADDED, Reason::Protocol),
        ] {
            let mut bytes = Vec::new();
            frame::head(&mut bytes, length, kind, flags, 1);
            bytes.push(9);
            for size in [1, 10] {
                assert_eq!(cut(&bytes, |_| size), Err(expected), "{length} of {kind}");
            }
        }
    }
}
