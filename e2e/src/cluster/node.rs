//! The command lines of servers and agents.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use crate::{Outcome, machine};

/// Where a server listens.
#[derive(Clone, Debug)]
pub(super) struct ServerNode {
    pub(super) name: String,
    api: u16,
    peer: u16,
}

/// Where an agent listens.
#[derive(Clone, Debug)]
pub(super) struct AgentNode {
    name: String,
    port: u16,
}

/// Servers `s1` to `s<count>` on free ports.
pub(super) fn servers(count: usize) -> Outcome<BTreeMap<String, ServerNode>> {
    let node = |number: usize| {
        let name = format!("s{number}");
        let node = ServerNode {
            name: name.clone(),
            api: machine::free_port()?,
            peer: machine::free_port()?,
        };
        Ok((name, node))
    };
    (1..=count).map(node).collect()
}

impl ServerNode {
    pub(super) fn api_address(&self) -> String {
        format!("127.0.0.1:{}", self.api)
    }

    pub(super) fn url(&self) -> String {
        format!("https://{}", self.api_address())
    }

    fn args(&self, root: &Path) -> Vec<OsString> {
        flags(&[
            ("server", ""),
            ("--name", &self.name),
            ("--data-dir", &path(&root.join(&self.name))),
            ("--listen", &self.api_address()),
            ("--peer-listen", &format!("127.0.0.1:{}", self.peer)),
        ])
    }

    /// As one of the servers that found the cluster. Data on its disk wins over this.
    pub(super) fn founding_args(&self, root: &Path, all: &BTreeMap<String, Self>) -> Vec<OsString> {
        let mut args = self.args(root);
        args.extend(flags(&[("--pki-dir", &path(&root.join("pki")))]));
        if all.len() > 1 {
            let list: Vec<_> = all
                .values()
                .map(|s| format!("{}=127.0.0.1:{}", s.name, s.peer))
                .collect();
            args.extend(flags(&[("--initial-cluster", &list.join(","))]));
        }
        args
    }

    /// As one that joins a cluster which runs.
    pub(super) fn joining_args(&self, root: &Path, url: &str, token: &str) -> Vec<OsString> {
        let mut args = self.args(root);
        args.extend(flags(&[("--join", url), ("--token", token)]));
        args
    }
}

impl AgentNode {
    pub(super) fn new(name: &str) -> Outcome<Self> {
        Ok(Self {
            name: name.to_owned(),
            port: machine::free_port()?,
        })
    }

    pub(super) fn args(&self, root: &Path, servers: &[String], token: &str) -> Vec<OsString> {
        flags(&[
            ("agent", ""),
            ("--name", &self.name),
            ("--data-dir", &path(&root.join(&self.name))),
            ("--listen", &format!("127.0.0.1:{}", self.port)),
            ("--server", &servers.join(",")),
            ("--token", token),
        ])
    }
}

/// Flags with their values; an empty value leaves the word alone.
fn flags(pairs: &[(&str, &str)]) -> Vec<OsString> {
    let words = pairs.iter().flat_map(|&(flag, value)| [flag, value]);
    words
        .filter(|word| !word.is_empty())
        .map(Into::into)
        .collect()
}

fn path(path: &Path) -> String {
    path.display().to_string()
}
