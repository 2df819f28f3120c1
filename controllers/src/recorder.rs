//! `Recorder`: turns what is worth telling into core/v1 Events, written in batches beside the hot
//! path. When thousands of tasks fly by, most are told as a sum for their framework.

use std::collections::{BTreeMap, VecDeque};

use manifests::bundle::{Operation, Verb};
use serde_json::{Value, json};

use crate::effect::{Lane, Record, Token, Write};
use crate::model::Key;
use crate::ops;
use crate::world::World;

/// Told at once, each by itself: a few tasks and their whole lives.
const BURST: u64 = 300;

/// Told by themselves in the long run. An hour of it is what the store has to hold.
const PER_SECOND: u64 = 20;

/// Kept for warnings: what goes wrong must not drown in what goes well.
const RESERVE: u64 = 60;

/// Pause between two batches.
const EVERY_MS: u64 = 250;

/// The reason of a sum.
const SUM: &str = "ManyTasks";

/// Pause between two sums of a framework.
const SUM_EVERY_MS: u64 = 10_000;

/// Events whose like is counted up rather than written anew.
const KNOWN_MAX: usize = 2_048;

/// Of the objects' names; the rest of the 253 characters tells events apart.
const NAME_MAX: usize = 200;

/// Of whom, and the reason: what makes an event the like of another.
type Like = (String, &'static str);

/// Gathers what is worth telling.
#[derive(Debug)]
pub struct Recorder {
    run: u64,
    sequence: u64,
    /// Thousandths of events that may be told now.
    room: u64,
    filled_ms: u64,
    waiting: Vec<Record>,
    /// By framework and reason, what is told as a sum.
    sums: BTreeMap<Key, BTreeMap<&'static str, u64>>,
    known: BTreeMap<Like, (String, u64)>,
    order: VecDeque<Like>,
    flying: usize,
    next_ms: u64,
    next_sum_ms: u64,
}

impl Recorder {
    /// One for this run; its events are named after it.
    #[must_use]
    pub fn new(run: u64) -> Self {
        Self {
            run,
            sequence: 0,
            room: BURST * 1_000,
            filled_ms: 0,
            waiting: Vec::new(),
            sums: BTreeMap::new(),
            known: BTreeMap::new(),
            order: VecDeque::new(),
            flying: 0,
            next_ms: 0,
            next_sum_ms: 0,
        }
    }

    /// Takes note. Bounded: what is beyond the pace only counts.
    pub fn note(&mut self, record: Record, now_ms: u64) {
        let gained = now_ms
            .saturating_sub(self.filled_ms)
            .saturating_mul(PER_SECOND);
        self.room = self.room.saturating_add(gained).min(BURST * 1_000);
        self.filled_ms = now_ms;
        let least = if record.warning { 1 } else { RESERVE + 1 } * 1_000;
        if self.room >= least && self.waiting.len() < BURST as usize {
            self.room -= 1_000;
            self.waiting.push(record);
        } else if let Some(framework) = record.framework {
            let sums = self.sums.entry(framework).or_default();
            *sums.entry(record.reason).or_default() += 1;
        } else {
            tracing::warn!(
                kind = record.kind,
                name = record.name,
                record.message,
                "not told"
            );
        }
    }

    /// When there is something to write; an answer that is awaited wakes us by itself.
    #[must_use]
    pub fn next_ms(&self) -> Option<u64> {
        let told = (!self.waiting.is_empty()).then_some(self.next_ms);
        let sums = (!self.sums.is_empty()).then_some(self.next_ms.max(self.next_sum_ms));
        [told, sums]
            .into_iter()
            .flatten()
            .min()
            .filter(|_| self.flying == 0)
    }

    /// What is to be written now.
    pub fn flush(&mut self, world: &World, now_ms: u64) -> Vec<Write> {
        if self.flying > 0 || now_ms < self.next_ms {
            return Vec::new();
        }
        let mut records = std::mem::take(&mut self.waiting);
        if now_ms >= self.next_sum_ms && !self.sums.is_empty() {
            self.next_sum_ms = now_ms + SUM_EVERY_MS;
            let sums = std::mem::take(&mut self.sums);
            records.extend(sums.iter().filter_map(|(key, sums)| sum(world, key, sums)));
        }
        if !records.is_empty() {
            self.next_ms = now_ms + EVERY_MS;
        }
        self.flying = records.len();
        records
            .into_iter()
            .map(|record| self.write(&record, now_ms))
            .collect()
    }

    /// A write was answered. The like of one that failed is written anew: it may have expired.
    pub fn settled(&mut self, uid: &str, reason: &'static str, well: bool) {
        self.flying = self.flying.saturating_sub(1);
        if !well {
            self.known.remove(&(uid.to_owned(), reason));
        }
    }

    fn write(&mut self, record: &Record, now_ms: u64) -> Write {
        let like = (record.uid.clone(), record.reason);
        let now = ops::time(now_ms);
        let (verb, name, body) = if let Some((name, count)) = self.known.get_mut(&like) {
            *count += 1;
            let body = json!({ "count": count, "lastTimestamp": now, "message": record.message });
            (Verb::Patch, name.clone(), body)
        } else {
            let name = self.name(&record.name);
            // Each sum counts other tasks.
            if record.reason != SUM {
                self.remember(like.clone(), name.clone());
            }
            let body = event(record, &name, &now);
            (Verb::Create, name, body)
        };
        let target = ops::core("events", &Key::new(namespace(record), &name));
        let operation = Operation {
            target,
            subresource: None,
            verb,
            body,
        };
        Write {
            token: Token::Told(like.0, like.1),
            lane: Lane::Told,
            operations: vec![operation],
        }
    }

    fn remember(&mut self, like: Like, name: String) {
        if self.order.len() >= KNOWN_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.order.push_back(like.clone());
        self.known.insert(like, (name, 1));
    }

    fn name(&mut self, of: &str) -> String {
        self.sequence += 1;
        let short = of
            .char_indices()
            .nth(NAME_MAX)
            .map_or(of, |(at, _)| &of[..at]);
        let short = short.trim_end_matches(['.', '-']);
        format!("{short}.{:x}{:05x}", self.run, self.sequence)
    }
}

/// Events about cluster-scoped objects live in `default`, as in Kubernetes.
fn namespace(record: &Record) -> &str {
    if record.namespace.is_empty() {
        "default"
    } else {
        &record.namespace
    }
}

/// What was not told one by one; none if the framework has gone.
fn sum(world: &World, key: &Key, sums: &BTreeMap<&'static str, u64>) -> Option<Record> {
    let framework = world.frameworks.get(key)?;
    let each: Vec<String> = sums
        .iter()
        .map(|(reason, n)| format!("{n} {reason}"))
        .collect();
    Some(Record {
        kind: "Framework",
        namespace: key.namespace.to_string(),
        name: key.name.to_string(),
        uid: framework.meta.uid.clone(),
        framework: None,
        warning: false,
        reason: SUM,
        message: format!(
            "more events of tasks, not told one by one: {}",
            each.join(", ")
        ),
    })
}

fn event(record: &Record, name: &str, now: &str) -> Value {
    let mut involved = json!({
        "apiVersion": manifests::kinds::API_VERSION,
        "kind": record.kind,
        "name": record.name,
        "uid": record.uid,
    });
    if !record.namespace.is_empty() {
        involved["namespace"] = record.namespace.as_str().into();
    }
    json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": { "name": name, "namespace": namespace(record) },
        "involvedObject": involved,
        "reason": record.reason,
        "message": record.message,
        "type": if record.warning { "Warning" } else { "Normal" },
        "source": { "component": "stoa-controllers" },
        "count": 1,
        "firstTimestamp": now,
        "lastTimestamp": now,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(task: &str, reason: &'static str, warning: bool) -> Record {
        Record {
            kind: "Task",
            namespace: "default".to_owned(),
            name: task.to_owned(),
            uid: format!("uid-{task}"),
            framework: Some(Key::new("default", "f")),
            warning,
            reason,
            message: String::new(),
        }
    }

    #[test]
    fn the_like_is_counted_up_and_written_anew_after_a_failure() {
        let mut recorder = Recorder::new(1);
        let world = World::default();
        let mut tell = |now_ms, well| {
            recorder.note(record("t", "Started", false), now_ms);
            let writes = recorder.flush(&world, now_ms);
            assert_eq!(
                recorder.flush(&world, now_ms + EVERY_MS),
                [],
                "one batch at a time"
            );
            recorder.settled("uid-t", "Started", well);
            let operation = &writes[0].operations[0];
            (operation.verb, operation.body["count"].as_u64().unwrap())
        };
        assert_eq!(tell(1_000, true), (Verb::Create, 1));
        assert_eq!(tell(2_000, false), (Verb::Patch, 2));
        assert_eq!(tell(3_000, true), (Verb::Create, 1));
    }

    #[test]
    fn beyond_the_pace_only_warnings_are_told_and_the_rest_counts() {
        let mut recorder = Recorder::new(1);
        for n in 0..1_000 {
            recorder.note(record(&format!("t{n}"), "Started", false), 1_000);
        }
        recorder.note(record("bad", "Failed", true), 1_000);
        let told = recorder.flush(&World::default(), 1_000);
        let usual = (BURST - RESERVE) as usize;
        assert_eq!(told.len(), usual + 1);
        // The framework is not known to this world, so its sum is told to nobody.
        assert_eq!(recorder.sums.len(), 0);
        assert_eq!(recorder.next_ms(), None);
    }
}
