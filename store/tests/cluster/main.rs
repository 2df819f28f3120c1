//! The whole store: replicas over real TLS that are written to, killed, wiped, damaged and rejoined.
#![allow(clippy::unwrap_used, reason = "tests")]

mod alarm;
mod backup;
mod membership;
mod support;
mod values;

use std::ops::Bound;
use std::time::Duration;

use bytes::Bytes;
use store::{Bootstrap, Guard, Item, NewMember, Op, Role, StartError, TxnError, TxnOutcome};
use support::{
    Authority, Cluster, PATIENCE, Replica, converged, files_below, leader, must_put, put,
    put_until_purged, txn, until,
};

type Test = Result<(), Box<dyn std::error::Error>>;

fn value(item: Option<Item>) -> Option<Bytes> {
    item.map(|item| item.value)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_replica_writes_reads_and_remembers() -> Test {
    let cluster = Cluster::new(&["a"]).await;
    let replica = cluster.start("a").await;
    let store = &replica.store;
    let mut cursor = store.changes(0)?;
    for n in 1..=3_u64 {
        assert_eq!(must_put(store, "k", format!("v{n}")).await, n);
    }
    let deleted = store
        .txn(txn(vec![], vec![Op::Delete { key: "k".into() }]))
        .await?;
    assert_eq!(
        deleted,
        TxnOutcome::Applied {
            revision: 4,
            revisions: vec![4]
        }
    );
    assert_eq!(store.barrier().await?, 4);
    assert_eq!(store.view().get(b"k"), None);
    for n in 1..=3_u64 {
        assert_eq!(
            value(store.view_at(n)?.get(b"k")),
            Some(format!("v{n}").into())
        );
    }
    let mut seen = Vec::new();
    while seen.len() < 4 {
        seen.extend(cursor.next().await?);
    }
    let revisions: Vec<u64> = seen.iter().map(|change| change.revision).collect();
    assert_eq!(revisions, [1, 2, 3, 4]);
    assert_eq!(
        seen[3].old.as_ref().map(|item| &item.value[..]),
        Some(&b"v3"[..])
    );

    let twice = store::Txn {
        request_id: 99,
        ..put("once", "1")
    };
    let first = store.txn(twice.clone()).await?;
    must_put(store, "once", "2").await;
    assert_eq!(store.txn(twice).await?, first);
    assert_eq!(value(store.view().get(b"once")), Some("2".into()));

    let epoch = store.leadership().borrow().epoch;
    let fenced = |epoch| txn(vec![Guard::Epoch(epoch)], vec![]);
    assert!(matches!(
        store.txn(fenced(epoch)).await?,
        TxnOutcome::Applied { .. }
    ));
    assert!(matches!(
        store.txn(fenced(epoch - 1)).await?,
        TxnOutcome::Refused { guard: 0, .. }
    ));

    let large = put("large", vec![0; cluster.limits.txn_bytes_max + 1]);
    assert!(matches!(
        store.txn(large).await,
        Err(TxnError::TooLarge { .. })
    ));
    let before = store.status();
    replica.shutdown().await;
    let replica = cluster.start("a").await;
    let after = converged(&[&replica.store]).await;
    assert_eq!(
        (after.revision, after.digest),
        (before.revision, before.digest)
    );
    replica.shutdown().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_survives_damaged_generations() -> Test {
    let mut cluster = Cluster::new(&["a"]).await;
    cluster.limits.checkpoint_entries = 10;
    let mut before = filled(&cluster, "first").await;
    for (generation, garbage) in [
        ("state-a", &b"garbage"[..]),
        ("state-b", b""),
        ("state-a", &[0; 1 << 16]),
        ("state-b", b"x"),
    ] {
        for file in files_below(&cluster.data_dir("a").join(generation)) {
            std::fs::write(file, garbage)?;
        }
        let replica = cluster.start("a").await;
        let after = replica.store.status();
        assert_eq!(
            (after.revision, after.digest),
            (before.revision, before.digest),
            "{generation}"
        );
        replica.kill().await;
        before = filled(&cluster, generation).await;
    }
    Ok(())
}

/// Writes enough for several checkpoints, so that both generations are there and the log is purged.
async fn filled(cluster: &Cluster, prefix: &str) -> store::Status {
    let replica = cluster.start("a").await;
    for n in 0..60_u8 {
        // One value has several parts.
        let size = if n == 30 { 250_000 } else { 100 };
        must_put(&replica.store, format!("{prefix}{n}"), vec![n; size]).await;
        replica
            .store
            .txn(txn(
                vec![],
                vec![Op::Delete {
                    key: format!("{prefix}{}", n / 2).into(),
                }],
            ))
            .await
            .unwrap();
    }
    let generations = ["state-a", "state-b"].map(|name| cluster.data_dir("a").join(name));
    // All that was written may be in the first.
    until("both generations exist", async || {
        must_put(&replica.store, "more", "and more").await;
        generations.iter().all(|dir| dir.exists()).then_some(())
    })
    .await;
    let status = replica.store.status();
    replica.shutdown().await;
    status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_log_is_diagnosed() -> Test {
    let cluster = Cluster::new(&["a"]).await;
    let replica = cluster.start("a").await;
    for n in 0..10 {
        must_put(&replica.store, format!("k{n}"), "v").await;
    }
    replica.shutdown().await;
    let log = cluster.data_dir("a").join("log");
    let segment = files_below(&log)
        .into_iter()
        .find(|file| file.extension().is_some_and(|it| it == "seg"))
        .unwrap();
    let whole = std::fs::read(&segment)?;
    let longer = [&whole[..], &[0xa5; 100]].concat();
    let mut flipped = whole.clone();
    flipped[300] ^= 1;
    for damaged in [longer, flipped, whole[..whole.len() - 1].to_vec()] {
        std::fs::write(&segment, damaged)?;
        let refused = cluster.try_start("a", cluster.static_bootstrap()).await;
        assert!(matches!(
            refused.map(drop),
            Err(StartError::LogDamaged { .. })
        ));
    }
    std::fs::write(&segment, whole)?;
    cluster.start("a").await.shutdown().await;
    std::fs::remove_file(&segment)?;
    let refused = cluster.try_start("a", cluster.static_bootstrap()).await;
    assert!(matches!(
        refused.map(drop),
        Err(StartError::LogDamaged { .. })
    ));
    std::fs::remove_dir_all(log)?;
    let refused = cluster.try_start("a", cluster.static_bootstrap()).await;
    assert!(matches!(
        refused.map(drop),
        Err(StartError::LogDamaged { .. })
    ));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn three_replicas_lose_the_leader_and_a_disk() -> Test {
    let cluster = Cluster::new(&["a", "b", "c"]).await;
    let mut replicas = cluster.start_all().await;
    let first = leader(&replicas).await;
    let follower = (first + 1) % 3;
    // Writes go through a follower, and are read there at once.
    for n in 0..100 {
        let store = &replicas[follower].store;
        let revision = must_put(store, format!("k{n:03}"), format!("{n}")).await;
        assert_eq!(
            value(store.view().get(format!("k{n:03}").as_bytes())),
            Some(format!("{n}").into())
        );
        assert!(store.view().revision() >= revision);
    }
    for replica in &replicas {
        assert!(replica.store.barrier().await? >= 100);
        assert_eq!(
            replica
                .store
                .view()
                .range(Bound::Unbounded, Bound::Unbounded)
                .count(),
            100
        );
    }
    converged(
        &replicas
            .iter()
            .map(|replica| &replica.store)
            .collect::<Vec<_>>(),
    )
    .await;

    let epoch = replicas[first].store.leadership().borrow().epoch;
    let name = cluster.initial[first].0.clone();
    replicas.remove(first).kill().await;
    must_put(&replicas[0].store, "after", "the leader is gone").await;
    let second = leader(&replicas).await;
    assert!(replicas[second].store.leadership().borrow().epoch > epoch);
    replicas.push(cluster.start(&name).await);
    converged(
        &replicas
            .iter()
            .map(|replica| &replica.store)
            .collect::<Vec<_>>(),
    )
    .await;

    wipe_and_replace(&cluster, replicas, second).await
}

async fn wipe_and_replace(cluster: &Cluster, mut replicas: Vec<Replica>, leader: usize) -> Test {
    let victim = (leader + 1) % 3;
    let name = replicas[victim].store.status().name;
    let old = replicas[victim].store.status().id;
    replicas.remove(victim).kill().await;
    for n in 0..120 {
        must_put(&replicas[0].store, format!("w{n:03}"), "v").await;
    }
    // Wiped, it must not come back by itself.
    std::fs::remove_dir_all(cluster.data_dir(&name))?;
    let refused = cluster.try_start(&name, cluster.static_bootstrap()).await;
    assert!(matches!(
        refused.map(drop),
        Err(StartError::ClusterExists { .. })
    ));

    let (id, replaced) = cluster.replace(&name, &replicas[0].store).await;
    assert!(id > 3);
    replicas.push(replaced);
    let members = until("the replacement votes and the old id is gone", async || {
        let members = replicas[0].store.members().await.ok()?;
        let voter = |role| matches!(role, Role::Leader | Role::Follower);
        let done = members.len() == 3
            && members
                .iter()
                .all(|member| member.id != old && voter(member.role));
        done.then_some(members)
    })
    .await;
    assert!(
        members
            .iter()
            .all(|member| member.reachable && member.api_addr.starts_with("api-"))
    );
    converged(
        &replicas
            .iter()
            .map(|replica| &replica.store)
            .collect::<Vec<_>>(),
    )
    .await;
    for replica in replicas {
        replica.shutdown().await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_member_gets_a_snapshot_votes_leads_and_leaves() -> Test {
    let mut cluster = Cluster::new(&["a", "b"]).await;
    let joiner = cluster.initial.remove(1);
    let first = cluster.start("a").await;
    cluster.initial.push(joiner);
    put_until_purged(&first.store).await;
    let member = NewMember {
        name: "b".into(),
        peer_addr: cluster.addr("b").into(),
        api_addr: "api-b:1".into(),
    };
    let node_id = first.store.add_member(member).await?;
    let peers = vec![cluster.addr("a").to_owned()];
    let join = Bootstrap::Join {
        node_id,
        cluster_id: first.store.cluster_id(),
        peers,
    };
    let second = cluster.try_start("b", join).await?;
    converged(&[&first.store, &second.store]).await;
    // The log no longer begins at its beginning, so this came as a snapshot.
    assert!(second.store.oldest_revision() > 0);
    assert!(matches!(
        second.store.changes(0),
        Err(store::Compacted { .. })
    ));
    assert_eq!(second.store.status().role, Role::Learner);

    first.store.promote(node_id).await?;
    second.store.transfer(node_id).await?;
    until("the new member leads", async || {
        second.store.leadership().borrow().is_local.then_some(())
    })
    .await;
    second
        .store
        .set_leader_handler(std::sync::Arc::new(|payload: Bytes| {
            Box::pin(async move { Bytes::from([b"led: ", &payload[..]].concat()) })
        }));
    assert_eq!(first.store.call_leader("hello".into()).await?, "led: hello");
    must_put(&first.store, "k", "through the new leader").await;
    first.store.remove(1).await?;
    first.kill().await;
    must_put(&second.store, "k", "alone").await;
    assert_eq!(second.store.members().await?.len(), 1);
    second.shutdown().await;
    Ok(())
}

/// No election of the ordinary kind ever happens here: the lease outlives the test.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_whose_process_dies_is_succeeded_without_waiting_for_its_lease() -> Test {
    let mut cluster = Cluster::new(&["a", "b", "c"]).await;
    cluster.limits.election_ms = (300_000, 600_000);
    let joiners = cluster.initial.split_off(1);
    let first = cluster.start("a").await;
    cluster.initial.extend(joiners);
    let mut others = Vec::new();
    for name in ["b", "c"] {
        let (id, replica) = cluster.join(name, &first.store).await;
        first.store.promote(id).await?;
        others.push(replica);
    }
    for n in 0..50 {
        must_put(&others[n % 2].store, "k", format!("{n}")).await;
    }
    first.kill().await;
    must_put(&others[1].store, "k", "while somebody else leads").await;
    let leading = leader(&others).await;
    must_put(&others[1 - leading].store, "k", "through a follower").await;
    converged(&[&others[0].store, &others[1].store]).await;
    Ok(())
}

/// On one thread, which a caller blocks.
#[tokio::test]
async fn a_caller_that_blocks_its_runtime_holds_up_nobody() -> Test {
    let cluster = Cluster::new(&["a", "b", "c"]).await;
    let replicas = cluster.start_all().await;
    let leading = leader(&replicas).await;
    let store = replicas[(leading + 1) % 3].store.clone();
    let elsewhere = std::thread::spawn(move || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_all().build().unwrap().block_on(async {
            for n in 0..20 {
                must_put(&store, "k", format!("{n}")).await;
            }
            store.barrier().await.unwrap()
        })
    });
    assert!(elsewhere.join().is_ok_and(|revision| revision >= 20));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_lost_its_state_fetches_it_from_a_peer() -> Test {
    let cluster = Cluster::new(&["a", "b", "c"]).await;
    let mut replicas = cluster.start_all().await;
    let leading = leader(&replicas).await;
    for n in 0..200 {
        must_put(&replicas[leading].store, format!("k{n:03}"), "v").await;
    }
    converged(
        &replicas
            .iter()
            .map(|replica| &replica.store)
            .collect::<Vec<_>>(),
    )
    .await;
    let victim = (leading + 1) % 3;
    let name = cluster.initial[victim].0.clone();
    replicas.remove(victim).shutdown().await;
    for generation in ["state-a", "state-b"] {
        std::fs::remove_dir_all(cluster.data_dir(&name).join(generation))?;
    }
    replicas.push(cluster.start(&name).await);
    must_put(&replicas[2].store, "more", "v").await;
    let status = converged(
        &replicas
            .iter()
            .map(|replica| &replica.store)
            .collect::<Vec<_>>(),
    )
    .await;
    assert_eq!(status.revision, 201);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_majority_nothing_is_written_and_a_stranger_gets_no_answer() -> Test {
    let mut cluster = Cluster::new(&["a", "b", "c"]).await;
    cluster.limits.request = Duration::from_secs(3);
    let mut replicas = cluster.start_all().await;
    leader(&replicas).await;
    let stranger = Authority::new().tls(store::PEER_SERVER_NAME);
    let agent = cluster.authority.tls("agent-1");
    for tls in [stranger, agent] {
        let tcp = tokio::net::TcpStream::connect(cluster.addr("a")).await?;
        let name = rustls_pki_types::ServerName::try_from(store::PEER_SERVER_NAME)?;
        let greeted = tokio_rustls::TlsConnector::from(tls.client)
            .connect(name, tcp)
            .await;
        if let Ok(mut stream) = greeted {
            use tokio::io::AsyncReadExt;
            let read = tokio::time::timeout(PATIENCE, stream.read(&mut [0; 1])).await?;
            assert!(!matches!(read, Ok(1)), "a stranger was answered");
        }
    }
    replicas.remove(2).kill().await;
    replicas.remove(1).kill().await;
    let failed = replicas[0].store.txn(put("k", "v")).await;
    assert!(
        matches!(failed, Err(TxnError::NoLeader | TxnError::Timeout)),
        "{failed:?}"
    );
    assert!(replicas[0].store.barrier().await.is_err());
    Ok(())
}
