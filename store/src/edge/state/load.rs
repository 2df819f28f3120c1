//! Rebuilds an image from a base and its deltas.
//!
//! Deltas are read first, the newest before the others, and kept by key: what is older under the same
//! key is skipped. Then the base is read in order and merged with them, so every key enters the map
//! once and in order. Reading, checking and decoding the base happens on one thread, hashing and
//! inserting on another. Values beyond what is to be in memory stay in their files.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};

use bytes::Bytes;

use crate::archive::{Block, Damage, Flaw, Placed, Trailer};
use crate::dedupe::Request;
use crate::digest;
use crate::edge::state::Doubt;
use crate::edge::state::manifest::{Kind, Listed, Manifest};
use crate::edge::state::reader::Reader;
use crate::faults::Faults;
use crate::image::{Header, Image};
use crate::slot::{Numbers, Slot};
use crate::state::State;
use crate::values::{ValueFile, allowed};

/// Decoded blocks waiting to be inserted.
const AHEAD: usize = 8;

/// What the deltas say: the present item with its digest, or none where it was deleted.
type Overlay = BTreeMap<Bytes, Option<(Slot, u128)>>;

/// Puts values into memory until there are so many.
#[derive(Clone, Debug)]
struct Filling {
    resident: u64,
    resident_max: u64,
    /// Where the others are read from; none where all are to be in memory.
    file: Option<Arc<ValueFile>>,
}

impl Filling {
    fn slot(&mut self, placed: &Placed) -> (Slot, u128) {
        let item = &placed.item;
        let numbers = Numbers::of(item);
        let digest = digest::item(&item.key, &item.value, numbers);
        let slot = Slot::new(&item.key, &item.value, numbers);
        let resident = self.resident + slot.resident_bytes();
        match &self.file {
            Some(file) if resident > self.resident_max => {
                slot.evict(file, placed.offset);
            }
            Some(_) | None => self.resident = resident,
        }
        (slot, digest)
    }

    /// Goes on with values of this file.
    fn from(&mut self, file: Arc<ValueFile>) -> &mut Self {
        self.file = Some(file);
        self
    }
}

/// A generation's image, of which so much may be in memory. Blocks.
pub(super) fn load(
    dir: &Path,
    manifest: &Manifest,
    faults: &Faults,
    bytes_max: u64,
    values: impl Fn(&Path) -> std::io::Result<Arc<ValueFile>>,
) -> Result<Image, Doubt> {
    let (base, deltas) = manifest
        .list
        .split_first()
        .ok_or_else(|| Doubt("its manifest names no file".into()))?;
    let open = |file: &Listed| Reader::open(&dir.join(file.name()), faults).map_err(doubt);
    let values = |file: &Listed| {
        let opened = values(&dir.join(file.name()));
        opened.map_err(|error| Doubt(format!("{} cannot be opened: {error}", file.name())))
    };
    let mut overlay = Overlay::new();
    let mut requests = None;
    let mut filling = Filling {
        resident: 0,
        resident_max: allowed(bytes_max, manifest.header.items as usize),
        file: None,
    };
    for file in deltas.iter().rev() {
        let filling = filling.from(values(file)?);
        let (trailer, found) = lay_over(open(file)?, &mut overlay, filling).map_err(doubt)?;
        expect(file, &trailer)?;
        // Each file has all requests remembered when it was written, so only the newest matters.
        requests.get_or_insert(found);
    }
    let mut image = manifest.header.begin();
    let filling = filling.from(values(base)?);
    let merged = merge(open(base)?, overlay, filling, &mut image.state);
    let (trailer, found) = merged.map_err(doubt)?;
    expect(base, &trailer)?;
    finish(image, requests.unwrap_or(found), &manifest.header).map_err(Doubt)
}

