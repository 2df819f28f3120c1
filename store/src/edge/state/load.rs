//! Rebuilds an image from a base and its deltas.
//!
//! Deltas are read first, the newest before the others, and kept by key: what is older under the same
//! key is skipped. Then the base is read in order and merged with them, so every key enters the map
//! once and in order. Reading, checking and decoding the base happens on one thread, hashing and
//! inserting on another.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};

use bytes::Bytes;

use crate::archive::{Block, Damage, Flaw, Trailer};
use crate::dedupe::Request;
use crate::edge::state::Doubt;
use crate::edge::state::manifest::{Kind, Listed, Manifest};
use crate::edge::state::reader::Reader;
use crate::faults::Faults;
use crate::image::{Header, Image};
use crate::item::Item;
use crate::state::State;

/// Decoded blocks waiting to be inserted.
const AHEAD: usize = 8;

/// What the deltas say: the present item, or none where it was deleted.
type Overlay = BTreeMap<Bytes, Option<Item>>;

/// A generation's image. Blocks.
pub(super) fn load(dir: &Path, manifest: &Manifest, faults: &Faults) -> Result<Image, Doubt> {
    let (base, deltas) = manifest
        .list
        .split_first()
        .ok_or_else(|| Doubt("its manifest names no file".into()))?;
    let open = |file: &Listed| Reader::open(&dir.join(file.name()), faults).map_err(doubt);
    let mut overlay = Overlay::new();
    let mut requests = None;
    for file in deltas.iter().rev() {
        let (trailer, found) = lay_over(open(file)?, &mut overlay).map_err(doubt)?;
        expect(file, &trailer)?;
        // Each file has all requests remembered when it was written, so only the newest matters.
        requests.get_or_insert(found);
    }
    let mut image = manifest.header.begin();
    let (trailer, found) = merge(open(base)?, overlay, &mut image.state).map_err(doubt)?;
    expect(base, &trailer)?;
    finish(image, requests.unwrap_or(found), &manifest.header).map_err(Doubt)
}

/// The image of a file that holds a whole one. Blocks.
pub(crate) fn load_file(path: &Path, faults: &Faults) -> Result<(Image, Trailer), Damage> {
    let mut image = Image::default();
    let reader = Reader::open(path, faults)?;
    let (trailer, requests) = merge(reader, Overlay::new(), &mut image.state)?;
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
fn lay_over(reader: Reader<'_>, overlay: &mut Overlay) -> Result<(Trailer, Vec<Request>), Damage> {
    let mut requests = Vec::new();
    let trailer = reader.each(|block| {
        match block {
            Block::Items(items) => items.into_iter().for_each(|item| {
                overlay.entry(item.key.clone()).or_insert(Some(item));
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
    state: &mut State,
) -> Result<(Trailer, Vec<Request>), Damage> {
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(AHEAD);
        let reading = scope.spawn(move || read_base(base, &sender));
        let mut changes = overlay.into_iter().peekable();
        for item in receiver.into_iter().flatten() {
            let mut replaced = false;
            while let Some((key, change)) = changes.next_if(|(key, _)| *key <= item.key) {
                replaced |= key == item.key;
                change.into_iter().for_each(|new| state.restore_item(&new));
            }
            if !replaced {
                state.restore_item(&item);
            }
        }
        let behind = changes.filter_map(|(_, change)| change);
        behind.for_each(|new| state.restore_item(&new));
        reading
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn read_base(
    base: Reader<'_>,
    items: &SyncSender<Vec<Item>>,
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
