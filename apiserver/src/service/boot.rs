//! The steps of a start: listeners, certificates, files for people, a place in the cluster, store.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use manifests::token::JoinRole;
use manifests::wire::JoinRequest;
use serde::{Deserialize, Serialize};
use store::{PeerTls, Store};
use tokio::net::TcpListener;

use super::{Bootstrap, Options, StartError, TOKEN_S};
use crate::authn::issuer::Issuer;
use crate::authn::jws::Signer;
use crate::edge::identity::Identities;
use crate::edge::tokenfile::TokenFile;
use crate::edge::{ambient, enlist};
use crate::names;
use crate::pki::{self, Authority, Pair, Subject};
use crate::vault::roots::Roots;
use crate::vault::{self, Vault};

/// The bound listeners and the addresses told to others.
pub(super) struct Bound {
    pub(super) api: TcpListener,
    peer: Option<TcpListener>,
    /// `host:port` of the API.
    pub(super) api_address: String,
    /// `host:port` for other replicas.
    peer_address: String,
    host: String,
}

/// The authority, the server's certificate, and how the store begins.
pub(super) struct Identity {
    pub(super) authority: Authority,
    pub(super) server: Pair,
    bootstrap: store::Bootstrap,
}

/// What a join brought, kept so that a crash before the store's first write does not ask twice.
#[derive(Debug, Serialize, Deserialize)]
struct Joined {
    node_id: u64,
    cluster_id: String,
    peers: Vec<String>,
}

pub(super) async fn bind(options: &Options) -> Result<Bound, StartError> {
    if let Some(problem) = names::dns_subdomain(&options.name) {
        return Err(StartError::Invalid(format!(
            "--name {:?}: {problem}",
            options.name
        )));
    }
    let (api, api_port) = listen(options.listen).await?;
    let (peer, peer_port) = listen(options.peer_listen).await?;
    let (host, port) = match &options.advertise {
        None => (reachable(options.listen.ip()), api_port),
        Some(text) => advertised(text, api_port)?,
    };
    let own = |members: &[(String, String)]| {
        members
            .iter()
            .find(|(name, _)| *name == options.name)
            .map(|(_, address)| address.clone())
    };
    let peer_address = match &options.bootstrap {
        // The others dial what they were told, so this is what counts.
        Bootstrap::Initial(members) => own(members).ok_or_else(|| {
            StartError::Invalid(format!(
                "the initial cluster does not name {:?}",
                options.name
            ))
        })?,
        Bootstrap::Alone | Bootstrap::Join { .. } => format!("{}:{peer_port}", bracketed(&host)),
    };
    let api_address = format!("{}:{port}", bracketed(&host));
    Ok(Bound {
        api,
        peer: Some(peer),
        api_address,
        peer_address,
        host,
    })
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, u16), StartError> {
    let bound = async {
        let listener = TcpListener::bind(address).await?;
        let port = listener.local_addr()?.port();
        Ok((listener, port))
    };
    bound
        .await
        .map_err(|source| StartError::Listen { address, source })
}

/// The host others dial when none is advertised: an unspecified address is no place to go.
fn reachable(ip: IpAddr) -> String {
    if ip.is_unspecified() {
        hostname().unwrap_or_else(|| "localhost".into())
    } else {
        ip.to_string()
    }
}

fn hostname() -> Option<String> {
    let text = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    let name = text.trim().to_lowercase();
    names::dns_subdomain(&name).is_none().then_some(name)
}

/// `host`, `host:port`, `[v6]:port` or a bare v6 address.
fn advertised(text: &str, port: u16) -> Result<(String, u16), StartError> {
    let wrong = || StartError::Invalid(format!("--advertise {text:?} is not HOST or HOST:PORT"));
    if text.parse::<IpAddr>().is_ok() {
        return Ok((text.to_owned(), port));
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, digits)) => (host, digits.parse().ok().ok_or_else(wrong)?),
        None => (text, port),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let good =
        host.parse::<IpAddr>().is_ok() || names::dns_subdomain(&host.to_lowercase()).is_none();
    if good {
        Ok((host.to_owned(), port))
    } else {
        Err(wrong())
    }
}

fn bracketed(host: &str) -> String {
    if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    }
}

