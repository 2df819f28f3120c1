//! Expressions of definitions and policies, over objects of anybody's making.

use apiserver::admission;
use apiserver::admission::expression::{Expression, Known, Wanted};
use apiserver::admission::inputs::{Facts, Inputs};
use apiserver::authorize::Authorizer;
use apiserver::registry::definition;
use apiserver::user::User;
use serde_json::{Value, json};

use super::parts;

/// An expression, `\xff`, an object, `\xff`, what it was before.
pub(super) fn feed(data: &[u8]) {
    let Some([rule, object, old]) = parts(data) else {
        return;
    };
    let Ok(rule) = std::str::from_utf8(rule) else {
        return;
    };
    let (Ok(object), Ok(old)) = (
        serde_json::from_slice::<Value>(object),
        serde_json::from_slice::<Value>(old),
    ) else {
        return;
    };
    of_policy(rule, &object, &old);
    of_definition(rule, &object, &old);
}

fn of_policy(rule: &str, object: &Value, old: &Value) {
    let all = Known {
        params: true,
        authorizer: true,
        variables: None,
        ..Known::default()
    };
    if let Ok(expression) = Expression::compile(rule, all, Wanted::Anything) {
        let (user, authorizer) = (User::new("fuzz", "people"), Authorizer::default());
        let facts = Facts::of(object.clone(), old.clone(), user, authorizer);
        let _answer = Inputs::new(&facts, Some(old)).answer(&expression);
    }
}

fn of_definition(rule: &str, spec: &Value, old: &Value) {
    let schema = json!({
        "type": "object",
        "properties": {"spec": {
            "type": "object", "x-kubernetes-preserve-unknown-fields": true,
            "properties": {
                "n": {"type": "integer"}, "s": {"type": "string", "maxLength": 64},
                "l": {"type": "array", "maxItems": 16, "items": {"type": "string", "maxLength": 16}},
            },
            "x-kubernetes-validations": [{"rule": rule, "messageExpression": rule}],
        }},
    });
    let crd = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "fuzzes.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": "fuzzes", "kind": "Fuzz", "singular": "fuzz", "listKind": "FuzzList"},
            "versions": [{
                "name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema},
            }],
        },
    });
    let whole = |spec: &Value| {
        json!({
            "apiVersion": "example.com/v1", "kind": "Fuzz", "metadata": {"name": "x"}, "spec": spec,
        })
    };
    for resource in definition::descriptors(&crd, None) {
        let _created = admission::check(&resource, &whole(spec), None);
        let _updated = admission::check(&resource, &whole(spec), Some(&whole(old)));
    }
}
