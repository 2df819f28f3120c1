//! `stoa-e2e store mutants`.

use std::fmt;

use clap::ValueEnum;

use crate::ordeal::Verdict;
use crate::ordeal::mutants::{Fate, Mutant, hunt};
use crate::{Fault, Outcome};

/// Flags.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The first round's seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How long each round of random calls lasts.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Only this one.
    #[arg(long, value_enum)]
    only: Option<Mutant>,
}

impl Args {
    pub(super) async fn run(&self) -> Outcome<Verdict> {
        let all = Mutant::ALL.into_iter();
        let mut fates = Vec::new();
        for mutant in all.filter(|mutant| self.only.is_none_or(|only| only == *mutant)) {
            let fate = Box::pin(hunt(mutant, self.seed, self.seconds)).await?;
            eprintln!("{fate}");
            fates.push(fate);
        }
        let table: Vec<_> = fates.iter().map(Fate::to_string).collect();
        if fates.iter().all(|fate| fate.violation.is_some()) {
            return Ok(Verdict {
                words: format!("{}\nall {} were caught", table.join("\n"), fates.len()),
                figures: Vec::new(),
            });
        }
        Err(Fault::new(format!("not caught\n{}", table.join("\n"))))
    }
}

impl fmt::Display for Args {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, seconds, .. } = self;
        write!(f, "mutants --seed {seed} --seconds {seconds}")?;
        match self.only.and_then(|mutant| mutant.to_possible_value()) {
            None => Ok(()),
            Some(mutant) => write!(f, " --only {}", mutant.get_name()),
        }
    }
}
