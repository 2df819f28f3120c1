//! What expressions read: the request, its objects, the namespace, parameters, rights, and variables
//! that are composed of these when somebody needs them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value as Json;

use super::expression::{Expression, Trouble};
use super::labels;
use super::matching::{Asked, shown};
use super::policy::{Binding, Compiled, Policy};
use super::review;
use super::snapshot::word;
use super::variables::{namespace_schema, request_schema};
use crate::authorize::Authorizer;
use crate::cel::rights::{Right, Subject};
use crate::cel::{Budget, Error, Names, Shape, Special, Value};
use crate::keys;
use crate::object;
use crate::registry::{Descriptor, Registry};
use crate::user::{Attributes, User};
use crate::world::World;

/// What is known of a request, for expressions to read.
#[derive(Debug)]
pub struct Facts {
    object: Json,
    old: Json,
    request: Json,
    namespace: Json,
    subject: Arc<Subject>,
    resource: Arc<Attributes>,
}

impl Facts {
    /// Of two objects and a user, with nothing around them.
    #[must_use]
    pub fn of(object: Json, old: Json, user: User, authorizer: Authorizer) -> Self {
        Self {
            object,
            old,
            request: Json::Null,
            namespace: Json::Null,
            subject: Arc::new(Subject { user, authorizer }),
            resource: Arc::default(),
        }
    }

    /// Of a request, as the matched version of the resource shows it.
    #[must_use]
    pub fn new(world: &mut World, asked: &Asked<'_>, matched: &Descriptor) -> Self {
        let mut request = review::request(asked, matched);
        if let Some(map) = request.as_object_mut() {
            map.remove("object");
            map.remove("oldObject");
        }
        let around = asked.namespace.and_then(|name| namespace(world, name));
        let (object, old) = (shown(asked.object, matched), shown(asked.old, matched));
        Self {
            request,
            namespace: around.map_or(Json::Null, |one| (*one).clone()),
            resource: Arc::new(attributes(asked)),
            ..Self::of(object, old, asked.user.clone(), asked.authorizer.clone())
        }
    }
}

/// The request as a question about rights that lacks its verb.
fn attributes(asked: &Asked<'_>) -> Attributes {
    let verb = if asked.old.is_none() { "create" } else { "" };
    Attributes {
        verb: verb.to_owned(),
        group: asked.resource.group.clone(),
        version: asked.resource.version.clone(),
        resource: asked.resource.plural.clone(),
        subresource: asked.subresource.to_owned(),
        namespace: asked.namespace.unwrap_or_default().to_owned(),
        name: asked.name.to_owned(),
        ..Attributes::default()
    }
    .placed()
}

/// Named values for expressions, and what evaluating them may still cost.
#[derive(Debug)]
pub struct Inputs<'a> {
    given: Given<'a>,
    /// Places of the variables that were composed.
    done: BTreeSet<usize>,
    budget: Budget,
}

#[derive(Debug)]
struct Given<'a> {
    plain: Vec<(&'static str, Value<'a>)>,
    request_resource: Value<'a>,
    composed: BTreeMap<String, Result<Value<'a>, String>>,
}

impl<'a> Names<'a> for Given<'a> {
    fn get(&self, name: &str) -> Option<Value<'a>> {
        self.plain.get(name)
    }

    fn qualified(&self, name: &str, field: &str) -> Option<Result<Value<'a>, Error>> {
        match (name, field) {
            ("authorizer", "requestResource") => Some(Ok(self.request_resource.clone())),
            ("variables", name) => {
                let made = self.composed.get(name)?;
                Some(made.clone().map_err(Error::Text))
            }
            _ => None,
        }
    }
}

impl<'a> Inputs<'a> {
    /// Over these facts, and parameters if there are any.
    #[must_use]
    pub fn new(facts: &'a Facts, params: Option<&'a Json>) -> Self {
        let right = |right| Value::Special(Arc::new(Special::Right(right)));
        let subject = || Arc::clone(&facts.subject);
        let typed = |schema, value: &'a Json| Shape::Schema(schema, false).read(value);
        let free = |value: &'a Json| Shape::Free.read(value);
        let plain = vec![
            ("object", free(&facts.object)),
            ("oldObject", free(&facts.old)),
            ("request", typed(request_schema(), &facts.request)),
            (
                "namespaceObject",
                typed(namespace_schema(), &facts.namespace),
            ),
            ("params", params.map_or(Value::Null, free)),
            ("authorizer", right(Right::Authorizer(subject()))),
        ];
        let resource = Right::ResourceCheck(subject(), Arc::clone(&facts.resource));
        Self {
            given: Given {
                plain,
                request_resource: right(resource),
                composed: BTreeMap::new(),
            },
            done: BTreeSet::new(),
            budget: Budget::default(),
        }
    }

