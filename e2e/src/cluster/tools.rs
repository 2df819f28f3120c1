//! Commands against the cluster, as its administrator types them.

use std::path::Path;

use super::Cluster;
use crate::command::{self, Output};
use crate::{Fault, Outcome};

impl Cluster {
    /// Runs `stoa` as the administrator, in the cluster's own directory.
    ///
    /// # Errors
    /// When it cannot be started or does not end in time.
    pub async fn stoa(&self, args: &[&str]) -> Outcome<Output> {
        self.tool(&self.binary, args, "").await
    }

    /// Runs `stoa` with something on its standard input.
    ///
    /// # Errors
    /// When it cannot be started or does not end in time.
    pub async fn stoa_with(&self, args: &[&str], input: &str) -> Outcome<Output> {
        self.tool(&self.binary, args, input).await
    }

    /// Runs `kubectl` as the administrator, with something on its standard input.
    ///
    /// # Errors
    /// When it cannot be started or does not end in time.
    pub async fn kubectl(&self, args: &[&str], input: &str) -> Outcome<Output> {
        self.tool(Path::new("kubectl"), args, input).await
    }

    /// Runs any program with `KUBECONFIG` set, in the cluster's own directory.
    ///
    /// # Errors
    /// When it cannot be started or does not end in time.
    pub async fn tool(&self, program: &Path, args: &[&str], input: &str) -> Outcome<Output> {
        let server = self
            .living_server()
            .ok_or_else(|| Fault::new("no server runs"))?;
        let env = [
            ("KUBECONFIG", self.kubeconfig(&server)),
            ("HOME", self.root.clone()),
        ];
        command::run(program, args, &env, &self.root, input).await
    }
}
