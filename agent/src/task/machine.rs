//! All runs of this machine: events in, effects out.

mod hold;
mod intake;

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::path::PathBuf;

use super::end::Cause;
use super::entry::{Answer, Entry, Report};
use super::id::RunId;
use super::recover::{Evidence, recover};
use super::run::{Action, Happening, Run};
use super::seen::Seen;
use super::spec::RunSpec;
use super::status::STARTING_AFTER_MS;

/// What holds for every run of this agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Name of the agent.
    pub agent: String,
    /// Where the runs' sandboxes are.
    pub sandboxes: PathBuf,
    /// Most processes and threads of one run.
    pub pids_max: u64,
    /// How long the files of a run stay after its task is gone, in milliseconds.
    pub retention_ms: u64,
}

/// What can happen to the agent.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// All tasks bound to this agent, and no others.
    Synced(Vec<Seen>),
    /// A task was added or changed.
    Seen(Box<Seen>),
    /// The task with this uid was deleted, or is bound here no longer.
    Gone(String),
    /// Something happened to a run.
    Run(RunId, Happening),
    /// The checkpoint of a run is written, with these limits not enforced.
    Prepared(RunId, Vec<String>),
    /// The servers' answers to the last reports.
    Answered(Vec<(Report, Answer)>),
    /// The time that [`Machine::wake_ms`] named has come.
    Tick,
    /// Stop everything: the agent leaves and is to leave nothing behind.
    KillAll,
}

/// What the edge has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Make directories and control groups, and write the checkpoint; answer with Prepared, or
    /// with Ended when that cannot be.
    Checkpoint(RunId, RunSpec),
    /// Start the supervisor; answer with Started and Ended.
    Spawn(RunId),
    /// Write down that the run is over and will never be started; answer with Ended.
    Settle(RunId, RunSpec, Cause),
    /// Write down the deadline, then ask every process of the run to stop.
    Terminate(RunId, u64),
    /// Kill every process of the run.
    Destroy(RunId),
    /// Write down that the servers know.
    MarkReported(RunId),
    /// Remove the run's files.
    Remove(RunId),
}

/// All runs of this machine.
#[derive(Debug)]
pub struct Machine {
    settings: Settings,
    runs: BTreeMap<RunId, Entry>,
    timers: BTreeSet<(u64, RunId)>,
    /// Runs whose report may differ from what the servers believe.
    dirty: BTreeSet<RunId>,
    in_flight: bool,
    /// The agent leaves: nothing is started any more.
    leaving: bool,
}

/// Most reports in one transaction: far below the server's bound, and enough for thousands of
/// reports a second.
const BATCH_MAX: usize = 256;