    /// What the following evaluations may cost together.
    pub fn grant(&mut self, steps: u64) {
        self.budget = Budget::new(steps);
    }

    /// Evaluates an expression over everything.
    ///
    /// # Errors
    /// `expression '...' resulted in error: ...`, or that nothing is left to evaluate it.
    pub(crate) fn evaluate(
        &mut self,
        expression: &Compiled,
        variables: &Variables,
    ) -> Result<Value<'a>, Trouble> {
        let expression = expression
            .as_ref()
            .map_err(|problem| Trouble::Failed(format!("compilation error: {problem}")))?;
        self.compose(expression, variables)?;
        let value = expression.evaluate(&self.given, &mut self.budget);
        value.map_err(|trouble| match trouble {
            Trouble::Spent => Trouble::Spent,
            Trouble::Failed(problem) => {
                let text = expression.text();
                Trouble::Failed(format!("expression '{text}' resulted in error: {problem}"))
            }
        })
    }

    /// The value of an expression that reads no variables, as JSON.
    ///
    /// # Errors
    /// In CEL's words.
    pub fn answer(&mut self, expression: &Expression) -> Result<Json, Trouble> {
        expression.answer(&self.given, &mut self.budget)
    }

    /// Composes the variables an expression may read, and those these read, each once. Why one cannot
    /// be composed matters only to who really reads it. None refers to a later one, so that they are
    /// composed in their order, and a long chain of them is no deep one.
    fn compose(&mut self, expression: &Expression, variables: &Variables) -> Result<(), Trouble> {
        for place in variables.needed(expression, &self.done) {
            let (name, compiled) = &variables.all[place];
            let made = match compiled {
                Ok(own) => own.evaluate(&self.given, &mut self.budget),
                Err(problem) => Err(Trouble::Failed(problem.clone())),
            };
            let how = if compiled.is_ok() {
                "evaluate"
            } else {
                "compile"
            };
            let made = match made {
                Err(Trouble::Spent) => return Err(Trouble::Spent),
                Err(Trouble::Failed(problem)) => Err(format!(
                    "composited variable {name:?} fails to {how}: {problem}"
                )),
                Ok(value) => Ok(value),
            };
            self.given.composed.insert(name.clone(), made);
            self.done.insert(place);
        }
        Ok(())
    }
}

/// The variables a policy composes, in order.
#[derive(Debug, Default)]
pub struct Variables {
    all: Vec<(String, Compiled)>,
    places: BTreeMap<String, Vec<usize>>,
}

impl Variables {
    /// Adds one, which may read those before it.
    pub(super) fn add(&mut self, name: &str, compiled: Compiled) {
        let places = self.places.entry(name.to_owned()).or_default();
        places.push(self.all.len());
        self.all.push((name.to_owned(), compiled));
    }

    /// Places of what has to be composed before an expression, in order.
    fn needed(&self, expression: &Expression, done: &BTreeSet<usize>) -> BTreeSet<usize> {
        let mut needed = BTreeSet::new();
        let mut open: Vec<&str> = expression.variables().collect();
        while let Some(name) = open.pop() {
            for place in self.places.get(name).into_iter().flatten() {
                if !done.contains(place)
                    && needed.insert(*place)
                    && let (_, Ok(own)) = &self.all[*place]
                {
                    open.extend(own.variables());
                }
            }
        }
        needed
    }
}

/// A namespace by name.
pub(super) fn namespace(world: &mut World, name: &str) -> Option<Arc<Json>> {
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
) -> Result<Vec<Option<Json>>, String> {
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
    reference: &Json,
) -> Result<Vec<Json>, String> {
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
        let labels = one.pointer("/metadata/labels").and_then(Json::as_object);
        requirements
            .iter()
            .all(|requirement| requirement.holds(labels))
    });
    Ok(selected.map(|one| shown(Some(&one), resource)).collect())
}
