//! Reads the blocks of one file in order and finds whatever is wrong with them.

use bytes::Bytes;

use crate::archive::block::{HEAD_BYTES, Head, Kind, PROLOGUE_BYTES};
use crate::archive::{Flaw, Totals, Trailer, record};
use crate::dedupe::Request;
use crate::item::Item;

/// An item, and where its value begins in the file.
#[derive(Debug)]
pub(crate) struct Placed {
    pub(crate) item: Item,
    pub(crate) offset: u64,
}

/// One block's content.
#[derive(Debug)]
pub(crate) enum Block {
    /// In ascending order of keys, across all blocks of the file.
    Items(Vec<Placed>),
    Deleted(Vec<Bytes>),
    Requests(Vec<Request>),
    End(Box<Trailer>),
}

/// How far the file has been read.
#[derive(Debug)]
pub(crate) struct Scan {
    seen: Totals,
    kind: Kind,
    last: Option<Bytes>,
}

impl Scan {
    /// A file of which the prologue was read.
    pub(crate) fn new() -> Self {
        let seen = Totals {
            bytes: PROLOGUE_BYTES as u64,
            ..Totals::default()
        };
        Self {
            seen,
            kind: Kind::Items,
            last: None,
        }
    }

    /// The next block's number.
    pub(crate) fn ordinal(&self) -> u64 {
        self.seen.blocks
    }

    /// Where the next block begins.
    pub(crate) fn offset(&self) -> u64 {
        self.seen.bytes
    }

    /// Checks the next block and decodes it.
    pub(crate) fn block(&mut self, head: Head, payload: &[u8]) -> Result<Block, Flaw> {
        let kind = head.check(self.seen.blocks, payload)?;
        if kind < self.kind {
            return Err(Flaw::Misplaced("a block follows one of a later kind"));
        }
        self.kind = kind;
        let count = head.count();
        let block = match kind {
            Kind::Items => Block::Items(self.items(payload, count)?),
            Kind::Deleted => Block::Deleted(record::keys(payload, count)?),
            Kind::Requests => Block::Requests(record::requests(payload, count)?),
            Kind::End => Block::End(Box::new(self.trailer(payload)?)),
        };
        self.count(&block);
        self.seen.blocks += 1;
        self.seen.bytes += (HEAD_BYTES + payload.len()) as u64;
        Ok(block)
    }

    fn items(&mut self, payload: &[u8], count: u32) -> Result<Vec<Placed>, Flaw> {
        let begin = self.offset() + HEAD_BYTES as u64;
        let items = record::items(payload, count)?.into_iter();
        let placed = |(item, at)| Placed {
            item,
            offset: begin + at as u64,
        };
        let items: Vec<Placed> = items.map(placed).collect();
        let before = self.last.as_ref().into_iter();
        let keys = before.chain(items.iter().map(|placed| &placed.item.key));
        if !keys.is_sorted_by(|low, high| low < high) {
            return Err(Flaw::Misplaced("keys are not in order"));
        }
        if let Some(placed) = items.last() {
            self.last = Some(placed.item.key.clone());
        }
        Ok(items)
    }

    fn trailer(&self, payload: &[u8]) -> Result<Trailer, Flaw> {
        let trailer: Trailer = record::value(payload)?;
        if trailer.totals == self.seen {
            Ok(trailer)
        } else {
            Err(Flaw::Contents(format!(
                "expected {:?}, found {:?}",
                trailer.totals, self.seen
            )))
        }
    }

    fn count(&mut self, block: &Block) {
        match block {
            Block::Items(items) => self.seen.items += items.len() as u64,
            Block::Deleted(keys) => self.seen.deleted += keys.len() as u64,
            Block::Requests(requests) => self.seen.requests += requests.len() as u64,
            Block::End(_) => {}
        }
    }
}
