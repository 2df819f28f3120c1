//! A task that fails is run again by its policy, and the runs can be told apart.

use std::time::Duration;

use e2e::{Cluster, Plan, machine, objects};
use manifests::duration::Span;
use manifests::kinds::{RestartPolicy, Retry};
use manifests::lifecycle::TaskState::{Failed, Finished};

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn a_failing_task_is_retried_within_its_bounds() {
    machine::alone(async || {
        let cluster = Cluster::start(Plan::new(1, 1).resources("cpus=4;mem=4Gi")).await?;
        let client = cluster.client("s1").await?;
        objects::create_tenant(&client, "stubborn", 1.0).await?;
        let file = cluster.root().join("ran.txt");
        let script = |wanted: u32| {
            format!(
                "echo $STOA_TASK $STOA_ATTEMPT >> {}; test $STOA_ATTEMPT = {wanted}",
                file.display()
            )
        };
        let retry = Retry {
            max_attempts: Some(3),
            backoff: Some(Span::from_ms(100)),
            max_backoff: Some(Span::from_ms(200)),
        };
        for (name, wanted) in [("third-time", 2), ("never", 9)] {
            let mut task = objects::task(name, "stubborn", &script(wanted), "0.1");
            task.spec.restart_policy = RestartPolicy::OnFailure;
            task.spec.retry = Some(retry.clone());
            objects::create(&client, &task).await?;
        }
        let mut once = objects::task("once", "stubborn", &script(9), "0.1");
        once.spec.restart_policy = RestartPolicy::Never;
        objects::create(&client, &once).await?;

        let third = objects::reaches(&client, "third-time", Finished, LIMIT).await?;
        assert_eq!(third.status.unwrap_or_default().attempt, 2);
        // `stoa wait` sees the end of the last run, not of one that is retried.
        let lines = || std::fs::read_to_string(&file).unwrap_or_default();
        let all_ran = e2e::wait::until("three runs of `never`", LIMIT, async || {
            let runs = lines()
                .lines()
                .filter(|line| line.starts_with("never "))
                .count();
            e2e::fault::ensure(runs >= 3, lines)
        });
        all_ran.await?;
        let never = objects::reaches(&client, "never", Failed, LIMIT).await?;
        let status = never.status.unwrap_or_default();
        assert_eq!((status.attempt, status.exit_code), (2, Some(1)));
        objects::reaches(&client, "once", Failed, LIMIT).await?;

        let mut ran: Vec<_> = lines().lines().map(str::to_owned).collect();
        ran.sort();
        let expected = [
            "never 0",
            "never 1",
            "never 2",
            "once 0",
            "third-time 0",
            "third-time 1",
            "third-time 2",
        ];
        assert_eq!(ran, expected);
        cluster.finish();
        Ok(())
    });
}

#[test]
fn the_retry_example_succeeds_in_the_end() {
    machine::alone(async || {
        let cluster = Cluster::start(Plan::new(1, 1).resources("cpus=4;mem=4Gi")).await?;
        let example = machine::repository().join("manifests/examples/retry.yaml");
        let example = example.display().to_string();
        cluster
            .stoa(&["apply", "-f", &example, "--wait", "--timeout", "60s"])
            .await?
            .ok()?;
        let tasks = objects::list_tasks(&cluster.client("s1").await?).await?;
        assert!(!tasks.is_empty());
        for task in &tasks {
            assert_eq!(objects::state(task), Finished, "{:?}", task.status);
        }
        cluster.finish();
        Ok(())
    });
}
