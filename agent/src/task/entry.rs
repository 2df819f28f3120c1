//! One run beside what the servers believe of it.

use manifests::condition::Condition;
use manifests::lifecycle::TaskState;
use serde_json::Value;

use super::id::RunId;
use super::run::{Happening, Run};
use super::seen::Seen;
use super::spec::RunSpec;
use super::status::Truth;

/// A status for the servers.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The run.
    pub id: RunId,
    /// Namespace of the task.
    pub namespace: String,
    /// Name of the task.
    pub name: String,
    /// Version of the task that the report was made against, and its precondition: a status of
    /// this run must not land on the next.
    pub version: u64,
    /// The state reported.
    pub state: TaskState,
    /// The merge patch of `status`.
    pub status: Value,
}

/// What the servers said to a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Stored, as this version.
    Taken {
        /// Store revision of the version.
        version: u64,
    },
    /// The object has changed meanwhile: the next version seen decides.
    Stale,
    /// There is no such object any more.
    Gone,
    /// Not taken, whatever the reason; it is sent again later.
    Refused {
        /// The servers' words.
        message: String,
    },
}

/// What the servers believe, as far as the agent knows.
#[derive(Clone, Debug)]
struct Belief {
    version: u64,
    state: TaskState,
    conditions: Vec<Condition>,
}

/// One run beside what the servers believe of it.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) run: Run,
    pub(super) spec: RunSpec,
    /// The servers have no use for this run any more.
    pub(super) gone: bool,
    /// When its files may go, in milliseconds.
    pub(super) collect_ms: Option<u64>,
    /// What would launch the run, while an earlier attempt is not over.
    pub(super) held: Option<Happening>,
    belief: Option<Belief>,
    silence: Option<Silence>,
    /// Reports that failed since the last that was taken.
    failures: u32,
}

/// A report failed: the same against the same version is not worth another try before its time.
#[derive(Clone, Copy, Debug)]
struct Silence {
    version: u64,
    state: TaskState,
    until_ms: u64,
}

/// Pause after the first failure of a report; doubled with every further one.
const PAUSE_MS: u64 = 1_000;

/// Longest pause: short enough that a cured cluster learns the truth within a minute.
const PAUSE_MAX_MS: u64 = 60_000;

impl Entry {
    pub(super) fn new(run: Run, spec: RunSpec) -> Self {
        Self {
            run,
            spec,
            gone: false,
            collect_ms: None,
            held: None,
            belief: None,
            silence: None,
            failures: 0,
        }
    }

    /// Takes note of a version; false when it is no news.
    pub(super) fn observe(&mut self, seen: &Seen) -> bool {
        if self
            .belief
            .as_ref()
            .is_some_and(|belief| seen.version <= belief.version)
        {
            return false;
        }
        if self.spec.name.is_empty() {
            // A power cut took the checkpoint; the name is all that a report needs of it.
            self.spec = RunSpec::empty(&seen.task);
        }
        self.belief = Some(Belief {
            version: seen.version,
            state: seen.state,
            conditions: seen.conditions.clone(),
        });
        true
    }

    /// The servers stored the state that a report named.
    pub(super) fn taken(&mut self, version: u64, state: TaskState, now_ms: u64) {
        (self.silence, self.failures) = (None, 0);
        let Some(belief) = &mut self.belief else {
            return;
        };
        if belief.version > version {
            return; // The watch was quicker and has told more.
        }
        let told = Truth::of(&self.run, now_ms).filter(|truth| truth.state() == state);
        if let Some(truth) = told {
            belief.conditions = truth.conditions(&belief.conditions);
        }
        (belief.version, belief.state) = (version, state);
    }

    /// A report of `state` failed. Answers when the next try is due, in milliseconds.
    pub(super) fn refused(&mut self, version: u64, state: TaskState, now_ms: u64) -> u64 {
        let pause_ms = (PAUSE_MS << self.failures.min(6)).min(PAUSE_MAX_MS);
        let until_ms = now_ms.saturating_add(pause_ms);
        self.failures = self.failures.saturating_add(1);
        self.silence = Some(Silence {
            version,
            state,
            until_ms,
        });
        until_ms
    }

    fn is_silent(&self, belief: &Belief, state: TaskState, now_ms: u64) -> bool {
        self.silence.is_some_and(|silence| {
            belief.version <= silence.version && silence.state == state && now_ms < silence.until_ms
        })
    }

    /// The servers' word for the run's state.
    pub(super) fn believed(&self) -> Option<TaskState> {
        self.belief.as_ref().map(|belief| belief.state)
    }

    /// What the servers ought to be told: the truth, if they believe something else.
    pub(super) fn report(&self, id: &RunId, agent: &str, now_ms: u64) -> Option<Report> {
        let belief = self.belief.as_ref().filter(|_| !self.gone)?;
        let truth = Truth::of(&self.run, now_ms).filter(|truth| truth.state() != belief.state)?;
        if self.is_silent(belief, truth.state(), now_ms) {
            return None;
        }
        Some(Report {
            id: id.clone(),
            namespace: self.spec.namespace.clone(),
            name: self.spec.name.clone(),
            version: belief.version,
            state: truth.state(),
            status: truth.patch(agent, &self.spec.not_enforced, &belief.conditions),
        })
    }
}
