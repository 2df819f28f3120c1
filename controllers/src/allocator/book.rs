//! `Book`: every offer that stands, or stood and is not settled yet.
//!
//! Kinds are watched on separate streams, so an offer's acceptance and the binding of its tasks
//! are seen in either order. An offer therefore stays charged for each task it launched until that
//! very run was seen on the task stream; and a task that is seen bound before its offer is seen
//! accepted (it is *early*) is taken out of the offer's charge, so that nothing counts twice.

use std::collections::{BTreeMap, BTreeSet};

use manifests::kinds::Launched;
use manifests::lifecycle::TaskState;
use manifests::resources::Resources;

use super::account::Source;
use crate::model::{Key, Name, plus};
use crate::world::World;

/// Where an offer is in its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Its creation is under way.
    Proposed,
    /// Stands.
    Open,
    /// The built-in scheduler's acceptance is under way.
    Accepting,
    /// Tasks were launched with it.
    Accepted(Vec<Launched>),
    /// Its withdrawal is under way; it may yet turn out to have been accepted.
    Withdrawing,
    /// Cannot be accepted any more; kept until the watch says that it is gone, lest an older event
    /// of it be taken for a new offer.
    Gone,
}

/// One offer.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Name.
    pub key: Key,
    /// Identity, once known.
    pub uid: String,
    /// Version, once known.
    pub version: u64,
    /// To whom.
    pub framework: Key,
    /// Who is charged.
    pub pool: Name,
    /// Whose resources.
    pub agent: Name,
    /// From which reservation.
    pub source: Source,
    /// What.
    pub resources: Resources,
    /// Where in its life.
    pub phase: Phase,
    /// For the built-in scheduler.
    pub builtin: bool,
    /// Made in this term of leadership.
    pub ours: bool,
    /// The tasks it was sized for.
    pub intended: Vec<Key>,
    /// Offers of one bundle are accepted together or not at all.
    pub bundle: u64,
    /// All the tasks it was sized for, or none.
    pub gang: bool,
    /// When it ends.
    pub expires_ms: u64,
    /// To be withdrawn as soon as it can be.
    pub doomed: bool,
    /// Its removal, after settlement, is under way or done.
    pub removing: bool,
    /// Tasks seen bound before the acceptance was.
    pub early: BTreeMap<String, Resources>,
    /// Tasks of its framework and agent whose objects vanished while it stood.
    pub buried: BTreeSet<String>,
    /// What it is charged for now.
    pub charged: Resources,
}

/// Whether a launched task was seen to run, and what it takes.
enum Sight {
    Seen(Resources),
    Known(Resources),
    Unknown,
}

impl Entry {
    /// True while it might be accepted.
    #[must_use]
    pub fn may_be_accepted(&self) -> bool {
        match self.phase {
            Phase::Proposed | Phase::Open | Phase::Accepting | Phase::Withdrawing => true,
            Phase::Accepted(_) | Phase::Gone => false,
        }
    }

    /// What it has to be charged for, as far as is known; and whether all of it is settled.
    #[must_use]
    pub fn due(&self, world: &World) -> (Resources, bool) {
        match &self.phase {
            Phase::Proposed | Phase::Open | Phase::Accepting | Phase::Withdrawing => {
                let early = self
                    .early
                    .values()
                    .fold(Resources::default(), |a, b| plus(&a, b));
                (self.resources.saturating_sub(&early), false)
            }
            Phase::Accepted(launched) => self.due_for(world, launched),
            Phase::Gone => (Resources::default(), false),
        }
    }

    fn due_for(&self, world: &World, launched: &[Launched]) -> (Resources, bool) {
        let (mut seen, mut known) = (Resources::default(), Resources::default());
        let (mut all_seen, mut all_known) = (true, true);
        for task in launched {
            match self.sight(world, task) {
                Sight::Seen(resources) => seen = plus(&seen, &resources),
                Sight::Known(resources) => {
                    known = plus(&known, &resources);
                    all_seen = false;
                }
                Sight::Unknown => (all_seen, all_known) = (false, false),
            }
        }
        let due = if all_known {
            known
        } else {
            self.resources.saturating_sub(&seen)
        };
        (due, all_seen)
    }

    fn sight(&self, world: &World, launched: &Launched) -> Sight {
        let task = world.tasks.get(&self.key.sibling(&launched.name));
        match task.filter(|task| task.meta.uid == launched.uid) {
            Some(task) => {
                let begun = task.attempt > launched.attempt
                    || (task.attempt == launched.attempt && task.state != TaskState::Pending);
                let resources = task.shape.resources.clone();
                if begun {
                    Sight::Seen(resources)
                } else {
                    Sight::Known(resources)
                }
            }
            // A list of tasks as new as the acceptance would have named it: it came and went.
            None if self.buried.contains(&launched.uid) => Sight::Seen(Resources::default()),
            None if self.version > 0 && world.tasks.listed() >= self.version => {
                Sight::Seen(Resources::default())
            }
            None => Sight::Unknown,
        }
    }

    /// What the framework left of it, as far as is known.
    #[must_use]
    pub fn remainder(&self, world: &World) -> Resources {
        let Phase::Accepted(launched) = &self.phase else {
            return self.resources.clone();
        };
        let taken = launched.iter().fold(Resources::default(), |sum, task| {
            match self.sight(world, task) {
                Sight::Seen(resources) | Sight::Known(resources) => plus(&sum, &resources),
                Sight::Unknown => sum,
            }
        });
        self.resources.saturating_sub(&taken)
    }
}

