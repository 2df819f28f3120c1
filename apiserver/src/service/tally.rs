//! Whoever leads counts what quotas count.

use tokio::sync::watch;

use super::Leadership;
use crate::edge::ambient;
use crate::engine::Engine;
use crate::engine::tally::Ambient;

/// Counts while this replica leads.
pub(super) async fn run(engine: Engine, mut leadership: watch::Receiver<Leadership>) {
    let ambient = Ambient {
        now: ambient::now,
        seed: ambient::seed,
    };
    while leadership.wait_for(|now| now.local).await.is_ok() {
        let ended = leadership.wait_for(|now| !now.local);
        tokio::select! {
            () = engine.keep_tally(ambient) => {}
            _ended = ended => {}
        }
    }
}
