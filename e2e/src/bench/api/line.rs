//! The lines of the table: what each is called, what kube-apiserver did, and what is aimed at.
//!
//! The peer's figures were measured on a quiet machine of two cores with the same client shape:
//! kube-apiserver 1.36 (RBAC and tokens over TLS, priority-and-fairness off) on etcd 3.6, one member
//! or three. It is in no package registry; where it can be had it is measured again, beside us
//! (`kube.rs`), since machines, and the hours of a machine, differ.

use std::fmt;

use super::Figures;
use crate::bench::figure::{Bar, Figure};

/// Throughput and latencies of one shape.
pub(super) struct Three {
    pub(super) rate: &'static str,
    pub(super) p50: &'static str,
    pub(super) p99: &'static str,
}

macro_rules! three {
    ($name:literal) => {
        Three {
            rate: $name,
            p50: concat!($name, ": p50"),
            p99: concat!($name, ": p99"),
        }
    };
}

pub(super) const BARE_WRITE: &str = "limit: pwrite + fdatasync of 1 KiB, p50";
pub(super) const BARE_WRITE_P99: &str = "limit: pwrite + fdatasync of 1 KiB, p99";
pub(super) const BARE_TLS: &str = "limit: bare TLS over loopback";
pub(super) const CREATE_1: Three = three!("create, 1 client");
pub(super) const CREATE_64: Three = three!("create, 64 clients");
pub(super) const CREATE_256: Three = three!("create, 256 clients");
pub(super) const GET: Three = three!("get, linearizable, 64 clients");
pub(super) const GET_ANY: Three = three!("get, resourceVersion=0, 64 clients");
pub(super) const UPDATE: Three = three!("update, 64 clients");
pub(super) const LIST: &str = "list of all objects";
pub(super) const LIST_BYTES: &str = "list of all objects: size";
pub(super) const LIST_GZIP: &str = "list of all objects, gzip accepted";
pub(super) const LIST_GZIP_BYTES: &str = "list of all objects, gzip accepted: size";
pub(super) const FAN_FEW: &str = "fan-out, 100 watchers x 1000 events";
pub(super) const FAN_MANY: &str = "fan-out, 1000 watchers x 300 events";
pub(super) const IDLE: &str = "memory of a replica, idle";
pub(super) const FILLED: &str = "memory of a replica, all objects created";
pub(super) const AFTER: &str = "memory of a replica, after gets, lists, updates";
pub(super) const FANNED: &str = "memory of a replica, after the fan-out";
pub(super) const AGENTS_P50: &str = "agents, one connection each: delivery, p50";
pub(super) const AGENTS_P99: &str = "agents, one connection each: delivery, p99";
pub(super) const AGENTS_MEMORY: &str = "agents, one connection each: memory per idle watch";
pub(super) const AGENTS_RATE: &str = "agents, one connection each: updates";
pub(super) const SHARED_P50: &str = "agents, shared connections: delivery, p50";
pub(super) const SHARED_P99: &str = "agents, shared connections: delivery, p99";
pub(super) const SHARED_MEMORY: &str = "agents, shared connections: memory per idle watch";
pub(super) const SHARED_RATE: &str = "agents, shared connections: updates";

/// What is aimed at.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Aim {
    /// Ours divided by the peer's, both with three members.
    Ratio(Bar),
    /// The figure itself, with one replica as with three.
    Value(Bar),
}

/// A line of the table, before anything was measured.
struct Line {
    name: &'static str,
    unit: &'static str,
    /// kube-apiserver with one etcd, and with three; what was not measured is none.
    peer: [Option<f64>; 2],
    aim: Aim,
}

const fn line(name: &'static str, unit: &'static str, peer: [Option<f64>; 2], aim: Aim) -> Line {
    Line {
        name,
        unit,
        peer,
        aim,
    }
}

const NO_PEER: [Option<f64>; 2] = [None, None];
const NO_AIM: Aim = Aim::Value(Bar::None);

const fn peer(one: f64, three: f64) -> [Option<f64>; 2] {
    [Some(one), Some(three)]
}

const fn times(bar: f64) -> Aim {
    Aim::Ratio(Bar::AtLeast(bar))
}

const fn part(bar: f64) -> Aim {
    Aim::Ratio(Bar::AtMost(bar))
}

const fn most(bar: f64) -> Aim {
    Aim::Value(Bar::AtMost(bar))
}

