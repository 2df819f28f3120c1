//! What may still be sent and taken on a stream. RFC 9113 §5.2.

use super::WINDOW;
use crate::http2::flow::Intake;
use crate::http2::frame::Reason;

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

impl Flow {
    pub(super) fn new(window: u32, length: Option<u64>, has_ended: bool) -> Self {
        Self {
            window: i64::from(window),
            intake: Intake::new(WINDOW),
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
