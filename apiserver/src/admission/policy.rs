//! ValidatingAdmissionPolicy: what a policy and its bindings have against a request.
//!
//! Rules and texts: upstream's `pkg/admission/plugin/policy/validating`.

use serde_json::Value as Json;

use super::expression::{Composed, Expression, Known, Wanted};
use super::inputs::{Variables, namespace};
use super::judging::{self, Judgement, Objection};
use super::matching::{Asked, Matching};
use super::notes::{self, Notes};
use super::snapshot::word;
use crate::metadata;
use crate::registry::{Descriptor, Registry};
use crate::status::Failure;
use crate::world::World;

/// A policy, compiled, with the bindings that put it to work.
#[derive(Debug)]
pub struct Policy {
    name: String,
    /// What it is about.
    pub matching: Matching,
    pub(super) conditions: Vec<Compiled>,
    /// The kind of its parameters: apiVersion and kind.
    pub(super) param_kind: Option<(String, String)>,
    /// Composed variables, in order.
    pub(super) variables: Variables,
    pub(super) validations: Vec<Validation>,
    pub(super) annotations: Vec<Annotation>,
    pub(super) fails_open: bool,
    bindings: Vec<Binding>,
}

/// Compiled when it was written; what does not compile any more is a failure of the policy.
pub(super) type Compiled = Result<Expression, String>;

#[derive(Debug)]
pub(super) struct Validation {
    pub(super) expression: Compiled,
    pub(super) message: String,
    pub(super) message_expression: Option<Compiled>,
    pub(super) reason: String,
}

/// An annotation for the audit log.
#[derive(Debug)]
pub(super) struct Annotation {
    pub(super) key: String,
    pub(super) value: Compiled,
}

/// A binding of a policy.
#[derive(Debug)]
pub struct Binding {
    name: String,
    matching: Matching,
    /// `paramRef`, or null.
    pub(super) reference: Json,
    actions: Vec<String>,
}

fn compile(value: &Json, field: &str, known: Known<'_>, wanted: Wanted) -> Compiled {
    Expression::compile(word(value, field), known, wanted)
}

fn list<'a>(value: &'a Json, field: &str) -> impl Iterator<Item = &'a Json> {
    value
        .get(field)
        .and_then(Json::as_array)
        .into_iter()
        .flatten()
}

/// `matchConditions` of a webhook or a policy.
pub(super) fn conditions(value: &Json, params: bool) -> Vec<Compiled> {
    let known = Known {
        params,
        authorizer: true,
        variables: None,
        ..Known::default()
    };
    list(value, "matchConditions")
        .map(|one| compile(one, "expression", known, Wanted::Bool))
        .collect()
}

