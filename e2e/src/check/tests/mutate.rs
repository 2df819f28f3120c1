//! Good histories made bad in one place each. A mutation says whether it found a place.

use super::simulate::Run;
use crate::check::floor::told;
use crate::check::history::*;

fn notes(run: &mut Run) -> impl Iterator<Item = &mut Vec<Note>> {
    let watches = run.history.watches.iter_mut();
    watches
        .flat_map(|watch| &mut watch.parts)
        .map(|part| &mut part.notes)
}

/// A note in the middle of a part: between others, all of them events.
fn inner(run: &mut Run) -> Option<(&mut Vec<Note>, usize)> {
    let notes = notes(run).find(|notes| notes.len() >= 8)?;
    let is_event = |note: &Note| matches!(note, Note::Event(_));
    let at = notes
        .windows(4)
        .position(|notes| notes.iter().all(is_event))?;
    Some((notes, at + 1))
}

fn inner_event(run: &mut Run) -> Option<&mut Event> {
    let (notes, at) = inner(run)?;
    match &mut notes[at] {
        Note::Event(event) => Some(event),
        Note::Progress(_) => None,
    }
}

pub(super) fn reorder_events(run: &mut Run) -> Option<()> {
    let (notes, at) = inner(run)?;
    notes.swap(at, at + 1);
    Some(())
}

pub(super) fn lose_event(run: &mut Run) -> Option<()> {
    let (notes, at) = inner(run)?;
    notes.remove(at);
    Some(())
}

pub(super) fn repeat_event(run: &mut Run) -> Option<()> {
    let (notes, at) = inner(run)?;
    let note = notes[at].clone();
    notes.insert(at + 1, note);
    Some(())
}

pub(super) fn wrong_previous_value(run: &mut Run) -> Option<()> {
    inner_event(run)?.old = Some(Value::from(*b"never"));
    Some(())
}

pub(super) fn wrong_new_value(run: &mut Run) -> Option<()> {
    inner_event(run)?.new = Some(Value::from(*b"never"));
    Some(())
}

pub(super) fn promise_too_much(run: &mut Run) -> Option<()> {
    let (notes, at) = inner(run)?;
    let Note::Event(event) = notes[at + 1].clone() else {
        return None;
    };
    notes.insert(at, Note::Progress(event.revision));
    Some(())
}

pub(super) fn older_than_asked(run: &mut Run) -> Option<()> {
    let log = run.history.end.log.clone();
    let watch = run
        .history
        .watches
        .iter_mut()
        .find(|watch| watch.prefix.is_empty())?;
    let part = watch.parts.iter_mut().find(|part| !part.notes.is_empty())?;
    let old = log.iter().rfind(|event| event.revision <= part.after)?;
    part.notes.insert(
        0,
        Note::Event(Event {
            at: u64::MAX,
            ..old.clone()
        }),
    );
    Some(())
}

/// Two parts of a watch that follow each other without a compaction.
fn resumed(run: &mut Run) -> Option<&mut Part> {
    let watches = run
        .history
        .watches
        .iter_mut()
        .filter(|watch| watch.prefix.is_empty());
    for watch in watches {
        let at = watch.parts.windows(2).position(|parts| {
            parts[0].end == End::Cut && !parts[0].notes.is_empty() && parts[1].notes.len() > 3
        });
        if let Some(at) = at {
            return watch.parts.get_mut(at + 1);
        }
    }
    None
}

pub(super) fn resume_without_first(run: &mut Run) -> Option<()> {
    resumed(run)?.notes.remove(0);
    Some(())
}

pub(super) fn resume_too_late(run: &mut Run) -> Option<()> {
    let part = resumed(run)?;
    match part.notes.remove(0) {
        Note::Event(event) => part.after = event.revision,
        Note::Progress(_) => return None,
    }
    Some(())
}

pub(super) fn compact_too_much(run: &mut Run) -> Option<()> {
    let part = resumed(run)?;
    part.end = End::Compacted { oldest: part.after };
    Some(())
}

fn reads(run: &mut Run) -> impl Iterator<Item = (&mut Call, Mode)> {
    run.history
        .calls
        .iter_mut()
        .filter_map(|call| match &call.deed {
            Deed::Read {
                mode,
                answer: Answer::Known(_),
                ..
            } => {
                let mode = *mode;
                Some((call, mode))
            }
            Deed::Read { .. } | Deed::Txn { .. } => None,
        })
}

fn seen(call: &mut Call) -> &mut Snapshot {
    match &mut call.deed {
        Deed::Read {
            answer: Answer::Known(seen),
            ..
        } => seen,
        Deed::Read { .. } | Deed::Txn { .. } => panic!("a read that was answered"),
    }
}

