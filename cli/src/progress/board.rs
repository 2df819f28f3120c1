//! Where each task stands: events in, lines to print out. Pure; time is an argument.

use std::collections::BTreeMap;

use manifests::kinds::{Task, TaskStatus};
use manifests::lifecycle::{TaskState, should_retry};

use crate::explain;

/// A task is asked why it waits only after this long: most waits are over before anybody reads of them.
const PATIENCE_MS: u64 = 3_000;

/// Names a task.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    /// Namespace.
    pub(crate) namespace: String,
    /// Name.
    pub(crate) name: String,
}

impl Key {
    /// The key of a task object.
    pub(crate) fn of(task: &Task) -> Self {
        let text = |part: &Option<String>| part.clone().unwrap_or_default();
        Self {
            namespace: text(&task.metadata.namespace),
            name: text(&task.metadata.name),
        }
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.namespace.as_str() {
            "default" | "" => write!(f, "task/{}", self.name),
            namespace => write!(f, "task/{} in {namespace}", self.name),
        }
    }
}

/// What can happen to a task, seen from outside.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// It is, or has become, this.
    Seen(Box<Task>),
    /// It exists no more.
    Gone(Key),
    /// A complete list has been read; goals that were not in it do not exist.
    Listed(Vec<Key>),
}

/// A line to print.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// The text.
    pub(crate) text: String,
    /// True when it stays on the screen under a live display, which shows the rest by itself.
    pub(crate) lasting: bool,
}

/// A task that came to its end, badly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    /// Which.
    pub(crate) key: Key,
    /// State, reason, message and exit code, as far as known.
    pub(crate) why: String,
    /// False when the object was deleted, and its log with it.
    pub(crate) exists: bool,
}

#[derive(Clone, Debug, Default)]
struct Entry {
    seen: Option<Seen>,
    end: Option<End>,
    told: String,
}

#[derive(Clone, Debug)]
struct Seen {
    state: TaskState,
    attempt: u32,
    agent: String,
    waits: String,
    since_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    Well,
    Badly(String),
    Deleted,
}

/// The tasks that are followed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Board {
    entries: BTreeMap<Key, Entry>,
}

impl Board {
    /// A board of these tasks, none seen yet.
    pub(crate) fn new(goals: Vec<Key>) -> Self {
        Self {
            entries: goals
                .into_iter()
                .map(|key| (key, Entry::default()))
                .collect(),
        }
    }

    /// Takes in an event and returns what there is to say. Tasks that are no goals are ignored.
    pub(crate) fn observe(&mut self, event: Event, now_ms: u64) -> Vec<Line> {
        match event {
            Event::Seen(task) => self.seen(&task, now_ms).into_iter().collect(),
            Event::Gone(key) => self.gone(&key).into_iter().collect(),
            Event::Listed(present) => self.listed(&present),
        }
    }

    fn seen(&mut self, task: &Task, now_ms: u64) -> Option<Line> {
        let key = Key::of(task);
        let entry = self.entries.get_mut(&key)?;
        let none = TaskStatus::default();
        let status = task.status.as_ref().unwrap_or(&none);
        entry.end = end(task, status, now_ms);
        let before = entry.seen.take();
        let same = before
            .as_ref()
            .filter(|b| b.state == status.state && b.attempt == status.attempt);
        let seen = Seen {
            state: status.state,
            attempt: status.attempt,
            agent: status
                .agent
                .clone()
                .or_else(|| task.spec.agent.clone())
                .unwrap_or_default(),
            waits: status
                .waiting
                .as_ref()
                .map(|w| w.summary.clone())
                .unwrap_or_default(),
            since_ms: same.map_or(now_ms, |b| b.since_ms),
        };
        let line = same.is_none().then(|| {
            let text = format!("{key}  {}", change(before.as_ref(), &seen, status));
            Line {
                text,
                lasting: seen.state.is_terminal(),
            }
        });
        entry.seen = Some(seen);
        line
    }

    fn gone(&mut self, key: &Key) -> Option<Line> {
        let entry = self.entries.get_mut(key)?;
        if entry.end.is_some() {
            return None;
        }
        entry.end = Some(End::Deleted);
        Some(Line {
            text: format!("{key}  was deleted"),
            lasting: true,
        })
    }

