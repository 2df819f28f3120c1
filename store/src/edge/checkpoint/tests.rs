//! Checkpoints that fail owe what they did not bring.

use bytes::Bytes;
use tempfile::TempDir;

use super::*;
use crate::edge::tests::log_in;
use crate::faults::{Action, Point};
use crate::raft::log_id;
use crate::txn::{Op, Txn};

/// Applies one put as the state machine does.
fn put(checkpointer: &Checkpointer, image: &mut Image, key: &'static str) {
    let index = image.applied_index().unwrap_or(0) + 1;
    let value = Bytes::from(format!("{index}"));
    let txn = Txn {
        request_id: 0,
        stamp_ms: 1,
        guards: vec![],
        ops: vec![Op::Put {
            key: key.into(),
            value,
        }],
    };
    let steps = image.state.apply_logged(&txn);
    image.applied = Some(log_id(1, index));
    checkpointer.note(image, &steps, 1, 10);
}

#[tokio::test]
async fn what_a_failed_checkpoint_owed_is_written_by_the_next() {
    for action in [Action::Fail(io::ErrorKind::Other), Action::Panic] {
        let dir = TempDir::new().unwrap();
        let faults = Faults::default();
        let checkpointer = Checkpointer::in_dir(dir.path(), 1, &faults, &Residence::default());
        let mut image = Image::default();
        for key in ["a", "b", "c", "d"] {
            put(&checkpointer, &mut image, key);
            checkpointer.checkpoint(image.clone()).await.unwrap();
        }
        assert_eq!(checkpointer.purgeable(), Some(3));
        let before = image.clone();
        put(&checkpointer, &mut image, "owed");
        faults.arm(Point::CheckpointCommit, action, Some(1));
        checkpointer.checkpoint(image.clone()).await.unwrap_err();
        assert_eq!(checkpointer.pending(), (1, 10), "still to be written");
        assert_eq!(checkpointer.purgeable(), Some(3));
        let held = Checkpointer::in_dir(dir.path(), 1, &faults, &Residence::default()).load(None);
        assert_eq!(held.unwrap().unwrap().header(1), before.header(1));

        put(&checkpointer, &mut image, "after");
        checkpointer.checkpoint(image.clone()).await.unwrap();
        assert_eq!(checkpointer.pending(), (0, 0));
        let held = Checkpointer::in_dir(dir.path(), 1, &faults, &Residence::default()).load(None);
        assert_eq!(held.unwrap().unwrap().header(1), image.header(1));
    }
}

/// Both generations are behind what the log may forget, also when there is nothing new for the second.
#[tokio::test]
async fn the_older_generation_catches_up_with_nothing_new() {
    let dir = TempDir::new().unwrap();
    let checkpointer =
        Checkpointer::in_dir(dir.path(), 1, &Faults::default(), &Residence::default());
    let mut image = Image::default();
    put(&checkpointer, &mut image, "a");
    for (purgeable, lags) in [(None, true), (Some(1), false), (Some(1), false)] {
        checkpointer.checkpoint(image.clone()).await.unwrap();
        assert_eq!(checkpointer.purgeable(), purgeable);
        assert_eq!(checkpointer.lags(), lags);
    }
}

