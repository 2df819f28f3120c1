//! The status that the servers are told: the run's truth as a merge patch.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use manifests::condition::{self, Condition};
use manifests::lifecycle::TaskState;
use serde_json::{Value, json};

use super::end::{End, Verdict};
use super::run::Run;

/// How long a launch may take before the servers hear of it: most runs are Running sooner, and
/// one report less for each task doubles what the servers can take.
pub(super) const STARTING_AFTER_MS: u64 = 200;

/// What the servers ought to know of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Truth {
    verdict: Verdict,
    started_us: Option<i64>,
    finished_us: Option<i64>,
}

impl Truth {
    /// `None` while there is nothing to tell.
    pub(super) fn of(run: &Run, now_ms: u64) -> Option<Self> {
        let plain = |state, started_us| Self {
            verdict: Verdict {
                state,
                ..Verdict::default()
            },
            started_us,
            finished_us: None,
        };
        match run {
            Run::Launching { since_ms, .. } if now_ms >= since_ms + STARTING_AFTER_MS => {
                Some(plain(TaskState::Starting, None))
            }
            Run::Running { started } => Some(plain(TaskState::Running, Some(started.at_us))),
            Run::Killing { started, .. } => Some(plain(TaskState::Killing, Some(started.at_us))),
            Run::Ended { end, killed } => Some(Self::ended(end, *killed)),
            Run::Launching { .. }
            | Run::Accepted { .. }
            | Run::Held
            | Run::Settling
            | Run::Reported { .. } => None,
        }
    }

    fn ended(end: &End, killed: bool) -> Self {
        Self {
            verdict: end.verdict(killed),
            started_us: end.started_us,
            finished_us: Some(end.finished_us),
        }
    }

    pub(super) const fn state(&self) -> TaskState {
        self.verdict.state
    }

    /// The conditions after this report. A merge patch replaces lists, so those of others are
    /// carried along.
    pub(super) fn conditions(&self, present: &[Condition]) -> Vec<Condition> {
        let mut conditions = present.to_vec();
        if let Some(started_us) = self.started_us {
            condition::set(&mut conditions, self.condition("Started", true, started_us));
        }
        if let Some(finished_us) = self.finished_us {
            let well = self.state() == TaskState::Finished;
            condition::set(
                &mut conditions,
                self.condition("Complete", well, finished_us),
            );
            if !well && self.state() != TaskState::Killed {
                condition::set(&mut conditions, self.condition("Failed", true, finished_us));
            }
        }
        conditions
    }

    fn condition(&self, kind: &str, holds: bool, at_us: i64) -> Condition {
        let told = kind != "Started";
        Condition {
            kind: kind.to_owned(),
            status: if holds { "True" } else { "False" }.to_owned(),
            reason: self.verdict.reason.filter(|_| told).map(str::to_owned),
            message: self.verdict.message.clone().filter(|_| told),
            last_transition_time: timestamp(at_us).map(Time),
        }
    }

    /// The merge patch of `status`. What is not so is null, for whatever another said before
    /// (that the agent was unreachable, say) is no longer so either.
    pub(super) fn patch(
        &self,
        agent: &str,
        not_enforced: &[String],
        present: &[Condition],
    ) -> Value {
        let micros = |at: Option<i64>| at.and_then(timestamp).map(MicroTime);
        let limits = if not_enforced.is_empty() {
            Value::Null
        } else {
            json!(not_enforced)
        };
        json!({
            "state": self.verdict.state,
            "source": "Agent",
            "agent": agent,
            "reason": self.verdict.reason,
            "message": self.verdict.message,
            "exitCode": self.verdict.exit_code,
            "signal": self.verdict.signal,
            "startedAt": micros(self.started_us),
            "finishedAt": micros(self.finished_us),
            "notEnforced": limits,
            "conditions": self.conditions(present),
        })
    }
}

fn timestamp(at_us: i64) -> Option<Timestamp> {
    Timestamp::from_microsecond(at_us).ok()
}
