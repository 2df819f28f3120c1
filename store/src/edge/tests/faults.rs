//! A replica whose disk fails stops and says why; the others carry on; what was acknowledged is kept.

use std::io;
use std::path::Path;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::support::{Cluster, Replica, leader, must_put, put, until};
use crate::edge::start::{OpenWal, start};
use crate::edge::wal::{DiskWal, Position, Wal, WalState, WalVote};
use crate::error::TxnError;
use crate::member::Role;

/// Where the next write to the disk fails.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    /// The write itself.
    Append,
    /// The sync cannot be started.
    Sync,
    /// The sync was started and fails.
    Synced,
}

/// A disk that can be told to fail, for good.
#[derive(Clone, Debug, Default)]
struct Disk(Arc<Mutex<Option<(Stage, io::ErrorKind)>>>);

impl Disk {
    fn fail(&self, stage: Stage, kind: io::ErrorKind) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((stage, kind));
    }

    fn check(&self, stage: Stage) -> io::Result<()> {
        let failing = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match failing.filter(|(failing, _)| *failing == stage) {
            Some((_, kind)) => Err(io::Error::new(kind, "the disk was told to fail")),
            None => Ok(()),
        }
    }

    fn opener(&self) -> OpenWal {
        let disk = self.clone();
        Box::new(move |dir: &Path| {
            let log = DiskWal::open(dir)?;
            Ok(Box::new(FailingWal { log, disk }) as Box<dyn Wal>)
        })
    }
}

/// The real log on a disk that may fail.
struct FailingWal {
    log: DiskWal,
    disk: Disk,
}

impl Wal for FailingWal {
    fn state(&self) -> WalState {
        self.log.state()
    }

    fn read(&self, from: u64, to: u64, bytes_max: usize) -> io::Result<Vec<(Position, Bytes)>> {
        self.log.read(from, to, bytes_max)
    }

    fn append(&mut self, entries: Vec<(Position, Bytes)>) -> io::Result<()> {
        self.disk.check(Stage::Append)?;
        self.log.append(entries)
    }

    fn truncate(&mut self, from: u64) -> io::Result<()> {
        self.log.truncate(from)
    }

    fn purge(&mut self, upto: Position) -> io::Result<()> {
        self.log.purge(upto)
    }

    fn save_vote(&mut self, vote: WalVote) -> io::Result<()> {
        self.log.save_vote(vote)
    }

    fn save_committed(&mut self, committed: Position) -> io::Result<()> {
        self.log.save_committed(committed)
    }

    fn sync(&mut self, done: SyncSender<io::Result<()>>) -> io::Result<()> {
        self.disk.check(Stage::Sync)?;
        match self.disk.check(Stage::Synced) {
            Ok(()) => self.log.sync(done),
            Err(error) => done.send(Err(error)).map_err(io::Error::other),
        }
    }
}

async fn start_on(disk: &Disk, cluster: &Cluster, name: &str) -> Replica {
    let options = cluster.options(name, cluster.static_bootstrap()).await;
    let (store, service) = start(options, disk.opener()).await.unwrap();
    Replica::run(store, service)
}

fn is_full(error: &TxnError) -> bool {
    *error == TxnError::DiskFull
}

fn is_explained(error: &TxnError) -> bool {
    matches!(error, TxnError::Stopped(why) if why.contains("told to fail"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_disk_stops_the_replica_and_is_named() {
    let full = io::ErrorKind::StorageFull;
    let broken = io::ErrorKind::Other;
    for (stage, kind, expected) in [
        (Stage::Append, full, is_full as fn(&TxnError) -> bool),
        (Stage::Append, broken, is_explained),
        (Stage::Sync, full, is_full),
        (Stage::Synced, full, is_full),
        (Stage::Synced, broken, is_explained),
    ] {
        let cluster = Cluster::new(&["a"]).await;
        let disk = Disk::default();
        let replica = start_on(&disk, &cluster, "a").await;
        must_put(&replica.store, "before", "kept").await;
        disk.fail(stage, kind);
        let store = replica.store.clone();
        for attempt in ["the write that meets the fault", "a later one"] {
            let failed = store.txn(put("after", "lost")).await.unwrap_err();
            assert!(expected(&failed), "{stage:?} {kind:?}, {attempt}: {failed}");
        }
        let ended = replica.ended().await.unwrap_err();
        assert!(expected(&ended), "{stage:?} {kind:?}, the service: {ended}");
        assert_eq!(store.status().role, Role::Stopped);
        assert!(expected(&store.barrier().await.unwrap_err()));

        let replica = cluster.start("a").await;
        let kept = replica.store.view().get(b"before").map(|item| item.value);
        assert_eq!(kept, Some("kept".into()), "{stage:?} {kind:?}");
        replica.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_with_a_failed_disk_is_succeeded() {
    let cluster = Cluster::new(&["a", "b", "c"]).await;
    let disks = [Disk::default(), Disk::default(), Disk::default()];
    let starting = ["a", "b", "c"]
        .iter()
        .zip(&disks)
        .map(|(name, disk)| start_on(disk, &cluster, name));
    let mut replicas = futures::future::join_all(starting).await;
    let leading = leader(&replicas).await;
    must_put(&replicas[leading].store, "k", "before").await;
    disks[leading].fail(Stage::Append, io::ErrorKind::StorageFull);
    let failed = replicas.remove(leading);
    // What the leader meets is no answer to a write that came through another replica. Here its own
    // write may still be committed by the others; it only knows that it must stop.
    let through_follower = must_put(&replicas[0].store, "other", "during");
    let (written, _) = tokio::join!(failed.store.txn(put("k", "during")), through_follower);
    assert!(
        written.as_ref().map_or_else(is_full, |_| true),
        "{written:?}"
    );
    assert!(is_full(&failed.ended().await.unwrap_err()));
    must_put(&replicas[0].store, "k", "after").await;
    until("another replica leads", async || {
        replicas
            .iter()
            .any(|replica| replica.store.leadership().borrow().is_local)
            .then_some(())
    })
    .await;
}
