//! Unmodified kubectl against three replicas.

use std::time::Duration;

use e2e::{Cluster, Outcome, Plan, command, machine, objects};
use manifests::lifecycle::TaskState::Running;

const LIMIT: Duration = Duration::from_secs(60);

const TENANT: &str = "
apiVersion: stoa.dev/v1
kind: ResourcePool
metadata: {name: people}
spec: {weight: 1}
---
apiVersion: stoa.dev/v1
kind: Framework
metadata: {name: people}
spec: {pool: people}
";

const TASK: &str = "
apiVersion: stoa.dev/v1
kind: Task
metadata: {name: walker, labels: {app: demo}}
spec:
  framework: people
  command: [/bin/sleep, '600']
  resources: {cpus: 500m, mem: 16Mi}
";

const NOTE: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: noted}\ndata: {a: b}\n";

/// A cluster on which kubectl is tried.
struct Bench {
    cluster: Cluster,
}

impl Bench {
    async fn says(&self, args: &str) -> Outcome<String> {
        self.reads(args, "").await
    }

    async fn reads(&self, args: &str, input: &str) -> Outcome<String> {
        let args: Vec<_> = args.split(' ').collect();
        self.cluster.kubectl(&args, input).await?.ok()
    }

    async fn expect(&self, args: &str, words: &[&str]) -> Outcome<()> {
        let said = self.says(args).await?;
        for word in words {
            assert!(
                said.contains(word),
                "kubectl {args}: {word:?} is not in:\n{said}"
            );
        }
        Ok(())
    }
}

#[test]
fn kubectl_works_unmodified() {
    if !command::is_installed("kubectl") {
        return command::skipped("kubectl is not installed here");
    }
    machine::alone(async || {
        let plan = Plan::new(3, 1).resources("cpus=4;mem=4Gi");
        let bench = Bench {
            cluster: Cluster::start(plan).await?,
        };
        discovery(&bench).await?;
        apply(&bench).await?;
        read(&bench).await?;
        watch(&bench).await?;
        change(&bench).await?;
        delete(&bench).await?;
        bench.cluster.finish();
        Ok(())
    });
}

async fn discovery(bench: &Bench) -> Outcome<()> {
    let kinds = [
        "resourcepools",
        "frameworks",
        "tasks",
        "taskgroups",
        "reservations",
        "offers",
        "agents",
        "revocations",
    ];
    bench
        .expect("api-resources --api-group=stoa.dev", &kinds)
        .await?;
    bench
        .expect("api-resources", &["namespaces", "configmaps", "tk"])
        .await?;
    bench.expect("api-versions", &["stoa.dev/v1"]).await?;
    bench
        .expect(
            "explain task.spec",
            &["framework", "command", "resources", "restartPolicy"],
        )
        .await?;
    bench
        .expect(
            "explain tk.spec.retry.maxAttempts",
            &["maxAttempts", "integer"],
        )
        .await?;
    bench.expect("version", &["Server Version"]).await
}

async fn apply(bench: &Bench) -> Outcome<()> {
    let both = bench.reads("apply -f -", TENANT).await?;
    assert!(both.contains("people created"), "{both}");
    let created = bench.reads("apply -f -", TASK).await?;
    assert!(
        created.contains("task.stoa.dev/walker created"),
        "{created}"
    );
    let again = bench.reads("apply -f -", TASK).await?;
    assert!(again.contains("task.stoa.dev/walker unchanged"), "{again}");
    let raised = TASK.replace("framework: people", "framework: people\n  priority: 7");
    let changed = bench.reads("apply -f -", &raised).await?;
    assert!(
        changed.contains("task.stoa.dev/walker configured"),
        "{changed}"
    );

    let dry = bench
        .reads(
            "apply --dry-run=server -f -",
            &TASK.replace("walker", "ghost"),
        )
        .await?;
    assert!(dry.contains("ghost created (server dry run)"), "{dry}");
    let unknown = raised.replace("priority: 7", "prioritie: 7");
    let args = ["apply", "-f", "-"];
    let refused = bench.cluster.kubectl(&args, &unknown).await?.refused()?;
    assert!(refused.contains("prioritie"), "{refused}");

    // Server-side apply works, or is refused with a list of what is accepted instead.
    let args = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
    let output = bench.cluster.kubectl(&args, &raised).await?;
    if output.code != Some(0) {
        let said = output.refused()?;
        println!("NOTE: apply --server-side is refused: {said}");
        assert!(said.contains("merge-patch+json"), "{said}");
    }
    Ok(())
}

