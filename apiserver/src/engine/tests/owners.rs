//! Who owns what after writes that are no apply, and over several versions and subresources.

use serde_json::{Value, json};

use super::apply::{data, owners};
use super::rig::{Rig, config_map, task};
use crate::params::Params;
use crate::user::{AGENTS, User};

#[tokio::test]
async fn every_write_is_tracked() {
    let rig = Rig::start().await;
    let made = rig
        .create_with("configmaps", config_map("c", "1"), "fieldManager=a")
        .await
        .unwrap()
        .0;
    assert_eq!(owners(&made), [r#"a Update: {"f:data":{".":{},"f:v":{}}}"#]);
    let patched = rig
        .merge("configmaps", "c", "", json!({"data": {"v": "2", "w": "1"}}))
        .await
        .unwrap();
    assert_eq!(
        owners(&patched),
        [
            r#"a Update: {"f:data":{}}"#,
            r#"unknown Update: {"f:data":{"f:v":{},"f:w":{}}}"#
        ]
    );
    let mut object = patched.clone();
    object["data"] = json!({"w": "1"});
    object["metadata"]["labels"] = json!({"l": "1"});
    let updated = rig.update("configmaps", object).await.unwrap();
    assert_eq!(
        owners(&updated),
        [
            r#"a Update: {"f:data":{}}"#,
            r#"unknown Update: {"f:data":{"f:w":{}},"f:metadata":{"f:labels":{".":{},"f:l":{}}}}"#
        ]
    );
}

#[tokio::test]
async fn the_status_is_owned_apart() {
    let rig = Rig::start().await;
    let mut object = task("t");
    object["status"] = json!({"message": "mine"});
    let made = rig
        .create_with("tasks", object, "fieldManager=a")
        .await
        .unwrap()
        .0;
    assert!(owners(&made).iter().all(|line| !line.contains("f:status")));
    let patched = rig
        .merge("tasks", "t", "status", json!({"status": {"message": "x"}}))
        .await
        .unwrap();
    let line = r#"unknown Update status: {"f:status":{"f:message":{}}}"#.to_owned();
    assert!(owners(&patched).contains(&line), "{:?}", owners(&patched));
    assert_eq!(patched["metadata"]["generation"], 1);
}

#[tokio::test]
async fn the_cluster_s_own_programs_own_nothing() {
    let rig = Rig::start().await;
    let operation = |value: &str| {
        json!({"operations": [{
            "verb": "apply", "apiVersion": "v1", "resource": "configmaps", "namespace": "default",
            "body": config_map("c", value),
        }]})
    };
    rig.transaction_as(User::new("a1", AGENTS), operation("1"))
        .await
        .unwrap();
    let made = rig.get("configmaps", "c").await.unwrap();
    assert_eq!(made["metadata"].get("managedFields"), None);
    // Nor does an update begin to track it: only an apply does.
    let patched = rig
        .merge("configmaps", "c", "", json!({"data": {"v": "2"}}))
        .await
        .unwrap();
    assert_eq!(patched["metadata"].get("managedFields"), None);
    let config = data(&[("x", "1"), ("v", "2")]);
    rig.apply("configmaps", "", &config, "fieldManager=a")
        .await
        .unwrap();
    rig.transaction_as(User::controllers(), operation("3"))
        .await
        .unwrap();
    let taken = rig.get("configmaps", "c").await.unwrap();
    assert_eq!(
        owners(&taken),
        [
            r#"a Apply: {"f:data":{"f:x":{}}}"#,
            r#"before-first-apply Update: {"f:data":{}}"#
        ]
    );
}

#[tokio::test]
async fn managed_fields_can_be_edited_and_reset() {
    let rig = Rig::start().await;
    let made = rig
        .create_with("configmaps", config_map("c", "1"), "fieldManager=a")
        .await
        .unwrap()
        .0;
    // What kubectl does when it goes over to server-side apply.
    let mut entries = made["metadata"]["managedFields"].clone();
    entries[0]["manager"] = "kubectl".into();
    entries[0]["operation"] = "Apply".into();
    let patch = json!([
        {"op": "replace", "path": "/metadata/managedFields", "value": entries},
        {"op": "replace", "path": "/metadata/resourceVersion",
         "value": made["metadata"]["resourceVersion"]},
    ]);
    let moved = rig
        .patch("configmaps", "c", "json-patch", &patch)
        .await
        .unwrap();
    assert_eq!(
        owners(&moved),
        [r#"kubectl Apply: {"f:data":{".":{},"f:v":{}}}"#]
    );
    assert_eq!(moved["data"], made["data"]);
    // Who sends nonsense, or nothing, changes nothing.
    for nonsense in [json!([{"manager": "x"}]), json!([1]), Value::Null] {
        let mut object = moved.clone();
        object["metadata"]["managedFields"] = nonsense;
        assert_eq!(rig.update("configmaps", object).await.unwrap(), moved);
    }
    for reset in [json!([]), json!([{}])] {
        let patch = json!({"metadata": {"managedFields": reset}});
        let bare = rig.merge("configmaps", "c", "", patch).await.unwrap();
        assert_eq!(bare["metadata"].get("managedFields"), None);
    }
}

#[tokio::test]
async fn an_eleventh_update_joins_the_oldest() {
    let rig = Rig::start().await;
    rig.create_with("configmaps", config_map("c", "1"), "fieldManager=m00")
        .await
        .unwrap();
    for n in 1..=11 {
        rig.call("configmaps", Some("default"), |call| {
            call.verb = crate::call::Verb::Patch;
            call.name = Some("c".into());
            call.params = Params::parse(&format!("fieldManager=m{n:02}")).unwrap();
            call.now += jiff::SignedDuration::from_secs(n);
            call.body.bytes = json!({"data": { format!("k{n}"): "1" }}).to_string().into();
            call.body.media = crate::call::Media::MergePatch;
        })
        .await
        .unwrap();
    }
    let lines = owners(&rig.get("configmaps", "c").await.unwrap());
    assert_eq!(lines.len(), 10, "{lines:?}");
    assert_eq!(
        lines[0],
        r#"ancient-changes Update: {"f:data":{".":{},"f:k1":{},"f:k2":{},"f:v":{}}}"#
    );
}

fn definition() -> Value {
    let version = |name: &str, storage: bool, served: bool| {
        json!({
            "name": name, "served": served, "storage": storage,
            "subresources": {"scale": {"specReplicasPath": ".spec.n", "statusReplicasPath": ".status.n"}},
            "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": {
                "type": "object", "properties": {
                    "n": {"type": "integer", "default": 1},
                    "ports": {
                        "type": "array", "x-kubernetes-list-type": "map",
                        "x-kubernetes-list-map-keys": ["port", "protocol"],
                        "items": {"type": "object", "required": ["port"], "properties": {
                            "port": {"type": "integer"},
                            "protocol": {"type": "string", "default": "TCP"},
                            "name": {"type": "string"},
                        }},
                    },
                },
            }}}},
        })
    };
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "foos.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced", "names": {"plural": "foos", "kind": "Foo"},
            "versions": [version("v2", true, true), version("v1", false, true)],
        },
    })
}

