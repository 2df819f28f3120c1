//! Failpoints: every place where the store meets disk or network, and what may go wrong there.
//!
//! Each replica has its own table, handed in through its options, so replicas of one process fail
//! apart. Nothing is armed unless a test or a campaign arms it; an unarmed point costs one load.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

macro_rules! points {
    ($($(#[$doc:meta])* $variant:ident = $name:literal),+ $(,)?) => {
        /// A place where the world may fail.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Point {
            $($(#[$doc])* $variant,)+
        }

        impl Point {
            /// Every point there is.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name it is armed by.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

points! {
    /// Before records are written to the log. `Lie`: acknowledge now, write a moment later.
    WalWrite = "wal-write",
    /// Before the log's fdatasync. `Lie`: skip it and say it was done.
    WalSync = "wal-sync",
    /// Before the mark that follows a completed sync.
    WalMark = "wal-mark",
    /// Before a segment is made or recycled.
    WalSegment = "wal-segment",
    /// Before a vote is written. `Lie`: say it is durable, and write it after what follows it.
    WalVote = "wal-vote",
    /// Before entries are read back from the log.
    WalRead = "wal-read",
    /// While the log is opened, before each segment is read.
    WalOpen = "wal-open",
    /// Before purged segments are removed.
    WalPurge = "wal-purge",
    /// Before a block of a checkpoint is written.
    CheckpointWrite = "checkpoint-write",
    /// Before a checkpoint's files are synced.
    CheckpointSync = "checkpoint-sync",
    /// Before a checkpoint becomes the current one.
    CheckpointCommit = "checkpoint-commit",
    /// Before a block of a checkpoint is read.
    CheckpointRead = "checkpoint-read",
    /// Before a value is read that is not in memory.
    ValueRead = "value-read",
    /// Before a piece of a snapshot is sent to a peer.
    SnapshotSend = "snapshot-send",
    /// Before a snapshot from a peer is installed.
    SnapshotInstall = "snapshot-install",
    /// Before a peer is dialled.
    PeerConnect = "peer-connect",
    /// Before a question is written to a peer.
    PeerSend = "peer-send",
    /// Before a message of a peer is heard.
    PeerReceive = "peer-receive",
    /// Before a batch of entries is applied.
    Apply = "apply",
    /// Before the quorum is asked to confirm a read. `Lie`: do not ask.
    ReadIndex = "read-index",
    /// Before a change enters the history. `Lie`: it never does, so its watchers miss it.
    History = "history",
    /// Before identity, founders or peers are written.
    Identity = "identity",
}

/// What happens at an armed point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The operation fails with this kind of error.
    Fail(io::ErrorKind),
    /// It takes this much longer.
    Delay(Duration),
    /// The thread panics.
    Panic,
    /// The process ends at once, as by SIGKILL.
    Abort,
    /// The store does what the point says under `Lie`, which is wrong on purpose.
    Lie,
}

/// What the code at a point must do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Go on.
    Honest,
    /// Be wrong.
    Lie,
}

/// One replica's failpoints. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Table>);

#[derive(Debug, Default)]
struct Table {
    any: AtomicBool,
    armed: Mutex<BTreeMap<Point, Armed>>,
}

#[derive(Clone, Copy, Debug)]
struct Armed {
    action: Action,
    /// Hits left; none means for good.
    left: Option<u64>,
}

impl Faults {
    /// Arms the point: the next `times` hits, or all of them.
    pub fn arm(&self, point: Point, action: Action, times: Option<u64>) {
        let armed = Armed {
            action,
            left: times,
        };
        self.table().insert(point, armed);
        self.0.any.store(true, Ordering::Relaxed);
    }

    /// Lets the point work again.
    pub fn disarm(&self, point: Point) {
        let mut table = self.table();
        table.remove(&point);
        self.0.any.store(!table.is_empty(), Ordering::Relaxed);
    }

    /// True until the point was hit as often as it was told to fail.
    #[must_use]
    pub fn is_armed(&self, point: Point) -> bool {
        self.0.any.load(Ordering::Relaxed) && self.table().contains_key(&point)
    }

    /// Arms what a text says: `wal-sync=fail:full*3,wal-write=delay:100,apply=panic`.
    ///
    /// # Errors
    /// With the word that is not understood.
    pub fn arm_all(&self, text: &str) -> Result<(), String> {
        for word in text.split(',').filter(|word| !word.is_empty()) {
            let (point, rest) = word.split_once('=').ok_or(format!("`{word}` lacks `=`"))?;
            let (action, times) = match rest.split_once('*') {
                Some((action, times)) => (action, Some(times)),
                None => (rest, None),
            };
            let times = times.map(str::parse).transpose();
            let times = times.map_err(|_not_a_number| format!("`{word}`: how many times?"))?;
            self.arm(point.parse()?, action.parse()?, times);
        }
        Ok(())
    }

    /// To be called at the point, where blocking is allowed.
    pub(crate) fn hit(&self, point: Point) -> io::Result<Verdict> {
        let Some(action) = self.next(point) else {
            return Ok(Verdict::Honest);
        };
        if let Action::Delay(delay) = action {
            std::thread::sleep(delay);
        }
        perform(point, action)
    }

    /// To be called at the point in async code.
    pub(crate) async fn meet(&self, point: Point) -> io::Result<Verdict> {
        let Some(action) = self.next(point) else {
            return Ok(Verdict::Honest);
        };
        if let Action::Delay(delay) = action {
            tokio::time::sleep(delay).await;
        }
        perform(point, action)
    }

    fn next(&self, point: Point) -> Option<Action> {
        if !self.0.any.load(Ordering::Relaxed) {
            return None;
        }
        let mut table = self.table();
        let armed = table.get_mut(&point)?;
        let action = armed.action;
        if let Some(left) = &mut armed.left {
            *left = left.saturating_sub(1);
            if *left == 0 {
                table.remove(&point);
            }
        }
        Some(action)
    }

    fn table(&self) -> std::sync::MutexGuard<'_, BTreeMap<Point, Armed>> {
        self.0.armed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn perform(point: Point, action: Action) -> io::Result<Verdict> {
    match action {
        Action::Fail(kind) => Err(io::Error::new(
            kind,
            format!("{point} was told to fail: {kind}"),
        )),
        Action::Panic => panic!("{point} was told to panic"),
        Action::Abort => std::process::abort(),
        Action::Lie => Ok(Verdict::Lie),
        // It is over.
        Action::Delay(_) => Ok(Verdict::Honest),
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Point {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|point| point.name() == text);
        found.copied().ok_or(format!("no failpoint `{text}`"))
    }
}

impl FromStr for Action {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':').unwrap_or((text, "")) {
            ("fail", "full") => Ok(Self::Fail(io::ErrorKind::StorageFull)),
            ("fail", "io" | "") => Ok(Self::Fail(io::ErrorKind::Other)),
            ("delay", ms) => ms
                .parse()
                .map(|ms| Self::Delay(Duration::from_millis(ms)))
                .map_err(|_not_a_number| format!("`{text}`: how many milliseconds?")),
            ("panic", "") => Ok(Self::Panic),
            ("abort", "") => Ok(Self::Abort),
            ("lie", "") => Ok(Self::Lie),
            _ => Err(format!(
                "`{text}` is none of fail:io, fail:full, delay:MS, panic, abort, lie"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn armed_points_fail_as_often_as_told() {
        let faults = Faults::default();
        assert_eq!(faults.hit(Point::WalSync).unwrap(), Verdict::Honest);
        faults.arm_all("wal-sync=fail:full*2,apply=lie").unwrap();
        for _ in 0..2 {
            let error = faults.hit(Point::WalSync).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        }
        assert_eq!(faults.hit(Point::WalSync).unwrap(), Verdict::Honest);
        assert_eq!(faults.hit(Point::Apply).unwrap(), Verdict::Lie);
        faults.disarm(Point::Apply);
        assert_eq!(faults.hit(Point::Apply).unwrap(), Verdict::Honest);
    }

    #[test]
    fn texts_that_arm_nothing_say_why() {
        let faults = Faults::default();
        for (text, why) in [
            ("wal-sync", "lacks `=`"),
            ("disk=panic", "no failpoint `disk`"),
            ("wal-sync=explode", "is none of"),
            ("wal-sync=delay:long", "how many milliseconds"),
            ("wal-sync=panic*x", "how many times"),
        ] {
            let error = faults.arm_all(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
        for point in Point::ALL {
            assert_eq!(point.name().parse(), Ok(*point));
        }
    }
}
