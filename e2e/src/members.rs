//! The replicas as they see themselves: who leads, and whether all hold the same state.

use kube::Client;
use serde::Deserialize;

use crate::{Fault, Outcome, connect, fault};

/// One replica.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// Name of the server.
    pub name: String,
    /// Leader, Follower, Learner.
    pub role: String,
    /// Whether the asked server reaches it.
    #[serde(default)]
    pub reachable: bool,
    /// Process id.
    #[serde(default)]
    pub pid: Option<u32>,
    /// Index of the last applied entry.
    #[serde(default)]
    pub applied_index: Option<u64>,
    /// Store revision.
    #[serde(default)]
    pub revision: Option<u64>,
    /// Digest of the whole state.
    #[serde(default)]
    pub digest: Option<String>,
}

#[derive(Deserialize)]
struct MemberList {
    items: Vec<Member>,
}

/// All replicas.
///
/// # Errors
/// When the server does not answer.
pub async fn list(client: &Client) -> Outcome<Vec<Member>> {
    let text = connect::get_text(client, "/apis/stoa.dev/v1/members").await?;
    Ok(serde_json::from_str::<MemberList>(&text)?.items)
}

/// The name of the one that leads and is reached.
///
/// # Errors
/// When nobody does.
pub async fn leader(client: &Client) -> Outcome<String> {
    let members = list(client).await?;
    let leader = members.iter().find(|m| m.role == "Leader" && m.reachable);
    let leader = leader.ok_or_else(|| Fault::new(format!("nobody leads: {members:?}")))?;
    Ok(leader.name.clone())
}

/// All `count` replicas, each with a vote and within reach: one of them may be lost.
///
/// # Errors
/// When one is missing, cannot be reached, or has no vote yet.
pub async fn whole(client: &Client, count: usize) -> Outcome<Vec<Member>> {
    let members = list(client).await?;
    let full = members
        .iter()
        .filter(|m| m.reachable && m.role != "Learner")
        .count();
    fault::ensure(full == count && members.len() == count, || {
        format!("{full} of {count} members are there: {members:?}")
    })?;
    Ok(members)
}

/// Revision and digest that all `count` replicas have in common.
///
/// # Errors
/// When one is missing, cannot be reached, or differs at this moment.
pub async fn agreed(client: &Client, count: usize) -> Outcome<(u64, String)> {
    let members = whole(client, count).await?;
    let states: Vec<_> = members
        .iter()
        .map(|m| (m.revision, m.digest.clone()))
        .collect();
    fault::ensure(states.iter().all(|s| *s == states[0]), || {
        format!("they differ: {members:?}")
    })?;
    match states.into_iter().next() {
        Some((Some(revision), Some(digest))) => Ok((revision, digest)),
        Some(_) | None => Err(Fault::new("a member has no revision or digest")),
    }
}
