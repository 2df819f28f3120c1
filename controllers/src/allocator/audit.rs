//! The independent checker: recomputes the books from the world by another route, and says what
//! does not hold. It runs after every step of every test.

use std::collections::BTreeMap;

use manifests::resources::Resources;

use super::Allocator;
use crate::model::{Key, Name, plus};
use crate::world::World;

pub(super) fn audit(allocator: &Allocator, world: &World) -> Result<(), Vec<String>> {
    let mut faults = Vec::new();
    let mut expected: BTreeMap<Name, Resources> = BTreeMap::new();
    let mut shares: BTreeMap<Key, Resources> = BTreeMap::new();
    let mut charge = |agent: &Name, framework: &Key, amount: &Resources| {
        let sum = expected.entry(agent.clone()).or_default();
        *sum = plus(sum, amount);
        let share = shares.entry(framework.clone()).or_default();
        *share = plus(share, &amount.without_ports());
    };
    for task in world.tasks.iter().filter(|task| task.is_active()) {
        if let Some(agent) = &task.agent {
            charge(agent, &task.framework, &task.shape.resources);
        }
    }
    for entry in allocator.book.iter() {
        let (due, _) = entry.due(world);
        if due != entry.charged {
            faults.push(format!(
                "offer {} is charged {} and not {due}",
                entry.key, entry.charged
            ));
        }
        charge(&entry.agent, &entry.framework, &due);
    }
    for (agent, account) in allocator.ledger.iter() {
        let expected = expected.remove(agent).unwrap_or_default();
        let charged = account.charged_in_all();
        if charged != expected {
            faults.push(format!(
                "agent {agent} is charged {charged} and not {expected}"
            ));
        }
        // An agent may shrink below its offers; those are on their way out then.
        let receding = allocator.book.on(agent).filter(|entry| entry.doomed);
        let receding = receding.fold(Resources::default(), |sum, e| plus(&sum, &e.charged));
        if account.open && !account.total.contains(&charged.saturating_sub(&receding)) {
            faults.push(format!(
                "agent {agent} has {} and is charged {charged}",
                account.total
            ));
        }
    }
    faults.extend(
        expected
            .iter()
            .map(|(agent, sum)| format!("agent {agent} lacks {sum}")),
    );
    for (framework, share) in &shares {
        let known = allocator.usage.framework(framework);
        if known != *share {
            faults.push(format!(
                "framework {framework} is reckoned at {known} and not {share}"
            ));
        }
    }
    if faults.is_empty() {
        Ok(())
    } else {
        Err(faults)
    }
}
