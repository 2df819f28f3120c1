//! Measures a generation: written in full, a delta, loaded. Also proves that many blocks fit together.
//!
//! `STOA_ITEMS=1000000 STOA_DIR=<disk> cargo test -p stoa-store --release --lib measured -- --nocapture`
#![expect(clippy::disallowed_methods, reason = "it reads the clock")]

use std::time::{Duration, Instant};

use super::*;
use crate::item::Item;
use crate::state::Counters;

const VALUE: usize = 1024;

fn key(n: u64) -> Bytes {
    format!("/registry/tasks/default/task-{n:08}").into()
}

/// With a value that no disk can compress.
fn item(n: u64, version: u64) -> Item {
    let mut random = Random((n << 8) + version + 1);
    let value: Vec<u8> = (0..VALUE / 8)
        .flat_map(|_| random.next().to_le_bytes())
        .collect();
    Item {
        key: key(n),
        value: value.into(),
        create_revision: n + 1,
        mod_revision: n + version,
        version,
    }
}

/// Processor time of the whole process.
fn used() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

fn timed<T>(what: &str, action: impl FnOnce() -> T) -> T {
    let (wall, cpu) = (Instant::now(), used());
    let result = action();
    let (wall, cpu) = (wall.elapsed(), used() - cpu);
    println!("{what}: {wall:.2?}, {cpu:.2?} of processor");
    result
}

#[test]
fn measured() {
    let variable = |name| std::env::var(name).ok();
    let items = variable("STOA_ITEMS").map_or(5_000, |n| n.parse().unwrap());
    let changes = items * 3 / 100;
    let step = items / changes;
    let dir = TempDir::new_in(variable("STOA_DIR").unwrap_or("/tmp".into())).unwrap();
    let place = StateDir::new(
        dir.path().join("state-a"),
        CLUSTER,
        Faults::default(),
        Residence::default(),
    );
    let mut image = Image::default();
    timed("built in memory", || {
        (0..items).for_each(|n| image.state.restore_item(&item(n, 1)));
    });
    image.state.restore_counters(Counters {
        revision: items,
        next_node: 2,
        newest_ms: 1,
    });
    timed("written in full", || place.write(&image, None).unwrap());
    let changed = (0..changes).map(|n| key(n * step)[..].into()).collect();
    for item in (0..changes).map(|n| item(n * step, 2)) {
        let (key, value) = (item.key, item.value);
        image.state.apply_logged(&Txn {
            request_id: 0,
            stamp_ms: 1,
            guards: vec![],
            ops: vec![Op::Put { key, value }],
        });
    }
    timed("delta", || place.write(&image, Some(&changed)).unwrap());
    let digest = image.state.digest();
    drop(image);
    let loaded = timed("loaded", || place.load().unwrap().unwrap());
    assert_eq!(loaded.state.digest(), digest);
}
