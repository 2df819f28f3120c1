//! Who must hear of what at once. A commit takes a quorum, so a lone entry goes first to as many followers as make one
//! with the leader, those that were the first to have the entries before. The others get it together with the next.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::item::NodeId;
use crate::wal::Position;

/// What a replica knows about that while it leads. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Haste(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// The index up to which somebody at a follower waits.
    urgent: watch::Sender<u64>,
    favour: Mutex<Favour>,
}

/// Which followers were the first.
#[derive(Debug, Default)]
struct Favour {
    /// Those that count for a quorum, without this replica.
    voters: BTreeSet<NodeId>,
    /// As many of them make one together with it.
    needed: usize,
    /// The newest entry that one of them has, and which have it, in order.
    newest: u64,
    first: Vec<NodeId>,
    /// The first ones of the last entry that enough of them have.
    favoured: Vec<NodeId>,
    /// Who forwarded the transaction that is alone in the latest entry, and looks out for it.
    asker: Option<NodeId>,
    /// Who was told last that an entry is on disk here, and which.
    told: (NodeId, Position),
    /// The last entry that a follower may know to be committed before this replica does.
    ahead: Position,
}

impl Haste {
    /// Somebody at a follower waits until it has applied this entry.
    pub(crate) fn upto(&self, index: u64) {
        self.0
            .urgent
            .send_if_modified(|known| index > std::mem::replace(known, index.max(*known)));
    }

    pub(crate) fn urgent(&self) -> watch::Receiver<u64> {
        self.0.urgent.subscribe()
    }

    /// The other voters are these. None while the members change, and a quorum is not just a matter of number.
    pub(crate) fn elect(&self, voters: Option<BTreeSet<NodeId>>) {
        self.favour().elect(voters);
    }

    /// The follower has this entry on disk.
    pub(crate) fn stored(&self, follower: NodeId, index: u64) {
        self.favour().stored(follower, index);
    }

    /// This follower needs the next entry most: somebody there waits for it.
    pub(crate) fn prefer(&self, follower: NodeId) {
        self.favour().prefer(follower);
    }

    /// This follower looks out for the next entry, which is one transaction; or nobody does.
    pub(crate) fn ask(&self, follower: Option<NodeId>) {
        self.favour().asker = follower;
    }

    /// Who is to be told when the latest entry is on disk here.
    pub(crate) fn asker(&self) -> Option<NodeId> {
        self.favour().asker
    }

    /// That is about to be done, for entries up to this one.
    pub(crate) fn tells(&self, entry: Position) {
        self.favour().ahead = entry;
    }

    /// That was done.
    pub(crate) fn told(&self, follower: NodeId, entry: Position) {
        self.favour().told = (follower, entry);
    }

    /// The read index of the leader of this term, which knows this one to be committed: a follower may have
    /// acknowledged more.
    pub(crate) fn read_index(&self, term: u64, committed: u64) -> u64 {
        self.favour().read_index(term, committed)
    }

    /// Whether the follower finds out by itself that the entry is committed.
    pub(crate) fn knows(&self, follower: NodeId, entry: Position) -> bool {
        let (told, (term, upto)) = self.favour().told;
        told == follower && entry.0 == term && entry.1 <= upto
    }

    /// The follower did not answer.
    pub(crate) fn lost(&self, follower: NodeId) {
        self.favour().lost(follower);
    }

    /// Whether a commit does not need the follower's answer.
    pub(crate) fn can_wait(&self, follower: NodeId) -> bool {
        self.favour().can_wait(follower)
    }

