//! Server-side apply through kube-rs: several owners of one object, conflicts, and what nobody
//! wants any more.

use e2e::Outcome;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

use super::Ship;

const NAME: &str = "victory";

/// Two owners, each through another replica, until one gives up and one insists.
pub(super) async fn are_kept_apart(client: &Client, other: &Client) -> Outcome<()> {
    let one: Api<Ship> = Api::default_namespaced(client.clone());
    let two: Api<Ship> = Api::default_namespaced(other.clone());
    let made = apply(&one, "one", &json!({"crew": 1})).await?;
    assert_eq!((made.spec.crew, owners(&made)), (1, vec!["one"]));
    let same = apply(&one, "one", &json!({"crew": 1})).await?;
    assert_eq!(same.resource_version(), made.resource_version());

    let refused = apply(&two, "two", &json!({"crew": 2})).await.unwrap_err();
    let kube::Error::Api(status) = &refused else {
        panic!("not the server's answer: {refused}");
    };
    assert_eq!((status.code, status.reason.as_str()), (409, "Conflict"));
    let text = "Apply failed with 1 conflict: conflict with \"one\": .spec.crew";
    assert_eq!(status.message, text);
    let causes = &status.details.as_ref().unwrap().causes;
    assert_eq!(causes[0].reason, "FieldManagerConflict");
    assert_eq!(causes[0].field, ".spec.crew");

    let shared = apply(&two, "two", &json!({"crew": 1})).await?;
    assert_eq!(owners(&shared), ["one", "two"]);
    let force = PatchParams::apply("two").force();
    let taken = two
        .patch(NAME, &force, &Patch::Apply(ship(&json!({"crew": 2}))))
        .await?;
    assert_eq!((taken.spec.crew, owners(&taken)), (2, vec!["two"]));

    // Status has owners of its own, and the two do not touch one another.
    let status =
        json!({"apiVersion": "kuberust.example.com/v1", "kind": "Ship", "status": {"aboard": 2}});
    let params = PatchParams::apply("bosun");
    let seen = one
        .patch_status(NAME, &params, &Patch::Apply(status))
        .await?;
    assert_eq!(owners(&seen), ["bosun", "two"]);
    assert_eq!((seen.spec.crew, seen.status.unwrap().aboard), (2, 2));
    one.delete(NAME, &DeleteParams::default()).await?;
    Ok(())
}

async fn apply(api: &Api<Ship>, owner: &str, spec: &Value) -> kube::Result<Ship> {
    let params = PatchParams::apply(owner);
    api.patch(NAME, &params, &Patch::Apply(ship(spec))).await
}

fn ship(spec: &Value) -> Value {
    json!({"apiVersion": "kuberust.example.com/v1", "kind": "Ship", "metadata": {"name": NAME}, "spec": spec})
}

/// Who owns anything of it, in order.
fn owners(ship: &Ship) -> Vec<&str> {
    let entries = ship.managed_fields().iter();
    let mut names: Vec<_> = entries.filter_map(|e| e.manager.as_deref()).collect();
    names.sort_unstable();
    names
}
