//! What expressions read: the request, its objects, the namespace, parameters, and variables that
//! are composed of these when somebody needs them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::expression::{Bound, Expression};
use super::labels;
use super::matching::{Asked, shown};
use super::policy::{Binding, Compiled, Policy};
use super::review;
use super::snapshot::word;
use crate::keys;
use crate::object;
use crate::registry::{Descriptor, Registry};
use crate::world::World;

/// Named values for expressions.
#[derive(Debug)]
pub struct Inputs {
    object: Bound,
    old: Bound,
    request: Bound,
    namespace: Bound,
    params: Bound,
    composed: BTreeMap<String, Bound>,
}

impl Inputs {
    /// Of a request, as the matched version of the resource shows it.
    #[must_use]
    pub fn new(world: &mut World, asked: &Asked<'_>, matched: &Descriptor) -> Self {
        let mut request = review::request(asked, matched);
        if let Some(map) = request.as_object_mut() {
            map.remove("object");
            map.remove("oldObject");
        }
        let around = asked.namespace.and_then(|name| namespace(world, name));
        Self {
            object: Bound::of(&shown(asked.object, matched)),
            old: Bound::of(&shown(asked.old, matched)),
            request: Bound::of(&request),
            namespace: around.map_or_else(|| Bound::of(&Value::Null), |one| Bound::of(&one)),
            params: Bound::of(&Value::Null),
            composed: BTreeMap::new(),
        }
    }

    /// Other parameters; what was composed of the former is forgotten.
    pub fn set_params(&mut self, params: Option<&Value>) {
        self.params = Bound::of(params.unwrap_or(&Value::Null));
        self.composed.clear();
    }

    /// Evaluates an expression over everything.
    ///
    /// # Errors
    /// As the expression.
    pub fn evaluate(
        &self,
        expression: &Expression,
        variables: Option<&Bound>,
    ) -> Result<Bound, String> {
        let mut bound = vec![
            ("object", &self.object),
            ("oldObject", &self.old),
            ("request", &self.request),
            ("namespaceObject", &self.namespace),
            ("params", &self.params),
        ];
        bound.extend(variables.map(|variables| ("variables", variables)));
        expression.evaluate(&bound)
    }

    /// The variables composed so far.
    #[must_use]
    pub fn variables(&self) -> Bound {
        Bound::map(self.composed.clone())
    }

    /// Composes the variables an expression names; each may name those before it. Answers why one
    /// could not be composed: it matters only if the expression really reads it.
    pub fn compose(
        &mut self,
        expression: &Expression,
        all: &[(String, Compiled)],
    ) -> Option<String> {
        let mut failed = None;
        for wanted in expression.variables() {
            if self.composed.contains_key(wanted) {
                continue;
            }
            let Some(place) = all.iter().position(|(name, _)| name == wanted) else {
                continue;
            };
            let (before, compiled) = (&all[..place], &all[place].1);
            let made = compiled.as_ref().map_err(String::clone).and_then(|own| {
                let inner = self.compose(own, before);
                let variables = self.variables();
                self.evaluate(own, Some(&variables))
                    .map_err(|problem| inner.unwrap_or(problem))
            });
            match made {
                Ok(bound) => _ = self.composed.insert(wanted.clone(), bound),
                Err(problem) => {
                    let text =
                        format!("composited variable {wanted:?} fails to evaluate: {problem}");
                    failed = failed.or(Some(text));
                }
            }
        }
        failed
    }
}

/// A namespace by name.
pub(super) fn namespace(world: &mut World, name: &str) -> Option<Arc<Value>> {
    world.read(&keys::object("", "namespaces", None, name))
}

/// The parameters a binding refers to; each is judged with. One that is none: without.
///
/// # Errors
/// Why the binding cannot be used, in upstream's words.
pub(super) fn params(
    world: &mut World,
    policy: &Policy,
    binding: &Binding,
    registry: &Registry,
    asked: &Asked<'_>,
) -> Result<Vec<Option<Value>>, String> {
    let Some((api_version, kind)) = &policy.param_kind else {
        return Ok(vec![None]);
    };
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let resource = registry
        .by_kind(group, Some(version), kind)
        .ok_or_else(|| format!("paramKind kind `{api_version}, Kind={kind}` not known"))?;
    let reference = &binding.reference;
    if !reference.is_object() {
        return Ok(vec![None]);
    }
    let namespace = params_namespace(&resource, word(reference, "namespace"), asked)?;
    let found = find(world, &resource, namespace, reference)?;
    if found.is_empty() && word(reference, "parameterNotFoundAction") == "Deny" {
        const TEXT: &str = "no params found for policy binding with `Deny` parameterNotFoundAction";
        return Err(TEXT.to_owned());
    }
    Ok(found.into_iter().map(Some).collect())
}

fn params_namespace<'a>(
    resource: &Descriptor,
    named: &'a str,
    asked: &Asked<'a>,
) -> Result<Option<&'a str>, String> {
    match (resource.namespaced, named) {
        (false, "") => Ok(None),
        (false, _) => {
            Err("paramRef.namespace must not be provided for a cluster-scoped `paramKind`".to_owned())
        }
        (true, "") => asked.namespace.map(Some).ok_or_else(|| {
            "cannot use namespaced paramRef in policy binding that matches cluster-scoped resources".to_owned()
        }),
        (true, name) => Ok(Some(name)),
    }
}

fn find(
    world: &mut World,
    resource: &Descriptor,
    namespace: Option<&str>,
    reference: &Value,
) -> Result<Vec<Value>, String> {
    let name = word(reference, "name");
    if !name.is_empty() {
        let found = world.read(&keys::of(resource, namespace, name));
        return Ok(found
            .map(|one| shown(Some(&one), resource))
            .into_iter()
            .collect());
    }
    let requirements = labels::requirements(&reference["selector"])?;
    let prefix = keys::list(resource, namespace);
    let all = world
        .view()
        .prefix(&prefix)
        .map(|item| object::decode(&world.vault().open(item)));
    let selected = all.filter(|one| {
        let labels = one.pointer("/metadata/labels").and_then(Value::as_object);
        requirements
            .iter()
            .all(|requirement| requirement.holds(labels))
    });
    Ok(selected.map(|one| shown(Some(&one), resource)).collect())
}
