//! What an object of ours must mean, beyond what its schema can say.
//!
//! The server's admission and `stoa apply` call the same function. It reads the object as JSON, so
//! that an object that breaks its schema is judged as far as it goes, and it returns all problems.

mod revocation;

mod task;

use std::collections::BTreeSet;

use serde_json::Value;

use crate::duration::Span;
use crate::resources::{PORTS, ResourceList, Resources, canonical};
use crate::schema::{self, FieldError};

/// Everything that is wrong with an object of ours: schema first, then meaning. Where both object
/// to one field, the text that knows the meaning is kept.
#[must_use]
pub fn complete(schema: &Value, kind: &str, object: &Value) -> Vec<FieldError> {
    let meant = validate(kind, object);
    let said: BTreeSet<&str> = meant.iter().map(|error| error.path.as_str()).collect();
    let mut errors = schema::validate(schema, object);
    errors.retain(|error| !said.contains(error.path.as_str()));
    errors.extend(meant);
    errors
}

/// Everything that is wrong with the meaning of an object; nothing for kinds of others.
#[must_use]
pub fn validate(kind: &str, object: &Value) -> Vec<FieldError> {
    let mut check = Check::default();
    let root = At {
        path: String::new(),
        value: object,
    };
    let spec = root.field("spec");
    match kind {
        "ResourcePool" => check.pool(&root, &spec),
        "Framework" => check.framework(&spec),
        "Task" => check.task(&spec),
        "TaskGroup" => check.group(&root, &spec),
        "Reservation" => check.reservation(&spec),
        "Revocation" => check.revocation(&spec),
        "Offer" => {
            check.resources(&spec.field("resources"));
        }
        "Agent" => {
            check.resources(&root.field("status").field("capacity"));
            check.resources(&root.field("status").field("allocatable"));
        }
        _ => {}
    }
    check.errors
}

/// A value and its path; null stands for whatever is not there.
struct At<'a> {
    path: String,
    value: &'a Value,
}

impl<'a> At<'a> {
    fn field(&self, name: &str) -> Self {
        let path = if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        };
        Self {
            path,
            value: self.value.get(name).unwrap_or(&Value::Null),
        }
    }

    fn text(&self) -> Option<&'a str> {
        self.value.as_str()
    }

    fn items(&self) -> impl Iterator<Item = Self> {
        let items = self.value.as_array().map_or(&[][..], Vec::as_slice);
        items.iter().enumerate().map(|(index, value)| Self {
            path: format!("{}[{index}]", self.path),
            value,
        })
    }

    fn fields(&self) -> impl Iterator<Item = (&'a str, Self)> {
        let fields = self.value.as_object().into_iter().flatten();
        fields.map(|(name, _)| (name.as_str(), self.field(name)))
    }
}

#[derive(Default)]
struct Check {
    errors: Vec<FieldError>,
}

impl Check {
    fn invalid(&mut self, at: &At<'_>, why: &str) {
        self.errors
            .push(FieldError::invalid(at.path.clone(), at.value, why));
    }

    fn pool(&mut self, root: &At<'_>, spec: &At<'_>) {
        self.pool_name(&root.field("metadata").field("name"));
        let weight = spec.field("weight");
        if weight.value.as_f64().is_some_and(|weight| weight <= 0.0) {
            self.invalid(&weight, "a weight is greater than 0");
        }
        let quota = spec.field("quota");
        let (guarantees, limits) = (quota.field("guarantees"), quota.field("limits"));
        let promised = self.resources(&guarantees);
        let ceiling = self.resources(&limits);
        for list in [&guarantees, &limits] {
            self.no_ports(list, "a quota counts amounts, and ports are not counted");
        }
        if let (Some(promised), Some(ceiling)) = (promised, ceiling) {
            self.at_least(&limits, &ceiling, &promised, "the guarantee");
        }
    }

    fn framework(&mut self, spec: &At<'_>) {
        self.pool_name(&spec.field("pool"));
        self.span(&spec.field("failoverTimeout"));
        let timeout = spec.field("offerTimeout");
        if self.span(&timeout) == Some(Span::default()) {
            self.invalid(
                &timeout,
                "an offer has to stand for some time, e.g. \"30s\"",
            );
        }
        for name in ["minimum", "total"] {
            self.resources(&spec.field("demand").field(name));
        }
    }

