//! Applies one object: create, or a three-way merge patch.

use serde_json::Value;

use super::{Applied, Change, Options, Ready};
use crate::cluster::{Answer, Ask, Cluster, Refused, query};
use crate::exit::{Failure, Outcome};
use crate::{merge, output};

/// Rounds of create and patch against others who delete and create the same object.
const ROUNDS: usize = 5;

/// Media type of a merge patch.
pub(crate) const MERGE: &str = "application/merge-patch+json";

/// Media type of a server-side apply.
const APPLY: &str = "application/apply-patch+yaml";

/// Applies `ready`.
pub(super) async fn apply(cluster: &Cluster, ready: &Ready, options: Options) -> Outcome<Applied> {
    let place = |e| {
        let failure = cluster.explain(e);
        let code = failure.code();
        let label = ready.kind.label();
        Failure::new(format!(
            "{}: {label}/{}: {}",
            ready.place,
            ready.name,
            failure.text()
        ))
        .with_code(code)
    };
    let mut last = None;
    for _ in 0..ROUNDS {
        match round(cluster, ready, options).await {
            Ok(applied) => return Ok(applied),
            Err(e) if e.is_already_exists() || e.is_not_found() => last = Some(e),
            Err(e) => return Err(place(e)),
        }
    }
    Err(last.map_or_else(|| Failure::new("nothing was tried"), place))
}

/// One request: the server does all the rest.
async fn server_side(
    cluster: &Cluster,
    ready: &Ready,
    options: Options,
) -> Result<Applied, Refused> {
    let path = ready.kind.object(&ready.namespace, &ready.name);
    let live = match cluster.send(Ask::get(&path)).await {
        Ok(answer) => Some(answer.value),
        Err(e) if e.is_not_found() => None,
        Err(e) => return Err(e),
    };
    let mut path = parameters(&path, options);
    if options.force_conflicts {
        path = query(&path, &[("force", "true")]);
    }
    let answer = cluster.send(Ask::patch(path, APPLY, &ready.object)).await?;
    let version = |object: &Value| object["metadata"]["resourceVersion"].clone();
    let change = match live {
        None => Change::Created,
        Some(live) if version(&live) == version(&answer.value) && !options.dry_run => {
            Change::Unchanged
        }
        Some(_) => Change::Configured,
    };
    Ok(applied(ready, change, answer))
}

async fn round(cluster: &Cluster, ready: &Ready, options: Options) -> Result<Applied, Refused> {
    if options.server_side {
        return server_side(cluster, ready, options).await;
    }
    let wanted = merge::annotated(&ready.object);
    let path = ready.kind.object(&ready.namespace, &ready.name);
    let live = match cluster.send(Ask::get(&path)).await {
        Ok(answer) => answer.value,
        Err(e) if e.is_not_found() => {
            let collection = parameters(&ready.kind.path(Some(&ready.namespace)), options);
            let answer = cluster.send(Ask::post(collection, &wanted)).await?;
            return Ok(applied(ready, Change::Created, answer));
        }
        Err(e) => return Err(e),
    };
    let Some(patch) = merge::patch(merge::last_applied(&live).as_ref(), &live, &wanted) else {
        let answer = Answer {
            value: live,
            ..Answer::default()
        };
        return Ok(applied(ready, Change::Unchanged, answer));
    };
    let answer = cluster
        .send(Ask::patch(parameters(&path, options), MERGE, &patch))
        .await?;
    let same = answer.value["metadata"]["resourceVersion"] == live["metadata"]["resourceVersion"];
    let change = if same && !options.dry_run {
        Change::Unchanged
    } else {
        Change::Configured
    };
    Ok(applied(ready, change, answer))
}

fn applied(ready: &Ready, change: Change, answer: Answer) -> Applied {
    output::warn(&answer.warnings);
    Applied {
        kind: ready.kind.clone(),
        change,
        object: answer.value,
    }
}

fn parameters(path: &str, options: Options) -> String {
    let manager = if options.server_side {
        "stoa"
    } else {
        "stoa-apply"
    };
    let validation = [
        ("fieldManager", manager),
        ("fieldValidation", options.validation.as_str()),
    ];
    let path = query(path, &validation);
    if options.dry_run {
        query(&path, &[("dryRun", "All")])
    } else {
        path
    }
}