/// The image of a file that holds a whole one, all in memory. Blocks.
pub(crate) fn load_file(path: &Path, faults: &Faults) -> Result<(Image, Trailer), Damage> {
    let mut image = Image::default();
    let reader = Reader::open(path, faults)?;
    let mut filling = Filling {
        resident: 0,
        resident_max: u64::MAX,
        file: None,
    };
    let merged = merge(reader, Overlay::new(), &mut filling, &mut image.state);
    let (trailer, requests) = merged?;
    let wrong = |flaw| Damage {
        file: path.to_owned(),
        offset: trailer.totals.bytes,
        block: trailer.totals.blocks,
        flaw,
    };
    if !trailer.whole {
        return Err(wrong(Flaw::Misplaced("it holds only what changed")));
    }
    let header = trailer.header.clone();
    image.applied = header.applied;
    image.membership = header.membership.clone();
    let image = finish(image, requests, &header).map_err(|why| wrong(Flaw::Contents(why)))?;
    Ok((image, trailer))
}

fn finish(mut image: Image, requests: Vec<Request>, header: &Header) -> Result<Image, String> {
    for request in requests {
        image.state.restore_request(request);
    }
    header.finish(image)
}

/// Adds what this delta says under keys that no newer one speaks of. Returns its requests.
fn lay_over(
    reader: Reader<'_>,
    overlay: &mut Overlay,
    filling: &mut Filling,
) -> Result<(Trailer, Vec<Request>), Damage> {
    let mut requests = Vec::new();
    let trailer = reader.each(|block| {
        match block {
            Block::Items(items) => items.iter().for_each(|placed| {
                let entry = overlay.entry(placed.item.key.clone());
                entry.or_insert_with(|| Some(filling.slot(placed)));
            }),
            Block::Deleted(keys) => keys.into_iter().for_each(|key| {
                overlay.entry(key).or_insert(None);
            }),
            Block::Requests(mut found) => requests.append(&mut found),
            Block::End(_) => {}
        }
        Ok(())
    })?;
    Ok((trailer, requests))
}

/// Fills the state with the base as the overlay changed it. Returns the base's requests.
fn merge(
    base: Reader<'_>,
    overlay: Overlay,
    filling: &mut Filling,
    state: &mut State,
) -> Result<(Trailer, Vec<Request>), Damage> {
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(AHEAD);
        let reading = scope.spawn(move || read_base(base, &sender));
        let mut changes = overlay.into_iter().peekable();
        for placed in receiver.into_iter().flatten() {
            let placed: Placed = placed;
            let mut replaced = false;
            while let Some((key, change)) = changes.next_if(|(key, _)| *key <= placed.item.key) {
                replaced |= key == placed.item.key;
                if let Some((slot, digest)) = change {
                    state.restore(slot, digest);
                }
            }
            if !replaced {
                let (slot, digest) = filling.slot(&placed);
                state.restore(slot, digest);
            }
        }
        for (slot, digest) in changes.filter_map(|(_, change)| change) {
            state.restore(slot, digest);
        }
        reading
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn read_base(
    base: Reader<'_>,
    items: &SyncSender<Vec<Placed>>,
) -> Result<(Trailer, Vec<Request>), Damage> {
    let mut requests = Vec::new();
    let trailer = base.each(|block| {
        match block {
            // The receiver lives as long as this thread is waited for.
            Block::Items(found) => drop(items.send(found)),
            Block::Requests(mut found) => requests.append(&mut found),
            Block::Deleted(_) => return Err(Flaw::Misplaced("a whole image deletes nothing")),
            Block::End(_) => {}
        }
        Ok(())
    })?;
    Ok((trailer, requests))
}

/// The file must be the one that the manifest names.
fn expect(file: &Listed, trailer: &Trailer) -> Result<(), Doubt> {
    let whole = file.kind == Kind::Base;
    if trailer.whole == whole && trailer.header.digest == file.digest {
        Ok(())
    } else {
        Err(Doubt(format!(
            "{} is not the file its manifest names",
            file.name()
        )))
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn doubt(damage: Damage) -> Doubt {
    Doubt(damage.place())
}
