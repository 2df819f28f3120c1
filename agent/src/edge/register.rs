//! The agent's own object: made at the first start, brought up to date at every other.

use std::collections::BTreeMap;

use kube::api::{Api, Patch, PatchParams, PostParams};
use manifests::kinds::{Agent, AgentSpec};
use manifests::resources::{ResourceList, Resources};
use serde_json::{Map, Value, json};

/// What the agent says of its machine.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) name: String,
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) resources: Resources,
    pub(crate) address: String,
    pub(crate) boot_id: String,
    pub(crate) not_enforced: Vec<String>,
}

/// Makes the agent's object say what is so.
pub(crate) async fn ensure_registered(client: &kube::Client, facts: &Facts) -> kube::Result<()> {
    let agents: Api<Agent> = Api::all(client.clone());
    let present = match agents.get_opt(&facts.name).await? {
        Some(present) => present,
        None => {
            let spec = AgentSpec {
                attributes: facts.attributes.clone(),
                ..AgentSpec::default()
            };
            agents
                .create(&PostParams::default(), &Agent::new(&facts.name, spec))
                .await?
        }
    };
    let params = PatchParams::default();
    if present.spec.attributes != facts.attributes {
        let wanted = facts
            .attributes
            .iter()
            .map(|(name, value)| (name.clone(), json!(value)));
        let attributes = replacing(present.spec.attributes.keys(), wanted.collect());
        let patch = Patch::Merge(json!({"spec": {"attributes": attributes}}));
        agents.patch(&facts.name, &params, &patch).await?;
    }
    let status = json!({"status": status(&present, facts)});
    agents
        .patch_status(&facts.name, &params, &Patch::Merge(status))
        .await?;
    Ok(())
}

fn status(present: &Agent, facts: &Facts) -> Value {
    let empty = ResourceList::default();
    let before = present.status.as_ref();
    let (capacity, allocatable) = before.map_or((&empty, &empty), |status| {
        (&status.capacity, &status.allocatable)
    });
    let wanted = facts.resources.to_list();
    let not_enforced = if facts.not_enforced.is_empty() {
        Value::Null
    } else {
        json!(facts.not_enforced)
    };
    json!({
        "capacity": amounts(capacity, &wanted),
        "allocatable": amounts(allocatable, &wanted),
        "address": facts.address,
        "version": env!("CARGO_PKG_VERSION"),
        "bootId": facts.boot_id,
        "notEnforced": not_enforced,
    })
}

fn amounts(before: &ResourceList, wanted: &ResourceList) -> Value {
    let wanted = wanted
        .iter()
        .map(|(name, amount)| (name.to_owned(), json!(amount)));
    let names: Vec<String> = before.iter().map(|(name, _)| name.to_owned()).collect();
    replacing(names.iter(), wanted.collect())
}

/// A merge patch that leaves exactly `wanted` of a map that had these keys.
fn replacing<'a>(before: impl Iterator<Item = &'a String>, wanted: Map<String, Value>) -> Value {
    let mut patch: Map<String, Value> = before.map(|key| (key.clone(), Value::Null)).collect();
    patch.extend(wanted);
    Value::Object(patch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_takes_away_what_is_no_more() {
        let before = ["a".to_owned(), "b".to_owned()];
        let wanted = Map::from_iter([("b".to_owned(), json!("2"))]);
        assert_eq!(
            replacing(before.iter(), wanted),
            json!({"a": null, "b": "2"})
        );
    }
}
