//! `x-kubernetes-validations`: CEL rules of a schema, compiled once.

use std::collections::BTreeSet;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use kube_cel::{CompiledSchema, RootContext, ValidationError, Validator, compile_schema};
use serde_json::Value;

use crate::status::Cause;

thread_local! {
    /// Registering the CEL libraries costs more than evaluating a rule, and a validator may not be
    /// shared between threads.
    static VALIDATOR: Validator = Validator::new();
}

/// The compiled rules of one schema.
pub struct Rules {
    compiled: CompiledSchema,
    context: RootContext,
    /// Fields of the object that the rules read; none: possibly all.
    read: Option<BTreeSet<String>>,
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rules")
            .field("kind", &self.context.kind)
            .finish_non_exhaustive()
    }
}

impl Rules {
    /// Compiles the rules of a schema; none if it has no rules.
    ///
    /// # Errors
    /// One sentence for each rule that does not compile, with the place of the rule.
    pub fn compile(
        schema: &Value,
        group: &str,
        version: &str,
        kind: &str,
    ) -> Result<Option<Self>, Vec<String>> {
        if !has_rules(schema) {
            return Ok(None);
        }
        let api_version = if group.is_empty() {
            version.to_owned()
        } else {
            format!("{group}/{version}")
        };
        let context = RootContext {
            api_version,
            api_group: group.to_owned(),
            kind: kind.to_owned(),
        };
        // The parser of the library has panicked on odd input before; a definition must not take us down.
        let compiled = catch_unwind(AssertUnwindSafe(|| compile_schema(schema)))
            .map_err(|_panic| vec!["the rules could not be compiled".to_owned()])?;
        let mut problems = Vec::new();
        collect(&compiled, &mut problems);
        if problems.is_empty() {
            Ok(Some(Self {
                read: fields_read(schema),
                compiled,
                context,
            }))
        } else {
            Err(problems)
        }
    }

    /// Evaluates all rules; transition rules only when there is an old object. Rules that hold
    /// of the old object hold as long as nothing they read has changed, which spares most writes
    /// of a status the evaluation.
    #[must_use]
    pub fn check(&self, object: &Value, old: Option<&Value>) -> Vec<Cause> {
        let same = |old: &Value| {
            self.read
                .as_ref()
                .is_some_and(|read| read.iter().all(|f| old.get(f) == object.get(f)))
        };
        if old.is_some_and(same) {
            return Vec::new();
        }
        let run = || {
            let (rules, context) = (&self.compiled, Some(&self.context));
            VALIDATOR.with(|it| it.validate_compiled_with_context(rules, object, old, context))
        };
        match catch_unwind(AssertUnwindSafe(run)) {
            Ok(Ok(())) => Vec::new(),
            Ok(Err(errors)) => errors
                .into_vec()
                .into_iter()
                .map(|e| cause(&e, object))
                .collect(),
            Err(_panic) => vec![Cause::of(
                "",
                "Internal error: a rule could not be evaluated",
            )],
        }
    }
}

/// True if any node of the schema has rules.
fn has_rules(schema: &Value) -> bool {
    match schema {
        Value::Object(map) => {
            map.get("x-kubernetes-validations")
                .is_some_and(Value::is_array)
                || map.values().any(has_rules)
        }
        Value::Array(list) => list.iter().any(has_rules),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// The top-level fields the rules of a schema read, as far as that shows in their text.
fn fields_read(schema: &Value) -> Option<BTreeSet<String>> {
    let mut read = BTreeSet::new();
    for (name, child) in schema
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        if has_rules(child) {
            read.insert(name.clone());
        }
    }
    let mut logic = ["allOf", "anyOf", "oneOf", "not"]
        .into_iter()
        .filter_map(|word| schema.get(word));
    if logic.any(has_rules) {
        return None;
    }
    let own = schema
        .get("x-kubernetes-validations")
        .and_then(Value::as_array);
    for rule in own.into_iter().flatten() {
        for part in ["rule", "messageExpression"] {
            let text = rule.get(part).and_then(Value::as_str).unwrap_or_default();
            read.extend(fields_of(text)?);
        }
    }
    Some(read)
}

/// `a` and `b` of `self.a.x == oldSelf.b`; none if `self` stands anywhere without a field after it.
fn fields_of(rule: &str) -> Option<BTreeSet<String>> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut fields = BTreeSet::new();
    let mut rest = rule;
    while let Some(start) = rest.find(is_word) {
        let word = &rest[start..];
        let (word, after) = word.split_at(word.find(|c| !is_word(c)).unwrap_or(word.len()));
        rest = after;
        // A field that happens to be called `self` only makes us read more carefully than needed.
        if matches!(word, "self" | "oldSelf") {
            let name = after.strip_prefix('.')?;
            let name = &name[..name.find(|c| !is_word(c)).unwrap_or(name.len())];
            // Escaped names are not worth undoing.
            (!name.is_empty() && !name.contains("__")).then(|| fields.insert(name.to_owned()))?;
        }
    }
    Some(fields)
}

