//! A client that does what the dice say: transactions with guards over few keys, and reads of every
//! kind, at any replica. What it was told is recorded as it was told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::check::history::{
    Answer, Call, Client, Deed, Guard, Key, Mode, Nanos, Op, Outcome, Replica, RequestId, Revision,
    Select, Snapshot, Txn,
};
use crate::node::CallError;
use crate::node::wire::{Read, Request, Response};
use crate::ordeal::linear::scene::Scene;
use crate::ordeal::linear::speech;
use crate::ordeal::load::now_ms;

/// Few keys, so that clients meet.
const KEYS: u32 = 8;
/// Longest a client waits; paused and isolated replicas do not answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Longest a client rests between two calls.
const REST_MAX_MS: u64 = 8;
/// How far back an exact read looks.
const BACK_MAX: Revision = 40;
/// Items in a list; there are never more.
const LIST_MAX: usize = 1_000;

struct Person {
    scene: Arc<Scene>,
    id: Client,
    random: StdRng,
    number: u32,
    /// Newest revision seen of each key, and of all.
    keys: BTreeMap<Key, Revision>,
    newest: Revision,
}

/// When a replica was asked, when it answered, and in which of its lives.
struct Meeting {
    began: Nanos,
    ended: Nanos,
    replica: Replica,
}

/// Calls until the scene is over.
pub(super) async fn run(scene: Arc<Scene>, id: u32, seed: u64) {
    let mut person = Person {
        scene: Arc::clone(&scene),
        id: Client(id),
        random: StdRng::seed_from_u64(seed),
        number: 0,
        keys: BTreeMap::new(),
        newest: 0,
    };
    while !scene.stop.is_cancelled() {
        if person.random.random_bool(0.5) {
            person.write().await;
        } else {
            person.read().await;
        }
        let rest = person.random.random_range(0..REST_MAX_MS);
        tokio::time::sleep(Duration::from_millis(rest)).await;
    }
}

impl Person {
    async fn write(&mut self) {
        let txn = self.txn();
        let request = RequestId(self.random.random_range(1..u128::MAX));
        let place = self.place();
        let answer = self.attempt(place, request, &txn).await;
        // Whoever knows nothing asks somebody else under the same id, mostly.
        if answer == Answer::Unknown && self.random.random_bool(0.7) {
            let elsewhere = (place + 1) % self.scene.seats.len();
            self.attempt(elsewhere, request, &txn).await;
        }
    }

    fn txn(&mut self) -> Txn {
        let guards = match self.random.random_range(0..6) {
            0 => vec![Guard::Exists(self.key())],
            1 => vec![Guard::Absent(self.key())],
            2 | 3 => self.newest_of_some_key().into_iter().collect(),
            _ => Vec::new(),
        };
        let count = self.random.random_range(1..4_u32);
        let ops = (0..count).map(|op| self.op(op)).collect();
        Txn { guards, ops }
    }

    fn newest_of_some_key(&mut self) -> Option<Guard> {
        let key = self.key();
        let revision = *self.keys.get(&key)?;
        Some(Guard::RevisionIs { key, revision })
    }

    fn op(&mut self, place: u32) -> Op {
        let key = self.key();
        if self.random.random_bool(0.2) {
            return Op::Delete { key };
        }
        let value = format!("{}-{}-{place}", self.id.0, self.number);
        let value = speech::key(value.as_bytes());
        Op::Put { key, value }
    }

    async fn attempt(&mut self, place: usize, request: RequestId, txn: &Txn) -> Answer<Outcome> {
        let asked = Request::Txn(speech::txn(txn, request.0, now_ms()));
        let (meeting, result) = self.ask(place, asked).await;
        let answer = match result {
            Ok(Response::Outcome(outcome)) => Answer::Known(speech::outcome(outcome)),
            Ok(_) => Answer::Unknown,
            Err(error) => speech::failure(&error),
        };
        if let Answer::Known(outcome) = &answer {
            self.newest = self.newest.max(outcome.revision());
        }
        let deed = Deed::Txn {
            request,
            txn: txn.clone(),
            answer: answer.clone(),
        };
        self.record(&meeting, deed, answer == Answer::Unknown);
        answer
    }

    async fn read(&mut self) {
        let mode = match self.random.random_range(0..5) {
            0 => Mode::Stale,
            1 => {
                let back = self.random.random_range(0..BACK_MAX);
                Mode::Exact(self.newest.saturating_sub(back))
            }
            _ => Mode::Linearizable,
        };
        let (select, asked) = self.question(mode);
        let place = self.place();
        let (meeting, result) = self.ask(place, asked).await;
        let answer = match result {
            Ok(Response::Read(read)) => Answer::Known(self.learn(&read)),
            Ok(_) => Answer::Failed,
            Err(error) => speech::failure(&error),
        };
        let is_unknown = answer == Answer::Unknown;
        let deed = Deed::Read {
            mode,
            select,
            answer,
        };
        self.record(&meeting, deed, is_unknown);
    }

    fn question(&mut self, mode: Mode) -> (Select, Request) {
        let asked = speech::mode(mode);
        if self.random.random_bool(0.3) {
            let prefix = Request::List {
                prefix: Bytes::new(),
                mode: asked,
                limit: LIST_MAX,
                after: None,
            };
            return (Select::Prefix(speech::key(b"")), prefix);
        }
        let first = self.random.random_range(0..KEYS);
        let keys: Vec<_> = (first..KEYS.min(first + 3)).map(named).collect();
        let get = Request::Get {
            keys: speech::keys(&keys),
            mode: asked,
        };
        (Select::Keys(keys), get)
    }

    fn learn(&mut self, read: &Read) -> Snapshot {
        let snapshot = speech::snapshot(read);
        self.newest = self.newest.max(snapshot.revision);
        for (key, item) in &snapshot.items {
            self.keys.insert(Key::clone(key), item.mod_revision);
        }
        snapshot
    }

    async fn ask(
        &mut self,
        place: usize,
        request: Request,
    ) -> (Meeting, Result<Response, CallError>) {
        let scene = Arc::clone(&self.scene);
        let seat = &scene.seats[place];
        let before = seat.replica();
        let began = scene.now();
        let result = seat.client.call(request, PATIENCE).await;
        let meeting = Meeting {
            began,
            ended: scene.now(),
            replica: scene.met(seat, before),
        };
        (meeting, result)
    }

    /// Records a call; nobody waited for an answer that is unknown.
    fn record(&mut self, meeting: &Meeting, deed: Deed, is_unknown: bool) {
        self.number += 1;
        self.scene.record(Call {
            client: self.id,
            number: self.number,
            replica: meeting.replica,
            began: meeting.began,
            ended: (!is_unknown).then_some(meeting.ended),
            deed,
        });
    }

    fn key(&mut self) -> Key {
        named(self.random.random_range(0..KEYS))
    }

    fn place(&mut self) -> usize {
        self.random.random_range(0..self.scene.seats.len())
    }
}

fn named(number: u32) -> Key {
    speech::key(format!("k{number}").as_bytes())
}
