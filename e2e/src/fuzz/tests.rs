//! Every target over its corpus, and over damaged copies of it.

use std::fs;
use std::path::{Path, PathBuf};

use super::{TARGETS, damage};

/// Damaged copies of each input; the long hunt is libFuzzer's.
const COPIES: u64 = 20;

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(name);
    let entries = fs::read_dir(&folder).expect("every target has a corpus");
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("a folder can be read").path())
        .collect();
    paths.sort();
    let read = |path: &PathBuf| fs::read(path).expect("an input can be read");
    paths.iter().map(read).collect()
}

#[test]
fn corpora_and_damaged_copies() {
    for target in TARGETS {
        let inputs = corpus(target.name);
        assert!(!inputs.is_empty(), "{} has no inputs", target.name);
        for (n, input) in inputs.iter().enumerate() {
            (target.feed)(input);
            for copy in 0..COPIES {
                let seed = n as u64 * COPIES + copy;
                let other = &inputs[(n + 1) % inputs.len()];
                (target.feed)(&damage(input, other, seed));
            }
        }
    }
}