impl Machine {
    /// A machine without runs.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let (runs, timers, dirty) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
        Self {
            settings,
            runs,
            timers,
            dirty,
            in_flight: false,
            leaving: false,
        }
    }

    /// Takes up a run found on disk. A run that is claimed and not over has a living supervisor,
    /// which the edge watches from here on.
    pub fn adopt(
        &mut self,
        id: &RunId,
        spec: RunSpec,
        evidence: Evidence,
        now_ms: u64,
    ) -> Vec<Effect> {
        let (run, actions) = recover(evidence, now_ms);
        self.runs.insert(id.clone(), Entry::new(run, spec));
        let mut effects = Vec::new();
        self.translate(id, actions, &mut effects);
        effects
    }

    /// One event in, what to do about it out.
    pub fn handle(&mut self, event: Event, now_ms: u64) -> Vec<Effect> {
        let mut effects = Vec::new();
        match event {
            Event::Synced(all) => self.synced(&all, now_ms, &mut effects),
            Event::Seen(seen) => self.seen(&seen, now_ms, &mut effects),
            Event::Gone(uid) => self.gone(&uid, now_ms, &mut effects),
            Event::Run(id, happening) => self.apply(&id, happening, now_ms, &mut effects),
            Event::Prepared(id, not_enforced) => {
                if let Some(entry) = self.runs.get_mut(&id) {
                    entry.spec.not_enforced = not_enforced;
                }
                self.apply(&id, Happening::Checkpointed, now_ms, &mut effects);
            }
            Event::Answered(answers) => self.answered(answers, now_ms, &mut effects),
            Event::Tick => self.tick(now_ms, &mut effects),
            Event::KillAll => self.kill_all(now_ms, &mut effects),
        }
        effects
    }

    /// When [`Event::Tick`] is next due, in milliseconds.
    #[must_use]
    pub fn wake_ms(&self) -> Option<u64> {
        self.timers.first().map(|(at_ms, _)| *at_ms)
    }

    /// The next reports, if there are any and the last ones were answered. They count as being
    /// under way until [`Event::Answered`].
    pub fn take_reports(&mut self, now_ms: u64) -> Option<Vec<Report>> {
        if self.in_flight {
            return None;
        }
        let mut batch = Vec::new();
        while batch.len() < BATCH_MAX
            && let Some(id) = self.dirty.pop_first()
        {
            let entry = self.runs.get(&id);
            batch.extend(entry.and_then(|entry| entry.report(&id, &self.settings.agent, now_ms)));
        }
        self.in_flight = !batch.is_empty();
        self.in_flight.then_some(batch)
    }

    /// True while a command runs or is about to, or an end is not reported.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.runs.values().any(|entry| match entry.run {
            Run::Held | Run::Reported { .. } => false,
            Run::Ended { .. } => !entry.gone && entry.believed().is_some(),
            Run::Accepted { .. }
            | Run::Launching { .. }
            | Run::Settling
            | Run::Running { .. }
            | Run::Killing { .. } => true,
        })
    }

    /// The state of a run.
    #[must_use]
    pub fn run(&self, id: &RunId) -> Option<&Run> {
        self.runs.get(id).map(|entry| &entry.run)
    }

    fn collect_later(&mut self, id: &RunId, now_ms: u64) {
        let at_ms = now_ms.saturating_add(self.settings.retention_ms);
        if let Some(entry) = self.runs.get_mut(id)
            && entry.collect_ms.is_none()
        {
            entry.collect_ms = Some(at_ms);
            self.timers.insert((at_ms, id.clone()));
        }
    }

    fn runs_of(&self, uid: &str) -> Vec<RunId> {
        let bounds = (RunId::new(uid, 0), RunId::new(uid, u32::MAX));
        let (Some(first), Some(last)) = bounds else {
            return vec![];
        };
        self.runs
            .range(first..=last)
            .map(|(id, _)| id.clone())
            .collect()
    }

    fn apply(&mut self, id: &RunId, what: Happening, now_ms: u64, effects: &mut Vec<Effect>) {
        if self.must_hold(id, &what) {
            return self.hold(id, what);
        }
        let Some(entry) = self.runs.get_mut(id) else {
            return;
        };
        let before = mem::replace(&mut entry.run, Run::Settling);
        let was_over = before.is_over();
        let (after, actions) = before.step(what, now_ms);
        let (is_over, gone) = (after.is_over(), entry.gone);
        entry.run = after;
        self.translate(id, actions, effects);
        self.mark(id, now_ms);
        if gone && is_over && !was_over {
            self.apply(id, Happening::Acknowledged, now_ms, effects);
            self.collect_later(id, now_ms);
        }
        self.release(id, now_ms, effects);
        if is_over && !was_over {
            self.release_later(id, now_ms, effects);
        }
    }

    fn mark(&mut self, id: &RunId, now_ms: u64) {
        self.dirty.insert(id.clone());
        if let Some(Entry {
            run: Run::Launching { since_ms, .. },
            ..
        }) = self.runs.get(id)
            && *since_ms == now_ms
        {
            self.timers.insert((now_ms + STARTING_AFTER_MS, id.clone()));
        }
    }

    fn translate(&mut self, id: &RunId, actions: Vec<Action>, effects: &mut Vec<Effect>) {
        for action in actions {
            let id = id.clone();
            let spec = || {
                self.runs
                    .get(&id)
                    .map(|entry| entry.spec.clone())
                    .unwrap_or_default()
            };
            match action {
                Action::Spawn => effects.push(Effect::Spawn(id)),
                Action::Settle(cause) => effects.push(Effect::Settle(id.clone(), spec(), cause)),
                Action::Terminate { deadline_ms } => {
                    effects.push(Effect::Terminate(id, deadline_ms))
                }
                Action::Destroy => effects.push(Effect::Destroy(id)),
                Action::WakeAt(at_ms) => _ = self.timers.insert((at_ms, id)),
                Action::MarkReported => effects.push(Effect::MarkReported(id)),
            }
        }
    }

    fn answered(&mut self, answers: Vec<(Report, Answer)>, now_ms: u64, effects: &mut Vec<Effect>) {
        self.in_flight = false;
        for (report, answer) in answers {
            let Report {
                id,
                version: against,
                state,
                ..
            } = report;
            self.dirty.insert(id.clone());
            let Some(entry) = self.runs.get_mut(&id) else {
                continue;
            };
            match answer {
                Answer::Taken { version } => {
                    entry.taken(version, state, now_ms);
                    if state.is_terminal() {
                        self.apply(&id, Happening::Acknowledged, now_ms, effects);
                    }
                }
                Answer::Stale | Answer::Refused { .. } => {
                    let again_ms = entry.refused(against, state, now_ms);
                    self.timers.insert((again_ms, id));
                }
                Answer::Gone => self.abandon(&id, now_ms, effects),
            }
        }
    }

    fn tick(&mut self, now_ms: u64, effects: &mut Vec<Effect>) {
        let mut due = BTreeSet::new();
        while self
            .timers
            .first()
            .is_some_and(|(at_ms, _)| *at_ms <= now_ms)
        {
            due.extend(self.timers.pop_first().map(|(_, id)| id));
        }
        for id in due {
            let Some(entry) = self.runs.get(&id) else {
                continue;
            };
            if entry.collect_ms.is_some_and(|at_ms| at_ms <= now_ms) {
                self.runs.remove(&id);
                self.dirty.remove(&id);
                effects.push(Effect::Remove(id));
            } else {
                self.apply(&id, Happening::Tick, now_ms, effects);
            }
        }
    }

    fn kill_all(&mut self, now_ms: u64, effects: &mut Vec<Effect>) {
        self.leaving = true;
        let all: Vec<RunId> = self.runs.keys().cloned().collect();
        for id in all {
            let held = self.run(&id) == Some(&Run::Held);
            if !held {
                self.apply(
                    &id,
                    Happening::Kill {
                        grace_ms: ABANDON_GRACE_MS,
                    },
                    now_ms,
                    effects,
                );
            }
        }
    }
}

/// Grace of a run that the servers have given up: Mesos' default.
const ABANDON_GRACE_MS: u64 = 3_000;
