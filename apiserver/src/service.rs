//! A server replica: certificates, store, API. `Options` → `Service::run` → `Handle`.

mod boot;

mod lead;

mod steward;

mod tally;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use manifests::token::JoinRole;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::edge::ambient;
use crate::edge::audit::Audit;
pub use crate::edge::audit::Options as AuditOptions;
pub use crate::edge::context::Limits;
use crate::edge::context::{Context, leader_handler};
pub use crate::edge::enlist::EnlistError;
use crate::edge::front::Front;
use crate::edge::listener::Listener;
use crate::edge::local::Local;
use crate::engine::Engine;
use crate::hub::{Feeder, Hub};
use crate::pki::{Authority, PkiError};
use crate::user::User;
use crate::{authorize, pki};
pub use lead::Leadership;

/// How long a join token written or handed out at the start is good for.
const TOKEN_S: u64 = 365 * 24 * 60 * 60;

/// How an empty replica finds its cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Bootstrap {
    /// It is the whole cluster; others may join later.
    #[default]
    Alone,
    /// A new cluster of these members: names and peer `host:port`, this one among them.
    Initial(Vec<(String, String)>),
    /// Join the cluster of a running server.
    Join {
        /// Its API, e.g. `https://host:7443`.
        url: String,
        /// A join token of the role server.
        token: String,
    },
}

/// Everything a server needs.
#[derive(Clone, Debug)]
pub struct Options {
    /// Unique name of the replica.
    pub name: String,
    /// Where it keeps everything.
    pub data_dir: PathBuf,
    /// Where the shared authority is; `<data_dir>/pki` if none.
    pub pki_dir: Option<PathBuf>,
    /// Address of the API; port 0 takes any.
    pub listen: SocketAddr,
    /// Address for other replicas; port 0 takes any.
    pub peer_listen: SocketAddr,
    /// `host[:port]` others reach this machine at, if not at `listen`.
    pub advertise: Option<String>,
    /// What to do with an empty data directory.
    pub bootstrap: Bootstrap,
    /// Further names for the server's certificate.
    pub extra_sans: Vec<String>,
    /// A file of static tokens, as `kube-apiserver --token-auth-file` reads it.
    pub token_auth_file: Option<PathBuf>,
    /// Who signs service accounts' tokens, by a URL; the same on all replicas.
    pub service_account_issuer: String,
    /// The audit log; none: nothing is noted.
    pub audit: Option<AuditOptions>,
    /// Plurals of the core kinds that are sealed when they are stored.
    pub sealed: Vec<String>,
    /// Sizes and times of the API.
    pub limits: Limits,
    /// Sizes and times of the store.
    pub store_limits: store::Limits,
}

impl Default for Options {
    fn default() -> Self {
        let loopback = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Self {
            name: "s1".to_owned(),
            data_dir: PathBuf::from("stoa-data/s1"),
            pki_dir: None,
            listen: loopback(7443),
            peer_listen: loopback(7444),
            advertise: None,
            bootstrap: Bootstrap::Alone,
            extra_sans: Vec::new(),
            token_auth_file: None,
            service_account_issuer: crate::authn::issuer::DEFAULT_URL.to_owned(),
            sealed: vec!["secrets".to_owned()],
            audit: None,
            limits: Limits::default(),
            store_limits: store::Limits::default(),
        }
    }
}

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Several replicas start together without a common authority.
    #[error(
        "{0} holds no CA: several replicas that start together need the same one. Give all of them one \
         --pki-dir that holds ca.crt and ca.key, or start one server alone and let the others --join it"
    )]
    NoAuthority(PathBuf),
    /// The options contradict themselves.
    #[error("{0}")]
    Invalid(String),
    /// A certificate cannot be made, read or written.
    #[error("the server's certificates cannot be prepared")]
    Pki(#[from] PkiError),
    /// A running cluster does not take this server in.
    #[error("the server cannot join")]
    Enlist(#[from] EnlistError),
    /// What seals Secrets in the store cannot be used here.
    #[error(
        "{problem}. Secrets could not be read: put the ca.key or the encryption.keys of the cluster they were \
         stored in back into {dir}"
    )]
    Sealed {
        /// Where the keys are looked for.
        dir: PathBuf,
        /// What is missing.
        problem: String,
    },
    /// An address cannot be bound.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The cause.
        source: std::io::Error,
    },
    /// A file of the data directory cannot be used.
    #[error("cannot use {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The store cannot start.
    #[error("the store cannot start")]
    Store(#[from] store::StartError),
}

/// Why a server stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The store failed; it says why and what to do.
    #[error("the store failed")]
    Store(#[source] store::TxnError),
    /// A task of ours broke.
    #[error("a part of the server broke: {0}")]
    Broken(String),
}

/// A started server; it serves once `run` is called.
#[derive(Debug)]
pub struct Service {
    context: Arc<Context>,
    listener: Listener,
    store: store::Service,
    feeder: Feeder,
    lead: lead::Lead,
    leadership: watch::Receiver<Leadership>,
}

