//! `Outbox`: gathers writes into transactions while others are under way, and takes a refused
//! transaction apart until the guilty write stands alone.

use std::collections::{BTreeMap, VecDeque};

use serde_json::Value;

use crate::effect::{Answer, Batch, Effect, Lane, Refusal, Token, Write};

/// Operations in one transaction: the server allows 10,000; this keeps each short. Events for
/// people are shorter still, so that nothing of weight waits behind them.
fn operations_max(lane: Lane) -> usize {
    match lane {
        Lane::Offer | Lane::Accept | Lane::Cold => 512,
        Lane::Told => 256,
    }
}

/// Writes waiting or under way. Every write ends in exactly one [`Settled`].
#[derive(Debug, Default)]
pub struct Outbox {
    next: u64,
    lanes: BTreeMap<Lane, Queue>,
    under_way: BTreeMap<Batch, (Lane, Vec<Write>)>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Write>,
    /// Parts of a refused transaction: sent as they are, before anything else.
    parts: VecDeque<Vec<Write>>,
    flying: usize,
}

/// How one write ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Settled {
    /// Whose.
    pub token: Token,
    /// The objects that resulted, or why not.
    pub result: Result<Vec<Value>, Refusal>,
}

/// Transactions of a lane under way at once. Two of each keep the log busy while answers travel;
/// more would only make smaller batches.
fn flights_max(lane: Lane) -> usize {
    match lane {
        Lane::Offer | Lane::Cold => 2,
        Lane::Accept => 3,
        Lane::Told => 1,
    }
}

impl Outbox {
    /// Queues a write.
    pub fn push(&mut self, write: Write) {
        self.lanes
            .entry(write.lane)
            .or_default()
            .waiting
            .push_back(write);
    }

    /// True when another transaction of the lane could start at once.
    #[must_use]
    pub fn has_room(&self, lane: Lane) -> bool {
        self.lanes.get(&lane).is_none_or(|queue| {
            queue.waiting.is_empty() && queue.parts.is_empty() && queue.flying < flights_max(lane)
        })
    }

    /// Writes that wait in the lane.
    #[must_use]
    pub fn backlog(&self, lane: Lane) -> usize {
        self.lanes.get(&lane).map_or(0, |queue| queue.waiting.len())
    }

    /// True when nothing waits and nothing is under way.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.under_way.is_empty() && self.lanes.values().all(Queue::is_idle)
    }

    /// The transactions that may start now.
    pub fn flush(&mut self) -> Vec<Effect> {
        let mut effects = Vec::new();
        for (lane, queue) in &mut self.lanes {
            while queue.flying < flights_max(*lane) {
                let Some(writes) = queue.next(operations_max(*lane)) else {
                    break;
                };
                self.next += 1;
                let batch = Batch(self.next);
                let operations = writes
                    .iter()
                    .flat_map(|write| write.operations.iter().cloned())
                    .collect();
                effects.push(Effect::Submit(batch, operations));
                queue.flying += 1;
                self.under_way.insert(batch, (*lane, writes));
            }
        }
        effects
    }

    /// Takes an answer; returns the writes that ended with it.
    pub fn settle(&mut self, batch: Batch, answer: Answer) -> Vec<Settled> {
        let Some((lane, writes)) = self.under_way.remove(&batch) else {
            return Vec::new();
        };
        let queue = self.lanes.entry(lane).or_default();
        queue.flying -= 1;
        match answer {
            Answer::Applied(results) => applied(writes, results),
            Answer::Refused(refusal) => queue.refused(writes, refusal),
        }
    }
}

impl Queue {
    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.parts.is_empty()
    }

    fn next(&mut self, operations_max: usize) -> Option<Vec<Write>> {
        if let Some(part) = self.parts.pop_front() {
            return Some(part);
        }
        let mut writes = vec![self.waiting.pop_front()?];
        let mut count = writes[0].operations.len();
        while let Some(next) = self.waiting.front() {
            count += next.operations.len();
            if count > operations_max {
                break;
            }
            writes.extend(self.waiting.pop_front());
        }
        Some(writes)
    }

    /// One write alone is refused for good. Of several, the one the server named is; without a
    /// name both halves are tried on their own.
    fn refused(&mut self, mut writes: Vec<Write>, refusal: Refusal) -> Vec<Settled> {
        if writes.len() == 1 {
            return writes
                .pop()
                .map(|w| Settled {
                    token: w.token,
                    result: Err(refusal),
                })
                .into_iter()
                .collect();
        }
        match refusal.at.and_then(|at| holder(&writes, at)) {
            Some(guilty) => {
                let token = writes.remove(guilty).token;
                self.parts.push_back(writes);
                vec![Settled {
                    token,
                    result: Err(refusal),
                }]
            }
            None => {
                let right = writes.split_off(writes.len() / 2);
                self.parts.push_back(writes);
                self.parts.push_back(right);
                Vec::new()
            }
        }
    }
}

