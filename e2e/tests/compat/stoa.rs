//! Stoa's own command line, in the same sessions as kubectl: what it prints and how it ends.

use std::path::Path;

use e2e::{Cluster, Plan, machine};

use crate::session::{self, Tools};

pub(crate) fn says_what_it_did_and_ends_accordingly(_: &Path) {
    machine::alone(async || {
        let sessions = session::load("stoa")?;
        let cluster = Cluster::start(Plan::new(3, 1).resources("cpus=4;mem=4Gi")).await?;
        let program = machine::stoa_binary()?;
        let folder = program.parent().unwrap_or(&program).to_path_buf();
        let tools = Tools {
            folders: vec![folder],
            ..Tools::default()
        };
        session::play(&cluster, &tools, sessions).await?;
        cluster.finish();
        Ok(())
    });
}