async fn read(bench: &Bench) -> Outcome<()> {
    let client = bench.cluster.client("s1").await?;
    objects::reaches(&client, "walker", Running, LIMIT).await?;
    bench
        .expect(
            "get tasks",
            &["NAME", "STATE", "walker", "Running", "people", "a1"],
        )
        .await?;
    bench
        .expect("get tk walker -o wide", &["ATTEMPT", "REASON"])
        .await?;
    bench
        .expect("get tasks -A -l app=demo", &["NAMESPACE", "walker"])
        .await?;
    let none = bench.says("get tasks -l app=other -o name").await?;
    assert_eq!(none.trim(), "");
    bench
        .expect(
            "get task walker -o yaml",
            &["apiVersion: stoa.dev/v1", "state: Running"],
        )
        .await?;
    bench
        .expect("get task/walker -o jsonpath={.spec.agent}", &["a1"])
        .await?;
    bench
        .expect(
            "get tasks --field-selector spec.agent=a1 -o name",
            &["walker"],
        )
        .await?;
    bench
        .expect(
            "get agents,pool,fw",
            &["agent.stoa.dev/a1", "Ready", "people"],
        )
        .await?;
    bench
        .expect(
            "describe task walker",
            &["walker", "Spec:", "Status:", "Events:"],
        )
        .await?;
    bench.expect("describe agent a1", &["a1", "Ready"]).await?;
    bench.expect("get events", &["AgentReady"]).await?;
    bench
        .expect(
            "wait --for=condition=Started task/walker --timeout=20s",
            &["condition met"],
        )
        .await?;
    let by_path = "wait --for=jsonpath={.status.state}=Running task/walker --timeout=20s";
    bench.expect(by_path, &["condition met"]).await?;
    let missing = bench
        .cluster
        .kubectl(&["get", "task", "nobody"], "")
        .await?
        .refused()?;
    assert!(
        missing.contains(r#"tasks.stoa.dev "nobody" not found"#),
        "{missing}"
    );
    Ok(())
}

/// `get -w` shows a change as it comes; it is ended by its own time limit.
async fn watch(bench: &Bench) -> Outcome<()> {
    let writing = async {
        bench.reads("apply -f -", NOTE).await?;
        bench.says("delete configmap noted").await
    };
    let args = [
        "get",
        "configmaps",
        "-w",
        "--request-timeout=5s",
        "--output-watch-events",
    ];
    let (seen, written) = tokio::join!(bench.cluster.kubectl(&args, ""), writing);
    written?;
    let seen = seen?.stdout;
    assert!(seen.contains("ADDED") && seen.contains("noted"), "{seen}");
    assert!(seen.contains("DELETED"), "{seen}");
    Ok(())
}

async fn change(bench: &Bench) -> Outcome<()> {
    let args = [
        "patch",
        "task",
        "walker",
        "--type=merge",
        "-p",
        r#"{"spec":{"priority":9}}"#,
    ];
    bench.cluster.kubectl(&args, "").await?.ok()?;
    bench
        .expect("get task walker -o jsonpath={.spec.priority}", &["9"])
        .await?;
    let json = r#"[{"op":"replace","path":"/spec/priority","value":11}]"#;
    let args = ["patch", "task", "walker", "--type=json", "-p", json];
    bench.cluster.kubectl(&args, "").await?.ok()?;
    bench
        .expect("get task walker -o jsonpath={.spec.priority}", &["11"])
        .await?;
    let args = [
        "patch",
        "task",
        "walker",
        "--type=merge",
        "-p",
        r#"{"spec":{"framework":"other"}}"#,
    ];
    let refused = bench.cluster.kubectl(&args, "").await?.refused()?;
    assert!(refused.contains("immutable"), "{refused}");
    bench.says("label task walker colour=blue").await?;
    bench.says("annotate task walker note=yes").await?;
    bench
        .expect("get tasks -l colour=blue -o name", &["walker"])
        .await
}

async fn delete(bench: &Bench) -> Outcome<()> {
    bench
        .expect("delete task walker --timeout=60s", &["deleted"])
        .await?;
    bench
        .cluster
        .kubectl(&["get", "task", "walker"], "")
        .await?
        .refused()?;
    bench
        .reads(
            "apply -f -",
            "apiVersion: v1\nkind: Namespace\nmetadata: {name: passing}\n",
        )
        .await?;
    let task = TASK.replace("name: walker", "name: waits, namespace: passing");
    bench.reads("apply -f -", &task).await?;
    bench
        .expect("delete namespace passing --timeout=60s", &["deleted"])
        .await?;
    let gone = bench.says("get tasks -A -o name").await?;
    assert!(!gone.contains("waits"), "{gone}");
    Ok(())
}
