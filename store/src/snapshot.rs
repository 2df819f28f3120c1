//! A consistent view of the whole store at one revision. Structurally shared, so taking one costs nothing.

use std::ops::Bound;

use bytes::Bytes;
use imbl::OrdSet;

use crate::item::{Item, Revision};
use crate::slot::{Slot, Window};

/// Everything the store held at one revision. Cloning is a reference count.
///
/// Values that are not in memory are read from disk as they are asked for, which blocks, mostly for the microsecond that
/// the page cache takes. Where one cannot be read, or is not what was written, the replica is stopped and the reader's
/// task ends: it unwinds with the reason, without the panic hook. Keys, revisions and numbers are always in memory.
#[derive(Clone, Debug, Default)]
pub struct View {
    pub(crate) slots: OrdSet<Slot>,
    pub(crate) revision: Revision,
}

impl View {
    /// The revision this view shows.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The item under the key.
    pub fn get(&self, key: &[u8]) -> Option<Item> {
        self.slot(key).map(read)
    }

    /// The revision at which the key's value was last changed.
    pub fn revision_of(&self, key: &[u8]) -> Option<Revision> {
        self.slot(key).map(|slot| slot.numbers().mod_revision)
    }

    /// Bytes of key and value under the key.
    pub(crate) fn size(&self, key: &[u8]) -> Option<usize> {
        self.slot(key).map(Slot::len)
    }

    /// Bytes of all keys and values. Looks at each.
    pub(crate) fn bytes(&self) -> u64 {
        self.iter().map(|slot| slot.len() as u64).sum()
    }

    /// Items between the bounds, in key order.
    pub fn range(&self, start: Bound<&[u8]>, end: Bound<&[u8]>) -> impl Iterator<Item = Item> {
        let mut window = Window::default();
        let slots = self.slots_between(start, end);
        slots.map(move |slot| listed(slot, &mut window))
    }

    /// Items whose key starts with the prefix, in key order.
    pub fn prefix(&self, prefix: &[u8]) -> impl Iterator<Item = Item> {
        let mut window = Window::default();
        let slots = self.slots_under(prefix);
        slots.map(move |slot| listed(slot, &mut window))
    }

    /// Keys that start with the prefix, in order, each with the revision at which its value was last changed.
    pub fn keys(&self, prefix: &[u8]) -> impl Iterator<Item = (Bytes, Revision)> {
        let slots = self.slots_under(prefix);
        slots.map(|slot| (slot.shared_key(), slot.numbers().mod_revision))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter()
    }

    pub(crate) fn slot(&self, key: &[u8]) -> Option<&Slot> {
        self.slots.get(key)
    }

    pub(crate) fn slots_between(
        &self,
        start: Bound<&[u8]>,
        end: Bound<&[u8]>,
    ) -> impl Iterator<Item = &Slot> {
        let bounds = if is_empty(start, end) {
            NOTHING
        } else {
            (start, end)
        };
        self.slots.range::<_, [u8]>(bounds)
    }

    fn slots_under(&self, prefix: &[u8]) -> impl Iterator<Item = &Slot> {
        let end = successor(prefix);
        let bounds = (
            Bound::Included(prefix),
            end.as_deref().map_or(Bound::Unbounded, Bound::Excluded),
        );
        self.slots.range::<_, [u8]>(bounds)
    }

    /// Number of items.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// True when the store holds nothing.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }
}

fn read(slot: &Slot) -> Item {
    slot.item().unwrap_or_else(|unread| unread.abandon())
}

fn listed(slot: &Slot, window: &mut Window) -> Item {
    let item = window.item(slot);
    item.unwrap_or_else(|unread| unread.abandon())
}

/// A range no key lies in; the tree panics on inverted bounds, so they are replaced by this one.
const NOTHING: (Bound<&[u8]>, Bound<&[u8]>) = (Bound::Unbounded, Bound::Excluded(&[]));

fn is_empty(start: Bound<&[u8]>, end: Bound<&[u8]>) -> bool {
    match (start, end) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Included(low), Bound::Included(high)) => low > high,
        (Bound::Included(low) | Bound::Excluded(low), Bound::Excluded(high))
        | (Bound::Excluded(low), Bound::Included(high)) => low >= high,
    }
}

/// The least key greater than every key with this prefix; none when the prefix is all 0xff.
fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|&byte| byte != 0xff)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn successors() {
        for (prefix, end) in [
            (&b"a"[..], Some(b"b".to_vec())),
            (b"a\xff", Some(b"b".to_vec())),
            (b"/t/", Some(b"/t0".to_vec())),
            (b"\xff\xff", None),
            (b"", None),
        ] {
            assert_eq!(successor(prefix), end, "{prefix:?}");
        }
    }

    #[test]
    fn inverted_bounds_are_empty_not_a_panic() {
        let view = View::default();
        let bounds = [b"a", b"b"].map(|key| &key[..]);
        assert_eq!(
            view.range(Bound::Included(bounds[1]), Bound::Excluded(bounds[0]))
                .count(),
            0
        );
        assert_eq!(
            view.range(Bound::Excluded(bounds[0]), Bound::Excluded(bounds[0]))
                .count(),
            0
        );
    }
}
