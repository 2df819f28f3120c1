//! The same things in the words of the store and in those of the judge, who shares no code with it.

use std::sync::Arc;

use bytes::Bytes;

use crate::check::history as told;
use crate::node::CallError;
use crate::node::wire::{Change, Mode, Read};

pub(super) fn key(bytes: &[u8]) -> told::Key {
    Arc::from(bytes)
}

fn bytes(key: &told::Key) -> Bytes {
    Bytes::copy_from_slice(key)
}

pub(super) fn txn(txn: &told::Txn, request_id: u128, stamp_ms: u64) -> store::Txn {
    store::Txn {
        request_id,
        stamp_ms,
        guards: txn.guards.iter().map(guard).collect(),
        ops: txn.ops.iter().map(op).collect(),
    }
}

fn guard(guard: &told::Guard) -> store::Guard {
    match guard {
        told::Guard::Exists(key) => store::Guard::Exists(bytes(key)),
        told::Guard::Absent(key) => store::Guard::Absent(bytes(key)),
        told::Guard::RevisionIs { key, revision } => store::Guard::Revision {
            key: bytes(key),
            revision: *revision,
        },
    }
}

fn op(op: &told::Op) -> store::Op {
    match op {
        told::Op::Put { key, value } => store::Op::Put {
            key: bytes(key),
            value: bytes(value),
        },
        told::Op::Delete { key } => store::Op::Delete { key: bytes(key) },
    }
}

pub(super) fn outcome(outcome: store::TxnOutcome) -> told::Outcome {
    match outcome {
        store::TxnOutcome::Applied {
            revision,
            revisions,
        } => told::Outcome::Applied {
            revision,
            revisions,
        },
        store::TxnOutcome::Refused {
            guard, revision, ..
        } => told::Outcome::Refused { guard, revision },
    }
}

pub(super) fn mode(mode: told::Mode) -> Mode {
    match mode {
        told::Mode::Linearizable => Mode::Linearizable,
        told::Mode::Exact(revision) => Mode::AtRevision(revision),
        told::Mode::Stale => Mode::Stale,
    }
}

pub(super) fn keys(keys: &[told::Key]) -> Vec<Bytes> {
    keys.iter().map(bytes).collect()
}

pub(super) fn snapshot(read: &Read) -> told::Snapshot {
    let items = read.items.iter().map(|item| {
        let told = told::Item {
            value: key(&item.value),
            create_revision: item.create_revision,
            mod_revision: item.mod_revision,
            version: item.version,
        };
        (key(&item.key), told)
    });
    told::Snapshot {
        revision: read.revision,
        items: items.collect(),
    }
}

pub(super) fn event(change: &Change, at: told::Nanos) -> told::Event {
    let value = |item: &Option<store::Item>| item.as_ref().map(|item| key(&item.value));
    told::Event {
        at,
        revision: change.revision,
        key: key(&change.key),
        new: value(&change.new),
        old: value(&change.old),
    }
}

/// What is known of a call that has no answer.
pub(super) fn failure<T>(error: &CallError) -> told::Answer<T> {
    if error.is_unknown() {
        told::Answer::Unknown
    } else {
        told::Answer::Failed
    }
}
