//! The net is proved by putting bugs back: each mutant lies in one place of the store, and the ordeal
//! that guards this place must catch it.

use std::fmt;

use crate::Outcome;
use crate::ordeal::linear::{self, Trouble};
use crate::ordeal::power::{self, Hit};
use crate::ordeal::{Verdict, votes};

/// Rounds after which a mutant counts as not caught.
pub const ROUNDS_MAX: u64 = 12;

/// A lie of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Mutant {
    /// Writes are acknowledged before they are in the log.
    AckBeforeFsync,
    /// The log is written and never synced.
    SkippedFsync,
    /// A leader answers linearizable reads without asking whether it leads still.
    StaleRead,
    /// A change is missing in the history that feeds watches.
    LostWatchEvent,
    /// A vote is given before it is on disk.
    VoteReordered,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::AckBeforeFsync,
        Self::SkippedFsync,
        Self::StaleRead,
        Self::LostWatchEvent,
        Self::VoteReordered,
    ];

    /// One round of the ordeal that should catch it; without the lie, it must be stood.
    ///
    /// # Errors
    /// With the violation, or with what kept the ordeal from its end.
    pub async fn round(self, seed: u64, seconds: u64, lies: bool) -> Outcome<Verdict> {
        let lie = |text: &'static str| if lies { text } else { "" };
        match self {
            Self::AckBeforeFsync => {
                linear(seed, seconds, Trouble::KillAll, lie("wal-write=lie")).await
            }
            Self::SkippedFsync => power(seed, lie("wal-sync=lie")).await,
            Self::StaleRead => {
                let trouble = Trouble::IsolateLeader;
                linear(seed, seconds, trouble, lie("read-index=lie")).await
            }
            // Armed for single changes, now and then.
            Self::LostWatchEvent if lies => linear(seed, seconds, Trouble::ForgetChanges, "").await,
            Self::LostWatchEvent => linear(seed, seconds, Trouble::Peace, "").await,
            Self::VoteReordered => votes(lie("wal-vote=lie")).await,
        }
    }
}

async fn linear(seed: u64, seconds: u64, trouble: Trouble, faults: &str) -> Outcome<Verdict> {
    let options = linear::Options {
        seed,
        seconds,
        trouble,
        faults: faults.to_owned(),
    };
    Box::pin(linear::run(&options)).await
}

async fn power(seed: u64, faults: &str) -> Outcome<Verdict> {
    let options = power::Options {
        trials: 3,
        nodes: Hit::All,
        rate: 500,
        faults: faults.to_owned(),
        seed,
    };
    power::run(&options).await
}

async fn votes(faults: &str) -> Outcome<Verdict> {
    let options = votes::Options {
        elections: 5,
        faults: faults.to_owned(),
    };
    votes::run(&options).await
}

/// How a mutant fared.
#[derive(Clone, Debug)]
pub struct Fate {
    /// Which.
    pub mutant: Mutant,
    /// Rounds run, the one that caught it among them.
    pub rounds: u64,
    /// What it was caught by; none when it got away.
    pub violation: Option<String>,
}

/// Runs rounds until the mutant is caught, with one seed after another.
///
/// # Errors
/// When the honest store does not stand the same ordeal: then a failure proves nothing.
pub async fn hunt(mutant: Mutant, seed: u64, seconds: u64) -> Outcome<Fate> {
    let honest = Box::pin(mutant.round(seed, seconds, false)).await;
    honest.map_err(|fault| fault.while_doing(&format!("{mutant:?}, without its lie")))?;
    for round in 1..=ROUNDS_MAX {
        let stood = Box::pin(mutant.round(seed + round - 1, seconds, true)).await;
        if let Err(violation) = stood {
            return Ok(Fate {
                mutant,
                rounds: round,
                violation: Some(violation.to_string()),
            });
        }
    }
    Ok(Fate {
        mutant,
        rounds: ROUNDS_MAX,
        violation: None,
    })
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mutant = format!("{:?}", self.mutant);
        let violation = self.violation.as_deref().unwrap_or("NOT CAUGHT");
        let first = violation.lines().next().unwrap_or_default();
        write!(f, "{mutant:<16} {:>2} rounds  {first}", self.rounds)
    }
}
