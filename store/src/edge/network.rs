//! openraft's view of the network: pipelined appends, votes and snapshots over our links.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt};
use openraft::base::{BoxFuture, BoxStream};
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{RPCOption, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult,
    TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::{OptionalSend, RaftNetworkV2};
use tokio::time::Instant;
use tracing::Instrument;

use crate::edge::haste::Haste;
use crate::edge::holds::Holds;
use crate::edge::link::{Link, LinkError, received};
use crate::edge::metrics::Metrics;
use crate::edge::outbox;
use crate::edge::peers::{Lane, Peers};
use crate::edge::transfer;
use crate::faults::Faults;
use crate::image::Image;
use crate::item::NodeId;
use crate::member::Node;
use crate::raft::{EntryPayload, LogId, Types, Vote};
use crate::wire::{Answer, Ask};

type SnapshotOf = openraft::type_config::alias::SnapshotOf<Types, Arc<Image>>;

/// Appends in flight to one follower. Each carries up to about 1 MiB.
const PIPELINE: usize = 16;
/// A follower that answers no append for this long is stuck; the stream is started anew.
const APPEND_MAX: Duration = Duration::from_secs(5);
/// Entries a follower may be behind the commit before it is sent the rest at a gentle pace. One that
/// the commit waits for is never behind it.
const BEHIND_MAX: u64 = 1024;
/// Bytes a microsecond, so 64 MB a second.
const CATCH_UP_RATE: u64 = 64;

/// Makes clients for openraft.
#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) peers: Arc<Peers>,
    pub(crate) cluster_id: u128,
    pub(crate) faults: Faults,
    pub(crate) metrics: Metrics,
    pub(crate) haste: Haste,
    pub(crate) holds: Holds,
}

impl Network {
    fn client(&self, lane: Lane, target: NodeId, node: &Node) -> Client {
        Client {
            link: self.peers.link(lane, target, &node.peer_addr),
            control: self.peers.link(Lane::Control, target, &node.peer_addr),
            target,
            cluster_id: self.cluster_id,
            faults: self.faults.clone(),
            metrics: self.metrics.clone(),
            haste: self.haste.clone(),
            holds: self.holds.clone(),
        }
    }
}

impl RaftNetworkFactory<Types> for Network {
    type Network = Client;

    async fn new_client(&mut self, target: NodeId, node: &Node) -> Client {
        self.client(Lane::Replication, target, node)
    }

    async fn new_heartbeat_client(&mut self, target: NodeId, node: &Node) -> Client {
        self.client(Lane::Heartbeat, target, node)
    }

    async fn new_snapshot_client(&mut self, target: NodeId, node: &Node) -> Client {
        self.client(Lane::Snapshot, target, node)
    }
}

/// Talks to one peer.
#[derive(Debug)]
pub(crate) struct Client {
    link: Link,
    control: Link,
    target: NodeId,
    cluster_id: u128,
    faults: Faults,
    metrics: Metrics,
    haste: Haste,
    holds: Holds,
}

impl Client {
    async fn ask(&self, ask: Ask, option: &RPCOption) -> Result<Answer, RPCError<Types>> {
        self.control
            .ask(ask, option.hard_ttl())
            .await
            .map_err(rpc_error)
    }

    async fn push(
        &self,
        vote: Vote,
        image: &Arc<Image>,
    ) -> Result<SnapshotResponse<Types>, String> {
        let (peer, index) = (self.target, image.applied_index());
        let held = self.holds.hold(index.unwrap_or(0));
        let span = tracing::info_span!("send snapshot", peer, index);
        let pushed = transfer::push(&self.link, vote, image, self.cluster_id, &self.faults);
        let pushed = pushed.instrument(span).await;
        self.metrics.snapshot_sent(pushed.is_ok());
        if pushed.is_ok() {
            held.arrived(Instant::now());
        }
        pushed
    }
}

