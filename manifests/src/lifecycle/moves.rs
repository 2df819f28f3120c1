//! What can happen to a task, and where that leads from each state.
//!
//! `table.txt` beside this file is the whole table, state × event; the tests hold the two together.

use super::TaskState;

/// Something that happened to a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskEvent {
    /// An offer was accepted for it: it has an agent.
    Bind,
    /// The binding was taken back before the agent spoke of the task.
    Unbind,
    /// The agent says that it prepares the task.
    AgentStarting,
    /// The agent says that the command runs.
    AgentRunning,
    /// Somebody wants it stopped.
    KillRequested,
    /// The agent says that the command ended.
    Exited {
        /// Exit code, unless a signal ended it.
        code: Option<i32>,
        /// The signal that ended it.
        signal: Option<i32>,
        /// True when the agent had been asked to stop it.
        on_request: bool,
    },
    /// The agent could not start the command; another agent, or a later try, might.
    LaunchFailed,
    /// The agent would not take the task: it never started.
    Refused,
    /// The agent is there and knows nothing of the task.
    Forgotten,
    /// The agent is not heard from.
    AgentLost,
    /// The agent is heard from again; what it says of the task follows.
    AgentBack,
    /// The agent is known to be gone: its machine came back without it.
    AgentGone,
    /// An operator declared the agent gone for good.
    OperatorGone,
    /// The task cannot be run as described, anywhere.
    Invalid,
    /// A new run is due.
    Retry,
}

/// An event that cannot happen in a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a task that is {state} takes no {event:?}")]
pub struct Illegal {
    /// The state, which stays.
    pub state: TaskState,
    /// What was said to have happened.
    pub event: TaskEvent,
}

/// The state after an event.
///
/// A state that ends a run is left by [`TaskEvent::Retry`] alone. While its agent was unreachable
/// anything may have happened to a task, so then every report of the agent is taken.
///
/// # Errors
/// When the event cannot happen in this state.
pub fn next(state: TaskState, event: &TaskEvent) -> Result<TaskState, Illegal> {
    let to = if state.is_terminal() {
        reopened(event)
    } else {
        moved(state, event)
    };
    to.ok_or(Illegal {
        state,
        event: *event,
    })
}

/// Finished, Failed, Killed, Error, Lost, Dropped, Gone, GoneByOperator → Pending, by Retry.
fn reopened(event: &TaskEvent) -> Option<TaskState> {
    (*event == TaskEvent::Retry).then_some(TaskState::Pending)
}

fn moved(state: TaskState, event: &TaskEvent) -> Option<TaskState> {
    use TaskEvent as E;
    use TaskState as S;
    // The agent was last heard of before it could have told us of the event.
    let out_of_sight = matches!(state, S::Unreachable | S::Unknown);
    let placed = state.is_active() || out_of_sight;
    match *event {
        // Pending → Staging
        E::Bind => (state == S::Pending).then_some(S::Staging),
        // Staging → Pending
        E::Unbind => (state == S::Staging).then_some(S::Pending),
        // Staging, Starting → Starting; a task asked to stop stays Killing
        E::AgentStarting if state == S::Killing => Some(S::Killing),
        E::AgentStarting => (placed && state != S::Running).then_some(S::Starting),
        // Staging, Starting, Running → Running; a task asked to stop stays Killing
        E::AgentRunning if state == S::Killing => Some(S::Killing),
        E::AgentRunning => placed.then_some(S::Running),
        // Pending → Killed; Staging, Starting, Running, Killing → Killing
        E::KillRequested if state == S::Pending => Some(S::Killed),
        // The wish stands in `spec.killed` until the agent is back.
        E::KillRequested if out_of_sight => Some(state),
        E::KillRequested => placed.then_some(S::Killing),
        // Staging, Starting, Running, Killing → Finished, Failed, Killed
        E::Exited {
            code, on_request, ..
        } => placed.then(|| settle(code, on_request || state == S::Killing)),
        // Staging, Starting → Failed; what was to be stopped anyway → Killed
        E::LaunchFailed if state == S::Killing => Some(S::Killed),
        E::LaunchFailed => (placed && state != S::Running).then_some(S::Failed),
        // Staging → Dropped; what was to be stopped anyway → Killed
        E::Refused if state == S::Killing => Some(S::Killed),
        E::Refused => (state == S::Staging || out_of_sight).then_some(S::Dropped),
        // Staging → Dropped, for an agent notes a task before it starts it; later → Lost
        E::Forgotten if state == S::Staging => Some(S::Dropped),
        E::Forgotten => placed.then_some(S::Lost),
        // Staging, Starting, Running, Killing → Unreachable
        E::AgentLost => placed.then_some(S::Unreachable),
        // No move: the agent's own reports decide.
        E::AgentBack => placed.then_some(state),
        // Staging, Starting, Running, Killing → Gone
        E::AgentGone => placed.then_some(S::Gone),
        // Staging, Starting, Running, Killing → GoneByOperator
        E::OperatorGone => placed.then_some(S::GoneByOperator),
        // Pending, Staging, Starting → Error
        E::Invalid => (!matches!(state, S::Running | S::Killing)).then_some(S::Error),
        E::Retry => None,
    }
}

