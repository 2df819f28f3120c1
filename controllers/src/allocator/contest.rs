//! When a built-in framework starves beside standing offers: the offers of somebody who has more
//! than its share are withdrawn, one at a time, rather than left to expire.

use manifests::resources::Resources;

use super::Allocator;
use super::book::Phase;
use super::drf::Tree;
use crate::effect::Write;
use crate::model::{Key, plus};
use crate::scheduler::{Ask, Queue, judge};
use crate::world::World;

impl Allocator {
    /// Withdraws one external offer for each built-in framework that waits for what it holds.
    pub fn contest(&mut self, world: &World, queue: &Queue) -> Vec<Write> {
        if self.externals.is_empty() {
            return Vec::new();
        }
        let mut writes = Vec::new();
        let mut served: Option<Key> = None;
        for (framework, class, blocked, _) in queue.waiting() {
            if !blocked || served.as_ref() == Some(framework) {
                continue;
            }
            let Some(unit) = queue.sample(world, framework, class) else {
                continue;
            };
            let [task] = unit.tasks.as_slice() else {
                continue;
            };
            if let Some(offer) = self.hoarded(world, framework, task) {
                writes.extend(self.withdraw(world, &offer));
                served = Some(framework.clone());
            }
        }
        writes
    }

    /// An open external offer whose resources would let the task fit, and whose framework has more
    /// for its weight than the task's.
    fn hoarded(
        &mut self,
        world: &World,
        framework: &Key,
        task: &crate::model::Task,
    ) -> Option<Key> {
        let pool = world.frameworks.get(framework)?.pool.clone();
        world.pools.get(&pool)?;
        let shape = &task.shape;
        let open: Vec<(Key, Key, crate::model::Name, crate::model::Name, Resources)> = self
            .book
            .iter()
            .filter(|e| e.phase == Phase::Open && !e.builtin && e.ours && e.source.is_none())
            .map(|e| {
                (
                    e.key.clone(),
                    e.framework.clone(),
                    e.pool.clone(),
                    e.agent.clone(),
                    e.charged.clone(),
                )
            })
            .collect();
        for (key, holder, holder_pool, agent, held) in open {
            let seats = [(framework, &pool), (&holder, &holder_pool)];
            let tree = Tree::new(world, &self.usage, self.ledger.total(), seats);
            if tree.pick().as_ref() != Some(framework) {
                continue;
            }
            let Some(agent) = world.agents.get(&agent) else {
                continue;
            };
            let mut account = self.ledger.account(&agent.name).clone();
            let payer = super::account::Payer::Offer(key.clone());
            account.release(&payer, &None, &plus(&Resources::default(), &held));
            let constraints = vec![shape.constraints.as_slice()];
            let ask = Ask {
                resources: &shape.resources,
                constraints,
                pool: &pool,
                pin: None,
            };
            if judge(agent, &mut account, &ask).is_ok() {
                return Some(key);
            }
        }
        None
    }
}