impl Policy {
    /// From the object, with those of the bindings that name it.
    #[must_use]
    pub fn of(object: &Json, bindings: &[Json]) -> Self {
        let spec = &object["spec"];
        let name = metadata::text(object, "name").to_owned();
        let param_kind = spec.get("paramKind").filter(|kind| kind.is_object());
        let params = param_kind.is_some();
        let (variables, composed) = variables(spec, params);
        let known = Known {
            params,
            authorizer: true,
            variables: Some(&composed),
            ..Known::default()
        };
        let own = bindings
            .iter()
            .filter(|one| word(&one["spec"], "policyName") == name);
        Self {
            matching: Matching::of(&spec["matchConstraints"]),
            conditions: conditions(spec, params),
            param_kind: param_kind.map(|kind| {
                (
                    word(kind, "apiVersion").to_owned(),
                    word(kind, "kind").to_owned(),
                )
            }),
            variables,
            validations: list(spec, "validations")
                .map(|one| Validation::of(one, known))
                .collect(),
            annotations: list(spec, "auditAnnotations")
                .map(|one| Annotation {
                    key: word(one, "key").to_owned(),
                    value: compile(one, "valueExpression", known, Wanted::TextOrNull),
                })
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

/// The composed variables; each knows those before it.
fn variables(spec: &Json, params: bool) -> (Variables, Composed) {
    let (mut variables, mut composed) = (Variables::default(), Composed::default());
    for one in list(spec, "variables") {
        let known = Known {
            params,
            authorizer: true,
            variables: Some(&composed),
            ..Known::default()
        };
        let compiled = compile(one, "expression", known, Wanted::Anything);
        let name = word(one, "name");
        composed.add(name, compiled.as_ref().ok());
        variables.add(name, compiled);
    }
    (variables, composed)
}

impl Validation {
    fn of(value: &Json, known: Known<'_>) -> Self {
        let words = word(value, "messageExpression");
        // Messages are made without the authorizer.
        let spoken = Known {
            authorizer: false,
            ..known
        };
        Self {
            expression: compile(value, "expression", known, Wanted::Bool),
            message: word(value, "message").trim().to_owned(),
            message_expression: (!words.is_empty())
                .then(|| compile(value, "messageExpression", spoken, Wanted::Text)),
            reason: word(value, "reason").to_owned(),
        }
    }
}

impl Binding {
    fn of(object: &Json) -> Self {
        let spec = &object["spec"];
        let actions = list(spec, "validationActions").filter_map(Json::as_str);
        Self {
            name: metadata::text(object, "name").to_owned(),
            matching: Matching::of(&spec["matchResources"]),
            reference: spec["paramRef"].clone(),
            actions: actions.map(str::to_owned).collect(),
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
    notes: &mut Notes,
) -> Result<Vec<String>, Failure> {
    let mut findings = Findings {
        notes,
        warnings: Vec::new(),
        denied: None,
    };
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
            let parties = Parties {
                policy,
                binding,
                asked,
            };
            match judging::judgements(world, &parties, registry, &matched) {
                Err(problem) => findings.deny(&parties, &problem, ""),
                Ok(judgements) => {
                    for judgement in &judgements {
                        findings.take(&parties, judgement);
                    }
                }
            }
        }
    }
    match findings.denied {
        Some(denied) => Err(denied),
        None => Ok(findings.warnings),
    }
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

/// Whose objections, as put to work by what, and about which request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parties<'a> {
    pub(super) policy: &'a Policy,
    pub(super) binding: &'a Binding,
    pub(super) asked: &'a Asked<'a>,
}

/// What comes of all policies. One that denies keeps no other from speaking.
#[derive(Debug)]
struct Findings<'n> {
    notes: &'n mut Notes,
    warnings: Vec<String>,
    /// The first denial.
    denied: Option<Failure>,
}

impl Findings<'_> {
    fn take(&mut self, parties: &Parties<'_>, judgement: &Judgement) {
        for objection in &judgement.objections {
            self.weigh(parties, objection);
        }
        for (key, value) in &judgement.annotations {
            self.notes.publish(&parties.policy.name, key, value);
        }
        for fault in &judgement.faults {
            self.deny(parties, fault, "");
        }
    }

    /// What follows from an objection under a binding.
    fn weigh(&mut self, parties: &Parties<'_>, objection: &Objection) {
        let (own, bound) = (&parties.policy.name, &parties.binding.name);
        let message = &objection.message;
        for action in &parties.binding.actions {
            match action.as_str() {
                "Deny" => self.deny(parties, message, &objection.reason),
                "Audit" => self.notes.fail(notes::Failure {
                    message: message.clone(),
                    policy: own.clone(),
                    binding: bound.clone(),
                    expression_index: objection.index,
                    validation_actions: parties.binding.actions.clone(),
                }),
                "Warn" => self.warnings.push(format!(
                    "Validation failed for ValidatingAdmissionPolicy '{own}' with binding '{bound}': {message}"
                )),
                _ => {}
            }
        }
    }

    fn deny(&mut self, parties: &Parties<'_>, message: &str, reason: &str) {
        let (own, bound) = (&parties.policy.name, &parties.binding.name);
        let text = format!(
            "ValidatingAdmissionPolicy '{own}' with binding '{bound}' denied request: {message}"
        );
        let asked = parties.asked;
        let denied = || Failure::policy(&asked.resource.gr(), asked.name, reason, text);
        self.denied.get_or_insert_with(denied);
    }
}
