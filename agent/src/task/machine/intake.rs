//! What the servers say: tasks that come, change and go.

use std::collections::BTreeSet;

use manifests::lifecycle::TaskState;

use super::{ABANDON_GRACE_MS, Effect, Machine, Settings};
use crate::task::end::Cause;
use crate::task::entry::Entry;
use crate::task::id::RunId;
use crate::task::run::{Happening, Run};
use crate::task::seen::Seen;
use crate::task::spec::RunSpec;

impl Machine {
    pub(super) fn synced(&mut self, all: &[Seen], now_ms: u64, effects: &mut Vec<Effect>) {
        let present: BTreeSet<&str> = all.iter().map(|seen| seen.id.uid()).collect();
        let known: BTreeSet<String> = self.runs.keys().map(|id| id.uid().to_owned()).collect();
        for uid in known.iter().filter(|uid| !present.contains(uid.as_str())) {
            self.gone(uid, now_ms, effects);
        }
        for seen in all {
            self.seen(seen, now_ms, effects);
        }
    }

    pub(super) fn seen(&mut self, seen: &Seen, now_ms: u64, effects: &mut Vec<Effect>) {
        if seen.agent.as_deref() != Some(self.settings.agent.as_str()) {
            self.gone(seen.id.uid(), now_ms, effects);
            return;
        }
        for id in self.runs_of(seen.id.uid()) {
            if id.attempt() < seen.id.attempt() {
                self.abandon(&id, now_ms, effects);
            } else if id.attempt() > seen.id.attempt() {
                return; // Late word of an attempt that is past.
            }
        }
        match self.runs.get_mut(&seen.id) {
            Some(entry) => {
                if entry.observe(seen) {
                    self.compare(seen, now_ms, effects);
                }
            }
            None => self.appear(seen, now_ms, effects),
        }
    }

    /// A known run against what the servers believe of it.
    fn compare(&mut self, seen: &Seen, now_ms: u64, effects: &mut Vec<Effect>) {
        let id = &seen.id;
        let Some(entry) = self.runs.get_mut(id) else {
            return;
        };
        if seen.state.is_terminal() {
            // The servers' word is final: another run may have begun elsewhere.
            if entry.run.is_over() {
                self.apply(id, Happening::Acknowledged, now_ms, effects);
            } else {
                self.abandon(id, now_ms, effects);
            }
            return;
        }
        (entry.gone, entry.collect_ms) = (false, None);
        let happening = if seen.killed {
            Happening::Kill {
                grace_ms: seen.grace_ms,
            }
        } else if self.leaving {
            return;
        } else {
            Happening::Confirmed
        };
        self.apply(id, happening, now_ms, effects);
    }

    /// A run that was not known.
    fn appear(&mut self, seen: &Seen, now_ms: u64, effects: &mut Vec<Effect>) {
        match seen.state {
            TaskState::Staging => self.accept(seen, effects),
            // Bound while this agent was not heard from, and never started.
            TaskState::Unreachable if !seen.has_started => self.accept(seen, effects),
            TaskState::Starting
            | TaskState::Running
            | TaskState::Killing
            | TaskState::Unreachable
            | TaskState::Unknown => self.refuse(seen, Cause::Forgotten, effects),
            TaskState::Pending
            | TaskState::Finished
            | TaskState::Failed
            | TaskState::Killed
            | TaskState::Error
            | TaskState::Lost
            | TaskState::Dropped
            | TaskState::Gone
            | TaskState::GoneByOperator => {}
        }
        self.mark(&seen.id, now_ms);
    }

    fn accept(&mut self, seen: &Seen, effects: &mut Vec<Effect>) {
        if self.leaving {
            return;
        }
        if seen.killed {
            return self.refuse(seen, Cause::KilledBeforeStart, effects);
        }
        let home = self.settings.sandboxes.join(seen.id.to_string());
        let Settings {
            agent, pids_max, ..
        } = &self.settings;
        match RunSpec::new(&seen.task, &seen.id, agent, &home, *pids_max) {
            Ok(spec) => {
                self.enter(seen, Run::Accepted { kill: false }, spec.clone());
                effects.push(Effect::Checkpoint(seen.id.clone(), spec));
            }
            Err(message) => self.refuse(seen, Cause::Invalid { message }, effects),
        }
    }

    /// A run that will never be started, which is written down before it is said.
    fn refuse(&mut self, seen: &Seen, cause: Cause, effects: &mut Vec<Effect>) {
        let spec = RunSpec::empty(&seen.task);
        self.enter(seen, Run::Settling, spec.clone());
        effects.push(Effect::Settle(seen.id.clone(), spec, cause));
    }

    fn enter(&mut self, seen: &Seen, run: Run, spec: RunSpec) {
        let mut entry = Entry::new(run, spec);
        entry.observe(seen);
        self.runs.insert(seen.id.clone(), entry);
    }

    pub(super) fn gone(&mut self, uid: &str, now_ms: u64, effects: &mut Vec<Effect>) {
        for id in self.runs_of(uid) {
            self.abandon(&id, now_ms, effects);
        }
    }

    /// The servers have no use for this run: it is stopped, and its end is told to nobody.
    pub(super) fn abandon(&mut self, id: &RunId, now_ms: u64, effects: &mut Vec<Effect>) {
        let Some(entry) = self.runs.get_mut(id) else {
            return;
        };
        if entry.gone {
            return;
        }
        entry.gone = true;
        if entry.run.is_over() {
            self.apply(id, Happening::Acknowledged, now_ms, effects);
            self.collect_later(id, now_ms);
        } else {
            self.apply(
                id,
                Happening::Kill {
                    grace_ms: ABANDON_GRACE_MS,
                },
                now_ms,
                effects,
            );
        }
    }
}
