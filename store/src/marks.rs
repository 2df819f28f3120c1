//! Digests of the state at known log indexes, and what it means when replicas disagree at one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::item::NodeId;

/// Every replica marks the entries at these indexes, however entries were batched, so that replicas
/// under load have marks in common.
const EVERY: u64 = 1024;
/// Marks of either sort that are kept: 64 milestones are 65,000 entries, some seconds of full load.
const KEPT: usize = 64;

/// The digest of the state right after one log entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    pub(crate) index: u64,
    pub(crate) digest: u128,
}

/// The marks of one replica: milestones, and the ends of its latest batches, by which replicas with
/// little to do are compared.
#[derive(Clone, Debug, Default)]
pub(crate) struct Marks {
    milestones: VecDeque<Mark>,
    latest: VecDeque<Mark>,
}

impl Marks {
    /// Must the state be marked right after the entry at this index?
    pub(crate) fn due(index: u64) -> bool {
        index.is_multiple_of(EVERY)
    }

    pub(crate) fn milestone(&mut self, mark: Mark) {
        push(&mut self.milestones, mark);
    }

    pub(crate) fn batch(&mut self, mark: Mark) {
        push(&mut self.latest, mark);
    }

    pub(crate) fn all(&self) -> Vec<Mark> {
        self.milestones
            .iter()
            .chain(&self.latest)
            .copied()
            .collect()
    }
}

fn push(ring: &mut VecDeque<Mark>, mark: Mark) {
    if ring.len() == KEPT {
        ring.pop_front();
    }
    ring.push_back(mark);
}

/// A difference at one index. Two states of one log that differ once differ for good, so the first
/// index is the most telling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) index: u64,
    pub(crate) own: u128,
    /// The replicas that hold something else.
    pub(crate) others: BTreeMap<NodeId, u128>,
}

/// What the marks of several replicas say to one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing can be compared with a majority.
    Unknown,
    /// A majority of the voters holds what this replica holds.
    Agree,
    /// A majority holds what this replica holds, but others do not: they are wrong, and will find out.
    OthersDiffer(Difference),
    /// Replicas differ, and no majority says who is right.
    Alarm(Difference),
    /// A majority of the voters agrees on another state than this replica's.
    OddOneOut {
        index: u64,
        own: u128,
        majority: u128,
    },
}

/// Judges the replica `me` by its own marks and the others'. Only voters make a majority.
pub(crate) fn verdict(
    me: NodeId,
    own: &[Mark],
    others: &BTreeMap<NodeId, Vec<Mark>>,
    voters: &BTreeSet<NodeId>,
) -> Verdict {
    let mine: BTreeMap<u64, u128> = own.iter().map(|mark| (mark.index, mark.digest)).collect();
    let mut gravest = Verdict::Unknown;
    for (index, own) in mine {
        let held = held_at(index, others);
        let found = judge(me, index, own, &held, voters);
        if found.gravity() > gravest.gravity() {
            gravest = found;
        }
    }
    gravest
}

fn held_at(index: u64, others: &BTreeMap<NodeId, Vec<Mark>>) -> BTreeMap<NodeId, u128> {
    let at = |marks: &Vec<Mark>| marks.iter().find(|mark| mark.index == index).copied();
    others
        .iter()
        .filter_map(|(id, marks)| Some((*id, at(marks)?.digest)))
        .collect()
}

/// At one index.
fn judge(
    me: NodeId,
    index: u64,
    own: u128,
    held: &BTreeMap<NodeId, u128>,
    voters: &BTreeSet<NodeId>,
) -> Verdict {
    let majority = voters.len() / 2 + 1;
    let holders = |digest: u128| {
        let others = held.iter().filter(|(_, theirs)| **theirs == digest);
        let me = std::iter::once(me).filter(|_| digest == own);
        let all = others.map(|(id, _)| *id).chain(me);
        all.filter(|id| voters.contains(id)).count()
    };
    let differing = held.iter().filter(|(_, theirs)| **theirs != own);
    let others: BTreeMap<NodeId, u128> = differing.map(|(id, digest)| (*id, *digest)).collect();
    let difference = |others| Difference { index, own, others };
    match (others.is_empty(), holders(own) >= majority) {
        (true, true) => Verdict::Agree,
        (true, false) => Verdict::Unknown,
        (false, true) => Verdict::OthersDiffer(difference(others)),
        (false, false) => match others.values().find(|theirs| holders(**theirs) >= majority) {
            Some(&majority) => Verdict::OddOneOut {
                index,
                own,
                majority,
            },
            None => Verdict::Alarm(difference(others)),
        },
    }
}

