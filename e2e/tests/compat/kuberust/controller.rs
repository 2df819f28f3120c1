//! Reflectors by list and by stream, a reconciler with a finalizer, and the events it records.

use std::sync::Arc;

use e2e::{Fault, Outcome, fault, wait};
use futures::StreamExt;
use k8s_openapi::api::core::v1::Event as CoreEvent;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::runtime::controller::Action;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::runtime::finalizer::{Event as Finalizer, finalizer};
use kube::runtime::wait::{await_condition, conditions};
use kube::runtime::{Controller, WatchStreamExt, reflector, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde_json::json;

use super::{LIMIT, Ship, ShipSpec};

const FINALIZER: &str = "kuberust.example.com/anchor";

/// What goes wrong in a reconciliation.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct Wrong(#[from] kube::Error);

/// What the reconciler holds.
struct Bridge {
    client: Client,
    recorder: Recorder,
}

/// Makes a ship, which the controller fits out through one replica while this looks through another.
pub(super) async fn lives(client: &Client, other: &Client) -> Outcome<()> {
    let controller = tokio::spawn(run(other.clone()));
    let listed = Mirror::start(client, watcher::Config::default());
    let streamed = Mirror::start(client, watcher::Config::default().streaming_lists());
    let ships: Api<Ship> = Api::default_namespaced(client.clone());
    let ship = Ship::new("beagle", ShipSpec { crew: 3 });
    let made = ships.create(&PostParams::default(), &ship).await?;
    for mirror in [&listed, &streamed] {
        mirror.shows("beagle", Some(3)).await?;
    }
    let merge = Patch::Merge(json!({"spec": {"crew": 5}}));
    ships
        .patch("beagle", &PatchParams::default(), &merge)
        .await?;
    for mirror in [&listed, &streamed] {
        mirror.shows("beagle", Some(5)).await?;
    }
    ships.delete("beagle", &DeleteParams::default()).await?;
    let uid = made.uid().unwrap_or_default();
    let gone = await_condition(ships, "beagle", conditions::is_deleted(&uid));
    wait::at_most("the ship to be gone", LIMIT, gone).await??;
    for mirror in [&listed, &streamed] {
        mirror.shows("beagle", None).await?;
    }
    told(client, &uid).await?;
    controller.abort();
    Ok(())
}

async fn run(client: Client) {
    let ships: Api<Ship> = Api::default_namespaced(client.clone());
    let recorder = Recorder::new(client.clone(), Reporter::from("admiral"));
    Controller::new(ships, watcher::Config::default())
        .run(
            reconcile,
            |_, _, _| Action::requeue(std::time::Duration::from_millis(100)),
            Arc::new(Bridge { client, recorder }),
        )
        .for_each(async |outcome| {
            if let Err(error) = outcome {
                eprintln!("the controller: {error:?}");
            }
        })
        .await;
}

async fn reconcile(
    ship: Arc<Ship>,
    bridge: Arc<Bridge>,
) -> Result<Action, kube::runtime::finalizer::Error<Wrong>> {
    let ships: Api<Ship> = Api::default_namespaced(bridge.client.clone());
    finalizer(&ships, FINALIZER, ship, async |event| match event {
        Finalizer::Apply(ship) => fit_out(&ships, &ship, &bridge).await,
        Finalizer::Cleanup(ship) => say(&bridge, &ship, "Scuttled").await,
    })
    .await
}

async fn fit_out(ships: &Api<Ship>, ship: &Ship, bridge: &Bridge) -> Result<Action, Wrong> {
    let status = Patch::Merge(json!({"status": {"aboard": ship.spec.crew}}));
    ships
        .patch_status(&ship.name_any(), &PatchParams::default(), &status)
        .await?;
    say(bridge, ship, "Fitted").await
}

/// Records an event; the second of a kind becomes a series of the first.
async fn say(bridge: &Bridge, ship: &Ship, reason: &str) -> Result<Action, Wrong> {
    let event = Event {
        type_: EventType::Normal,
        reason: reason.to_owned(),
        note: Some(format!("a crew of {}", ship.spec.crew)),
        action: "Fitting".to_owned(),
        secondary: None,
    };
    bridge
        .recorder
        .publish(&event, &ship.object_ref(&()))
        .await?;
    Ok(Action::await_change())
}

/// The controller's events are there for those who read the older API.
async fn told(client: &Client, uid: &str) -> Outcome<()> {
    let events: Api<CoreEvent> = Api::default_namespaced(client.clone());
    let about = ListParams::default().fields(&format!("involvedObject.uid={uid}"));
    wait::until("the controller's events", LIMIT, async || {
        let found = events.list(&about).await?.items;
        let has = |reason| found.iter().any(|e| e.reason.as_deref() == Some(reason));
        fault::ensure(has("Fitted") && has("Scuttled"), || format!("{found:?}"))
    })
    .await
}

/// A store that a watch keeps like the cluster.
struct Mirror {
    store: reflector::Store<Ship>,
    task: tokio::task::JoinHandle<()>,
}

impl Mirror {
    fn start(client: &Client, config: watcher::Config) -> Self {
        let ships: Api<Ship> = Api::default_namespaced(client.clone());
        let (store, writer) = reflector::store();
        let stream = watcher(ships, config).default_backoff();
        let task = reflector(writer, stream).for_each(async |_| ());
        Self {
            store,
            task: tokio::spawn(task),
        }
    }

    /// Waits until the ship has this crew, and the controller saw it so; or is not there.
    async fn shows(&self, name: &str, crew: Option<i64>) -> Outcome<()> {
        wait::at_most("the reflector", LIMIT, self.store.wait_until_ready()).await??;
        wait::until("the reflector's store", LIMIT, async || {
            let found = self.store.find(|ship| ship.name_any() == name);
            let aboard = found
                .as_ref()
                .map(|ship| ship.status.as_ref().map_or(0, |status| status.aboard));
            if aboard == crew {
                Ok(())
            } else {
                Err(Fault::new(format!("{found:?}")))
            }
        })
        .await
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        self.task.abort();
    }
}
