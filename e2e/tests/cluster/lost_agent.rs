//! An agent that is not heard from: its tasks are Unreachable, and are what they are when it returns.

use std::time::Duration;

use e2e::{Cluster, Plan, fault, machine, objects, wait};
use kube::Api;
use manifests::kinds::{Agent, AgentPhase};
use manifests::lifecycle::TaskState::{Finished, Running, Unreachable};

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn a_lost_agent_returns_with_its_tasks() {
    machine::alone(async || {
        let plan = Plan::new(1, 1)
            .resources("cpus=4;mem=4Gi")
            .server_flags(&["--agent-timeout", "3s"])
            .agent_flags(&["--heartbeat", "500ms"]);
        let mut cluster = Cluster::start(plan).await?;
        let client = cluster.client("s1").await?;
        objects::create_tenant(&client, "tenants", 1.0).await?;
        let gate = cluster.root().join("gate");
        let patient = format!("until [ -e {} ]; do sleep 0.1; done", gate.display());
        objects::create(&client, &objects::task("ends", "tenants", &patient, "1")).await?;
        objects::create(
            &client,
            &objects::task("stays", "tenants", "sleep 600", "1"),
        )
        .await?;
        let before = objects::reaches(&client, "ends", Running, LIMIT).await?;
        objects::reaches(&client, "stays", Running, LIMIT).await?;

        cluster.kill("a1").await?;
        let agents: Api<Agent> = Api::all(client.clone());
        wait::until("the agent to be Unreachable", LIMIT, async || {
            let phase = agents.get("a1").await?.status.unwrap_or_default().phase;
            fault::ensure(phase == AgentPhase::Unreachable, || {
                format!("it is {phase:?}")
            })
        })
        .await?;
        for name in ["ends", "stays"] {
            let task = objects::reaches(&client, name, Unreachable, LIMIT).await?;
            let status = task.status.unwrap_or_default();
            assert!(
                status.reason.is_some() && status.message.is_some(),
                "{status:?}"
            );
        }

        // One of the two ends while nobody watches it. Both are told as they are.
        e2e::process::touch(&gate)?;
        cluster.restart("a1")?;
        cluster.agents_ready().await?;
        let after = objects::reaches(&client, "ends", Finished, LIMIT).await?;
        objects::reaches(&client, "stays", Running, LIMIT).await?;
        let started =
            |task: &manifests::kinds::Task| task.status.as_ref().and_then(|s| s.started_at.clone());
        assert_eq!(started(&before), started(&after), "it was started again");
        cluster.finish();
        Ok(())
    });
}