/// A checkpoint is tried, with the reserve if there is one, and in place of the older generation if the other one can
/// be relied on; each attempt but the last fails here.
#[tokio::test]
async fn room_is_made_for_a_checkpoint() {
    struct Case {
        written_before: usize,
        refusals: u64,
        reserve: bool,
        succeeds: bool,
        /// What the log may forget then.
        purgeable: Option<u64>,
    }
    let case = |written_before, refusals, reserve, succeeds, purgeable| Case {
        written_before,
        refusals,
        reserve,
        succeeds,
        purgeable,
    };
    let table = [
        case(0, 1, false, false, None),
        case(0, 1, true, true, None),
        // The first generation is written, the second not yet: there is nothing that could give way.
        case(1, 1, false, false, None),
        case(4, 1, false, true, Some(4)),
        case(4, 1, true, true, Some(4)),
        case(4, 2, false, false, None),
        case(4, 2, true, true, Some(4)),
        case(4, 3, true, false, None),
    ];
    for (n, case) in table.into_iter().enumerate() {
        let dir = TempDir::new().unwrap();
        let faults = Faults::default();
        let log = log_in(dir.path());
        let reserve = Reserve::new(dir.path(), u64::from(case.reserve) << 20, log.clone());
        let checkpointer = Checkpointer::in_dir(dir.path(), 1, &faults, &Residence::default())
            .with_reserve(reserve);
        checkpointer.take_reserve();
        let mut image = Image::default();
        for _ in 0..case.written_before {
            put(&checkpointer, &mut image, "before");
            checkpointer.checkpoint(image.clone()).await.unwrap();
        }
        let before = image.clone();
        put(&checkpointer, &mut image, "after");
        let full = Action::Fail(io::ErrorKind::StorageFull);
        faults.arm(Point::CheckpointCommit, full, Some(case.refusals));
        let written = checkpointer.checkpoint(image.clone()).await;
        assert_eq!(written.is_ok(), case.succeeds, "{n}: {written:?}");
        assert_eq!(checkpointer.purgeable(), case.purgeable, "{n}");
        assert_eq!(checkpointer.wants_reserve(), case.reserve, "{n}");

        // Whatever was tried, the disk holds the latest that was promised.
        let promised = if case.succeeds { &image } else { &before };
        let held = Checkpointer::in_dir(dir.path(), 1, &faults, &Residence::default()).load(None);
        let header = held.unwrap().map(|held| held.header(1));
        let expected = promised.applied.map(|_| promised.header(1));
        assert_eq!(header, expected, "{n}");

        faults.disarm(Point::CheckpointCommit);
        for key in ["on", "and", "on"] {
            put(&checkpointer, &mut image, key);
            checkpointer.checkpoint(image.clone()).await.unwrap();
        }
        let held = Checkpointer::in_dir(dir.path(), 1, &faults, &Residence::default()).load(None);
        assert_eq!(held.unwrap().unwrap().header(1), image.header(1), "{n}");
        let last = image.applied_index();
        assert_eq!(checkpointer.purgeable(), last.map(|last| last - 1), "{n}");
        log.close();
        log.closed().await;
    }
}

/// On a full disk a snapshot takes the older generation's place, and nobody keeps that one's files: who still shows the
/// state before it reads from the other one.
#[tokio::test]
async fn the_state_before_a_snapshot_keeps_no_space() {
    let dir = TempDir::new().unwrap();
    let faults = Faults::default();
    let held = Residence {
        bytes_max: 0,
        ..Residence::default()
    };
    let checkpointer = Checkpointer::in_dir(dir.path(), 1, &faults, &held);
    let mut image = Image::default();
    for key in ["a", "b", "c"] {
        put(&checkpointer, &mut image, key);
        checkpointer.checkpoint(image.clone()).await.unwrap();
    }
    let before = image.state.view().clone();
    let files = |view: &crate::snapshot::View| -> Vec<bool> {
        let older = |slot: &crate::slot::Slot| slot.file().contains(GENERATIONS[1]);
        view.iter().map(older).collect()
    };
    assert_eq!(files(&before), [true, false, false]);
    let mut snapshot = Image {
        applied: Some(log_id(2, 9)),
        ..Image::default()
    };
    snapshot.state.restore_item(&before.get(b"b").unwrap());
    let full = Action::Fail(io::ErrorKind::StorageFull);
    faults.arm(Point::CheckpointCommit, full, Some(1));
    checkpointer.replace(snapshot).await.unwrap();
    assert_eq!(files(&before), [false; 3]);
    let values = before.prefix(b"").map(|item| item.value);
    assert!(values.eq(["1", "2", "3"].map(Bytes::from)));
}
