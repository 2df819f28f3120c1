//! The binding itself: a function of the offer, the tasks, what is asked, and the time.

use jiff::Timestamp;
use manifests::kinds::Acceptance;
use manifests::resources::{ResourceList, Resources};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::metadata;
use crate::status::Cause;

/// Finalizer by which a bound task waits for its agent before it goes.
pub const AGENT_FINALIZER: &str = "stoa.dev/agent";

/// Seconds not to be offered the like again when nothing is said (Mesos).
const REFUSE_SECONDS: f64 = 5.0;

/// Longest refusal: 365 days (Mesos).
const REFUSE_SECONDS_MAX: f64 = 31_536_000.0;

/// The offer and the tasks as they shall be stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Bound {
    /// Accepted.
    pub offer: Value,
    /// Staging, in the order of the acceptance.
    pub tasks: Vec<Value>,
}

/// Why nothing is bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Something is not as the caller thinks; another look may help.
    Stale(String),
    /// What is asked is wrong.
    Invalid(Vec<Cause>),
}

/// Binds the tasks to the offer's agent.
///
/// # Errors
/// When the offer is not open, a task does not wait, or they do not fit.
pub fn bind(
    offer: &Value,
    tasks: Vec<Value>,
    acceptance: &Acceptance,
    now: Timestamp,
) -> Result<Bound, Refusal> {
    check_open(offer, now)?;
    tasks.iter().try_for_each(|task| check_waits(task, now))?;
    let mut causes = Vec::new();
    check_tasks(offer, &tasks, &mut causes);
    check_room(offer, &tasks, &mut causes);
    if !causes.is_empty() {
        return Err(Refusal::Invalid(causes));
    }
    let tasks: Vec<Value> = tasks
        .into_iter()
        .map(|task| staged(task, offer, now))
        .collect();
    let launched: Vec<Value> = tasks.iter().map(launched).collect();
    let mut offer = offer.clone();
    offer["status"] = json!({
        "phase": "Accepted", "launched": launched,
        "refuseSeconds": refuse_seconds(acceptance.refuse_seconds),
    });
    Ok(Bound { offer, tasks })
}

/// The offer must stand.
///
/// # Errors
/// `Stale` otherwise.
pub fn check_open(offer: &Value, now: Timestamp) -> Result<(), Refusal> {
    let phase = offer
        .pointer("/status/phase")
        .and_then(Value::as_str)
        .unwrap_or("Open");
    if phase != "Open" {
        return Err(Refusal::Stale(format!(
            "the offer is {phase}, no longer Open"
        )));
    }
    if metadata::is_deleting(offer) {
        return Err(Refusal::Stale("the offer is being withdrawn".to_owned()));
    }
    let expires = offer.pointer("/spec/expiresAt").and_then(Value::as_str);
    match expires.map(str::parse::<Timestamp>) {
        Some(Ok(at)) if at <= now => Err(Refusal::Stale(format!("the offer expired at {at}"))),
        Some(Ok(_) | Err(_)) | None => Ok(()),
    }
}

/// Seconds within Mesos' bounds.
#[must_use]
pub fn refuse_seconds(asked: Option<f64>) -> f64 {
    match asked {
        Some(seconds) if seconds >= 0.0 => seconds.min(REFUSE_SECONDS_MAX),
        Some(_) | None => REFUSE_SECONDS,
    }
}

fn check_waits(task: &Value, now: Timestamp) -> Result<(), Refusal> {
    let name = metadata::text(task, "name");
    let word = |path: &str| task.pointer(path).and_then(Value::as_str);
    let state = word("/status/state").unwrap_or("Pending");
    let stale = |text: String| Err(Refusal::Stale(format!("task {name} {text}")));
    if state != "Pending" {
        return stale(format!("is {state}, not Pending"));
    }
    if metadata::is_deleting(task) || task.pointer("/spec/killed") == Some(&Value::Bool(true)) {
        return stale("is to end".to_owned());
    }
    match word("/status/notBefore").map(str::parse::<Timestamp>) {
        Some(Ok(at)) if at > now => stale(format!("waits until {at} before its next run")),
        Some(Ok(_) | Err(_)) | None => Ok(()),
    }
}

fn check_tasks(offer: &Value, tasks: &[Value], causes: &mut Vec<Cause>) {
    let framework = &offer["spec"]["framework"];
    for (n, task) in tasks.iter().enumerate() {
        let own = &task["spec"]["framework"];
        if own != framework {
            let text = format!("the offer is for framework {framework}");
            causes.push(Cause::invalid(
                format!("tasks[{n}].spec.framework"),
                own,
                &text,
            ));
        }
        let uid = metadata::text(task, "uid");
        if tasks[..n]
            .iter()
            .any(|other| metadata::text(other, "uid") == uid)
        {
            let text = format!("Duplicate value: {:?}", metadata::text(task, "name"));
            causes.push(Cause::of(format!("tasks[{n}].name"), text));
        }
    }
}

fn check_room(offer: &Value, tasks: &[Value], causes: &mut Vec<Cause>) {
    let mut total = Resources::default();
    for (n, task) in tasks.iter().enumerate() {
        let place = format!("tasks[{n}].spec.resources");
        let Some(asked) = exact(&task["spec"]["resources"], &place, causes) else {
            continue;
        };
        match total.checked_add(&asked) {
            Ok(sum) => total = sum,
            Err(error) => causes.push(Cause::of(place, format!("Invalid value: {error}"))),
        }
    }
    let Some(room) = exact(&offer["spec"]["resources"], "spec.resources", causes) else {
        return;
    };
    if let Err(shortages) = total.fits_in(&room) {
        let shortages = shortages.iter().map(|short| {
            let text = format!(
                "Invalid value: the tasks need {} of {}, the offer has {}",
                short.need, short.resource, short.have
            );
            Cause::of("tasks", text)
        });
        causes.extend(shortages);
    }
}

