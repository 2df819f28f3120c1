//! Server-side apply, end to end: creating, co-owning, conflicts, force and removal.

use serde_json::{Value, json};

use super::rig::{Rig, config_map, task};
use crate::call::{Body, Call, Media, Verb};
use crate::params::Params;
use crate::status::Failure;

pub(super) fn data(pairs: &[(&str, &str)]) -> Value {
    let data: serde_json::Map<String, Value> = pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).into()))
        .collect();
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": data})
}

impl Rig {
    /// PATCH with apply; `query` names the manager at least.
    pub(super) async fn apply(
        &self,
        plural: &str,
        subresource: &str,
        config: &Value,
        query: &str,
    ) -> Result<Value, Failure> {
        let adjust = |call: &mut Call| {
            call.verb = Verb::Patch;
            call.name = config["metadata"]["name"].as_str().map(String::from);
            call.subresource = Some(subresource.to_owned()).filter(|sub| !sub.is_empty());
            call.params = Params::parse(query).unwrap();
            call.body = Body {
                bytes: config.to_string().into(),
                media: Media::Apply,
            };
        };
        self.object(plural, adjust).await
    }

    async fn applied(&self, manager: &str, pairs: &[(&str, &str)]) -> Result<Value, Failure> {
        let query = format!("fieldManager={manager}");
        self.apply("configmaps", "", &data(pairs), &query).await
    }
}

/// `manager operation subresource: fields`, as text, of every entry.
pub(super) fn owners(object: &Value) -> Vec<String> {
    let entries = object["metadata"]["managedFields"].as_array();
    let word = |entry: &Value, field: &str| entry[field].as_str().unwrap_or_default().to_owned();
    let line = |entry: &Value| {
        let who = [
            word(entry, "manager"),
            word(entry, "operation"),
            word(entry, "subresource"),
        ];
        format!("{}: {}", who.join(" ").trim_end(), entry["fieldsV1"])
    };
    entries.into_iter().flatten().map(line).collect()
}

#[tokio::test]
async fn an_absent_object_is_made() {
    let rig = Rig::start().await;
    let made = rig.applied("a", &[("x", "1")]).await.unwrap();
    assert_eq!(made["data"], json!({"x": "1"}));
    let entry = json!([{
        "manager": "a", "operation": "Apply", "apiVersion": "v1", "time": "2026-01-01T00:00:10Z",
        "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {"f:x": {}}},
    }]);
    assert_eq!(made["metadata"]["managedFields"], entry);
    let failure = rig
        .apply("tasks", "status", &task("t"), "fieldManager=a")
        .await;
    assert_eq!(failure.unwrap_err().code(), 404, "not its status");
    let mut with_uid = task("t");
    with_uid["metadata"]["uid"] = "u".into();
    let failure = rig
        .apply("tasks", "", &with_uid, "fieldManager=a")
        .await
        .unwrap_err();
    assert_eq!(
        (failure.code(), failure.message()),
        (
            409,
            "Operation cannot be fulfilled on tasks.stoa.dev \"t\": uid mismatch: the provided object \
             specified uid u, and no existing object was found"
        )
    );
}

#[tokio::test]
async fn what_two_apply_belongs_to_both_and_what_one_leaves_out_goes() {
    let rig = Rig::start().await;
    rig.applied("a", &[("x", "1"), ("y", "1")]).await.unwrap();
    let both = rig.applied("b", &[("x", "1"), ("z", "1")]).await.unwrap();
    assert_eq!(
        owners(&both),
        [
            r#"a Apply: {"f:data":{"f:x":{},"f:y":{}}}"#,
            r#"b Apply: {"f:data":{"f:x":{},"f:z":{}}}"#
        ]
    );
    let left = rig.applied("a", &[]).await.unwrap();
    assert_eq!(left["data"], json!({"x": "1", "z": "1"}), "y was a's alone");
    let gone = rig.applied("b", &[("z", "1")]).await.unwrap();
    assert_eq!(gone["data"], json!({"z": "1"}));
    assert_eq!(
        owners(&gone),
        [
            r#"a Apply: {"f:data":{}}"#,
            r#"b Apply: {"f:data":{"f:z":{}}}"#
        ],
        "an empty map is something that was said"
    );
}

