//! The log on real files: segments fill up, are recycled and read back; damaged directories are refused.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use tempfile::TempDir;
use tokio::sync::oneshot;

use super::support::{files_below, until};
use crate::edge::log::LogStore;
use crate::edge::metrics::Metrics;
use crate::edge::wal::{self, waiter::Waiter};
use crate::faults::{Action, Faults, Point};
use crate::raft::{EntryPayload, log_id};
use openraft::RaftLogReader;
use openraft::storage::RaftLogStorage;

const SEGMENT_BYTES: u64 = 16 << 10;

fn open(dir: &Path, faults: &Faults) -> io::Result<LogStore> {
    LogStore::new(
        wal::open(dir, faults)?,
        Arc::new(|_| {}),
        Metrics::default(),
    )
}

fn created(faults: &Faults) -> (TempDir, PathBuf, LogStore) {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("log");
    wal::ensure(&path, SEGMENT_BYTES, None).unwrap();
    let log = open(&path, faults).unwrap();
    (dir, path, log)
}

async fn close(log: LogStore) {
    log.close();
    log.closed().await;
}

fn payload(n: u64) -> Bytes {
    let blank: EntryPayload = EntryPayload::Normal(crate::command::Proposal(
        vec![n as u8; 500 + n as usize % 700].into(),
    ));
    postcard::to_stdvec(&blank).unwrap().into()
}

async fn append(log: &LogStore, range: std::ops::Range<u64>) -> io::Result<()> {
    let (done, wait) = oneshot::channel();
    let entries: Vec<_> = range.map(|n| ((1, n), payload(n))).collect();
    log.append_then(&entries, Waiter::Caller(done))?;
    wait.await.unwrap()
}

async fn assert_holds(log: &mut LogStore, from: u64, to: u64) {
    let entries = log.try_get_log_entries(from..to).await.unwrap();
    let indexes: Vec<u64> = entries.iter().map(|entry| entry.log_id.index).collect();
    assert_eq!(indexes, (from..to).collect::<Vec<_>>());
    for entry in entries {
        let bytes = postcard::to_stdvec(&entry.payload).unwrap();
        assert_eq!(bytes, payload(entry.log_id.index));
    }
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let files = files_below(dir).into_iter();
    files
        .filter(|path| path.extension().is_some_and(|it| it == "seg"))
        .collect()
}

#[tokio::test]
async fn segments_fill_up_are_recycled_and_read_back() {
    let faults = Faults::default();
    let (_dir, path, mut log) = created(&faults);
    for start in (0..400).step_by(5) {
        append(&log, start..start + 5).await.unwrap();
        if start % 50 == 0 && start > 0 {
            log.purge(log_id(1, start - 20)).await.unwrap();
        }
    }
    assert_holds(&mut log, 331, 400).await;
    close(log).await;
    let kept = segments(&path);
    assert!((4..12).contains(&kept.len()), "{kept:?}");
    let mut log = open(&path, &faults).unwrap();
    assert_eq!(log.state().last, Some((1, 399)));
    assert_eq!(log.state().purged, Some((1, 330)));
    // Nothing is in memory now.
    assert_holds(&mut log, 331, 400).await;
    log.truncate_after(Some(log_id(1, 350))).await.unwrap();
    append(&log, 351..353).await.unwrap();
    assert_holds(&mut log, 331, 353).await;
    close(log).await;
}

#[tokio::test]
async fn a_log_has_one_user() {
    let (_dir, path, log) = created(&Faults::default());
    let refused = open(&path, &Faults::default()).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
    close(log).await;
    close(open(&path, &Faults::default()).unwrap()).await;
}

#[tokio::test]
async fn what_a_reader_finds_damaged_is_named() {
    let (_dir, path, log) = created(&Faults::default());
    for n in 0..10 {
        append(&log, n..n + 1).await.unwrap();
    }
    close(log).await;
    let mut log = open(&path, &Faults::default()).unwrap();
    let segment = &segments(&path)[0];
    let mut bytes = fs::read(segment).unwrap();
    bytes[2000] ^= 1;
    fs::write(segment, bytes).unwrap();
    let error = log.try_get_log_entries(0..10).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    assert!(error.to_string().contains(".seg, byte "), "{error}");
    close(log).await;
}

