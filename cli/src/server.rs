//! `stoa server`: one replica. It joins the API server to the controllers, which run only while this
//! replica leads and are fenced by the epoch of that leadership.

mod audit;

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use apiserver::rate::Rate;
use apiserver::{Bootstrap, Handle, Leadership};
use manifests::duration::Span;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::exit::{Failure, Outcome};
use crate::resident;
use crate::runtime::{self, Logging};

/// Pause before controllers that failed are started again under the same leadership.
const PAUSE: Duration = Duration::from_secs(1);

/// Flags of `server`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Unique name of this replica
    #[arg(long, env = "STOA_NAME", default_value = "s1", value_name = "NAME")]
    name: String,
    /// Where it keeps everything: store, keys, tokens, kubeconfig
    #[arg(
        long,
        env = "STOA_DATA_DIR",
        default_value = "stoa-data/s1",
        value_name = "DIR"
    )]
    data_dir: PathBuf,
    /// Folder of the cluster CA (ca.crt, ca.key), shared by replicas that start together [default: DATA_DIR/pki]
    #[arg(long, env = "STOA_PKI_DIR", value_name = "DIR")]
    pki_dir: Option<PathBuf>,
    /// Address of the API
    #[arg(
        long,
        env = "STOA_LISTEN",
        default_value = "127.0.0.1:7443",
        value_name = "HOST:PORT"
    )]
    listen: String,
    /// Address for other replicas
    #[arg(
        long,
        env = "STOA_PEER_LISTEN",
        default_value = "127.0.0.1:7444",
        value_name = "HOST:PORT"
    )]
    peer_listen: String,
    /// Where others reach this machine, when that is not the listening address
    #[arg(long, env = "STOA_ADVERTISE", value_name = "HOST[:PORT]")]
    advertise: Option<String>,
    /// Further host names or addresses for the server's certificate
    #[arg(
        long = "san",
        env = "STOA_SAN",
        value_delimiter = ',',
        value_name = "NAME"
    )]
    sans: Vec<String>,
    /// File of static tokens, one a line: token,user,uid[,"group1,group2"]; read again when it changes
    #[arg(long, env = "STOA_TOKEN_AUTH_FILE", value_name = "FILE")]
    token_auth_file: Option<PathBuf>,
    /// Who signs service accounts' tokens, and whom they address unless they say otherwise; the same on all replicas
    #[arg(
        long,
        env = "STOA_SERVICE_ACCOUNT_ISSUER",
        default_value = apiserver::authn::issuer::DEFAULT_URL,
        value_name = "URL"
    )]
    service_account_issuer: String,
    /// Core kinds that are encrypted when they are stored: secrets, configmaps
    #[arg(
        long = "seal",
        env = "STOA_SEAL",
        value_delimiter = ',',
        default_value = "secrets",
        value_name = "RESOURCE"
    )]
    sealed: Vec<String>,
    /// All replicas of a new cluster by name and peer address, this one included: a=HOST:PORT,b=HOST:PORT,...
    #[arg(
        long,
        env = "STOA_INITIAL_CLUSTER",
        value_delimiter = ',',
        conflicts_with = "join",
        value_name = "NAME=HOST:PORT"
    )]
    initial_cluster: Vec<String>,
    /// Join the cluster of this API server
    #[arg(long, env = "STOA_JOIN", requires = "token", value_name = "URL")]
    join: Option<String>,
    /// Join token of the role server, from DATA_DIR/tokens/server of a member or `stoa token create`
    #[arg(long, env = "STOA_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    token: Option<String>,
    /// An agent that is silent for longer is unreachable
    #[arg(
        long,
        env = "STOA_AGENT_TIMEOUT",
        default_value = "75s",
        value_name = "TIME"
    )]
    agent_timeout: Span,
    /// An offer to an external framework stands for this long, unless the framework says otherwise
    #[arg(
        long,
        env = "STOA_OFFER_TIMEOUT",
        default_value = "30s",
        value_name = "TIME"
    )]
    offer_timeout: Span,
    /// Pause between a leader's heartbeats [default: 100ms]
    #[arg(long, env = "STOA_HEARTBEAT", value_name = "TIME")]
    heartbeat: Option<Span>,
    /// Shortest silence of a leader after which others elect a new one [default: 500ms]
    #[arg(long, env = "STOA_ELECTION", value_name = "TIME")]
    election: Option<Span>,
    /// How long a change can be watched from and read back [default: 5m]
    #[arg(long, env = "STOA_HISTORY_AGE", value_name = "TIME")]
    history_age: Option<Span>,
    /// Memory for those changes at most, whatever their age [default: 50331648]
    #[arg(long, env = "STOA_HISTORY_BYTES", value_name = "BYTES")]
    history_bytes: Option<usize>,
    /// Memory for objects; values that it has no room for are read from the checkpoints' files [default: 67108864]
    #[arg(long, env = "STOA_RESIDENT_BYTES", value_name = "BYTES")]
    resident_bytes: Option<u64>,
    /// Let the processors halt between lone writes: slower, and nothing runs that need not
    #[arg(long, env = "STOA_NO_IDLE_POLL")]
    no_idle_poll: bool,
    #[command(flatten)]
    audit: audit::Args,
    /// Requests one user may make for each second in the long run, and twice as many at once [default: no limit]
    #[arg(long, env = "STOA_MAX_REQUESTS_PER_SECOND", value_name = "N")]
    max_requests_per_second: Option<u32>,
    /// Connections of one address that have not shown yet who they are; further ones are closed [default: 4096]
    #[arg(long, env = "STOA_MAX_CONNECTIONS_PER_ADDRESS", value_name = "N")]
    max_connections_per_address: Option<usize>,
    /// Flags from a YAML file, behind the command line and the environment
    #[arg(long, env = "STOA_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Stop when standard input ends
    #[arg(long, hide = true)]
    exit_with_parent: bool,
    #[command(flatten)]
    logging: Logging,
}