impl Verdict {
    fn gravity(&self) -> u8 {
        match self {
            Self::Unknown => 0,
            Self::Agree => 1,
            Self::OthersDiffer(_) => 2,
            Self::Alarm(_) => 3,
            Self::OddOneOut { .. } => 4,
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { index, own, others } = self;
        write!(
            f,
            "after log entry {index} the state here has digest {own:032x}"
        )?;
        for (id, digest) in others {
            write!(f, ", on member {id} {digest:032x}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(pairs: &[(u64, u128)]) -> Vec<Mark> {
        let mark = |(index, digest): &(u64, u128)| Mark {
            index: *index,
            digest: *digest,
        };
        pairs.iter().map(mark).collect()
    }

    /// One word for the verdict on member 1 of `voters`, which applied 5 and 9 with digests 50 and 90.
    fn judged(voters: &[NodeId], others: &[(NodeId, &[(u64, u128)])]) -> String {
        let others = others.iter().map(|(id, pairs)| (*id, marks(pairs)));
        let own = marks(&[(5, 50), (9, 90)]);
        match verdict(
            1,
            &own,
            &others.collect(),
            &voters.iter().copied().collect(),
        ) {
            Verdict::Unknown => "unknown".into(),
            Verdict::Agree => "agree".into(),
            Verdict::OthersDiffer(difference) => {
                format!("others at {}: {:?}", difference.index, difference.others)
            }
            Verdict::Alarm(difference) => {
                format!("alarm at {}: {:?}", difference.index, difference.others)
            }
            Verdict::OddOneOut {
                index, majority, ..
            } => format!("odd at {index}: {majority}"),
        }
    }

    #[test]
    fn verdicts() {
        type Others<'a> = &'a [(NodeId, &'a [(u64, u128)])];
        let cases: &[(&[NodeId], Others<'_>, &str)] = &[
            (&[1], &[], "agree"),
            (&[1, 2, 3], &[], "unknown"),
            (&[1, 2, 3], &[(2, &[(4, 1)]), (3, &[])], "unknown"),
            (&[1, 2, 3], &[(2, &[(9, 90)])], "agree"),
            (&[1, 2, 3], &[(2, &[(9, 90)]), (3, &[(4, 1)])], "agree"),
            (
                &[1, 2, 3],
                &[(2, &[(9, 91)]), (3, &[(9, 91)])],
                "odd at 9: 91",
            ),
            (
                &[1, 2, 3],
                &[(2, &[(9, 91)]), (3, &[(9, 92)])],
                "alarm at 9: {2: 91, 3: 92}",
            ),
            (&[1, 2, 3], &[(2, &[(9, 91)])], "alarm at 9: {2: 91}"),
            (
                &[1, 2, 3],
                &[(2, &[(9, 91)]), (3, &[(9, 90)])],
                "others at 9: {2: 91}",
            ),
            // The first index that shows it.
            (
                &[1, 2, 3],
                &[(2, &[(5, 51), (9, 91)]), (3, &[(5, 51), (9, 91)])],
                "odd at 5: 51",
            ),
            // What a majority says later outweighs what a single replica says earlier.
            (
                &[1, 2, 3],
                &[(2, &[(5, 51), (9, 91)]), (3, &[(9, 91)])],
                "odd at 9: 91",
            ),
            (&[1, 2], &[(2, &[(9, 91)])], "alarm at 9: {2: 91}"),
            (
                &[1, 2, 3, 4],
                &[(2, &[(9, 91)]), (3, &[(9, 91)])],
                "alarm at 9: {2: 91, 3: 91}",
            ),
            (
                &[1, 2, 3, 4, 5],
                &[(2, &[(9, 91)]), (3, &[(9, 91)]), (4, &[(9, 91)])],
                "odd at 9: 91",
            ),
            // Learners cannot outvote anybody, and are judged like anybody.
            (
                &[1, 2, 3],
                &[(7, &[(9, 91)]), (8, &[(9, 91)])],
                "alarm at 9: {7: 91, 8: 91}",
            ),
            (
                &[2, 3, 4],
                &[(2, &[(9, 91)]), (3, &[(9, 91)])],
                "odd at 9: 91",
            ),
            (&[2, 3, 4], &[(2, &[(9, 90)]), (3, &[(9, 90)])], "agree"),
        ];
        for (voters, others, expected) in cases {
            assert_eq!(judged(voters, others), *expected, "{voters:?} {others:?}");
        }
    }

    #[test]
    fn rings_keep_the_latest_of_either_sort() {
        let mut kept = Marks::default();
        for index in 0..200 {
            let mark = Mark { index, digest: 0 };
            kept.batch(mark);
            if index < 70 {
                kept.milestone(mark);
            }
        }
        let indexes: Vec<u64> = kept.all().iter().map(|mark| mark.index).collect();
        assert_eq!(indexes, (6..70).chain(136..200).collect::<Vec<_>>());
        assert!(Marks::due(2048) && !Marks::due(2049));
    }
}
