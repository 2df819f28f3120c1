//! What was wrong, told so that a human finds the operations in the record.

use std::fmt;
use std::mem::discriminant;

use crate::check::history::{Call, Client, Deed, Item, Key, Mode, Nanos, Revision, Value};

mod words;

/// Kept of each kind: one lost write makes thousands of wrong reads, which must not bury it.
const KIND_MAX: usize = 3;

/// A call, as reports name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// What was called.
    pub verb: &'static str,
    /// Who called.
    pub client: Client,
    /// The caller's own count.
    pub number: u32,
    /// When the call began.
    pub began: Nanos,
    /// When it ended, if it did.
    pub ended: Option<Nanos>,
}

impl Name {
    /// Of the call.
    pub fn of(call: &Call) -> Self {
        Self {
            verb: match &call.deed {
                Deed::Txn { .. } => "transaction",
                Deed::Read {
                    mode: Mode::Linearizable,
                    ..
                } => "linearizable read",
                Deed::Read {
                    mode: Mode::Exact(_),
                    ..
                } => "exact read",
                Deed::Read {
                    mode: Mode::Stale, ..
                } => "stale read",
            },
            client: call.client,
            number: call.number,
            began: call.began,
            ended: call.ended,
        }
    }
}

/// Who had seen a revision before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// The state before the first call.
    Base,
    /// A caller.
    Call(Name),
    /// A watcher.
    Watch {
        /// Who watches.
        client: Client,
        /// The watcher's own count.
        number: u32,
    },
}

/// A watch, or the final log, which is read like one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watcher {
    /// The final log.
    Log,
    /// A client's watch.
    Client {
        /// Who watches.
        client: Client,
        /// The watcher's own count.
        number: u32,
        /// Which part, counted from 0.
        part: usize,
    },
}

/// One promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// A transaction did not do what it was said to do.
    Write(Name, WriteFault),
    /// A read did not show the state it was said to show.
    Read(Name, ReadFault),
    /// An operation took effect outside of its time.
    Time(Name, TimeFault),
    /// A watch did not tell every change once and in order.
    Watch(Watcher, WatchFault),
    /// The sequence of changes makes no sense.
    Sequence(SequenceFault),
}

impl Violation {
    fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Write(_, one), Self::Write(_, two)) => discriminant(one) == discriminant(two),
            (Self::Read(_, one), Self::Read(_, two)) => discriminant(one) == discriminant(two),
            (Self::Time(_, one), Self::Time(_, two)) => discriminant(one) == discriminant(two),
            (Self::Watch(_, one), Self::Watch(_, two)) => discriminant(one) == discriminant(two),
            (Self::Sequence(one), Self::Sequence(two)) => discriminant(one) == discriminant(two),
            (
                Self::Write(..)
                | Self::Read(..)
                | Self::Time(..)
                | Self::Watch(..)
                | Self::Sequence(_),
                _,
            ) => false,
        }
    }
}

/// What is wrong with a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteFault {
    /// It was acknowledged, and its change is not there.
    Lost {
        /// The revision it was told.
        told: Revision,
        /// The key that changed there instead.
        instead: Option<Key>,
    },
    /// It was acknowledged with the revision of another one.
    DuplicateRevision {
        /// The revision.
        revision: Revision,
        /// The one whose change stands there.
        other: Name,
    },
    /// Only a part of its changes stands together.
    Half {
        /// Where its changes begin.
        first: Revision,
        /// How many stand there.
        present: usize,
        /// How many there should be.
        of: usize,
    },
    /// It took effect again.
    Twice {
        /// First here.
        first: Revision,
        /// Then here.
        again: Revision,
    },
    /// It took effect although a guard did not hold.
    DespiteGuard {
        /// The guard's index.
        guard: usize,
        /// The state's revision in which it does not hold.
        at: Revision,
    },
    /// It took effect although it had been refused.
    DespiteRefusal {
        /// The revision of its change.
        revision: Revision,
    },
    /// It took effect although it was said not to have happened.
    DespiteFailure {
        /// The revision of its change.
        revision: Revision,
    },
    /// It stands at another revision than it was told.
    Elsewhere {
        /// The revision it was told.
        told: Revision,
        /// The revision of its change.
        stands: Revision,
    },
    /// It was told other revisions than its operations took.
    Told {
        /// What it was told, for each operation.
        told: Vec<Revision>,
        /// What it should have been told.
        expected: Vec<Revision>,
    },
    /// It was refused, and all guards held.
    RefusedInVain {
        /// The guard it was refused for.
        guard: usize,
        /// The revision of the refusal.
        at: Revision,
    },
    /// It was refused for another guard than the first that failed.
    WrongGuard {
        /// The guard it was refused for.
        told: usize,
        /// The first that failed.
        failed: usize,
        /// The revision of the refusal.
        at: Revision,
    },
    /// It was decided in the middle of another transaction.
    Torn {
        /// The revision it was decided at.
        at: Revision,
    },
    /// It was decided at a revision that never was.
    Beyond {
        /// The revision it was decided at.
        at: Revision,
        /// The last there is.
        last: Revision,
    },
    /// A retry was told something else.
    AnsweredOtherwise {
        /// The attempt that was told first.
        before: Name,
    },
}

