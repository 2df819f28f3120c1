//! What a cluster of store nodes is to be: how many, where, with which limits and failpoints.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::nemesis::Net;
use crate::{Outcome, machine};

/// Ports within a namespace, where nobody else listens.
const PEER_PORT: u16 = 7_001;
const CLIENT_PORT: u16 = 7_002;

/// A cluster to be.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Names of the nodes.
    pub names: Vec<String>,
    /// Where logs and certificates go, and the data of nodes that have no directory of their own.
    pub root: PathBuf,
    /// Data directories elsewhere, by name.
    pub dirs: BTreeMap<String, PathBuf>,
    /// Limits that differ from the default, as `key=value`.
    pub limits: Vec<String>,
    /// Failpoints armed at every start of a node.
    pub faults: String,
    /// Whether the network between the nodes can be cut.
    pub partitions: bool,
    /// Whether the nodes also take etcd's gRPC.
    pub grpc: bool,
}

/// Where one node is found.
#[derive(Clone, Debug)]
pub(super) struct Site {
    pub(super) name: String,
    pub(super) dir: PathBuf,
    pub(super) peer_addr: String,
    pub(super) client_addr: String,
    pub(super) grpc_addr: Option<String>,
}

impl Plan {
    /// Nodes `a`, `b`, … with their data below the root.
    #[must_use]
    pub fn new(count: u8, root: &Path) -> Self {
        Self {
            names: (0..count)
                .map(|n| char::from(b'a' + n).to_string())
                .collect(),
            root: root.to_owned(),
            dirs: BTreeMap::new(),
            limits: Vec::new(),
            faults: String::new(),
            partitions: false,
            grpc: false,
        }
    }

    /// With a limit that differs from the default.
    #[must_use]
    pub fn limit(mut self, key: &str, value: impl std::fmt::Display) -> Self {
        self.limits.push(format!("{key}={value}"));
        self
    }

    /// With failpoints armed at every start.
    #[must_use]
    pub fn faults(mut self, faults: &str) -> Self {
        faults.clone_into(&mut self.faults);
        self
    }

    /// With a network that can be cut.
    #[must_use]
    pub fn partitions(mut self) -> Self {
        self.partitions = true;
        self
    }

    /// With a door for etcd's gRPC at each node, on loopback.
    #[must_use]
    pub fn grpc(mut self) -> Self {
        self.grpc = true;
        self
    }

    pub(super) fn pki(&self) -> PathBuf {
        self.root.join("pki")
    }

    pub(super) fn sites(&self, net: Option<&Net>) -> Outcome<Vec<Site>> {
        let site = |name: &String| {
            let (peer_addr, client_addr) = match net {
                Some(net) => {
                    let host = net.host(name)?;
                    (
                        format!("{host}:{PEER_PORT}"),
                        format!("{host}:{CLIENT_PORT}"),
                    )
                }
                None => (loopback()?, loopback()?),
            };
            let elsewhere = self.dirs.get(name).cloned();
            Ok(Site {
                name: name.clone(),
                dir: elsewhere.unwrap_or_else(|| self.root.join(name)),
                peer_addr,
                client_addr,
                grpc_addr: self.grpc.then(loopback).transpose()?,
            })
        };
        self.names.iter().map(site).collect()
    }
}

fn loopback() -> Outcome<String> {
    Ok(format!("127.0.0.1:{}", machine::free_port()?))
}
