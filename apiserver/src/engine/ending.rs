//! Definitions that are going away: the second step of their deletion follows the first at once,
//! and every removal of an object that was in its way. A new leader ends what was left undone.

use std::collections::BTreeSet;

use bytes::Bytes;
use jiff::Timestamp;

use super::Engine;
use super::commit::Request;
use super::settled::Settled;
use crate::admission::hooks::Desk;
use crate::ids::Ids;
use crate::keys;
use crate::managed::author::Author;
use crate::metadata;
use crate::object;
use crate::registry::builtin::{DEFINITIONS, DEFINITIONS_GROUP};
use crate::registry::{Origin, Registry, Special};
use crate::status::Failure;
use crate::user::User;
use crate::verbs::{Answer, Context, sweep};
use crate::world::World;

impl Engine {
    /// Commits, and ends the definitions that the commit lets go.
    pub(super) async fn carry_out<F>(
        &self,
        compute: F,
        request: &Request,
    ) -> Result<Settled, Failure>
    where
        F: Fn(&mut World) -> Result<Vec<Answer>, Failure> + Send + Sync,
    {
        let settled = self.commit(compute, request).await?;
        if !request.dry_run {
            for key in self.ending(&settled) {
                self.end(&key, settled.revision, request).await;
            }
            self.gather_after(&settled, request).await;
            self.name_after(&settled, request).await;
        }
        Ok(settled)
    }

    /// Ends every definition that is going away.
    pub async fn end_definitions(&self, now: Timestamp, seed: u128) {
        let view = self.store.view();
        let prefix = keys::resource(DEFINITIONS_GROUP, DEFINITIONS);
        let all = view.prefix(&prefix);
        let marked = all.filter(|item| metadata::is_deleting(&object::decode(item)));
        let keys: Vec<Bytes> = marked.map(|item| item.key).collect();
        for (n, key) in (0..).zip(keys) {
            let request = Request {
                ids: Ids::new(Ids::new(seed).request(n)),
                now,
                dry_run: false,
                named: false,
            };
            self.end(&key, view.revision(), &request).await;
        }
        let request = Request {
            ids: Ids::new(seed),
            now,
            dry_run: false,
            named: false,
        };
        self.name_waiting(&request).await;
    }

    /// Definitions that were marked by a commit, or whose objects it wrote while they were.
    fn ending(&self, settled: &Settled) -> BTreeSet<Bytes> {
        let mut found = BTreeSet::new();
        let mut registry = None;
        for answer in &settled.answers {
            let resource = answer.resource();
            if resource.special == Special::Definition {
                let object = answer.object();
                if metadata::is_deleting(&object) {
                    found.insert(keys::of(resource, None, metadata::text(&object, "name")));
                }
            } else if resource.origin == Origin::Definition {
                let registry = registry.get_or_insert_with(|| self.registry());
                let now = registry.by_plural(&resource.group, &resource.plural);
                if now.is_some_and(|now| !now.serves("create")) {
                    found.insert(keys::definition(&resource.group, &resource.plural));
                }
            }
        }
        found
    }

    /// The definition is marked, so a failure here only defers its end: to the next delete of it
    /// or of an object of its kind, or to the next leader.
    async fn end(&self, key: &Bytes, revision: u64, request: &Request) {
        if let Err(failure) = self.sweep(key, revision, request).await {
            let key = String::from_utf8_lossy(key);
            tracing::warn!(%key, %failure, "a definition that is deleted is still there");
        }
    }

    async fn sweep(&self, key: &Bytes, revision: u64, before: &Request) -> Result<(), Failure> {
        // Not the one before: that view has no mark, and there would seem to be nothing to do.
        let _marked = self.reach(revision).await?;
        let (user, registry) = (User::controllers(), Registry::default());
        let mut request = before.clone();
        request.named = false;
        loop {
            // The ids of the request itself are those of its few attempts.
            request.ids = Ids::new(request.ids.request(u32::MAX));
            let plan = |world: &mut World| {
                let context = Context {
                    user: &user,
                    authorizer: self.authorizer(),
                    now: request.now,
                    ids: request.ids.clone(),
                    registry: &registry,
                    author: Author::nobody(),
                    desk: Desk::default(),
                };
                sweep::run(world, key, &context)
            };
            let settled = self.commit(plan, &request).await?;
            if settled.answers.is_empty() {
                return Ok(());
            }
            let _applied = self.reach(settled.revision).await?;
        }
    }
}
