//! `Account`: the exact books of one agent.

use std::collections::BTreeMap;

use manifests::resources::{Ranges, Resources};

use crate::model::{Held, Key, Name, plus};

/// Where resources are taken from: a reservation, or what nobody reserved.
pub type Source = Option<Key>;

/// Who is charged.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Payer {
    /// A task, by uid.
    Task(String),
    /// An offer.
    Offer(Key),
}

/// The exact books of one agent.
#[derive(Clone, Debug, Default)]
pub struct Account {
    /// What there is.
    pub total: Resources,
    /// May be offered: ready, not cordoned, and no offer of an earlier term stands.
    pub open: bool,
    /// Charges, scalars only, by source.
    charged: BTreeMap<Source, Resources>,
    /// Ports are a set, which sums do not keep: here they are by payer.
    ports: BTreeMap<Payer, (Source, Ranges)>,
    /// What reservations hold here.
    holds: BTreeMap<Key, Held>,
    /// `free` of each source, until the next change.
    free: BTreeMap<Source, Resources>,
}

impl Account {
    /// Charges a payer. A payer with ports is charged at most once at a time.
    pub fn charge(&mut self, payer: &Payer, source: &Source, resources: &Resources) {
        let sum = self.charged.entry(source.clone()).or_default();
        *sum = plus(sum, &resources.without_ports());
        if !resources.ports().is_empty() {
            self.ports
                .insert(payer.clone(), (source.clone(), resources.ports().clone()));
        }
        self.free.clear();
    }

    /// Takes a charge back.
    pub fn release(&mut self, payer: &Payer, source: &Source, resources: &Resources) {
        let sum = self.charged.entry(source.clone()).or_default();
        *sum = sum.saturating_sub(&resources.without_ports());
        if sum.is_zero() {
            self.charged.remove(source);
        }
        if !resources.ports().is_empty() {
            self.ports.remove(payer);
        }
        self.free.clear();
    }

    /// What reservations hold here, by reservation.
    #[must_use]
    pub fn holds(&self) -> &BTreeMap<Key, Held> {
        &self.holds
    }

    /// A reservation holds this here from now on; `None`: nothing any more.
    pub fn hold(&mut self, reservation: &Key, held: Option<Held>) {
        match held {
            Some(held) => self.holds.insert(reservation.clone(), held),
            None => self.holds.remove(reservation),
        };
        self.free.clear();
    }

    /// Forgets what was reckoned; for a change made to the fields directly.
    pub fn refresh(&mut self) {
        self.free.clear();
    }

    /// Everything charged from the source.
    #[must_use]
    pub fn charged(&self, source: &Source) -> Resources {
        let mut charged = self.charged.get(source).cloned().unwrap_or_default();
        let ports = self.ports.values().filter(|(from, _)| from == source);
        charged.set_ports(ports.fold(Ranges::default(), |all, (_, some)| all.union(some)));
        charged
    }

    /// Everything charged.
    #[must_use]
    pub fn charged_in_all(&self) -> Resources {
        let mut sources: Vec<&Source> = self.charged.keys().collect();
        sources.extend(self.ports.values().map(|(source, _)| source));
        sources.sort();
        sources.dedup();
        sources
            .into_iter()
            .fold(Resources::default(), |sum, source| {
                plus(&sum, &self.charged(source))
            })
    }

    /// What is left of the source. Never negative: where an agent shrank below what is charged,
    /// nothing is left.
    pub fn free(&mut self, source: &Source) -> &Resources {
        if !self.free.contains_key(source) {
            let free = self.reckon(source);
            self.free.insert(source.clone(), free);
        }
        &self.free[source]
    }

    /// What nobody is charged for, whoever holds it.
    #[must_use]
    pub fn idle(&self) -> Resources {
        self.total.saturating_sub(&self.charged_in_all())
    }

    fn reckon(&self, source: &Source) -> Resources {
        match source {
            Some(reservation) => {
                let held = self.holds.get(reservation).map(|held| &held.resources);
                held.map_or_else(Resources::default, |held| {
                    Resources::min(&held.saturating_sub(&self.charged(source)), &self.idle())
                })
            }
            None => {
                let kept = self
                    .holds
                    .iter()
                    .fold(Resources::default(), |sum, (key, held)| {
                        let unused = held
                            .resources
                            .saturating_sub(&self.charged(&Some(key.clone())));
                        plus(&sum, &unused)
                    });
                self.idle().saturating_sub(&kept)
            }
        }
    }

    /// The reservation that keeps the whole agent from `pool`, if one does.
    #[must_use]
    pub fn closed_to(&self, pool: &str) -> Option<(&Key, &Name)> {
        self.holds
            .iter()
            .find(|(_, held)| held.exclusive && !is_within(pool, &held.pool))
            .map(|(key, held)| (key, &held.pool))
    }
}

/// True when `pool` is `ancestor` or below it: `eng.batch` is within `eng`.
#[must_use]
pub fn is_within(pool: &str, ancestor: &str) -> bool {
    pool.strip_prefix(ancestor)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resources(text: &str) -> Resources {
        text.parse::<manifests::resources::ResourceList>()
            .unwrap()
            .exact()
            .unwrap()
    }

    #[test]
    fn a_reservation_keeps_what_it_does_not_use() {
        let reservation = Key::new("default", "r");
        let mut account = Account {
            total: resources("cpus=8;ports=[1-10]"),
            ..Account::default()
        };
        let held = Held {
            pool: "a".into(),
            resources: resources("cpus=3"),
            exclusive: false,
        };
        account.hold(&reservation, Some(held));
        assert_eq!(*account.free(&None), resources("cpus=5;ports=[1-10]"));
        let (task, one) = (Payer::Task("t".to_owned()), resources("cpus=1;ports=[2-3]"));
        account.charge(&task, &None, &one);
        assert_eq!(*account.free(&None), resources("cpus=4;ports=[1,4-10]"));
        let two = resources("cpus=2");
        account.charge(
            &Payer::Task("u".to_owned()),
            &Some(reservation.clone()),
            &two,
        );
        assert_eq!(*account.free(&None), resources("cpus=4;ports=[1,4-10]"));
        assert_eq!(
            *account.free(&Some(reservation.clone())),
            resources("cpus=1")
        );
        account.hold(&reservation, None);
        assert_eq!(*account.free(&None), resources("cpus=5;ports=[1,4-10]"));
        account.release(&task, &None, &one);
        assert_eq!(*account.free(&None), resources("cpus=6;ports=[1-10]"));
    }

    #[test]
    fn pools_nest_by_dots() {
        assert!(is_within("eng", "eng"));
        assert!(is_within("eng.batch", "eng"));
        assert!(!is_within("engine", "eng"));
        assert!(!is_within("eng", "eng.batch"));
    }
}
