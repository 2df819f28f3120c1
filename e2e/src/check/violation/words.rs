//! The sentences of the reports.

use std::fmt::{Display, Formatter, Result};

use crate::check::history::{Client, Item, Key, Nanos, Value};
use crate::check::violation::{
    Name, ReadFault, SequenceFault, TimeFault, WatchFault, Watcher, Who, WriteFault,
};

/// Bytes of a key or a value that are shown.
const SHOWN_MAX: usize = 48;

impl Display for Client {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "client {}", self.0)
    }
}

impl Display for Name {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Self {
            verb,
            client,
            number,
            began,
            ended,
        } = self;
        write!(f, "{verb} #{number} of {client} ({}", seconds(*began))?;
        match ended {
            Some(ended) => write!(f, " to {} s)", seconds(*ended)),
            None => write!(f, " s, never answered)"),
        }
    }
}

impl Display for Who {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Base => write!(f, "everybody at the start"),
            Self::Call(name) => name.fmt(f),
            Self::Watch { client, number } => write!(f, "watch #{number} of {client}"),
        }
    }
}

impl Display for Watcher {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Log => write!(f, "the final log"),
            Self::Client {
                client,
                number,
                part,
            } => {
                write!(f, "watch #{number} of {client}, part {part},")
            }
        }
    }
}

impl Display for WriteFault {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let words = match self {
            Self::Lost {
                told,
                instead: None,
            } => {
                format!("was acknowledged at revision {told}, and its change is lost")
            }
            Self::Lost {
                told,
                instead: Some(key),
            } => {
                let key = shown(key);
                format!(
                    "was acknowledged at revision {told}, and its change is lost: {key} changed there instead"
                )
            }
            Self::DuplicateRevision { revision, other } => {
                format!("was told revision {revision}, where the change of {other} stands")
            }
            Self::Half { first, present, of } => {
                format!(
                    "was half applied: {present} of its {of} changes stand at revision {first} and after"
                )
            }
            Self::Twice { first, again } => {
                format!("was applied at revision {first} and once more at revision {again}")
            }
            Self::DespiteGuard { guard, at } => {
                format!("was applied after revision {at} although its guard {guard} did not hold")
            }
            Self::DespiteRefusal { revision } => {
                format!("was refused, and its change stands at revision {revision}")
            }
            Self::DespiteFailure { revision } => {
                format!(
                    "was said not to have happened, and its change stands at revision {revision}"
                )
            }
            Self::Elsewhere { told, stands } => {
                format!("was told revision {told}, and its change stands at revision {stands}")
            }
            Self::Told { told, expected } => {
                format!("was told the revisions {told:?}, and its operations took {expected:?}")
            }
            Self::RefusedInVain { guard, at } => {
                format!("was refused at revision {at} for its guard {guard}, and all guards held")
            }
            Self::WrongGuard { told, failed, at } => {
                format!(
                    "was refused at revision {at} for its guard {told}, and guard {failed} was the first to fail"
                )
            }
            Self::Torn { at } => {
                format!("was decided at revision {at}, in the middle of another transaction")
            }
            Self::Beyond { at, last } => {
                format!("was decided at revision {at}, and the last is {last}")
            }
            Self::AnsweredOtherwise { before } => {
                format!("was answered otherwise than {before} of the same request")
            }
        };
        f.write_str(&words)
    }
}

impl Display for ReadFault {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let words = match self {
            Self::Content {
                at,
                key,
                told,
                expected,
            } => {
                let (key, told, expected) = (shown(key), stored(told), stored(expected));
                format!("at revision {at} saw {key} {told}, and it was {expected}")
            }
            Self::Torn { at } => {
                format!("saw revision {at}, in the middle of a transaction")
            }
            Self::Beyond { at, last } => format!("saw revision {at}, and the last is {last}"),
            Self::NotAsked { asked, told } => {
                format!("asked for revision {asked} and was shown revision {told}")
            }
        };
        f.write_str(&words)
    }
}

impl Display for TimeFault {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let words = match self {
            Self::Backwards { at, seen, by } => {
                format!("was at revision {at}, and {by} had seen revision {seen} before it began")
            }
            Self::Future { at, seen, by } => {
                format!(
                    "took effect up to revision {at}, and {by} had seen revision {seen} before it began"
                )
            }
            Self::ReplicaBackwards { at, seen, by } => {
                format!("saw revision {at} on a replica that had shown revision {seen} to {by}")
            }
        };
        f.write_str(&words)
    }
}

impl Display for WatchFault {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let words = match self {
            Self::Lost { first, count } => {
                format!("left out {count} changes, the first at revision {first}")
            }
            Self::Twice { revision } => format!("told revision {revision} twice"),
            Self::Disorder { revision, after } => {
                format!("told revision {revision} after revision {after}")
            }
            Self::Old { revision, asked } => {
                format!("told revision {revision}, and was asked for changes after {asked}")
            }
            Self::Wrong {
                revision,
                told,
                expected: None,
            } => {
                format!(
                    "told at revision {revision} that {}, where nothing changed",
                    moved(told)
                )
            }
            Self::Wrong {
                revision,
                told,
                expected: Some(expected),
            } => {
                let (told, expected) = (moved(told), moved(expected));
                format!("told at revision {revision} that {told}, and in truth {expected}")
            }
            Self::ResumedPast { known, resumed } => {
                format!(
                    "was resumed after revision {resumed} when it had come to {known}, past changes"
                )
            }
            Self::NotCompacted { known, oldest } => {
                format!(
                    "had come to revision {known} and was told that only {oldest} and later is kept, which reaches"
                )
            }
        };
        f.write_str(&words)
    }
}

impl Display for SequenceFault {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let words = match self {
            Self::Gap { revision } => {
                format!("nobody knows a change at revision {revision}, and there are later ones")
            }
            Self::Unexplained {
                revision,
                key,
                value,
            } => {
                let (key, value) = (shown(key), change(value.as_ref()));
                format!("at revision {revision} {key} became {value}, which nobody asked for")
            }
            Self::Final {
                key,
                told,
                expected,
            } => {
                let (key, told, expected) = (shown(key), stored(told), stored(expected));
                format!("in the end {key} is {told}, and the changes lead to {expected}")
            }
        };
        f.write_str(&words)
    }
}

fn seconds(at: Nanos) -> String {
    format!("{}.{:09}", at / 1_000_000_000, at % 1_000_000_000)
}

fn shown(bytes: &[u8]) -> String {
    let cut = &bytes[..bytes.len().min(SHOWN_MAX)];
    let more = if cut.len() < bytes.len() { "…" } else { "" };
    format!("`{}{more}`", cut.escape_ascii())
}

fn change(value: Option<&Value>) -> String {
    value.map_or_else(|| "absent".to_owned(), |value| shown(value))
}

fn stored(item: &Option<Item>) -> String {
    let Some(Item {
        value,
        create_revision,
        mod_revision,
        version,
    }) = item
    else {
        return "absent".to_owned();
    };
    let value = shown(value);
    format!("{value} (created at {create_revision}, changed at {mod_revision}, version {version})")
}

fn moved((key, old, new): &(Key, Option<Value>, Option<Value>)) -> String {
    let (old, new) = (change(old.as_ref()), change(new.as_ref()));
    format!("{} went from {old} to {new}", shown(key))
}
