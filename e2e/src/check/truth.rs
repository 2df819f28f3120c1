//! The one sequence of changes: what stands at each revision, from whoever was told.

use crate::check::history::{Event, History, Key, Note, Op, Revision, Value};
use crate::check::model::Change;
use crate::check::requests::{Request, Verdict};

/// What stands at one revision.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stands<'h> {
    pub(super) key: &'h Key,
    pub(super) value: Option<&'h Value>,
}

/// Changes `(base, last]`. Where observers differ the first counts; the others are found wrong later.
#[derive(Debug)]
pub(super) struct Truth<'h> {
    base: Revision,
    at: Vec<Option<Stands<'h>>>,
}

impl<'h> Truth<'h> {
    /// From the final log, then the watches, then what writers were told.
    pub(super) fn of(history: &'h History, requests: &[Request<'h>]) -> Self {
        let base = history.base.revision;
        let length = history.end.snapshot.revision.saturating_sub(base);
        // No log is longer than what was told of it, whatever revision it claims to end at.
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let mut truth = Self {
            base,
            at: vec![None; length.min(told_max(history, requests))],
        };
        history.end.log.iter().for_each(|event| truth.event(event));
        let parts = history.watches.iter().flat_map(|watch| &watch.parts);
        for note in parts.flat_map(|part| &part.notes) {
            match note {
                Note::Event(event) => truth.event(event),
                Note::Progress(_) => {}
            }
        }
        requests.iter().for_each(|request| truth.request(request));
        truth
    }

    /// What stands there, if anybody was told.
    pub(super) fn at(&self, revision: Revision) -> Option<Stands<'h>> {
        self.index(revision).and_then(|index| self.at[index])
    }

    /// True if this very change stands there.
    pub(super) fn agrees(&self, change: &Change) -> bool {
        self.at(change.revision)
            .is_some_and(|stands| *stands.key == change.key && stands.value == change.value())
    }

    fn index(&self, revision: Revision) -> Option<usize> {
        let index = usize::try_from(revision.checked_sub(self.base + 1)?).ok()?;
        (index < self.at.len()).then_some(index)
    }

    fn note(&mut self, revision: Revision, key: &'h Key, value: Option<&'h Value>) {
        if let Some(index) = self.index(revision) {
            self.at[index].get_or_insert(Stands { key, value });
        }
    }

    fn event(&mut self, event: &'h Event) {
        self.note(event.revision, &event.key, event.new.as_ref());
    }

    fn request(&mut self, request: &Request<'h>) {
        let Verdict::Applied { revisions, .. } = request.verdict else {
            return;
        };
        for (op, revision) in request.txn.ops.iter().zip(revisions) {
            match op {
                Op::Put { key, value } => self.note(*revision, key, Some(value)),
                Op::Delete { key } => self.note(*revision, key, None),
            }
        }
    }
}

/// How many changes anybody can have been told of.
fn told_max(history: &History, requests: &[Request<'_>]) -> usize {
    let parts = history.watches.iter().flat_map(|watch| &watch.parts);
    let notes: usize = parts.map(|part| part.notes.len()).sum();
    let ops: usize = requests.iter().map(|request| request.txn.ops.len()).sum();
    history.end.log.len() + notes + ops
}