#[tokio::test]
async fn damaged_directories_are_refused() {
    let (_dir, path, log) = created(&Faults::default());
    for n in 0..60 {
        append(&log, n..n + 1).await.unwrap();
    }
    close(log).await;
    let all: Vec<(PathBuf, Vec<u8>)> = segments(&path)
        .into_iter()
        .map(|file| (file.clone(), fs::read(file).unwrap()))
        .collect();
    let used = all.iter().filter(|(_, bytes)| bytes[8] != 0).count();
    assert!(used >= 3);
    let refusal = |what: &str| {
        let refused = wal::open(&path, &Faults::default()).map(drop).unwrap_err();
        for (file, bytes) in &all {
            fs::write(file, bytes).unwrap();
        }
        assert!(refused.to_string().contains(what), "{refused}, not {what}");
    };
    fs::remove_file(&all[0].0).unwrap();
    refusal("are missing");
    fs::remove_file(&all[1].0).unwrap();
    refusal("is missing");
    for (file, _) in &all[used - 1..] {
        fs::remove_file(file).unwrap();
    }
    refusal("is missing");
    for (file, _) in &all {
        fs::remove_file(file).unwrap();
    }
    refusal("there is no segment");
    for (file, bytes) in &all {
        fs::write(file, &bytes[..bytes.len() - 1]).unwrap();
        refusal("it must have");
        fs::write(file, [&bytes[..], &[0]].concat()).unwrap();
        refusal("it must have");
    }
    fs::remove_file(&all[0].0).unwrap();
    fs::create_dir(&all[0].0).unwrap();
    let refused = wal::open(&path, &Faults::default()).map(drop);
    assert!(refused.is_err());
    fs::remove_dir(&all[0].0).unwrap();
    refusal("are missing");
}

#[tokio::test]
async fn leftovers_of_a_crash_are_removed() {
    let (_dir, path, log) = created(&Faults::default());
    append(&log, 0..3).await.unwrap();
    close(log).await;
    for leftover in ["spare-0000000000000001", "0000000000000009.new"] {
        fs::write(path.join(leftover), "x").unwrap();
    }
    let mut log = open(&path, &Faults::default()).unwrap();
    assert_holds(&mut log, 0, 3).await;
    close(log).await;
    let left = files_below(&path);
    assert!(
        left.iter()
            .all(|file| !file.to_string_lossy().contains("spare")
                && file.extension().is_none_or(|it| it != "new")),
        "{left:?}"
    );
}

#[tokio::test]
async fn a_segment_that_cannot_be_made_is_a_fault_once_it_is_needed() {
    let faults = Faults::default();
    let (_dir, path, log) = created(&faults);
    faults.arm(Point::WalSegment, Action::Fail(io::ErrorKind::Other), None);
    let mut next = 0;
    let error = loop {
        match append(&log, next..next + 1).await {
            Ok(()) => next += 1,
            Err(error) => break error,
        }
    };
    assert!(error.to_string().contains("told to fail"), "{error}");
    close(log).await;
    let mut log = open(&path, &Faults::default()).unwrap();
    assert_holds(&mut log, 0, next).await;
    close(log).await;
}

#[tokio::test]
async fn a_vote_is_durable_unless_a_lie_says_so() {
    let faults = Faults::default();
    let (_dir, path, mut log) = created(&faults);
    let vote = crate::raft::Vote::new(3, 1);
    log.save_vote(&vote).await.unwrap();
    let held = segments(&path);
    let honest = fs::read(&held[0]).unwrap();
    faults.arm(Point::WalVote, Action::Lie, Some(1));
    let later = crate::raft::Vote::new(4, 2);
    log.save_vote(&later).await.unwrap();
    assert_eq!(log.read_vote().await.unwrap(), Some(later));
    assert_eq!(fs::read(&held[0]).unwrap(), honest);
    append(&log, 0..1).await.unwrap();
    append(&log, 1..2).await.unwrap();
    close(log).await;
    let mut log = open(&path, &Faults::default()).unwrap();
    assert_eq!(log.read_vote().await.unwrap(), Some(later));
    close(log).await;
}

#[tokio::test]
async fn a_lie_about_a_write_is_told_before_it_is_true() {
    let faults = Faults::default();
    let (_dir, path, log) = created(&faults);
    let before = fs::read(&segments(&path)[0]).unwrap();
    faults.arm(Point::WalWrite, Action::Lie, Some(1));
    append(&log, 0..1).await.unwrap();
    until("it is written after all", async || {
        (fs::read(&segments(&path)[0]).unwrap() != before).then_some(())
    })
    .await;
    close(log).await;
}

#[tokio::test]
async fn an_entry_larger_than_a_segment_names_both_sizes() {
    let (_dir, _path, log) = created(&Faults::default());
    let max = crate::wal::writer::entry_max(SEGMENT_BYTES);
    let append = |at, bytes| {
        let (done, wait) = oneshot::channel();
        let entry = ((1, at), Bytes::from(vec![7; bytes as usize]));
        log.append_then(&[entry], Waiter::Caller(done))
            .map(|()| wait)
    };
    append(0, max).unwrap().await.unwrap().unwrap();
    append(1, max).unwrap().await.unwrap().unwrap();
    let error = append(2, max + 1).unwrap_err().to_string();
    let sizes = [max + 1, max].map(|size| size.to_string());
    assert!(sizes.iter().all(|size| error.contains(size)), "{error}");
    close(log).await;
}
