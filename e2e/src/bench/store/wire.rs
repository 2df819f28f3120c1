//! How clients reach a system: over etcd's gRPC, which both take, or over what our bare store is
//! driven by everywhere else.

use std::fmt;
use std::net::SocketAddr;

use bytes::Bytes;
use store::{Op, Txn, TxnOutcome};

use crate::grpc::{self, Consistency};
use crate::node::wire::Mode;
use crate::{Fault, Outcome, node};

/// How our store is reached. etcd is always reached by gRPC, there is no other way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Wire {
    /// As etcd: HTTP/2 and protobuf, through a shim.
    Grpc,
    /// Frames on a plain connection, many in flight.
    Frames,
}

impl fmt::Display for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Grpc => "both over gRPC",
            Self::Frames => "etcd over gRPC, stoa over frames of its own",
        })
    }
}

/// Where a member can be reached.
#[derive(Clone, Debug)]
pub(super) enum Door {
    Grpc(SocketAddr),
    Frames(node::Client),
}

/// A connection. Clones share it.
#[derive(Clone, Debug)]
pub(super) enum Client {
    Grpc(grpc::Client),
    Frames(node::Client),
}

impl Door {
    pub(super) async fn connect(&self) -> Outcome<Client> {
        Ok(match self {
            Self::Grpc(addr) => Client::Grpc(grpc::Client::connect(*addr).await?),
            Self::Frames(client) => Client::Frames(client.anew()),
        })
    }
}

impl Client {
    pub(super) async fn put(&mut self, key: &[u8], value: &[u8]) -> Outcome<()> {
        match self {
            Self::Grpc(client) => client.put(key, value).await.map(drop),
            Self::Frames(client) => applied(&client.txn(put(key, value)).await?),
        }
    }

    /// Length of the value that was found.
    pub(super) async fn get(
        &mut self,
        key: &[u8],
        consistency: Consistency,
    ) -> Outcome<Option<usize>> {
        match self {
            Self::Grpc(client) => {
                let found = client.get(key, consistency).await?;
                Ok(found.map(|found| found.value_bytes))
            }
            Self::Frames(client) => {
                let mode = match consistency {
                    Consistency::Linearizable => Mode::Linearizable,
                    Consistency::Serializable => Mode::Stale,
                };
                let read = client.get(vec![Bytes::copy_from_slice(key)], mode).await?;
                Ok(read.items.first().map(|item| item.value.len()))
            }
        }
    }
}

fn put(key: &[u8], value: &[u8]) -> Txn {
    Txn {
        request_id: 0,
        stamp_ms: 1,
        guards: Vec::new(),
        ops: vec![Op::Put {
            key: Bytes::copy_from_slice(key),
            value: Bytes::copy_from_slice(value),
        }],
    }
}

fn applied(outcome: &TxnOutcome) -> Outcome<()> {
    match outcome {
        TxnOutcome::Applied { .. } => Ok(()),
        TxnOutcome::Refused { .. } => Err(Fault::new("a put without guards was refused")),
    }
}
