//! What the cluster asks of writes, compiled: webhooks in the order in which they are asked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;
use store::View;

use super::matching::Matching;
use super::policy::Policy;
use super::webhooks::Webhook;
use crate::keys;
use crate::object;
use crate::registry::Descriptor;
use crate::registry::builtin::admission::{BINDINGS, GROUP, MUTATING, POLICIES, VALIDATING};

/// Everything that has a say, by what one view of the store holds.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// In the order of the configurations' names.
    pub mutating: Vec<Arc<Webhook>>,
    /// In the order of the configurations' names.
    pub validating: Vec<Arc<Webhook>>,
    /// Those that are bound.
    pub policies: Vec<Policy>,
    watched: Watched,
}

/// Which resources anything is about.
#[derive(Debug, Default)]
struct Watched {
    all: bool,
    named: BTreeMap<String, BTreeSet<String>>,
}

/// What a snapshot is made from: each configuration's key and revision.
#[must_use]
pub fn marks(view: &View) -> Vec<(Bytes, u64)> {
    let prefix = Bytes::from(format!("/{GROUP}/"));
    view.keys(&prefix).collect()
}

impl Snapshot {
    /// Compiles what the view holds.
    #[must_use]
    pub fn of(view: &View) -> Self {
        let mut made = Self::default();
        for plural in [MUTATING, VALIDATING] {
            for item in view.prefix(&keys::resource(GROUP, plural)) {
                let configuration = object::decode(&item);
                let hooks = Webhook::all(&configuration, item.mod_revision);
                for hook in &hooks {
                    made.watched.add(&hook.matching);
                }
                let place = if plural == MUTATING {
                    &mut made.mutating
                } else {
                    &mut made.validating
                };
                place.extend(hooks.into_iter().map(Arc::new));
            }
        }
        let all = |plural: &str| -> Vec<Value> {
            let items = view
                .prefix(&keys::resource(GROUP, plural))
                .collect::<Vec<_>>();
            items.iter().map(object::decode).collect()
        };
        let bindings = all(BINDINGS);
        let policies = all(POLICIES);
        let bound = policies.iter().map(|one| Policy::of(one, &bindings));
        made.policies = bound.filter(|policy| !policy.is_idle()).collect();
        for policy in &made.policies {
            made.watched.add(&policy.matching);
        }
        made
    }

    /// False if nothing is about this resource, which is what most requests find.
    #[must_use]
    pub fn concerns(&self, resource: &Descriptor) -> bool {
        let named = self.watched.named.get(&resource.group);
        (self.watched.all || named.is_some_and(|plurals| plurals.contains(&resource.plural)))
            && !is_exempt(resource)
    }
}

/// What steers admission is not subject to it: whoever locked himself out must get in again.
fn is_exempt(resource: &Descriptor) -> bool {
    resource.group == GROUP
}

impl Watched {
    fn add(&mut self, matching: &Matching) {
        match matching.named() {
            None => self.all = true,
            Some(named) => {
                for (group, plural) in named {
                    self.named.entry(group).or_default().insert(plural);
                }
            }
        }
    }
}

/// The field of a configuration as text.
pub(super) fn word<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}
