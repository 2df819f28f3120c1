//! Values that follow one another in a file, as those of a list mostly do, are read many at once.

use std::sync::Arc;

use bytes::Bytes;

use super::{Extent, Slot, Value};
use crate::item::Item;
use crate::values::{Unread, ValueFile};

/// Read at once, and skipped at most between two values of a list.
const AHEAD: usize = 64 << 10;

/// What was read last, for the values after it.
#[derive(Debug, Default)]
pub(crate) struct Window {
    /// Where the last value was.
    last: Option<(Arc<ValueFile>, u64)>,
    /// What the file holds there and behind, as far as it was read.
    begin: u64,
    bytes: Bytes,
}

impl Window {
    /// The item. Blocks when its value has to be read from disk.
    pub(crate) fn item(&mut self, slot: &Slot) -> Result<Item, Unread> {
        let extent = match &*slot.place() {
            Value::Resident(_) => None,
            Value::OnDisk(extent) => Some(extent.clone()),
        };
        let Some(extent) = extent else {
            return slot.item();
        };
        if !self.is_in(&extent.file) {
            self.bytes = Bytes::new();
        }
        if self.precedes(&extent) && self.find(slot, &extent).is_none() {
            self.begin = extent.offset;
            self.bytes = extent.file.ahead(extent.offset, AHEAD).into();
        }
        let value = match self.find(slot, &extent) {
            Some(value) => value,
            None => slot.value()?,
        };
        self.last = Some((extent.file, extent.offset));
        Ok(slot.with(value))
    }

    fn is_in(&self, file: &Arc<ValueFile>) -> bool {
        let last = self.last.as_ref();
        last.is_some_and(|(last, _)| Arc::ptr_eq(last, file))
    }

    /// Whether the value lies behind the last one, and not far.
    fn precedes(&self, extent: &Extent) -> bool {
        self.last.as_ref().is_some_and(|(file, offset)| {
            let near = *offset..=offset + AHEAD as u64;
            Arc::ptr_eq(file, &extent.file) && near.contains(&extent.offset)
        })
    }

    /// The value, if it was read, and read right.
    fn find(&self, slot: &Slot, extent: &Extent) -> Option<Bytes> {
        let from = usize::try_from(extent.offset.checked_sub(self.begin)?).ok()?;
        let to = from.checked_add(extent.len as usize)?;
        if to > self.bytes.len() {
            return None;
        }
        let value = self.bytes.slice(from..to);
        (slot.checksum(&value) == extent.crc).then_some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::NUMBERS;
    use super::*;

    /// A file with values that follow one another, and their slots.
    fn filed(count: u32, len: usize) -> (Vec<Slot>, Vec<Bytes>, Vec<u8>) {
        let values: Vec<Bytes> = (0..count).map(|n| vec![n as u8; len].into()).collect();
        let slots = (0..count).map(|n| Slot::new(&n.to_be_bytes(), &values[n as usize], NUMBERS));
        (slots.collect(), values.clone(), values.concat())
    }

    fn evict(slots: &[Slot], len: usize, file: &Arc<ValueFile>) {
        for (n, slot) in (0..).zip(slots) {
            slot.evict(file, n * len as u64);
        }
    }

    #[test]
    fn a_list_reads_the_same_in_few_reads() {
        let (slots, values, content) = filed(500, 1000);
        let file = ValueFile::of(&content, 7);
        evict(&slots, 1000, &file);
        let resident = Slot::new(b"resident", b"here", NUMBERS);
        let mut window = Window::default();
        for (slot, value) in slots.iter().zip(&values) {
            assert_eq!(window.item(slot).unwrap().value, value);
            assert_eq!(window.item(&resident).unwrap().value, b"here"[..]);
        }
        // The first one, then 65 at a time.
        assert_eq!(file.reads(), 1 + 499_u64.div_ceil(65));
        // Backwards there is nothing to win, and nothing to lose.
        for (slot, value) in slots.iter().zip(&values).rev() {
            assert_eq!(window.item(slot).unwrap(), slot.item().unwrap());
            assert_eq!(window.item(slot).unwrap().value, value);
        }
        // From one file to another.
        let other = ValueFile::of(&content, 8);
        evict(&slots[200..], 1000, &other);
        let mut window = Window::default();
        for (n, slot) in slots.iter().enumerate() {
            let value = if n < 200 { n } else { n - 200 };
            let read = window.item(slot);
            assert_eq!(read.is_ok(), n < 200, "{n} is {value} there");
        }
    }

    /// What was read of one file is never taken for what is in another, whatever the checksums say.
    #[test]
    fn a_window_is_of_one_file() {
        let (slots, values, content) = filed(10, 1000);
        let (one, other) = (ValueFile::of(&content, 7), ValueFile::of(&content, 8));
        evict(&slots, 1000, &one);
        let mut window = Window::default();
        for slot in &slots[..5] {
            window.item(slot).unwrap();
        }
        evict(&slots, 1000, &other);
        for (n, slot) in slots.iter().enumerate() {
            assert_eq!(window.item(slot).unwrap().value, values[n]);
        }
        assert_eq!((one.reads(), other.reads()), (2, 2));
    }

    #[test]
    fn what_is_damaged_is_not_shown_by_a_list() {
        let (slots, _, mut content) = filed(10, 1000);
        content[5_500] ^= 1;
        evict(&slots, 1000, &ValueFile::of(&content, 7));
        let mut window = Window::default();
        for (n, slot) in slots.iter().enumerate() {
            assert_eq!(window.item(slot).is_ok(), n != 5, "{n}");
        }
    }

    #[test]
    fn a_list_ends_where_the_file_does() {
        let (slots, _, content) = filed(10, 1000);
        evict(&slots, 1000, &ValueFile::of(&content[..8_500], 7));
        let mut window = Window::default();
        for (n, slot) in slots.iter().enumerate() {
            assert_eq!(window.item(slot).is_ok(), n < 8, "{n}");
        }
    }
}
