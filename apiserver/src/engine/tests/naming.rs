//! Names of kinds: who has one, who waits for it, and who gets it next.

use serde_json::{Value, json};

use super::rig::Rig;

fn definition(plural: &str, kind: &str) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.example.com")},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": plural, "singular": plural, "kind": kind},
            "versions": [{"name": "v1", "served": true, "storage": true,
                          "schema": {"openAPIV3Schema": {"type": "object"}}}],
        },
    })
}

async fn define(rig: &Rig, plural: &str, kind: &str) -> Value {
    let definition = definition(plural, kind);
    rig.create("customresourcedefinitions", definition)
        .await
        .unwrap()
}

/// Status of `NamesAccepted` and `Established`.
async fn standing(rig: &Rig, plural: &str) -> [Value; 2] {
    let name = format!("{plural}.example.com");
    let found = rig.get("customresourcedefinitions", &name).await.unwrap();
    [0, 1].map(|n| found["status"]["conditions"][n]["status"].clone())
}

#[tokio::test]
async fn who_waits_for_a_name_gets_it_when_it_is_free() {
    let rig = Rig::start().await;
    define(&rig, "foos", "Foo").await;
    define(&rig, "fums", "Foo").await;
    define(&rig, "fees", "Foo").await;
    assert_eq!(standing(&rig, "foos").await, ["True", "True"]);
    assert_eq!(standing(&rig, "fums").await, ["False", "False"]);
    rig.delete("customresourcedefinitions", "foos.example.com", json!(null))
        .await
        .unwrap();
    // One of those that wait, and no more than one.
    assert_eq!(standing(&rig, "fees").await, ["True", "True"]);
    assert_eq!(standing(&rig, "fums").await, ["False", "False"]);
    let registry = rig.engine.registry();
    assert!(registry.lookup("example.com", "v1", "fees").is_some());
    assert!(registry.lookup("example.com", "v1", "fums").is_none());
    rig.delete("customresourcedefinitions", "fees.example.com", json!(null))
        .await
        .unwrap();
    assert_eq!(standing(&rig, "fums").await, ["True", "True"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_at_once_do_not_both_get_a_name() {
    let rig = Rig::start().await;
    for round in 0..8 {
        let kind = format!("Kind{round}");
        let plurals = ["a", "b", "c"].map(|word| format!("{word}{round}s"));
        let made = plurals.iter().map(|plural| define(&rig, plural, &kind));
        futures::future::join_all(made).await;
        let mut accepted = 0;
        for plural in &plurals {
            accepted += usize::from(standing(&rig, plural).await == ["True", "True"]);
        }
        assert_eq!(accepted, 1, "round {round}");
    }
}
