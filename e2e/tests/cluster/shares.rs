//! Two pools of weights 1 and 3 with more work than fits: shares settle at 1:3.

use std::time::Duration;

use e2e::{Cluster, Outcome, Plan, fault, machine, objects, wait};
use kube::api::DeleteParams;
use kube::{Client, ResourceExt};
use manifests::lifecycle::TaskState::Running;

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn shares_settle_at_one_to_three() {
    machine::alone(async || {
        // Sixteen slots: four belong to the one, twelve to the other.
        let mut cluster = Cluster::start(Plan::new(1, 0).resources("cpus=8;mem=8Gi")).await?;
        let client = cluster.client("s1").await?;
        for (tenant, weight) in [("modest", 1.0), ("grand", 3.0)] {
            objects::create_tenant(&client, tenant, weight).await?;
            for number in 0..24 {
                let name = format!("{tenant}-{number:02}");
                objects::create(&client, &objects::task(&name, tenant, "sleep 600", "1")).await?;
            }
        }
        for agent in ["a1", "a2"] {
            cluster.add_agent(agent, &[])?;
        }
        cluster.agents_ready().await?;
        settled(&client).await?;

        // Holes are torn in the larger share alone, and are filled so that the shares hold again.
        let tasks = objects::list_tasks(&client).await?;
        let grand = tasks.iter().filter(|t| t.spec.framework == "grand");
        for task in grand.filter(|t| objects::state(t) == Running).take(5) {
            objects::tasks(&client)
                .delete(&task.name_any(), &DeleteParams::default())
                .await?;
        }
        settled(&client).await?;
        cluster.finish();
        Ok(())
    });
}

async fn settled(client: &Client) -> Outcome<()> {
    wait::until("shares of 4 and 12", LIMIT, async || {
        let tasks = objects::list_tasks(client).await?;
        let doomed = tasks
            .iter()
            .any(|t| t.metadata.deletion_timestamp.is_some());
        let modest = objects::count(&tasks, "modest", Running);
        let grand = objects::count(&tasks, "grand", Running);
        fault::ensure(
            !doomed && modest + grand == 16 && (3..=5).contains(&modest),
            || format!("{modest} and {grand} run, deletions in progress: {doomed}"),
        )
    })
    .await
}
