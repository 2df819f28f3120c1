//! `/version`, `/healthz`, `/livez`, `/readyz`.

use std::time::Duration;

use axum::response::Response;
use serde_json::json;

use super::answer;
use super::context::Context;
use crate::keys;
use crate::user::User;

/// How long a readiness check may wait for a linearizable read point.
const PATIENCE: Duration = Duration::from_secs(2);

/// The Kubernetes minor version that is told: kubectl warns when its own is further than one off, and this
/// suits both those in use and 1.36, whose behaviour is served.
const MINOR: &str = "35";

/// `GET /version`.
pub(crate) fn version() -> Response {
    let git = format!("v1.{MINOR}.0+stoa-{}", env!("CARGO_PKG_VERSION"));
    let value = json!({
        "major": "1", "minor": MINOR, "gitVersion": git, "gitCommit": "", "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z", "goVersion": "none", "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
    });
    answer::value(200, &value)
}

/// One line of a verbose answer.
struct Check {
    name: &'static str,
    failure: Option<String>,
}

impl Check {
    fn passes(name: &'static str) -> Self {
        let failure = None;
        Self { name, failure }
    }

    fn of(name: &'static str, passed: bool, why: &str) -> Self {
        let failure = (!passed).then(|| why.to_owned());
        Self { name, failure }
    }
}

/// `GET /healthz` and the like; `check` narrows it to one, `query` may exclude some. Why a check fails
/// is told to those who may read the figures.
pub(crate) async fn health(
    context: &Context,
    user: Option<&User>,
    kind: &str,
    check: Option<&str>,
    query: &str,
) -> Response {
    let mut checks = match kind {
        "readyz" => ready(context).await,
        "livez" => live(context),
        _ => vec![Check::passes("ping")],
    };
    if context
        .engine
        .authorizer()
        .authorize_path(user, "get", "/metrics")
        .is_err()
    {
        for failure in checks.iter_mut().filter_map(|one| one.failure.as_mut()) {
            "reason withheld".clone_into(failure);
        }
    }
    match check {
        Some(name) => single(&checks, name),
        None => all(&checks, kind, query),
    }
}

fn single(checks: &[Check], name: &str) -> Response {
    match checks.iter().find(|one| one.name == name) {
        None => answer::unknown_path(),
        Some(Check { failure: None, .. }) => answer::text(200, "ok"),
        Some(Check {
            name,
            failure: Some(why),
        }) => answer::text(
            500,
            format!("internal server error: {name} failed: {why}\n"),
        ),
    }
}

fn all(checks: &[Check], kind: &str, query: &str) -> Response {
    let pairs: Vec<(&str, &str)> = query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .collect();
    let excluded = |name: &str| pairs.contains(&("exclude", name));
    let fails = |one: &Check| one.failure.is_some() && !excluded(one.name);
    let failed = checks.iter().any(fails);
    if !failed && !pairs.iter().any(|(key, _)| *key == "verbose") {
        return answer::text(200, "ok");
    }
    let mut text = String::new();
    for one in checks {
        text += &match (excluded(one.name), &one.failure) {
            (true, _) => format!("[+]{} excluded: ok\n", one.name),
            (false, None) => format!("[+]{} ok\n", one.name),
            (false, Some(why)) => format!("[-]{} failed: {why}\n", one.name),
        };
    }
    let outcome = if failed { "failed" } else { "passed" };
    text += &format!("{kind} check {outcome}\n");
    answer::text(if failed { 500 } else { 200 }, text)
}

/// Alive means answering, over a store that has not ended: only a restart helps against the contrary.
fn live(context: &Context) -> Vec<Check> {
    let health = context.store().health();
    let vital = health.checks.into_iter().filter(|check| check.vital);
    std::iter::once(Check::passes("ping"))
        .chain(vital.map(of_store))
        .collect()
}

/// Ready means that requests are well sent here: the store is well, a linearizable read works, and the
/// objects are there that every cluster has.
async fn ready(context: &Context) -> Vec<Check> {
    let store = context.store();
    let barrier = tokio::time::timeout(PATIENCE, store.barrier()).await;
    let caught_up = match barrier {
        Ok(Ok(_)) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(_elapsed) => Some(format!("no linearizable read within {PATIENCE:?}")),
    };
    let mut checks = vec![Check::passes("ping")];
    checks.extend(store.health().checks.into_iter().map(of_store));
    checks.push(Check {
        name: "store-caught-up",
        failure: caught_up,
    });
    // The first leader makes them; until then every namespaced create would be refused.
    let default = keys::object("", "namespaces", None, "default");
    let made = store.view().revision_of(&default).is_some();
    checks.push(Check::of(
        "system-objects",
        made,
        "the first leader has not made them yet",
    ));
    let stays = !context.shutdown.is_cancelled();
    checks.push(Check::of("shutdown", stays, "the server is stopping"));
    checks
}

fn of_store(check: store::Check) -> Check {
    Check {
        name: check.name,
        failure: check.failure,
    }
}