fn foo(version: &str, spec: Value) -> Value {
    let api_version = format!("example.com/{version}");
    json!({"apiVersion": api_version, "kind": "Foo", "metadata": {"name": "f"}, "spec": spec})
}

#[tokio::test]
async fn lists_of_entries_are_owned_entry_by_entry() {
    let rig = Rig::start().await;
    rig.create("customresourcedefinitions", definition())
        .await
        .unwrap();
    let a = foo("v2", json!({"ports": [{"port": 80, "name": "a"}]}));
    let b = foo(
        "v2",
        json!({"ports": [{"port": 81}, {"port": 80, "protocol": "UDP"}]}),
    );
    rig.apply("foos", "", &a, "fieldManager=a").await.unwrap();
    let both = rig.apply("foos", "", &b, "fieldManager=b").await.unwrap();
    assert_eq!(
        both["spec"]["ports"],
        json!([
            {"port": 80, "protocol": "TCP", "name": "a"}, {"port": 81, "protocol": "TCP"},
            {"port": 80, "protocol": "UDP"},
        ])
    );
    let conflicting = foo("v2", json!({"ports": [{"port": 80, "name": "b"}]}));
    let failure = rig
        .apply("foos", "", &conflicting, "fieldManager=b")
        .await
        .unwrap_err();
    assert_eq!(
        failure.message(),
        "Apply failed with 1 conflict: conflict with \"a\": .spec.ports[port=80,protocol=\"TCP\"].name"
    );
    let none = foo("v2", json!({}));
    let left = rig
        .apply("foos", "", &none, "fieldManager=a")
        .await
        .unwrap();
    let ports = left["spec"]["ports"].as_array().unwrap();
    assert_eq!(ports.len(), 2, "{left}");
}

