//! What a replica does when it begins to lead, before its controllers may start.

use std::time::Duration;

use tokio::sync::watch;

use crate::bootstrap::ensure_system_objects;
use crate::edge::ambient;
use crate::engine::Engine;

/// Pause after a failed attempt; usually the leadership ends first.
const PAUSE: Duration = Duration::from_millis(200);

/// Who leads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leadership {
    /// The Raft term; it only grows, and has one leader at most.
    pub epoch: u64,
    /// True if it is this replica, and what every cluster has is in place.
    pub local: bool,
    /// The leader's name, when known.
    pub leader: Option<String>,
}

/// Follows the store's leadership and publishes ours.
#[derive(Debug)]
pub(super) struct Lead {
    engine: Engine,
    name: String,
    published: watch::Sender<Leadership>,
}

impl Lead {
    pub(super) fn new(engine: Engine, name: String) -> (Self, watch::Receiver<Leadership>) {
        let (published, receiver) = watch::channel(Leadership::default());
        (
            Self {
                engine,
                name,
                published,
            },
            receiver,
        )
    }

    /// Follows for ever.
    pub(super) async fn run(self) {
        let mut store = self.engine.store().leadership();
        loop {
            let now = *store.borrow_and_update();
            if !now.is_local {
                // First that we do not lead; the name of who does may take a round trip.
                self.publish(now.epoch, false, None);
            }
            tokio::select! {
                biased;
                changed = store.changed() => if changed.is_err() { return },
                () = self.settle(now) => if store.changed().await.is_err() { return },
            }
        }
    }

    async fn settle(&self, now: store::Leadership) {
        if now.is_local {
            self.prepare().await;
            self.publish(now.epoch, true, Some(self.name.clone()));
            return;
        }
        let Some(id) = now.leader else { return };
        // A replica that has just joined does not know the members yet.
        loop {
            let members = self.engine.store().members().await.unwrap_or_default();
            if let Some(leader) = members.into_iter().find(|member| member.id == id) {
                return self.publish(now.epoch, false, Some(leader.name));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn prepare(&self) {
        loop {
            let done = ensure_system_objects(&self.engine, ambient::now(), ambient::seed()).await;
            match done {
                Ok(()) => break,
                Err(failure) => tracing::warn!(%failure, "the system objects are not in place yet"),
            }
            tokio::time::sleep(PAUSE).await;
        }
        let engine = &self.engine;
        engine
            .end_definitions(ambient::now(), ambient::seed())
            .await;
        // A rotation that was interrupted, or the first start of a version that seals.
        if let Err(failure) = engine.reseal(ambient::now(), ambient::seed()).await {
            tracing::warn!(%failure, "not all Secrets are sealed by the newest key");
        }
    }

    fn publish(&self, epoch: u64, local: bool, leader: Option<String>) {
        let next = Leadership {
            epoch,
            local,
            leader,
        };
        self.published.send_if_modified(|present| {
            let changed = *present != next;
            *present = next;
            changed
        });
    }
}
