//! One change, decoded and encoded at most once for all its watchers.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde_json::Value;
use store::{Change, Item, Revision};

use crate::keys;
use crate::object;
use crate::selector::Selector;

/// What a watcher is told of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The object is there, or begins to be selected.
    Added,
    /// The object changed.
    Modified,
    /// The object is gone, or ceases to be selected.
    Deleted,
}

impl Kind {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
        }
    }
}

/// One change of one object.
#[derive(Debug)]
pub struct Event {
    change: Arc<Change>,
    /// The last state under the revision of the change, as DELETED events carry it.
    gone: Option<Item>,
    new_value: OnceLock<Value>,
    old_value: OnceLock<Value>,
    frames: [OnceLock<Bytes>; 3],
}

impl Event {
    /// Wraps a change of the store.
    #[must_use]
    pub fn new(change: Arc<Change>) -> Self {
        let gone = change.old.clone().map(|old| Item {
            mod_revision: change.revision,
            ..old
        });
        Self {
            change,
            gone,
            new_value: OnceLock::new(),
            old_value: OnceLock::new(),
            frames: [const { OnceLock::new() }; 3],
        }
    }

    /// The revision of the change.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.change.revision
    }

    /// Which object changed; none if the key is not one of ours.
    #[must_use]
    pub fn parts(&self) -> Option<keys::Parts<'_>> {
        keys::parse(&self.change.key)
    }

    /// True when the object is gone.
    #[must_use]
    pub fn is_delete(&self) -> bool {
        self.change.new.is_none()
    }

    /// The object after the change.
    #[must_use]
    pub fn new_value(&self) -> Option<&Value> {
        let item = self.change.new.as_ref()?;
        Some(self.new_value.get_or_init(|| object::decode(item)))
    }

    /// The object before the change, under the revision of the change.
    #[must_use]
    pub fn old_value(&self) -> Option<&Value> {
        let item = self.gone.as_ref()?;
        Some(self.old_value.get_or_init(|| object::decode(item)))
    }

    /// What a watcher with this selector is told, if anything. A change that makes an object
    /// match is an addition to that watcher, one that makes it match no more a deletion.
    #[must_use]
    pub fn kind_for(&self, selector: &Selector) -> Option<Kind> {
        let selects = |item: Option<&Item>, value: fn(&Self) -> Option<&Value>| {
            // The text rules most objects out without parsing them.
            item.is_some_and(|item| {
                selector.is_everything()
                    || selector.may_match(object::text(item))
                        && value(self).is_some_and(|value| selector.matches(value))
            })
        };
        let new = selects(self.change.new.as_ref(), Self::new_value);
        let old = selects(self.change.old.as_ref(), Self::old_value);
        match (old, new) {
            (false, false) => None,
            (false, true) => Some(Kind::Added),
            (true, true) => Some(Kind::Modified),
            (true, false) => Some(Kind::Deleted),
        }
    }

    /// The stored object an event of this kind shows.
    #[must_use]
    pub fn item(&self, kind: Kind) -> Option<&Item> {
        match kind {
            Kind::Added | Kind::Modified => self.change.new.as_ref(),
            Kind::Deleted => self.gone.as_ref(),
        }
    }

    /// The line that tells it, made once and shared by all watchers.
    #[must_use]
    pub fn frame(&self, kind: Kind) -> Bytes {
        let make = || match self.item(kind) {
            Some(item) => frame(kind.as_str(), |out| object::append_to(out, item)),
            None => Bytes::new(),
        };
        self.frames[kind as usize].get_or_init(make).clone()
    }
}

/// One line of a watch: `{"type":...,"object":...}`.
#[must_use]
pub fn frame(kind: &str, object: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let mut out = Vec::with_capacity(1024);
    out.extend_from_slice(b"{\"type\":\"");
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(b"\",\"object\":");
    object(&mut out);
    out.extend_from_slice(b"}\n");
    out.shrink_to_fit();
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Descriptor;
    use serde_json::json;

    fn item(agent: &str, revision: u64) -> Item {
        let object = json!({
            "apiVersion": "stoa.dev/v1", "kind": "Task", "metadata": {"name": "x", "labels": {"a": agent}},
            "spec": {"agent": agent},
        });
        Item {
            key: Bytes::from_static(b"/stoa.dev/tasks/default/x"),
            value: object::encode(&object),
            create_revision: 1,
            mod_revision: revision,
            version: 1,
        }
    }

    fn event(old: Option<&str>, new: Option<&str>) -> Event {
        Event::new(Arc::new(Change {
            revision: 9,
            key: Bytes::from_static(b"/stoa.dev/tasks/default/x"),
            old: old.map(|agent| item(agent, 5)),
            new: new.map(|agent| item(agent, 9)),
            stamp_ms: 0,
        }))
    }

    #[test]
    fn transitions() {
        let resource = Descriptor {
            selectable: vec!["spec.agent".into()],
            ..Descriptor::default()
        };
        let by_field = Selector::parse("", "spec.agent=a1", &resource).unwrap();
        let by_label = Selector::parse("a=a1", "", &resource).unwrap();
        for (old, new, filtered, all) in [
            (None, Some("a1"), Some(Kind::Added), Some(Kind::Added)),
            (None, Some("a2"), None, Some(Kind::Added)),
            (
                Some("a2"),
                Some("a1"),
                Some(Kind::Added),
                Some(Kind::Modified),
            ),
            (
                Some("a1"),
                Some("a1"),
                Some(Kind::Modified),
                Some(Kind::Modified),
            ),
            (
                Some("a1"),
                Some("a2"),
                Some(Kind::Deleted),
                Some(Kind::Modified),
            ),
            (Some("a1"), None, Some(Kind::Deleted), Some(Kind::Deleted)),
            (Some("a2"), None, None, Some(Kind::Deleted)),
        ] {
            let event = event(old, new);
            assert_eq!(event.kind_for(&by_field), filtered, "{old:?} {new:?}");
            assert_eq!(event.kind_for(&by_label), filtered, "{old:?} {new:?}");
            assert_eq!(event.kind_for(&Selector::default()), all, "{old:?} {new:?}");
        }
    }

    #[test]
    fn frames_are_single_lines_with_the_right_version() {
        let event = event(Some("a1"), Some("a2"));
        for (kind, agent) in [
            (Kind::Added, "a2"),
            (Kind::Modified, "a2"),
            (Kind::Deleted, "a1"),
        ] {
            let line = event.frame(kind);
            assert_eq!(line.iter().filter(|&&byte| byte == b'\n').count(), 1);
            let value: Value = serde_json::from_slice(&line).unwrap();
            assert_eq!(value["type"], kind.as_str());
            assert_eq!(value["object"]["spec"]["agent"], agent);
            assert_eq!(value["object"]["metadata"]["resourceVersion"], "9");
            assert_eq!(line.as_ptr(), event.frame(kind).as_ptr(), "made once");
        }
    }
}
