//! What the kernel says of this process: proc(5).

use std::fs;

/// The kernel counts time for programs in these, whatever its own clock is; see `USER_HZ` in time(7).
const TICKS_PER_S: f64 = 100.0;

/// One process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Process {
    pub(crate) resident_bytes: u64,
    pub(crate) virtual_bytes: u64,
    pub(crate) threads: u64,
    pub(crate) cpu_s: f64,
    /// Seconds since 1970.
    pub(crate) start_s: f64,
    pub(crate) open_fds: u64,
    /// The soft limit; the largest number there is if there is none.
    pub(crate) max_fds: u64,
}

/// This process; none where the kernel does not tell.
pub(crate) fn read() -> Option<Process> {
    let text = |path: &str| fs::read_to_string(path).ok();
    let open_fds = fs::read_dir("/proc/self/fd").ok()?.count() as u64;
    parse(
        &text("/proc/self/status")?,
        &text("/proc/self/stat")?,
        &text("/proc/self/limits")?,
        &text("/proc/stat")?,
        open_fds,
    )
}

fn parse(status: &str, stat: &str, limits: &str, machine: &str, open_fds: u64) -> Option<Process> {
    let kilobytes = |name| Some(number(status, name)? * 1024);
    // The name may hold blanks and parentheses; what follows the last one has fixed places.
    let (_, fields) = stat.rsplit_once(") ")?;
    let ticks = |field: usize| fields.split(' ').nth(field - 3)?.parse::<f64>().ok();
    let boot_s = number(machine, "btime")? as f64;
    Some(Process {
        resident_bytes: kilobytes("VmRSS:")?,
        virtual_bytes: kilobytes("VmSize:")?,
        threads: number(status, "Threads:")?,
        cpu_s: (ticks(14)? + ticks(15)?) / TICKS_PER_S,
        start_s: boot_s + ticks(22)? / TICKS_PER_S,
        open_fds,
        max_fds: number(limits, "Max open files").unwrap_or(u64::MAX),
    })
}

/// The number behind the name at a line's start.
fn number(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts() {
        let status = "Name:\tstoa\nVmSize:\t  2048 kB\nVmRSS:\t    64 kB\nThreads:\t7\n";
        let stat = "12 (a) b) S 1 1 1 0 -1 4194560 9 0 0 0 150 50 0 0 20 0 7 0 1000 2097152 16 1";
        let limits = "Limit  Soft\nMax open files            1024                 4096  files\n";
        let machine = "cpu 1 2\nbtime 1700000000\n";
        let expected = Process {
            resident_bytes: 64 << 10,
            virtual_bytes: 2 << 20,
            threads: 7,
            cpu_s: 2.0,
            start_s: 1_700_000_010.0,
            open_fds: 3,
            max_fds: 1024,
        };
        assert_eq!(parse(status, stat, limits, machine, 3), Some(expected));
        assert_eq!(parse(status, "12 (a", limits, machine, 3), None);
        if cfg!(target_os = "linux") {
            let own = read().unwrap();
            assert!(own.resident_bytes > 0 && own.open_fds > 0 && own.threads > 0);
        }
    }
}
