//! What a restarted agent concludes from the files of a run.

use super::end::{Cause, End};
use super::run::{Action, Run, Started};

/// What is on disk of a run, and whether its supervisor lives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// Some supervisor claimed the run (or the agent did, to forbid a start).
    pub claimed: bool,
    /// The command was started.
    pub started: Option<Started>,
    /// The run is over.
    pub end: Option<End>,
    /// Deadline of a kill, in milliseconds.
    pub kill_deadline_ms: Option<u64>,
    /// The servers know.
    pub reported: bool,
}

/// The state that the evidence proves, and what to do at once. A claimed run without an end has
/// a living supervisor: for a dead one the edge first writes the end that [`lost`] gives.
#[must_use]
pub fn recover(evidence: Evidence, now_ms: u64) -> (Run, Vec<Action>) {
    let Evidence {
        claimed,
        started,
        end,
        kill_deadline_ms,
        reported,
    } = evidence;
    if reported {
        return (Run::Reported { end }, vec![]);
    }
    if let Some(end) = end {
        return (
            Run::Ended {
                end,
                killed: kill_deadline_ms.is_some(),
            },
            vec![],
        );
    }
    match (claimed, started, kill_deadline_ms) {
        (true, Some(started), Some(deadline_ms)) => {
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
        (true, Some(started), None) => (Run::Running { started }, vec![]),
        (true, None, kill) => {
            let kill = kill.map(|deadline_ms| deadline_ms.saturating_sub(now_ms));
            (
                Run::Launching {
                    since_ms: now_ms,
                    kill,
                },
                vec![],
            )
        }
        (false, Some(_) | None, Some(_) | None) => (Run::Held, vec![]),
    }
}

/// The end of a run whose supervisor is gone without a word.
#[must_use]
pub fn lost(same_boot: bool, started: Option<Started>, now_us: i64) -> End {
    let cause = if same_boot {
        Cause::SupervisorLost
    } else {
        Cause::AgentRebooted
    };
    End {
        cause,
        started_us: started.map(|s| s.at_us),
        finished_us: now_us,
    }
}
