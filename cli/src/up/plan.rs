//! Who runs where: names and addresses of servers and agents, remembered from start to start.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::exit::{Failure, Outcome};

/// First API port; peers use the odd ones out (7444, 7446, ...).
const API_PORT: u16 = 7443;

/// First port of agents.
const AGENT_PORT: u16 = 5051;

/// Everything `up` starts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// Server replicas. Their addresses are part of the replicated membership and do not change.
    pub(crate) replicas: Vec<Replica>,
    /// Agents.
    pub(crate) agents: Vec<Machine>,
    /// True once the servers have formed a cluster: a replica that lost its data then joins anew.
    #[serde(default)]
    pub(crate) formed: bool,
}

/// A server replica.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Replica {
    /// `s1`, `s2`, ...
    pub(crate) name: String,
    /// Port of the API.
    pub(crate) api: u16,
    /// Port for other replicas.
    pub(crate) peer: u16,
}

/// An agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Machine {
    /// `a1`, `a2`, ...
    pub(crate) name: String,
    /// Port of its endpoint.
    pub(crate) port: u16,
}

impl Plan {
    /// The plan for this start. `free` turns a wished port into one that can be had.
    pub(crate) fn make(
        remembered: Option<Self>,
        replicas: Option<u16>,
        agents: Option<u16>,
        mut free: impl FnMut(u16, &BTreeSet<u16>) -> Outcome<u16>,
    ) -> Outcome<Self> {
        let mut plan = remembered.unwrap_or_default();
        let mut taken = plan.ports();
        let mut pick = |wish| {
            let port = free(wish, &taken)?;
            taken.insert(port);
            Outcome::Ok(port)
        };
        let have = plan.replicas.len();
        let want = replicas.map_or(have.max(1), usize::from);
        if have != 0 && want != have {
            return Err(Failure::usage(format!(
                "the data folder holds a cluster of {have} replicas, not {want}"
            ))
            .hint("leave --replicas away to go on with it, or name another --data-dir"));
        }
        for number in u16::try_from(have).unwrap_or(0)..u16::try_from(want).unwrap_or(1) {
            plan.replicas.push(Replica {
                name: format!("s{}", number + 1),
                api: pick(API_PORT + 2 * number)?,
                peer: pick(API_PORT + 2 * number + 1)?,
            });
        }
        // The folders of agents that are left out stay: a later start may want them again.
        let known = plan.agents.len();
        let want = agents.map_or(if have == 0 { 1 } else { known }, usize::from);
        plan.agents.truncate(want);
        for number in u16::try_from(known).unwrap_or(0)..u16::try_from(want).unwrap_or(0) {
            let port = pick(AGENT_PORT + number)?;
            plan.agents.push(Machine {
                name: format!("a{}", number + 1),
                port,
            });
        }
        Ok(plan)
    }

    fn ports(&self) -> BTreeSet<u16> {
        let replicas = self.replicas.iter().flat_map(|r| [r.api, r.peer]);
        replicas.chain(self.agents.iter().map(|a| a.port)).collect()
    }

    /// `https://127.0.0.1:7443` of the replica with this index.
    pub(crate) fn url(&self, index: usize) -> String {
        format!("https://127.0.0.1:{}", self.replicas[index].api)
    }

    /// Value of `--initial-cluster`.
    pub(crate) fn initial_cluster(&self) -> String {
        let members = self
            .replicas
            .iter()
            .map(|r| format!("{}=127.0.0.1:{}", r.name, r.peer));
        members.collect::<Vec<_>>().join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wished(wish: u16, _: &BTreeSet<u16>) -> Outcome<u16> {
        Ok(wish)
    }

    #[test]
    fn ports_follow_the_design() {
        let plan = Plan::make(None, Some(3), Some(2), wished).unwrap();
        let api: Vec<_> = plan.replicas.iter().map(|r| (r.api, r.peer)).collect();
        assert_eq!(api, [(7443, 7444), (7445, 7446), (7447, 7448)]);
        assert_eq!(
            plan.agents.iter().map(|a| a.port).collect::<Vec<_>>(),
            [5051, 5052]
        );
        assert_eq!(
            plan.initial_cluster(),
            "s1=127.0.0.1:7444,s2=127.0.0.1:7446,s3=127.0.0.1:7448"
        );
    }

    #[test]
    fn a_restart_keeps_the_cluster_and_may_change_the_agents() {
        let first = Plan::make(None, Some(3), Some(2), wished).unwrap();
        let again = Plan::make(Some(first.clone()), None, None, wished).unwrap();
        assert_eq!(again, first);
        let more = Plan::make(Some(first.clone()), Some(3), Some(3), wished).unwrap();
        assert_eq!((more.replicas.len(), more.agents.len()), (3, 3));
        assert!(Plan::make(Some(first), Some(5), None, wished).is_err());
    }
}
