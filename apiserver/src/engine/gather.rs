//! Aggregated roles show the rules they gather: after every commit that wrote a ClusterRole their
//! stored rules follow. What they grant does not wait for that: `rbac/aggregate.rs` computes it.

use std::sync::Arc;

use serde_json::Value;
use store::{Item, View};

use super::Engine;
use super::commit::Request;
use super::settled::Settled;
use crate::ids::Ids;
use crate::keys;
use crate::metadata;
use crate::object;
use crate::rbac::piece::gathers;
use crate::rbac::{GROUP, Rule, Rules};
use crate::status::Failure;
use crate::world::World;

const ROLES: &str = "clusterroles";

impl Engine {
    /// Follows a commit. Two that cross each follow their own, so the later one sees both.
    pub(super) async fn gather_after(&self, settled: &Settled, request: &Request) {
        let is_role = |resource: &crate::registry::Descriptor| {
            resource.group == GROUP && resource.plural == ROLES
        };
        let mut answers = settled.answers.iter();
        if !answers.any(|answer| is_role(answer.resource())) {
            return;
        }
        if let Err(failure) = self.gather(request).await {
            tracing::warn!(%failure, "aggregated roles do not show what they gather yet");
        }
    }

    async fn gather(&self, before: &Request) -> Result<(), Failure> {
        let mut request = before.clone();
        request.named = false;
        // The ids of the request itself are those of its few attempts.
        request.ids = Ids::new(request.ids.request(u32::MAX));
        let plan = |world: &mut World| {
            let view = world.view().clone();
            let rules = self.granted.at(&view);
            for (item, object) in stale(&view, &rules) {
                let _guarded = world.read(&item.key);
                world.put(&item.key, object);
            }
            Ok(Vec::new())
        };
        self.commit(plan, &request).await.map(|_settled| ())
    }
}

/// Aggregated roles whose stored rules are not what they gather, with what they should be.
fn stale(view: &View, rules: &Arc<Rules>) -> Vec<(Item, Value)> {
    let prefix = keys::resource(GROUP, ROLES);
    let changed = view.prefix(&prefix).filter_map(|item| {
        let mut object = object::decode(&item);
        let wanted = rules.cluster_role(metadata::text(&object, "name"))?;
        if gathers(&object).is_empty() || Rule::of(&object)[..] == wanted[..] {
            return None;
        }
        object["rules"] = serde_json::to_value(&wanted[..]).ok()?;
        Some((item, object))
    });
    changed.collect()
}