pub(super) fn wrong_content(run: &mut Run) -> Option<()> {
    let mut reads = reads(run).filter(|(_, mode)| *mode == Mode::Linearizable);
    let (call, _) = reads.find(|(call, _)| match &call.deed {
        Deed::Read {
            answer: Answer::Known(seen),
            ..
        } => !seen.items.is_empty(),
        Deed::Read { .. } | Deed::Txn { .. } => false,
    })?;
    seen(call).items[0].1.value = Value::from(*b"never");
    Some(())
}

pub(super) fn wrong_exact_content(run: &mut Run) -> Option<()> {
    let (call, _) = reads(run).find(|(_, mode)| matches!(mode, Mode::Exact(_)))?;
    let item = Item {
        value: Value::from(*b"never"),
        create_revision: 1,
        mod_revision: 1,
        version: 1,
    };
    seen(call).items.push((Key::from(*b"k9"), item));
    Some(())
}

pub(super) fn another_revision(run: &mut Run) -> Option<()> {
    let (call, mode) = reads(run).find(|(_, mode)| matches!(mode, Mode::Exact(_)))?;
    let Mode::Exact(revision) = mode else {
        return None;
    };
    if let Deed::Read { mode, .. } = &mut call.deed {
        *mode = Mode::Exact(revision + 1);
    }
    Some(())
}

pub(super) fn read_beyond(run: &mut Run) -> Option<()> {
    let (call, _) = reads(run).find(|(_, mode)| *mode == Mode::Stale)?;
    seen(call).revision += 100_000;
    Some(())
}

/// A read that saw a transaction is moved before it.
pub(super) fn read_from_the_future(run: &mut Run) -> Option<()> {
    let written: Vec<_> = moved(run)
        .filter_map(|(call, revision, _)| (call.began > 2).then_some(revision))
        .collect();
    let mut reads = reads(run).filter(|(_, mode)| *mode == Mode::Linearizable);
    let (call, _) = reads.find(|(call, _)| written.contains(&told(call).unwrap()))?;
    (call.began, call.ended) = (0, Some(1));
    Some(())
}

/// Acknowledged in one attempt and one operation, which put a value.
fn moved(run: &Run) -> impl Iterator<Item = (&Call, Revision, RequestId)> {
    run.history
        .calls
        .iter()
        .filter_map(|call| match &call.deed {
            Deed::Txn {
                request,
                txn,
                answer:
                    Answer::Known(Outcome::Applied {
                        revision,
                        revisions,
                    }),
            } if revisions == &[*revision]
                && txn.guards.is_empty()
                && matches!(txn.ops[..], [Op::Put { .. }])
                && moves(run, txn, *revision)
                && attempts(run, *request) == 1 =>
            {
                Some((call, *revision, *request))
            }
            Deed::Txn { .. } | Deed::Read { .. } => None,
        })
}

/// No other put the same value, so that the change at the revision is its own.
fn moves(run: &Run, txn: &Txn, revision: Revision) -> bool {
    let same = |call: &&Call| match &call.deed {
        Deed::Txn { txn: other, .. } => other.ops.iter().any(|op| txn.ops.contains(op)),
        Deed::Read { .. } => false,
    };
    revision > run.history.base.revision && run.history.calls.iter().filter(same).count() == 1
}

fn attempts(run: &Run, id: RequestId) -> usize {
    let same = |call: &&Call| matches!(call.deed, Deed::Txn { request, .. } if request == id);
    run.history.calls.iter().filter(same).count()
}

/// The index of the middle one of the calls that moved.
fn middle(run: &Run) -> Option<usize> {
    let moved: Vec<_> = moved(run).map(|(call, ..)| call.clone()).collect();
    let call = moved.get(moved.len() / 2)?;
    run.history.calls.iter().position(|other| other == call)
}

fn answer(call: &mut Call) -> &mut Answer<Outcome> {
    match &mut call.deed {
        Deed::Txn { answer, .. } => answer,
        Deed::Read { .. } => panic!("a transaction"),
    }
}

/// A transaction is moved behind one that came after it.
pub(super) fn travel_in_time(run: &mut Run) -> Option<()> {
    let at = middle(run)?;
    let end = run
        .history
        .calls
        .iter()
        .filter_map(|call| call.ended)
        .max()?;
    let call = &mut run.history.calls[at];
    (call.began, call.ended) = (end + 1, Some(end + 2));
    Some(())
}

