//! Compressed answers, made piece by piece.

use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

/// Shorter answers are sent as they are, as upstream does: packing them costs more than sending.
pub(crate) const BYTES_MIN: usize = 128 << 10;

/// The fastest level, as upstream: the text of objects repeats itself so much that more gains little.
const LEVEL: u32 = 1;

/// The pieces packed into one gzip stream. A piece that only fills the encoder yields nothing.
pub(crate) fn gzip(pieces: impl Iterator<Item = Bytes>) -> impl Iterator<Item = Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(LEVEL));
    let mut pieces = pieces.fuse();
    let mut is_over = false;
    std::iter::from_fn(move || {
        while !is_over {
            match pieces.next() {
                Some(piece) => encoder.write_all(&piece).ok()?,
                None => {
                    is_over = true;
                    encoder.try_finish().ok()?;
                }
            }
            if !encoder.get_ref().is_empty() {
                return Some(std::mem::take(encoder.get_mut()).into());
            }
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;

    use super::*;

    #[test]
    fn what_is_packed_unpacks() {
        for count in [0_usize, 1, 1_000] {
            let pieces = (0..count).map(|n| Bytes::from(format!("{{\"n\":{n}}},").repeat(50)));
            let plain: Vec<u8> = pieces.clone().flatten().collect();
            let packed: Vec<u8> = gzip(pieces).flatten().collect();
            let mut unpacked = Vec::new();
            GzDecoder::new(&packed[..])
                .read_to_end(&mut unpacked)
                .unwrap();
            assert!(unpacked == plain, "{count}");
            assert!(count < 2 || packed.len() < plain.len() / 4);
        }
    }
}
