//! CustomResourceDefinitions: served by the write that makes them, gone with their objects.

use serde_json::{Value, json};

use std::sync::Arc;

use super::rig::{Rig, json_body};
use crate::call::{Call, Media, Reply, Verb};
use crate::render;

fn definition(schema: Value) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "foos.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced", "names": {"plural": "foos", "kind": "Foo"},
            "versions": [
                {"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema},
                 "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.n",
                                  "statusReplicasPath": ".status.n"}},
                 "additionalPrinterColumns": [{"name": "N", "type": "integer", "jsonPath": ".spec.n"}]},
                {"name": "v1beta1", "served": true, "storage": false,
                 "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}},
            ],
        },
    })
}

fn schema() -> Value {
    json!({"type": "object", "properties": {
        "spec": {"type": "object", "properties": {
            "n": {"type": "integer", "minimum": 0, "default": 3},
            "name": {"type": "string", "x-kubernetes-validations": [
                {"rule": "self == oldSelf", "message": "name is for ever"}]},
        }},
        "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
    }})
}

fn foo(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "example.com/v1", "kind": "Foo", "metadata": {"name": name}, "spec": spec})
}

#[tokio::test]
async fn a_kind_comes_and_goes() {
    let rig = Rig::start().await;
    let made = rig
        .create("customresourcedefinitions", definition(schema()))
        .await
        .unwrap();
    assert_eq!(made["status"]["conditions"][1]["type"], "Established");
    assert_eq!(made["status"]["storedVersions"], json!(["v1"]));
    assert_eq!(made["spec"]["names"]["listKind"], "FooList");
    let registry = rig.engine.registry();
    let versions: Vec<_> = registry
        .iter()
        .filter(|d| d.kind == "Foo")
        .map(|d| d.version.clone())
        .collect();
    assert_eq!(versions, ["v1", "v1beta1"]);
    let created = rig
        .create("foos", foo("x", json!({"name": "a", "other": 1})))
        .await
        .unwrap();
    assert_eq!(created["spec"], json!({"name": "a", "n": 3}));
    let failure = rig
        .merge("foos", "x", "", json!({"spec": {"name": "b"}}))
        .await
        .unwrap_err();
    assert!(failure.message().contains("name is for ever"), "{failure}");
    let scaled = rig
        .merge("foos", "x", "scale", json!({"spec": {"replicas": 5}}))
        .await
        .unwrap();
    assert_eq!(
        (&scaled["kind"], &scaled["spec"]["replicas"]),
        (&json!("Scale"), &json!(5))
    );
    assert_eq!(rig.get("foos", "x").await.unwrap()["spec"]["n"], 5);
    let gone = rig
        .delete("customresourcedefinitions", "foos.example.com", json!(null))
        .await
        .unwrap();
    assert_eq!(gone["kind"], "CustomResourceDefinition");
    assert!(rig.engine.registry().iter().all(|d| d.kind != "Foo"));
    assert_eq!(
        rig.engine.store().view().prefix(b"/example.com/").count(),
        0
    );
}

#[tokio::test]
async fn versions_are_views_of_one_object() {
    let rig = Rig::start().await;
    rig.create("customresourcedefinitions", definition(schema()))
        .await
        .unwrap();
    rig.create("foos", foo("x", json!({"name": "a"})))
        .await
        .unwrap();
    let beta = rig
        .engine
        .registry()
        .lookup("example.com", "v1beta1", "foos")
        .unwrap();
    let get = |call: &mut Call| {
        call.resource = Arc::clone(&beta);
        call.verb = Verb::Get;
        call.name = Some("x".into());
    };
    let Reply::Object { object, .. } = rig.call("foos", Some("default"), get).await.unwrap() else {
        panic!("an object was asked for")
    };
    let shown: Value = serde_json::from_slice(&render::object(&beta, &object)).unwrap();
    assert_eq!(shown["apiVersion"], "example.com/v1beta1");
    let patch = |call: &mut Call| {
        get(call);
        call.verb = Verb::Patch;
        call.body = json_body(&json!({"spec": {"n": 8}}));
        call.body.media = Media::MergePatch;
    };
    rig.call("foos", Some("default"), patch).await.unwrap();
    let stored = rig.get("foos", "x").await.unwrap();
    assert_eq!(
        (&stored["apiVersion"], &stored["spec"]["n"]),
        (&json!("example.com/v1"), &json!(8))
    );
}

