//! Blocks of headers as they come, in one frame or in several, RFC 9113 §6.2 and §6.10.

use super::frame::{self, Head, Reason};

/// Frames of one block.
const FRAMES: usize = 32;

/// A block of which not all has come.
#[derive(Debug)]
pub struct Block {
    /// Its stream.
    pub stream: u32,
    /// Nothing follows it on its stream.
    pub ends: bool,
    bytes: Vec<u8>,
    frames: usize,
}

impl Block {
    /// The first part, of a frame that does not end the block.
    #[must_use]
    pub fn begin(head: Head, part: &[u8]) -> Self {
        Self {
            stream: head.stream,
            ends: head.has(frame::END_STREAM),
            bytes: part.to_vec(),
            frames: 1,
        }
    }

    /// Adds the next part.
    ///
    /// # Errors
    /// When it is another stream's, or the block has more bytes or frames than anybody needs.
    pub fn add(&mut self, head: Head, part: &[u8], bytes_max: usize) -> Result<(), Reason> {
        if self.stream != head.stream {
            return Err(Reason::Protocol);
        }
        self.bytes.extend_from_slice(part);
        self.frames += 1;
        if self.bytes.len() > bytes_max || self.frames > FRAMES {
            return Err(Reason::Calm);
        }
        Ok(())
    }

    /// What has come.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// The part of a block in a HEADERS frame: all but padding and priority.
///
/// # Errors
/// When the frame is too short for what it says of itself.
pub fn first(head: Head, payload: &[u8]) -> Result<&[u8], Reason> {
    let bytes = frame::unpadded(head, payload)?;
    if head.has(frame::PRIORITIZED) {
        return bytes.get(5..).ok_or(Reason::FrameSize);
    }
    Ok(bytes)
}
