//! What strangers can send, fed with anything: each target takes bytes as a client could send them and
//! must come back, with an answer or a refusal. What must hold beyond that is asserted.
//!
//! `e2e/fuzz` runs the targets under libFuzzer (`cargo fuzz run --fuzz-dir e2e/fuzz TARGET`); the
//! tests run each over its corpus and over damaged copies of it.

mod apply;
mod cel;
mod decode;
mod http2;
mod patch;
mod select;

/// One thing to feed.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Name, also of its corpus.
    pub name: &'static str,
    /// Feeds it. Panics when something does not hold.
    pub feed: fn(&[u8]),
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target {
        name: "body",
        feed: decode::body,
    },
    Target {
        name: "manifest",
        feed: decode::manifest,
    },
    Target {
        name: "protobuf",
        feed: decode::protobuf,
    },
    Target {
        name: "patch",
        feed: patch::feed,
    },
    Target {
        name: "apply",
        feed: apply::feed,
    },
    Target {
        name: "cel",
        feed: cel::feed,
    },
    Target {
        name: "http2",
        feed: http2::feed,
    },
    Target {
        name: "selector",
        feed: select::selector,
    },
    Target {
        name: "query",
        feed: select::query,
    },
];

/// Feeds one target; the fuzzer's entry.
///
/// # Panics
/// When there is no such target, or something does not hold.
pub fn feed(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name);
    (target.expect("a target of this name").feed)(data);
}

/// Damages an input in one of the usual ways; the same `seed` does the same.
#[must_use]
pub fn damage(input: &[u8], other: &[u8], seed: u64) -> Vec<u8> {
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};
    const WORDS: &[&[u8]] = &[
        b"\0",
        b"\xff",
        b"\"",
        b"{",
        b"}",
        b"[",
        b"]",
        b":",
        b",",
        b"-1",
        b"1e999",
        b"null",
        b"\\ud800",
        b"&a *a",
        b"~1",
        b"%00",
        b" in (",
        b"!=",
        b"metadata",
        b"spec",
        b"$patch",
    ];
    let mut dice = StdRng::seed_from_u64(seed);
    let mut out = input.to_vec();
    for _ in 0..dice.random_range(1..4) {
        let at = dice.random_range(0..=out.len());
        match dice.random_range(0..5) {
            0 => out.truncate(at),
            1 if !out.is_empty() => {
                let at = at.min(out.len() - 1);
                out[at] ^= 1 << dice.random_range(0..8);
            }
            2 => {
                let word = WORDS[dice.random_range(0..WORDS.len())];
                out.splice(at..at, word.iter().copied());
            }
            3 if !other.is_empty() => {
                let from = dice.random_range(0..other.len());
                let piece = &other[from..(from + 32).min(other.len())];
                out.splice(at..at, piece.iter().copied());
            }
            _ => {
                let end = (at + dice.random_range(0..16)).min(out.len());
                out.drain(at..end);
            }
        }
    }
    out
}

/// Cuts an input into parts at the byte no text holds.
fn parts<const N: usize>(data: &[u8]) -> Option<[&[u8]; N]> {
    let parts: Vec<&[u8]> = data.split(|byte| *byte == 0xff).collect();
    parts.try_into().ok()
}

#[cfg(test)]
mod tests;
