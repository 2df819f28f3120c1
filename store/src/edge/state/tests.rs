//! Generations are written, continued, merged, interrupted and damaged.

mod measured;

use std::io;

use bytes::Bytes;
use tempfile::TempDir;

use super::*;
use crate::dedupe::{Remembered, Request};
use crate::faults::Action;
use crate::raft::log_id;
use crate::txn::{Op, Txn};

const CLUSTER: u128 = 9;

struct Place {
    dir: TempDir,
    faults: Faults,
    state: StateDir,
    image: Image,
    changed: Keys,
}

impl Place {
    fn new() -> Self {
        Self::holding(u64::MAX)
    }

    /// With so many bytes of values in memory.
    fn holding(bytes_max: u64) -> Self {
        let (dir, faults) = (TempDir::new().unwrap(), Faults::default());
        let held = Residence {
            bytes_max,
            ..Residence::default()
        };
        Self {
            state: StateDir::new(dir.path().join("state-a"), CLUSTER, faults.clone(), held),
            dir,
            faults,
            image: Image::default(),
            changed: Keys::new(),
        }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("state-a")
    }

    fn apply(&mut self, ops: Vec<Op>) {
        let index = self.image.applied_index().unwrap_or(0) + 1;
        let txn = Txn {
            request_id: u128::from(index),
            stamp_ms: index,
            guards: vec![],
            ops,
        };
        let steps = self.image.state.apply_logged(&txn);
        self.image.applied = Some(log_id(1, index));
        let keys = steps.iter().map(|step| step.key().into());
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
        self.state
            .write(&self.image, None)
            .map(|()| self.changed.clear())
    }

    fn delta(&mut self) -> io::Result<()> {
        self.state
            .write(&self.image, Some(&self.changed))
            .map(|()| self.changed.clear())
    }

    fn loaded(&self) -> Result<Option<Image>, Doubt> {
        self.state.load()
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
        let peeked = self.state.peek().unwrap().unwrap();
        assert_eq!(peeked, image.header(CLUSTER));
    }

    /// No more than this is in memory.
    fn within(&self, bytes_max: u64) {
        let (state, slots) = (&self.image.state, self.image.state.view().iter());
        let resident: u64 = slots.map(crate::slot::Slot::resident_bytes).sum();
        assert_eq!(state.resident().bytes(), resident);
        assert!(resident <= bytes_max, "{resident} of {bytes_max}");
    }

