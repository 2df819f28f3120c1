//! Disks run full, to the last byte, under load: reads and deletions go on, what needs room is refused
//! or goes to a leader that has some, and once there is room again writes go on by themselves.

use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use store::{Op, Txn, TxnError, TxnOutcome};

use crate::bench::Figure;
use crate::bench::figure::{Bar, milliseconds};
use crate::nemesis::Disks;
use crate::node::wire::Mode;
use crate::node::{CallError, Client};
use crate::ordeal::Verdict;
use crate::ordeal::ledger::{Ledger, dump};
use crate::ordeal::load::{Load, Shape, now_ms};
use crate::rig::{Plan, Stores};
use crate::{Fault, Outcome, fault, wait};

/// Room for a few segments of the log, the state, and what is kept back for a checkpoint.
const DISK_MEBIBYTES: u64 = 256;
const KEYS: u64 = 1_000;
const VALUE_BYTES: usize = 4_096;
/// In one transaction.
const DELETES: usize = 100;
/// Longest until a full disk is felt, and until an emptied one is.
const FELT_MAX: Duration = Duration::from_secs(60);
/// Bar of the time from room to the next acknowledged write.
const BACK_MAX_MS: f64 = 5_000.0;

/// What is done, and how often.
#[derive(Clone, Debug)]
pub struct Options {
    /// Times that disks run full: in turn the leader's, and all of them.
    pub rounds: usize,
    /// Writes each second.
    pub rate: u32,
}

struct Ordeal {
    // Dropped first: a disk cannot be unmounted under a process.
    stores: Stores,
    disks: Disks,
    ledger: Ledger,
    next: u64,
    /// Items that are written while there is room, to be deleted when there is none.
    ballast: u64,
}

/// Fills disks as often as told.
///
/// # Errors
/// When a promise did not hold.
pub async fn run(options: &Options) -> Outcome<Verdict> {
    let root = tempfile::tempdir()?;
    let mut ordeal = Ordeal::start(root.path()).await?;
    let mut longest = Duration::ZERO;
    for round in 1..=options.rounds {
        let stood = ordeal.round(options.rate, round % 2 == 0).await;
        let back = stood.map_err(|fault| fault.while_doing(&format!("round {round}")))?;
        longest = longest.max(back);
    }
    let end = ordeal.stores.converged().await?;
    Ok(Verdict {
        words: format!(
            "{} times disks ran full, in turn the leader's and all: no node stopped, all of {} \
             acknowledged writes were there each time; revision {}, digest {:032x} everywhere",
            options.rounds,
            ordeal.ledger.count(),
            end.revision,
            end.digest
        ),
        figures: vec![Figure::new(
            "longest time from room to the next acknowledged write",
            milliseconds(longest),
            "ms",
            Bar::AtMost(BACK_MAX_MS),
        )],
    })
}

impl Ordeal {
    async fn start(root: &Path) -> Outcome<Self> {
        let mut plan = Plan::new(3, root).limit("resident-bytes", 1 << 20);
        let disks = Disks::below(&mut plan, root, DISK_MEBIBYTES)?;
        Ok(Self {
            stores: Stores::start(plan).await?,
            disks,
            ledger: Ledger::new(KEYS),
            next: 0,
            ballast: 0,
        })
    }

    /// How long after there was room the next write was acknowledged.
    async fn round(&mut self, rate: u32, everybody: bool) -> Outcome<Duration> {
        let leader = self.stores.leader().await?;
        let victims = if everybody {
            self.stores.names()
        } else {
            vec![leader.clone()]
        };
        self.ballast += 1;
        let client = self.stores.client(&leader)?;
        let first = put(&client, self.ballast).await;
        first.map_err(|e| Fault::from(e).while_doing("the first write"))?;
        let shape = Shape {
            rate,
            keys: KEYS,
            value_bytes: VALUE_BYTES,
            first: self.next,
        };
        let load = Load::start(self.stores.clients(), shape);
        load.first_after(Instant::now()).await?;
        for name in &victims {
            self.disks.of(name)?.fill()?;
        }
        if everybody {
            self.without_room().await?;
        } else {
            self.with_another_leader(&load, &leader).await?;
        }
        for name in &victims {
            self.disks.of(name)?.empty()?;
        }
        let back = load.first_after(Instant::now()).await?;
        self.growing().await?;
        self.drop_ballast().await?;
        let log = load.stop().await?;
        self.next = log.next;
        let whose = if everybody {
            "all disks"
        } else {
            "the leader's disk"
        };
        let (acks, failed) = (log.acks.len(), log.failed.len());
        eprintln!("{whose} ran full: {acks} writes, {failed} refused; back after {back:?}");
        self.ledger.absorb(&log)?;
        self.judge().await?;
        Ok(back)
    }