#[tokio::test]
async fn a_kind_waits_for_held_objects() {
    let rig = Rig::start().await;
    rig.create("customresourcedefinitions", definition(schema()))
        .await
        .unwrap();
    let mut held = foo("x", json!({}));
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    rig.create("foos", held).await.unwrap();
    let marked = rig
        .delete("customresourcedefinitions", "foos.example.com", json!(null))
        .await
        .unwrap();
    assert!(marked["metadata"]["deletionTimestamp"].is_string());
    assert_eq!(marked["status"]["conditions"][2]["type"], "Terminating");
    assert_eq!(
        rig.create("foos", foo("y", json!({})))
            .await
            .unwrap_err()
            .code(),
        405
    );
    rig.merge("foos", "x", "", json!({"metadata": {"finalizers": null}}))
        .await
        .unwrap();
    assert_eq!(
        rig.get("customresourcedefinitions", "foos.example.com")
            .await
            .unwrap_err()
            .code(),
        404
    );
}

#[tokio::test]
async fn nothing_is_left_behind() {
    let rig = Rig::start().await;
    let make = || rig.create("customresourcedefinitions", definition(schema()));
    make().await.unwrap();
    let foos = rig.engine.registry();
    let foos = foos.lookup("example.com", "v1", "foos").unwrap();
    // Requests that have found the kind are under way while it is deleted.
    let late = |name: String, finalizers: Value| {
        let mut object = foo(&name, json!({}));
        object["metadata"]["finalizers"] = finalizers;
        let foos = Arc::clone(&foos);
        rig.call("tasks", Some("default"), move |call| {
            call.resource = foos;
            call.body = json_body(&object);
        })
    };
    let creates = futures::future::join_all((0..40).map(|n| late(format!("x{n}"), json!([]))));
    let ends = rig.delete("customresourcedefinitions", "foos.example.com", json!(null));
    let (created, ended) = tokio::join!(creates, ends);
    assert!(ended.unwrap()["metadata"]["deletionTimestamp"].is_string());
    for failure in created.into_iter().filter_map(Result::err) {
        assert!([404, 405].contains(&failure.code()), "{failure}");
    }
    let left = || rig.engine.store().view().prefix(b"/example.com/").count();
    assert_eq!(left(), 0);
    assert!(rig.engine.registry().iter().all(|d| d.kind != "Foo"));
    assert_eq!(late("y".into(), json!([])).await.unwrap_err().code(), 404);

    // Two held objects let go at once; and nobody lets go of the definition before.
    make().await.unwrap();
    late("a".into(), json!(["e.x/hold"])).await.unwrap();
    late("b".into(), json!(["e.x/hold"])).await.unwrap();
    let name = "foos.example.com";
    rig.delete("customresourcedefinitions", name, json!(null))
        .await
        .unwrap();
    assert_eq!(late("y".into(), json!([])).await.unwrap_err().code(), 405);
    let free = || json!({"metadata": {"finalizers": null}});
    rig.merge("customresourcedefinitions", name, "", free())
        .await
        .unwrap();
    assert_eq!(left(), 2);
    let (a, b) = tokio::join!(
        rig.merge("foos", "a", "", free()),
        rig.merge("foos", "b", "", free())
    );
    a.unwrap();
    b.unwrap();
    assert_eq!(left(), 0);
    assert!(rig.engine.registry().iter().all(|d| d.kind != "Foo"));
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one table, one row for each rule")]
async fn bad_definitions_are_refused() {
    let rig = Rig::start().await;
    let with = |path: &str, value: Value| {
        let mut object = definition(schema());
        let (parent, key) = path.rsplit_once('/').unwrap();
        object.pointer_mut(parent).unwrap()[key] = value;
        object
    };
    for (object, part) in [
        (
            with("/metadata/name", json!("bars.example.com")),
            "must be spec.names.plural",
        ),
        (
            with("/spec/scope", json!("Galaxy")),
            "spec.scope: Unsupported value",
        ),
        (
            with("/spec/versions/0/storage", json!(false)),
            "exactly one version",
        ),
        (
            with("/spec/versions/1/name", json!("v1")),
            "must contain unique version names",
        ),
        (
            with("/spec/versions/0/schema", json!({})),
            "spec.versions[0].schema.openAPIV3Schema: Required value",
        ),
        (
            definition(json!({"type": "string"})),
            "must be object at the root",
        ),
        (
            definition(json!({"type": "object", "properties": {"a": {}}})),
            "must not be empty",
        ),
        (
            definition(json!({"type": "object", "x-kubernetes-validations": [{"rule": "self.("}]})),
            "spec.versions[0].schema.openAPIV3Schema.x-kubernetes-validations[0].rule: Invalid value: \
             {\"Rule\":\"self.(\",\"Message\":\"\",\"MessageExpression\":\"\",\"Reason\":null,\
             \"FieldPath\":\"\",\"OptionalOldSelf\":null}: compilation failed: ERROR: <input>:1:6: \
             Syntax error: mismatched input '(' expecting IDENTIFIER\n | self.(\n | .....^",
        ),
        (
            definition(
                json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
                "list": {"type": "array", "items": {"type": "string", "x-kubernetes-validations": [
                    {"rule": "self == oldSelf"}]}}}}}}),
            ),
            "oldSelf cannot be used on the uncorrelatable portion of the schema within \
             spec.versions[0].schema.openAPIV3Schema.properties[spec].properties[list]",
        ),
        (
            definition(
                json!({"type": "object", "x-kubernetes-validations": [{"rule": "self.spec.x > 1"}],
                "properties": {"spec": {"type": "object"}}}),
            ),
            "compilation failed: ERROR: <input>:1:10: undefined field 'x'\n | self.spec.x > 1\n | .........^",
        ),
        (
            definition(
                json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
                "n": {"type": "integer", "default": "x"}}}}}),
            ),
            "spec.versions[0].schema.openAPIV3Schema.properties[spec].properties[n].default: Invalid value: \"string\"",
        ),
        (
            definition(
                json!({"type": "object", "properties": {"spec": {"type": "object",
                "default": {"a": 1}}}}),
            ),
            "properties[spec].default: Invalid value: {\"a\":1}: must not have unknown fields",
        ),
        (
            with(
                "/spec/versions/0/selectableFields",
                json!([{"jsonPath": ".spec.nope"}]),
            ),
            "spec.versions[0].selectableFields[0].jsonPath: Invalid value: \".spec.nope\": is an invalid path: \
             does not refer to a valid field",
        ),
        (
            with(
                "/spec/versions/0/subresources/scale/specReplicasPath",
                json!(".status.n"),
            ),
            "spec.versions[0].subresources.scale.specReplicasPath: Invalid value: \".status.n\": should be a json \
             path under .spec",
        ),
        (
            with(
                "/spec/versions/0/additionalPrinterColumns/0/type",
                json!("int"),
            ),
            "must be one of boolean,date,integer,number,string",
        ),
        (
            with("/spec/preserveUnknownFields", json!(true)),
            "spec.preserveUnknownFields: Invalid value: true: cannot set to true",
        ),
        (
            with("/spec/conversion", json!({"strategy": "Webhook"})),
            "spec.conversion.webhookClientConfig: Required value: required when strategy is set to Webhook",
        ),
    ] {
        let failure = rig
            .create("customresourcedefinitions", object)
            .await
            .unwrap_err();
        assert_eq!(failure.code(), 422, "{part}: {failure}");
        assert!(failure.message().contains(part), "{part}: {failure}");
    }
    let ours = rig
        .delete("customresourcedefinitions", "tasks.stoa.dev", json!(null))
        .await
        .unwrap_err();
    assert_eq!(ours.code(), 403);
}

