//! Whose turn it is, for people: who is served before a pool, and what each has for its weight.

use manifests::resources::Ratio;

use super::Allocator;
use super::drf::Tree;
use crate::model::{Key, Name};
use crate::scheduler::Queue;
use crate::world::World;

/// Who is served before a pool.
#[derive(Clone, Debug)]
pub struct Turn {
    /// The pool, or the one above it that is not served yet, and its share per weight.
    pub who: (Name, Ratio),
    /// Its siblings that are, the first of them first.
    pub ahead: Vec<(Name, Ratio)>,
}

impl Allocator {
    /// The turn of a pool among all that want something.
    #[must_use]
    pub fn turn(&self, world: &World, queue: &Queue, pool: &Name) -> Turn {
        let waiting = queue.waiting();
        let waiting = waiting.map(|(framework, ..)| framework);
        let wanting: Vec<(&Key, &Name)> = waiting
            .chain(&self.externals)
            .filter_map(|key| Some((key, &world.frameworks.get(key)?.pool)))
            .collect();
        Tree::new(world, &self.usage, self.ledger.total(), wanting).turn(pool)
    }
}
