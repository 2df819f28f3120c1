//! Small messages between our own processes that are not objects: joining and heartbeats.

use serde::{Deserialize, Serialize};

/// Body of `POST /apis/stoa.dev/v1/join`, authenticated by a bearer join token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JoinRequest {
    /// `agent` or `server`; the token must be of the same role.
    pub role: String,
    /// Name of the agent or server.
    pub name: String,
    /// PEM certificate signing request; only its public key is used.
    pub csr: String,
    /// `host:port` others reach this process at (agent: logs; server: API).
    #[serde(default)]
    pub address: String,
    /// Server only: `host:port` of the peer listener.
    #[serde(default)]
    pub peer_address: String,
}

/// Answer to a [`JoinRequest`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JoinResponse {
    /// PEM certificate for the key of the request.
    pub certificate: String,
    /// PEM certificate of the cluster CA.
    pub ca: String,
    /// Server only: PEM key of the cluster CA.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub ca_key: String,
    /// Server only: the roots of Secrets at rest, as the file `encryption.keys` has them.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub encryption_keys: String,
    /// Server only: the id assigned in the Raft group.
    #[serde(default)]
    pub node_id: u64,
    /// Server only: identity of the cluster, decimal.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cluster_id: String,
    /// Server only: peer addresses of the present members.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub peers: Vec<String>,
    /// API addresses (`https://host:port`) of the present servers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<String>,
}

/// Body of `POST /apis/stoa.dev/v1/agents/NAME/heartbeat`; kept in the leader's memory alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Heartbeat {
    /// `status.bootId` of the agent process.
    pub boot_id: String,
}

/// Answer to a heartbeat.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeartbeatAck {
    /// API addresses of the present servers, so that agents learn of changes.
    #[serde(default)]
    pub servers: Vec<String>,
}

/// One line of `GET /apis/stoa.dev/v1/heartbeats`, answered from the leader's memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeartbeatAge {
    /// Agent name.
    pub agent: String,
    /// Milliseconds since the last heartbeat reached the leader.
    pub age_ms: u64,
    /// `bootId` it carried.
    pub boot_id: String,
}

/// Answer of `GET /apis/stoa.dev/v1/heartbeats`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeartbeatAges {
    /// Leadership epoch of the answering leader.
    pub epoch: u64,
    /// Milliseconds this leader has led: silence before that proves nothing.
    pub leading_ms: u64,
    /// One entry for each agent heard from since.
    pub items: Vec<HeartbeatAge>,
}
