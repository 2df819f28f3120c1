//! Damage is told from a torn end: it is found, or it changes nothing.

use bytes::Bytes;

use super::sim::{Entries, Sim, content, flush};
use crate::wal::record::Record;
use crate::wal::writer::{Batch, Writer};
use crate::wal::{State, Vote};

const SEGMENT: usize = 4096;

fn entry(index: u64) -> ((u64, u64), Bytes) {
    let len = index as usize * 29 % 400;
    ((1 + index / 50, index), vec![index as u8; len].into())
}

/// Several segments, the first of them purged, the last in use, one ready.
fn filled() -> (Sim, Writer) {
    let mut sim = Sim::new(SEGMENT);
    let mut writer = sim.open();
    for index in 0..90 {
        writer.append(&[entry(index)]).unwrap();
        match index {
            20 => writer.vote(Vote {
                term: 1,
                committed: true,
                node: 2,
            }),
            30 => drop(writer.truncate(28).unwrap()),
            31..=33 => {}
            60 => writer.purge((1, 40)).unwrap(),
            70 => writer.commit((2, 65)),
            _ => {}
        }
        if index == 30 {
            writer.append(&[entry(28), entry(29), entry(30)]).unwrap();
        }
        flush(&mut writer, &mut sim).unwrap();
    }
    writer.flush_commit();
    flush(&mut writer, &mut sim).unwrap();
    let ready = sim.current.keys().last().unwrap() + 1;
    sim.current.insert(ready, vec![0; SEGMENT]);
    (sim, writer)
}

fn assert_found_or_harmless(sim: &Sim, whole: &(State, Entries), what: &str) -> bool {
    match content(sim) {
        Ok(read) => {
            assert!(read == *whole, "{what} went unnoticed");
            false
        }
        Err(_) => true,
    }
}

#[test]
fn a_flipped_bit_is_found_or_harmless() {
    let (mut sim, _) = filled();
    let whole = content(&sim).unwrap();
    assert!(sim.current.len() >= 5, "{}", sim.current.len());
    let seqs: Vec<u64> = sim.current.keys().copied().collect();
    let mut found = 0;
    for seq in seqs {
        for at in (0..SEGMENT).step_by(37) {
            for bit in [at % 8, 7] {
                sim.current.get_mut(&seq).unwrap()[at] ^= 1 << bit;
                let what = format!("a flip in segment {seq}, byte {at}, bit {bit}");
                found += usize::from(assert_found_or_harmless(&sim, &whole, &what));
                sim.current.get_mut(&seq).unwrap()[at] ^= 1 << bit;
            }
        }
    }
    assert!(found > 500, "{found}");
}

#[test]
fn a_lost_block_is_found_unless_it_holds_the_last_mark() {
    let (sim, writer) = filled();
    let whole = content(&sim).unwrap();
    let (end, used) = writer.end();
    for seq in sim.current.keys() {
        for block in (0..SEGMENT).step_by(512) {
            if *seq == end && block + 512 > used as usize - 32 {
                continue;
            }
            for byte in [0, 0xff] {
                let mut damaged = sim.clone();
                damaged.current.get_mut(seq).unwrap()[block..block + 512].fill(byte);
                let what = format!("a lost block at {block} of segment {seq}");
                assert_found_or_harmless(&damaged, &whole, &what);
            }
        }
    }
}

#[test]
fn missing_and_cut_files_are_found() {
    let (sim, writer) = filled();
    let whole = content(&sim).unwrap();
    let used = writer.end().0;
    for seq in sim.current.keys() {
        let mut damaged = sim.clone();
        let bytes = damaged.current.remove(seq).unwrap();
        // The ready one may go; nothing is in it.
        assert_eq!(content(&damaged).is_ok(), *seq > used, "{seq}");
        for len in [0, 1, 511, SEGMENT - 1] {
            damaged.current.insert(*seq, bytes[..len].to_vec());
            assert!(content(&damaged).is_err(), "{seq} has {len} bytes");
        }
    }
    let mut damaged = sim.clone();
    damaged.current.clear();
    assert!(content(&damaged).is_err());
    // Without the last segment in use and what follows it, the one before ends in a seal.
    let mut damaged = sim.clone();
    damaged.current.split_off(&used);
    let error = content(&damaged).unwrap_err();
    assert!(error.contains("is missing"), "{error}");
    assert_eq!(content(&sim).unwrap(), whole);
}

