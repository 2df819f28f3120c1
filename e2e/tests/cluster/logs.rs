//! What a task writes is read through any replica, while it is being written.

use std::time::Duration;

use e2e::{Cluster, Plan, command, fault, machine, objects, wait};
use manifests::lifecycle::TaskState::{Finished, Running};

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn logs_are_followed_through_any_replica() {
    machine::alone(async || {
        let cluster = Cluster::start(Plan::new(3, 1).resources("cpus=4;mem=4Gi")).await?;
        let client = cluster.client("s1").await?;
        objects::create_tenant(&client, "writers", 1.0).await?;
        let gate = cluster.root().join("gate");
        let script = format!(
            "echo first; echo aside >&2; until [ -e {} ]; do sleep 0.1; done; echo last",
            gate.display()
        );
        objects::create(&client, &objects::task("writer", "writers", &script, "1")).await?;
        objects::reaches(&client, "writer", Running, LIMIT).await?;

        // Followed through a replica that is not the leader.
        let leader = cluster.leader().await?;
        let names = cluster.server_names();
        let follower = names.iter().find(|name| **name != leader).unwrap();
        let env = [("KUBECONFIG", cluster.kubeconfig(follower))];
        let stoa = machine::stoa_binary()?;
        let follow = command::run(&stoa, &["logs", "-f", "writer"], &env, cluster.root(), "");
        let gatekeeper = async {
            let api = cluster.client(follower).await?;
            let path = "/apis/stoa.dev/v1/namespaces/default/tasks/writer/log";
            wait::until("the first lines", LIMIT, async || {
                let text = e2e::connect::get_text(&api, path).await?;
                let both = text.contains("first") && text.contains("aside");
                fault::ensure(both && !text.contains("last"), || text)
            })
            .await?;
            e2e::process::touch(&gate)
        };
        let (followed, opened) = tokio::join!(follow, gatekeeper);
        opened?;
        let text = followed?.ok()?;
        for word in ["first", "aside", "last"] {
            assert!(text.contains(word), "{word:?} is not in {text:?}");
        }
        objects::reaches(&client, "writer", Finished, LIMIT).await?;

        let tail = cluster
            .stoa(&["logs", "writer", "--tail", "1", "--stream", "stdout"])
            .await?
            .ok()?;
        assert_eq!(tail.trim(), "last");
        let missing = cluster.stoa(&["logs", "nobody"]).await?.refused()?;
        assert!(missing.contains("nobody"), "{missing}");
        cluster.finish();
        Ok(())
    });
}
