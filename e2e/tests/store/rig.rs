//! The harness itself: nodes form a cluster, answer their clients, and come back after everything
//! the harness can do to them.

use bytes::Bytes;
use e2e::machine::alone;
use e2e::node::CallError;
use e2e::node::wire::Mode;
use e2e::rig::{Plan, Stores};
use e2e::{Outcome, fault};
use store::{Op, Txn, TxnOutcome};

fn put(key: &'static str, value: &'static str) -> Txn {
    Txn {
        request_id: 0,
        stamp_ms: 1,
        guards: vec![],
        ops: vec![Op::Put {
            key: Bytes::from(key),
            value: Bytes::from(value),
        }],
    }
}

async fn value(stores: &Stores, name: &str, key: &'static str) -> Outcome<Option<Bytes>> {
    let keys = vec![Bytes::from(key)];
    let read = stores.client(name)?.get(keys, Mode::Linearizable).await?;
    Ok(read.items.into_iter().next().map(|item| item.value))
}

#[test]
fn nodes_serve_and_come_back() {
    alone(async || {
        let root = tempfile::tempdir()?;
        let mut stores = Stores::start(Plan::new(3, root.path())).await?;
        let mut watch = stores.client("b")?.watch(0).await?;
        let outcome = stores.client("a")?.txn(put("k", "1")).await?;
        fault::ensure(
            matches!(outcome, TxnOutcome::Applied { revision: 1, .. }),
            || format!("{outcome:?}"),
        )?;
        let seen = watch.next().await?;
        assert_eq!((seen.len(), seen[0].revision), (1, 1));

        let leader = stores.leader().await?;
        stores.kill(&leader).await?;
        let error = stores
            .client(&leader)?
            .txn(put("k", "lost"))
            .await
            .unwrap_err();
        // Whether it was sent depends on whether the client has noticed yet; an answer it is not.
        let unanswered = matches!(error, CallError::NotSent(_) | CallError::Unknown(_));
        assert!(unanswered, "{error}");
        let other = stores.live()[0].clone();
        stores.client(&other)?.txn(put("k", "2")).await?;
        stores.restart(&leader)?;
        stores.serving(&leader).await?;
        assert_eq!(value(&stores, &leader, "k").await?.unwrap(), "2");

        stores.stop(&other).await?;
        stores.wipe(&other)?;
        stores.rejoin(&other).await?;
        stores.serving(&other).await?;
        assert_eq!(value(&stores, &other, "k").await?.unwrap(), "2");
        let status = stores.converged().await?;
        assert_eq!(status.revision, 2);
        stores.voting(&other).await?;

        let leader = stores.leader().await?;
        stores.pause(&leader)?;
        let other = stores
            .live()
            .into_iter()
            .find(|name| *name != leader)
            .unwrap();
        stores.client(&other)?.txn(put("k", "3")).await?;
        stores.resume(&leader)?;
        assert_eq!(value(&stores, &leader, "k").await?.unwrap(), "3");
        stores.kill_all().await
    });
}
