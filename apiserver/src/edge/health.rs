//! `/version`, `/healthz`, `/livez`, `/readyz`, `/metrics`.

use std::time::Duration;

use axum::response::Response;
use serde_json::json;

use super::answer;
use super::context::Context;
use crate::keys;

/// How long a readiness check may wait for a linearizable read point.
const PATIENCE: Duration = Duration::from_secs(2);

/// The Kubernetes minor version whose behaviour is served: kubectl warns when it is far off.
const MINOR: &str = "33";

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

struct Check {
    name: &'static str,
    passed: bool,
}

/// `GET /healthz` and the like; `check` narrows it to one, `query` may exclude some.
pub(crate) async fn health(
    context: &Context,
    kind: &str,
    check: Option<&str>,
    query: &str,
) -> Response {
    let checks = checks(context, kind == "readyz").await;
    if let Some(name) = check {
        let found = checks.iter().find(|one| one.name == name);
        return match found {
            Some(one) if one.passed => answer::text(200, "ok"),
            Some(one) => answer::text(500, format!("internal server error: {} failed\n", one.name)),
            None => answer::unknown_path(),
        };
    }
    let pairs: Vec<(&str, &str)> = query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .collect();
    let excluded = |name: &str| pairs.contains(&("exclude", name));
    let failed = checks.iter().any(|one| !one.passed && !excluded(one.name));
    if !failed && !pairs.iter().any(|(key, _)| *key == "verbose") {
        return answer::text(200, "ok");
    }
    let mut text = String::new();
    for one in &checks {
        text += &match (excluded(one.name), one.passed) {
            (true, _) => format!("[+]{} excluded: ok\n", one.name),
            (false, true) => format!("[+]{} ok\n", one.name),
            (false, false) => format!("[-]{} failed: reason withheld\n", one.name),
        };
    }
    text += &format!(
        "{kind} check {}\n",
        if failed { "failed" } else { "passed" }
    );
    answer::text(if failed { 500 } else { 200 }, text)
}

/// Alive means answering; ready means that a linearizable read works here: there is a leader, and
/// this replica has applied what it committed, the objects that every cluster has among it.
async fn checks(context: &Context, ready: bool) -> Vec<Check> {
    let mut checks = vec![Check {
        name: "ping",
        passed: true,
    }];
    if ready {
        let store = context.store();
        let leader = store.leadership().borrow().leader.is_some();
        let barrier = tokio::time::timeout(PATIENCE, store.barrier()).await;
        checks.push(Check {
            name: "store-leader",
            passed: leader,
        });
        checks.push(Check {
            name: "store-caught-up",
            passed: matches!(barrier, Ok(Ok(_))),
        });
        // The first leader makes them; until then every namespaced create would be refused.
        let default = keys::object("", "namespaces", None, "default");
        checks.push(Check {
            name: "system-objects",
            passed: store.view().get(&default).is_some(),
        });
        checks.push(Check {
            name: "shutdown",
            passed: !context.shutdown.is_cancelled(),
        });
    }
    checks
}

/// `GET /metrics`: the few figures that tell how this replica is.
pub(crate) fn metrics(context: &Context) -> Response {
    let status = context.store().status();
    let leads = u8::from(context.store().leadership().borrow().is_local);
    let figures = [
        ("stoa_store_revision", status.revision),
        (
            "stoa_store_applied_index",
            status.applied_index.unwrap_or(0),
        ),
        ("stoa_store_epoch", status.epoch),
        ("stoa_store_leading", u64::from(leads)),
        ("stoa_watchers", context.hub.watchers() as u64),
    ];
    let lines = figures.map(|(name, value)| format!("# TYPE {name} gauge\n{name} {value}\n"));
    answer::bytes(200, "text/plain; version=0.0.4", lines.concat())
}
