//! Who this replica is: written once, before it takes part in anything.

use std::fmt::Write;
use std::fs;
use std::io;
use std::path::Path;

use rand::Rng;

use crate::edge::files;
use crate::faults::{Faults, Point};
use crate::item::NodeId;

const IDENTITY: &str = "identity";
const FORMATION: &str = "formation";
const PEERS: &str = "peers";
const RESTORING: &str = "restoring";

/// The replica's place in its cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) cluster_id: u128,
    pub(crate) node_id: NodeId,
    pub(crate) name: String,
}

impl Identity {
    pub(crate) fn read(dir: &Path) -> io::Result<Option<Self>> {
        let Some(text) = files::read_sealed(&dir.join(IDENTITY))? else {
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
        files::replace_sealed(&dir.join(IDENTITY), &text)
    }
}

/// A random number this data directory is known by while the first members find each other. A wiped
/// directory gets another one, which is how a wiped member is told from one that merely starts late.
pub(crate) fn nonce(dir: &Path, faults: &Faults) -> io::Result<u128> {
    let path = dir.join(FORMATION);
    if let Some(text) = files::read_sealed(&path)? {
        let nonce = lines(&text, "nonce")
            .next()
            .and_then(|hex| u128::from_str_radix(hex, 16).ok());
        return nonce
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not a formation file"));
    }
    faults.hit(Point::Identity)?;
    let nonce = random();
    write_nonce(dir, nonce)?;
    Ok(nonce)
}

pub(crate) fn write_nonce(dir: &Path, nonce: u128) -> io::Result<()> {
    let text = format!("nonce = {nonce:032x}\n");
    files::replace_sealed(&dir.join(FORMATION), &text)
}

/// Marks an empty directory as being restored; one left unfinished is emptied. Refuses any other.
pub(crate) fn begin_restore(dir: &Path) -> io::Result<()> {
    files::ensure_dir(dir)?;
    if is_restoring(dir) {
        for entry in fs::read_dir(dir)?.collect::<io::Result<Vec<_>>>()? {
            match entry.file_type()?.is_dir() {
                true => fs::remove_dir_all(entry.path())?,
                // The mark stays until there is nothing else left.
                false if entry.file_name() == RESTORING => {}
                false => fs::remove_file(entry.path())?,
            }
        }
        return Ok(());
    }
    if fs::read_dir(dir)?.next().is_some() {
        return Err(io::ErrorKind::DirectoryNotEmpty.into());
    }
    files::replace(&dir.join(RESTORING), b"")
}

/// To be called once the identity is written.
pub(crate) fn end_restore(dir: &Path) -> io::Result<()> {
    fs::remove_file(dir.join(RESTORING))?;
    files::sync_dir(dir)
}

/// True when a restore into this directory was begun and not completed.
pub(crate) fn is_restoring(dir: &Path) -> bool {
    dir.join(RESTORING).exists() && !dir.join(IDENTITY).exists()
}

/// A random number nobody else has, for nonces and request ids.
pub(crate) fn random() -> u128 {
    rand::rng().random()
}

/// Peer addresses last known, for a replica that lost its state and log.
pub(crate) fn read_peers(dir: &Path) -> io::Result<Vec<String>> {
    let text = files::read_sealed(&dir.join(PEERS))?.unwrap_or_default();
    Ok(lines(&text, "peer").map(str::to_owned).collect())
}

pub(crate) fn write_peers(dir: &Path, peers: &[String], faults: &Faults) -> io::Result<()> {
    faults.hit(Point::Identity)?;
    let text = peers.iter().fold(String::new(), |mut text, peer| {
        // Writing to a string cannot fail.
        writeln!(text, "peer = {peer}").ok();
        text
    });
    files::replace_sealed(&dir.join(PEERS), &text)
}

fn lines<'a>(text: &'a str, field: &'a str) -> impl Iterator<Item = &'a str> {
    text.lines()
        .filter_map(|line| line.split_once(" = "))
        .filter(move |(name, _)| *name == field)
        .map(|(_, value)| value)
}
