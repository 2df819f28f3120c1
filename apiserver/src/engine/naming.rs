//! A definition that waits for a name takes it once it is free: after every commit that wrote a
//! definition, those that wait are looked at again.

use super::Engine;
use super::commit::Request;
use super::settled::Settled;
use crate::admission::naming;
use crate::ids::Ids;
use crate::registry::Special;
use crate::status::Failure;
use crate::world::World;

/// Definitions that get their names after one commit; each may free a name itself.
const ROUNDS: usize = 64;

impl Engine {
    /// Follows a commit. Whoever waits in vain waits for the next one, or for the next leader.
    pub(super) async fn name_after(&self, settled: &Settled, request: &Request) {
        let mut answers = settled.answers.iter();
        if answers.any(|answer| answer.resource().special == Special::Definition) {
            self.name_waiting(request).await;
        }
    }

    pub(super) async fn name_waiting(&self, request: &Request) {
        if let Err(failure) = self.name(request).await {
            tracing::warn!(%failure, "definitions still wait for names that are free");
        }
    }

    async fn name(&self, before: &Request) -> Result<(), Failure> {
        let mut request = before.clone();
        request.named = false;
        for _ in 0..ROUNDS {
            let view = self.store.view();
            if naming::released(&view, &self.served.at(&view), request.now).is_none() {
                return Ok(());
            }
            // The ids of the request itself are those of its few attempts.
            request.ids = Ids::new(request.ids.request(u32::MAX));
            let plan = |world: &mut World| {
                let view = world.view().clone();
                let found = naming::released(&view, &self.served.at(&view), request.now);
                if let Some((item, definition)) = found {
                    let _guarded = world.read(&item.key);
                    naming::claim(world, &definition);
                    world.put(&item.key, definition);
                }
                Ok(Vec::new())
            };
            let settled = self.commit(plan, &request).await?;
            let _applied = self.reach(settled.revision).await?;
        }
        Ok(())
    }
}
