//! Snapshots between replicas: streamed from the persistent map in pieces, checked by digest.

use std::sync::Arc;
use std::time::Duration;

use openraft::raft::SnapshotResponse;
use tokio::time::Instant;

use crate::dedupe::Request;
use crate::edge::link::{Link, LinkError, Pending, received};
use crate::faults::{Faults, Point};
use crate::image::{Header, Image};
use crate::item::Item;
use crate::raft::{Types, Vote};
use crate::slot::Window;
use crate::values::Unread;
use crate::wire::{Answer, Ask, Piece, SnapshotAsk};

/// One piece holds about this much.
const PIECE_BYTES: usize = 512 << 10;
const PIECE_REQUESTS: usize = 4096;
/// Pieces sent ahead of their acknowledgement.
const AHEAD: usize = 4;
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// From one piece to the next, so that sender and receiver have time for writes besides: about 64 MiB
/// a second.
const PIECE_PAUSE: Duration = Duration::from_millis(8);
/// Bytes a second that a follower writes when it installs, at the least.
const INSTALL_RATE: u64 = 16 << 20;

/// Cuts an image into pieces, in the order in which they rebuild it.
#[derive(Debug)]
pub(crate) struct Cutter {
    image: Arc<Image>,
    after: Option<bytes::Bytes>,
    items_done: bool,
    requests: Vec<Request>,
}

impl Cutter {
    pub(crate) fn new(image: Arc<Image>) -> Self {
        let mut requests: Vec<Request> = image.state.dedupe().requests().collect();
        // Taken from the back below.
        requests.reverse();
        Self {
            image,
            after: None,
            items_done: false,
            requests,
        }
    }

    fn items(&mut self) -> Result<Vec<Item>, Unread> {
        use std::ops::Bound::{Excluded, Unbounded};
        let start = self.after.as_deref().map_or(Unbounded, Excluded);
        let (mut items, mut bytes, mut window) = (Vec::new(), 0, Window::default());
        for slot in self.image.state.view().slots_between(start, Unbounded) {
            let item = window.item(slot)?;
            bytes += item.key.len() + item.value.len() + 64;
            items.push(item);
            if bytes >= PIECE_BYTES {
                break;
            }
        }
        self.after = items.last().map(|item| item.key.clone());
        Ok(items)
    }
}

impl Iterator for Cutter {
    type Item = Result<Piece, Unread>;

    fn next(&mut self) -> Option<Self::Item> {
        if !self.items_done {
            let items = match self.items() {
                Ok(items) => items,
                Err(unread) => return Some(Err(unread)),
            };
            self.items_done = items.is_empty();
            if !self.items_done {
                return Some(Ok(Piece::Items(items)));
            }
        }
        let rest = self.requests.len().saturating_sub(PIECE_REQUESTS);
        let mut requests = self.requests.split_off(rest);
        requests.reverse();
        (!requests.is_empty()).then_some(Ok(Piece::Requests(requests)))
    }
}

/// An image arriving in pieces.
#[derive(Debug)]
pub(crate) struct Assembly {
    header: Header,
    image: Image,
}

impl Assembly {
    pub(crate) fn new(header: Header) -> Self {
        Self {
            image: header.begin(),
            header,
        }
    }

    pub(crate) fn add(&mut self, piece: Piece) {
        match piece {
            Piece::Items(items) => items
                .iter()
                .for_each(|item| self.image.state.restore_item(item)),
            Piece::Requests(requests) => {
                requests
                    .into_iter()
                    .for_each(|request| self.image.state.restore_request(request));
            }
        }
    }

    /// The image, if it is the one the header described.
    pub(crate) fn finish(self) -> Result<Image, String> {
        self.header.finish(self.image)
    }
}

/// Sends the image to a follower, which installs it before it answers.
pub(crate) async fn push(
    link: &Link,
    vote: Vote,
    image: &Arc<Image>,
    cluster_id: u128,
    faults: &Faults,
) -> Result<SnapshotResponse<Types>, String> {
    let begin = link
        .send(Ask::Snapshot(SnapshotAsk::Begin(image.header(cluster_id))))
        .await;
    let mut ahead = std::collections::VecDeque::from([begin.map_err(text)?]);
    let (mut pieces, mut next) = (0, Instant::now());
    let mut cutter = Cutter::new(Arc::clone(image));
    // It reads from disk.
    while let Some(piece) = tokio::task::block_in_place(|| cutter.next()) {
        tokio::time::sleep_until(next).await;
        next = Instant::now() + PIECE_PAUSE;
        pieces += 1;
        let told = faults.meet(Point::SnapshotSend).await;
        told.map_err(|error| error.to_string())?;
        let piece = piece.map_err(|unread| unread.to_string())?;
        let ask = Ask::Snapshot(SnapshotAsk::Piece(piece));
        ahead.push_back(link.send(ask).await.map_err(text)?);
        if ahead.len() > AHEAD {
            acknowledged(ahead.pop_front()).await?;
        }
    }
    while let Some(pending) = ahead.pop_front() {
        acknowledged(Some(pending)).await?;
    }
    // Installing includes writing a checkpoint.
    let install_max = ANSWER_MAX + Duration::from_secs(pieces * PIECE_BYTES as u64 / INSTALL_RATE);
    let pending = link
        .send(Ask::Snapshot(SnapshotAsk::End(vote)))
        .await
        .map_err(text)?;
    let answer = tokio::time::timeout(install_max, pending).await;
    let answer = received(answer.map_err(|_elapsed| text(LinkError::Timeout))?).map_err(text)?;
    if let Answer::Snapshot(response) = answer {
        Ok(response)
    } else {
        Err(unfit(&answer))
    }
}

async fn acknowledged(pending: Option<Pending>) -> Result<(), String> {
    let Some(pending) = pending else {
        return Ok(());
    };
    let answer = tokio::time::timeout(ANSWER_MAX, pending).await;
    let answer = received(answer.map_err(|_elapsed| text(LinkError::Timeout))?).map_err(text)?;
    if let Answer::Taken = answer {
        Ok(())
    } else {
        Err(unfit(&answer))
    }
}

/// Fetches the whole state of a peer of this cluster.
pub(crate) async fn pull(link: &Link, cluster_id: u128) -> Result<Image, String> {
    let answer = pull_ask(link, SnapshotAsk::PullBegin).await?;
    let Answer::Header(header) = answer else {
        return Err(unfit(&answer));
    };
    if header.cluster_id != cluster_id {
        return Err(format!("it belongs to cluster {:032x}", header.cluster_id));
    }
    let mut assembly = Assembly::new(header);
    loop {
        let answer = pull_ask(link, SnapshotAsk::PullNext).await?;
        let Answer::Piece(piece) = answer else {
            return Err(unfit(&answer));
        };
        match piece {
            Some(piece) => assembly.add(piece),
            None => return assembly.finish(),
        }
    }
}

async fn pull_ask(link: &Link, ask: SnapshotAsk) -> Result<Answer, String> {
    link.ask(Ask::Snapshot(ask), ANSWER_MAX).await.map_err(text)
}

fn unfit(answer: &Answer) -> String {
    if let Answer::Failed(reason) = answer {
        return reason.clone();
    }
    format!("an answer that does not fit: {answer:?}")
}

fn text(error: LinkError) -> String {
    error.to_string()
}
