//! Every definition keeps the rules of structural schemas and says what readers need.

use super::*;
use crate::schema::structural;
use serde_json::Value;

fn schemas() -> Vec<(String, Value)> {
    let pair = |definition: CustomResourceDefinition| {
        let schema = structural(&definition, VERSION).unwrap();
        (definition.spec.names.kind, schema)
    };
    definitions().into_iter().map(pair).collect()
}

fn walk(schema: &Value, path: &str, visit: &mut dyn FnMut(&Value, &str)) {
    visit(schema, path);
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        walk(inner, &format!("{path}.{name}"), visit);
    }
    for keyword in ["items", "additionalProperties"] {
        if let Some(inner) = schema.get(keyword).filter(|inner| inner.is_object()) {
            walk(inner, &format!("{path}[]"), visit);
        }
    }
}

#[test]
fn schemas_are_structural_and_described() {
    for (kind, schema) in schemas() {
        walk(&schema, &kind, &mut |node, path| {
            let open = [
                "x-kubernetes-int-or-string",
                "x-kubernetes-preserve-unknown-fields",
            ];
            assert!(
                node["type"].is_string() || open.iter().any(|k| node[k] == true),
                "{path} has no type"
            );
            for keyword in ["$ref", "oneOf", "anyOf", "allOf", "not", "const"] {
                assert!(node.get(keyword).is_none(), "{path} has {keyword}");
            }
            if !path.ends_with("[]") {
                assert!(node["description"].is_string(), "{path} has no description");
            }
            if let Some(default) = node.get("default") {
                assert!(
                    crate::schema::validate(node, default).is_empty(),
                    "{path}: {default}"
                );
            }
        });
    }
}

#[test]
fn defaults_are_in_the_schema() {
    let table = [
        ("Task", "restartPolicy", serde_json::json!("Never")),
        ("Task", "priority", serde_json::json!(0)),
        ("ResourcePool", "weight", serde_json::json!(1.0)),
        ("ResourcePool", "policy", serde_json::json!("Fifo")),
        ("Framework", "scheduler", serde_json::json!("Builtin")),
        ("TaskGroup", "placement", serde_json::json!("Spread")),
        ("Reservation", "count", serde_json::json!(1)),
        ("Reservation", "exclusive", serde_json::json!(false)),
    ];
    let schemas = schemas();
    for (kind, field, default) in table {
        let (_, schema) = schemas.iter().find(|(name, _)| name == kind).unwrap();
        assert_eq!(
            schema["properties"]["spec"]["properties"][field]["default"], default,
            "{kind} {field}"
        );
    }
}

#[test]
fn every_kind_has_its_names_status_and_columns() {
    let shorts: Vec<String> = definitions()
        .iter()
        .map(|definition| {
            let version = &definition.spec.versions[0];
            // A revocation only says what it says.
            let status = version
                .subresources
                .as_ref()
                .and_then(|all| all.status.as_ref());
            let kind = &definition.spec.names.kind;
            assert_eq!(status.is_some(), kind != "Revocation", "{kind}");
            assert_eq!(
                version
                    .additional_printer_columns
                    .as_ref()
                    .unwrap()
                    .last()
                    .unwrap()
                    .name,
                "Age"
            );
            assert!(
                definition
                    .spec
                    .names
                    .categories
                    .as_ref()
                    .unwrap()
                    .contains(&"stoa".to_owned())
            );
            let names = &definition.spec.names;
            format!(
                "{} {} {}",
                names.kind,
                names.short_names.as_ref().unwrap()[0],
                definition.spec.scope
            )
        })
        .collect();
    let expected = [
        "ResourcePool pool Cluster",
        "Framework fw Namespaced",
        "Task tk Namespaced",
        "TaskGroup tg Namespaced",
        "Reservation rsv Namespaced",
        "Offer of Namespaced",
        "Agent ag Cluster",
        "Revocation rvk Cluster",
    ];
    assert_eq!(shorts, expected);
}

#[test]
fn a_member_of_a_group_may_leave_its_framework_out() {
    let group = serde_json::json!({"metadata": {"name": "g"}, "spec": {"framework": "f", "tasks": [
        {"name": "a", "spec": {"command": ["true"]}}]}});
    let (_, schema) = schemas()
        .into_iter()
        .find(|(kind, _)| kind == "TaskGroup")
        .unwrap();
    assert_eq!(crate::schema::validate(&schema, &group), []);
    serde_json::from_value::<TaskGroupSpec>(group["spec"].clone()).unwrap();
    let (_, schema) = schemas()
        .into_iter()
        .find(|(kind, _)| kind == "Task")
        .unwrap();
    let errors =
        crate::schema::validate(&schema, &serde_json::json!({"spec": {"command": ["true"]}}));
    assert_eq!(errors[0].to_string(), "spec.framework: Required value");
}
