//! A controller written with kube-rs, as its own examples write them, on a kind of a user's own.

mod controller;
mod lease;
mod owners;

use std::path::Path;
use std::time::Duration;

use e2e::{Cluster, Outcome, Plan, machine, wait};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::discovery::{Discovery, Scope, verbs};
use kube::runtime::wait::{await_condition, conditions};
use kube::{Api, Client, CustomResource, CustomResourceExt, ResourceExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Longest that anything here is waited for.
const LIMIT: Duration = Duration::from_secs(40);

#[derive(CustomResource, Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "kuberust.example.com",
    version = "v1",
    kind = "Ship",
    namespaced,
    status = "ShipStatus",
    shortname = "shp"
)]
pub(crate) struct ShipSpec {
    crew: i64,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
pub(crate) struct ShipStatus {
    aboard: i64,
}

pub(crate) fn a_controller_works_unmodified(_: &Path) {
    machine::alone(async || {
        let cluster = Cluster::start(Plan::new(3, 0)).await?;
        let client = cluster.client("s1").await?;
        install(&client).await?;
        discovered(&client).await?;
        calls(&client).await?;
        owners::are_kept_apart(&client, &cluster.client("s3").await?).await?;
        controller::lives(&client, &cluster.client("s2").await?).await?;
        lease::is_held_by_one(&cluster.clients().await?).await?;
        cluster.finish();
        Ok(())
    });
}

/// The derived definition is accepted as it is, and established.
async fn install(client: &Client) -> Outcome<()> {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let made = definitions
        .create(&PostParams::default(), &Ship::crd())
        .await?;
    let name = made.name_any();
    let established = await_condition(definitions, &name, conditions::is_crd_established());
    wait::at_most("the definition", LIMIT, established).await??;
    Ok(())
}

/// Both forms of discovery know it.
async fn discovered(client: &Client) -> Outcome<()> {
    let legacy = Discovery::new(client.clone()).run().await?;
    let aggregated = Discovery::new(client.clone()).run_aggregated().await?;
    for discovery in [legacy, aggregated] {
        let group = discovery.get("kuberust.example.com").unwrap();
        let (resource, capabilities) = group.recommended_kind("Ship").unwrap();
        assert_eq!(resource.plural, "ships");
        assert_eq!(capabilities.scope, Scope::Namespaced);
        assert!(capabilities.supports_operation(verbs::WATCH));
        assert!(discovery.has_group("stoa.dev") && discovery.has_group(""));
    }
    Ok(())
}

/// The verbs of `Api`, and the shapes of their answers.
async fn calls(client: &Client) -> Outcome<()> {
    let ships: Api<Ship> = Api::default_namespaced(client.clone());
    let params = PostParams::default();
    let made = ships
        .create(&params, &Ship::new("argo", ShipSpec { crew: 1 }))
        .await?;
    assert_eq!(made.metadata.generation, Some(1));
    let conflict = ships.create(&params, &made_again()).await.unwrap_err();
    assert!(
        matches!(&conflict, kube::Error::Api(status) if status.is_already_exists()),
        "{conflict}"
    );
    let merge = Patch::Merge(json!({"spec": {"crew": 2}}));
    let patched = ships.patch("argo", &PatchParams::default(), &merge).await?;
    assert_eq!(
        (patched.spec.crew, patched.metadata.generation),
        (2, Some(2))
    );
    let mut stale = made;
    stale.spec.crew = 9;
    let conflict = ships.replace("argo", &params, &stale).await.unwrap_err();
    assert!(
        matches!(&conflict, kube::Error::Api(status) if status.is_conflict()),
        "{conflict}"
    );
    let status = Patch::Merge(json!({"status": {"aboard": 2}, "spec": {"crew": 7}}));
    ships
        .patch_status("argo", &PatchParams::default(), &status)
        .await?;
    let seen = ships.get_status("argo").await?;
    assert_eq!((seen.status.unwrap().aboard, seen.spec.crew), (2, 2));
    assert_eq!(ships.get_metadata("argo").await?.name_any(), "argo");
    assert!(ships.get_opt("nobody").await?.is_none());

    // A thing without finalizers is answered with a status; a collection with a list.
    let gone = ships.delete("argo", &DeleteParams::default()).await?;
    assert!(gone.is_right(), "{gone:?}");
    for name in ["one", "two"] {
        ships
            .create(&params, &Ship::new(name, ShipSpec { crew: 1 }))
            .await?;
    }
    let all = ListParams::default();
    let gone = ships
        .delete_collection(&DeleteParams::default(), &all)
        .await?;
    assert_eq!(gone.left().map(|list| list.items.len()), Some(2));
    assert!(ships.list(&all).await?.items.is_empty());
    Ok(())
}

fn made_again() -> Ship {
    Ship::new("argo", ShipSpec { crew: 1 })
}