#[tokio::test]
async fn conflicts_and_force() {
    let rig = Rig::start().await;
    rig.applied("a", &[("x", "1"), ("y", "1")]).await.unwrap();
    let failure = rig.applied("b", &[("x", "2")]).await.unwrap_err();
    let status = failure.to_status();
    assert_eq!(
        status,
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "Conflict",
            "code": 409,
            "message": "Apply failed with 1 conflict: conflict with \"a\": .data.x",
            "details": {"causes": [{
                "reason": "FieldManagerConflict", "message": "conflict with \"a\"", "field": ".data.x",
            }]},
        })
    );
    let failure = rig
        .applied("b", &[("x", "2"), ("y", "2")])
        .await
        .unwrap_err();
    assert_eq!(
        failure.message(),
        "Apply failed with 2 conflicts: conflicts with \"a\":\n- .data.x\n- .data.y"
    );
    let config = data(&[("x", "2")]);
    let forced = rig.apply("configmaps", "", &config, "fieldManager=b&force=true");
    let forced = forced.await.unwrap();
    assert_eq!(forced["data"], json!({"x": "2", "y": "1"}));
    assert_eq!(
        owners(&forced),
        [
            r#"a Apply: {"f:data":{"f:y":{}}}"#,
            r#"b Apply: {"f:data":{"f:x":{}}}"#
        ]
    );
}

#[tokio::test]
async fn conflicts_with_updates_name_version_and_subresource() {
    let rig = Rig::start().await;
    rig.create_with("tasks", task("t"), "fieldManager=maker")
        .await
        .unwrap();
    let mut config = task("t");
    config["spec"]["command"] = json!(["false"]);
    let failure = rig
        .apply("tasks", "", &config, "fieldManager=b")
        .await
        .unwrap_err();
    assert_eq!(
        failure.message(),
        "Apply failed with 1 conflict: conflict with \"maker\" using stoa.dev/v1: .spec.command"
    );
    rig.merge("tasks", "t", "status", json!({"status": {"message": "x"}}))
        .await
        .unwrap();
    let status = json!({"apiVersion": "stoa.dev/v1", "kind": "Task", "metadata": {"name": "t"},
                        "status": {"message": "y"}});
    let failure = rig
        .apply("tasks", "status", &status, "fieldManager=b")
        .await
        .unwrap_err();
    assert_eq!(
        failure.message(),
        "Apply failed with 1 conflict: conflict with \"unknown\" with subresource \"status\" using \
         stoa.dev/v1: .status.message"
    );
    let forced = rig
        .apply("tasks", "status", &status, "fieldManager=b&force=1")
        .await
        .unwrap();
    assert_eq!(forced["status"]["message"], "y");
    let own = r#"b Apply status: {"f:status":{"f:message":{}}}"#.to_owned();
    assert!(owners(&forced).contains(&own), "{:?}", owners(&forced));
}

#[tokio::test]
async fn what_changes_nothing_writes_nothing() {
    let rig = Rig::start().await;
    let made = rig.applied("a", &[("x", "1")]).await.unwrap();
    assert_eq!(rig.applied("a", &[("x", "1")]).await.unwrap(), made);
    let shared = rig.applied("b", &[("x", "1")]).await.unwrap();
    assert_ne!(
        shared["metadata"]["resourceVersion"],
        made["metadata"]["resourceVersion"]
    );
    assert_eq!(rig.applied("b", &[("x", "1")]).await.unwrap(), shared);
    let update = rig.update("configmaps", shared.clone()).await.unwrap();
    assert_eq!(update, shared);
    let config = data(&[("x", "9")]);
    let query = "fieldManager=b&force=true&dryRun=All";
    let dry = rig.apply("configmaps", "", &config, query);
    assert_eq!(dry.await.unwrap()["data"]["x"], "9");
    assert_eq!(rig.get("configmaps", "c").await.unwrap(), shared);
}

