//! What is sent: answers and their pieces, room for more of what comes, and farewells.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::{ALIVE, FAREWELL, FIRST, PATIENCE, Session, Stage, WINDOW};
use crate::http2::frame::{self, Reason};
use crate::http2::hpack::encode;

impl Session {
    /// Begins the answer; nothing follows if it `ends` here.
    pub fn answer(
        &mut self,
        stream: u32,
        (status, headers): (StatusCode, &HeaderMap),
        ends: bool,
        out: &mut Vec<u8>,
    ) {
        let Some(flow) = self.streams.get_mut(stream) else {
            return;
        };
        flow.is_answered = true;
        let end = if ends { frame::END_STREAM } else { 0 };
        frame::headers(out, (stream, end), self.payload, |out| {
            encode::answer(out, status, headers);
        });
        if ends {
            self.end(stream);
        }
    }

    /// How much of an answer may be sent now, in one piece.
    #[must_use]
    pub fn room(&self, stream: u32) -> usize {
        let Some(flow) = self.streams.get(stream) else {
            return 0;
        };
        let open = usize::try_from(self.window.min(flow.window)).unwrap_or(0);
        open.min(self.payload)
    }

    /// Sends the front of the piece, as much as there is room for.
    pub fn data(&mut self, stream: u32, piece: &mut Bytes, ends: bool, out: &mut Vec<u8>) {
        let bytes = self.room(stream).min(piece.len());
        let Some(flow) = self.streams.get_mut(stream) else {
            piece.clear();
            return;
        };
        let is_last = ends && bytes == piece.len();
        if bytes == 0 && !is_last {
            return;
        }
        flow.window -= bytes as i64;
        self.window -= bytes as i64;
        let end = if is_last { frame::END_STREAM } else { 0 };
        frame::frame(out, frame::DATA, end, stream, &piece[..bytes]);
        // Nothing is left behind that would hold on to what it was cut from.
        match bytes == piece.len() {
            true => *piece = Bytes::new(),
            false => *piece = piece.slice(bytes..),
        }
        if is_last {
            self.end(stream);
        }
    }

    fn end(&mut self, stream: u32) {
        self.patience = PATIENCE.min(self.patience + 1);
        let Some(flow) = self.streams.get_mut(stream) else {
            return;
        };
        flow.is_sent = true;
        if flow.is_over() {
            self.streams.remove(stream);
        }
    }

    /// True while something of the stream is still to come or to be sent.
    #[must_use]
    pub fn knows(&self, stream: u32) -> bool {
        self.streams.get(stream).is_some()
    }

    /// True if little of the request is still to come, or nobody said how much.
    #[must_use]
    pub fn is_short(&self, stream: u32) -> bool {
        let length = self.streams.get(stream).and_then(|flow| flow.length);
        length.is_none_or(|length| length <= u64::from(FIRST))
    }

    /// Gives a stream up.
    pub fn reset(&mut self, stream: u32, reason: Reason, out: &mut Vec<u8>) {
        if self.streams.remove(stream).is_some() {
            frame::reset(out, stream, reason);
        }
    }

    /// So many bytes of a body were taken: as many may come, on its stream (if it is not 0) and the connection.
    pub fn take(&mut self, stream: u32, bytes: usize, out: &mut Vec<u8>) {
        if bytes == 0 {
            return;
        }
        if let Some(granted) = self.intake.grant(bytes, WINDOW) {
            frame::window(out, 0, granted);
        }
        let flow = self.streams.get_mut(stream).filter(|flow| !flow.has_ended);
        if let Some(granted) = flow.and_then(|flow| flow.intake.grant(bytes, WINDOW)) {
            frame::window(out, stream, granted);
        }
    }

    /// Asks whether the peer is there.
    pub fn ping(&self, out: &mut Vec<u8>) {
        if self.stage != Stage::Preface {
            frame::frame(out, frame::PING, 0, 0, &ALIVE);
        }
    }

    /// No new streams, please. Those that the peer begins before it hears of it are served.
    pub fn leave(&mut self, out: &mut Vec<u8>) {
        match self.stage {
            // Open → Leaving
            Stage::Open => {
                self.stage = Stage::Leaving;
                frame::goaway(out, frame::MAX, Reason::None);
                frame::frame(out, frame::PING, 0, 0, &FAREWELL);
            }
            // Preface | Settings → Left
            Stage::Preface | Stage::Settings => {
                self.stage = Stage::Left;
                frame::goaway(out, self.last, Reason::None);
            }
            Stage::Leaving | Stage::Left => {}
        }
    }

    /// Nothing will happen any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Left) && self.streams.is_empty()
    }

    /// True if nobody waits for anything.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.streams.is_empty()
    }

    /// The highest stream so far: it grows with every request.
    #[must_use]
    pub fn last(&self) -> u32 {
        self.last
    }

    /// Says why the connection ends.
    pub fn fail(&self, reason: Reason, out: &mut Vec<u8>) {
        frame::goaway(out, self.last, reason);
    }
}
