//! From what a machine has to what it offers, by Mesos' rules.

use manifests::resources::{CPUS, DISK, MEM, Milli, Ranges, Resources};

/// What a machine has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) cores: u64,
    pub(crate) memory_bytes: u64,
    pub(crate) disk_bytes: u64,
}

const GIB: u64 = 1 << 30;

/// Mesos' default range.
const PORTS: (u16, u16) = (31_000, 32_000);

/// What the agent offers: what was found, less a reserve for the machine itself, with whatever
/// the operator named in its place.
pub(crate) fn offered(found: Found, named: Option<&Resources>) -> Resources {
    let mut offered = Resources::new([
        (CPUS, whole(found.cores)),
        (MEM, whole(less_reserve(found.memory_bytes, GIB))),
        (DISK, whole(less_reserve(found.disk_bytes, 5 * GIB))),
    ]);
    offered.set_ports(Ranges::new([PORTS]));
    let Some(named) = named else { return offered };
    for (name, amount) in named.scalars() {
        offered.set(name, amount);
    }
    if !named.ports().is_empty() {
        offered.set_ports(named.ports().clone());
    }
    offered
}

/// All but the reserve where there are two of it, else half.
const fn less_reserve(total: u64, reserve: u64) -> u64 {
    if total >= 2 * reserve {
        total - reserve
    } else {
        total / 2
    }
}

fn whole(units: u64) -> Milli {
    i64::try_from(units)
        .ok()
        .and_then(Milli::whole)
        .unwrap_or(Milli::MAX)
}

/// Bytes of memory from the text of `/proc/meminfo`.
pub(crate) fn parse_meminfo(text: &str) -> u64 {
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = total.and_then(|rest| rest.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    kib.unwrap_or(0).saturating_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserve_stays_with_the_machine() {
        let found = Found {
            cores: 4,
            memory_bytes: 8 * GIB,
            disk_bytes: 4 * GIB,
        };
        let offered = offered(found, None);
        assert_eq!(
            offered.to_string(),
            "cpus 4, disk 2Gi, mem 7Gi, ports 31000-32000"
        );
    }

    #[test]
    fn what_is_named_replaces_what_was_found() {
        let found = Found {
            cores: 4,
            memory_bytes: GIB,
            disk_bytes: 20 * GIB,
        };
        let mut named = Resources::new([("cpus", Milli::whole(16).unwrap())]);
        named.set_ports(Ranges::new([(8000, 8001)]));
        let offered = offered(found, Some(&named));
        assert_eq!(
            offered.to_string(),
            "cpus 16, disk 15Gi, mem 512Mi, ports 8000-8001"
        );
    }

    #[test]
    fn meminfo() {
        assert_eq!(
            parse_meminfo("MemTotal:       24105 kB\nMemFree: 1 kB\n"),
            24105 * 1024
        );
        assert_eq!(parse_meminfo(""), 0);
    }
}
