//! Accepting offers: the tasks each was sized for, bundle by bundle.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::allocator::{Book, Phase};
use crate::effect::{Lane, Token, Write};
use crate::model::{Key, Task};
use crate::ops;
use crate::world::World;

/// The acceptances of these open offers. A bundle is accepted when all of its offers are open;
/// until then it stays in `opened`. Tasks that have gone meanwhile are left out, and a gang that
/// lost a member is not started: its offers come back in the second list, to be withdrawn.
pub fn accept(
    world: &World,
    book: &mut Book,
    opened: &mut BTreeSet<Key>,
) -> (Vec<Write>, Vec<Key>) {
    let mut bundles: BTreeMap<u64, Vec<Key>> = BTreeMap::new();
    opened.retain(|key| {
        book.get(key)
            .is_some_and(|entry| entry.phase == Phase::Open)
    });
    for key in opened.iter() {
        if let Some(entry) = book.get(key) {
            bundles.entry(entry.bundle).or_default().push(key.clone());
        }
    }
    let waiting: BTreeSet<u64> = book
        .iter()
        .filter(|e| e.phase == Phase::Proposed)
        .map(|e| e.bundle)
        .collect();
    let (mut writes, mut useless) = (Vec::new(), Vec::new());
    for (bundle, keys) in bundles {
        if waiting.contains(&bundle) {
            continue;
        }
        for key in &keys {
            opened.remove(key);
        }
        match acceptance(world, book, &keys) {
            Some(write) => writes.push(write),
            None => useless.extend(keys),
        }
    }
    (writes, useless)
}

fn acceptance(world: &World, book: &mut Book, keys: &[Key]) -> Option<Write> {
    let mut operations = Vec::new();
    for key in keys {
        let tasks = present(world, book, key)?;
        operations.push(ops::accept(key, tasks.iter().map(|task| &**task)));
    }
    for key in keys {
        if let Some(entry) = book.get_mut(key) {
            entry.phase = Phase::Accepting;
        }
    }
    Some(Write {
        token: Token::Accept(keys.to_vec()),
        lane: Lane::Accept,
        operations,
    })
}

/// The tasks the offer was sized for that still wait; `None` for none, or a gang that is broken.
fn present(world: &World, book: &Book, key: &Key) -> Option<Vec<Arc<Task>>> {
    let entry = book.get(key)?;
    let waiting = |key: &Key| {
        world
            .tasks
            .get(key)
            .filter(|task| task.is_waiting())
            .cloned()
    };
    let tasks: Vec<_> = entry.intended.iter().filter_map(waiting).collect();
    let whole = tasks.len() == entry.intended.len();
    let gang = entry.gang;
    (!tasks.is_empty() && (whole || !gang)).then_some(tasks)
}
