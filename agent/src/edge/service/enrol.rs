//! How an agent comes by its certificate, and keeps one that is valid.

use std::io;

use tracing::{info, warn};

use super::{RunError, Service};
use crate::edge::connect::{Backoff, Servers};
use crate::edge::identity::{self, Identity};
use crate::edge::{clock, join};

/// Longest pause between tries to join.
const PAUSE_MAX_MS: u64 = 5_000;

impl Service {
    /// The identity on disk, renewed where it is about to expire; a new one at the first start.
    pub(super) async fn ensure_identity(&self, servers: &Servers) -> Result<Identity, RunError> {
        let path = self.home.pki();
        let damaged = |source| RunError::Identity {
            path: path.clone(),
            source,
        };
        let present = identity::load(&path).map_err(damaged)?;
        let now_s = clock::now_us() / 1_000_000;
        match (present, &self.options.token) {
            (Some(identity), _) if identity.expires_s - now_s > identity::RENEW_BEFORE_S => {
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
            (Some(identity), Some(token)) => match self.join_once(servers, token).await {
                Ok(()) => {}
                Err(error) if identity.expires_s > now_s => {
                    warn!(error = %join::chain(&error), "cannot renew the certificate yet");
                    return Ok(identity);
                }
                Err(error) => return Err(error),
            },
            (None, Some(token)) => self.join(servers, token).await?,
        }
        let missing = || damaged(io::Error::other("the certificate was not kept"));
        identity::load(&path).map_err(damaged)?.ok_or_else(missing)
    }

    /// Joins as soon as a server answers: an agent may well be started before its cluster.
    async fn join(&self, servers: &Servers, token: &str) -> Result<(), RunError> {
        let mut backoff = Backoff::new(PAUSE_MAX_MS);
        loop {
            match self.join_once(servers, token).await {
                Err(RunError::Join(error)) if error.is_transient() => {
                    info!(error = %join::chain(&error), "cannot join yet; trying again");
                    backoff.pause().await;
                }
                other => return other,
            }
        }
    }

    async fn join_once(&self, servers: &Servers, token: &str) -> Result<(), RunError> {
        let path = self.home.pki();
        let damaged = |source| RunError::Identity {
            path: path.clone(),
            source,
        };
        let key = identity::ensure_key(&path).map_err(damaged)?;
        let server = servers.current();
        match join::join(&server, token, &key, &self.options.name, &self.address).await {
            Ok(issued) => {
                servers.learn(&issued.servers);
                identity::store(&path, &issued).map_err(damaged)?;
                info!(server, "joined the cluster");
                Ok(())
            }
            Err(error) => {
                servers.leave(&server);
                Err(RunError::Join(error))
            }
        }
    }
}
