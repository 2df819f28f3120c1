//! What quotas count, kept true: the leader follows the store and counts again where something
//! came, went or changed. Creations are charged by themselves; this is how what ended is released,
//! and how anything that was missed is mended.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use jiff::Timestamp;
use store::{Change, Compacted};

use super::Engine;
use super::commit::Request;
use crate::admission::quota::{self, Tally};
use crate::ids::Ids;
use crate::keys;
use crate::registry::builtin::admission::QUOTAS;
use crate::status::Failure;

/// Pause before counting, so that a burst of changes is counted once: a namespace of ten thousand
/// tasks takes a few milliseconds. People see what they deleted released in this time.
const PAUSE: Duration = Duration::from_millis(100);

/// How often a cluster without quotas looks whether it has any now.
const IDLE: Duration = Duration::from_secs(1);

/// Where the clock and random seeds come from.
#[derive(Clone, Copy, Debug)]
pub struct Ambient {
    /// The present time.
    pub now: fn() -> Timestamp,
    /// A random number.
    pub seed: fn() -> u128,
}

impl Engine {
    /// Counts for ever; for the leader alone, though others would do no harm.
    pub async fn keep_tally(&self, ambient: Ambient) {
        loop {
            let mut tallies = BTreeMap::new();
            let from = self.store.view().revision();
            self.count(&self.quotas(), &mut tallies, ambient).await;
            // History that is gone, and quotas that come, are both met by counting everything.
            if !self.quotas().is_empty() {
                let _start_over: Option<Compacted> = self.follow(from, &mut tallies, ambient).await;
            }
            tokio::time::sleep(IDLE).await;
        }
    }

    /// Namespaces that have quotas.
    fn quotas(&self) -> BTreeSet<String> {
        let (view, prefix) = (self.store.view(), keys::resource("", QUOTAS));
        let keys = view.keys(&prefix).map(|(key, _)| key);
        keys.filter_map(|key| Some(keys::parse(&key)?.namespace?.to_owned()))
            .collect()
    }

    /// Follows the store for as long as there are quotas.
    async fn follow(
        &self,
        from: u64,
        tallies: &mut BTreeMap<String, Tally>,
        ambient: Ambient,
    ) -> Option<Compacted> {
        let mut cursor = match self.store.changes(from) {
            Ok(cursor) => cursor,
            Err(compacted) => return Some(compacted),
        };
        loop {
            let mut touched = match cursor.next().await {
                Ok(changes) => self.touched(&changes),
                Err(compacted) => return Some(compacted),
            };
            if touched.is_empty() {
                continue;
            }
            tokio::time::sleep(PAUSE).await;
            while let Some(more) = cursor.next().now_or_never() {
                match more {
                    Ok(changes) => touched.extend(self.touched(&changes)),
                    Err(compacted) => return Some(compacted),
                }
            }
            let limited = self.quotas();
            if limited.is_empty() {
                return None;
            }
            tallies.retain(|namespace, _| limited.contains(namespace));
            self.count(&touched, tallies, ambient).await;
        }
    }

    /// Namespaces with quotas in which something changed that they may count.
    fn touched(&self, changes: &[std::sync::Arc<Change>]) -> BTreeSet<String> {
        let limited = self.quotas();
        let mut touched = BTreeSet::new();
        for change in changes {
            let Some(parts) = keys::parse(&change.key) else {
                continue;
            };
            let counts = change.old.is_none()
                || change.new.is_none()
                || matches!(parts.plural, "tasks" | QUOTAS);
            if let Some(namespace) = parts.namespace.filter(|_| counts) {
                touched.insert(namespace.to_owned());
            }
        }
        touched.retain(|namespace| limited.contains(namespace));
        touched
    }

    async fn count(
        &self,
        namespaces: &BTreeSet<String>,
        tallies: &mut BTreeMap<String, Tally>,
        ambient: Ambient,
    ) {
        for namespace in namespaces {
            let tally = tallies.entry(namespace.clone()).or_default();
            let request = Request {
                ids: Ids::new((ambient.seed)()),
                now: (ambient.now)(),
                dry_run: false,
                named: false,
            };
            if let Err(failure) = self.recount(namespace, tally, &request).await {
                // The next change, or the next leader, counts again.
                tracing::warn!(%namespace, %failure, "quotas could not be counted");
            }
        }
    }

    async fn recount(
        &self,
        namespace: &str,
        tally: &mut Tally,
        request: &Request,
    ) -> Result<(), Failure> {
        let _turn = self
            .turns
            .take(&BTreeSet::from([namespace.to_owned()]))
            .await;
        let tally = Mutex::new(tally);
        let plan = |world: &mut crate::world::World| {
            let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
            quota::recount(world, namespace, &mut tally);
            Ok(Vec::new())
        };
        self.commit(plan, request).await.map(|_settled| ())
    }
}
