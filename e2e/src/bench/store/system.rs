//! The two systems, started and stopped alike.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;

use crate::Outcome;
use crate::bench::store::wire::{Door, Wire};
use crate::peer::{self, Etcd};
use crate::rig::{Plan, Stores};

/// Members of etcd, and replicas of ours.
const MEMBERS: u8 = 3;

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    /// The peer.
    Etcd,
    /// Our store.
    Stoa,
}

impl System {
    /// Both, in the order in which they take turns.
    pub const BOTH: [Self; 2] = [Self::Etcd, Self::Stoa];
}

impl fmt::Display for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Etcd => "etcd",
            Self::Stoa => "stoa",
        })
    }
}

/// Three members that answer.
#[derive(Debug)]
pub(super) enum Running {
    Etcd(Etcd),
    Stoa(Stores),
}

impl Running {
    /// Starts three members with their data below `root` and waits until they answer.
    pub(super) async fn start(system: System, root: &Path) -> Outcome<Self> {
        match system {
            System::Etcd => {
                let program = Path::new(peer::PROGRAM);
                let etcd = Etcd::start(program, MEMBERS.into(), root).await?;
                Ok(Self::Etcd(etcd))
            }
            System::Stoa => {
                let plan = Plan::new(MEMBERS, root).grpc();
                Ok(Self::Stoa(Stores::start(plan).await?))
            }
        }
    }

    /// Where clients reach each member.
    pub(super) fn doors(&self, wire: Wire) -> Outcome<Vec<Door>> {
        let grpc = |addrs: &[SocketAddr]| addrs.iter().copied().map(Door::Grpc).collect();
        match (self, wire) {
            (Self::Etcd(etcd), _) => Ok(grpc(etcd.addrs())),
            (Self::Stoa(stores), Wire::Grpc) => Ok(grpc(&stores.grpc_addrs()?)),
            (Self::Stoa(stores), Wire::Frames) => {
                Ok(stores.clients().into_iter().map(Door::Frames).collect())
            }
        }
    }

    pub(super) fn pids(&self) -> Vec<u32> {
        match self {
            Self::Etcd(etcd) => etcd.pids(),
            Self::Stoa(stores) => stores.pids(),
        }
    }

    pub(super) async fn stop(self) -> Outcome<()> {
        match self {
            Self::Etcd(etcd) => etcd.stop().await,
            Self::Stoa(mut stores) => {
                for name in stores.live() {
                    stores.stop(&name).await?;
                }
                Ok(())
            }
        }
    }
}
