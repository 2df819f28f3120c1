//! `Filters`: what was declined of late, and until when the like is not offered again (Mesos).
//! In memory alone: after a change of leader everything may be offered once more.

use std::collections::BTreeMap;

use manifests::resources::Resources;

use crate::model::{Key, Name};

/// What was declined of late.
#[derive(Debug, Default)]
pub struct Filters {
    entries: BTreeMap<(Key, Name), Vec<(u64, Resources)>>,
}

impl Filters {
    /// Do not offer `framework` anything of `agent` that is within `resources`, until then.
    pub fn refuse(&mut self, framework: &Key, agent: &Name, resources: Resources, until_ms: u64) {
        if resources.is_zero() {
            return;
        }
        let entries = self
            .entries
            .entry((framework.clone(), agent.clone()))
            .or_default();
        entries.retain(|(until, old)| *until > until_ms || !resources.contains(old));
        entries.push((until_ms, resources));
    }

    /// True when this was declined.
    #[must_use]
    pub fn blocks(
        &self,
        framework: &Key,
        agent: &Name,
        resources: &Resources,
        now_ms: u64,
    ) -> bool {
        self.entries
            .get(&(framework.clone(), agent.clone()))
            .is_some_and(|entries| {
                entries
                    .iter()
                    .any(|(until, old)| *until > now_ms && old.contains(resources))
            })
    }

    /// The framework asks anew (Mesos: REVIVE).
    pub fn revive(&mut self, framework: &Key) {
        self.entries.retain(|(of, _), _| of != framework);
    }

    /// Forgets what is over; true when anything was.
    pub fn expire(&mut self, now_ms: u64) -> bool {
        let mut expired = false;
        self.entries.retain(|_, entries| {
            let before = entries.len();
            entries.retain(|(until, _)| *until > now_ms);
            expired |= entries.len() < before;
            !entries.is_empty()
        });
        expired
    }

    /// When the next one ends.
    #[must_use]
    pub fn next_ms(&self) -> Option<u64> {
        self.entries
            .values()
            .flatten()
            .map(|(until, _)| *until)
            .min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cpus(count: i64) -> Resources {
        Resources::new([("cpus", manifests::resources::Milli::whole(count).unwrap())])
    }

    #[test]
    fn a_filter_blocks_what_is_within_the_declined_until_its_time() {
        let (framework, agent) = (Key::new("default", "f"), Name::from("a"));
        let mut filters = Filters::default();
        filters.refuse(&framework, &agent, cpus(4), 5_000);
        for (count, now_ms, blocked) in [
            (4, 0, true),
            (3, 4_999, true),
            (5, 0, false),
            (4, 5_000, false),
        ] {
            assert_eq!(
                filters.blocks(&framework, &agent, &cpus(count), now_ms),
                blocked,
                "{count} {now_ms}"
            );
        }
        assert_eq!(filters.next_ms(), Some(5_000));
        assert!(!filters.expire(4_999));
        assert!(filters.expire(5_000));
        assert_eq!(filters.next_ms(), None);
    }
}
