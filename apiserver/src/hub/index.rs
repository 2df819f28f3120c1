//! Who has to hear of a change: watchers, filed by what narrows them most. Pure.
//!
//! Each watcher lies in exactly one drawer, so a change costs only the watchers in the drawers it
//! opens: a thousand agents that watch their own tasks cost nothing for each other's.

use std::collections::BTreeMap;

use super::event::Event;
use crate::selector::Selector;
use crate::selector::field::value_at;

/// What a watcher watches.
#[derive(Clone, Debug, Default)]
pub struct Interest {
    /// API group.
    pub group: String,
    /// Plural.
    pub plural: String,
    /// Only this namespace.
    pub namespace: Option<String>,
    /// What is selected.
    pub selector: Selector,
}

impl Interest {
    /// True if the object may concern the watcher at all, before its selector is asked.
    #[must_use]
    pub fn covers(&self, event: &Event) -> bool {
        event.parts().is_some_and(|parts| {
            parts.group == self.group
                && parts.plural == self.plural
                && self
                    .namespace
                    .as_deref()
                    .is_none_or(|own| parts.namespace == Some(own))
        })
    }

    fn drawer(&self) -> Drawer {
        if let Some((path, value)) = self.selector.narrowest() {
            Drawer::Field(path.to_owned(), value.to_owned())
        } else if let Some(name) = self.selector.exact_field("metadata.name") {
            Drawer::Name(name.to_owned())
        } else if let Some(namespace) = &self.namespace {
            Drawer::Namespace(namespace.clone())
        } else {
            Drawer::All
        }
    }
}

/// A place where watchers are filed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Drawer {
    All,
    Namespace(String),
    Name(String),
    Field(String, String),
}

/// All watchers with their drawers. `W` is what the hub keeps of a watcher.
#[derive(Debug)]
pub struct Index<W> {
    resources: BTreeMap<(String, String), Cabinet<W>>,
    next: u64,
}

/// The watchers of one resource.
#[derive(Debug)]
struct Cabinet<W> {
    drawers: BTreeMap<Drawer, BTreeMap<u64, W>>,
    /// Fields somebody selects by, with the number of watchers that do. Nothing else is looked up,
    /// so a resource that nobody selects by field is never parsed.
    fields: BTreeMap<String, usize>,
}

impl<W> Default for Index<W> {
    fn default() -> Self {
        Self {
            resources: BTreeMap::new(),
            next: 0,
        }
    }
}

impl<W> Default for Cabinet<W> {
    fn default() -> Self {
        Self {
            drawers: BTreeMap::new(),
            fields: BTreeMap::new(),
        }
    }
}

impl<W> Index<W> {
    /// Files a watcher; the number takes it out again.
    pub fn insert(&mut self, interest: &Interest, watcher: W) -> u64 {
        self.next += 1;
        let cabinet = self.resources.entry(resource(interest)).or_default();
        let drawer = interest.drawer();
        if let Drawer::Field(path, _) = &drawer {
            *cabinet.fields.entry(path.clone()).or_default() += 1;
        }
        cabinet
            .drawers
            .entry(drawer)
            .or_default()
            .insert(self.next, watcher);
        self.next
    }

    /// Takes a watcher out, with everything that only it needed.
    pub fn remove(&mut self, interest: &Interest, id: u64) -> Option<W> {
        let cabinet = self.resources.get_mut(&resource(interest))?;
        let drawer = interest.drawer();
        let watchers = cabinet.drawers.get_mut(&drawer)?;
        let removed = watchers.remove(&id)?;
        if watchers.is_empty() {
            cabinet.drawers.remove(&drawer);
        }
        if let Drawer::Field(path, _) = &drawer
            && let Some(count) = cabinet.fields.get_mut(path)
        {
            *count -= 1;
            if *count == 0 {
                cabinet.fields.remove(path);
            }
        }
        if cabinet.drawers.is_empty() {
            self.resources.remove(&resource(interest));
        }
        Some(removed)
    }

