//! Where records go.

use bytes::Bytes;

use super::sim::{Sim, content, flush};
use crate::wal::record::{Flaw, HEAD, Record, STATE};
use crate::wal::writer::{AppendError, Batch, Chunk, entry_max};
use crate::wal::{self, State, Vote};

const SEGMENT: usize = 8192;

fn bytes(len: usize) -> Bytes {
    vec![0xab; len].into()
}

#[test]
fn records_are_valid_only_where_they_belong() {
    let vote = Vote {
        term: 7,
        committed: true,
        node: 3,
    };
    let state = State {
        vote: Some(vote),
        committed: None,
        purged: Some((1, 2)),
        last: Some((7, u64::MAX)),
    };
    let records = [
        Record::Entry((1, 2), b""),
        Record::Entry((3, 4), b"seven b"),
        Record::Vote(vote),
        Record::Committed((5, 6)),
        Record::Truncate(None),
        Record::Truncate(Some((0, 0))),
        Record::Purge((8, 9)),
        Record::State(1 << 20, state),
        Record::State(4096, State::default()),
        Record::Seal,
        Record::Mark,
    ];
    for record in records {
        let mut encoded = Vec::new();
        record.encode(5, 64, &mut encoded);
        assert_eq!(encoded.len(), record.size());
        assert_eq!(Record::decode(5, 64, &encoded), Ok(record));
        for (seq, offset) in [(6, 64), (5, 72)] {
            let moved = Record::decode(seq, offset, &encoded);
            assert_eq!(moved, Err(Flaw::Checksum), "{record:?}");
        }
        for at in 0..encoded.len() * 8 {
            let mut flipped = encoded.clone();
            flipped[at / 8] ^= 1 << (at % 8);
            assert!(
                Record::decode(5, 64, &flipped).is_err(),
                "{record:?}, bit {at}"
            );
        }
        for len in 0..encoded.len() {
            assert!(Record::decode(5, 64, &encoded[..len]).is_err());
        }
    }
    assert_eq!(Record::decode(1, 0, &[0; 64]), Err(Flaw::Zeros));
}

#[test]
fn names_are_numbers() {
    for seq in [0, 1, u64::MAX] {
        assert_eq!(wal::seq(&wal::name(seq)), Some(seq));
    }
    for other in [
        "lock",
        "1.seg",
        "spare-0000000000000001",
        "000000000000000g.seg",
    ] {
        assert_eq!(wal::seq(other), None, "{other}");
    }
}

/// A segment is used to its last byte, and not beyond.
#[test]
fn segments_are_filled_exactly() {
    let first = STATE + HEAD;
    // Less than, exactly, and more than what leaves room for a seal and a mark.
    for (short, rolls) in [(8, false), (0, false), (-8, true)] {
        let mut sim = Sim::new(SEGMENT);
        let mut writer = sim.open();
        let room = SEGMENT - first - HEAD - 2 * HEAD;
        let len = room.checked_add_signed(-short).unwrap();
        writer.append(&[((1, 0), bytes(len))]).unwrap();
        assert_eq!(writer.end().0, if rolls { 2 } else { 1 }, "{short}");
        flush(&mut writer, &mut sim).unwrap();
        writer.append(&[((1, 1), bytes(0))]).unwrap();
        let mut batch = Batch::default();
        writer.cut(&mut batch);
        let seal = Chunk {
            seq: 1,
            offset: (SEGMENT - HEAD) as u64,
            len: HEAD,
            seals: true,
        };
        assert_eq!(
            batch.chunks.contains(&seal),
            short == 0,
            "{:?}",
            batch.chunks
        );
        writer = sim.open();
        for index in 1..40 {
            writer
                .append(&[((1, index), bytes(index as usize * 8))])
                .unwrap();
            flush(&mut writer, &mut sim).unwrap();
        }
        assert_eq!(content(&sim).unwrap().1.len(), 40, "{short}");
    }
}

#[test]
fn one_batch_may_fill_many_segments() {
    let mut sim = Sim::new(SEGMENT);
    let mut writer = sim.open();
    let max = usize::try_from(entry_max(SEGMENT as u64)).unwrap();
    let entries: Vec<_> = (0..5).map(|index| ((1, index), bytes(max))).collect();
    writer.append(&entries).unwrap();
    writer.vote(Vote {
        term: 2,
        committed: false,
        node: 1,
    });
    flush(&mut writer, &mut sim).unwrap();
    assert_eq!(sim.current.len(), 6 + 1);
    let (state, read) = content(&sim).unwrap();
    assert_eq!((state.last, read.len()), (Some((1, 4)), 5));
    let large = [((1, 5), bytes(1)), ((1, 6), bytes(max + 1))];
    let refused = AppendError::TooLarge {
        bytes: max + 1,
        max: max as u64,
    };
    assert_eq!(writer.append(&large), Err(refused));
    // None of them was taken.
    assert!(writer.is_idle());
    assert!(writer.append(&[((1, 7), bytes(1))]).is_err());
    assert!(writer.append(&[((0, 5), bytes(1))]).is_err());
}

#[test]
fn of_several_commits_the_latest_rides_with_the_next_batch() {
    let mut sim = Sim::new(SEGMENT);
    let mut writer = sim.open();
    let entries: Vec<_> = (0..9).map(|index| ((1, index), bytes(8))).collect();
    writer.append(&entries).unwrap();
    flush(&mut writer, &mut sim).unwrap();
    for index in [3, 5, 4, 99] {
        writer.commit((1, index));
    }
    assert!(writer.is_idle());
    assert_eq!(writer.state().committed, Some((1, 5)));
    writer.append(&[((1, 9), bytes(8))]).unwrap();
    let before = writer.end().1;
    flush(&mut writer, &mut sim).unwrap();
    assert_eq!(writer.end().1 - before, 2 * HEAD as u64);
    assert_eq!(content(&sim).unwrap().0.committed, Some((1, 5)));
}
