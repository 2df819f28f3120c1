//! One connection: what its frames mean, and how much may be sent and taken. RFC 9113 §5 and §6.

mod flow;
mod receive;
mod send;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use http::StatusCode;

use flow::Flow;

use super::block::{self, Block};
use super::flow::{FIRST, Intake};
use super::frame::{self, Head, Reason};
use super::hpack::decode::Decoder;
use super::hpack::encode;
use super::request::{Asked, Collector, HEAD_BYTES, Refusal};
use super::streams::Streams;

/// Streams at once: a controller may well hold a watch for each of many kinds.
const STREAMS: usize = 512;

/// Bytes of bodies that a peer may send ahead, on a stream and on the connection: what it can make us keep.
const WINDOW: u32 = 1 << 20;

/// Longest payload that is sent, if the peer takes it.
const PAYLOAD_MAX: usize = 64 << 10;

/// Steps that lead to nothing which a peer may take before it is cut off; what is answered makes up for them.
const PATIENCE: u32 = 200;

/// The ping with which a farewell is counted as heard, and the one that asks whether the peer is there.
const FAREWELL: [u8; 8] = *b"farewell";
const ALIVE: [u8; 8] = *b"are you?";

/// What has come.
#[derive(Debug)]
pub enum Event {
    /// A request; its body follows unless it `ends`.
    Request {
        /// Its stream.
        stream: u32,
        /// Its head.
        asked: Box<Asked>,
        /// There is no body.
        ends: bool,
    },
    /// A piece of a request's body.
    Data {
        /// Its stream.
        stream: u32,
        /// The piece.
        data: Bytes,
        /// It is the last one.
        ends: bool,
    },
    /// The stream is gone: nobody waits for its answer any more.
    Gone {
        /// Which one.
        stream: u32,
    },
    /// More may be sent: on this stream, or none given, on all.
    Open {
        /// Which one.
        stream: Option<u32>,
    },
}

/// The state of a connection.
#[derive(Debug)]
pub struct Session {
    stage: Stage,
    decoder: Decoder,
    block: Option<Box<Block>>,
    streams: Streams<Flow>,
    /// The highest stream that the peer began.
    last: u32,
    /// What may still be sent, over all streams.
    window: i64,
    /// What the peer grants a new stream, and its longest payload.
    first: u32,
    payload: usize,
    intake: Intake,
    patience: u32,
}

/// How far the connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The peer has said nothing yet.
    Preface,
    /// Its settings come next.
    Settings,
    Open,
    /// We said that we will go; the peer may not have heard it yet.
    Leaving,
    /// No stream after this one is served.
    Left,
}

impl Session {
    /// A connection on which nothing was said; `out` gets our part of it.
    pub fn begin(out: &mut Vec<u8>) -> Self {
        let settings = [(3, STREAMS as u32), (4, WINDOW), (6, HEAD_BYTES as u32)];
        frame::settings(out, &settings);
        frame::window(out, 0, WINDOW - FIRST);
        Self {
            stage: Stage::Preface,
            decoder: Decoder::default(),
            block: None,
            streams: Streams::default(),
            last: 0,
            window: i64::from(FIRST),
            first: FIRST,
            payload: frame::PAYLOAD,
            intake: Intake::new(WINDOW),
            patience: PATIENCE,
        }
    }

    /// Takes one step along what has come, and cuts it off its front; false if more has to come first.
    ///
    /// # Errors
    /// Why the connection is over: say so with [`Session::fail`].
    pub fn step(
        &mut self,
        bytes: &mut &[u8],
        out: &mut Vec<u8>,
        event: &mut Option<Event>,
    ) -> Result<bool, Reason> {
        if self.stage == Stage::Preface {
            return self.preface(bytes);
        }
        let Some(head) = Head::read(bytes) else {
            return Ok(false);
        };
        if head.length > frame::PAYLOAD {
            return Err(Reason::FrameSize);
        }
        let Some((whole, rest)) = bytes.split_at_checked(frame::HEAD + head.length) else {
            return Ok(false);
        };
        *bytes = rest;
        *event = self.frame(head, &whole[frame::HEAD..], out)?;
        Ok(true)
    }

    // Preface → Settings
    fn preface(&mut self, bytes: &mut &[u8]) -> Result<bool, Reason> {
        let length = bytes.len().min(frame::PREFACE.len());
        if bytes[..length] != frame::PREFACE[..length] {
            return Err(Reason::Protocol);
        }
        if length < frame::PREFACE.len() {
            return Ok(false);
        }
        *bytes = &bytes[length..];
        self.stage = Stage::Settings;
        Ok(true)
    }