/// What is wrong with a read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadFault {
    /// Its items are not those of its revision.
    Content {
        /// The revision it was told.
        at: Revision,
        /// The first key that differs.
        key: Key,
        /// What it was told.
        told: Option<Item>,
        /// What it should have been told.
        expected: Option<Item>,
    },
    /// It saw some changes of a transaction and not the others.
    Torn {
        /// The revision it was told.
        at: Revision,
    },
    /// It saw a revision that never was.
    Beyond {
        /// The revision it was told.
        at: Revision,
        /// The last there is.
        last: Revision,
    },
    /// It asked for one revision and was told of another.
    NotAsked {
        /// The revision it asked for.
        asked: Revision,
        /// The revision it was told.
        told: Revision,
    },
}

/// What is wrong with the time of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimeFault {
    /// It was decided at an older revision than somebody had seen before it began.
    Backwards {
        /// Its revision.
        at: Revision,
        /// The revision that had been seen.
        seen: Revision,
        /// Who had seen it.
        by: Who,
    },
    /// Somebody had seen its change before it began.
    Future {
        /// Its revision.
        at: Revision,
        /// The revision that had been seen.
        seen: Revision,
        /// Who had seen it.
        by: Who,
    },
    /// The replica had shown this client a later state.
    ReplicaBackwards {
        /// Its revision.
        at: Revision,
        /// The revision that had been seen.
        seen: Revision,
        /// Who had seen it.
        by: Who,
    },
}

/// What is wrong with a watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchFault {
    /// Changes were left out.
    Lost {
        /// The first of them.
        first: Revision,
        /// How many.
        count: usize,
    },
    /// A change was told again.
    Twice {
        /// Its revision.
        revision: Revision,
    },
    /// A change was told after a later one.
    Disorder {
        /// Its revision.
        revision: Revision,
        /// The later one's.
        after: Revision,
    },
    /// A change was told that is older than what was asked for.
    Old {
        /// Its revision.
        revision: Revision,
        /// Changes after this revision were asked for.
        asked: Revision,
    },
    /// A change was told that was not so.
    Wrong {
        /// Its revision.
        revision: Revision,
        /// What was told: key, value before, value after.
        told: (Key, Option<Value>, Option<Value>),
        /// What happened there, if anything.
        expected: Option<(Key, Option<Value>, Option<Value>)>,
    },
    /// It was resumed later than it had come, past changes.
    ResumedPast {
        /// The last revision it knew of.
        known: Revision,
        /// Where it was resumed.
        resumed: Revision,
    },
    /// It was told that its history is gone, and that the history after its position is kept.
    NotCompacted {
        /// The last revision it knew of.
        known: Revision,
        /// The oldest that is kept.
        oldest: Revision,
    },
}

/// What is wrong with the sequence of changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SequenceFault {
    /// Nobody was told of a change at this revision, and there are later ones.
    Gap {
        /// The revision.
        revision: Revision,
    },
    /// No request explains the change.
    Unexplained {
        /// Its revision.
        revision: Revision,
        /// The key that changed.
        key: Key,
        /// Its new value.
        value: Option<Value>,
    },
    /// The final state is not what the changes lead to.
    Final {
        /// The first key that differs.
        key: Key,
        /// What it has.
        told: Option<Item>,
        /// What it should have.
        expected: Option<Item>,
    },
}

/// Violations so far, few enough to be read.
#[derive(Debug, Default)]
pub(super) struct Violations {
    kept: Vec<Violation>,
}

impl Violations {
    pub(super) fn add(&mut self, violation: Violation) {
        let same = |kept: &&Violation| kept.is_like(&violation);
        if self.kept.iter().filter(same).count() < KIND_MAX {
            self.kept.push(violation);
        }
    }

    pub(super) fn into_vec(self) -> Vec<Violation> {
        self.kept
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write(name, fault) => write!(f, "{name} {fault}"),
            Self::Read(name, fault) => write!(f, "{name} {fault}"),
            Self::Time(name, fault) => write!(f, "{name} {fault}"),
            Self::Watch(watcher, fault) => write!(f, "{watcher} {fault}"),
            Self::Sequence(fault) => fault.fmt(f),
        }
    }
}
