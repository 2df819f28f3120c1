//! `x-kubernetes-validations`: CEL rules of a schema, compiled once.

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
            Ok(Some(Self { compiled, context }))
        } else {
            Err(problems)
        }
    }

    /// Evaluates all rules; transition rules only when there is an old object.
    #[must_use]
    pub fn check(&self, object: &Value, old: Option<&Value>) -> Vec<Cause> {
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
