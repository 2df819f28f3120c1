//! An image cut into the blocks of a file, straight from the persistent map.

use std::ops::Bound::{Excluded, Unbounded};

use bytes::Bytes;

use crate::archive::block::{self, HEAD_BYTES, Kind, PROLOGUE_BYTES};
use crate::archive::{Keys, Totals, Trailer, record};
use crate::dedupe::Request;
use crate::image::Image;
use crate::slot::Slot;
use crate::snapshot::View;
use crate::values::Unread;

/// A block grows until it has this much: large enough that its head costs nothing, small enough to
/// say where a file is damaged and to be held in memory many times over.
const BLOCK_BYTES: usize = 256 << 10;
const BLOCK_REQUESTS: usize = 4096;

/// The prologue and then every block of one file. What it holds in memory is one block and the
/// requests; the image is shared.
#[derive(Debug)]
pub(crate) struct Blocks<'a> {
    image: Image,
    cluster_id: u128,
    /// Only these keys; all when none.
    changed: Option<&'a Keys>,
    next: Next,
    totals: Totals,
}

/// What the next block holds.
#[derive(Debug)]
enum Next {
    Prologue,
    /// Items behind this key, or from the first.
    Items(Option<Bytes>),
    Deleted(Option<Bytes>),
    Requests(std::vec::IntoIter<Request>),
    End,
    Nothing,
}

impl<'a> Blocks<'a> {
    /// Of a file with the whole image, or with what holds now under the changed keys.
    pub(crate) fn new(image: Image, cluster_id: u128, changed: Option<&'a Keys>) -> Self {
        Self {
            image,
            cluster_id,
            changed,
            next: Next::Prologue,
            totals: Totals::default(),
        }
    }

    fn items_block(&mut self, after: Option<&Bytes>) -> Result<Option<(Vec<u8>, Bytes)>, Unread> {
        let (mut block, mut fill, mut last) = (block::begin(BLOCK_BYTES), Fill::default(), None);
        let after = after.map(|key| &key[..]);
        for slot in items(self.image.state.view(), self.changed, after) {
            if !fill.takes(slot) {
                break;
            }
            record::put_item(&mut block, slot)?;
            last = Some(slot);
        }
        let Some(last) = last.map(Slot::shared_key) else {
            return Ok(None);
        };
        self.totals.items += u64::from(fill.count);
        Ok(Some((self.sealed(block, Kind::Items, fill.count), last)))
    }

    fn deleted_block(&mut self, after: Option<&Bytes>) -> Option<(Vec<u8>, Bytes)> {
        let (mut block, mut count, mut last) = (block::begin(0), 0, None);
        let keys = behind(self.changed?, after.map(|key| &key[..]));
        let view = self.image.state.view();
        for key in keys.filter(|key| view.revision_of(key).is_none()) {
            if count > 0 && block.len() + record::KEY_BYTES + key.len() > BLOCK_BYTES {
                break;
            }
            record::put_key(&mut block, key);
            count += 1;
            last = Some(key);
        }
        self.totals.deleted += u64::from(count);
        let last = Bytes::copy_from_slice(last?);
        Some((self.sealed(block, Kind::Deleted, count), last))
    }

    fn requests_block(&mut self, requests: &[Request]) -> Vec<u8> {
        let count = u32::try_from(requests.len()).expect("a block holds few thousand requests");
        self.totals.requests += u64::from(count);
        let block = with_value(requests);
        self.sealed(block, Kind::Requests, count)
    }

    fn end_block(&self) -> Vec<u8> {
        let mut block = with_value(&Trailer {
            header: self.image.header(self.cluster_id),
            whole: self.changed.is_none(),
            totals: self.totals,
        });
        block::seal(&mut block, self.totals.blocks, Kind::End, 1);
        block
    }

    fn sealed(&self, mut block: Vec<u8>, kind: Kind, count: u32) -> Vec<u8> {
        block::seal(&mut block, self.totals.blocks, kind, count);
        block
    }