    fn frame(
        &mut self,
        head: Head,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Option<Event>, Reason> {
        if self.stage == Stage::Settings && (head.kind != frame::SETTINGS || head.has(frame::ACK)) {
            return Err(Reason::Protocol);
        }
        if self.block.is_some() && head.kind != frame::CONTINUATION {
            return Err(Reason::Protocol);
        }
        let is_streams = matches!(
            head.kind,
            frame::DATA | frame::HEADERS | frame::PRIORITY | frame::RESET | frame::CONTINUATION
        );
        let is_connections = matches!(head.kind, frame::SETTINGS | frame::PING | frame::GOAWAY);
        if is_streams && head.stream == 0 || is_connections && head.stream != 0 {
            return Err(Reason::Protocol);
        }
        match head.kind {
            frame::DATA => self.data_came(head, payload, out),
            frame::HEADERS => self.headers(head, payload, out),
            frame::CONTINUATION => self.continuation(head, payload, out),
            frame::PRIORITY if payload.len() != 5 => Err(Reason::FrameSize),
            frame::RESET => self.reset_came(head, payload),
            frame::SETTINGS => self.settings(head, payload, out),
            frame::PING => self.ping_came(head, payload, out),
            frame::WINDOW => self.window_came(head, payload, out),
            frame::GOAWAY if payload.len() < 8 => Err(Reason::FrameSize),
            frame::PROMISE => Err(Reason::Protocol),
            // How urgent something is, that the peer begins nothing new, and what nobody knows.
            _ => Ok(None),
        }
    }

    /// True if the peer never began this stream.
    fn is_unknown(&self, stream: u32) -> bool {
        stream > self.last || stream.is_multiple_of(2)
    }

    fn bother(&mut self) -> Result<(), Reason> {
        self.patience = self.patience.checked_sub(1).ok_or(Reason::Calm)?;
        Ok(())
    }

    fn headers(
        &mut self,
        head: Head,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Option<Event>, Reason> {
        let bytes = block::first(head, payload)?;
        if head.stream.is_multiple_of(2) {
            return Err(Reason::Protocol);
        }
        if head.has(frame::END_HEADERS) {
            let ends = head.has(frame::END_STREAM);
            return self.block(head.stream, ends, bytes, out);
        }
        self.block = Some(Box::new(Block::begin(head, bytes)));
        Ok(None)
    }

    fn continuation(
        &mut self,
        head: Head,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Option<Event>, Reason> {
        let mut block = self.block.take().ok_or(Reason::Protocol)?;
        block.add(head, payload, 2 * HEAD_BYTES)?;
        if head.has(frame::END_HEADERS) {
            return self.block(block.stream, block.ends, block.bytes(), out);
        }
        self.block = Some(block);
        Ok(None)
    }

    /// A whole block of headers: it is unpacked in any case, since later ones build on it.
    fn block(
        &mut self,
        stream: u32,
        ends: bool,
        bytes: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Option<Event>, Reason> {
        let mut collector = Collector::default();
        let unpacked = self.decoder.decode(bytes, |field| collector.add(field));
        unpacked.map_err(|_broken| Reason::Compression)?;
        if stream <= self.last {
            return self.trailers(stream, ends, out);
        }
        if let Stage::Left = self.stage {
            return Ok(None);
        }
        self.last = stream;
        if self.streams.len() >= STREAMS {
            frame::reset(out, stream, Reason::Refused);
            return Ok(None);
        }
        match collector.finish() {
            Ok(asked) if !ends || asked.length.unwrap_or(0) == 0 => {
                self.streams
                    .push(stream, Flow::new(self.first, asked.length, ends));
                let asked = Box::new(asked);
                Ok(Some(Event::Request {
                    stream,
                    asked,
                    ends,
                }))
            }
            Ok(_) | Err(Refusal::Malformed) => {
                self.bother()?;
                frame::reset(out, stream, Reason::Protocol);
                Ok(None)
            }
            Err(Refusal::TooLarge) => {
                self.bother()?;
                self.too_large(stream, ends, out);
                Ok(None)
            }
        }
    }

    fn too_large(&self, stream: u32, ends: bool, out: &mut Vec<u8>) {
        let mut block = Vec::new();
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        encode::answer(&mut block, status, &http::HeaderMap::new());
        let flags = frame::END_HEADERS | frame::END_STREAM;
        frame::frame(out, frame::HEADERS, flags, stream, &block);
        if !ends {
            frame::reset(out, stream, Reason::None);
        }
    }

    /// Headers after a body: they end it, and nobody reads them.
    fn trailers(
        &mut self,
        stream: u32,
        ends: bool,
        out: &mut Vec<u8>,
    ) -> Result<Option<Event>, Reason> {
        let Some(flow) = self.streams.get_mut(stream) else {
            self.bother()?;
            return Ok(None);
        };
        if !ends {
            return Ok(Some(self.break_off(stream, Reason::Protocol, out)));
        }
        if let Err(reason) = flow.take(0, 0, true) {
            return Ok(Some(self.break_off(stream, reason, out)));
        }
        if flow.is_over() {
            self.streams.remove(stream);
        }
        Ok(Some(Event::Data {
            stream,
            data: Bytes::new(),
            ends,
        }))
    }
}
