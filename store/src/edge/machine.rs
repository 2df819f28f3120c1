//! openraft's state machine: feeds committed entries to the pure `State` and publishes the result.

use std::io;
use std::sync::Arc;

use futures::{Stream, TryStreamExt};
use openraft::entry::EntryPayload;
use openraft::storage::{ApplyResponder, EntryResponder, RaftStateMachine};
use openraft::{OptionalSend, RaftSnapshotBuilder, Snapshot};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::Instrument;

use crate::command::{Command, Proposal, Response};
use crate::edge::checkpoint::Checkpointer;
use crate::edge::metrics::Metrics;
use crate::edge::published::Published;
use crate::faults::{Faults, Point, Verdict};
use crate::history::Step;
use crate::image::Image;
use crate::marks::Marks;
use crate::raft::{Entry, LogId, Membership, SnapshotMeta, Types};
use crate::txn::{Op, Txn, TxnOutcome};
use crate::values::Unread;

type SnapshotOf = openraft::type_config::alias::SnapshotOf<Types, Arc<Image>>;

/// The replica's state with the position it was applied to.
#[derive(Debug)]
pub(crate) struct Machine {
    image: Image,
    published: Arc<Published>,
    checkpointer: Arc<Checkpointer>,
    faults: Faults,
    metrics: Metrics,
    /// The next put must go wrong: a failpoint said so.
    lying: bool,
    /// Who waits here for outcomes, until they may be told.
    askers: Vec<(oneshot::Sender<TxnOutcome>, TxnOutcome)>,
}

impl Machine {
    /// Starts from what a checkpoint holds, or from nothing.
    pub(crate) fn new(
        image: Image,
        published: Arc<Published>,
        checkpointer: Arc<Checkpointer>,
    ) -> Self {
        published.reset(&image);
        Self {
            image,
            published,
            checkpointer,
            faults: Faults::default(),
            metrics: Metrics::default(),
            lying: false,
            askers: Vec::new(),
        }
    }

    /// Has its failures and figures shared.
    pub(crate) fn under(self, faults: Faults, metrics: Metrics) -> Self {
        metrics.replaced(self.image.state.view());
        Self {
            faults,
            metrics,
            ..self
        }
    }

    /// The answer and the size of the entry.
    fn apply_entry(
        &mut self,
        entry: Entry,
        steps: &mut Vec<Step>,
    ) -> io::Result<(Response, usize)> {
        self.image.applied = Some(entry.log_id);
        match entry.payload {
            EntryPayload::Blank => Ok((Response::None, 0)),
            EntryPayload::Normal(proposal) => {
                let term = entry.log_id.leader_id.term;
                let response = self.apply_proposal(term, &proposal, steps);
                let response = response.map_err(|why| why.at(entry.log_id))?;
                Ok((response, proposal.0.len()))
            }
            EntryPayload::Membership(membership) => {
                membership
                    .nodes()
                    .for_each(|(id, _)| self.image.state.note_node(*id));
                self.image.membership = Membership::new(Some(entry.log_id), membership);
                Ok((Response::None, 0))
            }
        }
    }

    fn apply_proposal(
        &mut self,
        term: u64,
        proposal: &Proposal,
        steps: &mut Vec<Step>,
    ) -> Result<Response, Unapplied> {
        let txns = match proposal.command().map_err(Unapplied::Undecodable)? {
            Command::Txns(txns) => txns,
            Command::AllocateNode => {
                return Ok(Response::Node(self.image.state.allocate_node()));
            }
        };
        let mut outcomes = Vec::new();
        for txn in txns {
            let mut txn = txn.map_err(|error| Unapplied::Undecodable(error.to_string()))?;
            if self.lying {
                self.lying = !spoil(&mut txn);
            }
            let outcome = self.image.state.apply(term, &txn, steps);
            let outcome = outcome.map_err(Unapplied::Unread)?;
            if let Some(asker) = self.published.awaited.take(txn.request_id) {
                self.askers.push((asker, outcome.clone()));
            }
            outcomes.push(outcome);
        }
        Ok(Response::Txns(outcomes))
    }

    async fn apply_batch<Strm>(&mut self, mut entries: Strm) -> io::Result<()>
    where
        Strm: Stream<Item = io::Result<EntryResponder<Types>>> + Unpin + OptionalSend,
    {
        let started = Instant::now();
        self.lying |= self.faults.meet(Point::Apply).await? == Verdict::Lie;
        let mut steps = Vec::new();
        let mut answers: Vec<(ApplyResponder<Types>, Response)> = Vec::new();
        let (mut count, mut bytes) = (0, 0);
        while let Some((entry, responder)) = entries.try_next().await? {
            let index = entry.log_id.index;
            let (response, size) = self.apply_entry(entry, &mut steps)?;
            if Marks::due(index) {
                self.published.milestone(&self.image);
            }
            count += 1;
            bytes += size as u64;
            answers.extend(responder.map(|responder| (responder, response)));
        }
        self.checkpointer.note(&self.image, &steps, count, bytes);
        self.metrics.changed(&steps);
        self.conceal(&steps).await?;
        // Published before anybody is answered: a writer reads its own write.
        self.published.advance(&self.image, steps);
        self.metrics.applied(count, started.elapsed());
        for (responder, response) in answers {
            responder.send(response);
        }
        for (asker, outcome) in self.askers.drain(..) {
            // One that gave up is gone.
            asker.send(outcome).ok();
        }
        Ok(())
    }

