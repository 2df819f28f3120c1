//! Control groups: which there are, one for each run, and their end.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::task::{Ceilings, Controller, Hierarchy, settings};

/// Where the runs' groups go, for each controller that works here.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cgroups {
    homes: Vec<(Controller, Hierarchy, PathBuf)>,
    /// What does not work, in words.
    pub(crate) not_enforced: Vec<String>,
}

/// Where a controller is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mount {
    pub(crate) controller: Controller,
    pub(crate) hierarchy: Hierarchy,
    pub(crate) path: PathBuf,
}

/// Finds controllers in the text of `/proc/self/mounts`. A v1 mount comes first: a controller
/// that is mounted there cannot be used through v2.
pub(crate) fn mounts(text: &str) -> Vec<Mount> {
    let mut found: Vec<Mount> = Vec::new();
    let lines = || text.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    for fields in lines() {
        if let [_, path, "cgroup", options, ..] = fields[..] {
            for controller in Controller::ALL {
                if options.split(',').any(|option| option == controller.name()) {
                    let path = PathBuf::from(path);
                    found.push(Mount {
                        controller,
                        hierarchy: Hierarchy::V1,
                        path,
                    });
                }
            }
        }
    }
    for fields in lines() {
        if let [_, path, "cgroup2", ..] = fields[..] {
            let offered = fs::read_to_string(Path::new(path).join("cgroup.controllers"));
            let offered = offered.unwrap_or_default();
            for controller in Controller::ALL {
                let known = found.iter().any(|mount| mount.controller == controller);
                if !known
                    && offered
                        .split_whitespace()
                        .any(|name| name == controller.name())
                {
                    let path = PathBuf::from(path);
                    found.push(Mount {
                        controller,
                        hierarchy: Hierarchy::V2,
                        path,
                    });
                }
            }
        }
    }
    found
}

impl Cgroups {
    /// Prepares `<mount>/stoa/<name>` for every controller.
    pub(crate) fn open(mounts: &[Mount], name: &str) -> Self {
        let mut groups = Self::default();
        for controller in Controller::ALL {
            let mount = mounts.iter().find(|mount| mount.controller == controller);
            let home = mount
                .ok_or_else(|| io::Error::new(ErrorKind::NotFound, "the controller is not mounted"))
                .and_then(|mount| Ok((mount.hierarchy, open(mount, name)?)));
            match home {
                Ok((hierarchy, home)) => groups.homes.push((controller, hierarchy, home)),
                Err(e) => groups.not_enforced.push(cannot(controller, &e)),
            }
        }
        groups
    }

    /// Makes the groups of a run. Answers with their directories and the limits that could not
    /// be set, in words.
    pub(crate) fn prepare(&self, run: &str, ceilings: &Ceilings) -> (Vec<PathBuf>, Vec<String>) {
        let (mut directories, mut not_enforced) = (Vec::new(), self.not_enforced.clone());
        for (controller, hierarchy, home) in &self.homes {
            let directory = home.join(run);
            match prepare(&directory, *controller, *hierarchy, ceilings) {
                Ok(()) if directories.contains(&directory) => {}
                Ok(()) => directories.push(directory),
                Err(e) => {
                    not_enforced.push(cannot(*controller, &e));
                    if !directories.contains(&directory) {
                        // Nobody will join it, so nobody would remove it.
                        let _never_made = fs::remove_dir(&directory);
                    }
                }
            }
        }
        (directories, not_enforced)
    }

    /// Removes the agent's own groups where no run is in them.
    pub(crate) fn close(&self) {
        for (_, _, home) in &self.homes {
            let _occupied = fs::remove_dir(home);
        }
    }

    /// The groups left from runs that `is_known` does not know.
    pub(crate) fn strays(&self, is_known: impl Fn(&str) -> bool) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for (_, _, home) in &self.homes {
            for entry in fs::read_dir(home).into_iter().flatten().flatten() {
                let is_group = entry.file_type().is_ok_and(|kind| kind.is_dir());
                let name = entry.file_name();
                if is_group && !is_known(&name.to_string_lossy()) && !found.contains(&entry.path())
                {
                    found.push(entry.path());
                }
            }
        }
        found
    }
}

fn cannot(controller: Controller, error: &io::Error) -> String {
    let what = match controller {
        Controller::Cpu => "cpus: neither shares nor limits of processor time",
        Controller::Memory => "mem: no limit of memory",
        Controller::Pids => "pids: no limit of processes",
    };
    format!("{what} ({error})")
}

fn open(mount: &Mount, name: &str) -> io::Result<PathBuf> {
    let home = mount.path.join("stoa").join(name);
    fs::create_dir_all(&home)?;
    if mount.hierarchy == Hierarchy::V2 {
        // Every level above a group has to pass the controller on.
        for level in [mount.path.clone(), mount.path.join("stoa"), home.clone()] {
            let enable = format!("+{}", mount.controller.name());
            fs::write(level.join("cgroup.subtree_control"), enable)?;
        }
    }
    Ok(home)
}

