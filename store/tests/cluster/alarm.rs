//! Replicas whose states differ: the one a majority contradicts stops for good, and where no majority
//! knows who is right everybody says so. A lie of each replica is told through its own failpoints.

use std::time::Duration;

use futures::future::join_all;
use store::faults::{Action, Faults, Point};
use store::{Bootstrap, StartError, Store, TxnError};

use crate::Test;
use crate::support::{
    Cluster, PATIENCE, Replica, converged, figure, leader, must_put, put_until_purged, until,
};

/// A replica with its failpoints.
struct Liar {
    replica: Replica,
    faults: Faults,
}

async fn start(cluster: &Cluster, name: &str) -> Liar {
    let faults = Faults::default();
    let mut options = cluster.options(name, cluster.static_bootstrap()).await;
    options.faults = faults.clone();
    let (store, service) = Store::start(options).await.unwrap();
    let replica = Replica::run(store, service);
    Liar { replica, faults }
}

/// The leader last, and every state equal.
async fn started(cluster: &Cluster) -> (Vec<Replica>, Vec<Faults>) {
    let names = cluster.initial.iter().map(|(name, _)| name);
    let all = join_all(names.map(|name| start(cluster, name))).await;
    let (mut replicas, mut faults): (Vec<_>, Vec<_>) =
        all.into_iter().map(|it| (it.replica, it.faults)).unzip();
    let leading = leader(&replicas).await;
    must_put(&replicas[leading].store, "before", "v").await;
    converged(&stores(&replicas)).await;
    let last = replicas.len() - 1;
    replicas.swap(leading, last);
    faults.swap(leading, last);
    (replicas, faults)
}

fn stores(replicas: &[Replica]) -> Vec<&Store> {
    replicas.iter().map(|replica| &replica.store).collect()
}

