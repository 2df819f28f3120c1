//! Webhooks: who is asked, and what follows from the answers.

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::inputs::{Facts, Inputs, namespace};
use super::judging;
use super::matching::{Asked, Matching};
use super::policy::{self, Compiled};
use super::review::{self, Verdict};
use super::rulings::{Question, Ruling, Rulings};
use super::snapshot::word;
use crate::metadata;
use crate::registry::{Descriptor, Registry};
use crate::status::Failure;
use crate::world::World;

/// One webhook of a configuration.
#[derive(Debug)]
pub struct Webhook {
    /// The configuration's name.
    pub configuration: String,
    /// The configuration's revision.
    pub revision: u64,
    /// Its own name.
    pub name: String,
    /// What it is about.
    pub matching: Matching,
    /// What must hold beside.
    conditions: Vec<Compiled>,
    /// Its silence counts as consent.
    pub fails_open: bool,
    /// It is asked again if another changes the object after it.
    pub is_reinvoked: bool,
    /// How long it may take, in seconds.
    pub timeout_s: u64,
    /// Where it answers.
    pub url: String,
    /// PEM certificates of those who may sign its own; empty: the machine's.
    pub ca_bundle: Vec<u8>,
}

impl Webhook {
    /// All webhooks of a configuration.
    #[must_use]
    pub fn all(configuration: &Value, revision: u64) -> Vec<Self> {
        let hooks = configuration.get("webhooks").and_then(Value::as_array);
        let hooks = hooks.into_iter().flatten();
        let one = |hook: &Value| Self {
            configuration: metadata::text(configuration, "name").to_owned(),
            revision,
            name: word(hook, "name").to_owned(),
            matching: Matching::of(hook),
            conditions: policy::conditions(hook, false),
            fails_open: word(hook, "failurePolicy") == "Ignore",
            is_reinvoked: word(hook, "reinvocationPolicy") == "IfNeeded",
            timeout_s: hook["timeoutSeconds"].as_u64().unwrap_or(10).clamp(1, 30),
            url: word(&hook["clientConfig"], "url").to_owned(),
            ca_bundle: STANDARD
                .decode(word(&hook["clientConfig"], "caBundle"))
                .unwrap_or_default(),
        };
        hooks.map(one).collect()
    }

    /// The resource as this webhook's rules name it, if it is about this request.
    ///
    /// # Errors
    /// 403 when a condition cannot be evaluated, unless silence counts as consent.
    fn concerns(
        &self,
        asked: &Asked<'_>,
        registry: &Registry,
        world: &mut World,
    ) -> Result<Option<Arc<Descriptor>>, Failure> {
        let Some(matched) = self.matching.resource(asked, registry) else {
            return Ok(None);
        };
        if !self.matching.selects_object(asked)
            || !self
                .matching
                .selects_namespace(asked, |name| namespace(world, name))
        {
            return Ok(None);
        }
        if self.conditions.is_empty() {
            return Ok(Some(matched));
        }
        let facts = Facts::new(world, asked, &matched);
        match judging::hold(&self.conditions, &mut Inputs::new(&facts, None)) {
            Ok(true) => Ok(Some(matched)),
            Ok(false) => Ok(None),
            Err(_) if self.fails_open => Ok(None),
            Err(problem) => Err(Failure::forbidden(
                &asked.resource.gr(),
                asked.name,
                &problem,
            )),
        }
    }
}

/// What a ruling means.
#[derive(Debug, PartialEq)]
enum Outcome<'a> {
    Allowed(&'a Verdict),
    Ignored,
}

fn judge<'a>(hook: &Webhook, ruling: &'a Ruling) -> Result<Outcome<'a>, Failure> {
    match ruling {
        Ruling::Answered(verdict) if verdict.allowed => Ok(Outcome::Allowed(verdict)),
        Ruling::Answered(verdict) => Err(Failure::denied(&hook.name, &verdict.status)),
        Ruling::Failed(_) if hook.fails_open => Ok(Outcome::Ignored),
        Ruling::Failed(reason) => Err(Failure::internal(format!(
            "failed calling webhook {:?}: {reason}",
            hook.name
        ))),
    }
}

