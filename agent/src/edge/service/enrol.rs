//! How an agent comes by its certificate, and keeps one that is valid.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use super::RunError;
use crate::edge::connect::{Backoff, Servers};
use crate::edge::home::Home;
use crate::edge::identity::{self, Identity};
use crate::edge::{clock, join};

/// Longest pause between tries to join.
const PAUSE_MAX_MS: u64 = 5_000;

/// Often enough for a warning that is due for months.
const DAY: Duration = Duration::from_secs(86_400);

/// Everything it takes to come by a certificate.
#[derive(Debug)]
pub(super) struct Enrolment {
    pub(super) home: Arc<Home>,
    pub(super) token: Option<String>,
    pub(super) name: String,
    pub(super) address: String,
    pub(super) servers: Servers,
}

impl Enrolment {
    /// The identity on disk, renewed where it is about to expire; a new one at the first start.
    pub(super) async fn ensure_identity(&self) -> Result<Identity, RunError> {
        let path = self.home.pki();
        let damaged = |source| RunError::Identity {
            path: path.clone(),
            source,
        };
        let present = identity::load(&path).map_err(damaged)?;
        let now_s = clock::now_us() / 1_000_000;
        match (present, &self.token) {
            (Some(identity), _) if !identity.is_due(now_s) => {
                return Ok(identity);
            }
            (Some(identity), None) => {
                let days = (identity.expires_s - now_s) / 86_400;
                warn!(
                    days,
                    "the certificate expires soon: restart the agent with a join token"
                );
                return Ok(identity);
            }
            (None, None) => return Err(RunError::NoToken),
            (Some(identity), Some(token)) => match self.join_once(token).await {
                Ok(()) => {}
                Err(error) if identity.expires_s > now_s => {
                    warn!(error = %join::chain(&error), "cannot renew the certificate yet");
                    return Ok(identity);
                }
                Err(error) => return Err(error),
            },
            (None, Some(token)) => self.join(token).await?,
        }
        let missing = || damaged(io::Error::other("the certificate was not kept"));
        identity::load(&path).map_err(damaged)?.ok_or_else(missing)
    }

    /// Looks at the certificate every day, as at the start. One that was renewed serves from the
    /// next start on, so the log says that a restart is due.
    pub(super) async fn keep(self, running: Identity) {
        loop {
            tokio::time::sleep(DAY).await;
            match self.ensure_identity().await {
                Ok(present) if present.certificate != running.certificate => {
                    let days = (running.expires_s - clock::now_us() / 1_000_000) / 86_400;
                    warn!(
                        days,
                        "the certificate is renewed, and the old one in use expires soon: restart the agent"
                    );
                }
                Ok(_as_before) => {}
                Err(error) => {
                    warn!(error = %join::chain(&error), "cannot renew the certificate");
                }
            }
        }
    }

    /// Joins as soon as a server answers: an agent may well be started before its cluster.
    async fn join(&self, token: &str) -> Result<(), RunError> {
        let mut backoff = Backoff::new(PAUSE_MAX_MS);
        loop {
            match self.join_once(token).await {
                Err(RunError::Join(error)) if error.is_transient() => {
                    info!(error = %join::chain(&error), "cannot join yet; trying again");
                    backoff.pause().await;
                }
                other => return other,
            }
        }
    }

    async fn join_once(&self, token: &str) -> Result<(), RunError> {
        let path = self.home.pki();
        let damaged = |source| RunError::Identity {
            path: path.clone(),
            source,
        };
        let key = identity::ensure_key(&path).map_err(damaged)?;
        let server = self.servers.current();
        match join::join(&server, token, &key, &self.name, &self.address).await {
            Ok(issued) => {
                self.servers.learn(&issued.servers);
                identity::store(&path, &issued).map_err(damaged)?;
                info!(server, "joined the cluster");
                Ok(())
            }
            Err(error) => {
                self.servers.leave(&server);
                Err(RunError::Join(error))
            }
        }
    }
}
