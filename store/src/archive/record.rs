//! How items, keys and requests lie in a block's payload.

use bytes::Bytes;
use serde::Deserialize;

use crate::archive::Flaw;
use crate::dedupe::Request;
use crate::item::Item;

/// What an item takes beside key and value.
pub(super) const ITEM_BYTES: usize = 32;
pub(super) const KEY_BYTES: usize = 4;

pub(super) fn put_item(payload: &mut Vec<u8>, item: &Item) {
    put_len(payload, &item.key);
    put_len(payload, &item.value);
    for number in [item.create_revision, item.mod_revision, item.version] {
        payload.extend_from_slice(&number.to_le_bytes());
    }
    payload.extend_from_slice(&item.key);
    payload.extend_from_slice(&item.value);
}

pub(super) fn put_key(payload: &mut Vec<u8>, key: &[u8]) {
    put_len(payload, key);
    payload.extend_from_slice(key);
}

fn put_len(payload: &mut Vec<u8>, bytes: &[u8]) {
    let len = u32::try_from(bytes.len()).expect("keys and values came in one log entry");
    payload.extend_from_slice(&len.to_le_bytes());
}

pub(super) fn items(payload: &[u8], count: u32) -> Result<Vec<Item>, Flaw> {
    all(payload, count, Fields::item)
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
