//! One connection as its client sees it: bytes in, events and bytes out, RFC 9113. A request has its number at once; where
//! the server allows no more streams, or no more of a body, it waits here until there is room.

mod receive;

use std::collections::VecDeque;

use apiserver::http2::block::Block;
use apiserver::http2::flow::{FIRST, Intake};
use apiserver::http2::frame::{self, Reason};
use apiserver::http2::hpack::decode::Decoder;
use apiserver::http2::streams::Streams;
use bytes::Bytes;
use http::StatusCode;

use super::Ask;
use super::cut::Cutter;
use super::head;

/// What Go's client grants: a stream this much at once, and a connection all there is.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 1 << 30;

/// Streams that are opened before the server has said how many it allows.
const STREAMS: usize = 512;

/// Bytes of a block of headers that comes in several frames.
const BLOCK_MAX: usize = 64 << 10;

/// What has come.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event<'a> {
    /// The head of an answer.
    Head {
        stream: u32,
        status: StatusCode,
        ends: bool,
    },
    /// A piece of its body, which counts as taken.
    Data {
        stream: u32,
        data: &'a [u8],
        ends: bool,
    },
    /// The server ended the stream, or broke its rules; why, by the standard's number.
    Reset { stream: u32, why: u32 },
    /// The server goes, and no stream after `last` is answered any more.
    Left { last: u32, why: u32 },
}

#[derive(Debug)]
pub(super) struct Session {
    authority: Box<str>,
    cutter: Cutter,
    decoder: Decoder,
    block: Option<Box<Block>>,
    streams: Streams<Flow>,
    /// Requests that there is no stream for yet.
    waiting: VecDeque<(u32, Ask)>,
    /// The highest number that a request has, and the highest that was sent.
    last: u32,
    sent: u32,
    /// What may still be sent, over all streams.
    window: i64,
    /// What the server takes: of a new stream, in one frame, and streams at once.
    first: u32,
    payload: usize,
    streams_max: usize,
    intake: Intake,
    /// The server's settings have come.
    is_open: bool,
    /// The server has said that it will go.
    is_left: bool,
}

/// A stream whose answer is not all there.
#[derive(Debug)]
struct Flow {
    window: i64,
    intake: Intake,
    /// What is still to be sent.
    rest: Bytes,
    has_head: bool,
}

impl Session {
    /// A connection to this authority on which nothing was said; `out` gets our part of it.
    pub(super) fn begin(authority: &str, out: &mut Vec<u8>) -> Self {
        out.extend_from_slice(frame::PREFACE);
        // No promises, please.
        let settings = [(2, 0), (4, STREAM_WINDOW)];
        frame::settings(out, &settings);
        frame::window(out, 0, CONNECTION_WINDOW - FIRST);
        Self {
            authority: authority.into(),
            cutter: Cutter::default(),
            decoder: Decoder::default(),
            block: None,
            streams: Streams::default(),
            waiting: VecDeque::new(),
            last: 0,
            sent: 0,
            window: i64::from(FIRST),
            first: FIRST,
            payload: frame::PAYLOAD,
            streams_max: STREAMS,
            intake: Intake::new(CONNECTION_WINDOW),
            is_open: false,
            is_left: false,
        }
    }

    /// Sends a request, or as much of it as there is room for; its number, or none if the server takes no more.
    pub(super) fn ask(&mut self, ask: Ask, out: &mut Vec<u8>) -> Option<u32> {
        let stream = if self.last == 0 { 1 } else { self.last + 2 };
        if self.is_left || stream > frame::MAX {
            return None;
        }
        self.last = stream;
        if self.waiting.is_empty() && self.streams.len() < self.streams_max {
            self.open(stream, ask, out);
        } else {
            self.waiting.push_back((stream, ask));
        }
        Some(stream)
    }

    fn open(&mut self, stream: u32, ask: Ask, out: &mut Vec<u8>) {
        self.sent = stream;
        let end = if ask.body.is_empty() {
            frame::END_STREAM
        } else {
            0
        };
        frame::headers(out, (stream, end), self.payload, |out| {
            head::write(out, &ask, &self.authority);
        });
        let mut flow = Flow {
            window: i64::from(self.first),
            intake: Intake::new(STREAM_WINDOW),
            rest: ask.body,
            has_head: false,
        };
        flow.send(stream, &mut self.window, self.payload, out);
        self.streams.push(stream, flow);
    }

    /// Nobody waits for this answer any more.
    pub(super) fn cancel(&mut self, stream: u32, out: &mut Vec<u8>) {
        self.waiting.retain(|(waiting, _)| *waiting != stream);
        self.end(stream, Some(Reason::Cancel), out);
    }

    /// Asks whether the server is there.
    pub(super) fn ping(&self, out: &mut Vec<u8>) {
        frame::frame(out, frame::PING, 0, 0, b"are you?");
    }

    /// Says that, and why, nothing more comes from here.
    pub(super) fn leave(&self, reason: Reason, out: &mut Vec<u8>) {
        frame::goaway(out, 0, reason);
    }

    /// Ends a stream, and tells the server why unless it knows. There is room for another.
    fn end(&mut self, stream: u32, told: Option<Reason>, out: &mut Vec<u8>) {
        let Some(flow) = self.streams.remove(stream) else {
            return;
        };
        // Where the answer came before all was sent, the rest is not.
        let unsent = (!flow.rest.is_empty()).then_some(Reason::Cancel);
        if let Some(reason) = told.or(unsent) {
            frame::reset(out, stream, reason);
        }
        self.admit(out);
    }

    /// Sends what waits for streams, as far as there are any.
    fn admit(&mut self, out: &mut Vec<u8>) {
        while self.streams.len() < self.streams_max
            && let Some((stream, ask)) = self.waiting.pop_front()
        {
            self.open(stream, ask, out);
        }
    }

    /// Sends what waits for windows, as far as they are open.
    fn pump(&mut self, out: &mut Vec<u8>) {
        for (stream, flow) in self.streams.iter_mut() {
            flow.send(stream, &mut self.window, self.payload, out);
        }
    }
}

impl Flow {
    /// Sends the front of what is left, as much as there is room for.
    fn send(&mut self, stream: u32, window: &mut i64, payload: usize, out: &mut Vec<u8>) {
        while !self.rest.is_empty() {
            let room = usize::try_from(self.window.min(*window)).unwrap_or(0);
            let bytes = room.min(payload).min(self.rest.len());
            if bytes == 0 {
                return;
            }
            let piece = self.rest.split_to(bytes);
            self.window -= bytes as i64;
            *window -= bytes as i64;
            let is_last = self.rest.is_empty();
            let end = if is_last { frame::END_STREAM } else { 0 };
            frame::frame(out, frame::DATA, end, stream, &piece);
        }
        // An empty rest would hold on to what it was cut from.
        self.rest = Bytes::new();
    }
}

#[cfg(test)]
mod tests;