/// How a run ended: code 0 is success even for a task that was asked to stop (as in Mesos); what
/// else ends on request was killed; the rest failed.
#[must_use]
pub fn settle(code: Option<i32>, on_request: bool) -> TaskState {
    match (code, on_request) {
        (Some(0), _) => TaskState::Finished,
        (Some(_) | None, true) => TaskState::Killed,
        (Some(_) | None, false) => TaskState::Failed,
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    fn exited(code: Option<i32>, on_request: bool) -> TaskEvent {
        TaskEvent::Exited {
            code,
            signal: None,
            on_request,
        }
    }

    fn events() -> Vec<(&'static str, TaskEvent)> {
        vec![
            ("Bind", TaskEvent::Bind),
            ("Unbind", TaskEvent::Unbind),
            ("AgentStarting", TaskEvent::AgentStarting),
            ("AgentRunning", TaskEvent::AgentRunning),
            ("KillRequested", TaskEvent::KillRequested),
            ("Exited(0)", exited(Some(0), false)),
            ("Exited(1)", exited(Some(1), false)),
            ("Exited(kill)", exited(None, true)),
            ("LaunchFailed", TaskEvent::LaunchFailed),
            ("Refused", TaskEvent::Refused),
            ("Forgotten", TaskEvent::Forgotten),
            ("AgentLost", TaskEvent::AgentLost),
            ("AgentBack", TaskEvent::AgentBack),
            ("AgentGone", TaskEvent::AgentGone),
            ("OperatorGone", TaskEvent::OperatorGone),
            ("Invalid", TaskEvent::Invalid),
            ("Retry", TaskEvent::Retry),
        ]
    }

    /// One block for each event, one line for each state it is legal in.
    fn table() -> String {
        let mut table = String::new();
        for (name, event) in events() {
            writeln!(table, "{name}").unwrap();
            for state in TaskState::ALL {
                if let Ok(to) = next(state, &event) {
                    writeln!(table, "  {state:<14} -> {to}").unwrap();
                }
            }
        }
        table
    }

    #[test]
    fn the_table_is_the_one_written_down() {
        let written: Vec<&str> = include_str!("table.txt")
            .lines()
            .filter(|line| !line.starts_with('#'))
            .collect();
        let real = table();
        let real: Vec<&str> = real.lines().collect();
        assert_eq!(real, written, "\n{}", real.join("\n"));
    }

    #[test]
    fn only_a_retry_leaves_the_end_of_a_run() {
        for (name, event) in events() {
            for state in TaskState::ALL
                .into_iter()
                .filter(|state| state.is_terminal())
            {
                let expected = (name == "Retry").then_some(TaskState::Pending);
                assert_eq!(next(state, &event).ok(), expected, "{state} {name}");
            }
        }
    }

    #[test]
    fn a_state_is_spelled_the_same_everywhere() {
        for state in TaskState::ALL {
            assert_eq!(serde_json::to_value(state).unwrap(), state.to_string());
            assert!(!(state.is_active() && state.is_terminal()));
        }
    }
}
