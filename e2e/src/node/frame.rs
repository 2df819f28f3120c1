//! Messages on a stream: a length of four bytes, then postcard. Writers gather all that waits and
//! write it at once.

use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::mpsc;

/// Longest message; a page of a list is far below.
const BYTES_MAX: usize = 64 << 20;
/// Messages gathered into one write.
const GATHER_MAX: usize = 256;
/// Bytes read at once.
const BUFFER_BYTES: usize = 64 << 10;

/// The reading side of a stream.
pub(super) struct Reader<R> {
    stream: BufReader<R>,
    body: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    pub(super) fn new(stream: R) -> Self {
        Self {
            stream: BufReader::with_capacity(BUFFER_BYTES, stream),
            body: Vec::new(),
        }
    }

    /// The next message; an error at the end of the stream. Not to be cancelled.
    pub(super) async fn next<T: DeserializeOwned>(&mut self) -> io::Result<T> {
        let length = self.stream.read_u32_le().await? as usize;
        if length > BYTES_MAX {
            return Err(io::Error::other(format!("a message of {length} bytes")));
        }
        self.body.resize(length, 0);
        self.stream.read_exact(&mut self.body).await?;
        postcard::from_bytes(&self.body).map_err(io::Error::other)
    }
}

/// Writes what arrives on the queue until it is closed or the stream breaks; everything that waits
/// at a wakeup goes out in one write.
pub(super) async fn write_all<T: Serialize, W: AsyncWrite + Unpin>(
    mut stream: W,
    mut queue: mpsc::Receiver<T>,
) -> io::Result<()> {
    let mut batch = Vec::new();
    let mut bytes = Vec::new();
    while queue.recv_many(&mut batch, GATHER_MAX).await > 0 {
        bytes.clear();
        for message in batch.drain(..) {
            bytes = encode(&message, bytes)?;
        }
        stream.write_all(&bytes).await?;
    }
    Ok(())
}

/// Appends the message with its length in front.
fn encode<T: Serialize>(message: &T, mut bytes: Vec<u8>) -> io::Result<Vec<u8>> {
    let start = bytes.len();
    bytes.extend([0; 4]);
    let mut bytes = postcard::to_extend(message, bytes).map_err(io::Error::other)?;
    let length = u32::try_from(bytes.len() - start - 4).map_err(io::Error::other)?;
    bytes[start..start + 4].copy_from_slice(&length.to_le_bytes());
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn messages_arrive_whole_and_in_order() {
        let (ours, theirs) = tokio::io::duplex(100);
        let (send, queue) = mpsc::channel(8);
        let writer = tokio::spawn(write_all(ours, queue));
        let messages = [vec![1_u8; 300], vec![], vec![2; 7]];
        for message in messages.clone() {
            send.send(message).await.unwrap();
        }
        drop(send);
        let mut reader = Reader::new(theirs);
        for message in messages {
            assert_eq!(reader.next::<Vec<u8>>().await.unwrap(), message);
        }
        assert!(reader.next::<Vec<u8>>().await.is_err());
        writer.await.unwrap().unwrap();
    }
}
