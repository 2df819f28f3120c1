//! How the first members of a static cluster find each other, exactly once.
//!
//! A member whose data directory was wiped must not come back under its old id: it would have
//! forgotten its votes. So every empty directory draws a nonce, the members exchange nonces before the
//! cluster is formed, and a formed member knows by the nonce whether somebody who asks was there.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::edge::files;
use crate::edge::identity::Identity;
use crate::edge::link::{Link, Target};
use crate::edge::options::PeerTls;
use crate::error::StartError;
use crate::faults::{Faults, Point};
use crate::item::NodeId;
use crate::member::Node;
use crate::wire::{Answer, Ask, Formed, Founder, Probe, Probed};

const FILE: &str = "founders";
const ASK_MAX: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(150);

/// Answers probes, before and after the cluster is formed.
#[derive(Debug)]
pub(crate) struct Door {
    node: Node,
    nonce: u128,
    faults: Faults,
    formed: Mutex<Option<Formed>>,
}

impl Door {
    pub(crate) fn new(node: Node, nonce: u128, faults: Faults) -> Self {
        Self {
            node,
            nonce,
            faults,
            formed: Mutex::default(),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.node.name
    }

    pub(crate) fn faults(&self) -> &Faults {
        &self.faults
    }

    pub(crate) fn set_formed(&self, formed: Formed) {
        *self.formed.lock().unwrap_or_else(PoisonError::into_inner) = Some(formed);
    }

    pub(crate) fn answer(&self, probe: &Probe) -> Probed {
        tracing::debug!(name = probe.name, "a member of the initial cluster asks");
        Probed {
            node: self.node.clone(),
            nonce: self.nonce,
            formed: self
                .formed
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
        }
    }
}

/// Founders recorded in this directory; empty when it joined later or is not formed.
pub(crate) fn read_founders(dir: &Path) -> std::io::Result<Vec<Founder>> {
    let Some(text) = files::read_sealed(&dir.join(FILE))? else {
        return Ok(Vec::new());
    };
    let parse = |line: &str| {
        let mut words = line.split(' ');
        Some(Founder {
            id: words.next()?.parse().ok()?,
            nonce: u128::from_str_radix(words.next()?, 16).ok()?,
            node: Node {
                name: words.next()?.into(),
                peer_addr: words.next()?.into(),
                api_addr: words.next()?.into(),
            },
        })
    };
    let parsed: Option<Vec<Founder>> = text.lines().map(parse).collect();
    parsed
        .ok_or_else(|| std::io::Error::new(std::io::ErrorKind::InvalidData, "not a founders file"))
}

pub(crate) fn write_founders(
    dir: &Path,
    founders: &[Founder],
    faults: &Faults,
) -> std::io::Result<()> {
    faults.hit(Point::Identity)?;
    let line = |founder: &Founder| {
        let Founder { id, nonce, node } = founder;
        format!(
            "{id} {nonce:032x} {} {} {}\n",
            node.name, node.peer_addr, node.api_addr
        )
    };
    let text: String = founders.iter().map(line).collect();
    files::replace_sealed(&dir.join(FILE), &text)
}

/// Asks all listed members until each answered once, or one of them says that the cluster exists.
pub(crate) async fn form(
    door: &Door,
    initial: &[(String, String)],
    tls: &PeerTls,
) -> Result<(Identity, Vec<Founder>), StartError> {
    let name = door.node.name.as_str();
    let own = initial
        .iter()
        .position(|(listed, _)| listed == name)
        .ok_or_else(|| {
            StartError::Invalid(format!(
                "`{name}` is not in the initial cluster: list this replica under its own name"
            ))
        })?;
    let mut met: Vec<Option<(Node, u128)>> = vec![None; initial.len()];
    met[own] = Some((door.node.clone(), door.nonce));
    while met.iter().any(Option::is_none) {
        for ((listed, addr), met) in initial
            .iter()
            .zip(&mut met)
            .filter(|(_, met)| met.is_none())
        {
            let Some(probed) = ask(door, addr, tls).await else {
                tracing::info!(
                    name = listed,
                    addr,
                    "waiting for a member of the initial cluster"
                );
                continue;
            };
            if let Some(formed) = probed.formed {
                return adopt(door, addr, formed);
            }
            if probed.node.name != *listed {
                let found = probed.node.name;
                return Err(StartError::Invalid(format!(
                    "{addr} should be `{listed}` but is `{found}`: check the initial cluster"
                )));
            }
            *met = Some((probed.node, probed.nonce));
        }
        tokio::time::sleep(PAUSE).await;
    }
    let founders: Vec<Founder> = (1..)
        .zip(met.into_iter().flatten())
        .map(|(id, (node, nonce))| Founder { id, node, nonce })
        .collect();
    let cluster_id = founders.first().map_or(door.nonce, |first| first.nonce);
    Ok((identity(door, cluster_id, own as NodeId + 1), founders))
}

/// The cluster was formed while this member was still asking, with it; or it was there before.
fn adopt(door: &Door, addr: &str, formed: Formed) -> Result<(Identity, Vec<Founder>), StartError> {
    let me =
        |founder: &&Founder| founder.node.name == door.node.name && founder.nonce == door.nonce;
    match formed.founders.iter().find(me).map(|founder| founder.id) {
        Some(id) => Ok((identity(door, formed.cluster_id, id), formed.founders)),
        None => Err(StartError::ClusterExists {
            peer: addr.to_owned(),
            cluster_id: formed.cluster_id,
            name: door.node.name.clone(),
        }),
    }
}

fn identity(door: &Door, cluster_id: u128, node_id: NodeId) -> Identity {
    Identity {
        cluster_id,
        node_id,
        name: door.node.name.clone(),
    }
}

async fn ask(door: &Door, addr: &str, tls: &PeerTls) -> Option<Probed> {
    let link = Link::open(Target {
        addr: addr.to_owned(),
        to: None,
        tls: tls.client.clone(),
        faults: door.faults.clone(),
    });
    let probe = Probe {
        name: door.node.name.clone(),
    };
    match link.ask(Ask::Probe(probe), ASK_MAX).await {
        Ok(Answer::Probed(probed)) => Some(probed),
        Ok(_) | Err(_) => None,
    }
}
