//! Nobody hands on rights he does not hold: checked on every write of a role or a binding,
//! whatever verb made it. Rules follow `pkg/registry/rbac/*/policybased` of Kubernetes.

use std::sync::Arc;

use serde_json::Value;

use super::{Answer, Context, Shown, Write, compute};
use crate::authorize::is_all_powerful;
use crate::keys;
use crate::metadata;
use crate::rbac::cover::{self, Gap};
use crate::rbac::piece::gathers;
use crate::rbac::rule::quoted;
use crate::rbac::{GROUP, Rule};
use crate::status::{Failure, Gr};
use crate::user::Attributes;
use crate::world::World;

/// Most lines of missing rights in an answer.
const LINES_MAX: usize = 100;

/// Computes a write of a role or a binding.
///
/// # Errors
/// As the write itself; 403 with the rights that are missing.
pub fn run(world: &mut World, write: &Write, context: &mut Context<'_>) -> Result<Answer, Failure> {
    let named = (!write.name.is_empty()).then(|| write.key());
    let old = named.and_then(|key| world.read(&key));
    let answer = compute(world, write, context)?;
    if let Shown::Stored(key) = &answer.shown
        && let Some(new) = world.read(key)
    {
        check(world, write, old.as_deref(), &new, context)?;
    }
    Ok(answer)
}

/// Checks an object as it is planned, against the one that was there before the write.
///
/// # Errors
/// 403 with the rights that are missing, 404 for the role of a binding that is not there.
fn check(
    world: &mut World,
    write: &Write,
    old: Option<&Value>,
    new: &Value,
    context: &Context<'_>,
) -> Result<(), Failure> {
    if is_all_powerful(context.user) || old.is_some_and(|old| same_rights(old, new)) {
        return Ok(());
    }
    match write.resource.kind.as_str() {
        "Role" | "ClusterRole" => role(write, old, new, context),
        _ => binding(world, write, new, context),
    }
}

/// True if nothing but metadata differs, and of that no label: labels decide who gathers a role.
fn same_rights(old: &Value, new: &Value) -> bool {
    let same = |field: &str| old.get(field) == new.get(field);
    let labels = |object: &Value| object.pointer("/metadata/labels").cloned();
    ["rules", "aggregationRule", "roleRef", "subjects"]
        .into_iter()
        .all(same)
        && labels(old) == labels(new)
}

fn role(
    write: &Write,
    old: Option<&Value>,
    new: &Value,
    context: &Context<'_>,
) -> Result<(), Failure> {
    if may(
        write,
        context,
        "escalate",
        &write.resource.plural,
        &write.name,
    ) {
        return Ok(());
    }
    let refuse = |text: &str| refusal(write, new, text);
    covered(write, &Rule::of(new), context).map_err(|text| refuse(&text))?;
    let is_aggregated = |role: &Value| !gathers(role).is_empty();
    if is_aggregated(new) || old.is_some_and(is_aggregated) {
        const TEXT: &str = "must have cluster-admin privileges to use the aggregationRule";
        let everything = [Rule::everything(), Rule::everywhere()];
        covered(write, &everything, context).map_err(|_missing| refuse(TEXT))?;
    }
    Ok(())
}

fn binding(
    world: &mut World,
    write: &Write,
    new: &Value,
    context: &Context<'_>,
) -> Result<(), Failure> {
    let name = new["roleRef"]["name"].as_str().unwrap_or_default();
    let plural = match new["roleRef"]["kind"].as_str() {
        Some("Role") => "roles",
        Some(_) | None => "clusterroles",
    };
    if may(write, context, "bind", plural, name) {
        return Ok(());
    }
    let rules = rules_of(world, write, plural, name, context)?;
    covered(write, &rules, context).map_err(|text| refusal(write, new, &text))
}

/// What the role grants. It is read from the world: a transaction may have just made it, and the
/// commit demands that it has not changed meanwhile.
fn rules_of(
    world: &mut World,
    write: &Write,
    plural: &str,
    name: &str,
    context: &Context<'_>,
) -> Result<Vec<Rule>, Failure> {
    let namespace = write.namespace.as_deref().filter(|_| plural == "roles");
    let key = keys::object(GROUP, plural, namespace, name);
    let role: Option<Arc<Value>> = world.read(&key);
    let role = role.ok_or_else(|| Failure::not_found(&Gr::new(GROUP, plural), name))?;
    let gathered = || context.authorizer.cluster_role(name);
    match (!gathers(&role).is_empty()).then(gathered).flatten() {
        Some(rules) => Ok(rules.to_vec()),
        None => Ok(Rule::of(&role)),
    }
}

fn may(write: &Write, context: &Context<'_>, verb: &str, plural: &str, name: &str) -> bool {
    let asked = Attributes {
        verb: verb.to_owned(),
        group: GROUP.to_owned(),
        version: "*".to_owned(),
        resource: plural.to_owned(),
        namespace: write.namespace.clone().unwrap_or_default(),
        name: name.to_owned(),
        ..Attributes::default()
    };
    context.authorizer.why(context.user, &asked).is_some()
}

fn covered(write: &Write, wanted: &[Rule], context: &Context<'_>) -> Result<(), String> {
    let namespace = write.namespace.as_deref().unwrap_or_default();
    let held = context.authorizer.rules(context.user, namespace);
    let held: Vec<&Rule> = held.iter().flat_map(|rules| rules.iter()).collect();
    cover::check(&held, wanted).map_err(|gap| describe(&gap, context))
}

fn describe(gap: &Gap, context: &Context<'_>) -> String {
    let user = context.user;
    let lines = match gap {
        Gap::TooMany => "more than can be listed".to_owned(),
        Gap::Missing(missing) => {
            let mut lines: Vec<String> = missing.iter().map(Rule::to_string).collect();
            lines.sort();
            let more = lines.len().saturating_sub(LINES_MAX);
            lines.truncate(LINES_MAX);
            if more > 0 {
                lines.push(format!("and {more} more"));
            }
            lines.join("\n")
        }
    };
    format!(
        "user {:?} (groups={}) is attempting to grant RBAC permissions not currently held:\n{lines}",
        user.name,
        quoted(&user.groups)
    )
}

fn refusal(write: &Write, object: &Value, text: &str) -> Failure {
    Failure::forbidden(&write.resource.gr(), metadata::text(object, "name"), text)
}