    fn group(&mut self, root: &At<'_>, spec: &At<'_>) {
        let group = root
            .field("metadata")
            .field("name")
            .text()
            .unwrap_or_default()
            .len();
        let framework = spec.field("framework");
        let mut names = BTreeSet::new();
        for member in spec.field("tasks").items() {
            let name = member.field("name");
            if let Some(text) = name.text().filter(|text| !text.is_empty()) {
                self.label(&name);
                if !names.insert(text) {
                    self.errors
                        .push(FieldError::duplicate(name.path.clone(), name.value));
                }
                if group + 1 + text.len() > 253 {
                    self.invalid(
                        &name,
                        "the task's name, GROUP-NAME, is longer than 253 characters",
                    );
                }
            }
            let own = member.field("spec").field("framework");
            if own
                .text()
                .is_some_and(|own| !own.is_empty() && Some(own) != framework.text())
            {
                let theirs = framework.text().unwrap_or_default();
                self.invalid(
                    &own,
                    &format!("leave it out, or write the group's, {theirs:?}"),
                );
            }
            self.task(&member.field("spec"));
        }
    }

    fn reservation(&mut self, spec: &At<'_>) {
        self.pool_name(&spec.field("pool"));
        let resources = spec.field("resources");
        if self
            .resources(&resources)
            .is_some_and(|held| held.is_zero())
            && resources.value.is_object()
        {
            let why = "what is held on each agent, e.g. {cpus: \"2\", mem: 4Gi}";
            self.errors.push(FieldError::required(resources.path, why));
        }
    }

    /// Dotted DNS labels: `eng.batch`.
    fn pool_name(&mut self, name: &At<'_>) {
        let Some(text) = name.text().filter(|text| !text.is_empty()) else {
            return;
        };
        if text.len() > 253 || !text.split('.').all(is_label) {
            self.invalid(
                name,
                "a pool's name is made of lower case letters, digits and '-', with dots between \
                 the levels, e.g. \"eng.batch\"",
            );
        }
    }

    fn label(&mut self, name: &At<'_>) {
        if name.text().is_some_and(|text| !is_label(text)) {
            let why = "a name is made of lower case letters, digits and '-', at most 63, e.g. \"worker-1\"";
            self.invalid(name, why);
        }
    }

    fn span(&mut self, at: &At<'_>) -> Option<Span> {
        if at.value.is_null() {
            return None;
        }
        match serde_json::from_value(at.value.clone()) {
            Ok(span) => Some(span),
            Err(error) => {
                self.invalid(at, &error.to_string());
                None
            }
        }
    }

    /// The exact resources of a list, nothing if there is no list; `None` if it is wrong.
    fn resources(&mut self, list: &At<'_>) -> Option<Resources> {
        if list.value.is_null() {
            return Some(Resources::default());
        }
        let read: ResourceList = serde_json::from_value(list.value.clone()).ok()?;
        match read.exact() {
            Ok(resources) => Some(resources),
            Err(problems) => {
                for problem in problems {
                    self.invalid(&list.field(&problem.key), &problem.message);
                }
                None
            }
        }
    }

    fn no_ports(&mut self, list: &At<'_>, why: &str) {
        if list.value.get(PORTS).is_some() {
            self.errors
                .push(FieldError::forbidden(list.field(PORTS).path, why));
        }
    }

    /// Each limit that is written is at least what it limits.
    fn at_least(&mut self, limits: &At<'_>, ceiling: &Resources, floor: &Resources, what: &str) {
        for (key, limit) in limits.fields() {
            let name = canonical(key);
            if name != PORTS && ceiling.get(name) < floor.get(name) {
                let least = Resources::new([(name, floor.get(name))]).to_list();
                let least = least.get(name).map(ToString::to_string).unwrap_or_default();
                self.invalid(&limit, &format!("is less than {what}, {least}"));
            }
        }
    }
}

fn is_label(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !text.is_empty()
        && text.len() <= 63
        && text.bytes().all(plain)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests;
