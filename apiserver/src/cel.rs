//! `x-kubernetes-validations`, and CEL itself: an engine of our own, because a rule of a user's
//! must neither hang a server nor take its memory, and is to be refused in Kubernetes' words.
//!
//! Start with [`Program`]: an expression is read (`lexer`, `parser`), its names and types are
//! checked (`check`, `types`, `signatures`), and it is evaluated (`eval`, `fold`, `operators`,
//! `functions`) over objects as their schema types them (`shape`, `value`).
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a function takes a few of fourteen kinds of value, and all others are one mistake"
)]

mod ast;
mod check;
mod compile;
mod convert;
mod escape;
mod eval;
mod fold;
mod functions;
mod kinds;
mod lexer;
mod macros;
mod operators;
mod parser;
mod problem;
mod program;
mod rules;
mod scope;
mod shape;
mod signatures;
mod types;
mod value;

use std::collections::BTreeSet;

use serde_json::Value as Json;

use crate::status::Cause;

pub(crate) use eval::{Error, Names};
pub(crate) use functions::regexes::compiles;
pub(crate) use kinds::Special;
pub(crate) use kinds::rights;
pub use program::{Budget, CALL_COST_MAX, EvaluationError, OBJECT_COST_MAX, Program};
pub(crate) use shape::{Shape, entries, flag};
pub(crate) use types::Type;
pub(crate) use value::Value;

/// The compiled rules of one schema.
#[derive(Debug)]
pub struct Rules {
    root: compile::Node,
    schema: Json,
    /// Fields of the object that the rules read; none: possibly all.
    read: Option<BTreeSet<String>>,
}

impl Rules {
    /// Compiles the rules of a schema; none if it has no rules. `field` is the schema's place in
    /// its definition.
    ///
    /// # Errors
    /// Everything that is wrong with the rules.
    pub fn compile(schema: &Json, field: &str) -> Result<Option<Self>, Vec<Cause>> {
        if !has_rules(schema) {
            return Ok(None);
        }
        let mut causes = Vec::new();
        let root = compile::node(schema, true, field, None, &mut causes);
        if !causes.is_empty() {
            return Err(causes);
        }
        Ok(Some(Self {
            root,
            read: fields_read(schema),
            schema: schema.clone(),
        }))
    }

    /// Evaluates all rules; transition rules only when there is an old object. Rules that hold
    /// of the old object hold as long as nothing they read has changed, which spares most writes
    /// of a status the evaluation.
    #[must_use]
    pub fn check(&self, object: &Json, old: Option<&Json>) -> Vec<Cause> {
        let same = |old: &Json| {
            self.read
                .as_ref()
                .is_some_and(|read| read.iter().all(|f| old.get(f) == object.get(f)))
        };
        if old.is_some_and(same) {
            return Vec::new();
        }
        let mut causes = Vec::new();
        let place = rules::Place {
            schema: &self.schema,
            root: true,
            value: object,
            old,
            near: old.map(|old| (object, old)),
        };
        rules::judge(&self.root, place, "", &mut Budget::default(), &mut causes);
        causes
    }

    /// Judges a value that is no whole object, such as a default: once as if it had been there
    /// before, and once as if it had not.
    #[must_use]
    pub(crate) fn check_at(&self, value: &Json, path: &str) -> Vec<Cause> {
        let mut causes = Vec::new();
        for old in [Some(value), None] {
            let place = rules::Place {
                schema: &self.schema,
                root: false,
                value,
                old,
                near: None,
            };
            if causes.is_empty() {
                rules::judge(&self.root, place, path, &mut Budget::default(), &mut causes);
            }
        }
        causes
    }
}

/// True if any node of the schema has rules.
fn has_rules(schema: &Json) -> bool {
    match schema {
        Json::Object(map) => {
            map.get("x-kubernetes-validations")
                .is_some_and(Json::is_array)
                || map.values().any(has_rules)
        }
        Json::Array(list) => list.iter().any(has_rules),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => false,
    }
}

/// The top-level fields the rules of a schema read, as far as that shows in their text.
fn fields_read(schema: &Json) -> Option<BTreeSet<String>> {
    let mut read = BTreeSet::new();
    for (name, child) in schema
        .get("properties")
        .and_then(Json::as_object)
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
        .and_then(Json::as_array);
    for rule in own.into_iter().flatten() {
        for part in ["rule", "messageExpression"] {
            let text = rule.get(part).and_then(Json::as_str).unwrap_or_default();
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
        let rules = Rules::compile(&schema, "s").unwrap().unwrap();
        let object = |n: i64, state: &str| json!({"spec": {"n": n}, "status": {"state": state}});
        assert_eq!(rules.check(&object(1, "a"), None).len(), 1);
        assert_eq!(rules.check(&object(1, "b"), Some(&object(1, "a"))), []);
        assert_eq!(
            rules.check(&object(0, "a"), Some(&object(1, "a")))[0].field,
            "<nil>"
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
            if let Ok(Some(rules)) = Rules::compile(&schema, "s") {
                assert!(!rules.check(&json!({"spec": 1}), None).is_empty(), "{rule}");
            }
        }
    }
}
