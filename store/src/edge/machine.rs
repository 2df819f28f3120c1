//! openraft's state machine: feeds committed entries to the pure `State` and publishes the result.

use std::io;
use std::sync::Arc;

use futures::{Stream, TryStreamExt};
use openraft::entry::EntryPayload;
use openraft::storage::{ApplyResponder, EntryResponder, RaftStateMachine};
use openraft::{OptionalSend, RaftSnapshotBuilder, Snapshot};

use crate::command::{Command, Proposal, Response};
use crate::edge::checkpoint::Checkpointer;
use crate::edge::published::Published;
use crate::history::Step;
use crate::image::Image;
use crate::raft::{Entry, LogId, Membership, SnapshotMeta, Types};

type SnapshotOf = openraft::type_config::alias::SnapshotOf<Types, Arc<Image>>;

/// The replica's state with the position it was applied to.
#[derive(Debug)]
pub(crate) struct Machine {
    image: Image,
    published: Arc<Published>,
    checkpointer: Arc<Checkpointer>,
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
                let response = response.map_err(|reason| undecodable(entry.log_id, &reason))?;
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
    ) -> Result<Response, String> {
        let state = &mut self.image.state;
        match proposal.command()? {
            Command::Txns(txns) => {
                let outcomes = txns.map(|txn| Ok(state.apply(term, &txn?, steps)));
                let outcomes = outcomes.collect::<Result<_, postcard::Error>>();
                outcomes
                    .map(Response::Txns)
                    .map_err(|error| error.to_string())
            }
            Command::AllocateNode => Ok(Response::Node(state.allocate_node())),
        }
    }
}

fn undecodable(at: LogId, reason: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("entry {at} cannot be decoded: {reason}"),
    )
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotData = Arc<Image>;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, Membership)> {
        Ok((self.image.applied, self.image.membership.clone()))
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> io::Result<()>
    where
        Strm: Stream<Item = io::Result<EntryResponder<Types>>> + Unpin + OptionalSend,
    {
        let mut steps = Vec::new();
        let mut answers: Vec<(ApplyResponder<Types>, Response)> = Vec::new();
        let (mut count, mut bytes) = (0, 0);
        while let Some((entry, responder)) = entries.try_next().await? {
            let (response, size) = self.apply_entry(entry, &mut steps)?;
            count += 1;
            bytes += size as u64;
            answers.extend(responder.map(|responder| (responder, response)));
        }
        self.checkpointer.note(&self.image, &steps, count, bytes);
        // Published before anybody is answered: a writer reads its own write.
        self.published.advance(&self.image, steps);
        for (responder, response) in answers {
            responder.send(response);
        }
        Ok(())
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
        // On disk before it is used: openraft forgets the log behind it next.
        self.checkpointer.replace(image.clone()).await?;
        self.published.reset(&image);
        self.image = image;
        Ok(())
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
