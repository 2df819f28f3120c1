//! A shell with nothing but curl: every rule of the protocol that other clients only use.

use e2e::{Cluster, Plan, command, machine};

use crate::session::{self, Tools};
use crate::skip::skipped;

#[test]
fn curl_sees_the_protocol_as_kubernetes_speaks_it() {
    if !command::is_installed("curl") {
        return skipped("curl", "it is not installed");
    }
    machine::alone(async || {
        let sessions = session::load("curl")?;
        let cluster = Cluster::start(Plan::new(3, 0)).await?;
        session::play(&cluster, &Tools::default(), sessions).await?;
        cluster.finish();
        Ok(())
    });
}
