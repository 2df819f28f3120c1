//! Who this replica is: written once, before it takes part in anything.

use std::fmt::Write;
use std::io;
use std::path::Path;

use rand::Rng;

use crate::edge::files;
use crate::faults::{Faults, Point};
use crate::item::NodeId;

const IDENTITY: &str = "identity";
const FORMATION: &str = "formation";
const PEERS: &str = "peers";

/// The replica's place in its cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) cluster_id: u128,
    pub(crate) node_id: NodeId,
    pub(crate) name: String,
}

impl Identity {
    pub(crate) fn read(dir: &Path) -> io::Result<Option<Self>> {
        let Some(text) = files::read(&dir.join(IDENTITY))? else {
            return Ok(None);
        };
        let field = |name: &str| lines(&text, name).next().map(str::to_owned);
        let parsed = (|| {
            Some(Self {
                cluster_id: u128::from_str_radix(&field("cluster")?, 16).ok()?,
                node_id: field("node")?.parse().ok()?,
                name: field("name")?,
            })
        })();
        parsed
            .map(Some)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not an identity file"))
    }

    pub(crate) fn write(&self, dir: &Path, faults: &Faults) -> io::Result<()> {
        faults.hit(Point::Identity)?;
        let text = format!(
            "cluster = {:032x}\nnode = {}\nname = {}\n",
            self.cluster_id, self.node_id, self.name
        );
        files::replace(&dir.join(IDENTITY), text.as_bytes())
    }
}

/// A random number this data directory is known by while the first members find each other. A wiped
/// directory gets another one, which is how a wiped member is told from one that merely starts late.
pub(crate) fn nonce(dir: &Path, faults: &Faults) -> io::Result<u128> {
    let path = dir.join(FORMATION);
    if let Some(text) = files::read(&path)? {
        let nonce = lines(&text, "nonce")
            .next()
            .and_then(|hex| u128::from_str_radix(hex, 16).ok());
        return nonce
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not a formation file"));
    }
    faults.hit(Point::Identity)?;
    let nonce = random();
    files::replace(&path, format!("nonce = {nonce:032x}\n").as_bytes())?;
    Ok(nonce)
}

/// A random number nobody else has, for nonces and request ids.
pub(crate) fn random() -> u128 {
    rand::rng().random()
}

/// Peer addresses last known, for a replica that lost its state and log.
pub(crate) fn read_peers(dir: &Path) -> io::Result<Vec<String>> {
    let text = files::read(&dir.join(PEERS))?.unwrap_or_default();
    Ok(lines(&text, "peer").map(str::to_owned).collect())
}

pub(crate) fn write_peers(dir: &Path, peers: &[String], faults: &Faults) -> io::Result<()> {
    faults.hit(Point::Identity)?;
    let text = peers.iter().fold(String::new(), |mut text, peer| {
        // Writing to a string cannot fail.
        writeln!(text, "peer = {peer}").ok();
        text
    });
    files::replace(&dir.join(PEERS), text.as_bytes())
}

fn lines<'a>(text: &'a str, field: &'a str) -> impl Iterator<Item = &'a str> {
    text.lines()
        .filter_map(|line| line.split_once(" = "))
        .filter(move |(name, _)| *name == field)
        .map(|(_, value)| value)
}
