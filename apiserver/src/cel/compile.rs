//! Compiling the rules of a schema, and what is wrong with them.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::program::Program;
use super::shape::{entries, flag};
use super::types::Type;
use crate::status::Cause;

/// One `x-kubernetes-validations` entry.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) program: Program,
    pub(super) rule: String,
    pub(super) message: String,
    pub(super) message_expression: Option<(Program, String)>,
    pub(super) reason: String,
    /// Below the node, without a leading dot.
    pub(super) field_path: String,
    pub(super) reads_old: bool,
    pub(super) optional_old: bool,
}

/// The rules of a node of a schema and of those below; nodes without any are left out.
#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) rules: Vec<Rule>,
    pub(super) properties: BTreeMap<String, Node>,
    pub(super) items: Option<Box<Node>>,
    pub(super) rest: Option<Box<Node>>,
}

impl Node {
    pub(super) fn is_empty(&self) -> bool {
        self.rules.is_empty()
            && self.properties.is_empty()
            && self.items.is_none()
            && self.rest.is_none()
    }
}

/// Compiles a schema. `apart` is the place within which old and new cannot be told to belong
/// together, if any.
pub(super) fn node(
    schema: &Json,
    root: bool,
    field: &str,
    apart: Option<&str>,
    causes: &mut Vec<Cause>,
) -> Node {
    let mut made = Node::default();
    let own = schema
        .get("x-kubernetes-validations")
        .and_then(Json::as_array);
    for (n, entry) in own.into_iter().flatten().enumerate() {
        let place = format!("{field}.x-kubernetes-validations[{n}]");
        made.rules
            .extend(rule(schema, root, entry, &place, apart, causes));
    }
    let properties = schema.get("properties").and_then(Json::as_object);
    for (name, inner) in properties.into_iter().flatten() {
        let below = node(
            inner,
            false,
            &format!("{field}.properties[{name}]"),
            apart,
            causes,
        );
        if !below.is_empty() {
            made.properties.insert(name.clone(), below);
        }
    }
    if let Some(inner) = schema.get("items").filter(|inner| inner.is_object()) {
        let keyed = schema.get("x-kubernetes-list-type") == Some(&Json::from("map"));
        let apart = if keyed { apart } else { apart.or(Some(field)) };
        let below = node(inner, false, &format!("{field}.items"), apart, causes);
        made.items = Some(Box::new(below)).filter(|below| !below.is_empty());
    }
    if let Some(inner) = entries(schema) {
        let below = node(
            inner,
            false,
            &format!("{field}.additionalProperties"),
            apart,
            causes,
        );
        made.rest = Some(Box::new(below)).filter(|below| !below.is_empty());
    }
    made
}

fn rule(
    schema: &Json,
    root: bool,
    entry: &Json,
    place: &str,
    apart: Option<&str>,
    causes: &mut Vec<Cause>,
) -> Option<Rule> {
    let word = |name: &str| {
        let word = entry.get(name).and_then(Json::as_str);
        word.unwrap_or_default().to_owned()
    };
    let rule = word("rule");
    if rule.trim().is_empty() {
        causes.push(Cause::required(
            format!("{place}.rule"),
            "rule is not specified",
        ));
        return None;
    }
    let optional_old = flag(entry, "optionalOldSelf");
    let of_self = Type::of(schema, root).unwrap_or(Type::Dyn);
    let old = if optional_old {
        Type::optional(of_self.clone())
    } else {
        of_self.clone()
    };
    let variables = [("self", of_self), ("oldSelf", old)];
    let mut refuse = |part: &str, text: String| {
        let text = format!("Invalid value: {}: {text}", shown(entry));
        causes.push(Cause::of(format!("{place}.{part}"), text));
    };
    let program = match Program::typed(&rule, &variables) {
        Ok((program, gives)) if gives.shown == "bool" => program,
        Ok(_) => {
            refuse("rule", "cel expression must evaluate to a bool".to_owned());
            return None;
        }
        Err(text) => {
            refuse("rule", format!("compilation failed: {text}"));
            return None;
        }
    };
    let expression = word("messageExpression");
    let message_expression = match Program::typed(&expression, &variables) {
        _ if expression.is_empty() => None,
        Ok((program, gives)) if gives.shown == "string" => Some((program, expression)),
        Ok(_) => {
            refuse(
                "messageExpression",
                "messageExpression must evaluate to a string".to_owned(),
            );
            None
        }
        Err(text) => {
            refuse(
                "messageExpression",
                format!("messageExpression compilation failed: {text}"),
            );
            None
        }
    };
    let reads_old = program.mentions("oldSelf");
    check_old(entry, &rule, reads_old, place, apart, causes);
    Some(Rule {
        program,
        message: word("message").trim().to_owned(),
        message_expression,
        reason: word("reason"),
        field_path: word("fieldPath").trim_start_matches('.').to_owned(),
        reads_old,
        optional_old,
        rule,
    })
}

fn check_old(
    entry: &Json,
    rule: &str,
    reads_old: bool,
    place: &str,
    apart: Option<&str>,
    causes: &mut Vec<Cause>,
) {
    if let (true, Some(apart)) = (reads_old, apart) {
        let text = format!(
            "oldSelf cannot be used on the uncorrelatable portion of the schema within {apart}"
        );
        causes.push(Cause::invalid(format!("{place}.rule"), &rule.into(), &text));
    }
    if let (false, Some(flag)) = (reads_old, entry.get("optionalOldSelf")) {
        let text = "may not be set if oldSelf is not used in rule";
        causes.push(Cause::invalid(
            format!("{place}.optionalOldSelf"),
            flag,
            text,
        ));
    }
}

/// The rule as Kubernetes shows it: its own field names, and all of them.
fn shown(entry: &Json) -> String {
    let text = |name: &str| entry.get(name).cloned().unwrap_or_else(|| "".into());
    let other = |name: &str| entry.get(name).cloned().unwrap_or_default();
    format!(
        r#"{{"Rule":{},"Message":{},"MessageExpression":{},"Reason":{},"FieldPath":{},"OptionalOldSelf":{}}}"#,
        text("rule"),
        text("message"),
        text("messageExpression"),
        other("reason"),
        text("fieldPath"),
        other("optionalOldSelf"),
    )
}