    /// The watchers a change may concern.
    pub fn route<'a>(&'a self, event: &Event) -> impl Iterator<Item = (u64, &'a W)> + use<'a, W> {
        let opened = self.opened(event);
        opened
            .into_iter()
            .flatten()
            .map(|(&id, watcher)| (id, watcher))
    }

    /// All watchers of a resource.
    pub fn of_resource(&self, group: &str, plural: &str) -> impl Iterator<Item = (u64, &W)> {
        let cabinet = self.resources.get(&(group.to_owned(), plural.to_owned()));
        let drawers = cabinet
            .into_iter()
            .flat_map(|cabinet| cabinet.drawers.values());
        drawers.flatten().map(|(&id, watcher)| (id, watcher))
    }

    /// All watchers.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &W)> {
        let drawers = self
            .resources
            .values()
            .flat_map(|cabinet| cabinet.drawers.values());
        drawers.flatten().map(|(&id, watcher)| (id, watcher))
    }

    fn opened(&self, event: &Event) -> Vec<&BTreeMap<u64, W>> {
        let Some(parts) = event.parts() else {
            return Vec::new();
        };
        let key = (parts.group.to_owned(), parts.plural.to_owned());
        let Some(cabinet) = self.resources.get(&key) else {
            return Vec::new();
        };
        let mut wanted = vec![Drawer::All, Drawer::Name(parts.name.to_owned())];
        wanted.extend(
            parts
                .namespace
                .map(|namespace| Drawer::Namespace(namespace.to_owned())),
        );
        for path in cabinet.fields.keys() {
            // Both values: a watcher of the old one has to hear that the object left it.
            let values = [event.new_value(), event.old_value()];
            let present = values.into_iter().flatten();
            wanted.extend(present.map(|value| Drawer::Field(path.clone(), value_at(value, path))));
        }
        wanted.sort();
        wanted.dedup();
        wanted
            .iter()
            .filter_map(|drawer| cabinet.drawers.get(drawer))
            .collect()
    }
}

fn resource(interest: &Interest) -> (String, String) {
    (interest.group.clone(), interest.plural.clone())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use serde_json::json;
    use store::{Change, Item};

    use super::*;
    use crate::object;
    use crate::registry::Descriptor;

    fn event(namespace: &str, name: &str, old: Option<&str>, new: Option<&str>) -> Event {
        let key = Bytes::from(format!("/stoa.dev/tasks/{namespace}/{name}"));
        let item = |agent: &str| Item {
            key: key.clone(),
            value: object::encode(&json!({
                "kind": "Task", "apiVersion": "stoa.dev/v1",
                "metadata": {"name": name, "namespace": namespace}, "spec": {"agent": agent},
            })),
            create_revision: 1,
            mod_revision: 1,
            version: 1,
        };
        let (old, new) = (old.map(item), new.map(item));
        Event::new(Arc::new(Change {
            revision: 2,
            key: key.clone(),
            old,
            new,
            stamp_ms: 0,
        }))
    }

    #[test]
    fn routing_opens_only_the_drawers_that_matter() {
        let resource = Descriptor {
            selectable: vec!["spec.agent".into()],
            ..Descriptor::default()
        };
        let interest = |plural: &str, namespace: Option<&str>, fields: &str| Interest {
            group: "stoa.dev".into(),
            plural: plural.into(),
            namespace: namespace.map(String::from),
            selector: Selector::parse("", fields, &resource).unwrap(),
        };
        let watchers = [
            ("all", interest("tasks", None, "")),
            ("ns", interest("tasks", Some("a"), "")),
            ("other-ns", interest("tasks", Some("b"), "")),
            ("name", interest("tasks", Some("a"), "metadata.name=x")),
            ("a1", interest("tasks", None, "spec.agent=a1")),
            (
                "a2",
                interest("tasks", None, "spec.agent=a2,metadata.name!=y"),
            ),
            ("not-a1", interest("tasks", None, "spec.agent!=a1")),
            ("offers", interest("offers", None, "")),
        ];
        let mut index = Index::default();
        let ids: Vec<u64> = watchers
            .iter()
            .map(|(name, interest)| index.insert(interest, *name))
            .collect();
        for (event, expected) in [
            (event("a", "x", None, Some("a1")), "a1 all name not-a1 ns"),
            (
                event("b", "y", Some("a1"), Some("a2")),
                "a1 a2 all not-a1 other-ns",
            ),
            (event("c", "y", Some("a3"), None), "all not-a1"),
        ] {
            let mut found: Vec<_> = index.route(&event).map(|(_, name)| *name).collect();
            found.sort_unstable();
            assert_eq!(found.join(" "), expected);
        }
        assert_eq!(index.of_resource("stoa.dev", "offers").count(), 1);
        for (id, (name, interest)) in ids.iter().zip(&watchers) {
            assert_eq!(index.remove(interest, *id), Some(*name));
            assert_eq!(index.remove(interest, *id), None);
        }
        assert!(index.resources.is_empty(), "nothing is left behind");
    }
}
