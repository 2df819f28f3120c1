//! What keeps a configuration from being applied, in Kubernetes' words
//! (`managedfields/internal/conflict.go`).

use super::entry::Entry;
use super::set::{Set, text};
use crate::status::{Cause, Failure};

/// A field that somebody else owns and the configuration would change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Who owns it, as texts name them.
    pub owner: String,
    /// Which one.
    pub path: String,
    /// The path as a set, to take it out of another.
    pub place: Set,
}

impl Conflict {
    /// Every conflict by itself, in the order of the owners and of the fields of each.
    #[must_use]
    pub fn list(conflicts: &[(&Entry, Set)]) -> Vec<Self> {
        let mut list = Vec::new();
        for (entry, set) in conflicts {
            set.for_each(&mut |path| {
                let mut place = Set::default();
                let steps: Vec<_> = path.iter().map(|step| (*step).clone()).collect();
                place.insert(&steps);
                list.push(Self {
                    owner: entry.described(),
                    path: text(path),
                    place,
                });
            });
        }
        list
    }
}

/// The answer: 409 with one cause for each conflict.
#[must_use]
pub fn failure(conflicts: &[Conflict]) -> Failure {
    let causes = conflicts.iter().map(|conflict| Cause {
        reason: "FieldManagerConflict",
        message: format!("conflict with {}", conflict.owner),
        field: conflict.path.clone(),
    });
    Failure::conflict_text(message(conflicts)).with_causes(causes.collect())
}

fn message(conflicts: &[Conflict]) -> String {
    if let [only] = conflicts {
        let Conflict { owner, path, .. } = only;
        return format!("Apply failed with 1 conflict: conflict with {owner}: {path}");
    }
    let mut lines: Vec<String> = Vec::new();
    let mut last = "";
    for conflict in conflicts {
        if conflict.owner != last {
            lines.push(format!("conflicts with {}:", conflict.owner));
            last = &conflict.owner;
        }
        lines.push(format!("- {}", conflict.path));
    }
    let count = conflicts.len();
    format!("Apply failed with {count} conflicts: {}", lines.join("\n"))
}
