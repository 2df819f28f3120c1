//! What may still be sent and taken, on a stream and on the connection. RFC 9113 §5.2.

use std::mem;

use super::WINDOW;
use crate::http2::frame::{self, Reason};

/// One stream.
#[derive(Debug)]
pub(super) struct Flow {
    /// What may still be sent.
    pub(super) window: i64,
    pub(super) intake: Intake,
    /// Bytes of the body that are still to come, where that was said.
    pub(super) length: Option<u64>,
    /// The peer has sent all of its request.
    pub(super) has_ended: bool,
    /// The answer has begun, and is sent to its end.
    pub(super) is_answered: bool,
    pub(super) is_sent: bool,
}

/// What the peer may still send, and what of it was taken but not granted anew.
#[derive(Debug)]
pub(super) struct Intake {
    pub(super) left: u32,
    pub(super) owed: u32,
}

impl Intake {
    pub(super) fn spend(&mut self, bytes: usize) -> Result<(), Reason> {
        let bytes = u32::try_from(bytes).map_err(|_large| Reason::FlowControl)?;
        self.left = self.left.checked_sub(bytes).ok_or(Reason::FlowControl)?;
        Ok(())
    }

    /// What is to be granted now: not every few bytes.
    pub(super) fn grant(&mut self, bytes: usize) -> Option<u32> {
        self.owed = self
            .owed
            .saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
        if self.owed < WINDOW / 2 {
            return None;
        }
        let granted = mem::take(&mut self.owed).min(WINDOW - self.left);
        self.left += granted;
        Some(granted)
    }
}

pub(super) fn grow(window: &mut i64, more: i64) -> Result<(), Reason> {
    *window += more;
    if *window > i64::from(frame::MAX) {
        return Err(Reason::FlowControl);
    }
    Ok(())
}

impl Flow {
    pub(super) fn new(window: u32, length: Option<u64>, has_ended: bool) -> Self {
        Self {
            window: i64::from(window),
            intake: Intake {
                left: WINDOW,
                owed: 0,
            },
            length,
            has_ended,
            is_answered: false,
            is_sent: false,
        }
    }

    /// Nothing more goes either way.
    pub(super) fn is_over(&self) -> bool {
        self.has_ended && self.is_sent
    }

    /// A piece of the body: within what was granted and said.
    pub(super) fn take(&mut self, spent: usize, bytes: u64, ends: bool) -> Result<(), Reason> {
        if self.has_ended {
            return Err(Reason::Protocol);
        }
        self.intake.spend(spent)?;
        self.has_ended = ends;
        if let Some(length) = &mut self.length {
            *length = length.checked_sub(bytes).ok_or(Reason::Protocol)?;
            if ends && *length > 0 {
                return Err(Reason::Protocol);
            }
        }
        Ok(())
    }
}
