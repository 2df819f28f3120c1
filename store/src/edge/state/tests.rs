//! Generations are written, continued, merged, interrupted and damaged.

mod measured;

use std::io;

use tempfile::TempDir;

use super::*;
use crate::command::{self, Command, Proposal};
use crate::dedupe::{Remembered, Request};
use crate::faults::Action;
use crate::history::Step;
use crate::raft::log_id;
use crate::txn::{Op, Txn};

const CLUSTER: u128 = 9;

struct Place {
    dir: TempDir,
    faults: Faults,
    image: Image,
    changed: BTreeSet<Bytes>,
}

impl Place {
    fn new() -> Self {
        Self {
            dir: TempDir::new().unwrap(),
            faults: Faults::default(),
            image: Image::default(),
            changed: BTreeSet::new(),
        }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("state-a")
    }

    fn state(&self) -> StateDir {
        StateDir::new(self.path(), CLUSTER, self.faults.clone())
    }

    fn apply(&mut self, ops: Vec<Op>) {
        let mut steps: Vec<Step> = Vec::new();
        let index = self.image.applied_index().unwrap_or(0) + 1;
        let txn = Txn {
            request_id: u128::from(index),
            stamp_ms: index,
            guards: vec![],
            ops,
        };
        let encoded = [command::encode(&txn).unwrap()];
        let entry = Proposal::txns(encoded.iter());
        let Ok(Command::Txns(txns)) = entry.command() else {
            panic!("{entry:?}");
        };
        for txn in txns {
            self.image.state.apply(1, &txn.unwrap(), &mut steps);
        }
        self.image.applied = Some(log_id(1, index));
        let keys = steps.iter().map(|step| Bytes::copy_from_slice(step.key()));
        self.changed.extend(keys);
    }

    fn put(&mut self, key: &str, value: impl Into<Bytes>) {
        self.apply(vec![Op::Put {
            key: Bytes::copy_from_slice(key.as_bytes()),
            value: value.into(),
        }]);
    }

    fn delete(&mut self, key: &str) {
        self.apply(vec![Op::Delete {
            key: Bytes::copy_from_slice(key.as_bytes()),
        }]);
    }

    fn full(&mut self) -> io::Result<()> {
        self.state()
            .write(&self.image, None)
            .map(|()| self.changed.clear())
    }

    fn delta(&mut self) -> io::Result<()> {
        self.state()
            .write(&self.image, Some(&self.changed))
            .map(|()| self.changed.clear())
    }

    fn loaded(&self) -> Result<Option<Image>, Doubt> {
        self.state().load()
    }

    fn holds(&self, image: &Image) {
        let held = self.loaded().unwrap().unwrap();
        assert_eq!(held.header(CLUSTER), image.header(CLUSTER));
        assert!(
            held.state
                .view()
                .prefix(b"")
                .eq(image.state.view().prefix(b""))
        );
        assert!(
            held.state
                .dedupe()
                .requests()
                .eq(image.state.dedupe().requests())
        );
        let peeked = self.state().peek().unwrap().unwrap();
        assert_eq!(peeked, image.header(CLUSTER));
    }

    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path()).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

#[test]
fn nothing_written_is_nothing_held() {
    let place = Place::new();
    assert!(place.loaded().unwrap().is_none());
    assert!(place.state().peek().unwrap().is_none());
}

#[test]
fn values_of_all_sizes_survive_full_and_delta() {
    let mut place = Place::new();
    for (key, size) in [
        ("none", 0),
        ("part", 250_000),
        ("large", 5 << 20),
        ("small", 9),
    ] {
        place.put(key, vec![7; size]);
    }
    place.full().unwrap();
    place.holds(&place.image);
    place.put("small", vec![8; 5 << 20]);
    place.put("large", "");
    place.put("first", vec![1; 250_000]);
    place.put("zlast", vec![1; 250_000]);
    place.delete("none");
    place.delete("never");
    place.delta().unwrap();
    place.holds(&place.image);
    assert_eq!(place.files(), ["base.1", "delta.2", "manifest"]);
}