impl RaftNetworkV2<Types> for Client {
    type SnapshotData = Arc<Image>;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
        let answer = self.link.ask(Ask::Append(rpc), option.hard_ttl()).await;
        appended(answer)
    }

    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        _option: RPCOption,
    ) -> BoxFuture<
        's,
        Result<BoxStream<'s, Result<StreamAppendResult<Types>, RPCError<Types>>>, RPCError<Types>>,
    >
    where
        S: Stream<Item = AppendEntriesRequest<Types>> + OptionalSend + Unpin + 'static,
    {
        let (link, peer, metrics) = (&self.link, self.target, &self.metrics);
        let haste = &self.haste;
        // `then` queues one request at a time, in order; `buffered` awaits the answers, in order.
        let answers = outbox::joined(input, peer, haste)
            .then(move |rpc| async move {
                let (prev, last) = ends(&rpc);
                if let Some(rest) = rest(&rpc) {
                    tokio::time::sleep(rest).await;
                }
                let sent = Instant::now();
                (prev, last, sent, link.send(Ask::Append(rpc)).await)
            })
            .map(move |(prev, last, at, sent)| async move {
                let answer = match sent {
                    Ok(pending) => match tokio::time::timeout(APPEND_MAX, pending).await {
                        Ok(answer) => received(answer),
                        Err(_elapsed) => Err(LinkError::Timeout),
                    },
                    Err(error) => Err(error),
                };
                let response = appended(answer).inspect_err(|_error| haste.lost(peer))?;
                metrics.replicated(peer, at.elapsed());
                if let (AppendEntriesResponse::Success, Some(last)) = (&response, last) {
                    haste.stored(peer, last.index);
                }
                Ok(response.into_stream_result(prev, last))
            })
            .buffered(PIPELINE);
        let answers: BoxStream<'s, _> = Box::pin(answers);
        Box::pin(std::future::ready(Ok(answers)))
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        voted(self.ask(Ask::Vote(rpc), &option).await?)
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        voted(self.ask(Ask::PreVote(rpc), &option).await?)
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: SnapshotOf,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        // Each step has a limit of its own: one for the whole would be too long for a small state and too
        // short for a large one, which then would never arrive.
        let push = self.push(vote, &snapshot.snapshot);
        tokio::select! {
            closed = cancel => Err(StreamingError::Closed(closed)),
            pushed = push => {
                pushed.map_err(|error| StreamingError::Network(NetworkError::from_string(error)))
            }
        }
    }

    async fn transfer_leader(
        &mut self,
        req: TransferLeaderRequest<Types>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<Types>, RPCError<Types>> {
        let answer = self.ask(Ask::Transfer(req), &option).await?;
        if let Answer::Transfer(Ok(())) = answer {
            Ok(Ok(()))
        } else {
            Err(unexpected(&answer))
        }
    }
}

/// How long to wait before sending entries to a follower that lags far behind: what it is sent then
/// takes disk and processor from the writes that others acknowledge meanwhile.
fn rest(rpc: &AppendEntriesRequest<Types>) -> Option<Duration> {
    let (Some(last), Some(committed)) = (rpc.entries.last(), rpc.leader_commit) else {
        return None;
    };
    let behind = committed.index.saturating_sub(last.log_id.index);
    let bytes = rpc.entries.iter().map(|entry| match &entry.payload {
        EntryPayload::Normal(proposal) => proposal.0.len() as u64,
        EntryPayload::Blank | EntryPayload::Membership(_) => 0,
    });
    (behind > BEHIND_MAX).then(|| Duration::from_micros(bytes.sum::<u64>() / CATCH_UP_RATE))
}

fn ends(rpc: &AppendEntriesRequest<Types>) -> (Option<LogId>, Option<LogId>) {
    let last = rpc
        .entries
        .last()
        .map(|entry| entry.log_id)
        .or(rpc.prev_log_id);
    (rpc.prev_log_id, last)
}

fn appended(
    answer: Result<Answer, LinkError>,
) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
    let answer = answer.map_err(rpc_error)?;
    if let Answer::Append(response) = answer {
        Ok(response)
    } else {
        Err(unexpected(&answer))
    }
}

fn voted(answer: Answer) -> Result<VoteResponse<Types>, RPCError<Types>> {
    if let Answer::Vote(response) = answer {
        Ok(response)
    } else {
        Err(unexpected(&answer))
    }
}

fn rpc_error(error: LinkError) -> RPCError<Types> {
    match error {
        LinkError::Unreachable => RPCError::Unreachable(Unreachable::new(&error)),
        LinkError::Broken | LinkError::Timeout => RPCError::Network(NetworkError::new(&error)),
    }
}

fn unexpected(answer: &Answer) -> RPCError<Types> {
    RPCError::Unreachable(Unreachable::from_string(format!(
        "an answer that does not fit: {answer:?}"
    )))
}
