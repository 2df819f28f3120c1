//! How a replica is, by named checks.

/// One thing that must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Its name, one word with hyphens.
    pub name: &'static str,
    /// Why it fails, with what to do; none when it holds.
    pub failure: Option<String>,
    /// Whether a replica that fails it has ended, and only a restart can help.
    pub vital: bool,
}

/// All checks of one replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// In the order in which they are to be shown.
    pub checks: Vec<Check>,
}

/// A replica's position, by which it is judged.
#[derive(Clone, Debug, Default)]
pub(crate) struct Condition {
    /// Why it stopped.
    pub(crate) stopped: Option<String>,
    pub(crate) has_leader: bool,
    pub(crate) applied: u64,
    pub(crate) committed: u64,
    /// How the replicas differ.
    pub(crate) differs: Option<String>,
    pub(crate) log_space_exhausted: bool,
}

/// Entries a replica may be behind what it knows to be committed: about a tenth of a second at full
/// load. Further behind, its watchers and cached reads are stale enough to be sent elsewhere.
const BEHIND_MAX: u64 = 4096;

impl Health {
    pub(crate) fn of(condition: &Condition) -> Self {
        let Condition {
            stopped,
            has_leader,
            applied,
            committed,
            differs,
            log_space_exhausted,
        } = condition;
        let behind = committed.saturating_sub(*applied);
        let check = |name, failure| Check {
            name,
            failure,
            vital: false,
        };
        let fails = |failing: bool, why: &str| failing.then(|| why.to_owned());
        let checks = vec![
            Check {
                name: "store-running",
                failure: stopped.clone(),
                vital: true,
            },
            check(
                "store-leader",
                fails(
                    !has_leader,
                    "no leader is known: a majority of the replicas must be running and reachable",
                ),
            ),
            check(
                "store-applied",
                (behind > BEHIND_MAX)
                    .then(|| format!("{behind} committed entries are not applied yet")),
            ),
            check("store-agreement", differs.clone()),
            check(
                "store-log-space",
                fails(
                    *log_space_exhausted,
                    "the disk has no room for the log: free space, then writes are taken again",
                ),
            ),
        ];
        Self { checks }
    }

    /// Has not ended.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.checks
            .iter()
            .all(|it| it.failure.is_none() || !it.vital)
    }

    /// May be sent requests.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.checks.iter().all(|it| it.failure.is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions() {
        let well = Condition {
            has_leader: true,
            applied: 10,
            committed: 12,
            ..Condition::default()
        };
        for (condition, failing, live) in [
            (well.clone(), None, true),
            (
                Condition {
                    stopped: Some("disk".into()),
                    ..well.clone()
                },
                Some("store-running"),
                false,
            ),
            (
                Condition {
                    has_leader: false,
                    ..well.clone()
                },
                Some("store-leader"),
                true,
            ),
            (
                Condition {
                    committed: 10 + BEHIND_MAX + 1,
                    ..well.clone()
                },
                Some("store-applied"),
                true,
            ),
            (
                Condition {
                    differs: Some("at 7".into()),
                    ..well.clone()
                },
                Some("store-agreement"),
                true,
            ),
            (
                Condition {
                    log_space_exhausted: true,
                    ..well
                },
                Some("store-log-space"),
                true,
            ),
        ] {
            let health = Health::of(&condition);
            let found = health.checks.iter().find(|it| it.failure.is_some());
            assert_eq!(found.map(|it| it.name), failing);
            assert_eq!(
                (health.is_live(), health.is_ready()),
                (live, failing.is_none())
            );
        }
    }
}
