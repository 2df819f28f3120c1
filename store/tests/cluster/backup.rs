//! Backups are taken while writes go on, checked, and restored into new clusters.

use std::io::Write;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use store::backup::{
    Flaw, REVISION_BUMP, RestoreError, RestoreOptions, Summary, cluster_id, restore, verify,
};
use store::{Item, Op, StartError, Store};

use super::Test;
use super::support::{Cluster, converged, must_put, put, txn};

fn save(store: &Store, path: &Path) -> std::io::Result<u64> {
    let backup = store.backup();
    let revision = backup.revision();
    let mut file = std::fs::File::create(path)?;
    for chunk in backup {
        file.write_all(&chunk?)?;
    }
    Ok(revision)
}

fn items(store: &Store) -> Vec<Item> {
    store.view().prefix(b"").collect()
}

fn options(cluster: &Cluster, name: &str, found: &Summary) -> RestoreOptions {
    let member = |(name, peer): &(String, String)| {
        let api = format!("api-{name}:7443");
        (name.clone(), peer.clone(), api)
    };
    let members: Vec<_> = cluster.initial.iter().map(member).collect();
    RestoreOptions {
        data_dir: cluster.data_dir(name),
        name: name.to_owned(),
        cluster_id: cluster_id(found.digest, &members, "test"),
        members,
        revision_bump: REVISION_BUMP,
    }
}

/// A replica that wrote, its items, and a backup of them.
struct Source {
    cluster: Cluster,
    file: PathBuf,
    items: Vec<Item>,
    found: Summary,
}

