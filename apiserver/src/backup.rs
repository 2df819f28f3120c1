//! Snapshots of a whole cluster as files: checked, and made into the data directories of a new cluster.
//! Offline: no server runs on such a directory yet. `edge/snapshot.rs` hands a running one's out.

use std::path::{Path, PathBuf};

use store::backup::RestoreOptions;
pub use store::backup::{Damage, REVISION_BUMP, RestoreError, Summary};

/// Where a running server hands its snapshot out, to administrators.
pub const PATH: &str = "/stoa/v1/snapshot";

/// One replica of the cluster to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restore {
    /// The server's data directory. It must not hold a store yet; keys and certificates in it stay.
    pub data_dir: PathBuf,
    /// The replica's name.
    pub name: String,
    /// All replicas by name and peer `host:port`, this one among them.
    pub initial: Vec<(String, String)>,
    /// Tells clusters apart that are made from the same file with the same members.
    pub token: String,
}

/// Reads the whole file and says what it holds. Blocks.
///
/// # Errors
/// It cannot be read, or is not what was written; with the place.
pub fn verify(file: &Path) -> Result<Summary, Damage> {
    store::backup::verify(file)
}

/// Makes one replica of a new cluster from the file. Every replica of it must be made from the same file,
/// with the same list and token. Blocks.
///
/// # Errors
/// As `verify`; or the data directory holds a store already, or cannot be written.
pub fn restore(file: &Path, to: &Restore) -> Result<Summary, RestoreError> {
    // Where its API is, a replica tells the others when it starts; until then any word will do.
    let member = |(name, peer): &(String, String)| (name.clone(), peer.clone(), peer.clone());
    let members: Vec<_> = to.initial.iter().map(member).collect();
    let found = verify(file).map_err(RestoreError::Damaged)?;
    let options = RestoreOptions {
        data_dir: to.data_dir.join("store"),
        name: to.name.clone(),
        cluster_id: store::backup::cluster_id(found.digest, &members, &to.token),
        members,
        revision_bump: REVISION_BUMP,
    };
    store::backup::restore(file, &options)
}
