//! Members come, vote, lead, are replaced and go while writes go on: nothing that was acknowledged is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use store::{Role, Store, TxnOutcome};
use tokio::task::JoinHandle;

use crate::Test;
use crate::support::{Cluster, Replica, converged, leader, put, until};

/// Writes through one replica until it is told to stop, and knows what was acknowledged.
struct Writer {
    stop: Arc<AtomicBool>,
    run: JoinHandle<Vec<String>>,
}

impl Writer {
    fn start(store: Store, name: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let name = name.to_owned();
        let run = tokio::spawn(async move {
            let mut acknowledged = Vec::new();
            for n in 0.. {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                let key = format!("{name}-{n}");
                // One that fails may have happened; only what was acknowledged must be there.
                if let Ok(TxnOutcome::Applied { .. }) = store.txn(put(key.clone(), "v")).await {
                    acknowledged.push(key);
                }
            }
            acknowledged
        });
        Self { stop, run }
    }

    async fn stop(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.run.await.unwrap()
    }
}

async fn votes(through: &Store, id: u64) {
    until("it votes", async || {
        let members = through.members().await.ok()?;
        let voter = |role| matches!(role, Role::Leader | Role::Follower);
        let it = members.into_iter().find(|member| member.id == id)?;
        voter(it.role).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_change_while_writes_go_on() -> Test {
    let mut cluster = Cluster::new(&["a", "b", "c", "d"]).await;
    let joiner = cluster.initial.remove(3);
    let mut replicas = cluster.start_all().await;
    cluster.initial.push(joiner);
    let first = leader(&replicas).await;
    // The writers' own replicas stay; the leader and another one go.
    replicas.swap(0, first);
    let names: Vec<String> = replicas.iter().map(|it| it.store.status().name).collect();
    let through = replicas[1].store.clone();
    let writer = Writer::start(through.clone(), "w");

    let (id, joined) = cluster.join("d", &through).await;
    assert_eq!(joined.store.status().role, Role::Learner);
    through.promote(id).await?;
    votes(&through, id).await;
    through.transfer(id).await?;
    until("the new member leads", async || {
        joined.store.leadership().borrow().is_local.then_some(())
    })
    .await;

    let old = replicas.remove(0);
    let old_id = old.store.status().id;
    through.remove(old_id).await?;
    old.kill().await;
    assert!(through.remove(old_id).await.is_err(), "it is gone already");

    let dead = replicas.remove(1);
    dead.kill().await;
    let (new_id, replaced) = cluster.replace(&names[2], &through).await;
    votes(&through, new_id).await;

    let acknowledged = writer.stop().await;
    assert!(
        acknowledged.len() > 10,
        "writes went on: {}",
        acknowledged.len()
    );
    let left: [&Replica; 3] = [&replicas[0], &joined, &replaced];
    converged(&left.map(|replica| &replica.store)).await;
    for replica in left {
        let view = replica.store.view();
        let lost: Vec<_> = acknowledged
            .iter()
            .filter(|key| view.get(key.as_bytes()).is_none())
            .collect();
        assert!(lost.is_empty(), "{lost:?}");
    }
    assert_eq!(through.members().await?.len(), 3);
    Ok(())
}
