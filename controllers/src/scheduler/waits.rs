//! `Waits`: which explanations were written when, and which waits are worth an event.

use std::collections::{BTreeMap, BTreeSet};

use manifests::explain::{Cause, Explanation};
use serde_json::json;

use super::explain::{explain, pool_of, simple};
use super::queue::Queue;
use crate::allocator::Allocator;
use crate::effect::{Record, Token, Write};
use crate::model::{Key, Task};
use crate::world::World;
use crate::{ops, story};

/// Most waits are shorter than this, and need no explanation.
const PATIENCE_MS: u64 = 300;

/// How often explanations are looked at.
const LOOK_MS: u64 = 250;

/// Explanations written in one look: 200 each second.
const WRITES_MAX: usize = 50;

/// Who waits for longer is worth an event: most waits for a free slot are shorter.
const TELL_MS: u64 = 3_000;

/// New particulars of the same causes are written no more often than this.
const REWRITE_MS: u64 = 10_000;

/// Which explanations were written when.
#[derive(Debug, Default)]
pub struct Waits {
    next_ms: u64,
    since: BTreeMap<Key, u64>,
    written: BTreeMap<Key, u64>,
    flying: BTreeMap<Key, ()>,
    /// Whose wait was told as an event.
    told: BTreeSet<Key>,
}

impl Waits {
    /// When to look again; `None` while nobody waits.
    #[must_use]
    pub fn next_ms(&self, queue: &Queue) -> Option<u64> {
        (!queue.is_empty() || !self.since.is_empty()).then_some(self.next_ms)
    }

    /// Explanations to be written now, and events about those who have waited long.
    pub fn look(
        &mut self,
        world: &World,
        allocator: &mut Allocator,
        queue: &Queue,
        now_ms: u64,
    ) -> (Vec<Write>, Vec<Record>) {
        if now_ms < self.next_ms {
            return Default::default();
        }
        self.next_ms = now_ms + LOOK_MS;
        let mut waiting: Vec<(Vec<Key>, Explanation)> = Vec::new();
        for (framework, class, blocked, tasks) in queue.waiting() {
            let tasks: Vec<Key> = tasks.cloned().collect();
            let placeable = !blocked && pool_of(world, framework).is_some();
            if placeable {
                continue;
            }
            let explanation = match queue.sample(world, framework, class) {
                Some(unit) => explain(world, allocator, queue, framework, &unit),
                None => simple(
                    Cause::Group,
                    "waits for the other tasks of its group to exist".to_owned(),
                    None,
                ),
            };
            waiting.push((tasks, explanation));
        }
        for (at, key) in queue.parked() {
            let text = format!("its next run begins not before {}", ops::time(at));
            waiting.push((vec![key.clone()], simple(Cause::Backoff, text, None)));
        }
        self.compare(world, waiting, now_ms)
    }

    fn compare(
        &mut self,
        world: &World,
        waiting: Vec<(Vec<Key>, Explanation)>,
        now_ms: u64,
    ) -> (Vec<Write>, Vec<Record>) {
        let before = std::mem::take(&mut self.since);
        let (mut writes, mut records) = (Vec::new(), Vec::new());
        for (keys, explanation) in waiting {
            for key in keys {
                let known = before.get(&key).copied();
                let since = known.unwrap_or(now_ms);
                self.since.insert(key.clone(), since);
                let Some(task) = world.tasks.get(&key) else {
                    continue;
                };
                // Explained before we looked: an earlier leader has told it.
                let told = known.is_none() && task.waiting.is_some();
                if told || now_ms >= since + TELL_MS && !self.told.contains(&key) {
                    self.told.insert(key.clone());
                    records.extend((!told).then(|| story::waits(task, &explanation)).flatten());
                }
                let patient = now_ms < since + PATIENCE_MS;
                if patient || writes.len() >= WRITES_MAX || self.flying.contains_key(&key) {
                    continue;
                }
                if self.is_news(task, &explanation, now_ms) {
                    self.written.insert(key.clone(), now_ms);
                    self.flying.insert(key.clone(), ());
                    writes.push(write(task, &explanation));
                }
            }
        }
        let since = &self.since;
        self.written.retain(|key, _| since.contains_key(key));
        self.told.retain(|key| since.contains_key(key));
        (writes, records)
    }

    fn is_news(&self, task: &Task, explanation: &Explanation, now_ms: u64) -> bool {
        let Some(known) = &task.waiting else {
            return true;
        };
        if known == explanation {
            return false;
        }
        let causes = |e: &Explanation| e.refusals.iter().map(|r| r.cause).collect::<Vec<_>>();
        let aged = self
            .written
            .get(&task.key)
            .is_none_or(|at| now_ms >= at + REWRITE_MS);
        aged || causes(known) != causes(explanation)
    }

    /// A write was answered.
    pub fn settled(&mut self, task: &Key) {
        self.flying.remove(task);
    }

    /// True while an explanation of the task is being written: its version is about to change.
    #[must_use]
    pub fn is_writing(&self, task: &Key) -> bool {
        self.flying.contains_key(task)
    }
}

fn write(task: &Task, explanation: &Explanation) -> Write {
    // A merge patch keeps what it does not name: fields that are empty now are named as null.
    let waiting = json!({
        "summary": explanation.summary,
        "waitsFor": explanation.waits_for,
        "refusals": explanation.refusals,
    });
    let body = json!({ "metadata": ops::guarded(task), "status": { "waiting": waiting } });
    Write::cold(
        Token::Explain(task.key.clone()),
        vec![ops::patch_status("tasks", &task.key, body)],
    )
}
