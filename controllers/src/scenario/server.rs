//! A model of the API server: objects as JSON, versions, transactions, accept and decline, and one
//! stream of events for each kind.

use std::collections::{BTreeMap, VecDeque};

use manifests::bundle::{Operation, Verb};
use manifests::lifecycle::TaskState;
use manifests::resources::{ResourceList, Resources};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::effect::{Answer, Refusal};
use crate::event::{Event, Seen};
use crate::model::plus;

/// Plural, namespace, name.
pub(super) type Id = (String, String, String);

#[derive(Clone, Debug, Default)]
struct State {
    objects: BTreeMap<Id, Value>,
    revision: u64,
    log: Vec<(String, bool, Value)>,
}

/// The model.
#[derive(Debug, Default)]
pub(super) struct Server {
    state: State,
    pub(super) streams: BTreeMap<String, VecDeque<Event>>,
    pub(super) now_ms: u64,
}

type Fault = (u16, String);

pub(super) const KINDS: [&str; 8] = [
    "resourcepools",
    "frameworks",
    "tasks",
    "taskgroups",
    "reservations",
    "offers",
    "agents",
    "namespaces",
];

pub(super) fn id(plural: &str, namespace: &str, name: &str) -> Id {
    (plural.to_owned(), namespace.to_owned(), name.to_owned())
}

pub(super) fn exact(list: &Value) -> Resources {
    serde_json::from_value::<ResourceList>(list.clone())
        .unwrap_or_default()
        .exact()
        .unwrap()
}

fn typed<K: DeserializeOwned>(wrap: fn(Seen<K>) -> Event, live: bool, object: &Value) -> Event {
    let kind = Box::new(serde_json::from_value(object.clone()).unwrap());
    wrap(if live {
        Seen::Item(kind)
    } else {
        Seen::Gone(kind)
    })
}

fn event(plural: &str, live: bool, object: &Value) -> Event {
    match plural {
        "resourcepools" => typed(Event::Pool, live, object),
        "frameworks" => typed(Event::Framework, live, object),
        "tasks" => typed(Event::Task, live, object),
        "taskgroups" => typed(Event::Group, live, object),
        "reservations" => typed(Event::Reservation, live, object),
        "offers" => typed(Event::Offer, live, object),
        "agents" => typed(Event::Agent, live, object),
        _namespaces => typed(Event::Namespace, live, object),
    }
}

fn mark(plural: &str, seen: Option<u64>) -> Event {
    fn wrap<K>(seen: Option<u64>) -> Seen<K> {
        seen.map_or(Seen::Reset, Seen::Synced)
    }
    match plural {
        "resourcepools" => Event::Pool(wrap(seen)),
        "frameworks" => Event::Framework(wrap(seen)),
        "tasks" => Event::Task(wrap(seen)),
        "taskgroups" => Event::Group(wrap(seen)),
        "reservations" => Event::Reservation(wrap(seen)),
        "offers" => Event::Offer(wrap(seen)),
        "agents" => Event::Agent(wrap(seen)),
        _namespaces => Event::Namespace(wrap(seen)),
    }
}

impl Server {
    /// A new list of the kind, as after a lost watch: what was still to be delivered is replaced.
    pub(super) fn relist(&mut self, plural: &str) {
        let stream = self.streams.entry(plural.to_owned()).or_default();
        stream.clear();
        stream.push_back(mark(plural, None));
        for (_, object) in self.state.objects.iter().filter(|((p, ..), _)| p == plural) {
            stream.push_back(event(plural, true, object));
        }
        stream.push_back(mark(plural, Some(self.state.revision)));
    }

    pub(super) fn get(&self, id: &Id) -> Option<&Value> {
        self.state.objects.get(id)
    }

    pub(super) fn all(&self, plural: &str) -> impl Iterator<Item = &Value> {
        self.state
            .objects
            .iter()
            .filter(move |((p, ..), _)| p == plural)
            .map(|(_, object)| object)
    }

    /// A write by somebody else, unconditional.
    pub(super) fn put(&mut self, plural: &str, namespace: &str, name: &str, object: Value) {
        self.state.put(&id(plural, namespace, name), object);
        self.publish();
    }

