//! Whether an ended task runs again, and when.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

use super::TaskState;
use crate::duration::Span;
use crate::kinds::{RestartPolicy, TaskSpec, TaskStatus};

/// First pause when the spec names none: long enough to spare a machine, short enough not to annoy.
const BACKOFF_MS: u64 = 1_000;

/// Longest pause when the spec names none, as in Kubernetes.
const BACKOFF_MAX_MS: u64 = 300_000;

/// When the next run may begin, in milliseconds since 1970; `None` when there is none.
///
/// The pause doubles with each attempt and is counted from the end of the last run; nothing is
/// random, so every replica reckons the same.
#[must_use]
pub fn should_retry(spec: &TaskSpec, status: &TaskStatus, now_ms: u64) -> Option<u64> {
    if spec.killed || !wants_retry(spec.restart_policy, status.state) {
        return None;
    }
    let retry = spec.retry.as_ref();
    let runs = u64::from(status.attempt) + 1;
    if retry
        .and_then(|r| r.max_attempts)
        .is_some_and(|max| runs >= u64::from(max))
    {
        return None;
    }
    let base = retry.and_then(|r| r.backoff).map_or(BACKOFF_MS, Span::ms);
    let cap = retry
        .and_then(|r| r.max_backoff)
        .map_or(BACKOFF_MAX_MS, Span::ms);
    let pause_ms = pause_ms(base, cap, status.attempt);
    Some(ended_ms(status, now_ms).saturating_add(pause_ms))
}

/// When the run ended, as far as the agent's clock is believed: not after `now`, and not before
/// the run was bound, which is the server's time. A clock that is behind makes no pause void.
fn ended_ms(status: &TaskStatus, now_ms: u64) -> u64 {
    let ms = |at: Option<&MicroTime>| at.and_then(|at| u64::try_from(at.0.as_millisecond()).ok());
    let bound_ms = ms(status.bound_at.as_ref()).unwrap_or(0);
    let told_ms = ms(status.finished_at.as_ref()).unwrap_or(now_ms);
    told_ms.max(bound_ms).min(now_ms)
}

/// base × 2^attempt, at most cap.
fn pause_ms(base_ms: u64, cap_ms: u64, attempt: u32) -> u64 {
    let factor = 1_u64.checked_shl(attempt).unwrap_or(u64::MAX);
    base_ms.saturating_mul(factor).min(cap_ms)
}

/// A task that never started is started elsewhere whatever its policy: nothing ran twice. One that
/// may have run counts as failed. What was stopped on request, or cannot run, stays ended.
fn wants_retry(policy: RestartPolicy, state: TaskState) -> bool {
    match state {
        TaskState::Dropped => true,
        TaskState::Failed | TaskState::Lost | TaskState::Gone | TaskState::GoneByOperator => {
            match policy {
                RestartPolicy::Never => false,
                RestartPolicy::OnFailure | RestartPolicy::Always => true,
            }
        }
        TaskState::Finished => policy == RestartPolicy::Always,
        TaskState::Killed
        | TaskState::Error
        | TaskState::Pending
        | TaskState::Staging
        | TaskState::Starting
        | TaskState::Running
        | TaskState::Killing
        | TaskState::Unreachable
        | TaskState::Unknown => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::Retry;

    fn ended(state: TaskState, attempt: u32, at_ms: i64) -> TaskStatus {
        let finished_at = jiff::Timestamp::from_millisecond(at_ms).unwrap();
        TaskStatus {
            state,
            attempt,
            finished_at: Some(MicroTime(finished_at)),
            ..Default::default()
        }
    }

    fn spec(policy: RestartPolicy) -> TaskSpec {
        TaskSpec {
            restart_policy: policy,
            ..Default::default()
        }
    }

    #[test]
    fn the_policy_decides_which_ends_are_final() {
        use RestartPolicy::{Always, Never, OnFailure};
        for state in TaskState::ALL {
            let runs_again: Vec<_> = [Never, OnFailure, Always]
                .into_iter()
                .filter(|policy| should_retry(&spec(*policy), &ended(state, 0, 5), 9).is_some())
                .collect();
            let expected = match state.as_str() {
                "Dropped" => vec![Never, OnFailure, Always],
                "Failed" | "Lost" | "Gone" | "GoneByOperator" => vec![OnFailure, Always],
                "Finished" => vec![Always],
                _ => vec![],
            };
            assert_eq!(runs_again, expected, "{state}");
        }
    }

    #[test]
    fn the_pause_doubles_up_to_its_cap() {
        let spec = spec(RestartPolicy::OnFailure);
        let table = [
            (0, 1_000),
            (1, 2_000),
            (2, 4_000),
            (8, 256_000),
            (9, 300_000),
            (200, 300_000),
        ];
        for (attempt, pause) in table {
            let status = ended(TaskState::Failed, attempt, 10_000);
            assert_eq!(
                should_retry(&spec, &status, 20_000),
                Some(10_000 + pause),
                "{attempt}"
            );
        }
    }

    #[test]
    fn a_clock_that_runs_ahead_delays_nothing() {
        let status = ended(TaskState::Failed, 0, 9_999_999);
        assert_eq!(
            should_retry(&spec(RestartPolicy::Always), &status, 500),
            Some(1_500)
        );
    }

    #[test]
    fn a_clock_that_is_behind_makes_no_pause_void() {
        let mut status = ended(TaskState::Failed, 0, 10);
        let bound_at = jiff::Timestamp::from_millisecond(8_000).unwrap();
        status.bound_at = Some(MicroTime(bound_at));
        assert_eq!(
            should_retry(&spec(RestartPolicy::Always), &status, 8_500),
            Some(9_000)
        );
    }

    #[test]
    fn attempts_and_wishes_bound_it() {
        let mut spec = spec(RestartPolicy::OnFailure);
        spec.retry = Some(Retry {
            max_attempts: Some(3),
            backoff: Some(Span::from_ms(10)),
            ..Default::default()
        });
        let runs = |attempt| should_retry(&spec, &ended(TaskState::Failed, attempt, 0), 0);
        assert_eq!([runs(0), runs(1), runs(2)], [Some(10), Some(20), None]);
        spec.killed = true;
        assert_eq!(
            should_retry(&spec, &ended(TaskState::Failed, 0, 0), 0),
            None
        );
    }
}