#[tokio::test]
async fn names_that_are_taken_are_not_served() {
    let rig = Rig::start().await;
    let create = |definition: Value| rig.create("customresourcedefinitions", definition);
    create(definition(schema())).await.unwrap();
    let mut second = definition(schema());
    second["metadata"]["name"] = json!("bars.example.com");
    second["spec"]["names"] = json!({"plural": "bars", "kind": "Foo"});
    let made = create(second).await.unwrap();
    let conditions = &made["status"]["conditions"];
    let shown = |n: usize| {
        (
            &conditions[n]["type"],
            &conditions[n]["status"],
            &conditions[n]["reason"],
        )
    };
    assert_eq!(
        shown(0),
        (
            &json!("NamesAccepted"),
            &json!("False"),
            &json!("ListKindConflict")
        )
    );
    assert_eq!(conditions[0]["message"], "\"FooList\" is already in use");
    assert_eq!(
        shown(1),
        (
            &json!("Established"),
            &json!("False"),
            &json!("NotAccepted")
        )
    );
    assert_eq!(made["status"]["acceptedNames"]["kind"], "");
    assert!(
        rig.engine
            .registry()
            .by_plural("example.com", "bars")
            .is_none()
    );
    let names =
        json!({"spec": {"names": {"kind": "Bar", "listKind": "BarList", "singular": "bar"}}});
    let healed = rig
        .merge("customresourcedefinitions", "bars.example.com", "", names)
        .await
        .unwrap();
    assert_eq!(healed["status"]["conditions"][1]["status"], "True");
    assert!(
        rig.engine
            .registry()
            .by_plural("example.com", "bars")
            .is_some()
    );
}

