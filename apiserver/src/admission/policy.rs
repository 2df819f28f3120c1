//! ValidatingAdmissionPolicy: what a policy and its bindings have against a request.
//!
//! Rules and texts: upstream's `pkg/admission/plugin/policy/validating`.

use serde_json::Value;

use super::expression::{Bound, Expression, Known};
use super::inputs::{Inputs, namespace, params};
use super::matching::{Asked, Matching};
use super::snapshot::word;
use crate::metadata;
use crate::registry::{Descriptor, Registry};
use crate::status::Failure;
use crate::world::World;

/// Longest message an expression may make, as upstream.
const MESSAGE_BYTES_MAX: usize = 5 << 10;

/// A policy, compiled, with the bindings that put it to work.
#[derive(Debug)]
pub struct Policy {
    name: String,
    /// What it is about.
    pub matching: Matching,
    conditions: Vec<Compiled>,
    /// The kind of its parameters: apiVersion and kind.
    pub(super) param_kind: Option<(String, String)>,
    /// Composed variables, in order.
    pub(super) variables: Vec<(String, Compiled)>,
    validations: Vec<Validation>,
    fails_open: bool,
    bindings: Vec<Binding>,
}

/// Compiled when it was written; what does not compile any more is a failure of the policy.
pub(super) type Compiled = Result<Expression, String>;

#[derive(Debug)]
struct Validation {
    expression: Compiled,
    message: String,
    message_expression: Option<Compiled>,
    reason: String,
}

/// A binding of a policy.
#[derive(Debug)]
pub struct Binding {
    name: String,
    matching: Matching,
    /// `paramRef`, or null.
    pub(super) reference: Value,
    actions: Vec<String>,
}

fn compile(value: &Value, field: &str, known: Known) -> Compiled {
    Expression::compile(word(value, field), known)
}

fn list<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    value
        .get(field)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

/// `matchConditions` of a webhook or a policy.
pub(super) fn conditions(value: &Value, params: bool) -> Vec<Compiled> {
    let known = Known {
        params,
        variables: false,
    };
    list(value, "matchConditions")
        .map(|one| compile(one, "expression", known))
        .collect()
}

impl Policy {
    /// From the object, with those of the bindings that name it.
    #[must_use]
    pub fn of(object: &Value, bindings: &[Value]) -> Self {
        let spec = &object["spec"];
        let name = metadata::text(object, "name").to_owned();
        let param_kind = spec.get("paramKind").filter(|kind| kind.is_object());
        let known = Known {
            params: param_kind.is_some(),
            variables: true,
        };
        let variable = |one: &Value| {
            (
                word(one, "name").to_owned(),
                compile(one, "expression", known),
            )
        };
        let own = bindings
            .iter()
            .filter(|one| word(&one["spec"], "policyName") == name);
        Self {
            matching: Matching::of(&spec["matchConstraints"]),
            conditions: conditions(spec, known.params),
            param_kind: param_kind.map(|kind| {
                (
                    word(kind, "apiVersion").to_owned(),
                    word(kind, "kind").to_owned(),
                )
            }),
            variables: list(spec, "variables").map(variable).collect(),
            validations: list(spec, "validations")
                .map(|one| Validation::of(one, known))
                .collect(),
            fails_open: word(spec, "failurePolicy") == "Ignore",
            bindings: own.map(Binding::of).collect(),
            name,
        }
    }

    /// True if no binding puts it to work.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.bindings.is_empty()
    }
}

impl Validation {
    fn of(value: &Value, known: Known) -> Self {
        let words = word(value, "messageExpression");
        Self {
            expression: compile(value, "expression", known),
            message: word(value, "message").trim().to_owned(),
            message_expression: (!words.is_empty())
                .then(|| compile(value, "messageExpression", known)),
            reason: word(value, "reason").to_owned(),
        }
    }
}

impl Binding {
    fn of(object: &Value) -> Self {
        let spec = &object["spec"];
        let actions = list(spec, "validationActions").filter_map(Value::as_str);
        Self {
            name: metadata::text(object, "name").to_owned(),
            matching: Matching::of(&spec["matchResources"]),
            reference: spec["paramRef"].clone(),
            actions: actions.map(str::to_owned).collect(),
        }
    }
}

/// What a policy has against a request.
#[derive(Debug, PartialEq)]
struct Objection {
    message: String,
    /// Empty: Invalid.
    reason: String,
    /// The policy's own failure, which is not for the binding's actions to weigh.
    is_failure: bool,
}

impl Objection {
    fn failure(message: String) -> Self {
        Self {
            message,
            reason: String::new(),
            is_failure: true,
        }
    }
}

/// Asks all policies. Answers warnings.
///
/// # Errors
/// The first denial.
pub fn validate(
    world: &mut World,
    policies: &[Policy],
    registry: &Registry,
    asked: &Asked<'_>,
) -> Result<Vec<String>, Failure> {
    let mut warnings = Vec::new();
    for policy in policies {
        let Some(matched) = about(world, &policy.matching, registry, asked) else {
            continue;
        };
        for binding in &policy.bindings {
            let narrowed = binding
                .matching
                .has_no_rule()
                .then(|| asked.resource.clone());
            let narrowed = narrowed.or_else(|| binding.matching.resource(asked, registry));
            if narrowed.is_none() || !selected(world, &binding.matching, asked) {
                continue;
            }
            for objection in objections(world, policy, binding, registry, asked, &matched) {
                warnings.extend(weigh(policy, binding, objection, asked)?);
            }
        }
    }
    Ok(warnings)
}