async fn source() -> Result<Source, Box<dyn std::error::Error>> {
    let cluster = Cluster::new(&["old"]).await;
    let replica = cluster.start("old").await;
    let store = &replica.store;
    for n in 0..120_u8 {
        let size = if n % 40 == 7 { 250_000 } else { usize::from(n) };
        must_put(store, format!("key-{n}"), vec![n; size]).await;
    }
    let key = Bytes::from("key-5");
    store.txn(txn(vec![], vec![Op::Delete { key }])).await?;
    store.barrier().await?;
    let file = cluster.dir.path().join("backup");
    let revision = save(store, &file)?;
    let (items, status) = (items(store), store.status());
    let found = verify(&file)?;
    assert_eq!(
        (found.cluster_id, found.revision, found.digest),
        (store.cluster_id(), revision, status.digest)
    );
    assert_eq!(found.applied_index, status.applied_index);
    assert_eq!(found.items, items.len() as u64);
    assert_eq!(found.bytes, std::fs::metadata(&file)?.len());
    replica.shutdown().await;
    Ok(Source {
        cluster,
        file,
        items,
        found,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_shows_one_revision_while_writes_go_on() -> Test {
    let cluster = Cluster::new(&["a"]).await;
    let replica = cluster.start("a").await;
    for n in 0..20_u8 {
        must_put(&replica.store, format!("k{n:02}"), vec![n; 50_000]).await;
    }
    let (before, status) = (items(&replica.store), replica.store.status());
    let mut file = Vec::new();
    for chunk in replica.store.backup() {
        file.extend_from_slice(&chunk?);
        let late = format!("k{:02}", file.len() % 20);
        must_put(&replica.store, late, format!("after {}", file.len())).await;
    }
    let path = cluster.dir.path().join("backup");
    std::fs::write(&path, file)?;
    let found = verify(&path)?;
    assert_eq!(
        (found.revision, found.digest),
        (status.revision, status.digest)
    );
    assert_eq!(found.items, before.len() as u64);
    assert!(replica.store.view().revision() > found.revision);
    replica.shutdown().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_restored_into_one_member_and_into_three() -> Test {
    let source = source().await?;
    for names in [&["new"][..], &["a", "b", "c"]] {
        let cluster = Cluster::new(names).await;
        for name in names {
            let options = options(&cluster, name, &source.found);
            let restored = restore(&source.file, &options)?;
            assert_eq!(restored.revision, source.found.revision + REVISION_BUMP);
        }
        let mut replicas = cluster.start_all().await;
        let stores: Vec<&Store> = replicas.iter().map(|replica| &replica.store).collect();
        let status = converged(&stores).await;
        assert_eq!(status.revision, source.found.revision + REVISION_BUMP);
        for store in stores {
            assert_ne!(store.cluster_id(), source.found.cluster_id);
            assert_eq!(items(store), source.items);
            assert!(store.changes(source.found.revision).is_err(), "compacted");
            assert!(store.view_at(source.found.revision).is_err(), "compacted");
        }
        let last = &replicas[names.len() - 1].store;
        assert_eq!(must_put(last, "later", "x").await, status.revision + 1);
        assert_eq!(last.members().await?.len(), names.len());
        // Enough for checkpoints and a purge, and then a restart of each.
        for n in 0..100 {
            must_put(last, format!("more-{n}"), "x").await;
        }
        let whole = items(last);
        for name in names {
            replicas.remove(0).shutdown().await;
            replicas.push(cluster.start(name).await);
        }
        let stores: Vec<&Store> = replicas.iter().map(|replica| &replica.store).collect();
        converged(&stores).await;
        must_put(stores[0], "last", "x").await;
        stores[0]
            .txn(txn(vec![], vec![Op::Delete { key: "last".into() }]))
            .await?;
        assert_eq!(items(stores[0]), whole);
        for replica in replicas {
            replica.kill().await;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wiped_member_of_a_restored_cluster_stays_out() -> Test {
    let source = source().await?;
    let cluster = Cluster::new(&["a", "b", "c"]).await;
    for name in ["a", "b", "c"] {
        restore(&source.file, &options(&cluster, name, &source.found))?;
    }
    let mut replicas = cluster.start_all().await;
    must_put(&replicas[0].store, "k", "v").await;
    replicas.remove(2).kill().await;
    std::fs::remove_dir_all(cluster.data_dir("c"))?;
    let refused = cluster.try_start("c", cluster.static_bootstrap()).await;
    assert!(matches!(
        refused.map(drop),
        Err(StartError::ClusterExists { .. })
    ));
    let (id, joined) = cluster.replace("c", &replicas[0].store).await;
    assert_eq!(id, 4);
    replicas.push(joined);
    let stores: Vec<&Store> = replicas.iter().map(|replica| &replica.store).collect();
    converged(&stores).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_backups_and_wrong_targets_are_refused() -> Test {
    let source = source().await?;
    let cluster = Cluster::new(&["a"]).await;
    let options = options(&cluster, "a", &source.found);
    let whole = std::fs::read(&source.file)?;
    let bad = source.cluster.dir.path().join("bad");
    for (at, block) in [(20, 0), (whole.len() / 2, 1), (whole.len() - 1, 4)] {
        let mut flipped = whole.clone();
        flipped[at] ^= 4;
        std::fs::write(&bad, flipped)?;
        let damage = verify(&bad).unwrap_err();
        assert_eq!((&damage.file, damage.block), (&bad, block), "{damage}");
        assert!(damage.offset <= at as u64, "{damage}");
        assert!(damage.to_string().contains("another backup"), "{damage}");
        let refused = restore(&bad, &options).unwrap_err();
        assert!(matches!(refused, RestoreError::Damaged(found) if found == damage));
    }
    std::fs::write(&bad, [&whole[..], b"x"].concat())?;
    assert_eq!(verify(&bad).unwrap_err().flaw, Flaw::Trailing);
    std::fs::write(&bad, &whole[..whole.len() - 30])?;
    assert_eq!(verify(&bad).unwrap_err().flaw, Flaw::Truncated);
    std::fs::write(&bad, b"not a backup at all")?;
    assert_eq!(verify(&bad).unwrap_err().flaw, Flaw::Foreign);
    std::fs::remove_file(&bad)?;
    assert!(matches!(
        verify(&bad).unwrap_err().flaw,
        Flaw::Unreadable(_)
    ));

    let stranger = RestoreOptions {
        name: "stranger".into(),
        ..options.clone()
    };
    let refused = restore(&source.file, &stranger).unwrap_err();
    assert!(matches!(refused, RestoreError::UnknownMember { .. }));
    let huge = RestoreOptions {
        revision_bump: u64::MAX,
        ..options.clone()
    };
    let refused = restore(&source.file, &huge).unwrap_err();
    assert!(matches!(refused, RestoreError::Invalid(_)));
    assert!(!options.data_dir.exists(), "nothing was left behind");

    std::fs::create_dir(&options.data_dir)?;
    std::fs::write(options.data_dir.join("precious"), "")?;
    let refused = restore(&source.file, &options).unwrap_err();
    assert!(matches!(refused, RestoreError::NotEmpty { .. }));
    assert!(options.data_dir.join("precious").exists());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unfinished_restore_is_no_replica_and_is_restored_again() -> Test {
    let source = source().await?;
    let cluster = Cluster::new(&["a"]).await;
    let options = options(&cluster, "a", &source.found);
    restore(&source.file, &options)?;
    // As a crash leaves it: everything but the identity.
    std::fs::remove_file(options.data_dir.join("identity"))?;
    std::fs::write(options.data_dir.join("restoring"), "")?;
    let refused = cluster.try_start("a", cluster.static_bootstrap()).await;
    assert!(matches!(refused.map(drop), Err(StartError::Invalid(_))));
    restore(&source.file, &options)?;
    let replica = cluster.start("a").await;
    assert_eq!(items(&replica.store), source.items);
    replica.store.txn(put("k", "v")).await?;
    replica.shutdown().await;
    let refused = restore(&source.file, &options).unwrap_err();
    assert!(matches!(refused, RestoreError::NotEmpty { .. }));
    Ok(())
}
