//! What was only looked at: reads and refusals, each against the state of its revision.

use std::cmp::Reverse;

use crate::check::claims::Index;
use crate::check::history::{
    Answer, Call, Deed, History, Item, Key, Mode, Revision, Select, Snapshot,
};
use crate::check::model::Model;
use crate::check::replay::Place;
use crate::check::requests::{Request, Verdict};
use crate::check::violation::{Name, ReadFault, Violation, Violations, WriteFault};

/// What is still to be looked at; the next is the last.
#[derive(Debug, Default)]
pub(super) struct Sights<'h> {
    reads: Vec<Read<'h>>,
    refusals: Vec<(Revision, Index)>,
}

#[derive(Clone, Copy, Debug)]
struct Read<'h> {
    call: &'h Call,
    mode: Mode,
    select: &'h Select,
    seen: &'h Snapshot,
}

impl<'h> Sights<'h> {
    pub(super) fn of(history: &'h History, requests: &[Request<'h>]) -> Self {
        let mut reads: Vec<_> = history.calls.iter().filter_map(read).collect();
        reads.sort_by_key(|read| Reverse(read.seen.revision));
        let mut refusals: Vec<_> = (requests.iter().enumerate())
            .filter_map(|(index, request)| Some((refused(request)?, index)))
            .collect();
        refusals.sort_unstable_by_key(|refusal| Reverse(*refusal));
        Self { reads, refusals }
    }

    /// Judges the reads of this revision.
    pub(super) fn visit(&mut self, model: &Model, is_boundary: bool, violations: &mut Violations) {
        let now = model.revision;
        while let Some(read) = self.reads.pop_if(|read| read.seen.revision <= now) {
            // What is older than the base cannot be judged.
            if read.seen.revision == now
                && let Some(fault) = read.fault(model, is_boundary)
            {
                violations.add(Violation::Read(Name::of(read.call), fault));
            }
        }
    }

    /// Judges the refusals of this boundary, and those that fell between the last one and it.
    pub(super) fn decide(
        &mut self,
        model: &Model,
        requests: &[Request<'_>],
        places: &mut [Option<Place>],
        violations: &mut Violations,
    ) {
        let now = model.revision;
        while let Some((revision, index)) = self.refusals.pop_if(|(revision, _)| *revision <= now) {
            places[index] = Some(Place {
                before: revision,
                after: revision,
            });
            if let Some(fault) = refusal_fault(&requests[index], revision, model) {
                violations.add(Violation::Write(Name::of(requests[index].call), fault));
            }
        }
    }

    /// What is left saw more than there is.
    pub(super) fn finish(
        self,
        last: Revision,
        requests: &[Request<'_>],
        violations: &mut Violations,
    ) {
        for read in self.reads.iter().rev() {
            let fault = ReadFault::Beyond {
                at: read.seen.revision,
                last,
            };
            violations.add(Violation::Read(Name::of(read.call), fault));
        }
        for (at, index) in self.refusals.into_iter().rev() {
            let fault = WriteFault::Beyond { at, last };
            violations.add(Violation::Write(Name::of(requests[index].call), fault));
        }
    }
}

impl Read<'_> {
    fn fault(&self, model: &Model, is_boundary: bool) -> Option<ReadFault> {
        let told = self.seen.revision;
        match self.mode {
            Mode::Exact(asked) if asked != told => {
                return Some(ReadFault::NotAsked { asked, told });
            }
            // A revision may be read back that lies inside of a transaction.
            Mode::Exact(_) => {}
            Mode::Linearizable | Mode::Stale if !is_boundary => {
                return Some(ReadFault::Torn { at: told });
            }
            Mode::Linearizable | Mode::Stale => {}
        }
        let (key, told, expected) = difference(&self.seen.items, &model.select(self.select))?;
        Some(ReadFault::Content {
            at: self.seen.revision,
            key,
            told,
            expected,
        })
    }
}

fn refusal_fault(request: &Request<'_>, at: Revision, model: &Model) -> Option<WriteFault> {
    let Verdict::Refused { guard, .. } = request.verdict else {
        return None;
    };
    if at < model.revision {
        return Some(WriteFault::Torn { at });
    }
    match model.failed_guard(request.txn) {
        None => Some(WriteFault::RefusedInVain { guard, at }),
        Some(failed) if failed != guard => Some(WriteFault::WrongGuard {
            told: guard,
            failed,
            at,
        }),
        Some(_) => None,
    }
}

/// The first key that is not as expected, with what was told and what was expected.
pub(super) fn difference(
    told: &[(Key, Item)],
    expected: &[(&Key, &Item)],
) -> Option<(Key, Option<Item>, Option<Item>)> {
    let pairs = told.iter().zip(expected);
    let same = pairs
        .take_while(|((key, item), (right, wanted))| key == *right && item == *wanted)
        .count();
    match (told.get(same), expected.get(same)) {
        (None, None) => None,
        (Some((key, item)), Some((wanted, right))) if key == *wanted => {
            Some((Key::clone(key), Some(item.clone()), Some((*right).clone())))
        }
        (_, Some((key, right))) => Some((Key::clone(key), None, Some((*right).clone()))),
        (Some((key, item)), None) => Some((Key::clone(key), Some(item.clone()), None)),
    }
}

fn read(call: &Call) -> Option<Read<'_>> {
    match &call.deed {
        Deed::Read {
            mode,
            select,
            answer: Answer::Known(seen),
        } => Some(Read {
            call,
            mode: *mode,
            select,
            seen,
        }),
        Deed::Read {
            answer: Answer::Failed | Answer::Unknown,
            ..
        }
        | Deed::Txn { .. } => None,
    }
}

fn refused(request: &Request<'_>) -> Option<Revision> {
    match request.verdict {
        Verdict::Refused { revision, .. } => Some(revision),
        Verdict::Applied { .. } | Verdict::Failed | Verdict::Unknown => None,
    }
}
