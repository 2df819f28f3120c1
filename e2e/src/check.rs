//! The judge of recorded histories: was this a linearizable store that lost nothing?
//!
//! It shares no code with the store, so that both cannot err alike, and looks at nothing but the
//! history. Revisions order all changes, so nothing is searched: the one true sequence of changes is
//! put together from what anybody was told, told again through a model, and everything else is
//! held against it, in time near to linear.
//!
//! Start reading at `history.rs` (what is judged), then `replay.rs` (contents: transactions, reads, the
//! final state), `floor.rs` (real time), `watch.rs` (watches), `violation.rs` (what can be wrong).
//!
//! What it cannot see: that a deletion of unknown outcome was applied twice, while another of the same
//! key explains the second; and the order of transactions that change nothing at one revision.
//!
//! When it may accuse in vain: values that two requests of unknown outcome put under the same key must
//! differ; and where nearly half of all calls are of unknown outcome on a handful of keys, it may join
//! deletions of two of them to one (1 of 10,000 simulated histories).

pub mod history;

mod claims;
mod floor;
mod model;
mod replay;
mod requests;
mod truth;
pub mod violation;
mod watch;

use history::{Answer, Deed, History, Note, Revision};
use requests::{Request, Verdict};
pub use violation::Violation;
use violation::Violations;

/// What a good history held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Requests that were told to be applied.
    pub applied: usize,
    /// Requests that were told to be refused.
    pub refused: usize,
    /// Requests of unknown outcome whose changes were found.
    pub found: usize,
    /// Requests that failed, or of unknown outcome whose changes were not found, or cannot be told
    /// from those of another.
    pub without_effect: usize,
    /// Reads that were answered.
    pub reads: usize,
    /// Changes told to watchers, the final log apart.
    pub events: usize,
    /// Changes in all.
    pub changes: usize,
    /// The last revision.
    pub revision: Revision,
}

/// Judges a history. All that is wrong with it is told, but only the first few of each family.
pub fn judge(history: &History) -> Result<Summary, Vec<Violation>> {
    let mut violations = Violations::default();
    let requests = requests::group(&history.calls, &mut violations);
    let floor = floor::Floor::of(history);
    let replayed = replay::replay(history, &requests, &floor, &mut violations);
    floor.judge(history, &requests, &replayed.places, &mut violations);
    floor::judge_replicas(history, &mut violations);
    watch::judge(history, &replayed, &mut violations);
    let violations = violations.into_vec();
    if violations.is_empty() {
        Ok(summarize(history, &requests, &replayed))
    } else {
        Err(violations)
    }
}

fn summarize(history: &History, requests: &[Request<'_>], replayed: &replay::Replayed) -> Summary {
    let mut summary = Summary {
        reads: history
            .calls
            .iter()
            .filter(|call| is_seen(&call.deed))
            .count(),
        events: events(history),
        changes: replayed.changes.len(),
        revision: history.end.snapshot.revision,
        ..Summary::default()
    };
    for (request, place) in requests.iter().zip(&replayed.places) {
        let count = match (request.verdict, place) {
            (Verdict::Applied { .. }, _) => &mut summary.applied,
            (Verdict::Refused { .. }, _) => &mut summary.refused,
            (Verdict::Failed | Verdict::Unknown, Some(_)) => &mut summary.found,
            (Verdict::Failed | Verdict::Unknown, None) => &mut summary.without_effect,
        };
        *count += 1;
    }
    summary
}

fn is_seen(deed: &Deed) -> bool {
    matches!(
        deed,
        Deed::Read {
            answer: Answer::Known(_),
            ..
        }
    )
}

fn events(history: &History) -> usize {
    let parts = history.watches.iter().flat_map(|watch| &watch.parts);
    parts
        .flat_map(|part| &part.notes)
        .filter(|note| matches!(note, Note::Event(_)))
        .count()
}

#[cfg(test)]
mod tests;
