//! Frames that came, but for heads of requests.

use std::mem;

use bytes::Bytes;

use super::{Event, FAREWELL, PAYLOAD_MAX, Session, Stage};
use crate::http2::flow::grow;
use crate::http2::frame::{self, Head, Reason};

impl Session {
    pub(super) fn data_came(
        &mut self,
        head: Head,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Option<Event>, Reason> {
        if self.is_unknown(head.stream) {
            return Err(Reason::Protocol);
        }
        self.intake.spend(payload.len())?;
        let data = frame::unpadded(head, payload)?;
        let ends = head.has(frame::END_STREAM);
        if data.is_empty() && !ends {
            self.bother()?;
        }
        let Some(flow) = self.streams.get_mut(head.stream) else {
            // It was on its way when the stream ended.
            self.take(0, payload.len(), out);
            return Ok(None);
        };
        if let Err(reason) = flow.take(payload.len(), data.len() as u64, ends) {
            self.take(0, payload.len(), out);
            return Ok(Some(self.break_off(head.stream, reason, out)));
        }
        if flow.is_over() {
            self.streams.remove(head.stream);
        }
        // Padding is taken already.
        self.take(head.stream, payload.len() - data.len(), out);
        Ok(Some(Event::Data {
            stream: head.stream,
            data: Bytes::copy_from_slice(data),
            ends,
        }))
    }

    pub(super) fn break_off(&mut self, stream: u32, reason: Reason, out: &mut Vec<u8>) -> Event {
        self.streams.remove(stream);
        frame::reset(out, stream, reason);
        Event::Gone { stream }
    }

    pub(super) fn reset_came(
        &mut self,
        head: Head,
        payload: &[u8],
    ) -> Result<Option<Event>, Reason> {
        frame::number(payload)?;
        if self.is_unknown(head.stream) {
            return Err(Reason::Protocol);
        }
        let Some(flow) = self.streams.remove(head.stream) else {
            return Ok(None);
        };
        if !flow.is_answered {
            self.bother()?;
        }
        Ok(Some(Event::Gone {
            stream: head.stream,
        }))
    }

    pub(super) fn settings(
        &mut self,
        head: Head,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Option<Event>, Reason> {
        let (settings, []) = payload.as_chunks::<6>() else {
            return Err(Reason::FrameSize);
        };
        if head.has(frame::ACK) {
            return match settings {
                [] => Ok(None),
                _ => Err(Reason::FrameSize),
            };
        }
        let mut event = None;
        for [a, b, rest @ ..] in settings {
            let value = u32::from_be_bytes(*rest);
            match (u16::from_be_bytes([*a, *b]), value) {
                (2, 2..) => return Err(Reason::Protocol),
                (4, _) => event = Some(self.first_window(value)?),
                (5, 16_384..=16_777_215) => self.payload = PAYLOAD_MAX.min(value as usize),
                (5, _) => return Err(Reason::Protocol),
                // We pack without a table, begin no streams, and send small heads.
                _ => {}
            }
        }
        if self.stage == Stage::Settings {
            self.stage = Stage::Open;
        }
        frame::frame(out, frame::SETTINGS, frame::ACK, 0, &[]);
        Ok(event)
    }

    /// Every stream begins with another window, and those that are open are treated as if they had.
    pub(super) fn first_window(&mut self, first: u32) -> Result<Event, Reason> {
        if first > frame::MAX {
            return Err(Reason::FlowControl);
        }
        let more = i64::from(first) - i64::from(mem::replace(&mut self.first, first));
        for (_, flow) in self.streams.iter_mut() {
            grow(&mut flow.window, more)?;
        }
        Ok(Event::Open { stream: None })
    }

    pub(super) fn ping_came(
        &mut self,
        head: Head,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Option<Event>, Reason> {
        let payload: [u8; 8] = payload.try_into().map_err(|_length| Reason::FrameSize)?;
        if !head.has(frame::ACK) {
            frame::frame(out, frame::PING, frame::ACK, 0, &payload);
        } else if payload == FAREWELL && self.stage == Stage::Leaving {
            // Leaving → Left
            self.stage = Stage::Left;
            frame::goaway(out, self.last, Reason::None);
        }
        Ok(None)
    }

    pub(super) fn window_came(
        &mut self,
        head: Head,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Option<Event>, Reason> {
        let more = i64::from(frame::number(payload)? & frame::MAX);
        if head.stream == 0 {
            if more == 0 {
                return Err(Reason::Protocol);
            }
            grow(&mut self.window, more)?;
            return Ok(Some(Event::Open { stream: None }));
        }
        if self.is_unknown(head.stream) {
            return Err(Reason::Protocol);
        }
        let Some(flow) = self.streams.get_mut(head.stream) else {
            return Ok(None);
        };
        let grown = match more {
            0 => Err(Reason::Protocol),
            more => grow(&mut flow.window, more),
        };
        Ok(Some(match grown {
            Ok(()) => Event::Open {
                stream: Some(head.stream),
            },
            Err(reason) => self.break_off(head.stream, reason, out),
        }))
    }
}