const LINES: &[Line] = &[
    line(BARE_WRITE, "ms", NO_PEER, NO_AIM),
    line(BARE_WRITE_P99, "ms", NO_PEER, NO_AIM),
    line(BARE_TLS, "MB/s", NO_PEER, NO_AIM),
    line(CREATE_1.rate, "/s", peer(427.0, 306.0), times(4.0)),
    line(CREATE_1.p50, "ms", peer(2.2, 3.0), NO_AIM),
    line(CREATE_1.p99, "ms", peer(5.6, 8.4), NO_AIM),
    line(CREATE_64.rate, "/s", peer(1_766.0, 1_001.0), times(8.0)),
    line(CREATE_64.p50, "ms", peer(33.0, 59.0), NO_AIM),
    line(CREATE_64.p99, "ms", peer(87.0, 140.0), NO_AIM),
    line(CREATE_256.rate, "/s", [None, Some(1_048.0)], times(10.0)),
    line(CREATE_256.p50, "ms", [None, Some(220.0)], NO_AIM),
    line(CREATE_256.p99, "ms", [None, Some(601.0)], part(0.2)),
    line(GET.rate, "/s", peer(4_043.0, 2_639.0), times(8.0)),
    line(GET.p50, "ms", NO_PEER, NO_AIM),
    line(GET.p99, "ms", peer(42.0, 59.0), NO_AIM),
    line(GET_ANY.rate, "/s", [Some(5_627.0), None], NO_AIM),
    line(GET_ANY.p50, "ms", NO_PEER, NO_AIM),
    line(GET_ANY.p99, "ms", [Some(33.0), None], NO_AIM),
    line(UPDATE.rate, "/s", peer(1_958.0, 1_388.0), times(6.0)),
    line(UPDATE.p50, "ms", NO_PEER, NO_AIM),
    line(UPDATE.p99, "ms", peer(86.0, 98.0), NO_AIM),
    line(LIST, "ms", peer(402.0, 357.0), part(1.0 / 8.0)),
    line(LIST_BYTES, "MB", [Some(32.6), None], NO_AIM),
    line(LIST_GZIP, "ms", NO_PEER, NO_AIM),
    line(LIST_GZIP_BYTES, "MB", NO_PEER, NO_AIM),
    line(FAN_FEW, "/s", peer(52_600.0, 43_400.0), times(4.0)),
    line(FAN_MANY, "/s", peer(135_600.0, 100_100.0), times(4.0)),
    // The peer's: kube-apiserver and all members of etcd.
    line(IDLE, "MB", peer(311.0, 405.0), part(1.0 / 10.0)),
    line(FILLED, "MB", peer(682.0, 867.0), part(1.0 / 6.0)),
    line(AFTER, "MB", peer(682.0, 867.0), part(1.0 / 6.0)),
    line(FANNED, "MB", peer(682.0, 867.0), NO_AIM),
    line(AGENTS_RATE, "/s", NO_PEER, NO_AIM),
    line(AGENTS_P50, "ms", NO_PEER, NO_AIM),
    line(AGENTS_P99, "ms", NO_PEER, most(20.0)),
    line(AGENTS_MEMORY, "KB", NO_PEER, most(20.0)),
    line(SHARED_RATE, "/s", NO_PEER, NO_AIM),
    line(SHARED_P50, "ms", NO_PEER, NO_AIM),
    line(SHARED_P99, "ms", NO_PEER, most(20.0)),
    line(SHARED_MEMORY, "KB", NO_PEER, most(20.0)),
];

/// A line of the table.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// What was measured.
    pub name: &'static str,
    /// Of what.
    pub unit: &'static str,
    /// Ours with one replica and with three.
    pub ours: [Option<f64>; 2],
    /// The peer's with one member of etcd and with three, as once measured.
    pub peer: [Option<f64>; 2],
    /// The peer's in the same run.
    pub beside: [Option<f64>; 2],
    aim: Aim,
}

/// The lines of which anything was measured, by us and by the peer beside us: the figures are those
/// of [`super::SIZES`].
#[must_use]
pub fn rows(ours: &[Figures; 2], beside: &[Figures; 2]) -> Vec<Row> {
    let cells = |figures: &[Figures; 2], line: &Line| {
        [0, 1].map(|size: usize| figures[size].get(line.name).copied())
    };
    let row = |line: &Line| Row {
        name: line.name,
        unit: line.unit,
        ours: cells(ours, line),
        peer: line.peer,
        beside: cells(beside, line),
        aim: line.aim,
    };
    let measured = |row: &Row| row.ours.iter().any(Option::is_some);
    LINES.iter().map(row).filter(measured).collect()
}

impl Row {
    /// Ours divided by the peer's as once measured, with three members if we were measured so.
    #[must_use]
    pub fn ratio(&self) -> Option<f64> {
        self.ratio_to(&self.peer)
    }

    /// Ours divided by the peer's in the same run.
    #[must_use]
    pub fn ratio_beside(&self) -> Option<f64> {
        self.ratio_to(&self.beside)
    }

    fn ratio_to(&self, peer: &[Option<f64>; 2]) -> Option<f64> {
        let size = usize::from(self.ours[1].is_some());
        Some(self.ours[size]? / peer[size]?)
    }

