//! The kinds that are not ours: which there are, and the heads of their objects.

use std::sync::Arc;

use kube::core::PartialObjectMeta;

use super::Garbage;
use crate::event::Seen;
use crate::model::{Head, Parse, Sort, Thing};

impl Garbage {
    /// The resources of the API, as discovery has them now. Objects of a kind that went, went too.
    pub fn sorts(&mut self, sorts: Vec<Arc<Sort>>) {
        let went: Vec<Arc<Sort>> = self.heads.keys().cloned().collect();
        for sort in went.into_iter().filter(|sort| !sorts.contains(sort)) {
            let heads = self.heads.remove(&sort).unwrap_or_default();
            for head in heads.iter() {
                let thing = Thing {
                    sort: Arc::clone(&sort),
                    key: head.key.clone(),
                };
                self.note(&thing, Some(&head.meta), None);
            }
            self.alive.retain(|_, of| *of != sort);
        }
        self.sorts = sorts;
        self.look_at_all();
    }

    /// The head of an object, or a mark of a list, of a kind that is not ours.
    pub fn head(&mut self, sort: &Arc<Sort>, seen: Seen<PartialObjectMeta>, now_ms: u64) {
        let shelf = self.heads.entry(Arc::clone(sort)).or_default();
        let thing = |head: &Head| Thing {
            sort: Arc::clone(sort),
            key: head.key.clone(),
        };
        match seen {
            Seen::Reset => shelf.reset(),
            Seen::Item(item) => {
                let head = Head::parse(*item, now_ms);
                let this = thing(&head);
                if head.matters() {
                    let Some(delta) = shelf.put(head.key.clone(), head) else {
                        return;
                    };
                    let old = delta.old.as_deref().map(|old| &old.meta);
                    self.note(&this, old, delta.new.as_deref().map(|new| &new.meta));
                } else if let Some(delta) = shelf.remove(&head.key) {
                    let old = delta.old.as_deref().map(|old| &old.meta);
                    self.note(&this, old, Some(&head.meta));
                }
            }
            Seen::Gone(item) => {
                let head = Head::parse(*item, now_ms);
                let known = shelf.remove(&head.key).and_then(|delta| delta.old);
                self.departed(&head.meta.uid);
                if let Some(old) = known {
                    self.note(&thing(&head), Some(&old.meta), None);
                }
            }
            Seen::Synced(version) => {
                for old in shelf
                    .sync(version)
                    .into_iter()
                    .filter_map(|delta| delta.old)
                {
                    self.note(&thing(&old), Some(&old.meta), None);
                }
                // Some may have gone unseen between two watches.
                self.alive.retain(|_, of| of != sort);
                self.look_at_all();
            }
        }
    }

    /// True once every object that may depend on something is known.
    pub(super) fn is_whole(&self) -> bool {
        let known = |sort: &Arc<Sort>| self.heads.get(sort).is_some_and(|heads| heads.synced());
        !self.sorts.is_empty() && self.sorts.iter().all(|sort| sort.is_ours() || known(sort))
    }

    fn look_at_all(&mut self) {
        self.dirty.append(&mut self.held);
        self.dirty
            .extend(self.dependents.values().flatten().cloned());
    }
}