fn about(
    world: &mut World,
    matching: &Matching,
    registry: &Registry,
    asked: &Asked<'_>,
) -> Option<std::sync::Arc<Descriptor>> {
    let matched = matching.resource(asked, registry)?;
    selected(world, matching, asked).then_some(matched)
}

fn selected(world: &mut World, matching: &Matching, asked: &Asked<'_>) -> bool {
    matching.selects_object(asked)
        && matching.selects_namespace(asked, |name| namespace(world, name))
}

/// What follows from an objection under a binding.
fn weigh(
    policy: &Policy,
    binding: &Binding,
    objection: Objection,
    asked: &Asked<'_>,
) -> Result<Option<String>, Failure> {
    let Objection {
        message, reason, ..
    } = objection;
    let (own, bound) = (&policy.name, &binding.name);
    if objection.is_failure || binding.actions.iter().any(|action| action == "Deny") {
        let text = format!(
            "ValidatingAdmissionPolicy '{own}' with binding '{bound}' denied request: {message}"
        );
        return Err(Failure::policy(
            &asked.resource.gr(),
            asked.name,
            &reason,
            text,
        ));
    }
    if binding.actions.iter().any(|action| action == "Audit") {
        tracing::info!(policy = own, binding = bound, message, "a policy objects");
    }
    let warns = binding.actions.iter().any(|action| action == "Warn");
    Ok(warns.then(|| {
        format!("Validation failed for ValidatingAdmissionPolicy '{own}' with binding '{bound}': {message}")
    }))
}

fn objections(
    world: &mut World,
    policy: &Policy,
    binding: &Binding,
    registry: &Registry,
    asked: &Asked<'_>,
    matched: &Descriptor,
) -> Vec<Objection> {
    let found = match params(world, policy, binding, registry, asked) {
        Ok(found) => found,
        Err(_) if policy.fails_open => return Vec::new(),
        Err(problem) => {
            return vec![Objection::failure(format!(
                "failed to configure binding: {problem}"
            ))];
        }
    };
    let mut inputs = Inputs::new(world, asked, matched);
    let mut objections = Vec::new();
    for param in found {
        inputs.set_params(param.as_ref());
        objections.extend(judge(policy, &mut inputs));
    }
    objections
}

fn judge(policy: &Policy, inputs: &mut Inputs) -> Vec<Objection> {
    match hold(&policy.conditions, inputs) {
        Ok(true) => {}
        Ok(false) => return Vec::new(),
        Err(_) if policy.fails_open => return Vec::new(),
        Err(problem) => return vec![Objection::failure(problem)],
    }
    let mut objections = Vec::new();
    for validation in &policy.validations {
        match evaluate(&validation.expression, policy, inputs) {
            Ok(bound) if bound.truth() == Some(true) => {}
            Ok(_) => objections.push(Objection {
                message: message(validation, policy, inputs),
                reason: validation.reason.clone(),
                is_failure: false,
            }),
            Err(_) if policy.fails_open => {}
            Err(problem) => objections.push(Objection {
                message: problem,
                reason: String::new(),
                is_failure: false,
            }),
        }
    }
    objections
}

/// True if all conditions hold; one that does not settles it, whatever the others come to.
///
/// # Errors
/// A condition cannot be evaluated, and no other fails to hold.
pub(super) fn hold(conditions: &[Compiled], inputs: &Inputs) -> Result<bool, String> {
    let mut failed = Ok(true);
    for condition in conditions {
        let outcome = condition.as_ref().map_err(String::clone);
        match outcome.and_then(|expression| inputs.evaluate(expression, None)) {
            Ok(bound) if bound.truth() == Some(true) => {}
            Ok(_) => return Ok(false),
            Err(problem) => failed = Err(problem),
        }
    }
    failed
}

fn evaluate(expression: &Compiled, policy: &Policy, inputs: &mut Inputs) -> Result<Bound, String> {
    let expression = expression.as_ref().map_err(String::clone)?;
    let failed = inputs.compose(expression, &policy.variables);
    let variables = inputs.variables();
    inputs
        .evaluate(expression, Some(&variables))
        .map_err(|problem| failed.unwrap_or(problem))
}

fn message(validation: &Validation, policy: &Policy, inputs: &mut Inputs) -> String {
    let made = validation.message_expression.as_ref();
    let made = made.and_then(|expression| evaluate(expression, policy, inputs).ok());
    let made = made.as_ref().and_then(Bound::text).map_or("", str::trim);
    let usable = !made.is_empty() && made.len() <= MESSAGE_BYTES_MAX && !made.contains('\n');
    if usable {
        made.to_owned()
    } else if !validation.message.is_empty() {
        validation.message.clone()
    } else {
        let text = validation.expression.as_ref().map_or("", Expression::text);
        format!("failed expression: {text}")
    }
}
