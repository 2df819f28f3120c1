//! Frameworks that schedule themselves, over the wire and in another language.

use std::time::Duration;

use e2e::{Cluster, Fault, Outcome, Plan, command, connect, fault, machine, objects, wait};
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};
use manifests::kinds::{Offer, OfferPhase};
use manifests::lifecycle::TaskState::{Finished, Running};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn a_framework_in_python_runs_two_tasks() {
    machine::alone(async || {
        let root = machine::repository();
        let script = root.join("e2e/clients/venv.sh").display().to_string();
        let made = command::run("bash".as_ref(), &[&script], &[], &root, "")
            .await?
            .ok();
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or(root.join("target"), Into::into);
        let python = root.join(target).join("e2e-venv/bin/python");
        if let Err(fault) = made {
            command::skipped(&format!("a framework in Python: there is no venv: {fault}"));
            return Ok(());
        }
        let cluster = Cluster::start(Plan::new(3, 1).resources("cpus=2;mem=4Gi")).await?;
        let framework = root.join("e2e/clients/framework.py").display().to_string();
        let said = cluster.tool(&python, &[&framework], "").await?.ok()?;
        println!("{said}");
        let client = cluster.client("s1").await?;
        let tasks = objects::list_tasks(&client).await?;
        assert_eq!(objects::count(&tasks, "python", Finished), 2);
        cluster.finish();
        Ok(())
    });
}

#[test]
fn an_offer_accepted_twice_is_won_once() {
    machine::alone(async || {
        let cluster = Cluster::start(Plan::new(3, 1).resources("cpus=2;mem=4Gi")).await?;
        let clients = cluster.clients().await?;
        objects::create_pool(&clients[0], "racers", 1.0).await?;
        objects::create(
            &clients[0],
            &objects::external_framework("racers", "racers"),
        )
        .await?;
        let offer = open_offer(&clients[0]).await?;

        // Through different replicas at once, each with a task of its own that takes everything.
        let (left, right) = tokio::join!(
            accept(&clients[1], &offer, "left", "2"),
            accept(&clients[2], &offer, "right", "2"),
        );
        let mut codes = [left?.0, right?.0];
        codes.sort_unstable();
        // The loser meets an accepted offer, or one that is settled and gone already.
        assert!(matches!(codes, [200, 404 | 409]), "{codes:?}");
        let tasks = objects::list_tasks(&clients[0]).await?;
        assert_eq!(tasks.len(), 1, "{tasks:?}");
        objects::reaches(&clients[0], &tasks[0].name_any(), Running, LIMIT).await?;

        // More than is offered, and an offer that never was, are refused with nothing changed.
        let (code, answer) = accept(&clients[1], "offer-that-never-was", "ghost", "1").await?;
        assert_eq!(code, 404, "{answer}");
        cluster.finish();
        Ok(())
    });
}

#[test]
fn more_than_is_offered_is_refused() {
    machine::alone(async || {
        let cluster = Cluster::start(Plan::new(1, 1).resources("cpus=2;mem=4Gi")).await?;
        let client = cluster.client("s1").await?;
        objects::create_pool(&client, "racers", 1.0).await?;
        objects::create(&client, &objects::external_framework("racers", "racers")).await?;
        let offer = open_offer(&client).await?;
        let (code, answer) = accept(&client, &offer, "greedy", "3").await?;
        assert!((400..500).contains(&code), "{code} {answer}");
        assert!(
            answer["message"]
                .as_str()
                .unwrap_or_default()
                .contains("cpus"),
            "{answer}"
        );
        assert!(objects::list_tasks(&client).await?.is_empty());
        let (code, answer) = accept(&client, &offer, "fits", "2").await?;
        assert_eq!(code, 200, "{answer}");
        objects::reaches(&client, "fits", Running, LIMIT).await?;
        cluster.finish();
        Ok(())
    });
}

async fn open_offer(client: &Client) -> Outcome<String> {
    let offers: Api<Offer> = Api::namespaced(client.clone(), objects::NAMESPACE);
    wait::until("an open offer", LIMIT, async || {
        let list = offers.list(&ListParams::default()).await?.items;
        let phase = |o: &Offer| o.status.clone().unwrap_or_default().phase;
        let offer = list.iter().find(|o| phase(o) == OfferPhase::Open);
        let offer = offer.ok_or_else(|| Fault::new(format!("{} offers", list.len())))?;
        fault::ensure(!offer.spec.resources.is_empty(), || {
            "an empty offer".to_owned()
        })?;
        Ok(offer.name_any())
    })
    .await
}

async fn accept(client: &Client, offer: &str, task: &str, cpus: &str) -> Outcome<(u16, Value)> {
    let path = format!("/apis/stoa.dev/v1/namespaces/default/offers/{offer}/accept");
    let resources = json!({"cpus": cpus, "mem": "64Mi"});
    let spec = json!({"command": ["/bin/sleep", "600"], "resources": resources});
    let body = json!({"tasks": [{"metadata": {"name": task}, "spec": spec}]}).to_string();
    let answer = connect::write(client, "POST", &path, "application/json", body).await?;
    Ok((answer.status.as_u16(), answer.json()))
}
