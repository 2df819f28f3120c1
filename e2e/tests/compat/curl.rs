//! A shell with nothing but curl: every rule of the protocol that other clients only use.

use std::path::Path;

use e2e::{Cluster, Plan, machine};

use crate::session::{self, Tools};

pub(crate) fn sees_the_protocol_as_kubernetes_speaks_it(_: &Path) {
    machine::alone(async || {
        let sessions = session::load("curl")?;
        let cluster = Cluster::start(Plan::new(3, 0)).await?;
        session::play(&cluster, &Tools::default(), sessions).await?;
        cluster.finish();
        Ok(())
    });
}
