//! Judging a request by a policy: match conditions, validations, and the messages and notes these make.
//!
//! Rules, texts and budgets: upstream's `pkg/admission/plugin/policy/validating/validator.go`.

use super::expression::{Expression, Trouble};
use super::inputs::{Facts, Inputs, Variables, params};
use super::policy::{Compiled, Parties, Policy};
use crate::cel::{OBJECT_COST_MAX, Value};
use crate::registry::{Descriptor, Registry};
use crate::world::World;

/// Longest message an expression may make, as upstream.
const MESSAGE_BYTES_MAX: usize = 5 << 10;

/// What all match conditions may cost together, as upstream.
const CONDITIONS_COST_MAX: u64 = OBJECT_COST_MAX / 4;

/// What a policy says of a request.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Judgement {
    pub(super) objections: Vec<Objection>,
    /// Annotations for the audit log.
    pub(super) annotations: Vec<(String, String)>,
    /// Why annotations cannot be made, which denies the request.
    pub(super) faults: Vec<String>,
}

impl Judgement {
    fn failure(problem: String) -> Self {
        Self {
            objections: vec![Objection::failure(0, problem)],
            ..Self::default()
        }
    }
}

/// What a policy has against a request.
#[derive(Debug, PartialEq)]
pub(super) struct Objection {
    /// Of which validation.
    pub(super) index: usize,
    pub(super) message: String,
    /// Empty: Invalid.
    pub(super) reason: String,
}

impl Objection {
    /// The policy's own failure.
    fn failure(index: usize, message: String) -> Self {
        Self {
            index,
            message,
            reason: String::new(),
        }
    }
}

/// What a policy says of a request under a binding, once for each of its parameters.
///
/// # Errors
/// Why the binding cannot be used.
pub(super) fn judgements(
    world: &mut World,
    parties: &Parties<'_>,
    registry: &Registry,
    matched: &Descriptor,
) -> Result<Vec<Judgement>, String> {
    let Parties {
        policy,
        binding,
        asked,
    } = *parties;
    let found = match params(world, policy, binding, registry, asked) {
        Ok(found) => found,
        Err(_) if policy.fails_open => return Ok(Vec::new()),
        Err(problem) => return Err(format!("failed to configure binding: {problem}")),
    };
    let facts = Facts::new(world, asked, matched);
    let each = found.iter().map(|param| {
        let mut inputs = Inputs::new(&facts, param.as_ref());
        judge(policy, &mut inputs)
    });
    Ok(each.collect())
}

/// What a policy says of a request. Its own failures are objections, unless it fails open.
fn judge(policy: &Policy, inputs: &mut Inputs<'_>) -> Judgement {
    match hold(&policy.conditions, inputs) {
        Ok(true) => {}
        Ok(false) => return Judgement::default(),
        Err(_) if policy.fails_open => return Judgement::default(),
        Err(problem) => return Judgement::failure(problem),
    }
    let objections = validate(policy, inputs);
    match annotate(policy, inputs) {
        Ok((annotations, faults)) => Judgement {
            objections,
            annotations,
            faults,
        },
        Err(_) if policy.fails_open => Judgement::default(),
        Err(problem) => Judgement::failure(problem),
    }
}

/// The validations that do not hold.
fn validate(policy: &Policy, inputs: &mut Inputs<'_>) -> Vec<Objection> {
    inputs.grant(OBJECT_COST_MAX);
    let mut broken = Vec::new();
    for (index, validation) in policy.validations.iter().enumerate() {
        match inputs.evaluate(&validation.expression, &policy.variables) {
            Ok(Value::Bool(true)) => {}
            Ok(_) => broken.push((index, None)),
            Err(Trouble::Failed(problem)) => broken.push((index, Some(problem))),
            Err(Trouble::Spent) if policy.fails_open => return Vec::new(),
            Err(Trouble::Spent) => return vec![Objection::failure(0, Trouble::Spent.to_string())],
        }
    }
    // Messages are made of what the validations left of the budget.
    let mut objections = Vec::new();
    for (index, problem) in broken {
        let outcome = problem.map_or_else(|| object(policy, index, inputs), Err);
        match outcome {
            Ok(objection) => objections.push(objection),
            Err(_) if policy.fails_open => {}
            Err(problem) => objections.push(Objection::failure(index, problem)),
        }
    }
    objections
}

type Annotated = (Vec<(String, String)>, Vec<String>);

/// The audit annotations a policy makes, and why others cannot be made.
///
/// # Errors
/// Nothing is left to make them.
fn annotate(policy: &Policy, inputs: &mut Inputs<'_>) -> Result<Annotated, String> {
    inputs.grant(OBJECT_COST_MAX);
    let (mut annotations, mut faults) = (Vec::new(), Vec::new());
    for annotation in &policy.annotations {
        match inputs.evaluate(&annotation.value, &policy.variables) {
            Ok(Value::String(text)) if !text.trim().is_empty() => {
                annotations.push((annotation.key.clone(), text.trim().to_owned()));
            }
            Ok(Value::String(_) | Value::Null) => {}
            Ok(other) => {
                let text = annotation.value.as_ref().map_or("", Expression::text);
                faults.push(format!(
                    "valueExpression '{text}' resulted in unsupported return type: {}. Return type must be \
                     either string or null.",
                    other.type_name()
                ));
            }
            Err(Trouble::Spent) => return Err(Trouble::Spent.to_string()),
            Err(Trouble::Failed(_)) if policy.fails_open => {}
            Err(Trouble::Failed(problem)) => faults.push(problem),
        }
    }
    Ok((annotations, faults))
}

/// True if all conditions hold; one that does not settles it, whatever the others come to.
///
/// # Errors
/// A condition cannot be evaluated, and no other fails to hold.
pub(super) fn hold(conditions: &[Compiled], inputs: &mut Inputs<'_>) -> Result<bool, String> {
    inputs.grant(CONDITIONS_COST_MAX);
    let mut failed: Vec<String> = Vec::new();
    for condition in conditions {
        match inputs.evaluate(condition, &Variables::default()) {
            Ok(Value::Bool(true)) => {}
            Ok(_) => return Ok(false),
            Err(Trouble::Spent) => return Err(Trouble::Spent.to_string()),
            Err(Trouble::Failed(problem)) => failed.push(problem),
        }
    }
    failed.dedup();
    match failed.as_slice() {
        [] => Ok(true),
        [one] => Err(one.clone()),
        many => Err(format!("[{}]", many.join(", "))),
    }
}

/// The objection a validation makes that does not hold.
///
/// # Errors
/// Nothing is left to make its message.
fn object(policy: &Policy, index: usize, inputs: &mut Inputs<'_>) -> Result<Objection, String> {
    let validation = &policy.validations[index];
    let made = match &validation.message_expression {
        None => None,
        Some(expression) => match inputs.evaluate(expression, &policy.variables) {
            Ok(Value::String(text)) => Some(text.trim().to_owned()),
            Ok(_) | Err(Trouble::Failed(_)) => None,
            Err(Trouble::Spent) => {
                return Err(format!("failed messageExpression: {}", Trouble::Spent));
            }
        },
    };
    let usable =
        |text: &String| !text.is_empty() && text.len() <= MESSAGE_BYTES_MAX && !text.contains('\n');
    let message = made
        .filter(usable)
        .unwrap_or_else(|| match validation.message.as_str() {
            "" => {
                let text = validation.expression.as_ref().map_or("", Expression::text);
                format!("failed expression: {text}")
            }
            own => own.to_owned(),
        });
    Ok(Objection {
        index,
        message,
        reason: validation.reason.clone(),
    })
}
