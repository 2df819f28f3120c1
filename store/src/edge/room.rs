//! What a replica does whose disk is almost full: it says so, and does not go on leading when another
//! voter has room.

use std::sync::Arc;
use std::time::Duration;

use crate::edge::core::Core;
use crate::edge::wal::pool::Space;
use crate::item::NodeId;
use crate::wire::MemberChange;

const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// Follows the room for the log until the replica ends.
pub(crate) async fn run(core: Arc<Core>) {
    let mut space = core.space.clone();
    let mut said = Space::Ample;
    loop {
        let now = *space.borrow_and_update();
        if now != said {
            say(now);
            said = now;
        }
        if now == Space::Ample {
            if space.changed().await.is_err() {
                return;
            }
            continue;
        }
        core.yield_leadership().await;
        if matches!(
            tokio::time::timeout(LOOK_AGAIN, space.changed()).await,
            Ok(Err(_ended))
        ) {
            return;
        }
    }
}

fn say(space: Space) {
    match space {
        Space::Ample => tracing::info!("the log has room again"),
        Space::Tight | Space::Low => {
            tracing::warn!(
                ?space,
                "the disk is full: only what needs no room is written until there is space"
            );
        }
        Space::Exhausted => {
            tracing::error!("the disk is full: nothing is written here until there is space");
        }
    }
}

impl Core {
    /// Hands leadership to a voter whose disk has room, if there is one.
    async fn yield_leadership(&self) {
        if !self.leadership.borrow().is_local {
            return;
        }
        let Some(heir) = self.roomy().await else {
            return;
        };
        if let Err(refusal) = self.change(MemberChange::Transfer(heir)).await {
            tracing::warn!(
                heir,
                ?refusal,
                "leadership could not be handed to a voter with room"
            );
        }
    }

    async fn roomy(&self) -> Option<NodeId> {
        let voters: Vec<NodeId> = self.membership().voter_ids().collect();
        for id in voters.into_iter().filter(|id| *id != self.id) {
            if let Some((status, _)) = self.ask_status(id).await
                && status.has_room
            {
                return Some(id);
            }
        }
        None
    }
}
