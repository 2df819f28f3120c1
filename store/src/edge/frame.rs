//! Frames on a connection: a length, a request id, a message. Bounded, so that no peer can make
//! this process allocate what it likes.

use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt};

/// One log entry (at most 8 MiB by default) with room for its neighbours.
pub(crate) const FRAME_MAX: usize = 64 << 20;
const HEAD: usize = 12;

/// Encodes a frame ready to be written.
pub(crate) fn encode<T: Serialize>(id: u64, message: &T) -> io::Result<Vec<u8>> {
    let mut frame = vec![0; HEAD];
    frame = postcard::to_extend(message, frame).map_err(io::Error::other)?;
    let len = frame.len() - HEAD;
    if len > FRAME_MAX {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("a message of {len} bytes is too large"),
        ));
    }
    frame[..4].copy_from_slice(&(len as u32).to_be_bytes());
    frame[4..HEAD].copy_from_slice(&id.to_be_bytes());
    Ok(frame)
}

/// Reads one frame. Not cancel safe: a cancelled read loses its place.
pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<(u64, Vec<u8>)> {
    let mut head = [0; HEAD];
    stream.read_exact(&mut head).await?;
    let (len, id) = head.split_at(4);
    let len = u32::from_be_bytes([len[0], len[1], len[2], len[3]]) as usize;
    if len > FRAME_MAX {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("a frame of {len} bytes is too large"),
        ));
    }
    let id = id.iter().fold(0, |id, byte| id << 8 | u64::from(*byte));
    // Grown by what arrives, not by what was announced.
    let mut body = Vec::with_capacity(len.min(64 << 10));
    let read = stream.take(len as u64).read_to_end(&mut body).await?;
    if read == len {
        Ok((id, body))
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

/// Decodes a message.
pub(crate) fn decode<T: DeserializeOwned>(body: &[u8]) -> io::Result<T> {
    postcard::from_bytes(body).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_round_trip_and_are_bounded() {
        let frame = encode(7, &"hello").unwrap();
        let (id, body) = read(&mut &frame[..]).await.unwrap();
        assert_eq!(
            (id, decode::<String>(&body).unwrap()),
            (7, "hello".to_owned())
        );
        for broken in [&frame[..frame.len() - 1], &[0xff; 12][..], b""] {
            assert!(read(&mut &broken[..]).await.is_err());
        }
    }
}