    fn listed(&mut self, present: &[Key]) -> Vec<Line> {
        let seen_before = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.seen.is_some());
        let lost: Vec<Key> = seen_before
            .map(|(key, _)| key)
            .filter(|key| !present.contains(key))
            .cloned()
            .collect();
        lost.iter().filter_map(|key| self.gone(key)).collect()
    }

    /// What is worth saying because time passed: why tasks wait, once for each reason.
    pub(crate) fn tick(&mut self, now_ms: u64) -> Vec<Line> {
        let mut lines = Vec::new();
        for (key, entry) in &mut self.entries {
            let Some(seen) = &entry.seen else { continue };
            let patient = now_ms.saturating_sub(seen.since_ms) < PATIENCE_MS;
            if seen.state != TaskState::Pending || patient || seen.waits.is_empty() {
                continue;
            }
            if entry.told != seen.waits {
                entry.told.clone_from(&seen.waits);
                lines.push(Line {
                    text: format!("{key}  waits: {}", seen.waits),
                    lasting: false,
                });
            }
        }
        lines
    }

    /// True when every task came to its end.
    pub(crate) fn done(&self) -> bool {
        self.entries.values().all(|entry| entry.end.is_some())
    }

    /// Tasks that ended badly.
    pub(crate) fn failures(&self) -> Vec<Ended> {
        let ended = self
            .entries
            .iter()
            .filter_map(|(key, entry)| match entry.end.as_ref()? {
                End::Well => None,
                End::Badly(why) => Some(Ended {
                    key: key.clone(),
                    why: why.clone(),
                    exists: true,
                }),
                End::Deleted => {
                    let why = "was deleted before it ended".to_owned();
                    Some(Ended {
                        key: key.clone(),
                        why,
                        exists: false,
                    })
                }
            });
        ended.collect()
    }

    /// Tasks that have not ended, with what is known of each.
    pub(crate) fn unfinished(&self) -> Vec<String> {
        let open = self.entries.iter().filter(|(_, entry)| entry.end.is_none());
        let lines = open.map(|(key, entry)| match &entry.seen {
            None => format!("{key} does not exist (yet)"),
            Some(seen) if seen.waits.is_empty() => format!("{key} is {}", seen.state),
            Some(seen) => format!("{key} is {}: {}", seen.state, seen.waits),
        });
        lines.collect()
    }

    /// `3 tasks: 2 Finished, 1 Running`.
    pub(crate) fn summary(&self) -> String {
        let mut counts: BTreeMap<&'static str, usize> = BTreeMap::new();
        for entry in self.entries.values() {
            let word = match (&entry.end, &entry.seen) {
                (Some(End::Deleted), _) => "deleted",
                (Some(End::Well | End::Badly(_)) | None, Some(seen)) => seen.state.as_str(),
                (Some(End::Well | End::Badly(_)) | None, None) => "not there yet",
            };
            *counts.entry(word).or_default() += 1;
        }
        let parts: Vec<_> = counts
            .iter()
            .map(|(word, count)| format!("{count} {word}"))
            .collect();
        let all = self.entries.len();
        let noun = if all == 1 { "task" } else { "tasks" };
        format!("{all} {noun}: {}", parts.join(", "))
    }

    /// Cells of each task that has not ended: name, state, agent, time in the state, and why it waits.
    pub(crate) fn rows(&self, now_ms: u64) -> Vec<Vec<String>> {
        let open = self.entries.iter().filter(|(_, entry)| entry.end.is_none());
        let rows = open.filter_map(|(key, entry)| {
            let seen = entry.seen.as_ref()?;
            let since = now_ms.saturating_sub(seen.since_ms) / 100;
            let waits = if seen.state == TaskState::Pending {
                seen.waits.clone()
            } else {
                String::new()
            };
            Some(vec![
                key.to_string(),
                seen.state.to_string(),
                seen.agent.clone(),
                format!("{}.{}s", since / 10, since % 10),
                waits,
            ])
        });
        rows.collect()
    }
}

/// The end of a task, if this is one: a state no retry will leave.
fn end(task: &Task, status: &TaskStatus, now_ms: u64) -> Option<End> {
    if !status.state.is_terminal() || should_retry(&task.spec, status, now_ms).is_some() {
        return None;
    }
    Some(match status.state {
        TaskState::Finished => End::Well,
        TaskState::Pending
        | TaskState::Staging
        | TaskState::Starting
        | TaskState::Running
        | TaskState::Killing
        | TaskState::Failed
        | TaskState::Killed
        | TaskState::Error
        | TaskState::Lost
        | TaskState::Dropped
        | TaskState::Unreachable
        | TaskState::Gone
        | TaskState::GoneByOperator
        | TaskState::Unknown => End::Badly(format!("{}{}", status.state, explain::because(status))),
    })
}

