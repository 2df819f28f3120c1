//! From a task's resources to the values of cgroup files.

use manifests::resources::{CPUS, MEM, Resources};
use serde::{Deserialize, Serialize};

/// What a run is held to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ceilings {
    /// Share of the processors when they are contended, in thousandths of a core.
    pub cpu_request: u64,
    /// Hard limit of processor time, in thousandths of a core.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_limit: Option<u64>,
    /// Hard limit of memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Most processes and threads at a time.
    pub pids_max: u64,
}

impl Ceilings {
    /// Memory is limited to what was asked for unless a limit is named; processor time only when
    /// a limit is named, so that idle cores are of use to somebody (Mesos' default as well).
    #[must_use]
    pub fn new(request: &Resources, limits: &Resources, pids_max: u64) -> Self {
        let thousandths = |from: &Resources| u64::try_from(from.get(CPUS).get()).unwrap_or(0);
        let bytes = |from: &Resources| Some(from.get(MEM).floor()).filter(|bytes| *bytes > 0);
        Self {
            cpu_request: thousandths(request),
            cpu_limit: Some(thousandths(limits)).filter(|limit| *limit > 0),
            memory_bytes: bytes(limits).or_else(|| bytes(request)),
            pids_max,
        }
    }
}

/// Which generation of the kernel's interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hierarchy {
    /// One mount for each controller.
    V1,
    /// One mount for all.
    V2,
}

/// A cgroup controller that Stoa uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Controller {
    /// Processor time.
    Cpu,
    /// Memory.
    Memory,
    /// Number of processes.
    Pids,
}

impl Controller {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Cpu, Self::Memory, Self::Pids];

    /// The kernel's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Pids => "pids",
        }
    }
}

/// One file to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its name.
    pub file: &'static str,
    /// What to write.
    pub value: String,
    /// False for a file that not every kernel has and whose absence leaves the limit in force.
    pub required: bool,
}

/// Length of the accounting period of a hard processor limit: the kernel's default and Mesos'.
const PERIOD_US: u64 = 100_000;

/// The kernel refuses shorter slices.
const QUOTA_MIN_US: u64 = 1_000;

/// What to write for one controller; empty when the run has no such limit.
#[must_use]
pub fn settings(of: Controller, hierarchy: Hierarchy, ceilings: &Ceilings) -> Vec<Setting> {
    match (of, hierarchy) {
        (Controller::Cpu, Hierarchy::V1) => cpu_v1(ceilings),
        (Controller::Cpu, Hierarchy::V2) => cpu_v2(ceilings),
        (Controller::Memory, Hierarchy::V1) => memory(
            ceilings,
            "memory.limit_in_bytes",
            "memory.memsw.limit_in_bytes",
            false,
        ),
        (Controller::Memory, Hierarchy::V2) => {
            memory(ceilings, "memory.max", "memory.swap.max", true)
        }
        (Controller::Pids, Hierarchy::V1 | Hierarchy::V2) => {
            vec![required("pids.max", ceilings.pids_max.to_string())]
        }
    }
}

fn required(file: &'static str, value: String) -> Setting {
    Setting {
        file,
        value,
        required: true,
    }
}

/// 1,024 shares a core, at least the kernel's minimum of 2.
fn shares(ceilings: &Ceilings) -> u64 {
    (ceilings.cpu_request.saturating_mul(1_024) / 1_000).clamp(2, 262_144)
}

fn quota_us(limit: u64) -> u64 {
    (limit.saturating_mul(PERIOD_US) / 1_000).max(QUOTA_MIN_US)
}

fn cpu_v1(ceilings: &Ceilings) -> Vec<Setting> {
    let mut files = vec![required("cpu.shares", shares(ceilings).to_string())];
    if let Some(limit) = ceilings.cpu_limit {
        files.push(required("cpu.cfs_period_us", PERIOD_US.to_string()));
        files.push(required("cpu.cfs_quota_us", quota_us(limit).to_string()));
    }
    files
}

/// Weight 1..10,000 for shares 2..262,144, by the line that runc and systemd draw.
fn cpu_v2(ceilings: &Ceilings) -> Vec<Setting> {
    let weight = 1 + (shares(ceilings) - 2) * 9_999 / 262_142;
    let mut files = vec![required("cpu.weight", weight.to_string())];
    if let Some(limit) = ceilings.cpu_limit {
        files.push(required(
            "cpu.max",
            format!("{} {PERIOD_US}", quota_us(limit)),
        ));
    }
    files
}

/// v1 limits memory and swap together; v2 limits swap by itself, where none is wanted.
fn memory(ceilings: &Ceilings, file: &'static str, swap: &'static str, v2: bool) -> Vec<Setting> {
    let Some(bytes) = ceilings.memory_bytes else {
        return vec![];
    };
    let swap_value = if v2 { 0 } else { bytes };
    vec![
        required(file, bytes.to_string()),
        Setting {
            file: swap,
            value: swap_value.to_string(),
            required: false,
        },
    ]
}