#[tokio::test]
async fn what_was_there_before_the_first_apply() {
    let rig = Rig::start().await;
    let bundle = json!({"operations": [{
        "verb": "create", "apiVersion": "v1", "resource": "configmaps", "namespace": "default",
        "body": config_map("c", "1"),
    }]});
    rig.transaction_as(crate::user::User::controllers(), bundle)
        .await
        .unwrap();
    assert_eq!(owners(&rig.get("configmaps", "c").await.unwrap()), [""; 0]);
    let failure = rig.applied("a", &[("v", "2")]).await.unwrap_err();
    assert_eq!(
        failure.message(),
        "Apply failed with 1 conflict: conflict with \"before-first-apply\" using v1: .data.v"
    );
    let applied = rig.applied("a", &[("w", "2")]).await.unwrap();
    assert_eq!(
        owners(&applied),
        [
            r#"a Apply: {"f:data":{"f:w":{}}}"#,
            r#"before-first-apply Update: {"f:data":{".":{},"f:v":{}}}"#
        ]
    );
}

#[tokio::test]
async fn bodies() {
    let rig = Rig::start().await;
    let good = data(&[("x", "1")]);
    let with = |path: &str, value: Value| {
        let mut config = good.clone();
        let (parent, field) = path.rsplit_once('/').unwrap();
        config.pointer_mut(parent).unwrap()[field] = value;
        config
    };
    for (config, code, message) in [
        (
            with("/kind", "Secret".into()),
            400,
            "invalid object type: /v1, Kind=Secret",
        ),
        (
            with("/apiVersion", "a/v1".into()),
            400,
            "invalid object type: a/v1, Kind=ConfigMap",
        ),
        (
            json!({"metadata": {"name": "c"}}),
            400,
            "invalid object type: /, Kind=",
        ),
        (
            with("/metadata/managedFields", json!([])),
            400,
            "metadata.managedFields must be nil",
        ),
        (
            with("/spec", json!({"x": 1})),
            500,
            "failed to create typed patch object (/c; /v1, Kind=ConfigMap): .spec: field not declared in schema",
        ),
        (
            with("/data/x", 1.into()),
            500,
            "failed to create typed patch object (/c; /v1, Kind=ConfigMap): .data.x: expected string, got \
             &value.valueUnstructured{Value:1}",
        ),
    ] {
        let failure = rig
            .apply("configmaps", "", &config, "fieldManager=a")
            .await
            .unwrap_err();
        assert_eq!((failure.code(), failure.message()), (code, message));
    }
}

#[tokio::test]
async fn options() {
    let rig = Rig::start().await;
    let good = data(&[("x", "1")]);
    let failure = rig.apply("configmaps", "", &good, "").await.unwrap_err();
    assert_eq!(
        (failure.code(), failure.message()),
        (
            422,
            "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch"
        )
    );
    rig.applied("a", &[("x", "1")]).await.unwrap();
    let forced = rig.call("configmaps", Some("default"), |call| {
        call.verb = Verb::Patch;
        call.name = Some("c".into());
        call.params = Params::parse("force=false").unwrap();
        call.body.media = Media::MergePatch;
    });
    assert_eq!(
        forced.await.unwrap_err().message(),
        "PatchOptions.meta.k8s.io \"\" is invalid: force: Forbidden: may not be specified for non-apply patch"
    );
    let mut stale = good.clone();
    stale["metadata"]["resourceVersion"] = "1".into();
    let failure = rig
        .apply("configmaps", "", &stale, "fieldManager=a")
        .await
        .unwrap_err();
    assert_eq!(failure.code(), 409);
}
