//! Notices that the leader's process has died, so that nobody has to wait for its lease to run out.
//!
//! A follower keeps a silent connection to the leader. When that ends and the leader's address then
//! refuses connections, the process is gone, which no lease needs to confirm: the follower drops the lease
//! and asks for pre-votes. A follower that is mistaken disturbs nobody: pre-votes need a majority, and
//! whoever still hears the leader refuses. A host or a network that vanishes without a word ends no
//! connection; there the lease decides, as ever.
//!
//! Dropping a lease is safe for what clients see: writes commit by quorum and reads are confirmed by
//! quorum (`ReadPolicy::ReadIndex`), nothing is served on the strength of a lease.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use openraft::raft::TransferLeaderRequest;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::edge::core::Core;
use crate::edge::link::{self, Target};
use crate::item::NodeId;
use crate::member::Leadership;
use crate::raft::Vote;

/// Voters ask one after another, so that two do not split the vote: a pre-vote and a vote on a busy
/// machine take about this long.
const TURN: Duration = Duration::from_millis(50);
/// All survivors notice within this; who asks before the others have noticed is refused.
const HEAD_START: Duration = Duration::from_millis(10);
const ROUNDS: u32 = 5;
/// A dying process closes its connections a moment before or after its listener.
const PROBES: u32 = 20;
const PROBE_PAUSE: Duration = Duration::from_millis(10);
const PROBE_MAX: Duration = Duration::from_millis(500);
/// Before the leader is watched again after it could not be: at first only the membership may not
/// have arrived yet.
const PAUSE_MIN: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Watches whoever leads, until consensus ends.
pub(crate) async fn run(core: Arc<Core>) {
    let mut leadership = core.leadership.clone();
    loop {
        let now = *leadership.borrow_and_update();
        let watched = async {
            if let Some(leader) = now.leader.filter(|id| *id != core.id) {
                watch(&core, now, leader).await;
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            // Also while nobody leads the watch goes on: a vote that was split is asked for again.
            led = leadership.wait_for(|it| *it != now && it.leader.is_some()) => {
                if led.is_err() {
                    return;
                }
            }
            () = watched => {}
        }
    }
}

/// Watches this leader until it dies, and has it succeeded then.
async fn watch(core: &Core, now: Leadership, leader: NodeId) {
    let mut pause = PAUSE_MIN;
    loop {
        if let Some(target) = core.target(leader)
            && death(&target).await
        {
            break;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
    tracing::info!(leader, "the leader's process has died");
    succeed(core, now, leader).await;
}

/// True when the process at the address was there and is gone; false when that cannot be told.
async fn death(target: &Target) -> bool {
    // Only who was seen alive can be seen dead: an address that never answers proves nothing.
    let Ok(Ok(mut stream)) = tokio::time::timeout(PROBE_MAX, link::connect(target)).await else {
        return false;
    };
    loop {
        silent_until_closed(&mut stream).await;
        match reconnect(target).await {
            Some(Ok(again)) => stream = again,
            Some(Err(_refused)) => return true,
            None => return false,
        }
    }
}

async fn silent_until_closed(stream: &mut TlsStream<TcpStream>) {
    // Nothing is asked on this connection, so nothing is answered.
    while stream.read(&mut [0; 64]).await.is_ok_and(|read| read > 0) {}
}

/// A connection, or proof that nobody listens; none when neither could be had.
async fn reconnect(target: &Target) -> Option<io::Result<TlsStream<TcpStream>>> {
    for _ in 0..PROBES {
        match tokio::time::timeout(PROBE_MAX, link::connect(target)).await {
            Ok(Ok(stream)) => return Some(Ok(stream)),
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                return Some(Err(error));
            }
            Ok(Err(_)) => tokio::time::sleep(PROBE_PAUSE).await,
            Err(_elapsed) => return None,
        }
    }
    None
}

/// Drops the dead leader's lease here, then asks for votes when it is this voter's turn. Cancelled by
/// the caller as soon as somebody else leads.
async fn succeed(core: &Core, now: Leadership, leader: NodeId) {
    // To openraft this is the leader handing over to somebody else, whose request for votes then
    // needs no lease to expire. It ignores a vote that is not the present one.
    let farewell = TransferLeaderRequest::new(Vote::new_committed(now.epoch, leader), leader, None);
    if core.raft.handle_transfer_leader(farewell).await.is_err() {
        return;
    }
    let membership = core.membership();
    let survivors: Vec<NodeId> = membership.voter_ids().filter(|id| *id != leader).collect();
    let Some(rank) = survivors.iter().position(|id| *id == core.id) else {
        return;
    };
    let turns = |count: usize| TURN * u32::try_from(count).unwrap_or(u32::MAX);
    tokio::time::sleep(HEAD_START + turns(rank)).await;
    for _ in 0..ROUNDS {
        if core.raft.trigger().elect(true).await.is_err() {
            return;
        }
        tokio::time::sleep(turns(survivors.len())).await;
    }
}

impl Core {
    fn target(&self, id: NodeId) -> Option<Target> {
        let membership = self.membership();
        let node = membership.get_node(&id)?;
        Some(self.peers.target(id, &node.peer_addr))
    }
}