    /// The block that is due, if this step has one, and the step after it.
    fn step(&mut self, due: Next) -> Result<(Option<Vec<u8>>, Next), Unread> {
        Ok(match due {
            Next::Prologue => (Some(block::prologue()), Next::Items(None)),
            Next::Items(after) => match self.items_block(after.as_ref())? {
                Some((block, last)) => (Some(block), Next::Items(Some(last))),
                None => (None, Next::Deleted(None)),
            },
            Next::Deleted(after) => match self.deleted_block(after.as_ref()) {
                Some((block, last)) => (Some(block), Next::Deleted(Some(last))),
                None => (None, Next::Requests(self.requests())),
            },
            Next::Requests(mut rest) => {
                let chunk: Vec<Request> = rest.by_ref().take(BLOCK_REQUESTS).collect();
                if chunk.is_empty() {
                    (None, Next::End)
                } else {
                    (Some(self.requests_block(&chunk)), Next::Requests(rest))
                }
            }
            Next::End => (Some(self.end_block()), Next::Nothing),
            Next::Nothing => (None, Next::Nothing),
        })
    }

    fn requests(&self) -> std::vec::IntoIter<Request> {
        let requests: Vec<Request> = self.image.state.dedupe().requests().collect();
        requests.into_iter()
    }
}

impl Iterator for Blocks<'_> {
    type Item = Result<Vec<u8>, Unread>;

    /// After an error comes nothing more.
    fn next(&mut self) -> Option<Self::Item> {
        while !matches!(self.next, Next::Nothing) {
            let due = std::mem::replace(&mut self.next, Next::Nothing);
            let is_block = !matches!(due, Next::Prologue);
            let (block, next) = match self.step(due) {
                Ok(stepped) => stepped,
                Err(unread) => return Some(Err(unread)),
            };
            self.next = next;
            if let Some(block) = block {
                self.totals.blocks += u64::from(is_block);
                self.totals.bytes += block.len() as u64;
                return Some(Ok(block));
            }
        }
        None
    }
}

/// How far a block of items is filled.
#[derive(Debug)]
struct Fill {
    bytes: usize,
    count: u32,
}

impl Default for Fill {
    fn default() -> Self {
        Self {
            bytes: HEAD_BYTES,
            count: 0,
        }
    }
}

impl Fill {
    /// Counts the item in, unless it belongs to the next block.
    fn takes(&mut self, slot: &Slot) -> bool {
        let size = record::ITEM_BYTES + slot.len();
        if self.count > 0 && self.bytes + size > BLOCK_BYTES {
            return false;
        }
        self.bytes += size;
        self.count += 1;
        true
    }
}

/// The items of a file as `Blocks` writes it, each with where its value begins in there.
pub(crate) fn places<'a>(
    view: &'a View,
    changed: Option<&'a Keys>,
) -> impl Iterator<Item = (&'a Slot, u64)> {
    let (mut begin, mut fill) = (PROLOGUE_BYTES as u64, Fill::default());
    items(view, changed, None).map(move |slot| {
        if !fill.takes(slot) {
            begin += fill.bytes as u64;
            fill = Fill::default();
            fill.takes(slot);
        }
        let end = begin + fill.bytes as u64;
        (slot, end - slot.value_len() as u64)
    })
}

/// The items behind this key that a file has.
fn items<'a>(
    view: &'a View,
    changed: Option<&'a Keys>,
    after: Option<&'a [u8]>,
) -> Box<dyn Iterator<Item = &'a Slot> + 'a> {
    match changed {
        None => Box::new(view.slots_between(after.map_or(Unbounded, Excluded), Unbounded)),
        Some(keys) => Box::new(behind(keys, after).filter_map(|key| view.slot(key))),
    }
}

/// The keys after this one.
fn behind<'a>(keys: &'a Keys, after: Option<&[u8]>) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    let behind = keys.range::<[u8], _>((after.map_or(Unbounded, Excluded), Unbounded));
    behind.map(|key| &key[..])
}

fn with_value<T: serde::Serialize + ?Sized>(value: &T) -> Vec<u8> {
    postcard::to_extend(value, block::begin(0)).expect("plain data is encodable")
}
