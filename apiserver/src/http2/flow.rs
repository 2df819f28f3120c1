//! How much may be sent and taken, RFC 9113 §5.2: what both ends of a connection count alike.

use std::mem;

use super::frame::{self, Reason};

/// Windows begin with so much, unless something else is agreed on. RFC 9113 §6.9.2.
pub const FIRST: u32 = 65_535;

/// What the peer may still send, and what of it was taken but not granted anew.
#[derive(Debug)]
pub struct Intake {
    left: u32,
    owed: u32,
}

impl Intake {
    /// All of the window is open.
    #[must_use]
    pub fn new(window: u32) -> Self {
        Self {
            left: window,
            owed: 0,
        }
    }

    /// So many bytes came.
    ///
    /// # Errors
    /// When they are more than was granted.
    pub fn spend(&mut self, bytes: usize) -> Result<(), Reason> {
        let bytes = u32::try_from(bytes).map_err(|_large| Reason::FlowControl)?;
        self.left = self.left.checked_sub(bytes).ok_or(Reason::FlowControl)?;
        Ok(())
    }

    /// So many bytes were taken; what is to be granted now, which is half of the window and more: not every few bytes.
    pub fn grant(&mut self, bytes: usize, window: u32) -> Option<u32> {
        self.owed = self
            .owed
            .saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
        if self.owed < window / 2 {
            return None;
        }
        let granted = mem::take(&mut self.owed).min(window - self.left);
        self.left += granted;
        Some(granted)
    }
}

/// More (or less, where settings change) may be sent.
///
/// # Errors
/// When it is more than a window can be.
pub fn grow(window: &mut i64, more: i64) -> Result<(), Reason> {
    *window += more;
    if *window > i64::from(frame::MAX) {
        return Err(Reason::FlowControl);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_is_granted_anew() {
        let mut intake = Intake::new(10);
        assert_eq!(intake.spend(11), Err(Reason::FlowControl));
        assert_eq!(intake.spend(10), Ok(()));
        assert_eq!(intake.grant(4, 10), None);
        assert_eq!(intake.spend(1), Err(Reason::FlowControl));
        assert_eq!(intake.grant(2, 10), Some(6));
        assert_eq!(intake.spend(6), Ok(()));
        assert_eq!(intake.spend(1), Err(Reason::FlowControl));
    }
}