    pub(super) fn patch(&mut self, id: &Id, patch: &Value) {
        if let Some(mut object) = self.state.objects.get(id).cloned() {
            merge(&mut object, patch);
            self.state.put(id, object);
            self.publish();
        }
    }

    pub(super) fn delete(&mut self, id: &Id) {
        if self.state.objects.contains_key(id) {
            self.state.delete(id);
            self.publish();
        }
    }

    /// One operation by somebody else; a refusal changes nothing.
    pub(super) fn call(&mut self, operation: Operation) -> bool {
        matches!(self.transact(&[operation]), Answer::Applied(_))
    }

    /// All or nothing.
    pub(super) fn transact(&mut self, operations: &[Operation]) -> Answer {
        let mut next = self.state.clone();
        let mut results = Vec::new();
        for (index, operation) in operations.iter().enumerate() {
            match next.run(operation, self.now_ms) {
                Ok(result) => results.push(result),
                Err((code, message)) => {
                    return Answer::Refused(Refusal {
                        code,
                        message,
                        at: Some(index),
                    });
                }
            }
        }
        self.state = next;
        self.publish();
        self.check();
        Answer::Applied(results)
    }

    fn publish(&mut self) {
        for (plural, live, object) in self.state.log.drain(..) {
            // Nobody follows the events written for people.
            if plural == "events" {
                continue;
            }
            let event = event(&plural, live, &object);
            self.streams.entry(plural).or_default().push_back(event);
        }
    }

    /// The oracle: what tasks hold and what offers promise is never more than the agent has.
    fn check(&self) {
        let mut given: BTreeMap<&str, Resources> = BTreeMap::new();
        for task in self.all("tasks") {
            let state: TaskState =
                serde_json::from_value(task["status"]["state"].clone()).unwrap_or_default();
            if let Some(agent) = task["spec"]["agent"].as_str().filter(|_| state.is_active()) {
                let sum = given.entry(agent).or_default();
                *sum = plus(sum, &exact(&task["spec"]["resources"]));
            }
        }
        for offer in self.all("offers") {
            if offer["status"]["phase"].as_str().unwrap_or("Open") == "Open" {
                let sum = given
                    .entry(offer["spec"]["agent"].as_str().unwrap())
                    .or_default();
                *sum = plus(sum, &exact(&offer["spec"]["resources"]));
            }
        }
        for (agent, given) in given {
            let Some(known) = self.get(&id("agents", "", agent)) else {
                continue;
            };
            let has = exact(&known["status"]["allocatable"]);
            assert!(
                has.contains(&given),
                "agent {agent} has {has}, and {given} is given away"
            );
        }
    }
}

impl State {
    fn put(&mut self, id: &Id, mut object: Value) {
        self.revision += 1;
        object["metadata"]["resourceVersion"] = self.revision.to_string().into();
        if object["metadata"]["uid"].is_null() {
            object["metadata"]["uid"] = format!("uid-{}", self.revision).into();
        }
        let gone = !object["metadata"]["deletionTimestamp"].is_null()
            && object["metadata"]["finalizers"]
                .as_array()
                .is_none_or(Vec::is_empty);
        if gone {
            self.objects.remove(id);
        } else {
            self.objects.insert(id.clone(), object.clone());
        }
        self.log.push((id.0.clone(), !gone, object));
    }

