//! The data keys of the vault: made when the first object is sealed, and rotated. Objects that are
//! not sealed by the newest key are written anew, a few at a time.

use bytes::Bytes;
use jiff::Timestamp;
use store::{Guard, Item, Op, Txn, TxnOutcome};

use super::Engine;
use super::commit::Request;
use crate::ids::Ids;
use crate::keys;
use crate::status::Failure;
use crate::world::World;

/// Objects written anew in one transaction.
const BATCH: usize = 32;

/// How often a change of the ring is tried while others change it.
const ATTEMPTS: u32 = 8;

/// What a rotation did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rotated {
    /// The key that seals from now on.
    pub key: u32,
    /// Objects that were written anew.
    pub objects: usize,
}

impl Engine {
    /// Makes the ring of data keys if there is none.
    pub(super) async fn ensure_data_key(&self, request: &Request) -> Result<(), Failure> {
        self.store.barrier().await?;
        if self.store.view().revision_of(&keys::data_keys()).is_none() {
            self.turn_ring(None, request, u32::MAX).await?;
        }
        Ok(())
    }

    /// Seals everything with a new key. Readers and writers go on meanwhile, on every replica.
    ///
    /// # Errors
    /// 500 when the present keys cannot be unwrapped here, 503 without a leader. Done again, it
    /// finishes what was begun.
    pub async fn rotate_data_key(&self, now: Timestamp, seed: u128) -> Result<Rotated, Failure> {
        let request = request(now, seed, 0);
        for attempt in 0..ATTEMPTS {
            self.store.barrier().await?;
            let present = self.store.view().get(&keys::data_keys());
            if self.turn_ring(present.as_ref(), &request, attempt).await? {
                return self.reseal(now, seed).await;
            }
        }
        Err(Failure::conflict_text(
            "the data keys are being changed by another: try again",
        ))
    }

    /// Puts a new key in front; false if another was faster.
    async fn turn_ring(
        &self,
        present: Option<&Item>,
        request: &Request,
        attempt: u32,
    ) -> Result<bool, Failure> {
        let key = keys::data_keys();
        let ring = self.vault.next_ring(present)?;
        let guard = match present.map(|item| item.mod_revision) {
            Some(revision) => Guard::Revision {
                key: key.clone(),
                revision,
            },
            None => Guard::Absent(key.clone()),
        };
        let value = ring.encode();
        let txn = Txn {
            request_id: Ids::new(request.ids.request(u32::MAX - 1)).request(attempt),
            stamp_ms: request.stamp_ms(),
            guards: vec![guard],
            ops: vec![Op::Put { key, value }],
        };
        match self.store.txn(txn).await? {
            TxnOutcome::Applied { revision, .. } => {
                let _applied = self.reach(revision).await?;
                tracing::info!(key = ring.primary(), "a new data key seals from now on");
                Ok(true)
            }
            TxnOutcome::Refused { revision, .. } => {
                let _applied = self.reach(revision).await?;
                Ok(false)
            }
        }
    }

    /// Writes anew what the newest key has not sealed: after a rotation, after one that was
    /// interrupted, and after the start of sealing in a cluster that did not.
    ///
    /// # Errors
    /// As `rotate_data_key`.
    pub async fn reseal(&self, now: Timestamp, seed: u128) -> Result<Rotated, Failure> {
        let mut done = Rotated::default();
        for (n, prefix) in (0..).zip(self.vault.prefixes()) {
            let stale = self.stale(prefix)?;
            for (m, batch) in (0..).zip(stale.chunks(BATCH)) {
                let seed = Ids::new(seed).request(n);
                self.rewrite(batch, &request(now, seed, m + 1)).await?;
                done.objects += batch.len();
            }
        }
        if let Some(ring) = self.store.view().get(&keys::data_keys()) {
            done.key = self.vault.primary(&ring)?.id();
        }
        Ok(done)
    }

    fn stale(&self, prefix: &Bytes) -> Result<Vec<Bytes>, Failure> {
        let view = self.store.view();
        let ring = view.get(&keys::data_keys());
        let primary = ring.map(|ring| self.vault.primary(&ring)).transpose()?;
        let is_stale = |item: &Item| {
            primary
                .as_ref()
                .is_none_or(|primary| self.vault.is_stale(&item.value, primary))
        };
        let found = view.prefix(prefix).filter(is_stale);
        Ok(found.map(|item| item.key).collect())
    }

    async fn rewrite(&self, batch: &[Bytes], request: &Request) -> Result<(), Failure> {
        let plan = |world: &mut World| {
            for key in batch {
                // What cannot be opened stays as it is: somebody may still find its key.
                if let Some(object) = world.read(key).filter(|object| object.is_object()) {
                    world.put(key, (*object).clone());
                }
            }
            Ok(Vec::new())
        };
        let settled = self.commit(plan, request).await?;
        let _applied = self.reach(settled.revision).await?;
        Ok(())
    }
}

fn request(now: Timestamp, seed: u128, n: u32) -> Request {
    Request {
        ids: Ids::new(Ids::new(seed).request(n)),
        now,
        dry_run: false,
        named: false,
    }
}
