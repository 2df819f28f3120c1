//! Replicas compare the digests of their states. One that a majority contradicts stops for good: what
//! it serves is wrong, and neither a restart nor more log would make it right.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::join_all;

use crate::edge::core::Core;
use crate::edge::files;
use crate::error::{StartError, TxnError};
use crate::item::NodeId;
use crate::marks::{Difference, Mark, Verdict, verdict};
use crate::wire::{Answer, Ask};

/// Between two rounds. Each asks every other member once, for a few kilobytes.
const PAUSE: Duration = Duration::from_secs(2);
const ANSWER_MAX: Duration = Duration::from_secs(1);
/// Its presence keeps a replica that stopped from starting again.
const DIVERGED: &str = "diverged";

/// How the replicas are known to differ, while nobody knows who is right.
#[derive(Debug, Default)]
pub(crate) struct Alarm(Mutex<Option<Difference>>);

impl Alarm {
    pub(crate) fn get(&self) -> Option<Difference> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn set(&self, difference: Option<Difference>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = difference;
    }
}

/// Compares round after round, until this replica has to stop.
pub(crate) async fn run(core: Arc<Core>) {
    let mut tick = tokio::time::interval(PAUSE);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while core.fault.get().is_none() {
        tick.tick().await;
        let found = core.compare().await;
        core.heed(found);
    }
}

impl Core {
    async fn compare(&self) -> Verdict {
        let membership = self.membership();
        let others = membership.nodes().filter(|(id, _)| **id != self.id);
        let asked = others.map(async |(id, _)| Some((*id, self.ask_marks(*id).await?)));
        let others: BTreeMap<NodeId, Vec<Mark>> =
            join_all(asked).await.into_iter().flatten().collect();
        let voters: BTreeSet<NodeId> = membership.voter_ids().collect();
        // Read after the answers came: a replica that follows has by then applied what they show.
        verdict(self.id, &self.published.marks(), &others, &voters)
    }

    async fn ask_marks(&self, id: NodeId) -> Option<Vec<Mark>> {
        match self.control(id)?.ask(Ask::Marks, ANSWER_MAX).await {
            Ok(Answer::Marks(marks)) => Some(marks),
            Ok(_) | Err(_) => None,
        }
    }

    fn heed(&self, found: Verdict) {
        match found {
            // What was known to differ still does.
            Verdict::Unknown => {}
            Verdict::Agree => self.alarm.set(None),
            Verdict::OthersDiffer(difference) => {
                tracing::error!(%difference, "a replica differs from the majority and will stop");
                self.metrics.alarmed();
                self.alarm.set(None);
            }
            Verdict::Alarm(difference) => {
                tracing::error!(
                    %difference,
                    "replicas differ and no majority says who is right: compare their data before writing more"
                );
                self.metrics.alarmed();
                self.alarm.set(Some(difference));
            }
            Verdict::OddOneOut {
                index,
                own,
                majority,
            } => self.stop_as_odd(index, own, majority),
        }
    }

    fn stop_as_odd(&self, index: u64, own: u128, majority: u128) {
        let detail = format!(
            "after log entry {index} its state has digest {own:032x}, but a majority of the voters has {majority:032x}"
        );
        self.metrics.alarmed();
        // Before anything else: whatever happens next, it must not serve again.
        if let Err(error) = files::replace(&self.data_dir.join(DIVERGED), detail.as_bytes()) {
            tracing::error!(%error, "it cannot be recorded that this replica's state is wrong");
        }
        let error = TxnError::Diverged(detail);
        tracing::error!(%error, "this replica's state is wrong; it stops");
        self.fault.halt(error);
    }
}

/// Refuses a data directory whose replica stopped because its state was wrong.
pub(crate) fn ensure_agreed(dir: &Path) -> Result<(), StartError> {
    let detail = files::read(&dir.join(DIVERGED)).or_else(unreadable);
    match detail {
        Ok(None) => Ok(()),
        Ok(Some(detail)) => Err(StartError::Diverged {
            dir: dir.to_owned(),
            detail,
        }),
        Err(source) => Err(StartError::Io {
            path: dir.join(DIVERGED),
            source,
        }),
    }
}

/// That the file is there says enough.
fn unreadable(error: io::Error) -> io::Result<Option<String>> {
    if error.kind() == io::ErrorKind::InvalidData {
        Ok(Some("what differed can no longer be read".to_owned()))
    } else {
        Err(error)
    }
}
