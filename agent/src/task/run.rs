//! One run's life: a data enum and its one table of moves.

use serde::{Deserialize, Serialize};

use super::end::{Cause, End};

/// A command that was started: the content of a run's `pid` file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Started {
    /// Process id of the command, which is also its session and process group.
    pub pid: i32,
    /// Start time of that process in clock ticks since boot: tells it from a later process with
    /// the same id.
    pub ticks: u64,
    /// Microseconds since 1970 at which the command was started.
    pub at_us: i64,
}

/// Where a run is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Run {
    /// Seen; its checkpoint is being written.
    Accepted {
        /// The kill that came meanwhile.
        kill: bool,
    },
    /// Found on disk after a restart of the agent, not started: waits for the servers to confirm
    /// that it is still wanted here.
    Held,
    /// On disk; its supervisor is being started.
    Launching {
        /// Since when, in milliseconds.
        since_ms: u64,
        /// Grace of the kill that came meanwhile.
        kill: Option<u64>,
    },
    /// Will not be started; that is being written down.
    Settling,
    /// The command runs.
    Running {
        /// Its process.
        started: Started,
    },
    /// The command was asked to stop.
    Killing {
        /// Its process.
        started: Started,
        /// When asking turns into force, in milliseconds.
        deadline_ms: u64,
        /// True once it has.
        forced: bool,
    },
    /// Over, and the servers may not know yet.
    Ended {
        /// How.
        end: End,
        /// True when it was asked to stop.
        killed: bool,
    },
    /// Over, and the servers know or do not care.
    Reported {
        /// How; unknown when only the marker is left.
        end: Option<End>,
    },
}

/// What can happen to a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    /// The checkpoint is on disk.
    Checkpointed,
    /// The servers still want a held run here.
    Confirmed,
    /// The supervisor has started the command.
    Started(Started),
    /// It is over, and that is on disk.
    Ended(End),
    /// Somebody wants it stopped.
    Kill {
        /// Time between asking and force, in milliseconds.
        grace_ms: u64,
    },
    /// A time set by [`Action::WakeAt`] has come.
    Tick,
    /// The servers have its terminal state, or have no use for it.
    Acknowledged,
}

/// What to do about it. The edge has one function for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start the supervisor; answer with Started and Ended.
    Spawn,
    /// Write down that the run is over and will never be started; answer with Ended.
    Settle(Cause),
    /// Write down the deadline, then ask every process of the run to stop.
    Terminate {
        /// When asking turns into force, in milliseconds.
        deadline_ms: u64,
    },
    /// Kill every process of the run.
    Destroy,
    /// Send Tick at this time, in milliseconds.
    WakeAt(u64),
    /// Write down that the servers know.
    MarkReported,
}

impl Run {
    /// The one table of moves.
    #[must_use]
    pub fn step(self, happening: Happening, now_ms: u64) -> (Self, Vec<Action>) {
        match happening {
            Happening::Checkpointed => self.checkpointed(now_ms),
            Happening::Confirmed => self.confirmed(now_ms),
            Happening::Started(started) => self.started(started, now_ms),
            Happening::Ended(end) => self.ended(end),
            Happening::Kill { grace_ms } => self.kill(grace_ms, now_ms),
            Happening::Tick => self.tick(now_ms),
            Happening::Acknowledged => self.acknowledged(),
        }
    }