/// Two stale reads of a client on a replica change places.
pub(super) fn swap_stale_reads(run: &mut Run) -> Option<()> {
    let stale: Vec<Call> = reads(run)
        .filter(|(_, mode)| *mode == Mode::Stale)
        .map(|(call, _)| call.clone())
        .collect();
    let (one, two) = stale.iter().enumerate().find_map(|(at, one)| {
        let two = stale[at + 1..].iter().find(|two| {
            (one.client, one.replica) == (two.client, two.replica)
                && told(one) < told(two)
                && one.ended.is_some_and(|ended| ended < two.began)
                && two.ended.is_some()
        })?;
        Some((one.clone(), two.clone()))
    })?;
    for call in &mut run.history.calls {
        let other = [(&one, &two), (&two, &one)]
            .into_iter()
            .find(|(this, _)| *this == call);
        if let Some((_, other)) = other {
            call.deed = other.deed.clone();
        }
    }
    Some(())
}

pub(super) fn deny_success(run: &mut Run) -> Option<()> {
    let at = middle(run)?;
    *answer(&mut run.history.calls[at]) = Answer::Failed;
    Some(())
}

pub(super) fn refuse_success(run: &mut Run) -> Option<()> {
    let at = middle(run)?;
    let revision = told(&run.history.calls[at])? - 1;
    *answer(&mut run.history.calls[at]) = Answer::Known(Outcome::Refused { guard: 0, revision });
    Some(())
}

pub(super) fn same_revision_twice(run: &mut Run) -> Option<()> {
    let at = middle(run)?;
    let later = told(&run.history.calls[at])?;
    let earlier = moved(run)
        .map(|(_, revision, _)| revision)
        .find(|one| *one < later)?;
    let outcome = Outcome::Applied {
        revision: earlier,
        revisions: vec![earlier],
    };
    *answer(&mut run.history.calls[at]) = Answer::Known(outcome);
    Some(())
}

pub(super) fn wrong_revisions(run: &mut Run) -> Option<()> {
    let at = middle(run)?;
    let revision = told(&run.history.calls[at])?;
    let outcome = Outcome::Applied {
        revision,
        revisions: vec![revision - 1],
    };
    *answer(&mut run.history.calls[at]) = Answer::Known(outcome);
    Some(())
}

/// Another write is acknowledged, of which nothing is known at all.
pub(super) fn acknowledge_nothing(run: &mut Run) -> Option<()> {
    let mut call = run.history.calls[middle(run)?].clone();
    let revision = run.history.end.snapshot.revision + 1;
    let put = Op::Put {
        key: Key::from(*b"k1"),
        value: Value::from(*b"lost"),
    };
    call.deed = Deed::Txn {
        request: RequestId(u128::MAX),
        txn: Txn {
            guards: Vec::new(),
            ops: vec![put],
        },
        answer: Answer::Known(Outcome::Applied {
            revision,
            revisions: vec![revision],
        }),
    };
    run.history.calls.push(call);
    Some(())
}

/// A second attempt that is told something else.
pub(super) fn answer_otherwise(run: &mut Run) -> Option<()> {
    let at = middle(run)?;
    let mut again = run.history.calls[at].clone();
    let revision = told(&again)?;
    (again.began, again.ended) = (again.began + 1, again.ended.map(|ended| ended + 500));
    *answer(&mut again) = Answer::Known(Outcome::Refused { guard: 0, revision });
    run.history.calls.push(again);
    Some(())
}

pub(super) fn refuse_for_another_guard(run: &mut Run) -> Option<()> {
    let calls = &mut run.history.calls;
    let refused = calls.iter_mut().find_map(|call| match &mut call.deed {
        Deed::Txn {
            answer: Answer::Known(Outcome::Refused { guard, .. }),
            txn,
            ..
        } if txn.ops.is_empty() && txn.guards.len() > 1 => Some(guard),
        Deed::Txn { .. } | Deed::Read { .. } => None,
    })?;
    *refused = 1 - *refused;
    Some(())
}

pub(super) fn lose_in_the_end(run: &mut Run) -> Option<()> {
    run.history.end.snapshot.items.pop().map(drop)
}

/// Nobody knows what a writer of unknown outcome has changed.
pub(super) fn forget_change(run: &mut Run) -> Option<()> {
    let known: Vec<Revision> = (run.history.calls.iter())
        .filter_map(|call| match &call.deed {
            Deed::Txn {
                answer: Answer::Known(Outcome::Applied { revisions, .. }),
                ..
            } => Some(revisions.clone()),
            Deed::Txn { .. } | Deed::Read { .. } => None,
        })
        .flatten()
        .collect();
    let log = &mut run.history.end.log;
    let at = log
        .iter()
        .position(|event| !known.contains(&event.revision))?;
    log.remove(at);
    run.history.watches.clear();
    Some(())
}