/// Runs the replica until it is told to stop.
pub(crate) async fn run(args: Args) -> Outcome {
    args.logging.start()?;
    let shutdown = runtime::shutdown(args.exit_with_parent)?;
    let _small = AbortOnDropHandle::new(tokio::spawn(resident::keep_small()));
    let options = options(&args)?;
    let failed = |e: Box<dyn std::error::Error + Send + Sync>| {
        Failure::new(format!("server {} cannot run", args.name)).because(e)
    };
    let (service, handle) = apiserver::Service::start(options)
        .await
        .map_err(|e| failed(Box::new(e)))?;
    tracing::info!(
        name = args.name,
        url = handle.url(),
        pid = std::process::id(),
        "serving"
    );
    let timeouts = (args.agent_timeout.ms(), args.offer_timeout.ms());
    let controllers = tokio::spawn(lead(handle, timeouts, shutdown.clone()));
    let outcome = service
        .run(shutdown.clone())
        .await
        .map_err(|e| failed(Box::new(e)));
    shutdown.cancel();
    if let Err(error) = controllers.await {
        tracing::error!(%error, "the controllers' task broke");
    }
    tracing::info!("stopped");
    outcome
}

fn options(args: &Args) -> Outcome<apiserver::Options> {
    let mut options = apiserver::Options {
        name: args.name.clone(),
        data_dir: args.data_dir.clone(),
        pki_dir: args.pki_dir.clone(),
        listen: address("--listen", &args.listen)?,
        peer_listen: address("--peer-listen", &args.peer_listen)?,
        advertise: args.advertise.clone(),
        bootstrap: bootstrap(args)?,
        extra_sans: args.sans.clone(),
        token_auth_file: args.token_auth_file.clone(),
        sealed: args.sealed.clone(),
        service_account_issuer: args.service_account_issuer.clone(),
        audit: args.audit.options(&args.data_dir)?,
        ..apiserver::Options::default()
    };
    options.limits.rate = args.max_requests_per_second.map(|per_second| Rate {
        per_second,
        burst: per_second.saturating_mul(2),
    });
    let strangers = args.max_connections_per_address;
    options.limits.strangers = strangers.unwrap_or(options.limits.strangers);
    let limits = &mut options.store_limits;
    limits.heartbeat_ms = args.heartbeat.map_or(limits.heartbeat_ms, Span::ms);
    limits.history_age_ms = args.history_age.map_or(limits.history_age_ms, Span::ms);
    limits.history_bytes = args.history_bytes.unwrap_or(limits.history_bytes);
    limits.resident_bytes = args.resident_bytes.unwrap_or(limits.resident_bytes);
    limits.idle_poll = !args.no_idle_poll;
    if let Some(shortest) = args.election.map(Span::ms) {
        // The spread keeps two candidates from asking at the same time.
        limits.election_ms = (shortest, shortest + shortest / 2);
    }
    Ok(options)
}

fn bootstrap(args: &Args) -> Outcome<Bootstrap> {
    if let (Some(url), Some(token)) = (&args.join, &args.token) {
        return Ok(Bootstrap::Join {
            url: url.clone(),
            token: token.clone(),
        });
    }
    if args.initial_cluster.is_empty() {
        return Ok(Bootstrap::Alone);
    }
    members(&args.initial_cluster, &args.name).map(Bootstrap::Initial)
}

