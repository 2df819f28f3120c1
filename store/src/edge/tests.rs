//! openraft's own conformance suite over our log, state machine and checkpoints; failing disks.

mod faults;
mod log;
#[path = "../../tests/cluster/support.rs"]
mod support;

use std::path::Path;
use std::sync::Arc;

use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use tempfile::TempDir;

use crate::edge::checkpoint::Checkpointer;
use crate::edge::log::LogStore;
use crate::edge::machine::Machine;
use crate::edge::metrics::Metrics;
use crate::edge::published::Published;
use crate::edge::wal;
use crate::faults::Faults;
use crate::image::Image;
use crate::raft::Types;

/// So small that segments fill up and are recycled.
const SEGMENT_BYTES: u64 = 16 << 10;

struct Builder;

/// Closes the log before its directory goes.
struct Guard(LogStore, TempDir);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.close();
        assert!(self.1.path().exists());
    }
}

/// A new log in a data directory.
pub(crate) fn log_in(dir: &Path) -> LogStore {
    let dir = dir.join("log");
    wal::ensure(&dir, SEGMENT_BYTES, None).unwrap();
    let opened = wal::open(&dir, &Faults::default()).unwrap();
    LogStore::new(opened, Arc::new(|_| {}), Metrics::default()).unwrap()
}

impl StoreBuilder<Types, LogStore, Machine, Guard> for Builder {
    async fn build(&self) -> Result<(Guard, LogStore, Machine), StorageError<Types>> {
        let dir = TempDir::new().unwrap();
        let log = log_in(dir.path());
        let checkpointer = Arc::new(Checkpointer::in_dir(
            dir.path(),
            1,
            &Faults::default(),
            &crate::edge::state::Residence::default(),
        ));
        let published = Arc::new(Published::new(1 << 20, 1 << 20));
        let machine = Machine::new(Image::default(), published, checkpointer);
        Ok((Guard(log.clone(), dir), log, machine))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn openraft_conformance() {
    Suite::test_all(Builder).await.unwrap();
}
