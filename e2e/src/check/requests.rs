//! Transactions by their request: all attempts of one are one decision of the store.

use crate::check::history::{Answer, Call, Deed, Nanos, Outcome, RequestId, Revision, Txn};
use crate::check::violation::{Name, Violation, Violations, WriteFault};

/// What is known of a request from all its attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict<'h> {
    Applied {
        revision: Revision,
        revisions: &'h [Revision],
    },
    Refused {
        guard: usize,
        revision: Revision,
    },
    Failed,
    Unknown,
}

/// All attempts of one request.
#[derive(Debug)]
pub(super) struct Request<'h> {
    pub(super) txn: &'h Txn,
    /// The attempt that was told, else the first.
    pub(super) call: &'h Call,
    /// When the first attempt began: nothing of it can have happened before.
    pub(super) began: Nanos,
    pub(super) verdict: Verdict<'h>,
}

impl Request<'_> {
    /// The least revision it can have been applied at, if it was told to be: op revisions that end in
    /// the store's own are of its changes, or of values it left unchanged, which only replay can say.
    pub(super) fn earliest(&self) -> Option<(Revision, Revision)> {
        let Verdict::Applied {
            revision,
            revisions,
        } = self.verdict
        else {
            return None;
        };
        let mut sorted = revisions.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        let mut start = revision;
        for told in sorted.into_iter().rev() {
            if told == 0 || told != start {
                break;
            }
            start -= 1;
        }
        Some((start, revision))
    }
}

struct Attempt<'h> {
    id: RequestId,
    call: &'h Call,
    txn: &'h Txn,
    answer: &'h Answer<Outcome>,
}

impl Attempt<'_> {
    /// A transaction without operations is decided anew each time: it is its own request.
    fn continues(&self, other: &Self) -> bool {
        self.id == other.id && !self.txn.ops.is_empty()
    }
}

/// Every request of the history, in no particular order.
pub(super) fn group<'h>(calls: &'h [Call], violations: &mut Violations) -> Vec<Request<'h>> {
    let mut attempts: Vec<_> = calls.iter().filter_map(attempt).collect();
    attempts.sort_by_key(|attempt| (attempt.id, attempt.call.began));
    attempts
        .chunk_by(Attempt::continues)
        .map(|attempts| join(attempts, violations))
        .collect()
}

fn attempt(call: &Call) -> Option<Attempt<'_>> {
    match &call.deed {
        Deed::Txn {
            request: id,
            txn,
            answer,
        } => Some(Attempt {
            id: *id,
            call,
            txn,
            answer,
        }),
        Deed::Read { .. } => None,
    }
}

fn join<'h>(attempts: &[Attempt<'h>], violations: &mut Violations) -> Request<'h> {
    let first = &attempts[0];
    let mut known = attempts.iter().filter_map(|attempt| match attempt.answer {
        Answer::Known(outcome) => Some((attempt.call, outcome)),
        Answer::Failed | Answer::Unknown => None,
    });
    let told = known.next();
    if let Some((call, outcome)) = told
        && let Some((other, _)) = known.find(|(_, other)| *other != outcome)
    {
        let fault = WriteFault::AnsweredOtherwise {
            before: Name::of(call),
        };
        violations.add(Violation::Write(Name::of(other), fault));
    }
    Request {
        txn: first.txn,
        call: told.map_or(first.call, |(call, _)| call),
        began: first.call.began,
        verdict: told.map_or_else(|| untold(attempts), |(_, outcome)| verdict(outcome)),
    }
}

fn verdict(outcome: &Outcome) -> Verdict<'_> {
    match outcome {
        Outcome::Applied {
            revision,
            revisions,
        } => Verdict::Applied {
            revision: *revision,
            revisions,
        },
        Outcome::Refused { guard, revision } => Verdict::Refused {
            guard: *guard,
            revision: *revision,
        },
    }
}

fn untold<'h>(attempts: &[Attempt<'h>]) -> Verdict<'h> {
    if attempts
        .iter()
        .all(|attempt| *attempt.answer == Answer::Failed)
    {
        Verdict::Failed
    } else {
        Verdict::Unknown
    }
}
