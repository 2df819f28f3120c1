//! Waits for the levels that every proof starts from: servers ready, agents Ready, a leader.

use kube::Api;
use manifests::kinds::{Agent, AgentPhase};

use super::{Cluster, READY_MAX};
use crate::process::Process;
use crate::{Fault, Outcome, connect, fault, members, wait};

impl Cluster {
    /// Waits until every server that runs says it is ready.
    ///
    /// # Errors
    /// When one ended, or time is up.
    pub async fn servers_ready(&mut self) -> Outcome<()> {
        for name in self.server_names() {
            if self.processes.get(&name).and_then(Process::pid).is_some() {
                self.server_ready(&name).await?;
            }
        }
        Ok(())
    }

    async fn server_ready(&mut self, name: &str) -> Outcome<()> {
        let kubeconfig = self.kubeconfig(name);
        let process = self.process(name)?;
        wait::until(
            &format!("server {name} to be ready"),
            READY_MAX,
            async || {
                process.ensure_alive()?;
                let client = connect::from_kubeconfig(&kubeconfig).await?;
                connect::get_text(&client, "/readyz").await.map(drop)
            },
        )
        .await
    }

    /// Waits until every agent that was started is Ready in the eyes of the cluster.
    ///
    /// # Errors
    /// When one ended, or time is up.
    pub async fn agents_ready(&mut self) -> Outcome<()> {
        let Some(server) = self.living_server() else {
            return Err(Fault::new("no server runs"));
        };
        let api: Api<Agent> = Api::all(self.client(&server).await?);
        for name in self.agents.keys().cloned().collect::<Vec<_>>() {
            let process = self.process(&name)?;
            wait::until(
                &format!("agent {name} to be Ready"),
                READY_MAX,
                async || {
                    process.ensure_alive()?;
                    let phase = api.get(&name).await?.status.unwrap_or_default().phase;
                    fault::ensure(phase == AgentPhase::Ready, || {
                        format!("{name} is {phase:?}")
                    })
                },
            )
            .await?;
        }
        Ok(())
    }

    /// Waits until every replica has a vote and is within reach, so that one of them may be lost.
    ///
    /// # Errors
    /// When time is up.
    pub async fn whole(&self) -> Outcome<()> {
        let server = self
            .living_server()
            .ok_or_else(|| Fault::new("no server runs"))?;
        let client = self.client(&server).await?;
        let count = self.server_names().len();
        wait::until("the cluster to be whole", READY_MAX, async || {
            members::whole(&client, count).await.map(drop)
        })
        .await
    }

    /// The replica that leads, as any living server sees it.
    ///
    /// # Errors
    /// When nobody leads for too long.
    pub async fn leader(&self) -> Outcome<String> {
        let server = self
            .living_server()
            .ok_or_else(|| Fault::new("no server runs"))?;
        let client = self.client(&server).await?;
        wait::until("a leader", READY_MAX, async || {
            members::leader(&client).await
        })
        .await
    }
}