/// What the process needs of its server. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Handle {
    front: Front,
    leadership: watch::Receiver<Leadership>,
    address: SocketAddr,
    url: String,
    kubeconfig: PathBuf,
    authority: Arc<Authority>,
}

impl Service {
    /// Prepares certificates and store, and binds the listeners.
    ///
    /// # Errors
    /// Anything that keeps the server from serving; the message says what to do.
    pub async fn start(options: Options) -> Result<(Service, Handle), StartError> {
        let mut bound = boot::bind(&options).await?;
        let identity = boot::identity(&options, &bound).await?;
        let (store, store_service) = boot::store(&options, &mut bound, &identity).await?;
        let vault = Arc::new(boot::vault(&options, &identity.authority, &store)?);
        let engine = Engine::new(store.clone(), authorize::policy()).with_vault(Arc::clone(&vault));
        let (hub, feeder) = Hub::new(store.clone(), vault);
        store.set_leader_handler(leader_handler(store.leadership()));
        let agents = crate::edge::logs::Client::new(pki::agent_client(
            &identity.authority,
            &identity.server,
        )?);
        let audit = options.audit.clone().map(audit).transpose()?;
        let context = Arc::new(Context::new(
            engine.clone(),
            hub,
            boot::identities(&options, &identity.authority)?,
            bound.api_address.clone(),
            options.limits.clone(),
            agents,
            audit,
        ));
        let front = Front::new(Arc::clone(&context));
        let (lead, leadership) = lead::Lead::new(engine, options.name.clone());
        let address = bound.api.local_addr();
        let address = address.map_err(|source| StartError::Listen {
            address: options.listen,
            source,
        })?;
        let listener = Listener {
            tcp: bound.api,
            tls: Arc::new(pki::api_server(&identity.authority, &identity.server)?),
            front: front.clone(),
            limits: options.limits,
        };
        let handle = Handle {
            front,
            leadership: leadership.clone(),
            address,
            url: format!("https://{}", bound.api_address),
            kubeconfig: options.data_dir.join("kubeconfig"),
            authority: Arc::new(identity.authority),
        };
        Ok((
            Service {
                context,
                listener,
                store: store_service,
                feeder,
                lead,
                leadership,
            },
            handle,
        ))
    }

    /// Serves until `shutdown`: then watches end, open requests finish, leadership is handed over,
    /// and the store stops.
    ///
    /// # Errors
    /// The store failed, or a part of the server broke.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), RunError> {
        let stop = self.context.shutdown.clone();
        let store_stop = CancellationToken::new();
        let feeder = tokio::spawn(self.feeder.run());
        let lead = tokio::spawn(self.lead.run());
        let steward = steward::Steward {
            engine: self.context.engine.clone(),
            authority: self.context.authority.clone(),
        };
        let steward = tokio::spawn(steward.run(self.leadership.clone()));
        let tally = tally::run(self.context.engine.clone(), self.leadership);
        let tally = tokio::spawn(tally);
        let warden = self.context.warden.clone();
        let warden = tokio::spawn(warden.run(Arc::clone(&self.context)));
        let mut listener = tokio::spawn(self.listener.run(stop.clone()));
        let mut store = tokio::spawn(self.store.run(store_stop.clone()));
        let early = tokio::select! {
            () = shutdown.cancelled() => None,
            ended = &mut store => Some(ended),
        };
        stop.cancel();
        self.context.hub.close();
        let _drained = (&mut listener).await;
        lead.abort();
        tally.abort();
        steward.abort();
        warden.abort();
        if let Some(audit) = &self.context.audit {
            audit.flush().await;
        }
        let ended = match early {
            Some(ended) => ended,
            None => {
                store_stop.cancel();
                store.await
            }
        };
        feeder.abort();
        match ended {
            Ok(outcome) => outcome.map_err(RunError::Store),
            Err(broken) => Err(RunError::Broken(broken.to_string())),
        }
    }
}

fn audit(options: AuditOptions) -> Result<Arc<Audit>, StartError> {
    let path = options.path.clone();
    Audit::start(options).map_err(|source| StartError::Io { path, source })
}

impl Handle {
    /// A client inside the process, without socket or TLS, that acts as the controllers.
    #[must_use]
    pub fn client(&self) -> kube::Client {
        Local::client(self.front.clone(), User::controllers())
    }

    /// Who leads, as far as this replica knows.
    #[must_use]
    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        self.leadership.clone()
    }

    /// Where the API listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where clients reach the API.
    #[must_use]
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// The administrator's kubeconfig.
    #[must_use]
    pub fn kubeconfig_path(&self) -> PathBuf {
        self.kubeconfig.clone()
    }

    /// A join token for agents.
    #[must_use]
    pub fn agent_token(&self) -> String {
        boot::mint(&self.authority, JoinRole::Agent, ambient::now_s())
    }

    /// A join token for servers.
    #[must_use]
    pub fn server_token(&self) -> String {
        boot::mint(&self.authority, JoinRole::Server, ambient::now_s())
    }
}