#[test]
fn heavy_deltas_are_merged_into_a_new_base() {
    let mut place = Place::new();
    place.put("base", vec![0; 10_000]);
    place.full().unwrap();
    for n in 0..3_u8 {
        place.put(&format!("k{n}"), vec![n; 2_000]);
        place.delta().unwrap();
        place.holds(&place.image);
    }
    assert_eq!(
        place.files(),
        ["base.1", "delta.2", "delta.3", "delta.4", "manifest"]
    );
    place.put("more", "x");
    place.delta().unwrap();
    assert_eq!(place.files(), ["base.5", "manifest"]);
    place.holds(&place.image);
}

#[test]
fn many_deltas_are_merged_into_a_new_base() {
    let mut place = Place::new();
    place.put("base", vec![0; 1 << 20]);
    place.full().unwrap();
    for n in 0..64 {
        place.put("k", format!("{n}"));
        place.delta().unwrap();
    }
    assert_eq!(place.files().len(), 66);
    place.holds(&place.image);
    place.put("k", "merged");
    place.delta().unwrap();
    assert_eq!(place.files(), ["base.66", "manifest"]);
}

#[test]
fn a_failed_write_leaves_the_image_held_before() {
    let full = Action::Fail(io::ErrorKind::StorageFull);
    for point in [
        Point::CheckpointWrite,
        Point::CheckpointSync,
        Point::CheckpointCommit,
    ] {
        let mut place = Place::new();
        place.put("a", "1");
        place.put("large", vec![3; 600_000]);
        place.full().unwrap();
        place.put("b", "2");
        place.delta().unwrap();
        let (before, files) = (place.image.clone(), place.files());
        for whole in [true, false] {
            place.put("a", vec![1; 300_000]);
            place.delete("b");
            place.faults.arm(point, full, Some(1));
            let failed = if whole { place.full() } else { place.delta() };
            assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::StorageFull);
            place.holds(&before);
            assert_eq!(place.files(), files, "{point}: the partial file is gone");
        }
        place.delta().unwrap();
        place.holds(&place.image);
    }
}

#[test]
fn leftovers_of_a_crash_do_not_matter() {
    let mut place = Place::new();
    place.put("a", "1");
    place.full().unwrap();
    for leftover in ["delta.2", "base.9", "manifest.new"] {
        fs::write(place.path().join(leftover), "half a file").unwrap();
    }
    place.holds(&place.image);
    place.put("a", "2");
    place.delta().unwrap();
    place.holds(&place.image);
    assert_eq!(place.files(), ["base.1", "delta.2", "manifest"]);
}

#[test]
fn damage_anywhere_is_a_doubt_and_never_a_wrong_image() {
    let mut place = Place::new();
    for n in 0..40_u8 {
        place.put(&format!("key-{n}"), vec![n; 100]);
    }
    place.full().unwrap();
    place.put("key-3", "changed");
    place.delete("key-4");
    place.delta().unwrap();
    for name in ["base.1", "delta.2", "manifest"] {
        let path = place.path().join(name);
        let whole = fs::read(&path).unwrap();
        for at in (0..whole.len()).step_by(53) {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            fs::write(&path, &bytes).unwrap();
            assert!(place.loaded().is_err(), "{name}: byte {at}");
        }
        for len in (0..whole.len()).step_by(97) {
            fs::write(&path, &whole[..len]).unwrap();
            assert!(place.loaded().is_err(), "{name}: cut to {len}");
        }
        fs::write(&path, [&whole[..], b"x"].concat()).unwrap();
        assert!(place.loaded().is_err(), "{name}: extended");
        if name != "manifest" {
            fs::remove_file(&path).unwrap();
            assert!(place.loaded().is_err(), "{name}: gone");
        }
        fs::write(&path, &whole).unwrap();
        place.holds(&place.image);
    }
}

