//! Checkpoints that fail owe what they did not bring.

use tempfile::TempDir;

use super::*;
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
    for action in [Action::Fail(io::ErrorKind::StorageFull), Action::Panic] {
        let dir = TempDir::new().unwrap();
        let faults = Faults::default();
        let checkpointer = Checkpointer::in_dir(dir.path(), 1, &faults);
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
        let held = Checkpointer::in_dir(dir.path(), 1, &faults).load(None);
        assert_eq!(held.unwrap().unwrap().header(1), before.header(1));

        put(&checkpointer, &mut image, "after");
        checkpointer.checkpoint(image.clone()).await.unwrap();
        assert_eq!(checkpointer.pending(), (0, 0));
        let held = Checkpointer::in_dir(dir.path(), 1, &faults).load(None);
        assert_eq!(held.unwrap().unwrap().header(1), image.header(1));
    }
}
