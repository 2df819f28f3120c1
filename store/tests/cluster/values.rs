//! Values that are not in memory: read from the files of checkpoints, by whoever asks, and never trusted unseen.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use store::faults::{Action, Faults, Point};
use store::{Store, TxnError};

use crate::Test;
use crate::support::{Cluster, Replica, figure, must_put, put_until_purged, until};

const KEYS: u8 = 100;

fn value(n: u8) -> Vec<u8> {
    vec![n; 1000 + usize::from(n)]
}

async fn fill(store: &Store) {
    for n in 0..KEYS {
        must_put(store, format!("v{n:03}"), value(n)).await;
    }
}

fn whole(store: &Store) -> bool {
    let view = store.view();
    let values = view.prefix(b"v").map(|item| item.value);
    values.eq((0..KEYS).map(|n| Bytes::from(value(n))))
}

/// Waits until checkpoints have all but the latest values.
async fn few_in_memory(store: &Store) {
    until("values are read from files", async || {
        (figure(store, "resident_bytes") < 60_000).then_some(())
    })
    .await;
}

async fn start(cluster: &Cluster, faults: &Faults) -> Replica {
    let mut options = cluster.options("a", cluster.static_bootstrap()).await;
    options.faults = faults.clone();
    let (store, service) = Store::start(options).await.unwrap();
    Replica::run(store, service)
}

/// Flips a bit of each copy of the value in the files of a generation.
fn flip(dir: &Path, value: &[u8]) -> std::io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let mut bytes = fs::read(&path)?;
        let found = bytes.windows(value.len()).position(|it| it == value);
        if let Some(at) = found {
            bytes[at] ^= 1;
            // Into the file that is open, not in its place.
            fs::write(&path, bytes)?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_watches_and_restarts_find_values_on_disk() -> Test {
    let cluster = Cluster::new(&["a"]).await;
    let replica = cluster.start("a").await;
    let store = &replica.store;
    fill(store).await;
    few_in_memory(store).await;
    let (before, mut changes) = (store.view(), store.changes(store.view().revision())?);
    assert!(whole(store));
    // Overwritten and deleted, identical, and the past.
    must_put(store, "v000", "new").await;
    must_put(store, "v001", value(1)).await;
    let seen = changes.next().await?;
    let old = seen[0].old.as_ref().unwrap();
    assert_eq!((seen.len(), &old.value[..]), (1, &value(0)[..]));
    assert_eq!(before.get(b"v000").unwrap().value, value(0));
    must_put(store, "v000", value(0)).await;
    put_until_purged(store).await;
    few_in_memory(store).await;
    assert!(whole(store));
    let status = store.status();
    replica.shutdown().await;
    let replica = cluster.start("a").await;
    replica.store.barrier().await?;
    assert_eq!(replica.store.status().digest, status.digest);
    assert!(whole(&replica.store));
    few_in_memory(&replica.store).await;
    replica.shutdown().await;
    Ok(())
}

/// One bit of each value in the checkpoints' files, while they are read from.
#[tokio::test(flavor = "multi_thread")]
async fn a_rotten_value_stops_the_replica_and_a_restart_heals_it() -> Test {
    let cluster = Cluster::new(&["a"]).await;
    let replica = cluster.start("a").await;
    fill(&replica.store).await;
    // Until both generations are there.
    put_until_purged(&replica.store).await;
    few_in_memory(&replica.store).await;
    let status = replica.store.status();
    // The value is read from one of the two; the other one heals.
    let mut ended = None;
    for generation in ["state-a", "state-b"] {
        let dir = cluster.data_dir("a").join(generation);
        flip(&dir, &value(3))?;
        let store = replica.store.clone();
        let reader = tokio::spawn(async move { store.view().get(b"v003") });
        match reader.await {
            Ok(shown) => assert_eq!(shown.unwrap().value, value(3)),
            Err(panic) => {
                ended = Some(panic.is_panic());
                break;
            }
        }
        let mut rotten = value(3);
        rotten[0] ^= 1;
        flip(&dir, &rotten)?;
    }
    assert_eq!(ended, Some(true), "nothing is shown");
    let error = replica.ended().await.unwrap_err();
    let TxnError::Stopped(why) = &error else {
        panic!("{error}");
    };
    assert!(why.contains("cannot be relied on"), "{why}");
    let replica = cluster.start("a").await;
    replica.store.barrier().await?;
    let now = replica.store.status();
    assert_eq!((now.revision, now.digest), (status.revision, status.digest));
    assert!(whole(&replica.store));
    replica.shutdown().await;
    Ok(())
}

/// A disk that does not answer, met by whoever applies.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_over_a_value_that_cannot_be_read_stops_the_replica() -> Test {
    let cluster = Cluster::new(&["a"]).await;
    let faults = Faults::default();
    let replica = start(&cluster, &faults).await;
    fill(&replica.store).await;
    few_in_memory(&replica.store).await;
    faults.arm(
        Point::ValueRead,
        Action::Fail(std::io::ErrorKind::Other),
        None,
    );
    let store = replica.store.clone();
    let writing = tokio::spawn(async move {
        for n in 0..KEYS {
            must_put(&store, format!("v{n:03}"), "over").await;
        }
    });
    let error = replica.ended().await.unwrap_err();
    assert!(
        matches!(&error, TxnError::Stopped(why) if why.contains("cannot be relied on")),
        "{error}"
    );
    assert!(writing.await.is_err());
    let replica = cluster.start("a").await;
    replica.store.barrier().await?;
    let keys = replica.store.view().keys(b"v").count();
    assert_eq!(keys, usize::from(KEYS));
    replica.shutdown().await;
    Ok(())
}
