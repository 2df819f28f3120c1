//! Turns: writes that change the same quota go one after the other on this replica, since all but
//! one of those that went at once would be refused and computed again. Guards keep them right, on
//! this replica and between replicas; turns only keep them from crowding.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedMutexGuard;

type Queue = Arc<tokio::sync::Mutex<()>>;

/// One queue for each namespace somebody waits in.
#[derive(Debug, Default)]
pub struct Turns(Mutex<BTreeMap<String, Queue>>);

/// It is somebody's turn until this is dropped.
#[derive(Debug)]
pub struct Turn {
    _held: Vec<OwnedMutexGuard<()>>,
}

impl Turns {
    /// Waits for the turn in all of these namespaces. They are taken in their order, so nobody
    /// waits in a circle.
    pub async fn take(&self, namespaces: &BTreeSet<String>) -> Turn {
        let mut held = Vec::with_capacity(namespaces.len());
        for namespace in namespaces {
            held.push(self.queue(namespace).lock_owned().await);
        }
        Turn { _held: held }
    }

    fn queue(&self, namespace: &str) -> Queue {
        let mut queues = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Those nobody holds or waits for.
        queues.retain(|_, queue| Arc::strong_count(queue) > 1);
        Arc::clone(queues.entry(namespace.to_owned()).or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_at_a_time_and_nothing_left_behind() {
        let turns = Turns::default();
        let both: BTreeSet<String> = ["a", "b"].map(String::from).into();
        let first = turns.take(&both).await;
        let one: BTreeSet<String> = ["b".to_owned()].into();
        let mut second = std::pin::pin!(turns.take(&one));
        assert!(futures::poll!(second.as_mut()).is_pending());
        let other: BTreeSet<String> = ["c".to_owned()].into();
        drop(turns.take(&other).await);
        drop(first);
        drop(second.await);
        drop(turns.take(&BTreeSet::from(["d".to_owned()])).await);
        assert_eq!(turns.0.lock().unwrap().len(), 1);
    }
}