/// Every offer that is not settled.
#[derive(Debug, Default)]
pub struct Book {
    entries: BTreeMap<Key, Entry>,
    launched: BTreeMap<String, Key>,
    early: BTreeMap<String, Key>,
    places: BTreeMap<(Key, Name, Source), BTreeSet<Key>>,
    agents: BTreeMap<Name, BTreeSet<Key>>,
}

impl Book {
    /// The offer of this name.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<&Entry> {
        self.entries.get(key)
    }

    /// The offer of this name, to change it; its place never changes.
    pub fn get_mut(&mut self, key: &Key) -> Option<&mut Entry> {
        self.entries.get_mut(key)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// Those of an agent.
    pub fn on(&self, agent: &str) -> impl Iterator<Item = &Entry> {
        let keys = self.agents.get(agent);
        keys.into_iter()
            .flatten()
            .filter_map(|key| self.entries.get(key))
    }

    /// Enters an offer.
    pub fn insert(&mut self, entry: Entry) {
        let place = (
            entry.framework.clone(),
            entry.agent.clone(),
            entry.source.clone(),
        );
        self.places
            .entry(place)
            .or_default()
            .insert(entry.key.clone());
        self.agents
            .entry(entry.agent.clone())
            .or_default()
            .insert(entry.key.clone());
        self.entries.insert(entry.key.clone(), entry);
    }

    /// Strikes an offer out.
    pub fn remove(&mut self, key: &Key) -> Option<Entry> {
        let entry = self.entries.remove(key)?;
        let place = (
            entry.framework.clone(),
            entry.agent.clone(),
            entry.source.clone(),
        );
        unlink(&mut self.places, &place, key);
        unlink(&mut self.agents, &entry.agent, key);
        if let Phase::Accepted(launched) = &entry.phase {
            for task in launched {
                self.launched.remove(&task.uid);
            }
        }
        for uid in entry.early.keys() {
            self.early.remove(uid);
        }
        Some(entry)
    }

    /// The accepted offer that launched the task.
    #[must_use]
    pub fn launcher(&self, uid: &str) -> Option<&Key> {
        self.launched.get(uid)
    }

    /// The offer is accepted with these. Returns the offers, this one included, whose charge has
    /// to be reckoned anew.
    pub fn accept(&mut self, key: &Key, version: u64, launched: &[Launched]) -> BTreeSet<Key> {
        let mut touched = BTreeSet::from([key.clone()]);
        for task in launched {
            if let Some(presumed) = self.early.remove(&task.uid) {
                if let Some(entry) = self.entries.get_mut(&presumed) {
                    entry.early.remove(&task.uid);
                }
                touched.insert(presumed);
            }
            self.launched.insert(task.uid.clone(), key.clone());
        }
        if let Some(entry) = self.entries.get_mut(key) {
            entry.phase = Phase::Accepted(launched.to_vec());
            entry.version = version;
        }
        touched
    }

    /// A task is seen bound that no accepted offer is known to have launched: it is presumed to
    /// come from a standing offer of the same framework, agent and source. Returns that offer.
    pub fn presume(
        &mut self,
        place: &(Key, Name, Source),
        task: &Key,
        uid: &str,
        resources: &Resources,
    ) -> Option<Key> {
        let standing = self
            .places
            .get(place)?
            .iter()
            .filter_map(|key| self.entries.get(key));
        let fits = |entry: &&Entry| {
            entry.ours && entry.may_be_accepted() && entry.charged.contains(resources)
        };
        let offer = standing
            .filter(fits)
            .max_by_key(|entry| entry.intended.contains(task))?;
        let offer = offer.key.clone();
        self.early.insert(uid.to_owned(), offer.clone());
        if let Some(entry) = self.entries.get_mut(&offer) {
            entry.early.insert(uid.to_owned(), resources.clone());
        }
        Some(offer)
    }

    /// A task is gone: an acceptance still to be seen may name it. `place`: where it was bound last,
    /// if it still was; else the offer it was presumed to come from is all there is to go by.
    pub fn bury(&mut self, place: Option<&(Key, Name, Source)>, uid: &str) {
        let mut standing: BTreeSet<Key> = place
            .and_then(|place| self.places.get(place))
            .cloned()
            .unwrap_or_default();
        standing.extend(self.early.get(uid).cloned());
        for key in standing {
            if let Some(entry) = self
                .entries
                .get_mut(&key)
                .filter(|e| e.phase != Phase::Gone)
            {
                entry.buried.insert(uid.to_owned());
            }
        }
    }

    /// When the next standing offer ends.
    #[must_use]
    pub fn next_ms(&self) -> Option<u64> {
        let standing = self
            .entries
            .values()
            .filter(|entry| entry.phase == Phase::Open);
        standing.map(|entry| entry.expires_ms).min()
    }
}

fn unlink<K: Ord>(index: &mut BTreeMap<K, BTreeSet<Key>>, at: &K, key: &Key) {
    let Some(keys) = index.get_mut(at) else {
        return;
    };
    keys.remove(key);
    if keys.is_empty() {
        index.remove(at);
    }
}
