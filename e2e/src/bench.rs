//! The figures: binding rate, latency from create to Running, memory of idle processes, and the
//! time from SIGKILL of the leader to the next acknowledged write.

pub mod api;
pub mod binding;
pub mod failover;
pub mod figure;
pub mod latency;
pub mod memory;
pub mod store;
mod usage;

use crate::{Cluster, Outcome, Plan, objects};

pub use figure::Figure;

/// Sizes of a benchmark.
#[derive(Clone, Debug)]
pub struct Options {
    /// Servers.
    pub replicas: usize,
    /// Agents.
    pub agents: usize,
    /// Tasks that wait when the agents open their doors.
    pub backlog: usize,
    /// Tasks created one after another for the latency.
    pub singles: usize,
    /// Kills of the leader.
    pub kills: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            replicas: 3,
            agents: 3,
            backlog: 3_000,
            singles: 200,
            kills: 5,
        }
    }
}

/// Measures everything on one cluster, in an order in which nothing disturbs what follows.
///
/// # Errors
/// When the cluster does not do what is to be measured.
pub async fn run(options: &Options) -> Outcome<Vec<Figure>> {
    // More than any backlog needs: it is the scheduler that is measured, not the room.
    let plan = Plan::new(options.replicas, options.agents)
        .resources("cpus=100000;mem=100Ti;disk=100Ti;ports=[31000-32000]");
    let mut cluster = Cluster::start(plan).await?;
    let mut figures = memory::idle(&cluster).await?;
    objects::create_tenant(&cluster.client("s1").await?, "bench", 1.0).await?;
    figures.extend(latency::measure(&cluster, options.singles).await?);
    figures.extend(binding::measure(&cluster, options.backlog).await?);
    if options.replicas > 1 {
        figures.extend(failover::measure(&mut cluster, options.kills).await?);
    }
    cluster.finish();
    Ok(figures)
}
