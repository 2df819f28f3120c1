//! What `/proc` says of processes.

use std::fs;
use std::io::{self, ErrorKind};

use rustix::io::Errno;

/// The part of `/proc/PID/stat` that matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) pid: i32,
    pub(crate) parent: i32,
    pub(crate) session: i32,
    /// Start time in clock ticks since boot: pid and ticks together name a process for good.
    pub(crate) ticks: u64,
    /// Dead, and not yet waited for.
    pub(crate) is_zombie: bool,
}

/// Reads a line of `/proc/PID/stat`. The second field is the program's name in parentheses and
/// may itself hold spaces and parentheses, so reading starts behind the last one.
fn parse(line: &str) -> Option<Stat> {
    let (pid, rest) = line.split_once(" (")?;
    let (_, rest) = rest.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    let number = |index: usize| fields.get(index)?.parse().ok();
    Some(Stat {
        pid: pid.parse().ok()?,
        parent: number(1)?,
        session: number(3)?,
        ticks: fields.get(19)?.parse().ok()?,
        is_zombie: matches!(*fields.first()?, "Z" | "X"),
    })
}

/// One process.
pub(crate) fn stat(pid: i32) -> io::Result<Stat> {
    let line = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    parse(&line).ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "/proc/PID/stat"))
}

/// The process with this number, if there is one. That it could not be looked up (no descriptors
/// left) is an error, for to take it as its death would end runs that live.
pub(crate) fn find(pid: i32) -> io::Result<Option<Stat>> {
    match stat(pid) {
        Ok(stat) => Ok(Some(stat)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) if e.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => Ok(None),
        Err(e) => Err(e),
    }
}

/// True while exactly this process lives.
pub(crate) fn is_alive(pid: i32, ticks: u64) -> io::Result<bool> {
    let found = find(pid)?;
    Ok(found.is_some_and(|stat| stat.ticks == ticks && !stat.is_zombie))
}

/// Every process there is; those that end meanwhile are left out.
pub(crate) fn all() -> io::Result<Vec<Stat>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        if let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) {
            found.extend(find(pid)?);
        }
    }
    Ok(found)
}

/// True when the process was started with these variables, each as `NAME=value`. A process that
/// has ended, or is another user's, has none.
pub(crate) fn has_variables(pid: i32, wanted: &[String]) -> bool {
    let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let mut wanted = wanted.iter().map(String::as_bytes);
    wanted.all(|variable| environ.split(|byte| *byte == 0).any(|one| one == variable))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_mislead() {
        let line = "42 (a) b (c) S 7 42 40 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 12345 1 2 3";
        let stat = Stat {
            pid: 42,
            parent: 7,
            session: 40,
            ticks: 12345,
            is_zombie: false,
        };
        assert_eq!(parse(line), Some(stat));
        assert_eq!(parse("42 (x) S 7"), None);
    }

    #[test]
    fn this_process_is_alive_and_found() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let me = stat(pid).unwrap();
        assert!(is_alive(pid, me.ticks).unwrap() && !is_alive(pid, me.ticks + 1).unwrap());
        assert_eq!(find(i32::MAX).unwrap(), None);
        assert!(all().unwrap().iter().any(|stat| stat.pid == pid));
    }
}