#[tokio::test]
async fn scale_owns_its_number_alone() {
    let rig = Rig::start().await;
    rig.create("customresourcedefinitions", definition())
        .await
        .unwrap();
    rig.apply("foos", "", &foo("v2", json!({"n": 2})), "fieldManager=a")
        .await
        .unwrap();
    let scale = json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "f"},
                       "spec": {"replicas": 5}});
    let failure = rig
        .apply("foos", "scale", &scale, "fieldManager=b")
        .await
        .unwrap_err();
    assert_eq!(
        failure.message(),
        "Apply failed with 1 conflict: conflict with \"a\": .spec.n"
    );
    let forced = rig
        .apply("foos", "scale", &scale, "fieldManager=b&force=true")
        .await
        .unwrap();
    assert_eq!(forced["spec"]["replicas"], 5);
    let object = rig.get("foos", "f").await.unwrap();
    assert_eq!(owners(&object), [r#"b Apply scale: {"f:spec":{"f:n":{}}}"#]);
    rig.merge("foos", "f", "scale", json!({"spec": {"replicas": 6}}))
        .await
        .unwrap();
    let object = rig.get("foos", "f").await.unwrap();
    assert_eq!(object["spec"]["n"], 6);
    assert_eq!(
        owners(&object),
        [r#"unknown Update scale: {"f:spec":{"f:n":{}}}"#]
    );
}

#[tokio::test]
async fn entries_keep_the_version_their_manager_spoke() {
    let rig = Rig::start().await;
    rig.create("customresourcedefinitions", definition())
        .await
        .unwrap();
    let made = rig
        .create("foos", foo("v2", json!({"n": 2})))
        .await
        .unwrap();
    assert_eq!(
        made["metadata"]["managedFields"][0]["apiVersion"],
        "example.com/v2"
    );
    let old = rig.call("foos", Some("default"), |call| {
        let registry = rig.engine.registry();
        call.resource = registry.lookup("example.com", "v1", "foos").unwrap();
        call.verb = crate::call::Verb::Patch;
        call.name = Some("f".into());
        call.params = Params::parse("fieldManager=b").unwrap();
        call.body.bytes = foo("v1", json!({"n": 3})).to_string().into();
        call.body.media = crate::call::Media::Apply;
    });
    assert_eq!(
        old.await.unwrap_err().message(),
        "Apply failed with 1 conflict: conflict with \"unknown\" using example.com/v2: .spec.n"
    );
    // A version that is served no more takes its entries with it.
    let mut changed = rig
        .get("customresourcedefinitions", "foos.example.com")
        .await
        .unwrap();
    changed["spec"]["versions"][0]["storage"] = false.into();
    changed["spec"]["versions"][0]["served"] = false.into();
    changed["spec"]["versions"][1]["storage"] = true.into();
    rig.update("customresourcedefinitions", changed)
        .await
        .unwrap();
    let applied = rig
        .apply("foos", "", &foo("v1", json!({"n": 3})), "fieldManager=b")
        .await
        .unwrap();
    let lines = owners(&applied);
    assert_eq!(
        lines
            .iter()
            .filter(|line| line.starts_with("b Apply"))
            .count(),
        1,
        "{lines:?}"
    );
    assert!(
        lines.iter().all(|line| !line.starts_with("unknown")),
        "{lines:?}"
    );
}
