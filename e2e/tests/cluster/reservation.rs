//! A reservation keeps its resources free for its pool while others wait, and `stoa why` says so.

use std::time::Duration;

use e2e::{Cluster, Fault, Plan, fault, machine, objects, wait};
use kube::{Api, ResourceExt};
use manifests::explain::Cause;
use manifests::kinds::Reservation;
use manifests::lifecycle::TaskState::Running;

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn a_reservation_keeps_its_resources_for_its_pool() {
    machine::alone(async || {
        let mut cluster = Cluster::start(Plan::new(1, 0).resources("cpus=4;mem=8Gi")).await?;
        cluster.add_agent("a1", &["--attribute", "rack=r1"])?;
        cluster.add_agent("a2", &["--attribute", "rack=r2"])?;
        cluster.agents_ready().await?;
        let client = cluster.client("s1").await?;
        objects::create_tenant(&client, "kept", 1.0).await?;
        objects::create_tenant(&client, "others", 1.0).await?;

        let mut wanted = objects::reservation("held", "kept", 1, "cpus=3;mem=2Gi");
        wanted
            .spec
            .agent_selector
            .match_attributes
            .insert("rack".into(), "r1".into());
        objects::create(&client, &wanted).await?;
        let reservations: Api<Reservation> = Api::namespaced(client.clone(), objects::NAMESPACE);
        let bound = wait::until("the reservation to be bound", LIMIT, async || {
            let status = reservations.get("held").await?.status.unwrap_or_default();
            fault::ensure(status.phase.as_deref() == Some("Bound"), || {
                format!("{status:?}")
            })?;
            Ok(status.agents)
        });
        assert_eq!(bound.await?, ["a1"]);

        // Eight cpus in all, three held: five of the eight run, the others wait and know why.
        for number in 0..8 {
            let task = objects::task(&format!("other-{number}"), "others", "sleep 600", "1");
            objects::create(&client, &task).await?;
        }
        let waiting = wait::until(
            "three tasks to wait for the reservation",
            LIMIT,
            async || {
                let tasks = objects::list_tasks(&client).await?;
                let running = objects::count(&tasks, "others", Running);
                let blocked: Vec<_> = tasks.iter().filter(|t| names_the_reservation(t)).collect();
                fault::ensure(running == 5 && blocked.len() == 3, || {
                    let states: Vec<_> = tasks.iter().map(|t| &t.status).collect();
                    format!("{running} run, {} are blocked: {states:?}", blocked.len())
                })?;
                blocked
                    .first()
                    .map(|t| t.name_any())
                    .ok_or_else(|| Fault::new("none waits"))
            },
        );
        let waiting = waiting.await?;
        let why = cluster
            .stoa(&["why", &format!("task/{waiting}")])
            .await?
            .ok()?;
        assert!(why.contains("held") && why.contains("kept"), "{why}");

        // The pool it is held for finds its place at once, on the reserved resources.
        for number in 0..3 {
            let task = objects::task(&format!("kept-{number}"), "kept", "sleep 600", "1");
            objects::create(&client, &task).await?;
        }
        for number in 0..3 {
            let name = format!("kept-{number}");
            let task = objects::reaches(&client, &name, Running, LIMIT).await?;
            assert_eq!(task.spec.agent.as_deref(), Some("a1"));
            let from = task.spec.reservation.unwrap_or_default();
            assert!(from.ends_with("held"), "reservation {from:?}");
        }
        let tasks = objects::list_tasks(&client).await?;
        assert_eq!(objects::count(&tasks, "others", Running), 5);
        cluster.finish();
        Ok(())
    });
}

fn names_the_reservation(task: &manifests::kinds::Task) -> bool {
    let waiting = task
        .status
        .as_ref()
        .and_then(|status| status.waiting.as_ref());
    waiting.is_some_and(|explanation| {
        let reserved = explanation
            .refusals
            .iter()
            .filter(|r| r.cause == Cause::Reserved);
        reserved
            .into_iter()
            .any(|refused| refused.detail.contains("held"))
    })
}
