//! Gives back the pages of program text that only a start needs.
//!
//! The kernel maps sixteen pages around each one touched, so a start leaves most of the program
//! mapped: two thirds of an idle agent's resident memory. Dropping the mappings costs nothing but
//! a minor fault for each window that is really used again; the file stays in the page cache.

use std::ffi::c_void;
use std::path::Path;
use std::time::Duration;

/// A start is over by then: registered, watching, first heartbeat sent.
const FIRST: Duration = Duration::from_secs(3);

/// After work the text used by it is given back as well.
const AGAIN: Duration = Duration::from_secs(60);

/// Has the kernel back this process's memory with small pages: with huge ones an idle server takes tens of
/// megabytes it never touched, and so does its allocator. Processes inherit it: the supervisor of a task undoes it
/// before the command starts.
pub(crate) fn small_pages() {
    // A kernel without huge pages refuses, and nothing is lost.
    rustix::thread::disable_transparent_huge_pages(true).ok();
}

/// Gives unused text back now and then, for as long as the runtime lives.
pub(crate) async fn keep_small() {
    tokio::time::sleep(FIRST).await;
    loop {
        give_back();
        tokio::time::sleep(AGAIN).await;
    }
}

fn give_back() {
    let (Ok(program), Ok(maps)) = (
        std::fs::read_link("/proc/self/exe"),
        std::fs::read_to_string("/proc/self/smaps"),
    ) else {
        return;
    };
    for (start, length) in unwritten(&maps, &program) {
        if let Err(error) = forget(start, length) {
            tracing::debug!(%error, "program text cannot be given back");
        }
    }
}

/// Start and length of the program's mappings that cannot be written and never were. The data that
/// the loader relocated and then protected is unwritable too, but has anonymous pages.
fn unwritten(smaps: &str, program: &Path) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut current = None;
    for line in smaps.lines() {
        if let Some(anonymous) = line.strip_prefix("Anonymous:") {
            found.extend(current.take().filter(|_| anonymous.trim() == "0 kB"));
        } else if !line
            .split_whitespace()
            .next()
            .unwrap_or_default()
            .ends_with(':')
        {
            current = mapping(line, program);
        }
    }
    found
}

/// Reads the heading of a mapping; `None` if it is another file's or may be written.
fn mapping(heading: &str, program: &Path) -> Option<(usize, usize)> {
    let mut words = heading.split_whitespace();
    let (range, permissions) = (words.next()?, words.next()?);
    let path = words.nth(3)?;
    if permissions.contains('w') || Path::new(path) != program {
        return None;
    }
    let (start, end) = range.split_once('-')?;
    let start = usize::from_str_radix(start, 16).ok()?;
    let end = usize::from_str_radix(end, 16).ok()?;
    Some((start, end.checked_sub(start)?))
}

#[expect(
    unsafe_code,
    reason = "madvise takes an address; there is no safe form of it"
)]
fn forget(start: usize, length: usize) -> rustix::io::Result<()> {
    let address = std::ptr::with_exposed_provenance_mut::<c_void>(start);
    // SAFETY: the range is a private mapping of this program's file that cannot be written and has
    // no page that differs from the file, so each is read from there when it is next used.
    unsafe { rustix::mm::madvise(address, length, rustix::mm::Advice::LinuxDontNeed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMAPS: &str = "\
55aa00000000-55aa00100000 r--p 00000000 fe:00 11 /usr/bin/stoa
Rss:                 400 kB
Anonymous:             0 kB
55aa00100000-55aa00300000 r-xp 00100000 fe:00 11 /usr/bin/stoa
Anonymous:             0 kB
VmFlags: rd ex mr mw me sd
55aa00300000-55aa00310000 r--p 00300000 fe:00 11 /usr/bin/stoa
Anonymous:            64 kB
55aa00310000-55aa00320000 rw-p 00310000 fe:00 11 /usr/bin/stoa
Anonymous:             0 kB
7f0000000000-7f0000100000 r-xp 00000000 fe:00 12 /usr/lib/libc.so.6
Anonymous:             0 kB
7f0000200000-7f0000300000 rw-p 00000000 00:00 0
Anonymous:             0 kB
";

    #[test]
    fn only_our_own_and_never_written() {
        let found = unwritten(SMAPS, Path::new("/usr/bin/stoa"));
        let expected = [(0x55aa_0000_0000, 0x10_0000), (0x55aa_0010_0000, 0x20_0000)];
        assert_eq!(found, expected);
        assert!(unwritten(SMAPS, Path::new("/usr/bin/other")).is_empty());
        assert!(unwritten("nonsense\n\n- r-xp\nAnonymous: 0 kB", Path::new("/x")).is_empty());
    }

    #[test]
    fn what_is_given_back_still_runs() {
        give_back();
        assert_eq!(unwritten(SMAPS, Path::new("/usr/bin/stoa")).len(), 2);
    }
}