    /// Hides the last change from watchers, if a failpoint says so.
    async fn conceal(&self, steps: &[Step]) -> io::Result<()> {
        if let Some(last) = steps.last()
            && self.faults.meet(Point::History).await? == Verdict::Lie
        {
            self.published.conceal(last.revision);
        }
        Ok(())
    }

    async fn install(&mut self, image: Image) -> io::Result<()> {
        // On disk before it is used: openraft forgets the log behind it next.
        self.checkpointer.replace(image.clone()).await?;
        self.published.reset(&image);
        self.metrics.replaced(image.state.view());
        self.image = image;
        Ok(())
    }
}

/// Why an entry has no outcome.
enum Unapplied {
    Undecodable(String),
    /// It replaces or shows a value that cannot be read.
    Unread(Unread),
}

impl Unapplied {
    fn at(self, entry: LogId) -> io::Error {
        match self {
            Self::Undecodable(reason) => io::Error::new(
                io::ErrorKind::InvalidData,
                format!("entry {entry} cannot be decoded: {reason}"),
            ),
            Self::Unread(unread) => unread.into(),
        }
    }
}

/// Turns the first put into a deletion; false if there is none.
fn spoil(txn: &mut Txn<&[u8]>) -> bool {
    for op in &mut txn.ops {
        if let Op::Put { key, .. } = *op {
            *op = Op::Delete { key };
            return true;
        }
    }
    false
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotData = Arc<Image>;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, Membership)> {
        Ok((self.image.applied, self.image.membership.clone()))
    }

    async fn apply<Strm>(&mut self, entries: Strm) -> io::Result<()>
    where
        Strm: Stream<Item = io::Result<EntryResponder<Types>>> + Unpin + OptionalSend,
    {
        let after = self.image.applied_index();
        let span = tracing::trace_span!("apply", after);
        self.apply_batch(entries).instrument(span).await
    }

    async fn try_create_snapshot_builder(&mut self, _force: bool) -> Option<Builder> {
        Some(self.get_snapshot_builder().await)
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        Builder {
            image: self.image.clone(),
            checkpointer: Arc::clone(&self.checkpointer),
        }
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: Arc<Image>,
    ) -> io::Result<()> {
        let mut image = Image::clone(&snapshot);
        image.applied = meta.last_log_id;
        image.membership = meta.last_membership.clone();
        let index = image.applied_index();
        let span = tracing::info_span!("install snapshot", index);
        let installed = self.install(image).instrument(span).await;
        self.metrics.snapshot_installed(installed.is_ok());
        installed
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<SnapshotOf>> {
        Ok(self.checkpointer.current().map(as_snapshot))
    }
}

/// Makes a checkpoint of the state as it was when the builder was created.
#[derive(Debug)]
pub(crate) struct Builder {
    image: Image,
    checkpointer: Arc<Checkpointer>,
}

impl RaftSnapshotBuilder<Types> for Builder {
    type SnapshotData = Arc<Image>;

    async fn build_snapshot(&mut self) -> io::Result<SnapshotOf> {
        self.checkpointer
            .build(self.image.clone())
            .await
            .map(as_snapshot)
    }
}

fn as_snapshot(image: Arc<Image>) -> SnapshotOf {
    let meta = SnapshotMeta {
        last_log_id: image.applied,
        last_membership: image.membership.clone(),
    };
    Snapshot {
        meta,
        snapshot: image,
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use tempfile::TempDir;

    use super::*;
    use crate::edge::state::Residence;
    use crate::raft::{EntryPayload, log_id};

    /// So that replicas that batch differently have marks in common.
    #[tokio::test(flavor = "multi_thread")]
    async fn milestones_are_marked_within_a_batch() {
        let dir = TempDir::new().unwrap();
        let checkpointer = Arc::new(Checkpointer::in_dir(
            dir.path(),
            1,
            &Faults::default(),
            &Residence::default(),
        ));
        let published = Arc::new(Published::new(1 << 20, 1 << 20));
        let mut machine = Machine::new(Image::default(), Arc::clone(&published), checkpointer);
        for batch in [1..=1500, 1501..=2048, 2049..=2050] {
            let blank = |index| {
                let entry = Entry {
                    log_id: log_id(1, index),
                    payload: EntryPayload::Blank,
                };
                Ok((entry, None))
            };
            let entries = batch.map(blank).collect::<Vec<_>>();
            machine.apply(stream::iter(entries)).await.unwrap();
        }
        let marks = published.marks();
        let indexes: Vec<u64> = marks.iter().map(|mark| mark.index).collect();
        assert_eq!(indexes, [1024, 2048, 1500, 2048, 2050]);
        machine
            .install_snapshot(&SnapshotMeta::default(), Arc::default())
            .await
            .unwrap();
        assert!(published.marks().is_empty());
    }
}
