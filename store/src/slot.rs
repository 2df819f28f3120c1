//! An item inside the map. Its value is in memory, or in a file of a checkpoint and read when it is asked for.

mod window;

use std::borrow::Borrow;
use std::cell::RefCell;
use std::cmp::Ordering;
use std::sync::atomic::{AtomicBool, Ordering as Memory};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use triomphe::ThinArc;

use crate::item::{Item, Revision};
use crate::values::{Unread, ValueFile};

pub(crate) use window::Window;

/// Ordered and found by its key alone.
///
/// One word that owns one allocation: the numbers, where the value is, then the key. All views and the history share
/// it, so a value that goes to disk is out of memory for all of them at once, and none of them is copied for it.
#[derive(Clone)]
pub(crate) struct Slot(ThinArc<Head, u8>);

struct Head {
    numbers: Numbers,
    value: Mutex<Value>,
}

/// A million small objects have a million of these.
const _: () = assert!(size_of::<Head>() == 56);

/// The numbers of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Numbers {
    pub(crate) create_revision: Revision,
    pub(crate) mod_revision: Revision,
    pub(crate) version: u64,
}

impl Numbers {
    pub(crate) fn of(item: &Item) -> Self {
        Self {
            create_revision: item.create_revision,
            mod_revision: item.mod_revision,
            version: item.version,
        }
    }
}

enum Value {
    Resident(Resident),
    OnDisk(Extent),
}

/// A value in memory.
#[derive(Clone)]
pub(crate) struct Resident(ThinArc<Fate, u8>);

/// Values take whole multiples of this in memory, header included. Allocators keep a page for one size; in one with
/// nodes of the tree, which are 280 bytes long and stay, values that went to disk would leave holes instead of pages.
const GRAIN: usize = 128;

/// The two counters of a `ThinArc` and `Fate`.
const HEADER: usize = 24;