/// The replicas of `--initial-cluster`, among which `name` must be.
pub(crate) fn members(initial_cluster: &[String], name: &str) -> Outcome<Vec<(String, String)>> {
    let initial = initial_cluster.iter().map(|member| peer(member));
    let initial = initial.collect::<Outcome<Vec<_>>>()?;
    if !initial.iter().any(|(known, _)| *known == *name) {
        return Err(
            Failure::usage(format!("--initial-cluster does not name {name}")).hint(
                "list every replica, this one included, under the names they are started with",
            ),
        );
    }
    Ok(initial)
}

/// `name=host:port`, with or without a scheme in front of the host.
fn peer(text: &str) -> Outcome<(String, String)> {
    let wrong = || {
        Failure::usage(format!("--initial-cluster: {text:?} is not NAME=HOST:PORT"))
            .hint("e.g. --initial-cluster a=10.0.0.1:7444,b=10.0.0.2:7444,c=10.0.0.3:7444")
    };
    let (name, address) = text.split_once('=').ok_or_else(wrong)?;
    let address = address.rsplit_once("://").map_or(address, |(_, rest)| rest);
    let (host, port) = address.rsplit_once(':').ok_or_else(wrong)?;
    if name.is_empty() || host.is_empty() || port.parse::<u16>().is_err() {
        return Err(wrong());
    }
    Ok((name.to_owned(), address.to_owned()))
}

/// Reads a listening address; host names are looked up.
pub(crate) fn address(flag: &str, text: &str) -> Outcome<SocketAddr> {
    let found = text.to_socket_addrs().map_err(|e| {
        Failure::usage(format!("{flag} {text:?} is not HOST:PORT of this machine")).because(e)
    })?;
    found
        .into_iter()
        .next()
        .ok_or_else(|| Failure::usage(format!("{flag} {text:?} has no address")))
}

/// Runs the controllers whenever this replica leads.
async fn lead(handle: Handle, timeouts: (u64, u64), shutdown: CancellationToken) {
    let mut leadership = handle.leadership();
    while !shutdown.is_cancelled() {
        let now = leadership.borrow_and_update().clone();
        if now.local {
            let stop = shutdown.child_token();
            let mut reign = std::pin::pin!(reign(&handle, timeouts, now.epoch, stop.clone()));
            tokio::select! {
                () = &mut reign => {}
                () = ended(&mut leadership, now.epoch) => {
                    stop.cancel();
                    // They finish what is in flight; the epoch guard refuses what comes too late.
                    reign.await;
                }
            }
        } else {
            tokio::select! {
                changed = leadership.changed() => if changed.is_err() { return },
                () = shutdown.cancelled() => return,
            }
        }
    }
}

/// One leadership: controllers, restarted should they fail, until `stop`.
async fn reign(handle: &Handle, timeouts: (u64, u64), epoch: u64, stop: CancellationToken) {
    tracing::info!(epoch, "leading: controllers start");
    while !stop.is_cancelled() {
        let options = controllers::Options {
            client: handle.client(),
            epoch,
            agent_timeout_ms: timeouts.0,
            offer_timeout_ms: timeouts.1,
        };
        // A task of its own: a panic in a controller must not end the server.
        let run = tokio::spawn(controllers::Service::new(options).run(stop.clone()));
        match run.await {
            Ok(Ok(())) => tracing::info!(epoch, "controllers stopped"),
            Ok(Err(error)) => {
                tracing::warn!(
                    epoch,
                    error = &error as &dyn std::error::Error,
                    "controllers failed"
                );
            }
            Err(error) => tracing::error!(epoch, %error, "controllers broke"),
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = stop.cancelled() => {}
        }
    }
}

async fn ended(leadership: &mut tokio::sync::watch::Receiver<Leadership>, epoch: u64) {
    let still = |now: &Leadership| now.local && now.epoch == epoch;
    // An error means that the server is stopping, which `stop` tells as well.
    let ended = leadership.wait_for(|now| !still(now)).await.is_ok();
    tracing::info!(epoch, ended, "not leading any more");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_read_with_or_without_a_scheme() {
        let expected = ("a".to_owned(), "h:7444".to_owned());
        assert_eq!(peer("a=h:7444").unwrap(), expected);
        assert_eq!(peer("a=https://h:7444").unwrap(), expected);
        for wrong in ["a", "a=h", "=h:1", "a=h:x", "a=:1"] {
            assert!(peer(wrong).is_err(), "{wrong}");
        }
    }
}
