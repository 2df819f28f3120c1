//! Objects that are older than a default have it all the same, wherever they are read.

use serde_json::{Value, json};

use super::rig::Rig;

fn definition(properties: Value) -> Value {
    let schema = json!({"type": "object", "properties": {
        "spec": {"type": "object", "properties": properties}, "status": {"type": "object", "properties": {}}}});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "foos.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced", "names": {"plural": "foos", "kind": "Foo"},
            "versions": [{"name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                          "schema": {"openAPIV3Schema": schema}}],
        },
    })
}

fn foo(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "example.com/v1", "kind": "Foo", "metadata": {"name": name}, "spec": spec})
}

async fn define(rig: &Rig, properties: Value) {
    let definition = definition(properties);
    let made = rig
        .create("customresourcedefinitions", definition.clone())
        .await;
    if made.is_err() {
        let spec = json!({"spec": definition["spec"]});
        rig.merge("customresourcedefinitions", "foos.example.com", "", spec)
            .await
            .unwrap();
    }
}

/// Spec as it lies in the store.
fn stored(rig: &Rig, name: &str) -> Value {
    let view = rig.engine.store().view();
    let key = crate::keys::object("example.com", "foos", Some("default"), name);
    crate::object::decode(&view.get(&key).unwrap())["spec"].clone()
}

#[tokio::test]
async fn reads_fill_in_and_writes_keep() {
    let rig = Rig::start().await;
    define(&rig, json!({"a": {"type": "string"}})).await;
    for name in ["x", "y", "z"] {
        rig.create("foos", foo(name, json!({"a": name})))
            .await
            .unwrap();
    }
    define(&rig, json!({"a": {"type": "string"}, "n": {"type": "integer", "default": 3},
                        "m": {"type": "integer", "x-kubernetes-validations": [{"rule": "self == oldSelf"}], "default": 1}}))
    .await;
    assert_eq!(stored(&rig, "x"), json!({"a": "x"}));
    let full = |name: &str| json!({"a": name, "n": 3, "m": 1});
    assert_eq!(rig.get("foos", "x").await.unwrap()["spec"], full("x"));
    let all = rig
        .object("foos", |call| call.verb = crate::call::Verb::List)
        .await
        .unwrap();
    let specs: Vec<Value> = all
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["spec"].clone())
        .collect();
    assert_eq!(specs, ["x", "y", "z"].map(full));

    // A patch is of what its writer reads, and a transition rule knows the default as the old value.
    let test = json!([{"op": "test", "path": "/spec/n", "value": 3}, {"op": "replace", "path": "/spec/a", "value": "b"}]);
    let patched = rig.patch("foos", "x", "json-patch", &test).await.unwrap();
    assert_eq!(
        (&patched["spec"]["n"], &patched["metadata"]["generation"]),
        (&json!(3), &json!(2))
    );
    assert_eq!(stored(&rig, "x"), json!({"a": "b", "n": 3, "m": 1}));
    let failure = rig
        .merge("foos", "y", "", json!({"spec": {"m": 2}}))
        .await
        .unwrap_err();
    assert!(
        failure.message().contains("failed rule: self == oldSelf"),
        "{failure}"
    );

    // Writing what was read changes nothing anybody could see.
    let read = rig.get("foos", "z").await.unwrap();
    let written = rig.update("foos", read.clone()).await.unwrap();
    assert_eq!(
        (&written["spec"], &written["metadata"]["generation"]),
        (&read["spec"], &json!(1))
    );
}

#[tokio::test]
async fn the_storage_version_may_change() {
    let rig = Rig::start().await;
    define(&rig, json!({"a": {"type": "string"}})).await;
    rig.create("foos", foo("x", json!({"a": "x"})))
        .await
        .unwrap();
    let mut versions = definition(json!({"a": {"type": "string"}}))["spec"]["versions"].clone();
    versions[0]["storage"] = false.into();
    let mut newer = versions[0].clone();
    (newer["name"], newer["storage"]) = ("v2".into(), true.into());
    versions.as_array_mut().unwrap().push(newer);
    rig.merge(
        "customresourcedefinitions",
        "foos.example.com",
        "",
        json!({"spec": {"versions": versions}}),
    )
    .await
    .unwrap();
    for version in ["v1", "v2"] {
        let resource = rig
            .engine
            .registry()
            .lookup("example.com", version, "foos")
            .unwrap();
        let shown = rig.object("foos", |call| {
            call.resource = resource;
            call.verb = crate::call::Verb::Get;
            call.name = Some("x".into());
        });
        assert_eq!(
            shown.await.unwrap()["apiVersion"],
            format!("example.com/{version}")
        );
    }
}
