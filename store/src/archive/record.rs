//! How items, keys and requests lie in a block's payload.

use bytes::Bytes;
use serde::Deserialize;

use crate::archive::Flaw;
use crate::dedupe::Request;
use crate::item::Item;
use crate::slot::Slot;
use crate::values::Unread;

/// What an item takes beside key and value.
pub(super) const ITEM_BYTES: usize = 32;
pub(super) const KEY_BYTES: usize = 4;

/// Blocks when the value is on disk.
pub(super) fn put_item(payload: &mut Vec<u8>, slot: &Slot) -> Result<(), Unread> {
    let (key, numbers) = (slot.key(), slot.numbers());
    put_len(payload, key.len());
    put_len(payload, slot.value_len());
    for number in [
        numbers.create_revision,
        numbers.mod_revision,
        numbers.version,
    ] {
        payload.extend_from_slice(&number.to_le_bytes());
    }
    payload.extend_from_slice(key);
    slot.append_value(payload)
}

pub(super) fn put_key(payload: &mut Vec<u8>, key: &[u8]) {
    put_len(payload, key.len());
    payload.extend_from_slice(key);
}

fn put_len(payload: &mut Vec<u8>, len: usize) {
    let len = u32::try_from(len).expect("keys and values came in one log entry");
    payload.extend_from_slice(&len.to_le_bytes());
}

/// Items, each with where its value begins in the payload.
pub(super) fn items(payload: &[u8], count: u32) -> Result<Vec<(Item, usize)>, Flaw> {
    all(payload, count, |fields| {
        let item = fields.item()?;
        let end = payload.len() - fields.0.len();
        let begin = end - item.value.len();
        Ok((item, begin))
    })
}

pub(super) fn keys(payload: &[u8], count: u32) -> Result<Vec<Bytes>, Flaw> {
    all(payload, count, |fields| {
        let len = fields.len()?;
        fields.bytes(len)
    })
}

pub(super) fn requests(payload: &[u8], count: u32) -> Result<Vec<Request>, Flaw> {
    let requests: Vec<Request> = value(payload)?;
    if requests.len() == count as usize {
        Ok(requests)
    } else {
        Err(Flaw::Undecodable)
    }
}

/// One value that fills the payload.
pub(super) fn value<'a, T: Deserialize<'a>>(payload: &'a [u8]) -> Result<T, Flaw> {
    match postcard::take_from_bytes(payload) {
        Ok((value, [])) => Ok(value),
        Ok(_) | Err(_) => Err(Flaw::Undecodable),
    }
}

fn all<'a, T>(
    payload: &'a [u8],
    count: u32,
    record: impl Fn(&mut Fields<'a>) -> Result<T, Flaw>,
) -> Result<Vec<T>, Flaw> {
    let mut fields = Fields(payload);
    // Never reserved for more than can be there: each record has at least a length.
    let mut records = Vec::with_capacity(payload.len().min(count as usize));
    for _ in 0..count {
        records.push(record(&mut fields)?);
    }
    match fields {
        Fields([]) => Ok(records),
        Fields(_) => Err(Flaw::Undecodable),
    }
}

/// What is left of a payload.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn item(&mut self) -> Result<Item, Flaw> {
        let (key_len, value_len) = (self.len()?, self.len()?);
        let [create_revision, mod_revision, version] =
            [self.number()?, self.number()?, self.number()?];
        Ok(Item {
            key: self.bytes(key_len)?,
            value: self.bytes(value_len)?,
            create_revision,
            mod_revision,
            version,
        })
    }

    /// Copied: a slice of the block would keep the whole block in memory as long as one item lives.
    fn bytes(&mut self, len: usize) -> Result<Bytes, Flaw> {
        self.take(len).map(Bytes::copy_from_slice)
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], Flaw> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(Flaw::Undecodable)?;
        self.0 = rest;
        Ok(taken)
    }

    fn len(&mut self) -> Result<usize, Flaw> {
        let (four, rest) = self.0.split_first_chunk().ok_or(Flaw::Undecodable)?;
        self.0 = rest;
        Ok(u32::from_le_bytes(*four) as usize)
    }

    fn number(&mut self) -> Result<u64, Flaw> {
        let (eight, rest) = self.0.split_first_chunk().ok_or(Flaw::Undecodable)?;
        self.0 = rest;
        Ok(u64::from_le_bytes(*eight))
    }
}
