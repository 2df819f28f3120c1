//! What a cluster is to consist of.

/// What a cluster is to consist of.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Number of servers, `s1`..
    pub replicas: usize,
    /// Number of agents, `a1`..
    pub agents: usize,
    /// Flags of every server.
    pub server_flags: Vec<String>,
    /// Flags of every agent.
    pub agent_flags: Vec<String>,
}

impl Plan {
    /// So many servers and agents, with default flags.
    #[must_use]
    pub fn new(replicas: usize, agents: usize) -> Self {
        Self {
            replicas,
            agents,
            ..Self::default()
        }
    }

    /// Adds flags to every server.
    #[must_use]
    pub fn server_flags(mut self, flags: &[&str]) -> Self {
        self.server_flags
            .extend(flags.iter().map(|&f| f.to_owned()));
        self
    }

    /// Adds flags to every agent.
    #[must_use]
    pub fn agent_flags(mut self, flags: &[&str]) -> Self {
        self.agent_flags.extend(flags.iter().map(|&f| f.to_owned()));
        self
    }

    /// What every agent claims to have, whatever the machine has.
    #[must_use]
    pub fn resources(self, resources: &str) -> Self {
        self.agent_flags(&["--resources", resources])
    }
}