    fn favour(&self) -> MutexGuard<'_, Favour> {
        self.0.favour.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Favour {
    fn elect(&mut self, voters: Option<BTreeSet<NodeId>>) {
        let voters = voters.unwrap_or_default();
        if voters != self.voters {
            // Of n + 1 voters, more than half.
            let needed = voters.len().div_ceil(2);
            // Whoever was told something may act on it, whatever the members are now.
            *self = Self {
                voters,
                needed,
                told: self.told,
                ahead: self.ahead,
                ..Self::default()
            };
        }
    }

    fn stored(&mut self, follower: NodeId, index: u64) {
        if index < self.newest || !self.voters.contains(&follower) {
            return;
        }
        if index > self.newest {
            self.newest = index;
            self.first.clear();
        }
        if !self.first.contains(&follower) {
            self.first.push(follower);
        }
        if self.first.len() == self.needed && self.favoured != self.first {
            self.favoured.clone_from(&self.first);
        }
    }

    fn read_index(&self, term: u64, committed: u64) -> u64 {
        match self.ahead {
            (told_in, index) if told_in == term => index.max(committed),
            // What an earlier leader's followers acknowledged, this one has committed first.
            _ => committed,
        }
    }

    fn prefer(&mut self, follower: NodeId) {
        if self.favoured.is_empty() || self.favoured.contains(&follower) {
            return;
        }
        if self.voters.contains(&follower) {
            self.favoured.pop();
            self.favoured.insert(0, follower);
        }
    }

    fn lost(&mut self, follower: NodeId) {
        if self.favoured.contains(&follower) {
            self.favoured.clear();
        }
    }

    fn can_wait(&self, follower: NodeId) -> bool {
        !self.favoured.is_empty() && !self.favoured.contains(&follower)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn favour(voters: impl IntoIterator<Item = NodeId>) -> Favour {
        let mut favour = Favour::default();
        favour.elect(Some(voters.into_iter().collect()));
        favour
    }

    fn waiting(favour: &Favour) -> Vec<NodeId> {
        (2..8).filter(|id| favour.can_wait(*id)).collect()
    }

    #[test]
    fn those_that_make_a_quorum_first_go_first() {
        // Of three, one other; of five, two; of two and of one there is no choice, but learners can always wait.
        for (voters, acks, expected) in [
            (vec![2, 3], vec![], vec![]),
            (vec![2, 3], vec![(3, 7)], vec![2, 4, 5, 6, 7]),
            (vec![2, 3], vec![(3, 7), (2, 7)], vec![2, 4, 5, 6, 7]),
            (vec![2, 3], vec![(3, 7), (2, 8)], vec![3, 4, 5, 6, 7]),
            (vec![2, 3], vec![(3, 7), (2, 6)], vec![2, 4, 5, 6, 7]),
            (vec![2, 3], vec![(4, 7), (3, 7)], vec![2, 4, 5, 6, 7]),
            (vec![2, 3, 4, 5], vec![(3, 7)], vec![]),
            (vec![2, 3, 4, 5], vec![(3, 7), (3, 7)], vec![]),
            (
                vec![2, 3, 4, 5],
                vec![(3, 7), (5, 7), (4, 8)],
                vec![2, 4, 6, 7],
            ),
            (vec![2], vec![(2, 7)], vec![3, 4, 5, 6, 7]),
            (vec![], vec![(2, 7)], vec![]),
        ] {
            let mut favour = favour(voters.clone());
            for (follower, index) in &acks {
                favour.stored(*follower, *index);
            }
            assert_eq!(waiting(&favour), expected, "{voters:?} {acks:?}");
        }
    }

    #[test]
    fn whoever_asks_takes_a_place_among_the_first() {
        // Voters, the first ones, who asks, and who can wait then.
        for (voters, acks, asks, expected) in [
            (vec![2, 3], vec![3], 2, vec![3, 4, 5, 6, 7]),
            (vec![2, 3], vec![3], 3, vec![2, 4, 5, 6, 7]),
            (vec![2, 3, 4, 5], vec![3, 5], 4, vec![2, 5, 6, 7]),
            // A learner makes no quorum, and of whom nothing is known may be slow.
            (vec![2, 3], vec![3], 4, vec![2, 4, 5, 6, 7]),
            (vec![2, 3], vec![], 2, vec![]),
        ] {
            let mut favour = favour(voters.clone());
            for follower in &acks {
                favour.stored(*follower, 7);
            }
            favour.prefer(asks);
            assert_eq!(waiting(&favour), expected, "{voters:?} {acks:?} {asks}");
        }
    }

    #[test]
    fn a_read_shows_what_a_follower_acknowledged() {
        let favour = Favour {
            ahead: (5, 40),
            ..Favour::default()
        };
        assert_eq!(favour.read_index(5, 38), 40);
        assert_eq!(favour.read_index(5, 41), 41);
        assert_eq!(favour.read_index(6, 38), 38, "told in an earlier term");
        let mut favour = favour;
        for voters in [Some(BTreeSet::from([2, 4])), None] {
            favour.elect(voters);
            assert_eq!(favour.read_index(5, 38), 40, "whoever votes now");
        }
    }

    #[test]
    fn new_voters_and_lost_ones_begin_anew() {
        let mut favour = favour([2, 3]);
        favour.stored(3, 7);
        favour.elect(Some(BTreeSet::from([2, 3])));
        assert!(favour.can_wait(2));
        favour.elect(None);
        favour.stored(3, 8);
        assert!(waiting(&favour).is_empty());
        favour.elect(Some(BTreeSet::from([2, 4])));
        favour.stored(4, 8);
        assert!(favour.can_wait(2) && !favour.can_wait(4));
        favour.lost(2);
        assert!(favour.can_wait(2));
        favour.lost(4);
        assert!(waiting(&favour).is_empty());
    }
}