    /// True when nothing of the run is left on the machine and nothing will be.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        match self {
            Self::Ended { .. } | Self::Reported { .. } => true,
            Self::Accepted { .. }
            | Self::Held
            | Self::Launching { .. }
            | Self::Settling
            | Self::Running { .. }
            | Self::Killing { .. } => false,
        }
    }

    fn checkpointed(self, now_ms: u64) -> (Self, Vec<Action>) {
        match self {
            // Accepted → Launching
            Self::Accepted { kill: false } => launch(now_ms),
            // Accepted → Settling
            Self::Accepted { kill: true } => settle(),
            // Late word of a step that is past.
            Self::Held
            | Self::Launching { .. }
            | Self::Settling
            | Self::Running { .. }
            | Self::Killing { .. }
            | Self::Ended { .. }
            | Self::Reported { .. } => (self, vec![]),
        }
    }

    fn confirmed(self, now_ms: u64) -> (Self, Vec<Action>) {
        match self {
            // Held → Launching
            Self::Held => launch(now_ms),
            // Nobody waited for it.
            Self::Accepted { .. }
            | Self::Launching { .. }
            | Self::Settling
            | Self::Running { .. }
            | Self::Killing { .. }
            | Self::Ended { .. }
            | Self::Reported { .. } => (self, vec![]),
        }
    }

    fn started(self, started: Started, now_ms: u64) -> (Self, Vec<Action>) {
        match self {
            // Launching → Running
            Self::Launching { kill: None, .. } => (Self::Running { started }, vec![]),
            // Launching → Killing
            Self::Launching {
                kill: Some(grace_ms),
                ..
            } => terminate(started, grace_ms, now_ms),
            // Settling → Killing: a supervisor of an earlier agent process was quicker.
            Self::Settling => terminate(started, 0, now_ms),
            // A process is a fact, whatever was believed.
            Self::Accepted { kill: false } | Self::Held => (Self::Running { started }, vec![]),
            Self::Accepted { kill: true } => terminate(started, 0, now_ms),
            // Said twice.
            Self::Running { .. }
            | Self::Killing { .. }
            | Self::Ended { .. }
            | Self::Reported { .. } => (self, vec![]),
        }
    }

    fn ended(self, end: End) -> (Self, Vec<Action>) {
        match self {
            // → Ended
            Self::Accepted { kill } => (Self::Ended { end, killed: kill }, vec![]),
            Self::Launching { kill, .. } => (
                Self::Ended {
                    end,
                    killed: kill.is_some(),
                },
                vec![],
            ),
            Self::Held | Self::Settling | Self::Running { .. } => {
                (Self::Ended { end, killed: false }, vec![])
            }
            Self::Killing { .. } => (Self::Ended { end, killed: true }, vec![]),
            // A run ends once.
            Self::Ended { .. } | Self::Reported { .. } => (self, vec![]),
        }
    }

    fn kill(self, grace_ms: u64, now_ms: u64) -> (Self, Vec<Action>) {
        match self {
            // Accepted, killed as soon as its checkpoint is there.
            Self::Accepted { .. } => (Self::Accepted { kill: true }, vec![]),
            // Held → Settling
            Self::Held => settle(),
            // Launching, killed as soon as there is a process.
            Self::Launching { since_ms, kill } => {
                let kill = Some(kill.map_or(grace_ms, |earlier| earlier.min(grace_ms)));
                (Self::Launching { since_ms, kill }, vec![])
            }
            // Running → Killing
            Self::Running { started } => terminate(started, grace_ms, now_ms),
            // A later kill may only shorten the grace, as in Mesos.
            Self::Killing {
                started,
                deadline_ms,
                forced: false,
            } if now_ms.saturating_add(grace_ms) < deadline_ms => {
                let sooner = now_ms.saturating_add(grace_ms);
                (
                    Self::Killing {
                        started,
                        deadline_ms: sooner,
                        forced: false,
                    },
                    vec![Action::WakeAt(sooner)],
                )
            }
            // Already so.
            Self::Killing { .. } | Self::Settling | Self::Ended { .. } | Self::Reported { .. } => {
                (self, vec![])
            }
        }
    }

    fn tick(self, now_ms: u64) -> (Self, Vec<Action>) {
        match self {
            // Killing → Killing by force; again each second, in case a process was born meanwhile.
            Self::Killing {
                started,
                deadline_ms,
                forced: _,
            } if now_ms >= deadline_ms => (
                Self::Killing {
                    started,
                    deadline_ms,
                    forced: true,
                },
                vec![
                    Action::Destroy,
                    Action::WakeAt(now_ms.saturating_add(FORCE_AGAIN_MS)),
                ],
            ),
            // No time was set, or another.
            Self::Killing { .. }
            | Self::Accepted { .. }
            | Self::Held
            | Self::Launching { .. }
            | Self::Settling
            | Self::Running { .. }
            | Self::Ended { .. }
            | Self::Reported { .. } => (self, vec![]),
        }
    }

    fn acknowledged(self) -> (Self, Vec<Action>) {
        match self {
            // Ended → Reported
            Self::Ended { end, .. } => (
                Self::Reported { end: Some(end) },
                vec![Action::MarkReported],
            ),
            // Only an end is final.
            Self::Accepted { .. }
            | Self::Held
            | Self::Launching { .. }
            | Self::Settling
            | Self::Running { .. }
            | Self::Killing { .. }
            | Self::Reported { .. } => (self, vec![]),
        }
    }
}

/// Pause between two killings by force. A process that the first left alive hangs in the kernel,
/// and a second later is soon enough to look again.
const FORCE_AGAIN_MS: u64 = 1_000;

fn launch(now_ms: u64) -> (Run, Vec<Action>) {
    (
        Run::Launching {
            since_ms: now_ms,
            kill: None,
        },
        vec![Action::Spawn],
    )
}

fn settle() -> (Run, Vec<Action>) {
    (
        Run::Settling,
        vec![Action::Settle(Cause::KilledBeforeStart)],
    )
}

fn terminate(started: Started, grace_ms: u64, now_ms: u64) -> (Run, Vec<Action>) {
    let deadline_ms = now_ms.saturating_add(grace_ms);
    let run = Run::Killing {
        started,
        deadline_ms,
        forced: false,
    };
    (
        run,
        vec![
            Action::Terminate { deadline_ms },
            Action::WakeAt(deadline_ms),
        ],
    )
}
