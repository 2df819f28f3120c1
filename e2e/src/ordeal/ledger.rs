//! What was acknowledged, held against what is there: for each key the newest acknowledged write must
//! be found, or one after it whose outcome nobody was told.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use store::Revision;

use crate::node::Client;
use crate::node::wire::Mode;
use crate::ordeal::load::{Log, PREFIX, key_number, value_number};
use crate::{Fault, Outcome, fault};

/// Items listed at once.
const PAGE: usize = 5_000;

/// A write as it is found: its number, and the revision it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The number within the value.
    pub number: u64,
    /// The item's revision.
    pub revision: Revision,
}

/// All acknowledged writes of one or more loads over the same keys.
#[derive(Clone, Debug)]
pub struct Ledger {
    keys: u64,
    newest: BTreeMap<u64, Found>,
    revisions: BTreeSet<Revision>,
    unknown: BTreeSet<u64>,
}

impl Ledger {
    /// Of loads that write to so many keys.
    #[must_use]
    pub fn new(keys: u64) -> Self {
        Self {
            keys,
            newest: BTreeMap::new(),
            revisions: BTreeSet::new(),
            unknown: BTreeSet::new(),
        }
    }

    /// Acknowledged writes so far.
    #[must_use]
    pub fn count(&self) -> usize {
        self.revisions.len()
    }

    /// Takes in what became of a load's writes.
    ///
    /// # Errors
    /// When two writes were given the same revision.
    pub fn absorb(&mut self, log: &Log) -> Outcome<()> {
        for ack in &log.acks {
            let (number, revision) = (ack.number, ack.revision);
            fault::ensure(self.revisions.insert(revision), || {
                format!("revision {revision} was given to two writes, one of them {number}")
            })?;
            let found = Found { number, revision };
            let newest = self.newest.entry(number % self.keys).or_insert(found);
            if newest.revision < revision {
                *newest = found;
            }
        }
        self.unknown
            .extend(log.failed.iter().map(|(number, _)| number));
        Ok(())
    }

    /// Judges what one replica holds.
    ///
    /// # Errors
    /// With the first acknowledged write that is not there.
    pub fn judge(&self, there: &BTreeMap<u64, Found>) -> Outcome<()> {
        let lost = self.newest.iter().find_map(|(key, acked)| {
            let found = there.get(key);
            let is_kept = found.is_some_and(|found| self.keeps(*acked, *found));
            (!is_kept).then_some((key, acked, found))
        });
        match lost {
            None => Ok(()),
            Some((key, acked, found)) => Err(Fault::new(format!(
                "an acknowledged write is lost: key {key} should hold {acked:?} and holds {found:?}"
            ))),
        }
    }

    fn keeps(&self, acked: Found, found: Found) -> bool {
        found == acked || (found.revision > acked.revision && self.unknown.contains(&found.number))
    }
}

/// All writes a replica holds now, by key.
///
/// # Errors
/// When it does not answer, or holds something else.
pub async fn dump(client: &Client) -> Outcome<BTreeMap<u64, Found>> {
    let mut all = BTreeMap::new();
    let mut after = None;
    loop {
        let prefix = Bytes::from_static(PREFIX);
        let page = client.list(prefix, Mode::Stale, PAGE, after).await?;
        for item in &page.items {
            let strange = || Fault::new(format!("{item:?} was never written"));
            let key = key_number(&item.key).ok_or_else(strange)?;
            let number = value_number(&item.value).ok_or_else(strange)?;
            let revision = item.mod_revision;
            all.insert(key, Found { number, revision });
        }
        match page.items.last() {
            Some(last) if page.items.len() == PAGE => after = Some(last.key.clone()),
            Some(_) | None => return Ok(all),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::ordeal::load::Ack;

    fn ledger(acks: &[(u64, Revision)], failed: &[u64]) -> Outcome<Ledger> {
        let now = Instant::now();
        let ack = |&(number, revision): &(u64, Revision)| Ack {
            number,
            revision,
            began: now,
            ended: now,
        };
        let mut ledger = Ledger::new(10);
        ledger.absorb(&Log {
            acks: acks.iter().map(ack).collect(),
            failed: failed.iter().map(|n| (*n, String::new())).collect(),
            next: 0,
        })?;
        Ok(ledger)
    }

    #[test]
    fn only_what_may_be_there_is_accepted() {
        // Writes 3 and 13 share a key; 23 does too, and nobody knows what became of it.
        let ledger = ledger(&[(13, 7), (3, 5)], &[23]).unwrap();
        for (number, revision, is_good) in [
            (13, 7, true),
            (23, 8, true),
            (23, 6, false),
            (3, 5, false),
            (13, 8, false),
            (33, 8, false),
        ] {
            let there = BTreeMap::from([(3, Found { number, revision })]);
            assert_eq!(ledger.judge(&there).is_ok(), is_good, "{number} {revision}");
        }
        assert!(ledger.judge(&BTreeMap::new()).is_err());
    }

    #[test]
    fn a_revision_belongs_to_one_write() {
        assert!(ledger(&[(1, 5), (2, 5)], &[]).is_err());
    }
}