    /// True when the bar is reached, or there is none for what was measured.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.judge(self.ratio()) != Some(false)
    }

    /// Whether the bar is reached, with this ratio; nothing without a bar or a figure.
    fn judge(&self, ratio: Option<f64>) -> Option<bool> {
        let (bar, values) = match self.aim {
            Aim::Ratio(bar) => (bar, [None, self.ours[1].and(ratio)]),
            Aim::Value(bar) => (bar, self.ours),
        };
        let good = |value: &f64| Figure::new("", *value, "", bar).is_good();
        let has_bar = bar != Bar::None && values.iter().any(Option::is_some);
        has_bar.then(|| values.iter().flatten().all(good))
    }

    /// The line above a table.
    #[must_use]
    pub fn heading() -> String {
        format!(
            "{:<51} {:>9} {:>9} {:<5} {:>9} {:>9} {:>7}  {:<15} {:>9} {:>9} {:>7}",
            "",
            "stoa x1",
            "stoa x3",
            "",
            "kube+1",
            "kube+3",
            "ratio",
            "bar",
            "beside+1",
            "beside+3",
            "ratio"
        )
    }

    fn bar(&self) -> String {
        let (Aim::Ratio(bar) | Aim::Value(bar)) = self.aim;
        match bar {
            Bar::AtLeast(bar) => format!("≥ {bar}"),
            Bar::AtMost(bar) => format!("≤ {bar:.3}"),
            Bar::None => String::new(),
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = |value: f64| if value < 100.0 { 2 } else { 0 };
        let cell =
            |value: Option<f64>| value.map_or(String::new(), |v| format!("{v:.*}", digits(v)));
        let verdict = |ratio: Option<f64>| match self.judge(ratio) {
            Some(true) => "met",
            Some(false) => "MISSED",
            None => "",
        };
        let [one, three] = self.ours.map(cell);
        let [peer_one, peer_three] = self.peer.map(cell);
        let [beside_one, beside_three] = self.beside.map(cell);
        let (ratio, beside) = (self.ratio(), self.ratio_beside());
        let line = format!(
            "{:<51} {one:>9} {three:>9} {:<5} {peer_one:>9} {peer_three:>9} {:>7}  {:<8} {:<6} \
             {beside_one:>9} {beside_three:>9} {:>7} {}",
            self.name,
            self.unit,
            cell(ratio),
            self.bar(),
            verdict(ratio),
            cell(beside),
            beside.map_or("", |ratio| verdict(Some(ratio))),
        );
        f.write_str(line.trim_end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: &'static str, ours: [Option<f64>; 2], beside: [Option<f64>; 2]) -> Row {
        let figures = |values: [Option<f64>; 2]| {
            values.map(|value| value.map(|value| (name, value)).into_iter().collect())
        };
        rows(&figures(ours), &figures(beside)).remove(0)
    }

    const NONE: [Option<f64>; 2] = [None, None];

    #[test]
    fn ratios_are_judged_with_three_replicas() {
        let row = one(CREATE_1.rate, [Some(1.0), Some(1_224.0)], NONE);
        assert_eq!(row.ratio(), Some(4.0));
        assert!(row.is_good() && row.to_string().ends_with("met"), "{row}");
        let row = one(CREATE_1.rate, [Some(9_000.0), Some(1_200.0)], NONE);
        assert!(row.to_string().ends_with("MISSED"), "{row}");
        let row = one(CREATE_1.rate, [Some(1.0), None], NONE);
        assert!(row.is_good() && row.to_string().ends_with('4'), "{row}");
    }

    #[test]
    fn what_was_measured_beside_us_has_a_verdict_of_its_own() {
        let row = one(
            CREATE_1.rate,
            [None, Some(1_200.0)],
            [Some(400.0), Some(300.0)],
        );
        assert_eq!(row.ratio_beside(), Some(4.0));
        assert!(!row.is_good(), "the first bar is the one that was set");
        assert!(row.to_string().ends_with("300    4.00 met"), "{row}");
        let row = one(CREATE_1.rate, [None, Some(1_200.0)], [None, Some(301.0)]);
        assert!(row.to_string().ends_with("MISSED"), "{row}");
        let row = one(CREATE_1.rate, [Some(9.0), Some(1_200.0)], [Some(3.0), None]);
        assert_eq!(row.ratio_beside(), None, "of different sizes");
    }

    #[test]
    fn values_are_judged_at_every_size() {
        assert!(one(AGENTS_P99, [Some(20.0), None], NONE).is_good());
        assert!(!one(AGENTS_P99, [Some(21.0), Some(1.0)], NONE).is_good());
    }

    #[test]
    fn names_are_told_apart() {
        let names: std::collections::BTreeSet<_> = LINES.iter().map(|line| line.name).collect();
        assert_eq!(names.len(), LINES.len());
    }
}
