//! A later attempt of a task begins when nothing is left of the earlier ones.

use super::{Effect, Machine};
use crate::task::entry::Entry;
use crate::task::id::RunId;
use crate::task::run::{Happening, Run};

impl Machine {
    /// True when this happening would launch the run too early: beside an earlier attempt whose
    /// grace still runs, on resources and ports that are one attempt's.
    pub(super) fn must_hold(&self, id: &RunId, what: &Happening) -> bool {
        let launches = self.run(id).is_some_and(|run| {
            matches!(
                (run, what),
                (Run::Accepted { kill: false }, Happening::Checkpointed)
                    | (Run::Held, Happening::Confirmed)
            )
        });
        let is_left = |other: &RunId| {
            other.attempt() < id.attempt() && self.run(other).is_some_and(|run| !run.is_over())
        };
        launches && (self.leaving || self.runs_of(id.uid()).iter().any(is_left))
    }

    pub(super) fn hold(&mut self, id: &RunId, what: Happening) {
        if let Some(Entry { held, .. }) = self.runs.get_mut(id) {
            *held = Some(what);
        }
    }

    /// Lets what was held back happen now, unless it still has to wait.
    pub(super) fn release(&mut self, id: &RunId, now_ms: u64, effects: &mut Vec<Effect>) {
        let held = self.runs.get_mut(id).and_then(|entry| entry.held.take());
        if let Some(what) = held {
            self.apply(id, what, now_ms, effects);
        }
    }

    /// A run is over: its successors may go on.
    pub(super) fn release_later(&mut self, id: &RunId, now_ms: u64, effects: &mut Vec<Effect>) {
        for later in self.runs_of(id.uid()) {
            if later.attempt() > id.attempt() {
                self.release(&later, now_ms, effects);
            }
        }
    }
}
