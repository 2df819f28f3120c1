//! Frames that came.

use std::mem;

use apiserver::http2::block::{self, Block};
use apiserver::http2::flow::grow;
use apiserver::http2::frame::{self, Head, Reason};

use super::{BLOCK_MAX, CONNECTION_WINDOW, Event, STREAM_WINDOW, Session};
use crate::bench::api::wire::cut::Piece;
use crate::bench::api::wire::head::{self, Broken};

/// A frame that is dealt with leads to an event, or to none.
type Dealt = Result<Option<Event<'static>>, Reason>;

impl Session {
    /// The next thing that happens in these bytes, which are cut off their front; none if more has to come first.
    ///
    /// # Errors
    /// Why the connection is over: say so with [`Session::leave`].
    pub(in crate::bench::api::wire) fn next<'a>(
        &mut self,
        bytes: &mut &'a [u8],
        out: &mut Vec<u8>,
    ) -> Result<Option<Event<'a>>, Reason> {
        while let Some(piece) = self.cutter.cut(bytes)? {
            let event = match piece {
                Piece::Frame(head, payload) => self.frame(head, &payload, out)?,
                Piece::Body(head, data) => self.body(head, data, out)?,
                Piece::Part(head, data, is_last) => {
                    let ends = is_last && head.has(frame::END_STREAM);
                    self.data(head.stream, data, ends, out)
                }
            };
            if event.is_some() {
                return Ok(event);
            }
        }
        Ok(None)
    }

    /// A frame is where it may be, and of whom it may be.
    fn expected(&self, head: Head) -> Result<(), Reason> {
        let is_first = head.kind == frame::SETTINGS && !head.has(frame::ACK);
        let is_next = self.block.is_none() || head.kind == frame::CONTINUATION;
        let fits = match head.kind {
            frame::DATA | frame::HEADERS | frame::RESET => self.is_known(head.stream),
            frame::CONTINUATION | frame::PRIORITY => head.stream != 0,
            frame::SETTINGS | frame::PING | frame::GOAWAY => head.stream == 0,
            frame::WINDOW => head.stream == 0 || self.is_known(head.stream),
            _ => true,
        };
        if fits && is_next && (is_first || self.is_open) {
            Ok(())
        } else {
            Err(Reason::Protocol)
        }
    }

    /// True if we have begun this stream.
    fn is_known(&self, stream: u32) -> bool {
        stream <= self.sent && stream % 2 == 1
    }

    fn frame(&mut self, head: Head, payload: &[u8], out: &mut Vec<u8>) -> Dealt {
        self.expected(head)?;
        match head.kind {
            frame::HEADERS => self.headers(head, payload, out),
            frame::CONTINUATION => self.continuation(head, payload, out),
            frame::RESET => {
                let why = frame::number(payload)?;
                Ok(self.reset(head.stream, why, None, out))
            }
            frame::SETTINGS if head.has(frame::ACK) && payload.is_empty() => Ok(None),
            frame::SETTINGS if head.has(frame::ACK) => Err(Reason::FrameSize),
            frame::SETTINGS => self.settings(payload, out),
            frame::PING => ping(head, payload, out),
            frame::WINDOW => self.window(head.stream, payload, out),
            frame::GOAWAY => self.goaway(payload),
            frame::PROMISE => Err(Reason::Protocol),
            // How urgent something is, and what nobody knows.
            _ => Ok(None),
        }
    }

    /// A frame of a body begins. All of it counts as taken, since whoever asks throws it away: so it is granted anew.
    fn body(&mut self, head: Head, data: usize, out: &mut Vec<u8>) -> Dealt {
        self.expected(head)?;
        self.intake.spend(head.length)?;
        if let Some(granted) = self.intake.grant(head.length, CONNECTION_WINDOW) {
            frame::window(out, 0, granted);
        }
        let ends = head.has(frame::END_STREAM);
        let Some(flow) = self.streams.get_mut(head.stream) else {
            // It was on its way when the stream ended.
            return Ok(None);
        };
        if !flow.has_head {
            return Ok(self.broken(head.stream, Reason::Protocol, out));
        }
        if let Err(reason) = flow.intake.spend(head.length) {
            return Ok(self.broken(head.stream, reason, out));
        }
        if let Some(granted) = flow.intake.grant(head.length, STREAM_WINDOW)
            && !ends
        {
            frame::window(out, head.stream, granted);
        }
        if ends && data == 0 {
            return Ok(self.data(head.stream, &[], true, out));
        }
        Ok(None)
    }

    fn data<'a>(
        &mut self,
        stream: u32,
        data: &'a [u8],
        ends: bool,
        out: &mut Vec<u8>,
    ) -> Option<Event<'a>> {
        self.streams.get(stream)?;
        if ends {
            self.end(stream, None, out);
        }
        Some(Event::Data { stream, data, ends })
    }

    /// The stream is over: the server says so, or is told.
    fn reset(
        &mut self,
        stream: u32,
        why: u32,
        told: Option<Reason>,
        out: &mut Vec<u8>,
    ) -> Option<Event<'static>> {
        let flow = self.streams.get_mut(stream)?;
        flow.rest.clear();
        self.end(stream, told, out);
        Some(Event::Reset { stream, why })
    }

    fn broken(&mut self, stream: u32, why: Reason, out: &mut Vec<u8>) -> Option<Event<'static>> {
        self.reset(stream, why as u32, Some(why), out)
    }

    fn headers(&mut self, head: Head, payload: &[u8], out: &mut Vec<u8>) -> Dealt {
        let bytes = block::first(head, payload)?;
        if head.has(frame::END_HEADERS) {
            let ends = head.has(frame::END_STREAM);
            return self.block(head.stream, ends, bytes, out);
        }
        self.block = Some(Box::new(Block::begin(head, bytes)));
        Ok(None)
    }

    fn continuation(&mut self, head: Head, payload: &[u8], out: &mut Vec<u8>) -> Dealt {
        let mut block = self.block.take().ok_or(Reason::Protocol)?;
        block.add(head, payload, BLOCK_MAX)?;
        if head.has(frame::END_HEADERS) {
            return self.block(block.stream, block.ends, block.bytes(), out);
        }
        self.block = Some(block);
        Ok(None)
    }

    /// A whole block: the head of an answer, one that only announces it, or what follows its body.
    fn block(&mut self, stream: u32, ends: bool, bytes: &[u8], out: &mut Vec<u8>) -> Dealt {
        let status = match head::status(&mut self.decoder, bytes) {
            Err(Broken::Block) => return Err(Reason::Compression),
            Err(Broken::Answer) => return Ok(self.broken(stream, Reason::Protocol, out)),
            Ok(status) => status,
        };
        let Some(flow) = self.streams.get_mut(stream) else {
            return Ok(None);
        };
        match (flow.has_head, status) {
            (false, Some(status)) if status.is_informational() && !ends => Ok(None),
            (false, Some(status)) if !status.is_informational() => {
                flow.has_head = true;
                if ends {
                    self.end(stream, None, out);
                }
                Ok(Some(Event::Head {
                    stream,
                    status,
                    ends,
                }))
            }
            (true, None) if ends => Ok(self.data(stream, &[], true, out)),
            _ => Ok(self.broken(stream, Reason::Protocol, out)),
        }
    }

    fn settings(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Dealt {
        let (settings, []) = payload.as_chunks::<6>() else {
            return Err(Reason::FrameSize);
        };
        for [a, b, rest @ ..] in settings {
            let value = u32::from_be_bytes(*rest);
            match (u16::from_be_bytes([*a, *b]), value) {
                (2, 1..) => return Err(Reason::Protocol),
                (3, _) => self.streams_max = value as usize,
                (4, _) => self.first_window(value)?,
                (5, 16_384..=16_777_215) => self.payload = value as usize,
                (5, _) => return Err(Reason::Protocol),
                // We pack without a table, and send small heads.
                _ => {}
            }
        }
        self.is_open = true;
        frame::frame(out, frame::SETTINGS, frame::ACK, 0, &[]);
        self.pump(out);
        self.admit(out);
        Ok(None)
    }

    /// Every stream begins with another window, and those that are open are treated as if they had.
    fn first_window(&mut self, first: u32) -> Result<(), Reason> {
        if first > frame::MAX {
            return Err(Reason::FlowControl);
        }
        let more = i64::from(first) - i64::from(mem::replace(&mut self.first, first));
        for (_, flow) in self.streams.iter_mut() {
            grow(&mut flow.window, more)?;
        }
        Ok(())
    }

    fn window(&mut self, stream: u32, payload: &[u8], out: &mut Vec<u8>) -> Dealt {
        let more = i64::from(frame::number(payload)? & frame::MAX);
        if stream == 0 {
            if more == 0 {
                return Err(Reason::Protocol);
            }
            grow(&mut self.window, more)?;
            self.pump(out);
            return Ok(None);
        }
        let Some(flow) = self.streams.get_mut(stream) else {
            return Ok(None);
        };
        let grown = match more {
            0 => Err(Reason::Protocol),
            more => grow(&mut flow.window, more),
        };
        if let Err(reason) = grown {
            return Ok(self.broken(stream, reason, out));
        }
        flow.send(stream, &mut self.window, self.payload, out);
        Ok(None)
    }

    /// What the server has not begun it never will.
    fn goaway(&mut self, payload: &[u8]) -> Dealt {
        let (Some(last), Some(why)) = (payload.get(..4), payload.get(4..8)) else {
            return Err(Reason::FrameSize);
        };
        let last = frame::number(last)? & frame::MAX;
        self.is_left = true;
        self.waiting.clear();
        let gone = self.streams.iter_mut().map(|(stream, _)| stream);
        let gone: Vec<u32> = gone.filter(|stream| *stream > last).collect();
        for stream in gone {
            self.streams.remove(stream);
        }
        let why = frame::number(why)?;
        // What waited for a stream was never sent.
        let last = last.min(self.sent);
        Ok(Some(Event::Left { last, why }))
    }
}

fn ping(head: Head, payload: &[u8], out: &mut Vec<u8>) -> Dealt {
    let payload: [u8; 8] = payload.try_into().map_err(|_length| Reason::FrameSize)?;
    if !head.has(frame::ACK) {
        frame::frame(out, frame::PING, frame::ACK, 0, &payload);
    }
    Ok(None)
}
