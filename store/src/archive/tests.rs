//! Files are flipped, cut, extended and reordered; what is read back is what was written, or an error.

use bytes::Bytes;

use super::*;
use crate::dedupe::{Remembered, Request};
use crate::image::Image;
use crate::item::Item;
use crate::raft::log_id;
use crate::state::Counters;

fn image() -> Image {
    let mut image = Image {
        applied: Some(log_id(3, 77)),
        ..Image::default()
    };
    let sizes = [0, 1, 100, 300_000, 5, 250_000, 40];
    for (n, size) in (0..).zip(sizes) {
        image.state.restore_item(&Item {
            key: format!("key-{n}").into(),
            value: vec![n; size].into(),
            create_revision: u64::from(n) + 1,
            mod_revision: u64::from(n) + 2,
            version: 2,
        });
    }
    for id in 1..=5_000 {
        image.state.restore_request(Request {
            id,
            stamp_ms: 1,
            outcome: Remembered::Refused {
                guard: 0,
                revision: 1,
            },
        });
    }
    image.state.restore_counters(Counters {
        revision: 20,
        next_node: 4,
        newest_ms: 9,
    });
    image
}

fn small() -> Image {
    let mut image = image();
    image.state = image.state.clone();
    let mut state = crate::state::State::default();
    for item in image
        .state
        .view()
        .prefix(b"")
        .filter(|item| item.value.len() < 200)
    {
        state.restore_item(&item);
    }
    state.restore_request(Request {
        id: 7,
        stamp_ms: 3,
        outcome: Remembered::Applied {
            revision: 2,
            revisions: vec![1, 2],
        },
    });
    image.state = state;
    image
}

fn key(text: &str) -> Box<[u8]> {
    text.as_bytes().into()
}

fn blocks(image: &Image, changed: Option<&Keys>) -> Vec<Vec<u8>> {
    let blocks = Blocks::new(image.clone(), 5, changed);
    blocks.map(Result::unwrap).collect()
}

#[derive(Debug, Default)]
struct Found {
    items: Vec<Item>,
    places: Vec<u64>,
    deleted: Vec<Bytes>,
    requests: usize,
    trailer: Option<Trailer>,
}

/// Reads as the edge does, from memory.
fn read(mut bytes: &[u8]) -> Result<Found, Flaw> {
    let prologue = bytes.split_off(..PROLOGUE_BYTES).ok_or(Flaw::Truncated)?;
    check_prologue(prologue.try_into().unwrap())?;
    let (mut scan, mut found) = (Scan::new(), Found::default());
    while found.trailer.is_none() {
        let head = bytes.split_off(..HEAD_BYTES).ok_or(Flaw::Truncated)?;
        let head = Head::new(head.try_into().unwrap());
        let payload = bytes.split_off(..head.len() as usize);
        match scan.block(head, payload.ok_or(Flaw::Truncated)?)? {
            Block::Items(items) => {
                for Placed { item, offset } in items {
                    found.places.push(offset);
                    found.items.push(item);
                }
            }
            Block::Deleted(keys) => found.deleted.extend(keys),
            Block::Requests(requests) => found.requests += requests.len(),
            Block::End(trailer) => found.trailer = Some(*trailer),
        }
    }
    if bytes.is_empty() {
        Ok(found)
    } else {
        Err(Flaw::Trailing)
    }
}

#[test]
fn a_whole_image_reads_back() {
    let image = image();
    let found = read(&blocks(&image, None).concat()).unwrap();
    let items: Vec<Item> = image.state.view().prefix(b"").collect();
    assert_eq!(found.items, items);
    assert_eq!((found.deleted.len(), found.requests), (0, 5_000));
    let trailer = found.trailer.unwrap();
    assert_eq!(trailer.header, image.header(5));
    assert!(trailer.whole);
    assert_eq!(trailer.totals.items, items.len() as u64);
}

#[test]
fn a_delta_has_what_changed_and_no_more() {
    let changed = ["key-1", "key-3", "gone", "zone"].map(key).into();
    let found = read(&blocks(&image(), Some(&changed)).concat()).unwrap();
    let keys: Vec<Bytes> = found.items.into_iter().map(|item| item.key).collect();
    assert_eq!(keys, ["key-1", "key-3"]);
    assert_eq!(found.deleted, ["gone", "zone"]);
    assert!(!found.trailer.unwrap().whole);
}

#[test]
fn values_are_where_they_are_said_to_be() {
    let (image, changed) = (image(), ["key-1", "key-3", "gone"].map(key).into());
    for changed in [None, Some(&changed)] {
        let file = blocks(&image, changed).concat();
        let found = read(&file).unwrap();
        let places: Vec<u64> = places(image.state.view(), changed)
            .map(|(_, at)| at)
            .collect();
        assert_eq!(places, found.places);
        for (item, at) in found.items.iter().zip(places) {
            assert!(
                file[at as usize..].starts_with(&item.value),
                "{:?}",
                item.key
            );
        }
    }
}

#[test]
fn an_empty_image_reads_back() {
    let found = read(&blocks(&Image::default(), None).concat()).unwrap();
    assert_eq!(found.trailer.unwrap().header, Image::default().header(5));
}

#[test]
fn every_flipped_bit_is_found() {
    let bytes = blocks(&small(), None).concat();
    assert!(read(&bytes).is_ok());
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            assert!(read(&flipped).is_err(), "byte {at}, bit {bit}");
        }
    }
}

#[test]
fn every_flip_in_a_file_of_many_blocks_is_found() {
    let bytes = blocks(&image(), None).concat();
    let mut flipped = bytes.clone();
    for at in (0..bytes.len()).step_by(bytes.len() / 97) {
        flipped[at] ^= 0x10;
        assert!(read(&flipped).is_err(), "byte {at}");
        flipped[at] ^= 0x10;
    }
    assert!(read(&flipped).is_ok());
}

#[test]
fn cut_or_extended_files_are_refused() {
    let bytes = blocks(&small(), None).concat();
    for len in 0..bytes.len() {
        assert!(
            read(&bytes[..len]).is_err(),
            "{len} of {} bytes",
            bytes.len()
        );
    }
    for garbage in [&b"\0"[..], b"stoa-img", &bytes] {
        let extended = [&bytes[..], garbage].concat();
        assert_eq!(read(&extended).unwrap_err(), Flaw::Trailing);
    }
}

#[test]
fn blocks_out_of_place_are_refused() {
    let whole = blocks(&image(), None);
    assert!(whole.len() > 5, "{} blocks", whole.len());
    for other in 2..whole.len() {
        let mut swapped = whole.clone();
        swapped.swap(1, other);
        assert_eq!(read(&swapped.concat()).unwrap_err(), Flaw::Checksum);
    }
    for gone in 1..whole.len() {
        let mut without = whole.clone();
        without.remove(gone);
        assert!(read(&without.concat()).is_err(), "without block {gone}");
    }
    for twice in 1..whole.len() - 1 {
        let mut repeated = whole.clone();
        repeated.insert(twice, whole[twice].clone());
        assert_eq!(read(&repeated.concat()).unwrap_err(), Flaw::Checksum);
    }
}

#[test]
fn foreign_and_later_files_are_named() {
    assert_eq!(read(&[b'x'; 100]).unwrap_err(), Flaw::Foreign);
    let mut later = blocks(&small(), None).concat();
    later[8] = 2;
    let sum = crc32fast::hash(&later[..12]).to_le_bytes();
    later[12..16].copy_from_slice(&sum);
    assert_eq!(read(&later).unwrap_err(), Flaw::Version(2));
}
