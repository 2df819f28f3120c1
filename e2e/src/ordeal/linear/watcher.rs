//! Clients that watch: some hop from replica to replica, resuming from what they saw last, and one,
//! the scribe, writes down everything from the first change to the last.

use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::check::history::{Client, End, Event, Note, Part, Revision, Watch};
use crate::node::wire::Response;
use crate::node::{self, CallError};
use crate::ordeal::linear::scene::Scene;
use crate::ordeal::linear::speech;
use crate::{Fault, Outcome};

/// Longest a watcher stays with one replica.
const STAY_MAX_MS: u64 = 3_000;
/// Pause after a replica that does not answer.
const PAUSE: Duration = Duration::from_millis(30);
/// Longest the scribe may need to the end once everything has healed.
const CATCH_UP_MAX: Duration = Duration::from_secs(20);
/// Refusals in a row, over all replicas, after which the scribe's place is lost to history.
const REFUSALS_MAX: u32 = 300;

/// Watches until the scene is over, and records it.
pub(super) async fn run(scene: Arc<Scene>, id: u32, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed ^ u64::from(id));
    let mut watch = Watch {
        client: Client(id),
        number: 1,
        prefix: speech::key(b""),
        parts: Vec::new(),
    };
    let mut after = 0;
    while !scene.stop.is_cancelled() {
        let place = random.random_range(0..scene.seats.len());
        let stay = Duration::from_millis(random.random_range(50..STAY_MAX_MS));
        match part(&scene, place, after, stay).await {
            Some(part) => {
                after = resume(&part);
                watch.parts.push(part);
            }
            None => tokio::time::sleep(PAUSE).await,
        }
    }
    scene.record_watch(watch);
}

/// One stay at one replica; none when it does not answer.
async fn part(scene: &Scene, place: usize, after: Revision, stay: Duration) -> Option<Part> {
    let seat = &scene.seats[place];
    let before = seat.replica();
    let mut changes = seat.client.watch(after).await.ok()?;
    let mut notes = Vec::new();
    let leave = tokio::time::sleep(stay);
    tokio::pin!(leave);
    let end = loop {
        let next = tokio::select! {
            next = changes.next() => next,
            () = &mut leave => break End::Cut,
            () = scene.stop.cancelled() => break End::Cut,
        };
        match next {
            Ok(changes) => {
                let at = scene.now();
                let events = changes.iter().map(|change| speech::event(change, at));
                notes.extend(events.map(Note::Event));
            }
            Err(error) => break end(&error),
        }
    };
    Some(Part {
        replica: scene.met(seat, before),
        after,
        notes,
        end,
    })
}

fn end(error: &CallError) -> End {
    match compacted(error) {
        Some(oldest) => End::Compacted { oldest },
        None => End::Cut,
    }
}

fn compacted(error: &CallError) -> Option<Revision> {
    match error {
        CallError::Refused(answer) => {
            if let Response::Compacted { oldest } = **answer {
                Some(oldest)
            } else {
                None
            }
        }
        CallError::NotSent(_) | CallError::Unknown(_) | CallError::Told(_) => None,
    }
}

/// Where to go on after this part.
fn resume(part: &Part) -> Revision {
    let seen = part.notes.iter().map(|note| match note {
        Note::Event(event) => event.revision,
        Note::Progress(revision) => *revision,
    });
    let seen = seen.max().unwrap_or(part.after);
    match part.end {
        End::Cut => seen,
        End::Compacted { oldest } => oldest,
    }
}

/// Writes down every change.
pub(super) struct Scribe {
    position: watch::Receiver<Revision>,
    task: JoinHandle<Vec<Event>>,
    close: CancellationToken,
}

impl Scribe {
    pub(super) fn start(scene: Arc<Scene>) -> Self {
        let (told, position) = watch::channel(0);
        let close = CancellationToken::new();
        let task = tokio::spawn(write_down(scene, told, close.clone()));
        Self {
            position,
            task,
            close,
        }
    }

    /// Everything up to this revision, or as far as the scribe came, which the judge will see.
    pub(super) async fn finish(mut self, upto: Revision) -> Outcome<Vec<Event>> {
        let reached = self.position.wait_for(|seen| *seen >= upto);
        let reached = tokio::time::timeout(CATCH_UP_MAX, reached).await;
        let is_lost = matches!(reached, Ok(Err(_)));
        self.close.cancel();
        let log = self.task.await?;
        if is_lost {
            let last = log.last().map_or(0, |event| event.revision);
            return Err(Fault::new(format!(
                "no replica remembers what follows revision {last}: the run cannot be judged"
            )));
        }
        Ok(log)
    }
}

async fn write_down(
    scene: Arc<Scene>,
    told: watch::Sender<Revision>,
    close: CancellationToken,
) -> Vec<Event> {
    let mut log = Vec::new();
    let mut refusals = 0;
    for seat in scene.seats.iter().cycle() {
        let after = *told.borrow();
        if let Ok(changes) = seat.client.watch(after).await {
            let note = |event: Event| {
                told.send_replace(event.revision);
                log.push(event);
            };
            let end = tokio::select! {
                end = follow(&scene, changes, note) => end,
                () = close.cancelled() => return log,
            };
            let is_refusal = compacted(&end).is_some();
            refusals = if is_refusal { refusals + 1 } else { 0 };
        }
        if close.is_cancelled() || refusals > REFUSALS_MAX {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    log
}

/// Notes everything until the watch ends.
async fn follow(scene: &Scene, mut changes: node::Watch, mut note: impl FnMut(Event)) -> CallError {
    loop {
        match changes.next().await {
            Ok(changes) => {
                let at = scene.now();
                let events = changes.iter().map(|change| speech::event(change, at));
                events.for_each(&mut note);
            }
            Err(error) => return error,
        }
    }
}