pub(super) async fn identity(options: &Options, bound: &Bound) -> Result<Identity, StartError> {
    let (authority, bootstrap) = authority(options, bound).await?;
    let now_s = ambient::now_s();
    let sans = sans(options, bound);
    let server = authority.issue(&Subject::Server(options.name.clone()), &sans, now_s)?;
    let admin = authority.issue(&Subject::Admin, &[], now_s)?;
    let pki_dir = options.data_dir.join("pki");
    server.save(&pki_dir, "server")?;
    admin.save(&pki_dir, "admin")?;
    // Clients look for the authority beside the certificates, wherever its key is kept.
    pki::write_secret(&pki_dir.join("ca.crt"), authority.certificate_pem())?;
    let url = format!("https://{}", bound.api_address);
    let kubeconfig = pki::kubeconfig(&authority, &admin, &url);
    pki::write_secret(&options.data_dir.join("kubeconfig"), &kubeconfig)?;
    for role in [JoinRole::Agent, JoinRole::Server] {
        let token = mint(&authority, role, now_s);
        let path = options.data_dir.join("tokens").join(role.as_str());
        pki::write_secret(&path, &format!("{token}\n"))?;
    }
    Ok(Identity {
        authority,
        server,
        bootstrap,
    })
}

/// Where the shared keys are.
fn pki_dir(options: &Options) -> PathBuf {
    let own = || options.data_dir.join("pki");
    options.pki_dir.clone().unwrap_or_else(own)
}

/// The roots of Secrets at rest, beside the authority. Without the file, the authority's key is the
/// only root.
const ROOTS: &str = "encryption.keys";

/// What seals Secrets, if all of what is stored can be opened.
pub(super) fn vault(
    options: &Options,
    authority: &Authority,
    store: &Store,
) -> Result<Vault, StartError> {
    let unknown = options
        .sealed
        .iter()
        .find(|plural| !vault::KINDS.contains(&plural.as_str()));
    if let Some(plural) = unknown {
        let known = vault::KINDS.join(", ");
        return Err(StartError::Invalid(format!(
            "--seal {plural:?}: must be one of {known}"
        )));
    }
    let dir = pki_dir(options);
    let path = dir.join(ROOTS);
    let file = match std::fs::read_to_string(&path) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(source) => return Err(StartError::Io { path, source }),
    };
    let wrong = |line| {
        let path = path.display();
        StartError::Invalid(format!("{path}, line {line}: must be 32 bytes in base64"))
    };
    let roots = Roots::new(file.as_deref(), &authority.key_der()?).map_err(wrong)?;
    let vault = Vault::new(store.clone(), roots, &options.sealed);
    let missing = vault
        .check(&store.view())
        .map_err(|missing| StartError::Sealed {
            dir,
            problem: missing.to_string(),
        });
    missing.map(|()| vault)
}

/// What turns tokens into users.
pub(super) fn identities(
    options: &Options,
    authority: &Authority,
) -> Result<Identities, StartError> {
    let file = options.token_auth_file.clone().map(|path| {
        let unusable =
            |error| StartError::Invalid(format!("--token-auth-file {}: {error}", path.display()));
        TokenFile::open(path.clone()).map_err(unusable)
    });
    let url = options.service_account_issuer.clone();
    let issuer = Issuer::new(url, Signer::of(&authority.key_der()?));
    Ok(Identities::new(
        authority.clone(),
        issuer,
        file.transpose()?,
    ))
}

pub(super) fn mint(authority: &Authority, role: JoinRole, now_s: u64) -> String {
    // A part of the seed is as random as the whole.
    let dice = (ambient::seed() & u128::from(u32::MAX)) as u32;
    authority.mint(role, (now_s, now_s + TOKEN_S), dice)
}

async fn authority(
    options: &Options,
    bound: &Bound,
) -> Result<(Authority, store::Bootstrap), StartError> {
    let dir = &pki_dir(options);
    match &options.bootstrap {
        Bootstrap::Alone => {
            let initial = vec![(options.name.clone(), bound.peer_address.clone())];
            let authority = Authority::load_or_create(dir, ambient::now_s())?;
            Ok((authority, store::Bootstrap::Static { initial }))
        }
        Bootstrap::Initial(members) => {
            let found = match members.len() {
                0 | 1 => Some(Authority::load_or_create(dir, ambient::now_s())?),
                _ => Authority::load(dir)?,
            };
            let authority = found.ok_or_else(|| StartError::NoAuthority(dir.clone()))?;
            Ok((
                authority,
                store::Bootstrap::Static {
                    initial: members.clone(),
                },
            ))
        }
        Bootstrap::Join { url, token } => join(options, bound, dir, url, token).await,
    }
}

/// What a join brought, between the join and the store's first start. After that it must be gone:
/// a store that is wiped later may not come back under the old id, but has to join again.
const JOINED: &str = "join.json";