#[tokio::test]
async fn a_version_that_was_stored_stays_in_the_definition() {
    let rig = Rig::start().await;
    rig.create("customresourcedefinitions", definition(schema()))
        .await
        .unwrap();
    let only = json!([{"name": "v2", "served": true, "storage": true,
                       "schema": {"openAPIV3Schema": {"type": "object"}}}]);
    let failure = rig
        .merge(
            "customresourcedefinitions",
            "foos.example.com",
            "",
            json!({"spec": {"versions": only}}),
        )
        .await
        .unwrap_err();
    let text = "status.storedVersions[0]: Invalid value: \"v1\": missing from spec.versions; v1 was previously \
                a storage version";
    assert!(failure.message().contains(text), "{failure}");
}

#[tokio::test]
async fn rules_are_evaluated_unless_what_they_read_may_be_missing() {
    let rig = Rig::start().await;
    let schema = json!({"type": "object", "properties": {"spec": {
        "type": "object", "required": ["n"],
        "x-kubernetes-validations": [{"rule": "self.n < 5", "message": "too many"}],
        "properties": {"n": {"type": "integer"}, "name": {"type": "string", "minLength": 2}}}}});
    rig.create("customresourcedefinitions", definition(schema))
        .await
        .unwrap();
    let unchecked =
        "<nil>: Invalid value: \"null\": some validation rules were not checked because";
    let rule = "spec: Invalid value: too many";
    for (spec, said, unsaid) in [
        (json!({"n": "x"}), unchecked, rule),
        (json!({}), unchecked, rule),
        (json!({"n": 9, "name": "a"}), rule, unchecked),
    ] {
        let failure = rig.create("foos", foo("x", spec)).await.unwrap_err();
        let text = failure.message();
        assert!(text.contains(said) && !text.contains(unsaid), "{text}");
    }
}
