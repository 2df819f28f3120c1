//! How an agent is told what to be.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use manifests::resources::Resources;

/// How an agent is told what to be.
#[derive(Clone, Debug)]
pub struct Options {
    /// Name of the Agent object.
    pub name: String,
    /// Where key, runs and sandboxes are kept; one agent at a time.
    pub data_dir: PathBuf,
    /// The servers, each as `https://host:port`.
    pub servers: Vec<String>,
    /// Join token; needed for the first start and to renew the certificate.
    pub token: Option<String>,
    /// Resources to offer in place of those found; what is not named is measured.
    pub resources: Option<Resources>,
    /// Attributes for constraints, e.g. `rack: r1`.
    pub attributes: BTreeMap<String, String>,
    /// Where the agent's own HTTPS endpoint listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// `host` or `host:port` that servers reach that endpoint at; default: the listening address,
    /// or the host's name where that is a wildcard.
    pub advertise: Option<String>,
    /// Program, and the arguments under which it calls [`crate::supervise`].
    pub supervisor: Vec<String>,
    /// Pause between heartbeats.
    pub heartbeat_ms: u64,
    /// How long the files of a run stay after its task is gone.
    pub retention_ms: u64,
    /// Most processes and threads of one task.
    pub pids_max: u64,
    /// True: on shutdown every task is stopped. False: tasks outlive the agent, as an upgrade needs.
    pub kill_tasks_on_exit: bool,
}

/// `stoa agent`'s port.
const PORT: u16 = 5051;

impl Default for Options {
    fn default() -> Self {
        Self {
            name: String::new(),
            data_dir: PathBuf::new(),
            servers: Vec::new(),
            token: None,
            resources: None,
            attributes: BTreeMap::new(),
            listen: SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT)),
            advertise: None,
            supervisor: Vec::new(),
            heartbeat_ms: 5_000,
            retention_ms: 3_600_000,
            pids_max: 4_096,
            kill_tasks_on_exit: false,
        }
    }
}

/// `host:port` for others, from what was asked for and what was bound.
pub(crate) fn advertised(advertise: Option<&str>, bound: SocketAddr, hostname: &str) -> String {
    let port = bound.port();
    match advertise {
        Some(address) if address.parse::<SocketAddr>().is_ok() => address.to_owned(),
        Some(address) => match address.rsplit_once(':') {
            Some((host, port)) if port.parse::<u16>().is_ok() && !host.contains(':') => {
                address.to_owned()
            }
            Some(_) if !address.starts_with('[') => format!("[{address}]:{port}"),
            Some(_) | None => format!("{address}:{port}"),
        },
        None if bound.ip().is_unspecified() => format!("{hostname}:{port}"),
        None => bound.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_for_others() {
        let table = [
            (None, "127.0.0.1:9", "127.0.0.1:9"),
            (None, "0.0.0.0:9", "here:9"),
            (Some("10.0.0.1"), "0.0.0.0:9", "10.0.0.1:9"),
            (Some("node.lan:80"), "0.0.0.0:9", "node.lan:80"),
            (Some("10.0.0.1:80"), "0.0.0.0:9", "10.0.0.1:80"),
            (Some("fe80::1"), "[::]:9", "[fe80::1]:9"),
            (Some("[fe80::1]"), "[::]:9", "[fe80::1]:9"),
            (Some("[fe80::1]:80"), "[::]:9", "[fe80::1]:80"),
        ];
        for (advertise, bound, wanted) in table {
            let address = advertised(advertise, bound.parse().unwrap(), "here");
            assert_eq!(address, wanted, "{advertise:?} {bound}");
        }
    }
}
