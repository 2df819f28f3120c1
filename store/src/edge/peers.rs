//! Links to all peers, by purpose: a large append must not delay a heartbeat or a forwarded write.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Handle;

use crate::edge::link::{Link, Target};
use crate::faults::Faults;
use crate::item::NodeId;

/// What a link is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lane {
    Replication,
    Heartbeat,
    Snapshot,
    /// Votes, forwarded writes, reads, calls and status.
    Control,
}

/// Dials peers of one cluster.
pub(crate) struct Peers {
    cluster_id: u128,
    tls: Arc<rustls::ClientConfig>,
    faults: Faults,
    /// Links live here, also those that a caller on another runtime is the first to need.
    engine: Handle,
    control: Mutex<BTreeMap<NodeId, (String, Link)>>,
}

impl std::fmt::Debug for Peers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Peers").finish_non_exhaustive()
    }
}

impl Peers {
    /// To be called on the engine.
    pub(crate) fn new(cluster_id: u128, tls: Arc<rustls::ClientConfig>, faults: Faults) -> Self {
        Self {
            cluster_id,
            tls,
            faults,
            engine: Handle::current(),
            control: Mutex::default(),
        }
    }

    /// A link to the peer. Control links are shared, the others belong to the caller.
    pub(crate) fn link(&self, lane: Lane, id: NodeId, addr: &str) -> Link {
        match lane {
            Lane::Replication | Lane::Heartbeat | Lane::Snapshot => self.dial(id, addr),
            Lane::Control => self.control(id, addr),
        }
    }

    fn control(&self, id: NodeId, addr: &str) -> Link {
        let mut links = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        match links.get(&id) {
            Some((known, link)) if known == addr => link.clone(),
            Some(_) | None => {
                let link = self.dial(id, addr);
                links.insert(id, (addr.to_owned(), link.clone()));
                link
            }
        }
    }

    fn dial(&self, id: NodeId, addr: &str) -> Link {
        let _on_engine = self.engine.enter();
        Link::open(self.target(id, addr))
    }

    /// Where a connection to the peer goes.
    pub(crate) fn target(&self, id: NodeId, addr: &str) -> Target {
        Target {
            addr: addr.to_owned(),
            to: Some((self.cluster_id, id)),
            tls: Arc::clone(&self.tls),
            faults: self.faults.clone(),
        }
    }
}