fn collect(node: &CompiledSchema, problems: &mut Vec<String>) {
    problems.extend(node.compilation_errors().iter().map(ToString::to_string));
    let nested = [&node.all_of, &node.any_of, &node.one_of];
    let mut children: Vec<_> = node.properties.iter().collect();
    children.sort_by_key(|(name, _)| name.as_str());
    for (_, child) in children {
        collect(child, problems);
    }
    node.items
        .iter()
        .chain(&node.additional_properties)
        .for_each(|child| collect(child, problems));
    nested
        .into_iter()
        .flatten()
        .for_each(|child| collect(child, problems));
}

fn cause(error: &ValidationError, object: &Value) -> Cause {
    let reason = match error.reason.as_deref() {
        Some("FieldValueForbidden") => "FieldValueForbidden",
        Some("FieldValueRequired") => "FieldValueRequired",
        Some("FieldValueDuplicate") => "FieldValueDuplicate",
        Some(_) | None => "FieldValueInvalid",
    };
    let message = match reason {
        "FieldValueForbidden" => format!("Forbidden: {}", error.message),
        "FieldValueRequired" => format!("Required value: {}", error.message),
        "FieldValueDuplicate" => format!(
            "Duplicate value: {}: {}",
            shown(object, error),
            error.message
        ),
        _ => format!("Invalid value: {}: {}", shown(object, error), error.message),
    };
    Cause {
        reason,
        message,
        field: error.field_path.clone(),
    }
}

/// The value as Kubernetes shows it: scalars as they are, others by their type.
fn shown(object: &Value, error: &ValidationError) -> String {
    let mut place = object;
    for step in error.field_path.split('.').filter(|step| !step.is_empty()) {
        match place.get(step) {
            Some(next) => place = next,
            None => break,
        }
    }
    match place {
        Value::Object(_) => "\"object\"".to_owned(),
        Value::Array(_) => "\"array\"".to_owned(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => place.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields() {
        for (rule, fields) in [
            ("self.spec.a == oldSelf.spec.a", Some(vec!["spec"])),
            (
                "has(self.status) || self.spec.x > 1",
                Some(vec!["spec", "status"]),
            ),
            ("self == oldSelf", None),
            ("self['spec']", None),
            ("self.x__dash__y", None),
            ("true", Some(vec![])),
        ] {
            let found = fields_of(rule);
            let found = found
                .as_ref()
                .map(|f| f.iter().map(String::as_str).collect::<Vec<_>>());
            assert_eq!(found, fields, "{rule}");
        }
    }

    #[test]
    fn rules_are_asked_only_about_what_changed() {
        let rule = json!([{"rule": "self.spec.n > 1", "message": "too small"}]);
        let schema = json!({"type": "object", "x-kubernetes-validations": rule, "properties": {
            "spec": {"type": "object", "properties": {"n": {"type": "integer"}}},
            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        }});
        let rules = Rules::compile(&schema, "g", "v1", "K").unwrap().unwrap();
        let object = |n: i64, state: &str| json!({"spec": {"n": n}, "status": {"state": state}});
        assert_eq!(rules.check(&object(1, "a"), None).len(), 1);
        assert_eq!(rules.check(&object(1, "b"), Some(&object(1, "a"))), []);
        assert_eq!(
            rules.check(&object(0, "a"), Some(&object(1, "a")))[0].field,
            ""
        );
        assert_eq!(rules.check(&object(2, "a"), Some(&object(1, "a"))), []);
    }

    #[test]
    fn odd_rules_do_not_panic() {
        for rule in [
            "",
            "self.(",
            "1/0 == 1",
            "self.a.b.c",
            "\u{0}",
            "((((((((((",
            "self.all(x, x)",
        ] {
            let schema = json!({"type": "object", "x-kubernetes-validations": [{"rule": rule}]});
            if let Ok(Some(rules)) = Rules::compile(&schema, "g", "v1", "K") {
                assert!(!rules.check(&json!({"spec": 1}), None).is_empty(), "{rule}");
            }
        }
    }
}
