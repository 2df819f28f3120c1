//! Bad input: each answered with a clear error, changing nothing and harming nobody.

mod garbage;
mod identity;
mod typed;
mod wire;

use std::time::Duration;

use e2e::{Cluster, Outcome, Plan, connect, fault, machine, members, objects, wait};
use kube::Client;

/// Every collection that could have changed.
const COLLECTIONS: [&str; 9] = [
    "/api/v1/namespaces",
    "/api/v1/events",
    "/api/v1/configmaps",
    "/apis/stoa.dev/v1/resourcepools",
    "/apis/stoa.dev/v1/frameworks",
    "/apis/stoa.dev/v1/tasks",
    "/apis/stoa.dev/v1/taskgroups",
    "/apis/stoa.dev/v1/reservations",
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
];

/// The collections as bytes, and the revision.
#[derive(Debug, PartialEq)]
struct Contents {
    revision: Option<u64>,
    lists: Vec<String>,
}

async fn contents(client: &Client) -> Outcome<Contents> {
    let members = members::list(client).await?;
    let mut lists = Vec::new();
    for path in COLLECTIONS {
        lists.push(connect::get_text(client, path).await?);
    }
    Ok(Contents {
        revision: members[0].revision,
        lists,
    })
}

/// Waits until controllers have written all they have to say about what is there.
async fn at_rest(client: &Client) -> Outcome<Contents> {
    let mut before = contents(client).await?;
    let mut same = 0;
    wait::until(
        "the cluster to be at rest",
        Duration::from_secs(60),
        async || {
            let now = contents(client).await?;
            same = if now == before { same + 1 } else { 0 };
            before = now;
            // A hundred looks in a row last longer than the slowest periodic status write (one second).
            fault::ensure(same > 100, || format!("the same for {same} looks"))
        },
    )
    .await?;
    Ok(before)
}

#[test]
fn bad_input_is_refused_and_changes_nothing() {
    machine::alone(async || {
        let cluster = Cluster::start(Plan::new(1, 0)).await?;
        let client = cluster.client("s1").await?;
        objects::create_tenant(&client, "honest", 1.0).await?;
        let task = objects::task("waits", "honest", "true", "1");
        objects::create(&client, &task).await?;
        let before = at_rest(&client).await?;

        wire::refused(&client).await?;
        typed::refused(&cluster).await?;
        identity::refused(&cluster).await?;
        garbage::survived(&cluster).await?;

        assert_eq!(before, contents(&client).await?);
        // Nobody was harmed: an honest write still goes through.
        objects::create(&client, &objects::task("after", "honest", "true", "1")).await?;
        cluster.finish();
        Ok(())
    });
}
