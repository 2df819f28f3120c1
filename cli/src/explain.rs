//! Why an object is as it is, in sentences: what `stoa why`, `describe` and the progress of `up` say.
//!
//! For a waiting task these are the scheduler's own words (`status.waiting`), not a second opinion.

use manifests::explain::{Explanation, Refused};
use manifests::kinds::{RestartPolicy, Task, TaskStatus};
use manifests::lifecycle::TaskState;

/// Lines about a task, the shortest true answer first.
pub(crate) fn task(task: &Task) -> Vec<String> {
    let none = TaskStatus::default();
    let status = task.status.as_ref().unwrap_or(&none);
    let name = task.metadata.name.as_deref().unwrap_or_default();
    let mut lines = vec![format!("task/{name} {}", headline(task, status))];
    if status.state == TaskState::Pending
        && let Some(waiting) = &status.waiting
    {
        lines.extend(details(waiting));
    }
    lines.extend(
        status
            .not_enforced
            .iter()
            .map(|limit| format!("not enforced: {limit}")),
    );
    lines
}

fn headline(task: &Task, status: &TaskStatus) -> String {
    let agent = status
        .agent
        .as_deref()
        .or(task.spec.agent.as_deref())
        .unwrap_or("no agent");
    match status.state {
        TaskState::Pending => match &status.waiting {
            Some(waiting) => format!("waits: {}", waiting.summary),
            None => "waits: the scheduler has not looked at it yet".to_owned(),
        },
        TaskState::Staging => format!("is bound to agent {agent}, which has not answered yet"),
        TaskState::Starting => format!("is being prepared by agent {agent}"),
        TaskState::Running => format!("runs on agent {agent}{}", attempt(status)),
        TaskState::Killing => format!("is being stopped on agent {agent}"),
        TaskState::Finished => format!("ended well on agent {agent}{}", attempt(status)),
        TaskState::Unreachable => {
            format!(
                "is on agent {agent}, which is not heard from; it may still run{}",
                because(status)
            )
        }
        TaskState::Failed
        | TaskState::Killed
        | TaskState::Error
        | TaskState::Lost
        | TaskState::Dropped
        | TaskState::Gone
        | TaskState::GoneByOperator
        | TaskState::Unknown => {
            format!(
                "is {}{}{}",
                status.state,
                because(status),
                what_next(task, status)
            )
        }
    }
}

fn attempt(status: &TaskStatus) -> String {
    match status.attempt {
        0 => String::new(),
        earlier => format!(" (attempt {})", earlier + 1),
    }
}

fn what_next(task: &Task, status: &TaskStatus) -> String {
    let attempts = match status.attempt {
        0 => String::new(),
        earlier => format!(" after {} attempts", earlier + 1),
    };
    match task.spec.restart_policy {
        RestartPolicy::Never => format!("{attempts}; restartPolicy Never: it is not run again"),
        RestartPolicy::OnFailure | RestartPolicy::Always => attempts,
    }
}

/// `: Reason, message, exit code N` of what is known.
pub(crate) fn because(status: &TaskStatus) -> String {
    // The message often tells the exit code already.
    let message = status.message.clone().unwrap_or_default();
    let exit = status.exit_code.map(|code| format!("code {code}"));
    let exit = exit
        .filter(|exit| !message.contains(exit.as_str()))
        .map(|e| format!("exit {e}"));
    let all = [status.reason.clone(), Some(message), exit];
    let parts: Vec<_> = all
        .into_iter()
        .flatten()
        .filter(|part| !part.is_empty())
        .collect();
    if parts.is_empty() {
        String::new()
    } else {
        format!(": {}", parts.join(", "))
    }
}

/// What an explanation adds to its summary.
pub(crate) fn details(waiting: &Explanation) -> Vec<String> {
    let refusals = waiting.refusals.iter().map(|refused| {
        // Nothing to do with any agent: the summary has said it.
        if refused.agents == 0 && refused.detail == waiting.summary {
            return format!("cause: {:?}", refused.cause);
        }
        refusal(refused)
    });
    let end = waiting
        .waits_for
        .iter()
        .map(|end| format!("waits for: {end}"));
    refusals.chain(end).collect()
}

fn refusal(refused: &Refused) -> String {
    let Refused {
        agents,
        examples,
        cause,
        detail,
    } = refused;
    if *agents == 0 {
        // An obstacle that no agent is to blame for, such as a quota.
        return format!("{cause:?}: {detail}");
    }
    let noun = if *agents == 1 { "agent" } else { "agents" };
    let more = usize::try_from(*agents).is_ok_and(|agents| agents > examples.len());
    let names = match (examples.is_empty(), more) {
        (true, _) => String::new(),
        (false, true) => format!(" ({}, ...)", examples.join(", ")),
        (false, false) => format!(" ({})", examples.join(", ")),
    };
    format!("{agents} {noun}{names}: {cause:?}: {detail}")
}

#[cfg(test)]
mod tests {
    use manifests::explain::Cause;
    use manifests::kinds::TaskSpec;

    use super::*;

    fn in_state(state: TaskState, change: impl FnOnce(&mut TaskStatus)) -> Vec<String> {
        let mut object = Task::new("t", TaskSpec::default());
        let mut status = TaskStatus {
            state,
            agent: Some("a1".into()),
            ..TaskStatus::default()
        };
        change(&mut status);
        object.status = Some(status);
        task(&object)
    }

    #[test]
    fn a_waiting_task_says_what_the_scheduler_said() {
        let lines = in_state(TaskState::Pending, |status| {
            status.waiting = Some(Explanation {
                summary: "needs 1000 cpus, the largest agent has 8".into(),
                waits_for: Some("a larger agent".into()),
                refusals: vec![Refused {
                    agents: 5,
                    examples: vec!["a1".into(), "a2".into()],
                    cause: Cause::TooLarge,
                    detail: "needs 1000 cpus, 8 there".into(),
                }],
            });
        });
        assert_eq!(
            lines,
            [
                "task/t waits: needs 1000 cpus, the largest agent has 8",
                "5 agents (a1, a2, ...): TooLarge: needs 1000 cpus, 8 there",
                "waits for: a larger agent",
            ]
        );
    }

    #[test]
    fn every_state_has_an_answer_of_its_own() {
        for state in TaskState::ALL {
            let lines = in_state(state, |_| {});
            assert!(
                lines[0].starts_with("task/t ") && lines[0].len() > 12,
                "{lines:?}"
            );
        }
        let failed = in_state(TaskState::Failed, |status| {
            status.exit_code = Some(3);
            status.reason = Some("Exited".into());
            status.message = Some("command ended with exit code 3".into());
        });
        assert_eq!(
            failed,
            [
                "task/t is Failed: Exited, command ended with exit code 3; restartPolicy Never: it is not run again"
            ]
        );
    }
}
