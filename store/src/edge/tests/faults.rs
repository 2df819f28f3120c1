//! A replica whose disk fails stops and says why; the others carry on; what was acknowledged is kept.
//! A full disk is no fault: the replica waits for space.

use std::io;
use std::time::Duration;

use super::support::{Cluster, PATIENCE, Replica, leader, must_put, put, txn, until};
use crate::Store;
use crate::edge::wal::pool::Space;
use crate::error::TxnError;
use crate::faults::{Action, Faults, Point};
use crate::member::Role;
use crate::txn::{Op, TxnOutcome};

async fn start_with(faults: &Faults, cluster: &Cluster, name: &str) -> Replica {
    let mut options = cluster.options(name, cluster.static_bootstrap()).await;
    options.faults = faults.clone();
    let (store, service) = Store::start(options).await.unwrap();
    Replica::run(store, service)
}

fn is_full(error: &TxnError) -> bool {
    *error == TxnError::DiskFull
}

fn is_explained(error: &TxnError) -> bool {
    matches!(error, TxnError::Stopped(why) if why.contains("told to fail"))
}

fn is_panic(error: &TxnError) -> bool {
    matches!(error, TxnError::Stopped(why) if why.contains("panicked"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_disk_stops_the_replica_and_is_named() {
    let full = Action::Fail(io::ErrorKind::StorageFull);
    let broken = Action::Fail(io::ErrorKind::Other);
    for (point, action, expected) in [
        (Point::WalWrite, full, is_full as fn(&TxnError) -> bool),
        (Point::WalWrite, broken, is_explained),
        (Point::WalWrite, Action::Panic, is_panic),
        (Point::WalSync, full, is_full),
        (Point::WalSync, broken, is_explained),
        (Point::WalMark, broken, is_explained),
    ] {
        let cluster = Cluster::new(&["a"]).await;
        let faults = Faults::default();
        let replica = start_with(&faults, &cluster, "a").await;
        must_put(&replica.store, "before", "kept").await;
        faults.arm(point, action, None);
        let store = replica.store.clone();
        for attempt in ["the write that meets the fault", "a later one"] {
            let failed = store.txn(put("after", "lost")).await.unwrap_err();
            assert!(expected(&failed), "{point} {action:?}, {attempt}: {failed}");
        }
        let ended = replica.ended().await.unwrap_err();
        assert!(expected(&ended), "{point} {action:?}, the service: {ended}");
        assert_eq!(store.status().role, Role::Stopped);
        assert!(expected(&store.barrier().await.unwrap_err()));

        let replica = cluster.start("a").await;
        // How far was committed is known again once this replica leads.
        replica.store.barrier().await.unwrap();
        let kept = replica.store.view().get(b"before").map(|item| item.value);
        assert_eq!(kept, Some("kept".into()), "{point} {action:?}");
        replica.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_with_a_failed_disk_is_succeeded() {
    let cluster = Cluster::new(&["a", "b", "c"]).await;
    let disks = [Faults::default(), Faults::default(), Faults::default()];
    let starting = ["a", "b", "c"]
        .iter()
        .zip(&disks)
        .map(|(name, faults)| start_with(faults, &cluster, name));
    let mut replicas = futures::future::join_all(starting).await;
    let leading = leader(&replicas).await;
    must_put(&replicas[leading].store, "k", "before").await;
    let full = Action::Fail(io::ErrorKind::StorageFull);
    disks[leading].arm(Point::WalWrite, full, None);
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

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_waited_for() {
    let mut cluster = Cluster::new(&["a"]).await;
    cluster.limits.segment_bytes = 64 << 10;
    cluster.limits.txn_bytes_max = 32 << 10;
    let faults = Faults::default();
    let full = Action::Fail(io::ErrorKind::StorageFull);
    let replica = start_with(&faults, &cluster, "a").await;
    let store = &replica.store;
    for key in ["kept", "gone"] {
        must_put(store, key, vec![0; 20 << 10]).await;
    }
    faults.arm(Point::WalSegment, full, None);
    // Objects are refused in time; changes that need no room still fit.
    let mut taken = 2;
    let refused = loop {
        let object = put(format!("k{taken}"), vec![1; 20 << 10]);
        match store.txn(object).await {
            Ok(_) => taken += 1,
            Err(refused) => break refused,
        }
    };
    assert_eq!(refused, TxnError::LowSpace);
    let delete = Op::Delete { key: "gone".into() };
    let deleted = store.txn(txn(vec![], vec![delete])).await.unwrap();
    assert!(matches!(deleted, TxnOutcome::Applied { .. }));
    assert_eq!(store.barrier().await.unwrap(), taken + 1);
    // Until even they do not; the log waits, and so do they.
    let writer = store.clone();
    let writing = tokio::spawn(async move {
        for n in 1..=16 {
            must_put(&writer, "kept", vec![n; 20 << 10]).await;
        }
    });
    reached(store, Space::Exhausted).await;
    assert!(!writing.is_finished());
    assert_eq!(store.status().role, Role::Leader);
    store.barrier().await.unwrap();
    faults.disarm(Point::WalSegment);
    writing.await.unwrap();
    reached(store, Space::Ample).await;
    must_put(store, "gone", vec![7; 20 << 10]).await;

    // One that waits can be stopped.
    faults.arm(Point::WalSegment, full, None);
    let writer = store.clone();
    let writing = tokio::spawn(async move {
        for n in (0..=u8::MAX).cycle() {
            let change = put("kept", vec![n; 20 << 10]);
            if writer.txn(change).await.is_err() {
                return;
            }
        }
    });
    reached(store, Space::Exhausted).await;
    replica.shutdown().await;
    writing.await.unwrap();
    let replica = cluster.start("a").await;
    replica.store.barrier().await.unwrap();
    let kept = replica.store.view().get(b"gone").map(|item| item.value);
    assert_eq!(kept, Some(vec![7; 20 << 10].into()));
    replica.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_disk_holds_up_writes_and_nothing_else() {
    let cluster = Cluster::new(&["a"]).await;
    let faults = Faults::default();
    let replica = start_with(&faults, &cluster, "a").await;
    let slow = Action::Delay(Duration::from_millis(500));
    faults.arm(Point::WalSync, slow, None);
    // Nothing is known of the disk before the first.
    must_put(&replica.store, "k", "first").await;
    for value in ["second", "third"] {
        let mut writing = std::pin::pin!(must_put(&replica.store, "k", value));
        tokio::select! {
            biased;
            _ = &mut writing => panic!("the write was faster than the read"),
            read = replica.store.barrier() => drop(read.unwrap()),
        }
        writing.await;
    }
    replica.shutdown().await;
}

async fn reached(store: &Store, level: Space) {
    let mut space = store.space();
    let reached = space.wait_for(|it| *it == level);
    tokio::time::timeout(PATIENCE, reached)
        .await
        .unwrap()
        .unwrap();
}
