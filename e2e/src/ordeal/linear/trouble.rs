//! What goes wrong during a run: one fault at a time, each healed before the next, in the order the
//! dice say.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use crate::node::wire::Request;
use crate::ordeal::linear::Options;
use crate::ordeal::linear::scene::Scene;
use crate::rig::Stores;
use crate::{Fault, Outcome};

/// Longest peace between two faults.
const PEACE_MAX_MS: u64 = 700;
/// How long a fault lasts: shorter and longer than an election.
const FAULT_MS: std::ops::Range<u64> = 100..4_000;
/// How long a leader is cut off when nothing else goes wrong: elections take up to two seconds.
const CUT_OFF: Duration = Duration::from_secs(4);

/// Which kinds of trouble there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Kills, pauses, partitions and transfers of leadership.
    Everything,
    /// All nodes die at the same moment.
    KillAll,
    /// The leader is cut off from the others, while clients reach it still.
    IsolateLeader,
    /// Some replica leaves a change out of its history.
    ForgetChanges,
    /// Nothing goes wrong.
    Peace,
}

impl Trouble {
    pub(super) fn cuts(self) -> bool {
        match self {
            Self::Everything | Self::IsolateLeader => true,
            Self::KillAll | Self::ForgetChanges | Self::Peace => false,
        }
    }
}

/// Makes trouble, and remembers it.
pub(super) struct Maker<'a> {
    stores: &'a mut Stores,
    scene: &'a Scene,
    trouble: Trouble,
    partitions: bool,
    random: StdRng,
    faults: Vec<String>,
}

impl<'a> Maker<'a> {
    pub(super) fn new(
        stores: &'a mut Stores,
        scene: &'a Scene,
        options: &Options,
        partitions: bool,
    ) -> Self {
        Self {
            stores,
            scene,
            trouble: options.trouble,
            partitions,
            random: StdRng::seed_from_u64(options.seed),
            faults: Vec::new(),
        }
    }

    /// Makes trouble until then; everything is healed afterwards. The faults, in words.
    pub(super) async fn run(&mut self, end: Instant) -> Outcome<Vec<String>> {
        while Instant::now() < end {
            self.rest(0..PEACE_MAX_MS).await;
            match self.trouble {
                Trouble::Everything => self.anything().await?,
                Trouble::KillAll => self.kill_all().await?,
                Trouble::IsolateLeader => self.isolate_leader().await?,
                Trouble::ForgetChanges => self.forget_a_change().await?,
                Trouble::Peace => {}
            }
        }
        Ok(std::mem::take(&mut self.faults))
    }

    async fn anything(&mut self) -> Outcome<()> {
        let leader = self.stores.leader().await?;
        let victim = if self.random.random_bool(0.5) {
            leader
        } else {
            self.anybody()?
        };
        match self.random.random_range(0..6) {
            0 | 1 => self.kill(&victim).await,
            2 => self.pause(&victim).await,
            3 => self.transfer(&victim).await,
            _ if !self.partitions => self.pause(&victim).await,
            4 => self.isolate(&victim).await,
            _ => self.cut_one_way(&victim).await,
        }
    }

    async fn kill(&mut self, victim: &str) -> Outcome<()> {
        self.note(&format!("`{victim}` is killed"));
        self.stores.kill(victim).await?;
        self.rest(FAULT_MS).await;
        self.revive(victim)?;
        self.stores.serving(victim).await
    }

    async fn kill_all(&mut self) -> Outcome<()> {
        self.note("all are killed");
        self.stores.kill_all().await?;
        for name in self.stores.names() {
            self.revive(&name)?;
        }
        self.stores.ready().await
    }

    fn revive(&mut self, name: &str) -> Outcome<()> {
        self.scene.reborn(name)?;
        self.stores.restart(name)
    }

    async fn pause(&mut self, victim: &str) -> Outcome<()> {
        self.note(&format!("`{victim}` is paused"));
        self.stores.pause(victim)?;
        self.rest(FAULT_MS).await;
        self.stores.resume(victim)?;
        self.stores.serving(victim).await
    }

    async fn transfer(&mut self, heir: &str) -> Outcome<()> {
        self.note(&format!("`{heir}` is to lead"));
        let id = self.stores.client(heir)?.status().await?.status.id;
        let leader = self.stores.client(&self.stores.leader().await?)?;
        // A transfer may be refused, by the leader itself for one.
        drop(leader.order(Request::Transfer(id)).await);
        self.stores.leader().await.map(drop)
    }

    async fn isolate(&mut self, victim: &str) -> Outcome<()> {
        self.note(&format!("`{victim}` is cut off"));
        self.stores.net()?.isolate(victim)?;
        self.rest(FAULT_MS).await;
        self.heal(victim).await
    }

    async fn isolate_leader(&mut self) -> Outcome<()> {
        let leader = self.stores.leader().await?;
        self.note(&format!("`{leader}`, who leads, is cut off"));
        self.stores.net()?.isolate(&leader)?;
        tokio::time::sleep(CUT_OFF).await;
        self.heal(&leader).await
    }

    async fn cut_one_way(&mut self, victim: &str) -> Outcome<()> {
        let names = self.stores.names();
        let others: Vec<_> = names.iter().filter(|name| *name != victim).collect();
        let other = others.choose(&mut self.random);
        let other = other.ok_or_else(|| Fault::new("there is nobody else"))?;
        let (from, to) = if self.random.random_bool(0.5) {
            (victim, other.as_str())
        } else {
            (other.as_str(), victim)
        };
        self.note(&format!("nothing `{from}` sends reaches `{to}`"));
        self.stores.net()?.cut(from, to)?;
        self.rest(FAULT_MS).await;
        self.heal(victim).await
    }

    async fn heal(&mut self, victim: &str) -> Outcome<()> {
        self.stores.net()?.heal()?;
        self.stores.serving(victim).await
    }

    async fn forget_a_change(&mut self) -> Outcome<()> {
        let name = self.anybody()?;
        self.note(&format!("`{name}` leaves a change out of its history"));
        self.stores.arm(&name, "history=lie*1").await
    }

    fn anybody(&mut self) -> Outcome<String> {
        let names = self.stores.names();
        let chosen = names.choose(&mut self.random).cloned();
        chosen.ok_or_else(|| Fault::new("there are no nodes"))
    }

    fn note(&mut self, words: &str) {
        let at = self.scene.now() / 1_000_000;
        eprintln!("{at:>7} ms: {words}");
        self.faults.push(format!("{at} ms {words}"));
    }

    async fn rest(&mut self, range: std::ops::Range<u64>) {
        let rest = self.random.random_range(range);
        tokio::time::sleep(Duration::from_millis(rest)).await;
    }
}
