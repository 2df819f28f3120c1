//! Makes a backup the beginning of a new cluster.
//!
//! Every member is restored by itself, on its own machine, from the same file. Nothing is sent: each
//! makes the same image, as of the same log position, with the same members, and a log that begins
//! behind it. They start like replicas that had stopped together, and elect a leader.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::digest;
use crate::edge::backup::{Damage, Summary, read};
use crate::edge::checkpoint::GENERATIONS;
use crate::edge::formation;
use crate::edge::identity::{self, Identity};
use crate::edge::log;
use crate::edge::options::Limits;
use crate::edge::start::log_dir;
use crate::edge::state::Residence;
use crate::edge::state::{Materialised, StateDir};
use crate::edge::wal;
use crate::faults::Faults;
use crate::image::Image;
use crate::item::{NodeId, Revision};
use crate::member::Node;
use crate::raft::{LogId, Membership, log_id};
use crate::state::Counters;
use crate::wire::Founder;

/// More than any cluster writes between a backup and the restore: no client saw a later revision.
pub const REVISION_BUMP: u64 = 1_000_000_000;

/// What a member is restored to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoreOptions {
    /// Its data directory, which must be empty.
    pub data_dir: PathBuf,
    /// Its name, one of `members`.
    pub name: String,
    /// Name, peer address and API address of every member, in the same order for each: ids are 1..=n.
    pub members: Vec<(String, String, String)>,
    /// How far the revision jumps, so that watches and copies from before notice; see `REVISION_BUMP`.
    pub revision_bump: u64,
    /// The new cluster's id, the same for all members; see `cluster_id`.
    pub cluster_id: u128,
}

/// Why nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The backup is damaged.
    #[error("the backup cannot be restored")]
    Damaged(#[source] Damage),
    /// There is something already.
    #[error(
        "{dir} is not empty: restore into an empty directory, or move away what is there; a replica that \
         merely stopped needs no restore"
    )]
    NotEmpty {
        /// The data directory.
        dir: PathBuf,
    },
    /// The name is none of the members'.
    #[error("`{name}` is not among the members: list this replica under its own name")]
    UnknownMember {
        /// The name.
        name: String,
    },
    /// The options contradict themselves.
    #[error("{0}")]
    Invalid(String),
    /// Reading or writing the data directory failed.
    #[error("cannot use {path}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// Makes a data directory from which `Store::start` with the same members as its static bootstrap starts
/// this member of the new cluster. Blocks. Returns what the directory holds, with the new cluster and
/// revision.
///
/// Each member must be restored once: a member lost later has forgotten its votes and must join anew.
///
/// # Errors
/// When the file is damaged, the directory is not empty, the options do not fit or the disk fails. The
/// directory is then not usable, and another attempt clears it.
pub fn restore(path: &Path, options: &RestoreOptions) -> Result<Summary, RestoreError> {
    let node_id = check(options)?;
    let (image, found) = read(path).map_err(RestoreError::Damaged)?;
    let image = renewed(image, options)?;
    let header = image.header(options.cluster_id);
    fill(&options.data_dir, node_id, &image, options).map_err(|source| {
        if source.kind() == io::ErrorKind::DirectoryNotEmpty {
            let dir = options.data_dir.clone();
            return RestoreError::NotEmpty { dir };
        }
        RestoreError::Io {
            path: options.data_dir.clone(),
            source,
        }
    })?;
    Ok(Summary {
        cluster_id: options.cluster_id,
        revision: header.counters.revision,
        digest: header.digest,
        applied_index: image.applied_index(),
        ..found
    })
}

/// This member's id.
fn check(options: &RestoreOptions) -> Result<NodeId, RestoreError> {
    let invalid = |why: String| Err(RestoreError::Invalid(why));
    for (name, peer, api) in &options.members {
        if [name, peer, api]
            .iter()
            .any(|word| word.is_empty() || word.contains(char::is_whitespace))
        {
            return invalid(format!(
                "member `{name}`: name, peer address and API address must not be empty or contain blanks"
            ));
        }
        if options
            .members
            .iter()
            .filter(|(other, ..)| other == name)
            .count()
            > 1
        {
            return invalid(format!("member `{name}` is listed twice"));
        }
    }
    let mut numbered = (1..).zip(&options.members);
    let own = numbered.find(|(_, (name, ..))| *name == options.name);
    own.map(|(id, _)| id)
        .ok_or_else(|| RestoreError::UnknownMember {
            name: options.name.clone(),
        })
}

/// Where the new cluster's log begins. Term 0 has no leader, so the position is nobody's; and its index
/// is not that of the entry that founds an empty cluster, so that nothing else can match it.
fn beginning() -> LogId {
    log_id(0, 1)
}

/// The same items under a new membership and a revision nobody has seen.
fn renewed(mut image: Image, options: &RestoreOptions) -> Result<Image, RestoreError> {
    let nodes: BTreeMap<NodeId, Node> = founders(options)
        .map(|founder| (founder.id, founder.node))
        .collect();
    let invalid = |why: String| RestoreError::Invalid(why);
    let counters = image.state.counters();
    image.state.restore_counters(Counters {
        revision: bumped(counters.revision, options.revision_bump)?,
        next_node: nodes.len() as NodeId + 1,
        ..counters
    });
    let voters = vec![nodes.keys().copied().collect()];
    let membership = openraft::Membership::new(voters, nodes);
    let membership = membership.map_err(|error| invalid(error.to_string()))?;
    image.membership = Membership::new(Some(beginning()), membership);
    image.applied = Some(beginning());
    Ok(image)
}

fn bumped(revision: Revision, bump: u64) -> Result<Revision, RestoreError> {
    revision.checked_add(bump).ok_or_else(|| {
        RestoreError::Invalid(format!(
            "revision {revision} cannot be raised by {bump}: use a smaller bump"
        ))
    })
}

/// The members as the first ones of their cluster. Their nonces are computed, not drawn, so that each
/// member writes the same list.
fn founders(options: &RestoreOptions) -> impl Iterator<Item = Founder> {
    (1..)
        .zip(&options.members)
        .map(|(id, (name, peer_addr, api_addr))| Founder {
            id,
            nonce: digest::words(options.cluster_id, [&name[..]].into_iter()),
            node: Node {
                name: name.clone(),
                peer_addr: peer_addr.clone(),
                api_addr: api_addr.clone(),
            },
        })
}

/// The identity comes last: without it the directory is no replica's.
fn fill(dir: &Path, node_id: NodeId, image: &Image, options: &RestoreOptions) -> io::Result<()> {
    identity::begin_restore(dir)?;
    let generation = dir.join(GENERATIONS[0]);
    let (faults, all) = (Faults::default(), Residence::default());
    StateDir::new(generation, options.cluster_id, faults, all).write(image, None)?;
    // A log that begins behind the image, so that the image is never taken for dispensable.
    let begins = image.applied.map(log::position);
    wal::ensure(&log_dir(dir), Limits::default().segment_bytes, begins)?;
    let founders: Vec<Founder> = founders(options).collect();
    formation::write_founders(dir, &founders, &Faults::default())?;
    for founder in founders.iter().filter(|founder| founder.id == node_id) {
        identity::write_nonce(dir, founder.nonce)?;
    }
    let identity = Identity {
        cluster_id: options.cluster_id,
        node_id,
        name: options.name.clone(),
    };
    identity.write(dir, &Faults::default())?;
    identity::end_restore(dir)
}
