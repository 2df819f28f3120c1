//! How runs end, and what that means for the task.

use manifests::lifecycle::{self, TaskState};
use serde::{Deserialize, Serialize};

/// How a run ended: the content of its `exit` file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct End {
    /// What ended it.
    pub cause: Cause,
    /// Microseconds since 1970 at which the command was started, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_us: Option<i64>,
    /// Microseconds since 1970 at which it had ended.
    pub finished_us: i64,
}

/// What ended a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "type",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum Cause {
    /// The command exited.
    Exited {
        /// With this code.
        code: i32,
        /// True when the kernel killed one of its processes at the memory limit.
        out_of_memory: bool,
    },
    /// A signal ended the command.
    Signaled {
        /// This one.
        signal: i32,
        /// True when the kernel sent it at the memory limit.
        out_of_memory: bool,
    },
    /// The command could not be started.
    NotLaunched {
        /// 127 when there is no such program, else 126, as shells have it.
        code: i32,
        /// The program and the system's word for the fault.
        message: String,
    },
    /// The kill came before the command was started.
    KilledBeforeStart,
    /// The supervisor died, so how the command ended is not known.
    SupervisorLost,
    /// The machine restarted under the run.
    AgentRebooted,
    /// The servers speak of a run of which the agent has no record.
    Forgotten,
    /// The task cannot be run as it is described.
    Invalid {
        /// What is wrong.
        message: String,
    },
    /// The agent could not prepare the run.
    NotPrepared {
        /// What went wrong.
        message: String,
    },
}

/// What an end means for the task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// The terminal state.
    pub state: TaskState,
    /// One CamelCase word on why.
    pub reason: Option<&'static str>,
    /// A sentence on why.
    pub message: Option<String>,
    /// Exit code, 128 + n for signal n.
    pub exit_code: Option<i32>,
    /// Signal that ended the command.
    pub signal: Option<i32>,
}

/// Added to a signal's number in an exit code, as shells do.
const SIGNAL_BASE: i32 = 128;

impl End {
    /// An end of a command that was never started.
    #[must_use]
    pub const fn without_start(cause: Cause, now_us: i64) -> Self {
        Self {
            cause,
            started_us: None,
            finished_us: now_us,
        }
    }

    /// The terminal state and its explanation. A command that exits with 0 has finished even when
    /// it was asked to stop ([`lifecycle::settle`]); what else ends on request was killed.
    #[must_use]
    pub fn verdict(&self, killed: bool) -> Verdict {
        let verdict = self.cause.verdict();
        let message = if self.cause == Cause::KilledBeforeStart {
            "stopped on request before its command was started"
        } else if killed {
            "stopped on request"
        } else {
            return verdict;
        };
        let state = lifecycle::settle(verdict.exit_code, true);
        let (reason, message) = (Some("KillRequested"), Some(message.to_owned()));
        Verdict {
            state,
            reason,
            message,
            ..verdict
        }
    }
}

impl Cause {
    fn verdict(&self) -> Verdict {
        match self {
            Self::Exited {
                code: 0,
                out_of_memory: _,
            } => Verdict {
                state: TaskState::Finished,
                exit_code: Some(0),
                ..Verdict::default()
            },
            Self::Exited {
                code,
                out_of_memory,
            } => exited(*code, *out_of_memory),
            Self::Signaled {
                signal,
                out_of_memory,
            } => signaled(*signal, *out_of_memory),
            Self::NotLaunched { code, message } => Verdict {
                exit_code: Some(*code),
                ..failed("LaunchFailed", message)
            },
            Self::KilledBeforeStart => failed("KillRequested", ""),
            Self::SupervisorLost => failed(
                "SupervisorLost",
                "the supervisor of the run died; how the command ended is not known",
            ),
            Self::AgentRebooted => failed("AgentRebooted", "the machine restarted during the run"),
            Self::Forgotten => Verdict {
                state: TaskState::Lost,
                ..failed("TaskUnknown", "the agent has no record of this run")
            },
            Self::Invalid { message } => Verdict {
                state: TaskState::Error,
                ..failed("TaskInvalid", message)
            },
            Self::NotPrepared { message } => failed("LaunchFailed", message),
        }
    }
}

fn failed(reason: &'static str, message: &str) -> Verdict {
    Verdict {
        state: TaskState::Failed,
        reason: Some(reason),
        message: Some(message.to_owned()),
        ..Verdict::default()
    }
}

fn exited(code: i32, out_of_memory: bool) -> Verdict {
    let verdict = if out_of_memory {
        failed(
            "MemoryLimit",
            &format!("used more memory than its limit; exited with code {code}"),
        )
    } else {
        failed(
            "CommandFailed",
            &format!("the command exited with code {code}"),
        )
    };
    Verdict {
        exit_code: Some(code),
        ..verdict
    }
}

fn signaled(signal: i32, out_of_memory: bool) -> Verdict {
    let verdict = if out_of_memory {
        failed(
            "MemoryLimit",
            "used more memory than its limit and was killed by the kernel",
        )
    } else {
        failed(
            "CommandSignaled",
            &format!("the command was ended by signal {signal}"),
        )
    };
    Verdict {
        exit_code: Some(SIGNAL_BASE + signal),
        signal: Some(signal),
        ..verdict
    }
}