fn failing(store: &Store) -> Vec<&'static str> {
    let checks = store.health().checks.into_iter();
    let failing = checks.filter(|check| check.failure.is_some());
    failing.map(|check| check.name).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_odd_one_out_stops_and_does_not_come_back_as_it_was() -> Test {
    let cluster = Cluster::new(&["a", "b", "c"]).await;
    let (mut replicas, faults) = started(&cluster).await;
    faults[0].arm(Point::Apply, Action::Lie, Some(1));
    must_put(&replicas[2].store, "k", "lost on one replica").await;

    let odd = replicas.remove(0);
    let store = odd.store.clone();
    let name = store.status().name;
    let error = odd.ended().await.unwrap_err();
    assert!(
        matches!(&error, TxnError::Diverged(why) if why.contains("a majority of the voters has")),
        "{error}"
    );
    assert!(!store.health().is_live() && failing(&store).contains(&"store-running"));
    drop(store);

    must_put(&replicas[0].store, "after", "v").await;
    converged(&stores(&replicas)).await;
    until("the others are well", async || {
        let well = |store: &&Store| store.health().is_ready();
        stores(&replicas).iter().all(well).then_some(())
    })
    .await;

    let refused = cluster.try_start(&name, cluster.static_bootstrap()).await;
    assert!(matches!(
        refused.map(drop),
        Err(StartError::Diverged { .. })
    ));
    let (_, replaced) = cluster.replace(&name, &replicas[1].store).await;
    replicas.push(replaced);
    converged(&stores(&replicas)).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_majority_everybody_raises_the_alarm_and_goes_on() -> Test {
    let cluster = Cluster::new(&["a", "b"]).await;
    let (replicas, faults) = started(&cluster).await;
    faults[0].arm(Point::Apply, Action::Lie, Some(1));
    must_put(&replicas[1].store, "k", "lost on one replica").await;
    until("both know", async || {
        let knows = |store: &&Store| failing(store) == ["store-agreement"];
        stores(&replicas).iter().all(knows).then_some(())
    })
    .await;
    must_put(&replicas[1].store, "after", "v").await;
    assert!(replicas[0].store.health().is_live());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn failpoints_of_apply_history_and_reads() -> Test {
    let mut cluster = Cluster::new(&["a"]).await;
    cluster.limits.request = std::time::Duration::from_millis(300);
    let Liar { replica, faults } = start(&cluster, "a").await;
    let store = &replica.store;
    must_put(store, "k", "1").await;
    faults.arm(Point::History, Action::Lie, Some(1));
    must_put(store, "k", "never seen").await;
    must_put(store, "k", "3").await;
    let mut cursor = store.changes(0)?;
    let mut seen = Vec::new();
    while cursor.position() < 3 {
        let changes = tokio::time::timeout(PATIENCE, cursor.next()).await??;
        seen.extend(changes.iter().map(|change| change.revision));
    }
    assert_eq!(seen, [1, 3]);

    faults.arm(
        Point::ReadIndex,
        Action::Fail(std::io::ErrorKind::Other),
        None,
    );
    assert!(store.barrier().await.is_err());
    faults.arm(Point::ReadIndex, Action::Lie, Some(1));
    assert_eq!(store.barrier().await?, 3);

    faults.arm(Point::Apply, Action::Fail(std::io::ErrorKind::Other), None);
    store.txn(crate::support::put("k", "4")).await.unwrap_err();
    let error = replica.ended().await.unwrap_err();
    assert!(
        error.to_string().contains("apply was told to fail"),
        "{error}"
    );

    let mut options = cluster
        .options("a", Bootstrap::Static { initial: vec![] })
        .await;
    options.data_dir = cluster.data_dir("fresh");
    options.faults.arm(
        Point::Identity,
        Action::Fail(std::io::ErrorKind::Other),
        None,
    );
    let refused = Store::start(options).await;
    assert!(matches!(refused.map(drop), Err(StartError::Io { .. })));
    Ok(())
}

/// What breaks off is begun anew, until the whole state has come over.
#[tokio::test(flavor = "multi_thread")]
async fn failpoints_of_snapshots() -> Test {
    let broken = Action::Fail(std::io::ErrorKind::Other);
    for (point, sender) in [(Point::SnapshotSend, true), (Point::SnapshotInstall, false)] {
        let mut cluster = Cluster::new(&["a", "b"]).await;
        let joiner = cluster.initial.pop();
        let first = start(&cluster, "a").await;
        cluster.initial.extend(joiner);
        let store = &first.replica.store;
        put_until_purged(store).await;
        let (node_id, bootstrap) = cluster.announce("b", store).await;
        let options = cluster.options("b", bootstrap).await;
        let faults = if sender {
            &first.faults
        } else {
            &options.faults
        };
        let faults = faults.clone();
        faults.arm(point, broken, Some(2));
        let (joined, service) = Store::start(options).await?;
        let second = Replica::run(joined, service);
        until("it was tried twice in vain", async || {
            (!faults.is_armed(point)).then_some(())
        })
        .await;
        converged(&[store, &second.store]).await;
        store.promote(node_id).await?;
    }
    Ok(())
}

/// What is written while a snapshot is on its way stays in the log, though others no longer need it there.
#[tokio::test(flavor = "multi_thread")]
async fn one_snapshot_is_enough_however_long_it_takes() -> Test {
    let mut cluster = Cluster::new(&["a", "b"]).await;
    cluster.limits.checkpoint_entries = 10;
    let joiner = cluster.initial.pop();
    let first = start(&cluster, "a").await;
    cluster.initial.extend(joiner);
    let store = &first.replica.store;
    put_until_purged(store).await;
    let (_node_id, bootstrap) = cluster.announce("b", store).await;
    let delay = Action::Delay(Duration::from_secs(3));
    first.faults.arm(Point::SnapshotSend, delay, Some(1));
    let second = cluster.try_start("b", bootstrap).await?;
    until("the snapshot is on its way", async || {
        (!first.faults.is_armed(Point::SnapshotSend)).then_some(())
    })
    .await;
    let checkpoints = || figure(store, "checkpoints_total{outcome=\"ok\"}");
    let before = checkpoints();
    until("three checkpoints more", async || {
        must_put(store, "k", vec![1; 100]).await;
        (checkpoints() >= before + 3).then_some(())
    })
    .await;
    converged(&[store, &second.store]).await;
    let sent = figure(store, "snapshots_sent_total{outcome=\"ok\"}");
    assert_eq!(sent, 1);
    Ok(())
}

/// A few large entries fill a disk as well as many small ones.
#[tokio::test(flavor = "multi_thread")]
async fn the_log_behind_a_checkpoint_is_bounded_by_its_bytes_too() -> Test {
    let mut cluster = Cluster::new(&["a"]).await;
    cluster.limits.keep_entries = u64::MAX;
    cluster.limits.keep_bytes = 10_000;
    let replica = cluster.start("a").await;
    put_until_purged(&replica.store).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn failpoints_of_the_network() -> Test {
    let cluster = Cluster::new(&["a", "b"]).await;
    let (replicas, faults) = started(&cluster).await;
    for point in [Point::PeerConnect, Point::PeerSend, Point::PeerReceive] {
        faults[1].arm(point, Action::Fail(std::io::ErrorKind::Other), Some(3));
        must_put(&replicas[1].store, "k", point.name()).await;
        must_put(
            &replicas[0].store,
            "k",
            format!("{point} through the follower"),
        )
        .await;
    }
    converged(&stores(&replicas)).await;
    Ok(())
}