fn prepare(dir: &Path, of: Controller, hierarchy: Hierarchy, to: &Ceilings) -> io::Result<()> {
    ensure_dir(dir)?;
    for setting in settings(of, hierarchy, to) {
        let written = fs::write(dir.join(setting.file), &setting.value);
        if setting.required {
            written?;
        }
    }
    Ok(())
}

fn ensure_dir(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

/// Moves this process into a group.
pub(crate) fn join(group: &Path) -> io::Result<()> {
    fs::write(group.join("cgroup.procs"), "0")
}

/// Every process of a group.
pub(crate) fn members(group: &Path) -> Vec<i32> {
    let text = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

/// True when the kernel killed a process of the group at its memory limit.
pub(crate) fn hit_memory_limit(group: &Path) -> bool {
    let kills = |file: &str| {
        let text = fs::read_to_string(group.join(file)).unwrap_or_default();
        let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        count.is_some_and(|count| count.trim().parse::<u64>().is_ok_and(|count| count > 0))
    };
    kills("memory.oom_control") || kills("memory.events")
}

/// How often, and after what pause, an occupied group is tried again: a killed process leaves it
/// a moment after it was waited for.
const REMOVE_TRIES: u32 = 50;
const REMOVE_PAUSE: Duration = Duration::from_millis(10);

/// Kills what is left in the groups and removes them. Gives up on what the kernel will not let go;
/// the agent's next start tries again.
pub(crate) fn clear(groups: &[PathBuf]) {
    for group in groups {
        for attempt in 0..REMOVE_TRIES {
            super::kill::each(&members(group));
            match fs::remove_dir(group) {
                Err(e) if e.kind() != ErrorKind::NotFound && attempt + 1 < REMOVE_TRIES => {
                    thread::sleep(REMOVE_PAUSE);
                }
                Ok(()) | Err(_) => break,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CEILINGS: Ceilings = Ceilings {
        cpu_request: 500,
        cpu_limit: Some(250),
        memory_bytes: Some(1 << 26),
        pids_max: 64,
    };

    fn read(path: &Path) -> String {
        fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    #[test]
    fn controllers_are_found_in_both_generations() {
        let root = tempfile::tempdir().unwrap();
        let unified = root.path().join("unified");
        fs::create_dir(&unified).unwrap();
        fs::write(unified.join("cgroup.controllers"), "cpu io pids\n").unwrap();
        let text = format!(
            "tmpfs /sys tmpfs rw 0 0\ncgroup /c/cpu cgroup rw,cpu,cpuacct 0 0\n\
             cgroup /c/cpuset cgroup rw,cpuset 0 0\ncgroup2 {} cgroup2 rw 0 0\n",
            unified.display()
        );
        let found = mounts(&text);
        let brief: Vec<_> = found.iter().map(|m| (m.controller, m.hierarchy)).collect();
        assert_eq!(
            brief,
            [
                (Controller::Cpu, Hierarchy::V1),
                (Controller::Pids, Hierarchy::V2)
            ]
        );
        let groups = Cgroups::open(&found[1..], "a1");
        assert_eq!(groups.not_enforced.len(), 2, "{:?}", groups.not_enforced);
        assert!(groups.not_enforced[0].starts_with("cpus:"));
    }

    #[test]
    fn v1_files_hold_the_limits() {
        let root = tempfile::tempdir().unwrap();
        let mount = |controller: Controller| Mount {
            controller,
            hierarchy: Hierarchy::V1,
            path: root.path().join(controller.name()),
        };
        let groups = Cgroups::open(&Controller::ALL.map(mount), "a1");
        let (directories, not_enforced) = groups.prepare("u.0", &CEILINGS);
        assert!(not_enforced.is_empty(), "{not_enforced:?}");
        assert_eq!(directories.len(), 3);
        assert_eq!(read(&directories[0].join("cpu.shares")), "512");
        assert_eq!(read(&directories[0].join("cpu.cfs_quota_us")), "25000");
        assert_eq!(
            read(&directories[1].join("memory.limit_in_bytes")),
            "67108864"
        );
        assert_eq!(read(&directories[2].join("pids.max")), "64");
        assert_eq!(groups.strays(|name| name == "u.0"), Vec::<PathBuf>::new());
        assert_eq!(groups.strays(|_| false), directories);
    }

    #[test]
    fn v2_has_one_directory_and_passes_controllers_down() {
        let root = tempfile::tempdir().unwrap();
        let mount = |controller| {
            let path = root.path().to_path_buf();
            Mount {
                controller,
                hierarchy: Hierarchy::V2,
                path,
            }
        };
        let groups = Cgroups::open(&Controller::ALL.map(mount), "a1");
        let (directories, not_enforced) = groups.prepare("u.0", &CEILINGS);
        assert_eq!((directories.len(), not_enforced.len()), (1, 0));
        assert_eq!(read(&directories[0].join("cpu.max")), "25000 100000");
        assert_eq!(read(&directories[0].join("memory.max")), "67108864");
        assert_eq!(
            read(&root.path().join("stoa/cgroup.subtree_control")),
            "+pids"
        );
        fs::write(
            directories[0].join("memory.events"),
            "low 0\noom 2\noom_kill 1\n",
        )
        .unwrap();
        assert!(hit_memory_limit(&directories[0]));
    }
}
