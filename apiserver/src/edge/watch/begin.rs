//! Where a watch begins, and what has to be waited for until it does.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use store::{Revision, Store, View};

use crate::engine::Engine;
use crate::hub::{Event, Hub, Interest, Joined};
use crate::params::{Match, Params};
use crate::registry::Descriptor;
use crate::status::Failure;
use crate::vault::Vault;

/// How long a watch that asks for a revision of the future waits for it, as Kubernetes does.
const TOO_NEW: Duration = Duration::from_secs(3);

/// Where a watch begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    /// With the state, at least as new as the revision; none: as new as any acknowledged write.
    State(Option<Revision>),
    /// After the revision.
    After(Revision),
    /// With what happens next.
    Now,
}

/// A watch that has begun.
pub(super) struct Begun {
    pub(super) joined: Joined,
    /// Everything up to here is told by the state, or does not concern the watch.
    pub(super) sent: Revision,
    pub(super) start: Start,
}

/// What is told first.
pub(super) enum Start {
    /// The objects as they are; keys, in order, of the only ones that may be selected.
    State(View, Option<Arc<[Bytes]>>),
    /// Changes of the past, if any; then what happens.
    Live(VecDeque<Arc<Event>>),
}

/// Reads the parameters that say where to begin.
pub(super) fn beginning(params: &Params) -> Result<From, Failure> {
    const FIELD: &str = "resourceVersionMatch";
    let forbidden = |text: &str| Err(Failure::invalid_options("ListOptions", FIELD, text));
    match (params.send_initial_events, params.resource_version_match) {
        (None, Some(_)) => {
            return forbidden(
                "Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            );
        }
        (Some(_), None | Some(Match::Exact)) => {
            return forbidden(
                "Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
            );
        }
        (None, None) | (Some(_), Some(Match::NotOlderThan)) => {}
    }
    let asked = match params.resource_version.as_str() {
        "" => None,
        text => Some(text.parse::<Revision>().map_err(|_digits| {
            Failure::bad_request(format!(
                "Invalid value: \"{text}\": resourceVersion must be a number"
            ))
        })?),
    };
    Ok(match (asked, params.send_initial_events) {
        (None | Some(0), None) | (_, Some(true)) => From::State(asked),
        (None | Some(0), Some(false)) => From::Now,
        (Some(revision), None | Some(false)) => From::After(revision),
    })
}

/// Joins the hub, and finds what came before.
pub(super) async fn begin(
    engine: Engine,
    hub: Hub,
    (resource, interest): (Arc<Descriptor>, Interest),
    from: From,
) -> Result<Begun, Failure> {
    let store = engine.store();
    match from {
        From::State(asked) => {
            match asked {
                None => _ = store.barrier().await?,
                Some(at_least) => reach(store, at_least).await?,
            }
            let joined = hub.join(interest, None);
            // Taken after joining: nothing can fall between the view and the queue.
            let view = store.view();
            let Interest {
                namespace,
                selector,
                ..
            } = joined.interest();
            let place = (&*resource, namespace.as_deref());
            let among = engine.candidates(&view, place, selector);
            Ok(Begun {
                joined,
                sent: view.revision(),
                start: Start::State(view, among.map(Arc::from)),
            })
        }
        From::Now => {
            store.barrier().await?;
            let joined = hub.join(interest, None);
            let sent = joined.at.max(store.view().revision());
            let start = Start::Live(VecDeque::new());
            Ok(Begun {
                joined,
                sent,
                start,
            })
        }
        From::After(revision) => {
            // What is ahead of all replicas is waited for: whatever comes before it is not told.
            let mut joined = hub.join(interest, Some(revision));
            let replay = match joined.replay.take() {
                Some(replay) => replay,
                None => {
                    history((store, hub.vault()), joined.interest(), revision, joined.at).await?
                }
            };
            Ok(Begun {
                joined,
                sent: revision,
                start: Start::Live(replay),
            })
        }
    }
}

async fn reach(store: &Store, at_least: Revision) -> Result<(), Failure> {
    match store.wait_revision(at_least, TOO_NEW).await {
        Ok(_) => Ok(()),
        Err(too_new) => Err(Failure::timeout_too_new(at_least, too_new.current)),
    }
}

/// The changes in `(after, until]` that concern this watch, from the store.
async fn history(
    (store, vault): (&Store, &Vault),
    interest: &Interest,
    after: Revision,
    until: Revision,
) -> Result<VecDeque<Arc<Event>>, Failure> {
    let expired = |error: store::Compacted| Failure::expired(after, error.oldest);
    let mut found = VecDeque::new();
    let mut reached = after;
    if reached >= until {
        return Ok(found);
    }
    let mut cursor = store.changes(after).map_err(expired)?;
    while reached < until {
        for change in cursor.next().await.map_err(expired)? {
            reached = change.revision;
            let event = Event::new(vault.opened(change));
            if reached <= until && interest.covers(&event) {
                found.push_back(Arc::new(event));
            }
        }
        tokio::task::yield_now().await;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use store::{Op, Txn};

    use super::*;
    use crate::engine::tests::rig::Rig;
    use crate::keys;
    use crate::object;
    use crate::selector::Selector;

    /// 300 tasks of 100 agents.
    async fn tasks(rig: &Rig) {
        let put = |n: usize| {
            let name = format!("t{n:03}");
            let task = json!({
                "kind": "Task", "apiVersion": "stoa.dev/v1", "metadata": {"name": name, "namespace": "a"},
                "spec": {"agent": format!("a{}", n % 100)},
            });
            Op::Put {
                key: keys::object("stoa.dev", "tasks", Some("a"), &name),
                value: object::encode(&task),
            }
        };
        let txn = Txn {
            request_id: 0,
            stamp_ms: 0,
            guards: Vec::new(),
            ops: (0..300).map(put).collect(),
        };
        rig.engine.store().txn(txn).await.unwrap();
    }

    #[tokio::test]
    async fn the_state_is_looked_for_where_it_can_be() {
        let rig = Rig::start().await;
        tasks(&rig).await;
        let engine = &rig.engine;
        let resource = engine.registry().by_plural("stoa.dev", "tasks").unwrap();
        for (labels, fields, namespace, expected) in [
            (
                "",
                "spec.agent=a7",
                None,
                Some(vec!["t007", "t107", "t207"]),
            ),
            (
                "x=y",
                "spec.agent=a7",
                Some("a"),
                Some(vec!["t007", "t107", "t207"]),
            ),
            ("", "spec.agent=a7", Some("b"), Some(vec![])),
            ("", "spec.agent=nobody", None, Some(vec![])),
            ("", "metadata.name=t042", Some("a"), Some(vec!["t042"])),
            (
                "",
                "metadata.name=t042,spec.agent=a7",
                Some("a"),
                Some(vec!["t042"]),
            ),
            ("", "spec.agent!=a7", None, None),
            ("x=y", "", None, None),
        ] {
            let interest = Interest {
                group: "stoa.dev".into(),
                plural: "tasks".into(),
                namespace: namespace.map(str::to_owned),
                selector: Selector::parse(labels, fields, &resource).unwrap(),
            };
            let (hub, _feeder) = Hub::new(engine.store().clone(), Arc::clone(engine.vault()));
            let what = (Arc::clone(&resource), interest);
            let begun = begin(engine.clone(), hub, what, From::State(None))
                .await
                .unwrap();
            let Start::State(view, among) = begun.start else {
                panic!("{fields}: no state");
            };
            assert_eq!(view.revision(), begun.sent);
            let names = among.as_ref().map(|keys| {
                let names = keys.iter().map(|key| keys::parse(key).unwrap().name);
                names.collect::<Vec<_>>()
            });
            assert_eq!(names, expected, "{labels} {fields} {namespace:?}");
        }
    }

    #[test]
    fn beginnings() {
        for (query, expected) in [
            ("", Ok(From::State(None))),
            ("resourceVersion=0", Ok(From::State(Some(0)))),
            ("resourceVersion=7", Ok(From::After(7))),
            ("resourceVersion=x", Err(400)),
            ("sendInitialEvents=true", Err(422)),
            (
                "sendInitialEvents=true&resourceVersionMatch=Exact",
                Err(422),
            ),
            (
                "resourceVersionMatch=NotOlderThan&resourceVersion=7",
                Err(422),
            ),
            (
                "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=7",
                Ok(From::State(Some(7))),
            ),
            (
                "sendInitialEvents=true&resourceVersionMatch=NotOlderThan",
                Ok(From::State(None)),
            ),
            (
                "sendInitialEvents=false&resourceVersionMatch=NotOlderThan",
                Ok(From::Now),
            ),
        ] {
            let found = Params::parse(query).and_then(|params| beginning(&params));
            assert_eq!(found.map_err(|failure| failure.code()), expected, "{query}");
        }
    }
}