fn exact(list: &Value, place: &str, causes: &mut Vec<Cause>) -> Option<Resources> {
    let list = if list.is_null() {
        ResourceList::default()
    } else {
        ResourceList::deserialize(list).ok()?
    };
    match list.exact() {
        Ok(resources) => Some(resources),
        Err(problems) => {
            let text = |p: &manifests::resources::Problem| format!("Invalid value: {}", p.message);
            causes.extend(
                problems
                    .iter()
                    .map(|p| Cause::of(format!("{place}.{}", p.key), text(p))),
            );
            None
        }
    }
}

/// Pending → Staging.
fn staged(mut task: Value, offer: &Value, now: Timestamp) -> Value {
    let agent = offer["spec"]["agent"].clone();
    task["spec"]["agent"] = agent.clone();
    match offer["spec"]
        .get("reservation")
        .filter(|name| !name.is_null())
    {
        Some(name) => task["spec"]["reservation"] = name.clone(),
        None => {
            _ = task["spec"]
                .as_object_mut()
                .and_then(|spec| spec.remove("reservation"))
        }
    }
    let attempt = task
        .pointer("/status/attempt")
        .cloned()
        .unwrap_or_else(|| 0.into());
    let condition = json!({
        "type": "Scheduled", "status": "True", "reason": "OfferAccepted",
        "lastTransitionTime": metadata::stamp(now),
    });
    task["status"] = json!({
        "state": "Staging", "source": "Scheduler", "agent": agent, "attempt": attempt,
        "boundAt": now.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string(),
        "conditions": [condition],
    });
    let mut finalizers = metadata::finalizers(&task);
    if !finalizers.iter().any(|own| own == AGENT_FINALIZER) {
        finalizers.push(AGENT_FINALIZER.to_owned());
    }
    metadata::set_finalizers(&mut task, &finalizers);
    metadata::next_generation(&mut task);
    task
}

fn launched(task: &Value) -> Value {
    json!({
        "name": metadata::text(task, "name"), "uid": metadata::text(task, "uid"),
        "attempt": task["status"]["attempt"],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-01-01T00:00:10.25Z".parse().unwrap()
    }

    fn offer() -> Value {
        json!({"metadata": {"name": "o"}, "status": {"phase": "Open"}, "spec": {
            "framework": "f", "agent": "a1", "resources": {"cpus": "2", "mem": "1Gi", "ports": "100-110"},
            "expiresAt": "2026-01-01T00:01:00.000000Z",
        }})
    }

    fn task(name: &str, cpus: &str) -> Value {
        json!({"metadata": {"name": name, "uid": name, "generation": 1},
               "spec": {"framework": "f", "resources": {"cpus": cpus}},
               "status": {"state": "Pending", "attempt": 1, "waiting": {"summary": "x"}}})
    }

    #[test]
    fn binds() {
        let tasks = vec![task("x", "1.5"), task("y", "0.5")];
        let bound = bind(&offer(), tasks, &Acceptance::default(), now()).unwrap();
        assert_eq!(bound.offer["status"]["phase"], "Accepted");
        assert_eq!(
            bound.offer["status"]["launched"][1],
            json!({"name": "y", "uid": "y", "attempt": 1})
        );
        let task = &bound.tasks[0];
        assert_eq!(task["spec"]["agent"], "a1");
        assert_eq!(task["status"]["state"], "Staging");
        assert_eq!(task["status"]["boundAt"], "2026-01-01T00:00:10.250000Z");
        assert!(task["status"].get("waiting").is_none());
        assert_eq!(task["metadata"]["finalizers"], json!([AGENT_FINALIZER]));
        assert_eq!(task["metadata"]["generation"], 2);
    }

    #[test]
    fn refuses() {
        let with = |path: &str, value: Value, mut object: Value| {
            let (parent, key) = path.rsplit_once('/').unwrap();
            object.pointer_mut(parent).unwrap()[key] = value;
            object
        };
        for (offer, tasks, stale) in [
            (
                with("/status/phase", "Accepted".into(), offer()),
                vec![],
                true,
            ),
            (
                with("/spec/expiresAt", "2026-01-01T00:00:10Z".into(), offer()),
                vec![],
                true,
            ),
            (
                offer(),
                vec![with("/status/state", "Running".into(), task("x", "1"))],
                true,
            ),
            (
                offer(),
                vec![with(
                    "/status/notBefore",
                    "2026-01-01T00:00:11Z".into(),
                    task("x", "1"),
                )],
                true,
            ),
            (
                offer(),
                vec![with("/spec/killed", true.into(), task("x", "1"))],
                true,
            ),
            (offer(), vec![task("x", "2.001")], false),
            (offer(), vec![task("x", "1"), task("x", "1")], false),
            (
                offer(),
                vec![with("/spec/framework", "g".into(), task("x", "1"))],
                false,
            ),
            (
                offer(),
                vec![with(
                    "/spec/resources",
                    json!({"ports": "111"}),
                    task("x", "1"),
                )],
                false,
            ),
            (
                offer(),
                vec![with(
                    "/spec/resources",
                    json!({"cpus": "-1"}),
                    task("x", "1"),
                )],
                false,
            ),
        ] {
            let refusal = bind(&offer, tasks, &Acceptance::default(), now()).unwrap_err();
            assert_eq!(matches!(refusal, Refusal::Stale(_)), stale, "{refusal:?}");
        }
    }
}