/// `Pending → Running on a1`.
fn change(before: Option<&Seen>, now: &Seen, status: &TaskStatus) -> String {
    let mut text = before.map_or_else(String::new, |before| format!("{} → ", before.state));
    text.push_str(now.state.as_str());
    if now.state.is_terminal() && now.state != TaskState::Finished {
        text.push_str(&explain::because(status));
    } else if now.state.is_active() && !now.agent.is_empty() {
        text.push_str(&format!("  on {}", now.agent));
    }
    if now.attempt > 0 {
        text.push_str(&format!("  (attempt {})", now.attempt + 1));
    }
    text
}

#[cfg(test)]
mod tests {
    use manifests::kinds::{RestartPolicy, TaskSpec};

    use super::*;

    fn task(name: &str, state: TaskState, attempt: u32, policy: RestartPolicy) -> Event {
        let mut task = Task::new(
            name,
            TaskSpec {
                restart_policy: policy,
                ..TaskSpec::default()
            },
        );
        task.metadata.namespace = Some("default".into());
        let mut status = TaskStatus {
            state,
            attempt,
            ..TaskStatus::default()
        };
        if state == TaskState::Failed {
            status.exit_code = Some(3);
        }
        if state == TaskState::Pending {
            status.waiting = Some(manifests::explain::Explanation {
                summary: "no agents".into(),
                ..manifests::explain::Explanation::default()
            });
        } else {
            status.agent = Some("a1".into());
        }
        task.status = Some(status);
        Event::Seen(Box::new(task))
    }

    fn key(name: &str) -> Key {
        Key {
            namespace: "default".into(),
            name: name.into(),
        }
    }

    fn texts(lines: Vec<Line>) -> Vec<String> {
        lines.into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn a_life_is_told_change_by_change() {
        let mut board = Board::new(vec![key("t")]);
        let never = RestartPolicy::Never;
        let mut see = |state, now| texts(board.observe(task("t", state, 0, never), now));
        assert_eq!(see(TaskState::Pending, 0), ["task/t  Pending"]);
        assert_eq!(see(TaskState::Pending, 1), Vec::<String>::new());
        assert_eq!(
            see(TaskState::Running, 2),
            ["task/t  Pending → Running  on a1"]
        );
        assert_eq!(see(TaskState::Finished, 3), ["task/t  Running → Finished"]);
        assert!(board.done() && board.failures().is_empty());
        assert_eq!(board.summary(), "1 task: 1 Finished");
    }

    #[test]
    fn a_failure_that_is_retried_is_not_the_end() {
        let mut board = Board::new(vec![key("t")]);
        board.observe(task("t", TaskState::Failed, 0, RestartPolicy::OnFailure), 0);
        assert!(!board.done());
        board.observe(
            task("t", TaskState::Finished, 1, RestartPolicy::OnFailure),
            9,
        );
        assert!(board.done() && board.failures().is_empty());
    }

    #[test]
    fn a_failure_for_good_says_why() {
        let mut board = Board::new(vec![key("t"), key("u")]);
        board.observe(task("t", TaskState::Failed, 0, RestartPolicy::Never), 0);
        assert!(!board.done(), "u has not been seen");
        board.observe(task("u", TaskState::Running, 0, RestartPolicy::Never), 0);
        assert_eq!(
            texts(board.observe(Event::Listed(vec![key("t")]), 1)),
            ["task/u  was deleted"]
        );
        let failures = board.failures();
        assert_eq!(failures[0].why, "Failed: exit code 3");
        assert!(!failures[1].exists && board.done());
    }

    #[test]
    fn a_wait_is_explained_once_and_only_when_it_lasts() {
        let mut board = Board::new(vec![key("t")]);
        board.observe(
            task("t", TaskState::Pending, 0, RestartPolicy::Never),
            1_000,
        );
        assert!(board.tick(2_000).is_empty());
        assert_eq!(texts(board.tick(4_000)), ["task/t  waits: no agents"]);
        assert!(board.tick(5_000).is_empty());
        assert_eq!(
            board.rows(5_000)[0],
            ["task/t", "Pending", "", "4.0s", "no agents"]
        );
        assert_eq!(board.unfinished(), ["task/t is Pending: no agents"]);
    }

    #[test]
    fn strangers_are_ignored() {
        let mut board = Board::new(vec![key("t")]);
        assert!(
            board
                .observe(task("x", TaskState::Failed, 0, RestartPolicy::Never), 0)
                .is_empty()
        );
        assert!(board.observe(Event::Gone(key("x")), 0).is_empty());
    }
}