thread_local! {
    /// A value with what fills up its memory, for a moment.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Kept of it; larger values give theirs back.
const SCRATCH_BYTES: usize = 64 << 10;

/// What is to become of a value in memory.
struct Fate {
    len: u32,
    /// The state has another one: only the past still refers to it, and not for long. It never goes to disk, so that
    /// all values on disk are found in the latest state.
    retired: AtomicBool,
}

/// Where a value lies on disk, and its checksum together with key and numbers.
#[derive(Clone)]
struct Extent {
    file: Arc<ValueFile>,
    offset: u64,
    len: u32,
    crc: u32,
}

impl Slot {
    /// With its value in memory.
    pub(crate) fn new(key: &[u8], value: &[u8], numbers: Numbers) -> Self {
        let head = Head {
            numbers,
            value: Mutex::new(Value::Resident(Resident::new(value, false))),
        };
        Self(ThinArc::from_header_and_slice(head, key))
    }

    pub(crate) fn key(&self) -> &[u8] {
        &self.0.slice
    }

    pub(crate) fn numbers(&self) -> Numbers {
        self.0.header.header.numbers
    }

    pub(crate) fn value_len(&self) -> usize {
        match &*self.place() {
            Value::Resident(value) => value.bytes().len(),
            Value::OnDisk(extent) => extent.len as usize,
        }
    }

    /// Bytes of key and value.
    pub(crate) fn len(&self) -> usize {
        self.key().len() + self.value_len()
    }

    /// What the value takes in memory.
    pub(crate) fn resident_bytes(&self) -> u64 {
        match &*self.place() {
            Value::Resident(value) => value.memory(),
            Value::OnDisk(_) => 0,
        }
    }

    /// The value. One in memory is shared; one on disk is read, which blocks.
    pub(crate) fn value(&self) -> Result<Bytes, Unread> {
        let extent = match &*self.place() {
            Value::Resident(value) => return Ok(Bytes::from_owner(value.clone())),
            Value::OnDisk(extent) => extent.clone(),
        };
        let mut value = Vec::new();
        self.read(&extent, &mut value)?;
        Ok(value.into())
    }

    /// Appends the value. Blocks when it is on disk.
    pub(crate) fn append_value(&self, to: &mut Vec<u8>) -> Result<(), Unread> {
        let extent = match &*self.place() {
            Value::Resident(value) => {
                to.extend_from_slice(value.bytes());
                return Ok(());
            }
            Value::OnDisk(extent) => extent.clone(),
        };
        self.read(&extent, to)
    }

    /// Whether this is the value. One on disk is only read when its checksum does not tell already.
    pub(crate) fn has_value(&self, value: &[u8]) -> Result<bool, Unread> {
        let extent = match &*self.place() {
            Value::Resident(mine) => return Ok(mine.bytes() == value),
            Value::OnDisk(extent) => extent.clone(),
        };
        if extent.len as usize != value.len() || extent.crc != self.checksum(value) {
            return Ok(false);
        }
        let mut mine = Vec::new();
        self.read(&extent, &mut mine)?;
        Ok(mine == value)
    }

    /// The item as readers see it. Blocks when the value is on disk.
    pub(crate) fn item(&self) -> Result<Item, Unread> {
        Ok(self.with(self.value()?))
    }

    fn with(&self, value: Bytes) -> Item {
        let numbers = self.numbers();
        Item {
            key: self.shared_key(),
            value,
            create_revision: numbers.create_revision,
            mod_revision: numbers.mod_revision,
            version: numbers.version,
        }
    }

    /// The key, sharing the slot's memory.
    pub(crate) fn shared_key(&self) -> Bytes {
        Bytes::from_owner(self.clone())
    }

    /// The state lets go of this value, which the past still shows: it is in memory from now on. Returns it, and what
    /// it took there, if it was there before. Blocks when it was not.
    pub(crate) fn retire(&self) -> Result<(Resident, u64), Unread> {
        let mut place = self.place();
        let extent = match &*place {
            Value::Resident(value) => return Ok((value.clone(), value.retire())),
            Value::OnDisk(extent) => extent,
        };
        let mut bytes = Vec::new();
        self.read(extent, &mut bytes)?;
        let value = Resident::new(&bytes, true);
        *place = Value::Resident(value.clone());
        Ok((value, 0))
    }

    /// Has the value read from this place of a file, which holds it, from now on. Returns what was in memory.
    pub(crate) fn evict(&self, file: &Arc<ValueFile>, offset: u64) -> Option<Resident> {
        let mut place = self.place();
        let value = match &mut *place {
            Value::Resident(value) => value,
            Value::OnDisk(extent) => {
                extent.file = Arc::clone(file);
                extent.offset = offset;
                return None;
            }
        };
        let len = value.0.header.header.len;
        if value.is_retired() {
            return None;
        }
        let extent = Extent {
            file: Arc::clone(file),
            offset,
            len,
            crc: self.checksum(value.bytes()),
        };
        match std::mem::replace(&mut *place, Value::OnDisk(extent)) {
            Value::Resident(value) => Some(value),
            Value::OnDisk(_) => None,
        }
    }

    /// Whether the value is read from a file of this owner.
    pub(crate) fn is_read_from(&self, owner: u64) -> bool {
        match &*self.place() {
            Value::Resident(_) => false,
            Value::OnDisk(extent) => extent.file.owner() == owner,
        }
    }

    fn read(&self, extent: &Extent, to: &mut Vec<u8>) -> Result<(), Unread> {
        let whole = |value: &[u8]| self.checksum(value) == extent.crc;
        extent
            .file
            .append(extent.offset, extent.len as usize, to, whole)
    }

    fn checksum(&self, value: &[u8]) -> u32 {
        let numbers = self.numbers();
        let mut hasher = crc32fast::Hasher::new();
        for number in [
            self.key().len() as u64,
            numbers.create_revision,
            numbers.mod_revision,
            numbers.version,
        ] {
            hasher.update(&number.to_le_bytes());
        }
        hasher.update(self.key());
        hasher.update(value);
        hasher.finalize()
    }

    fn place(&self) -> MutexGuard<'_, Value> {
        let value = &self.0.header.header.value;
        value.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Resident {
    fn new(value: &[u8], retired: bool) -> Self {
        let fate = Fate {
            len: u32::try_from(value.len()).expect("a value came in one log entry"),
            retired: AtomicBool::new(retired),
        };
        let padded_len = Self::memory_of(value.len()) as usize - HEADER;
        SCRATCH.with_borrow_mut(|padded| {
            padded.clear();
            padded.extend_from_slice(value);
            padded.resize(padded_len, 0);
            let made = Self(ThinArc::from_header_and_slice(fate, padded));
            padded.shrink_to(SCRATCH_BYTES);
            made
        })
    }

    /// What a value of this length takes, in bytes.
    pub(crate) fn memory_of(len: usize) -> u64 {
        (HEADER + len).next_multiple_of(GRAIN) as u64
    }

    /// What it takes, in bytes.
    pub(crate) fn memory(&self) -> u64 {
        (HEADER + self.0.slice.len()) as u64
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0.slice[..self.0.header.header.len as usize]
    }

    // Both only while the slot's place is locked.
    fn is_retired(&self) -> bool {
        self.0.header.header.retired.load(Memory::Relaxed)
    }

    fn retire(&self) -> u64 {
        let before = self.0.header.header.retired.swap(true, Memory::Relaxed);
        if before { 0 } else { self.memory() }
    }
}

impl AsRef<[u8]> for Resident {
    fn as_ref(&self) -> &[u8] {
        self.bytes()
    }
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slot")
            .field("key", &Bytes::copy_from_slice(self.key()))
            .field("numbers", &self.numbers())
            .field("value_len", &self.value_len())
            .finish()
    }
}

impl AsRef<[u8]> for Slot {
    fn as_ref(&self) -> &[u8] {
        self.key()
    }
}

impl Borrow<[u8]> for Slot {
    fn borrow(&self) -> &[u8] {
        self.key()
    }
}

impl PartialEq for Slot {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Slot {}

impl PartialOrd for Slot {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Slot {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(other.key())
    }
}

#[cfg(test)]
impl Slot {
    /// What the value is read from; empty when it is in memory.
    pub(crate) fn file(&self) -> String {
        match &*self.place() {
            Value::Resident(_) => String::new(),
            Value::OnDisk(extent) => format!("{:?}", extent.file),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) const NUMBERS: Numbers = Numbers {
        create_revision: 3,
        mod_revision: 5,
        version: 2,
    };

    fn slot() -> Slot {
        Slot::new(b"key", b"value", NUMBERS)
    }

    fn value(slot: &Slot) -> Bytes {
        slot.value().unwrap()
    }

    #[test]
    fn a_value_reads_the_same_wherever_it_is() {
        let (slot, file) = (slot(), ValueFile::of(b"..value..", 7));
        let item = slot.item().unwrap();
        assert_eq!((slot.resident_bytes(), slot.len()), (128, 8));
        assert!(!slot.is_read_from(7));
        assert_eq!(slot.evict(&file, 2).unwrap().bytes(), b"value");
        assert_eq!((slot.resident_bytes(), slot.len()), (0, 8));
        assert!(slot.is_read_from(7) && !slot.is_read_from(8));
        assert_eq!(slot.item().unwrap(), item);
        let mut text = b"its ".to_vec();
        slot.append_value(&mut text).unwrap();
        assert_eq!(text, b"its value");
        // Elsewhere.
        assert!(slot.evict(&ValueFile::of(b"value", 8), 0).is_none());
        assert_eq!(slot.item().unwrap(), item);
        assert_eq!(Arc::strong_count(&file), 1, "the first file is let go");
    }

    #[test]
    fn an_empty_value_is_one_too() {
        let slot = Slot::new(b"", b"", NUMBERS);
        slot.evict(&ValueFile::of(b"", 7), 0).unwrap();
        assert!(slot.is_read_from(7));
        assert_eq!(value(&slot), b""[..]);
    }

    #[test]
    fn values_are_compared_wherever_they_are() {
        for evicted in [false, true] {
            let slot = slot();
            if evicted {
                slot.evict(&ValueFile::of(b"value", 7), 0);
            }
            for (other, same) in [(&b"value"[..], true), (b"vapue", false), (b"", false)] {
                assert_eq!(slot.has_value(other).unwrap(), same, "{evicted} {other:?}");
            }
        }
    }

    #[test]
    fn what_the_past_shows_stays_in_memory() {
        let (slot, file) = (slot(), ValueFile::of(b"value", 7));
        assert_eq!(slot.retire().unwrap().1, 128);
        assert_eq!(slot.retire().unwrap().1, 0, "it counts once");
        assert!(slot.evict(&file, 0).is_none());
        assert!(!slot.is_read_from(7));

        let slot = self::slot();
        slot.evict(&file, 0);
        let (retired, freed) = slot.retire().unwrap();
        assert_eq!((retired.bytes(), freed), (&b"value"[..], 0));
        assert!(slot.evict(&file, 0).is_none());
        assert!(!slot.is_read_from(7));
        assert_eq!(value(&slot), b"value"[..]);
        assert_eq!(Arc::strong_count(&file), 1);
    }

    #[test]
    fn anything_but_the_value_is_an_error() {
        for (content, offset) in [
            (&b"valuf"[..], 0),
            (b"value", 1),
            (b"xvalue", 0),
            (b"valu", 0),
        ] {
            let slot = slot();
            slot.evict(&ValueFile::of(content, 7), offset);
            let mut kept = b"kept".to_vec();
            slot.append_value(&mut kept).unwrap_err();
            assert_eq!(kept, b"kept", "{content:?}");
            slot.value().unwrap_err();
            assert!(slot.retire().is_err());
            slot.has_value(b"value").unwrap_err();
            // Decided without a look.
            assert!(!slot.has_value(b"other").unwrap());
        }
    }
}
