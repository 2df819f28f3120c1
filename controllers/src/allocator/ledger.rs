//! `Ledger`: the accounts of all agents, and the cluster's total.

use std::collections::BTreeMap;

use manifests::resources::Resources;

use super::account::{Account, Payer, Source};
use crate::model::{Name, plus};

/// The accounts of all agents.
#[derive(Debug, Default)]
pub struct Ledger {
    accounts: BTreeMap<Name, Account>,
    total: Resources,
}

impl Ledger {
    /// The account of an agent; made empty and closed when there is none yet, because a task or an
    /// offer may be seen before its agent.
    pub fn account(&mut self, agent: &Name) -> &mut Account {
        self.accounts.entry(agent.clone()).or_default()
    }

    /// The account of an agent.
    #[must_use]
    pub fn get(&self, agent: &str) -> Option<&Account> {
        self.accounts.get(agent)
    }

    /// All accounts, by agent.
    pub fn iter(&self) -> impl Iterator<Item = (&Name, &Account)> {
        self.accounts.iter()
    }

    /// All accounts, by agent.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&Name, &mut Account)> {
        self.accounts.iter_mut()
    }

    /// Scalars of all agents together: what shares are fractions of.
    #[must_use]
    pub fn total(&self) -> &Resources {
        &self.total
    }

    /// Sets what an agent has.
    pub fn resize(&mut self, agent: &Name, total: Resources) {
        let account = self.account(agent);
        if account.total == total {
            return;
        }
        account.total = total;
        account.refresh();
        let sum = |sum: Resources, account: &Account| plus(&sum, &account.total.without_ports());
        self.total = self.accounts.values().fold(Resources::default(), sum);
    }

    /// Charges a payer on an agent.
    pub fn charge(&mut self, agent: &Name, payer: &Payer, source: &Source, amount: &Resources) {
        self.account(agent).charge(payer, source, amount);
    }

    /// Takes a charge back.
    pub fn release(&mut self, agent: &Name, payer: &Payer, source: &Source, amount: &Resources) {
        self.account(agent).release(payer, source, amount);
    }
}