#[test]
fn files_exchanged_for_others_are_found() {
    let [one, other] = ["1", "2"].map(|value| {
        let mut place = Place::new();
        place.put("base", vec![0; 10_000]);
        place.full().unwrap();
        place.put("k", value);
        place.delta().unwrap();
        place
    });
    let [here, there] = [&one, &other].map(|place| place.path().join("delta.2"));
    let [mine, foreign] = [&here, &there].map(|path| fs::read(path).unwrap());
    assert_eq!(mine.len(), foreign.len());
    fs::write(&here, foreign).unwrap();
    let doubt = one.loaded().unwrap_err().to_string();
    assert!(doubt.contains("not the file its manifest names"), "{doubt}");
}

#[test]
fn what_is_damaged_is_named_and_set_aside_by_the_next_write() {
    let mut place = Place::new();
    place.put("a", vec![5; 400_000]);
    place.put("b", vec![6; 400_000]);
    place.full().unwrap();
    let path = place.path().join("base.1");
    let mut bytes = fs::read(&path).unwrap();
    bytes[500_000] ^= 1;
    fs::write(&path, bytes).unwrap();
    let doubt = place.loaded().unwrap_err().to_string();
    assert!(doubt.contains("base.1 is damaged at byte 4000"), "{doubt}");
    assert!(doubt.contains("(block 1)"), "{doubt}");
    fs::write(place.path().join("manifest"), "garbage").unwrap();
    place.delta().unwrap();
    place.holds(&place.image);
    assert!(place.dir.path().join("state-a.bad-1").exists());
}

#[test]
fn reads_that_fail_are_doubts() {
    let mut place = Place::new();
    place.put("a", "1");
    place.full().unwrap();
    let broken = Action::Fail(io::ErrorKind::Other);
    place.faults.arm(Point::CheckpointRead, broken, Some(1));
    assert!(place.loaded().is_err());
    place.holds(&place.image);
}

#[test]
fn another_clusters_directory_is_a_doubt() {
    let mut place = Place::new();
    place.put("a", "1");
    place.full().unwrap();
    let foreign = StateDir::new(place.path(), CLUSTER + 1, Faults::default());
    assert!(foreign.peek().is_err());
    assert!(foreign.load().is_err());
}

/// Changes, deletes, checkpoints, failures and reloads in random order hold what a plain run holds.
#[test]
fn random_histories_are_held() {
    for seed in 1..=4 {
        let mut random = Random(seed);
        let mut place = Place::new();
        let mut held: Option<Image> = None;
        for step in 0..300 {
            let key = format!("key-{}", random.below(40));
            match random.below(12) {
                0..=5 => {
                    let size = [0, 3, 100, 5_000, 300_000][random.below(5)];
                    place.put(&key, vec![step as u8; size]);
                }
                6..=7 => place.delete(&key),
                8 => place.image.state.restore_request(Request {
                    id: u128::from(random.next()),
                    stamp_ms: 1,
                    outcome: Remembered::Refused {
                        guard: 1,
                        revision: 1,
                    },
                }),
                9 => {
                    place.delta().unwrap();
                    held = Some(place.image.clone());
                }
                10 if random.below(6) == 0 => {
                    place.full().unwrap();
                    held = Some(place.image.clone());
                }
                10 => {
                    let fail = Action::Fail(io::ErrorKind::StorageFull);
                    place.faults.arm(Point::CheckpointWrite, fail, Some(1));
                    place.delta().unwrap_err();
                }
                _ => match &held {
                    Some(held) => place.holds(held),
                    None => assert!(place.loaded().unwrap().is_none(), "seed {seed}"),
                },
            }
        }
        place.delta().unwrap();
        place.holds(&place.image);
    }
}

/// xorshift: the same numbers for the same seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}