/// Which write holds the operation.
fn holder(writes: &[Write], operation: usize) -> Option<usize> {
    let mut end = 0;
    writes.iter().position(|write| {
        end += write.operations.len();
        operation < end
    })
}

fn applied(writes: Vec<Write>, results: Vec<Value>) -> Vec<Settled> {
    let mut results = results.into_iter();
    let settled = |write: Write| {
        let mine = results.by_ref().take(write.operations.len()).collect();
        Settled {
            token: write.token,
            result: Ok(mine),
        }
    };
    writes.into_iter().map(settled).collect()
}

#[cfg(test)]
mod tests {
    use manifests::bundle::{Operation, Target, Verb};

    use super::*;

    fn write(name: &str, operations: usize) -> Write {
        let target = Target {
            name: name.to_owned(),
            ..Target::default()
        };
        let operation = Operation {
            target,
            subresource: None,
            verb: Verb::Patch,
            body: Value::Null,
        };
        Write::cold(Token::Counts(name.to_owned()), vec![operation; operations])
    }

    fn only(effects: &[Effect]) -> (Batch, usize) {
        match effects {
            [Effect::Submit(batch, operations)] => (*batch, operations.len()),
            other => panic!("one transaction expected, got {other:?}"),
        }
    }

    #[test]
    fn the_named_write_is_refused_and_the_others_try_again() {
        let mut outbox = Outbox::default();
        for name in ["a", "b", "c"] {
            outbox.push(write(name, 2));
        }
        let (batch, operations) = only(&outbox.flush());
        assert_eq!(operations, 6);
        let refusal = Refusal {
            code: 409,
            message: String::new(),
            at: Some(3),
        };
        let settled = outbox.settle(batch, Answer::Refused(refusal));
        assert_eq!(settled.len(), 1);
        assert_eq!(settled[0].token, Token::Counts("b".to_owned()));
        let (batch, operations) = only(&outbox.flush());
        assert_eq!(operations, 4);
        let settled = outbox.settle(batch, Answer::Applied(vec![Value::Bool(true); 4]));
        assert_eq!(settled.len(), 2);
        assert!(outbox.is_idle());
    }

    #[test]
    fn without_a_name_the_halves_are_tried_until_one_stands_alone() {
        let mut outbox = Outbox::default();
        for index in 0..8 {
            outbox.push(write(&index.to_string(), 1));
        }
        let (mut refused, mut applied) = (Vec::new(), Vec::new());
        let mut flights = outbox.flush();
        while let Some(Effect::Submit(batch, operations)) = flights.pop() {
            let guilty = operations.iter().any(|o| o.target.name == "5");
            let answer = if guilty {
                Answer::Refused(Refusal::default())
            } else {
                Answer::Applied(vec![Value::Null; operations.len()])
            };
            for settled in outbox.settle(batch, answer) {
                let list = if settled.result.is_ok() {
                    &mut applied
                } else {
                    &mut refused
                };
                list.push(settled.token);
            }
            flights.extend(outbox.flush());
        }
        assert_eq!(refused, [Token::Counts("5".to_owned())]);
        assert_eq!(applied.len(), 7);
        assert!(outbox.is_idle());
    }

    #[test]
    fn a_transaction_is_bounded() {
        let mut outbox = Outbox::default();
        for index in 0..600 {
            outbox.push(write(&index.to_string(), 1));
        }
        let sizes: Vec<usize> = outbox
            .flush()
            .iter()
            .map(|effect| match effect {
                Effect::Submit(_, operations) => operations.len(),
                Effect::Verify(_) | Effect::Empty(_) => 0,
            })
            .collect();
        assert_eq!(sizes, [512, 88]);
        assert!(!outbox.has_room(Lane::Cold));
    }
}