#[test]
fn errors_name_file_place_and_proof() {
    let (mut sim, _) = filled();
    let seq = *sim.current.keys().nth(1).unwrap();
    sim.current.get_mut(&seq).unwrap()[200] ^= 4;
    let error = content(&sim).unwrap_err();
    let name = crate::wal::name(seq);
    assert!(error.starts_with(&format!("{name}, byte ")), "{error}");
    assert!(error.contains("that this was synced once"), "{error}");
}

/// The last batch may end anywhere, with or without what lies behind: nobody was told of it.
#[test]
fn a_batch_torn_at_any_byte_is_dropped_from_there() {
    for entries in [1, 3, 30] {
        let (sim, mut writer) = filled();
        let whole = content(&sim).unwrap();
        let appended: Vec<_> = (90..90 + entries).map(entry).collect();
        writer.append(&appended).unwrap();
        let mut batch = Batch::default();
        writer.cut(&mut batch);
        let mut written = 0;
        for chunk in &batch.chunks {
            let bytes = &batch.bytes[written..written + chunk.len];
            written += chunk.len;
            let mut torn = sim.clone();
            write_before(&mut torn, &batch, chunk.seq);
            let end = chunk.offset as usize + chunk.len;
            let before = torn.current[&chunk.seq].clone();
            // Of the page's end, which is only zeros, little is enough.
            for len in (0..=chunk.len).filter(|len| *len < 500 || len % 7 == 0) {
                let split = chunk.offset as usize + len;
                let segment = torn.current.get_mut(&chunk.seq).unwrap();
                segment.copy_from_slice(&before);
                segment[split - len..split].copy_from_slice(&bytes[..len]);
                assert_begins_with(&content(&torn), &whole, &appended);
                // The other way round: the beginning is lost.
                let segment = torn.current.get_mut(&chunk.seq).unwrap();
                segment.copy_from_slice(&before);
                segment[split..end].copy_from_slice(&bytes[len..]);
                assert_begins_with(&content(&torn), &whole, &appended);
            }
        }
    }
}

/// Writes all chunks before this segment's.
fn write_before(sim: &mut Sim, batch: &Batch, seq: u64) {
    let mut rest = &batch.bytes[..];
    for chunk in &batch.chunks {
        sim.current
            .entry(chunk.seq)
            .or_insert_with(|| vec![0; SEGMENT]);
        if chunk.seals {
            let next = sim.current.entry(chunk.seq + 1);
            next.or_insert_with(|| vec![0; SEGMENT]);
        }
        let (bytes, others) = rest.split_at(chunk.len);
        if chunk.seq < seq {
            let at = chunk.offset as usize;
            sim.current.get_mut(&chunk.seq).unwrap()[at..at + bytes.len()].copy_from_slice(bytes);
        }
        rest = others;
    }
}

fn assert_begins_with(
    read: &Result<(State, Entries), String>,
    whole: &(State, Entries),
    appended: &[((u64, u64), Bytes)],
) {
    let (_, entries) = read.as_ref().unwrap_or_else(|error| panic!("{error}"));
    let more = entries.len() - whole.1.len();
    let mut expected = whole.1.clone();
    for ((term, index), payload) in &appended[..more] {
        expected.insert(*index, (*term, payload.clone()));
    }
    assert!(*entries == expected);
}

/// Records of a torn batch that are whole must not follow what is written over its beginning.
#[test]
fn what_follows_a_tear_never_revives() {
    let mut sim = Sim::new(SEGMENT);
    let mut writer = sim.open();
    let same = |index| ((1, index), Bytes::from(vec![index as u8; 64]));
    writer.append(&[same(0)]).unwrap();
    flush(&mut writer, &mut sim).unwrap();
    let start = writer.end().1 as usize;
    let torn: Vec<_> = (1..6).map(same).collect();
    writer.append(&torn).unwrap();
    let mut batch = Batch::default();
    writer.cut(&mut batch);
    let segment = sim.current.get_mut(&1).unwrap();
    segment[start..start + batch.bytes.len()].copy_from_slice(&batch.bytes);
    segment[start..start + 32].fill(0);
    let whole = Record::decode(1, start as u64 + 96, &segment[start + 96..]);
    assert!(matches!(whole, Ok(Record::Entry((1, 2), _))), "{whole:?}");

    let mut writer = sim.open();
    assert_eq!(writer.state().last, Some((1, 0)));
    // Where the next batch begins there is now a mark.
    writer
        .append(&[((1, 1), Bytes::from(vec![9; 32]))])
        .unwrap();
    flush(&mut writer, &mut sim).unwrap();
    let (state, entries) = content(&sim).unwrap();
    assert_eq!((state.last, entries.len()), (Some((1, 1)), 2));
}
