//! Transactions that callers here had another member propose. Whatever that member answers, this replica knows the
//! outcome as soon as it has applied the entry.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use crate::txn::TxnOutcome;

type Asker = oneshot::Sender<TxnOutcome>;

/// By request id. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Awaited(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    askers: Mutex<HashMap<u128, Asker>>,
    /// So that whoever applies need not look when nobody waits.
    count: AtomicUsize,
}

impl Awaited {
    /// The outcome of the transaction with this id, once it is applied here. An earlier attempt under the same id gives
    /// way.
    pub(crate) fn expect(&self, id: u128) -> Expected {
        let (asker, outcome) = oneshot::channel();
        self.change(|askers| askers.insert(id, asker));
        Expected {
            awaited: self.clone(),
            id,
            outcome,
            told: false,
        }
    }

    /// Nobody waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.count.load(Ordering::Acquire) == 0
    }

    /// Who waits for it, if anybody does.
    pub(crate) fn take(&self, id: u128) -> Option<Asker> {
        if self.is_empty() {
            return None;
        }
        self.change(|askers| askers.remove(&id))
    }

    fn change<T>(&self, change: impl FnOnce(&mut HashMap<u128, Asker>) -> T) -> T {
        let mut askers = self.lock();
        let changed = change(&mut askers);
        self.0.count.store(askers.len(), Ordering::Release);
        changed
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u128, Asker>> {
        self.0.askers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An outcome to come. It never comes when a later attempt took its place.
#[derive(Debug)]
pub(crate) struct Expected {
    awaited: Awaited,
    id: u128,
    outcome: oneshot::Receiver<TxnOutcome>,
    /// It came.
    told: bool,
}

impl Future for Expected {
    type Output = TxnOutcome;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<TxnOutcome> {
        match Pin::new(&mut self.outcome).poll(context) {
            Poll::Ready(Ok(outcome)) => {
                self.told = true;
                Poll::Ready(outcome)
            }
            // A later attempt took its place.
            Poll::Ready(Err(_)) | Poll::Pending => Poll::Pending,
        }
    }
}

impl Drop for Expected {
    fn drop(&mut self) {
        if self.told {
            return;
        }
        self.outcome.close();
        // A later attempt's is not closed.
        self.awaited.change(|askers| {
            if askers.get(&self.id).is_some_and(Asker::is_closed) {
                askers.remove(&self.id);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn outcome(revision: u64) -> TxnOutcome {
        TxnOutcome::Applied {
            revision,
            revisions: vec![],
        }
    }

    #[test]
    fn whoever_waits_is_told_and_nobody_stays_behind() {
        let awaited = Awaited::default();
        assert!(awaited.take(7).is_none());
        let mut first = awaited.expect(7);
        let given_up = awaited.expect(8);
        assert!((&mut first).now_or_never().is_none());
        drop(given_up);
        assert!(awaited.take(8).is_none());
        awaited.take(7).unwrap().send(outcome(3)).unwrap();
        assert_eq!(first.now_or_never(), Some(outcome(3)));
        assert!(awaited.lock().is_empty());
    }

    #[test]
    fn the_latest_attempt_is_told() {
        let awaited = Awaited::default();
        let mut first = awaited.expect(7);
        let second = awaited.expect(7);
        assert!((&mut first).now_or_never().is_none());
        drop(first);
        awaited.take(7).unwrap().send(outcome(4)).unwrap();
        assert_eq!(second.now_or_never(), Some(outcome(4)));
    }
}
