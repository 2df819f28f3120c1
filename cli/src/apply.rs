//! Makes the cluster hold what manifests say: create what is missing, patch what differs.

mod atomic;

mod one;

use futures::StreamExt;
use serde_json::Value;

use crate::cluster::Cluster;
use crate::exit::{Failure, Outcome};
use crate::kinds::{Kind, Kinds};
use crate::source::{Given, Validation};

pub(crate) use one::MERGE;

/// Requests in flight at once: enough for the server to commit them in groups.
const AT_ONCE: usize = 16;

/// How to apply.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Options {
    /// All or nothing, in one transaction.
    pub(crate) atomic: bool,
    /// The server merges, and keeps who set which field.
    pub(crate) server_side: bool,
    /// With `server_side`: fields of other managers are taken over.
    pub(crate) force_conflicts: bool,
    /// Only ask the server what would happen.
    pub(crate) dry_run: bool,
    /// What the server does about unknown fields.
    pub(crate) validation: Validation,
    /// The namespace was given on the command line: objects of another are refused.
    pub(crate) namespace_is_fixed: bool,
}

/// What became of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// It is new.
    Created,
    /// It was changed.
    Configured,
    /// It was as it should be.
    Unchanged,
}

impl Change {
    /// kubectl's word.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Configured => "configured",
            Self::Unchanged => "unchanged",
        }
    }
}

/// An applied object.
#[derive(Clone, Debug)]
pub(crate) struct Applied {
    /// Its kind.
    pub(crate) kind: Kind,
    /// What became of it.
    pub(crate) change: Change,
    /// As the server holds it now.
    pub(crate) object: Value,
}

impl Applied {
    /// `task.stoa.dev/x`.
    pub(crate) fn label(&self) -> String {
        format!("{}/{}", self.kind.label(), self.name())
    }

    /// `metadata.name`.
    pub(crate) fn name(&self) -> &str {
        self.object["metadata"]["name"].as_str().unwrap_or_default()
    }

    /// `metadata.namespace`.
    pub(crate) fn namespace(&self) -> &str {
        self.object["metadata"]["namespace"]
            .as_str()
            .unwrap_or_default()
    }
}

/// An object that is ready to be sent.
#[derive(Clone, Debug)]
struct Ready {
    kind: Kind,
    namespace: String,
    name: String,
    object: Value,
    place: String,
}

/// Applies objects in an order in which each finds what it needs; `told` hears of each result as it
/// comes. What fails does not keep the others from being tried, except under `atomic`.
pub(crate) async fn all(
    cluster: &Cluster,
    objects: Vec<Given>,
    options: Options,
    told: &mut (dyn FnMut(&Applied) -> Outcome + Send),
) -> Outcome<Vec<Applied>> {
    let mut kinds = Kinds::of(cluster).await?;
    if options.atomic {
        let ready = ordered(objects).into_iter().flatten();
        let ready: Vec<_> = ready
            .map(|given| prepare(&kinds, cluster, given, options))
            .collect::<Outcome<_>>()?;
        let applied = atomic::apply(cluster, &ready, options).await?;
        applied.iter().try_for_each(told)?;
        return Ok(applied);
    }
    let mut applied = Vec::new();
    let mut failures = Vec::new();
    for stage in ordered(objects) {
        if stage
            .iter()
            .any(|given| kinds.of_object(&given.object).is_none())
        {
            // An earlier stage may have defined it.
            kinds = Kinds::of(cluster).await?;
        }
        let known = &kinds;
        let results = futures::stream::iter(stage)
            .map(async |given: Given| {
                let ready = prepare(known, cluster, given, options)?;
                one::apply(cluster, &ready, options).await
            })
            .buffered(AT_ONCE);
        let mut results = std::pin::pin!(results);
        while let Some(result) = results.next().await {
            match result {
                Ok(one) => {
                    told(&one)?;
                    applied.push(one);
                }
                Err(failure) => failures.push(failure),
            }
        }
    }
    failure(&failures).map_or(Ok(applied), Err)
}

/// One failure that says what all of them say.
fn failure(failures: &[Failure]) -> Option<Failure> {
    let code = failures.first()?.code();
    let texts: Vec<_> = failures.iter().map(Failure::text).collect();
    Some(match texts.as_slice() {
        [one] => Failure::new(one).with_code(code),
        all => Failure::new(format!(
            "{} objects were not applied:\n{}",
            all.len(),
            all.join("\n")
        )),
    })
}

/// Objects in stages: each stage may lean on the ones before it.
fn ordered(objects: Vec<Given>) -> Vec<Vec<Given>> {
    let mut stages: [Vec<Given>; STAGES] = Default::default();
    for given in objects {
        stages[stage(given.object["kind"].as_str().unwrap_or_default())].push(given);
    }
    stages
        .into_iter()
        .filter(|stage| !stage.is_empty())
        .collect()
}

const STAGES: usize = 6;

fn stage(kind: &str) -> usize {
    match kind {
        "Namespace" => 0,
        "CustomResourceDefinition" => 1,
        "ResourcePool" | "ConfigMap" | "Secret" | "ServiceAccount" => 2,
        "Framework" => 3,
        "Reservation" => 4,
        _ => 5,
    }
}

fn prepare(kinds: &Kinds, cluster: &Cluster, given: Given, options: Options) -> Outcome<Ready> {
    let Given { mut object, place } = given;
    let Some(kind) = kinds.of_object(&object) else {
        let (version, kind) = (&object["apiVersion"], &object["kind"]);
        return Err(Failure::new(format!("{place}: the server knows no kind {kind} in {version}"))
            .hint("check apiVersion and kind against `stoa api-resources`, or apply its CustomResourceDefinition first"));
    };
    let name = object["metadata"]["name"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    if name.is_empty() {
        return Err(Failure::new(format!("{place}: metadata.name is missing"))
            .hint("apply needs a name; `stoa create` accepts metadata.generateName"));
    }
    let mut namespace = String::new();
    if kind.namespaced {
        namespace = object["metadata"]["namespace"]
            .as_str()
            .unwrap_or(&cluster.namespace)
            .to_owned();
        if options.namespace_is_fixed && namespace != cluster.namespace {
            return Err(Failure::new(format!(
                "{place}: metadata.namespace is {namespace:?}, but --namespace says {:?}",
                cluster.namespace
            )));
        }
        object["metadata"]["namespace"] = Value::String(namespace.clone());
    }
    Ok(Ready {
        kind: kind.clone(),
        namespace,
        name,
        object,
        place,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_others_need_comes_first() {
        let kinds = [
            "Task",
            "Framework",
            "Namespace",
            "ResourcePool",
            "TaskGroup",
            "Reservation",
        ];
        let given = kinds.map(|kind| Given {
            object: json!({"kind": kind}),
            place: String::new(),
        });
        let stages = ordered(given.to_vec());
        let words: Vec<Vec<_>> = stages
            .iter()
            .map(|stage| {
                stage
                    .iter()
                    .map(|g| g.object["kind"].as_str().unwrap())
                    .collect()
            })
            .collect();
        assert_eq!(
            words,
            [
                vec!["Namespace"],
                vec!["ResourcePool"],
                vec!["Framework"],
                vec!["Reservation"],
                vec!["Task", "TaskGroup"]
            ]
        );
    }
}