/// The place this replica has in its cluster, the one it was just given, or a new one.
async fn join(
    options: &Options,
    bound: &Bound,
    dir: &Path,
    url: &str,
    token: &str,
) -> Result<(Authority, store::Bootstrap), StartError> {
    let record = options.data_dir.join(JOINED);
    if let Some(authority) = Authority::load(dir)? {
        // The store writes this file last of all when it becomes a member, and heeds it alone.
        if options.data_dir.join("store/identity").exists() {
            let nobody = store::Bootstrap::Join {
                node_id: 0,
                cluster_id: 0,
                peers: Vec::new(),
            };
            return Ok((authority, nobody));
        }
        if let Some(joined) = remembered(&record)? {
            return Ok((authority, place(joined)?));
        }
    }
    let request = JoinRequest {
        role: JoinRole::Server.as_str().to_owned(),
        name: options.name.clone(),
        csr: Authority::throwaway_request()?,
        address: bound.api_address.clone(),
        peer_address: bound.peer_address.clone(),
    };
    let answer = enlist::enlist(url, token, &request).await?;
    let authority = Authority::from_pem(&answer.ca, &answer.ca_key)?;
    authority.save(dir)?;
    if !answer.encryption_keys.is_empty() {
        pki::write_secret(&dir.join(ROOTS), &answer.encryption_keys)?;
    }
    let joined = Joined {
        node_id: answer.node_id,
        cluster_id: answer.cluster_id,
        peers: answer.peers,
    };
    let text = serde_json::to_string(&joined)
        .map_err(|error| StartError::Invalid(format!("join.json: {error}")))?;
    pki::write_secret(&record, &text)?;
    Ok((authority, place(joined)?))
}

fn remembered(path: &Path) -> Result<Option<Joined>, StartError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            return Err(StartError::Io {
                path: path.to_path_buf(),
                source,
            });
        }
    };
    let damaged = |error| StartError::Invalid(format!("{} is damaged: {error}", path.display()));
    serde_json::from_str(&text).map(Some).map_err(damaged)
}

fn place(joined: Joined) -> Result<store::Bootstrap, StartError> {
    let cluster_id = joined.cluster_id.parse().map_err(|_digits| {
        StartError::Invalid(format!(
            "cluster id {:?} is not a number",
            joined.cluster_id
        ))
    })?;
    Ok(store::Bootstrap::Join {
        node_id: joined.node_id,
        cluster_id,
        peers: joined.peers,
    })
}

/// Every name under which somebody may dial this server.
fn sans(options: &Options, bound: &Bound) -> Vec<String> {
    let fixed = [
        "localhost",
        "127.0.0.1",
        "::1",
        store::PEER_SERVER_NAME,
        "stoa-server",
    ];
    let mut sans: Vec<String> = fixed.map(String::from).into();
    sans.push(bound.host.clone());
    sans.push(reachable(options.listen.ip()));
    sans.extend(hostname());
    sans.extend(options.extra_sans.iter().cloned());
    sans.sort();
    sans.dedup();
    sans
}

pub(super) async fn store(
    options: &Options,
    bound: &mut Bound,
    identity: &Identity,
) -> Result<(Store, store::Service), StartError> {
    let tls = PeerTls {
        server: Arc::new(pki::peer_server(&identity.authority, &identity.server)?),
        client: Arc::new(pki::peer_client(&identity.authority, &identity.server)?),
    };
    let peer_listener = bound.peer.take();
    let peer_listener = peer_listener
        .ok_or_else(|| StartError::Invalid("the store was started twice".to_owned()))?;
    let record = options.data_dir.join(JOINED);
    let options = store::Options {
        name: options.name.clone(),
        data_dir: options.data_dir.join("store"),
        peer_listener,
        peer_addr: bound.peer_address.clone(),
        api_addr: bound.api_address.clone(),
        bootstrap: identity.bootstrap.clone(),
        tls,
        limits: options.store_limits.clone(),
        faults: store::Faults::default(),
    };
    let started = Store::start(options).await?;
    match std::fs::remove_file(&record) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(StartError::Io {
            path: record,
            source,
        }),
        Ok(()) | Err(_) => Ok(started),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advertising() {
        for (text, expected) in [
            ("h", Some(("h", 1))),
            ("h.example:7", Some(("h.example", 7))),
            ("10.0.0.1", Some(("10.0.0.1", 1))),
            ("10.0.0.1:7", Some(("10.0.0.1", 7))),
            ("::1", Some(("::1", 1))),
            ("[::1]:7", Some(("::1", 7))),
            ("h:x", None),
            ("https://h", None),
            ("", None),
        ] {
            let found = advertised(text, 1).ok();
            assert_eq!(
                found,
                expected.map(|(host, port)| (host.to_owned(), port)),
                "{text}"
            );
        }
        assert_eq!(bracketed("::1"), "[::1]");
    }
}
