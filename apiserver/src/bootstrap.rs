//! What every cluster has from the start: our definitions, the namespaces clients expect, and roles.

pub mod roles;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::call::{Annotations, Body, Media, Reply, TransactionCall};
use crate::engine::Engine;
use crate::keys;
use crate::object;
use crate::params::Params;
use crate::rbac::GROUP;
use crate::read::At;
use crate::registry::builtin::DEFINITIONS;
use crate::special::namespace::KEPT;
use crate::status::Failure;
use crate::user::User;

/// Creates what is missing and brings our definitions up to date, in one transaction. Called by
/// whichever replica starts to lead; doing it again changes nothing.
///
/// # Errors
/// When the store cannot commit.
pub async fn ensure_system_objects(
    engine: &Engine,
    now: Timestamp,
    seed: u128,
) -> Result<(), Failure> {
    let namespaces = KEPT
        .iter()
        .map(|name| operation("v1", "namespaces", name, &namespace(name)));
    let definitions = manifests::kinds::definitions()
        .into_iter()
        .map(|definition| {
            let body =
                serde_json::to_value(&definition).expect("a definition is plain data and encodes");
            let name = body["metadata"]["name"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            operation("apiextensions.k8s.io/v1", DEFINITIONS, &name, &body)
        });
    // A stale view would undo what was added to a role meanwhile.
    let view = engine.view(At::Latest).await?;
    let roles = roles::objects()
        .into_iter()
        .filter_map(|(plural, name, ours)| {
            let present = view.get(&keys::object(GROUP, plural, None, &name));
            let body = roles::reconcile(ours, present.as_ref().map(object::decode).as_ref())?;
            Some(operation(&format!("{GROUP}/v1"), plural, &name, &body))
        });
    let operations = namespaces.chain([kubernetes()]).chain(definitions);
    let operations: Vec<Value> = operations.chain(roles).collect();
    let bundle = json!({
        "apiVersion": manifests::kinds::API_VERSION, "kind": "Transaction", "operations": operations,
    });
    let call = TransactionCall {
        user: User::controllers(),
        body: Body {
            bytes: bundle.to_string().into(),
            media: Media::Json,
        },
        params: Params::default(),
        now,
        seed,
        annotations: Annotations::default(),
    };
    let _objects: Reply = engine.transaction(call).await?;
    Ok(())
}

fn operation(api_version: &str, resource: &str, name: &str, body: &Value) -> Value {
    json!({"apiVersion": api_version, "resource": resource, "name": name, "verb": "apply", "body": body})
}

fn namespace(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
}

/// The Service by which programs know a cluster. Nothing answers at it; the address is the client's.
fn kubernetes() -> Value {
    let body = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": "kubernetes", "namespace": "default",
            "labels": {"component": "apiserver", "provider": "kubernetes"},
        },
        "spec": {"clusterIP": "None", "ports": [{"name": "https", "port": 443, "protocol": "TCP"}]},
    });
    let mut operation = operation("v1", "services", "kubernetes", &body);
    operation["namespace"] = "default".into();
    operation
}