/// What is needed to ask.
pub struct Asking<'a> {
    /// The webhooks.
    pub hooks: &'a [Arc<Webhook>],
    /// What is known, and what is to be found out.
    pub rulings: &'a Rulings,
    /// For other versions of a resource.
    pub registry: &'a Registry,
    /// Where namespaces are looked up.
    pub world: &'a mut World,
}

impl std::fmt::Debug for Asking<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Asking")
            .field("hooks", &self.hooks)
            .finish_non_exhaustive()
    }
}

/// Asks all validating webhooks, at once. Answers warnings.
///
/// # Errors
/// The first denial; undecided if any answer is not known yet.
pub fn validate(asking: &mut Asking<'_>, asked: &Asked<'_>) -> Result<Vec<String>, Failure> {
    let (mut rulings, mut decided) = (Vec::new(), true);
    for hook in asking.hooks {
        if let Some(matched) = hook.concerns(asked, asking.registry, asking.world)? {
            let request = review::request(asked, &matched);
            let known = asking.rulings.ask(Question::new(hook, request, false));
            decided &= known.is_some();
            rulings.extend(known.map(|ruling| (hook, ruling)));
        }
    }
    if !decided {
        return Err(Failure::undecided());
    }
    let mut warnings = Vec::new();
    for (hook, ruling) in &rulings {
        match judge(hook, ruling)? {
            Outcome::Allowed(verdict) => warnings.extend(verdict.warnings.iter().cloned()),
            Outcome::Ignored => {}
        }
    }
    Ok(warnings)
}

/// Asks the mutating webhooks, one after the other; those that want to are asked again about what
/// the later ones made of the object. `apply` puts a patch on the object. Answers what the object
/// became, if it changed, and warnings.
///
/// # Errors
/// The first denial; undecided at the first answer that is not known yet.
pub fn mutate(
    asking: &mut Asking<'_>,
    asked: &Asked<'_>,
    apply: &dyn Fn(&Value, &Value) -> Result<Value, Failure>,
) -> Result<(Option<Value>, Vec<String>), Failure> {
    let (mut changed, mut warnings): (Option<Value>, Vec<String>) = (None, Vec::new());
    let (mut invoked, mut again) = (BTreeSet::new(), BTreeSet::new());
    let hooks = asking.hooks;
    for round in 0..2 {
        for (n, hook) in hooks.iter().enumerate() {
            if round == 1 && !again.contains(&n) {
                continue;
            }
            let present = changed.as_ref().or(asked.object);
            let step = ask(
                asking,
                hook,
                &Asked {
                    object: present,
                    ..*asked
                },
            )?;
            let Step::Asked(patch, said) = step else {
                continue;
            };
            warnings.extend(said);
            if let Some(patch) = patch {
                let present = present.ok_or_else(|| not_modifiable(hook))?;
                let patched = apply(present, &patch)?;
                if patched != *present {
                    again.extend(std::mem::take(&mut invoked));
                    changed = Some(patched);
                }
            }
            if hook.is_reinvoked {
                invoked.insert(n);
            }
        }
    }
    Ok((changed, warnings))
}

fn not_modifiable(hook: &Webhook) -> Failure {
    Failure::internal(format!(
        "admission webhook {:?} attempted to modify the object, which is not supported for this operation",
        hook.name
    ))
}

/// What asking one webhook came to.
#[derive(Debug)]
enum Step {
    /// It is not about this request, or does not answer and need not.
    Passed,
    /// It allows; its patch and its warnings.
    Asked(Option<Value>, Vec<String>),
}

fn ask(asking: &mut Asking<'_>, hook: &Arc<Webhook>, asked: &Asked<'_>) -> Result<Step, Failure> {
    let Some(matched) = hook.concerns(asked, asking.registry, asking.world)? else {
        return Ok(Step::Passed);
    };
    let request = review::request(asked, &matched);
    let ruling = asking.rulings.ask(Question::new(hook, request, true));
    let ruling = ruling.ok_or_else(Failure::undecided)?;
    Ok(match judge(hook, &ruling)? {
        Outcome::Allowed(verdict) => Step::Asked(verdict.patch.clone(), verdict.warnings.clone()),
        Outcome::Ignored => Step::Passed,
    })
}
