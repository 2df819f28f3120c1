//! Marks what depends on a change of the world.

use manifests::kinds::AgentPhase;

use super::Core;
use crate::effect::Write;
use crate::model::{Agent, Key, Name, Task};
use crate::story;
use crate::world::{Change, Delta};

impl Core {
    pub(super) fn observe(&mut self, change: &Change, now_ms: u64) {
        self.garbage.observe(change);
        let writes = match change {
            Change::Pool(delta) => {
                let pool = delta
                    .new
                    .as_ref()
                    .or(delta.old.as_ref())
                    .map(|p| p.name.clone());
                self.reline_pool(pool.as_ref(), now_ms);
                self.counts.touch();
                self.allocator.observe_pool(&self.world, delta)
            }
            Change::Framework(delta) => {
                self.counts.touch();
                if let Some(key) = delta
                    .new
                    .as_ref()
                    .or(delta.old.as_ref())
                    .map(|f| f.key.clone())
                {
                    self.queue.reline(&self.world, &key, now_ms);
                }
                self.allocator.observe_framework(&self.world, delta)
            }
            Change::Task(delta) => self.observe_task(delta, now_ms),
            Change::Group(delta) => {
                if let Some(group) = delta.new.as_ref().or(delta.old.as_ref()) {
                    self.groups.insert(group.key.clone());
                    let framework = group.key.sibling(&group.spec.framework);
                    self.queue.reline(&self.world, &framework, now_ms);
                }
                self.allocator.dirty = true;
                Vec::new()
            }
            Change::Reservation(delta) => {
                self.reservations_moved = true;
                self.allocator.observe_reservation(&self.world, delta)
            }
            Change::Offer(delta) => {
                self.allocator.dirty = true;
                self.allocator.observe_offer(&self.world, delta, now_ms)
            }
            Change::Agent(delta) => {
                (self.agents_moved, self.reservations_moved) = (true, true);
                self.counts.touch();
                self.await_agent(delta);
                self.allocator.observe_agent(&self.world, delta)
            }
            Change::Namespace(delta) => {
                let going = delta
                    .new
                    .as_ref()
                    .filter(|namespace| namespace.meta.deleting);
                self.emptying
                    .extend(going.map(|namespace| (now_ms, namespace.name.clone())));
                Vec::new()
            }
        };
        self.push(writes);
    }

    fn observe_task(&mut self, delta: &Delta<Task>, now_ms: u64) -> Vec<Write> {
        self.queue.observe(&self.world, delta, now_ms);
        self.counts.observe(delta);
        for task in [&delta.old, &delta.new].into_iter().flatten() {
            self.groups.extend(task.group.clone());
            self.tasks.insert(task.key.clone());
            self.agents_moved |= task.is_active();
        }
        if self.complete {
            self.tell(story::tell(delta), now_ms);
        }
        self.allocator.dirty = true;
        self.allocator.observe_task(&self.world, delta)
    }

    fn await_agent(&mut self, delta: &Delta<Agent>) {
        if let Some(agent) = delta.new.as_ref().or(delta.old.as_ref()) {
            self.registering.remove(&agent.name);
        }
        let new = delta.new.as_ref();
        if let Some(agent) = new.filter(|agent| agent.phase == AgentPhase::Registering) {
            self.registering
                .insert(agent.name.clone(), agent.meta.created_ms);
        }
    }

    fn reline_pool(&mut self, pool: Option<&Name>, now_ms: u64) {
        let frameworks = self
            .world
            .frameworks
            .iter()
            .filter(|f| Some(&f.pool) == pool);
        let keys: Vec<Key> = frameworks.map(|f| f.key.clone()).collect();
        for key in keys {
            self.queue.reline(&self.world, &key, now_ms);
        }
    }
}
