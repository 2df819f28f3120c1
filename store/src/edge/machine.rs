//! openraft's state machine: feeds committed entries to the pure `State` and publishes the result.

use std::io;
use std::sync::Arc;

use futures::{Stream, TryStreamExt};
use openraft::entry::EntryPayload;
use openraft::storage::{ApplyResponder, EntryResponder, RaftStateMachine};
use openraft::{OptionalSend, RaftSnapshotBuilder, Snapshot};

use crate::command::Response;
use crate::edge::checkpoint::Checkpointer;
use crate::edge::published::Published;
use crate::history::Change;
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

    fn apply_entry(
        &mut self,
        entry: Entry,
        changes: &mut Vec<Change>,
    ) -> io::Result<(Response, usize)> {
        let term = entry.log_id.leader_id.term;
        self.image.applied = Some(entry.log_id);
        match entry.payload {
            EntryPayload::Blank => Ok((Response::None, 0)),
            EntryPayload::Normal(proposal) => {
                let command = proposal.decode().map_err(|error| {
                    io::Error::new(
                        io::ErrorKind::InvalidData,
                        format!("entry {} cannot be decoded: {error}", entry.log_id),
                    )
                })?;
                Ok((
                    self.image.state.apply(term, command, changes),
                    proposal.0.len(),
                ))
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
        let mut changes = Vec::new();
        let mut answers: Vec<(ApplyResponder<Types>, Response)> = Vec::new();
        let (mut count, mut bytes) = (0, 0);
        while let Some((entry, responder)) = entries.try_next().await? {
            let (response, size) = self.apply_entry(entry, &mut changes)?;
            count += 1;
            bytes += size as u64;
            answers.extend(responder.map(|responder| (responder, response)));
        }
        self.checkpointer.note(&self.image, &changes, count, bytes);
        // Published before anybody is answered: a writer reads its own write.
        self.published.advance(&self.image, changes);
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
