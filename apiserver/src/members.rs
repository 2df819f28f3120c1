//! The replicas as the API shows them. Pure; `edge` asks the store.

use serde_json::{Value, json};
use store::{Member, Role};

use crate::status::{Failure, Gr};

/// `GET /apis/stoa.dev/v1/members`.
#[must_use]
pub fn list(members: &[Member]) -> Value {
    let items: Vec<Value> = members.iter().map(member).collect();
    json!({"kind": "MemberList", "apiVersion": "stoa.dev/v1", "metadata": {}, "items": items})
}

fn member(member: &Member) -> Value {
    json!({
        "id": member.id, "name": member.name, "role": role(member.role),
        "peerAddress": member.peer_addr, "apiAddress": member.api_addr,
        "reachable": member.reachable, "pid": member.pid,
        "appliedIndex": member.applied_index, "revision": member.revision,
        "digest": member.digest,
    })
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Leader => "Leader",
        Role::Follower => "Follower",
        Role::Candidate => "Candidate",
        Role::Learner => "Learner",
        Role::Stopped => "Stopped",
        Role::Unreachable => "Unreachable",
    }
}

/// The member of this name.
///
/// # Errors
/// 404 if there is none.
pub fn find<'a>(members: &'a [Member], name: &str) -> Result<&'a Member, Failure> {
    let found = members.iter().find(|member| member.name == name);
    found.ok_or_else(|| Failure::not_found(&Gr::new("stoa.dev", "members"), name))
}

/// `https://host:port` of every replica's API.
#[must_use]
pub fn urls(members: &[Member]) -> Vec<String> {
    let known = members.iter().filter(|member| !member.api_addr.is_empty());
    known
        .map(|member| format!("https://{}", member.api_addr))
        .collect()
}
