//! When each agent was last heard from. Kept in the leader's memory alone: thousands of beats a
//! minute are not worth a log entry; only the transitions they lead to are. Pure.

use std::collections::BTreeMap;

use manifests::wire::{HeartbeatAge, HeartbeatAges};
use serde::{Deserialize, Serialize};

/// Agents remembered at most. A name costs a certificate, so this is beyond any real cluster.
const AGENTS_MAX: usize = 200_000;

/// What other replicas ask of the leader.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Ask {
    /// This agent was heard.
    #[serde(rename_all = "camelCase")]
    Beat {
        /// Its name.
        agent: String,
        /// The `bootId` it sent.
        boot_id: String,
    },
    /// Tell all ages.
    Ages,
}

/// The table of one leadership.
#[derive(Clone, Debug, Default)]
pub struct Heartbeats {
    epoch: u64,
    since_ms: u64,
    last: BTreeMap<String, (u64, String)>,
}

impl Heartbeats {
    /// Forgets everything when a new leadership has begun: what an earlier one heard is stale.
    /// `now_ms` is any clock that only grows.
    pub fn enter(&mut self, epoch: u64, now_ms: u64) {
        if self.epoch != epoch {
            *self = Self {
                epoch,
                since_ms: now_ms,
                last: BTreeMap::new(),
            };
        }
    }

    /// An agent was heard.
    pub fn beat(&mut self, agent: &str, boot_id: &str, now_ms: u64) {
        if self.last.len() < AGENTS_MAX || self.last.contains_key(agent) {
            self.last
                .insert(agent.to_owned(), (now_ms, boot_id.to_owned()));
        }
    }

    /// How long ago each agent was heard.
    #[must_use]
    pub fn ages(&self, now_ms: u64) -> HeartbeatAges {
        let items = self
            .last
            .iter()
            .map(|(agent, (at_ms, boot_id))| HeartbeatAge {
                agent: agent.clone(),
                age_ms: now_ms.saturating_sub(*at_ms),
                boot_id: boot_id.clone(),
            });
        HeartbeatAges {
            epoch: self.epoch,
            leading_ms: now_ms.saturating_sub(self.since_ms),
            items: items.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_leadership_knows_nothing() {
        let mut table = Heartbeats::default();
        table.enter(3, 100);
        table.beat("a1", "b1", 150);
        table.beat("a1", "b2", 170);
        table.enter(3, 180);
        let ages = table.ages(200);
        assert_eq!((ages.epoch, ages.leading_ms), (3, 100));
        let expected = HeartbeatAge {
            agent: "a1".into(),
            age_ms: 30,
            boot_id: "b2".into(),
        };
        assert_eq!(ages.items, [expected]);
        table.enter(4, 300);
        assert_eq!(table.ages(301).items, []);
        assert_eq!(table.ages(301).leading_ms, 1);
    }
}