    /// How many values are read from this file.
    fn read_from(&self, name: &str) -> usize {
        let path = self.path().join(name).display().to_string();
        let file = format!("ValueFile({path:?})");
        let slots = self.image.state.view().iter();
        slots.filter(|slot| slot.file() == file).count()
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
    assert!(place.state.peek().unwrap().is_none());
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
    let (faults, held) = (Faults::default(), Residence::default());
    let foreign = StateDir::new(place.path(), CLUSTER + 1, faults, held);
    assert!(foreign.peek().is_err());
    assert!(foreign.load().is_err());
}

/// Changes, deletes, checkpoints, failures and reloads in random order hold what a plain run holds.
#[test]
fn random_histories_are_held() {
    for (seed, bytes_max) in [(1, 0), (2, 0), (3, 4_000), (4, 600_000), (5, u64::MAX)] {
        let mut random = Random(seed);
        let mut place = Place::holding(bytes_max);
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
        place.within(bytes_max);
    }
}

#[test]
fn values_that_are_too_many_are_read_from_the_files() {
    let mut place = Place::holding(1_300);
    for n in 0..10 {
        place.put(&format!("key-{n}"), vec![n; 100]);
    }
    let before = place.image.clone();
    place.full().unwrap();
    place.within(400);
    assert_eq!(place.read_from("base.1"), 8);
    place.put("key-0", "new");
    place.put("key-9", vec![9; 120]);
    place.delete("key-1");
    place.delta().unwrap();
    place.within(400);
    assert_eq!(place.read_from("base.1"), 6, "without those that changed");
    place.holds(&place.image);
    // An earlier view still has what it had.
    let earlier = before.state.view().prefix(b"");
    let expected = (0..10).map(|n| Bytes::from(vec![n; 100]));
    assert!(earlier.map(|item| item.value).eq(expected));
    // All that is read from files moves along into a new base, and the old ones are let go.
    place.full().unwrap();
    place.holds(&place.image);
    assert_eq!(place.files(), ["base.3", "manifest"]);
    let left = place.read_from("base.1") + place.read_from("delta.2");
    assert_eq!((left, place.read_from("base.3")), (0, 7));
    assert!(!place.state.shelf.is_read(&place.path().join("base.1")));
}

/// What a state reads that is no longer the latest, as after a snapshot of a peer took its place.
#[test]
fn a_file_that_is_still_read_is_not_cut() {
    let mut place = Place::holding(0);
    place.put("key", vec![1; 9 << 20]);
    place.full().unwrap();
    let before = std::mem::take(&mut place.image);
    place.put("other", "value");
    place.full().unwrap();
    assert_eq!(place.files(), ["base.2", "manifest"]);
    let item = before.state.view().get(b"key").unwrap();
    assert_eq!(item.value, vec![1; 9 << 20]);
}

#[test]
fn values_move_to_the_other_generation() {
    let mut place = Place::holding(0);
    let held = Residence {
        bytes_max: 0,
        ..Residence::default()
    };
    let path = place.dir.path().join("state-b");
    let other = StateDir::new(path, CLUSTER, Faults::default(), held);
    place.put("both", vec![1; 100]);
    place.put("changed", "old");
    place.full().unwrap();
    other.write(&place.image, None).unwrap();
    place.put("changed", "new");
    let changed = Keys::from([b"changed"[..].into()]);
    other.write(&place.image, Some(&changed)).unwrap();
    assert_eq!(place.read_from("base.1"), 1);
    other.adopt(&place.image, place.state.owner()).unwrap();
    assert_eq!(place.read_from("base.1"), 0);
    place.state.clear().unwrap();
    let values: Vec<Bytes> = place
        .image
        .state
        .view()
        .prefix(b"")
        .map(|item| item.value)
        .collect();
    assert_eq!(values, [Bytes::from(vec![1; 100]), "new".into()]);
    // One that the other does not have cannot move there.
    place.put("only", "here");
    place.full().unwrap();
    other.adopt(&place.image, place.state.owner()).unwrap_err();
}

#[test]
fn a_value_that_is_not_what_was_written_is_told() {
    let told = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let teller = std::sync::Arc::clone(&told);
    let held = Residence {
        bytes_max: 0,
        on_unread: std::sync::Arc::new(move |unread| {
            teller.lock().unwrap().push(unread.to_string());
        }),
        ..Residence::default()
    };
    let mut place = Place::new();
    place.state = StateDir::new(place.path(), CLUSTER, place.faults.clone(), held);
    place.put("a", vec![1; 1000]);
    place.put("b", vec![2; 1000]);
    place.full().unwrap();
    let path = place.path().join("base.1");
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(9).position(|nine| nine == [2; 9]).unwrap();
    bytes[at + 500] ^= 4;
    // Into the file that is open, not in its place.
    fs::write(&path, bytes).unwrap();
    let view = place.image.state.view().clone();
    let slot = |key: &[u8]| view.slot(key).unwrap().clone();
    assert_eq!(slot(b"a").item().unwrap().value, vec![1; 1000]);
    assert!(told.lock().unwrap().is_empty());
    slot(b"b").item().unwrap_err();
    let text = told.lock().unwrap().concat();
    assert!(
        text.contains(&format!("byte {at} of {}", path.display())),
        "{text}"
    );
    // Nor is it copied into another file.
    place.full().unwrap_err();
    assert_eq!(place.files(), ["base.1", "manifest"]);
    place.faults.arm(
        Point::ValueRead,
        Action::Fail(io::ErrorKind::Other),
        Some(1),
    );
    slot(b"a").item().unwrap_err();
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