    /// Somebody with room leads, and writes go on.
    async fn with_another_leader(&self, load: &Load, full: &str) -> Outcome<()> {
        wait::until("a leader with room", FELT_MAX, async || {
            let leads = self.stores.leader().await?;
            fault::ensure(leads != full, || format!("`{full}` still leads"))
        })
        .await?;
        load.first_after(Instant::now()).await?;
        self.reads().await
    }

    /// What needs room is refused in words that say why; reading and deleting work.
    async fn without_room(&mut self) -> Outcome<()> {
        let clients = self.stores.clients();
        let mut number = self.ballast;
        wait::until("a refusal for want of room", FELT_MAX, async || {
            let client = &clients[usize::try_from(number).unwrap_or(0) % clients.len()];
            match put(client, number + 1).await {
                Err(CallError::Told(TxnError::LowSpace)) => Ok(()),
                Ok(_) => {
                    number += 1;
                    Err(Fault::new("there is room still"))
                }
                Err(other) => Err(other.into()),
            }
        })
        .await?;
        self.ballast = number;
        self.reads().await?;
        let op = Op::Delete {
            key: ballast(number),
        };
        write(&clients[0], vec![op]).await?;
        let running = self.stores.live().len();
        fault::ensure(running == clients.len(), || {
            format!("only {running} nodes still run")
        })
    }

    /// Every replica answers with what is newest.
    async fn reads(&self) -> Outcome<()> {
        for name in self.stores.names() {
            let client = self.stores.client(&name)?;
            let read = client.get(vec![ballast(1)], Mode::Linearizable).await;
            let read = read?;
            fault::ensure(read.items.len() == 1, || {
                format!("`{name}` does not know what was written")
            })?;
        }
        Ok(())
    }

    /// What needs room is taken again.
    async fn growing(&mut self) -> Outcome<()> {
        let client = self.stores.client(&self.stores.leader().await?)?;
        let number = self.ballast + 1;
        wait::until("a new item to be taken", FELT_MAX, async || {
            Ok(put(&client, number).await.map(drop)?)
        })
        .await?;
        self.ballast = number;
        Ok(())
    }

    /// All but the first, which is read each time: what is kept of every round would fill the disks for good.
    async fn drop_ballast(&mut self) -> Outcome<()> {
        let client = self.stores.client(&self.stores.leader().await?)?;
        let numbers: Vec<u64> = (2..=self.ballast).collect();
        for some in numbers.chunks(DELETES) {
            let delete = |number: &u64| Op::Delete {
                key: ballast(*number),
            };
            write(&client, some.iter().map(delete).collect()).await?;
        }
        self.ballast = self.ballast.min(1);
        Ok(())
    }

    async fn judge(&mut self) -> Outcome<()> {
        self.stores.converged().await?;
        for name in self.stores.names() {
            let there = dump(&self.stores.client(&name)?).await?;
            let judged = self.ledger.judge(&there);
            judged.map_err(|fault| fault.while_doing(&format!("replica `{name}`")))?;
        }
        Ok(())
    }
}

fn ballast(number: u64) -> Bytes {
    format!("ballast/{number}").into()
}

async fn put(client: &Client, number: u64) -> Result<TxnOutcome, CallError> {
    let op = Op::Put {
        key: ballast(number),
        value: vec![b'.'; VALUE_BYTES].into(),
    };
    write(client, vec![op]).await
}

async fn write(client: &Client, ops: Vec<Op>) -> Result<TxnOutcome, CallError> {
    let txn = Txn {
        request_id: 0,
        stamp_ms: now_ms(),
        guards: Vec::new(),
        ops,
    };
    client.txn(txn).await
}
