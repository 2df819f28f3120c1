//! What webhooks said. A computation that needs an answer it has not got leaves the question here
//! and ends undecided; whoever may talk to the network asks, notes the answer, and computes again.
//! Answers are known by content, so computing again with the same object asks nobody twice.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::notes::Notes;
use super::review::Verdict;
use super::webhooks::Webhook;
use crate::conversion::{self, Wanted};
use crate::status::Failure;

/// What a question and its answer are known by.
pub type Key = [u8; 32];

/// Something to ask a webhook.
#[derive(Clone, Debug)]
pub struct Question {
    /// Of webhook and content.
    pub key: Key,
    /// Whom to ask.
    pub hook: Arc<Webhook>,
    /// `request` of the AdmissionReview; its uid is given when it is sent.
    pub request: Value,
    /// The answer may change the object.
    pub mutating: bool,
}

impl Question {
    /// A question with its key.
    #[must_use]
    pub fn new(hook: &Arc<Webhook>, request: Value, mutating: bool) -> Self {
        let hash = Sha256::new()
            .chain_update(hook.revision.to_be_bytes())
            .chain_update(hook.configuration.len().to_be_bytes())
            .chain_update(&hook.configuration)
            .chain_update(hook.name.len().to_be_bytes())
            .chain_update(&hook.name)
            .chain_update([u8::from(mutating)])
            .chain_update(request.to_string());
        Self {
            key: hash.finalize().into(),
            hook: Arc::clone(hook),
            request,
            mutating,
        }
    }
}

/// What came of a question.
#[derive(Clone, Debug, PartialEq)]
pub enum Ruling {
    /// The webhook answered.
    Answered(Verdict),
    /// It did not, or not so that it could be understood; why.
    Failed(String),
}

/// Answers of one request, and the questions that are open.
#[derive(Debug, Default)]
pub struct Rulings(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    known: BTreeMap<Key, Arc<Ruling>>,
    open: BTreeMap<Key, Question>,
    converted: BTreeMap<conversion::Key, Result<Value, Failure>>,
    wanted: BTreeMap<conversion::Key, Wanted>,
    notes: Notes,
}

impl Rulings {
    /// The answer, if it is known; otherwise the question is noted.
    pub fn ask(&self, question: Question) -> Option<Arc<Ruling>> {
        let mut state = self.state();
        let known = state.known.get(&question.key).cloned();
        if known.is_none() {
            state.open.insert(question.key, question);
        }
        known
    }

    /// The open questions; they are open no more.
    #[must_use]
    pub fn take(&self) -> Vec<Question> {
        std::mem::take(&mut self.state().open)
            .into_values()
            .collect()
    }

    /// Notes an answer.
    pub fn learn(&self, key: Key, ruling: Ruling) {
        self.state().known.insert(key, Arc::new(ruling));
    }

    /// What a conversion came to, if it is known; otherwise it is noted.
    pub fn convert(&self, wanted: Wanted) -> Option<Result<Value, Failure>> {
        let mut state = self.state();
        let known = state.converted.get(&wanted.key).cloned();
        if known.is_none() {
            state.wanted.insert(wanted.key, wanted);
        }
        known
    }

    /// The conversions that are wanted; they are wanted no more.
    #[must_use]
    pub fn take_wanted(&self) -> Vec<Wanted> {
        std::mem::take(&mut self.state().wanted)
            .into_values()
            .collect()
    }

    /// A computation begins: what an earlier one noted did not come to pass.
    pub fn begin(&self) {
        self.state().notes = Notes::default();
    }

    /// Notes for the audit log what a computation finds.
    pub fn note<T>(&self, find: impl FnOnce(&mut Notes) -> T) -> T {
        let mut notes = std::mem::take(&mut self.state().notes);
        let found = find(&mut notes);
        self.state().notes = notes;
        found
    }

    /// Notes what a conversion came to.
    pub fn learn_converted(&self, key: conversion::Key, outcome: Result<Value, Failure>) {
        self.state().converted.insert(key, outcome);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
