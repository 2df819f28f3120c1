//! `stoa-e2e store catchup`.

use std::fmt;

use crate::Outcome;
use crate::ordeal::{Verdict, catchup};

/// Flags.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Items in the store.
    #[arg(long, default_value_t = 1_000_000)]
    items: u64,
    /// Bytes of each value.
    #[arg(long, default_value_t = 1_024)]
    value: usize,
    /// Writes each second.
    #[arg(long, default_value_t = 2_000)]
    rate: u32,
}

impl Args {
    pub(super) async fn run(&self) -> Outcome<Verdict> {
        catchup::run(&catchup::Options::new(self.items, self.value, self.rate)).await
    }
}

impl fmt::Display for Args {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { items, value, rate } = self;
        write!(f, "catchup --items {items} --value {value} --rate {rate}")
    }
}