    fn delete(&mut self, id: &Id) {
        let mut object = self.objects[id].clone();
        object["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        self.put(id, object);
    }

    fn run(&mut self, operation: &Operation, now_ms: u64) -> Result<Value, Fault> {
        let target = &operation.target;
        let namespace = target.namespace.clone().unwrap_or_default();
        let id = id(&target.resource, &namespace, &target.name);
        let known = self.objects.get(&id).cloned();
        if operation.verb == Verb::Create && operation.subresource.is_none() {
            if known.is_some() {
                return Err((409, "exists".to_owned()));
            }
            let mut object = operation.body.clone();
            object.as_object_mut().unwrap().remove("status");
            self.put(&id, object);
            return Ok(self.objects[&id].clone());
        }
        let mut object = known.ok_or((404, format!("{id:?} is not there")))?;
        match (operation.subresource.as_deref(), operation.verb) {
            (Some("accept"), _) => self.accept(&id, object, &operation.body, now_ms),
            (Some("decline"), _) => {
                open(&object)?;
                object["status"] = json!({ "phase": "Declined", "refuseSeconds": operation.body["refuseSeconds"] });
                self.put(&id, object.clone());
                Ok(object)
            }
            (_, Verb::Patch) => {
                preconditions(&object, &operation.body["metadata"])?;
                merge(&mut object, &operation.body);
                self.put(&id, object.clone());
                Ok(object)
            }
            (_, Verb::Delete) => {
                preconditions(&object, &operation.body["preconditions"])?;
                self.delete(&id);
                Ok(Value::Null)
            }
            (_, Verb::Create | Verb::Update | Verb::Apply) => Err((405, "not modelled".to_owned())),
        }
    }

    fn accept(
        &mut self,
        id: &Id,
        mut offer: Value,
        body: &Value,
        _now_ms: u64,
    ) -> Result<Value, Fault> {
        open(&offer)?;
        let mut left = exact(&offer["spec"]["resources"]);
        let mut launched = Vec::new();
        for wanted in body["tasks"].as_array().unwrap() {
            let task_id = self.candidate(&id.1, &offer, wanted)?;
            let mut task = self.objects[&task_id].clone();
            let state = task["status"]["state"].as_str().unwrap_or("Pending");
            if state != "Pending" || task["spec"]["framework"] != offer["spec"]["framework"] {
                return Err((409, format!("task is {state}")));
            }
            left = left
                .checked_sub(&exact(&task["spec"]["resources"]))
                .map_err(|short| (422, short.to_string()))?;
            let attempt = task["status"]["attempt"].as_u64().unwrap_or(0);
            let agent = offer["spec"]["agent"].clone();
            task["spec"]["agent"] = agent;
            task["spec"]["reservation"] = offer["spec"]["reservation"].clone();
            task["metadata"]["finalizers"] = json!(["stoa.dev/agent"]);
            task["status"] = json!({ "state": "Staging", "attempt": attempt });
            launched.push(json!({
                "name": task["metadata"]["name"], "uid": task["metadata"]["uid"], "attempt": attempt,
            }));
            self.put(&task_id, task);
        }
        offer["status"] = json!({
            "phase": "Accepted", "launched": launched, "refuseSeconds": body["refuseSeconds"],
        });
        self.put(id, offer.clone());
        Ok(self.objects[id].clone())
    }

    fn candidate(&mut self, namespace: &str, offer: &Value, wanted: &Value) -> Result<Id, Fault> {
        if let Some(name) = wanted["name"].as_str() {
            let task_id = id("tasks", namespace, name);
            let task = self
                .objects
                .get(&task_id)
                .ok_or((404, "no such task".to_owned()))?;
            preconditions(
                task,
                &json!({ "resourceVersion": wanted["resourceVersion"] }),
            )?;
            return Ok(task_id);
        }
        let name = wanted["metadata"]["name"].as_str().unwrap();
        let task_id = id("tasks", namespace, name);
        if self.objects.contains_key(&task_id) {
            return Err((409, "exists".to_owned()));
        }
        let mut task = json!({
            "apiVersion": "stoa.dev/v1",
            "kind": "Task",
            "metadata": { "namespace": namespace, "name": name },
            "spec": wanted["spec"],
        });
        task["spec"]["framework"] = offer["spec"]["framework"].clone();
        self.put(&task_id, task);
        // Planned and bound in one write: nobody ever sees it Pending.
        self.log.pop();
        Ok(task_id)
    }
}

fn open(offer: &Value) -> Result<(), Fault> {
    match offer["status"]["phase"].as_str().unwrap_or("Open") {
        "Open" => Ok(()),
        other => Err((409, format!("offer is {other}"))),
    }
}

fn preconditions(object: &Value, wanted: &Value) -> Result<(), Fault> {
    for field in ["uid", "resourceVersion"] {
        if !wanted[field].is_null() && wanted[field] != object["metadata"][field] {
            return Err((409, format!("{field} is another")));
        }
    }
    Ok(())
}

/// RFC 7396, the identity of the object left alone.
fn merge(into: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else {
        *into = patch.clone();
        return;
    };
    if !into.is_object() {
        *into = json!({});
    }
    for (name, value) in fields {
        if value.is_null() {
            into.as_object_mut().unwrap().remove(name);
        } else {
            merge(&mut into[name.as_str()], value);
        }
    }
}
