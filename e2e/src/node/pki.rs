//! Certificates of a cluster of store nodes: one authority and one certificate, shared by all.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use store::{PEER_SERVER_NAME, PeerTls};

use crate::{Fault, Outcome};

const AUTHORITY: &str = "ca.der";
const CERTIFICATE: &str = "peer.der";
const KEY: &str = "peer.key";

/// Makes authority and certificate in the folder.
///
/// # Errors
/// When they cannot be made or written.
pub fn create(folder: &Path) -> Outcome<()> {
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate()?;
    let root = authority.self_signed(&authority_key)?;
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate()?;
    let peer = CertificateParams::new(vec![PEER_SERVER_NAME.to_owned()])?;
    let peer = peer.signed_by(&key, &issuer)?;
    fs::create_dir_all(folder)?;
    fs::write(folder.join(AUTHORITY), root.der())?;
    fs::write(folder.join(CERTIFICATE), peer.der())?;
    fs::write(folder.join(KEY), key.serialize_der())?;
    Ok(())
}

/// Both sides of mutual TLS with what `create` left in the folder.
///
/// # Errors
/// When it cannot be read.
pub fn load(folder: &Path) -> Outcome<PeerTls> {
    let read = |name: &str| {
        let path = folder.join(name);
        fs::read(&path).map_err(|e| Fault::new(format!("{}: {e}", path.display())))
    };
    let chain = vec![CertificateDer::from(read(CERTIFICATE)?)];
    let key = PrivateKeyDer::try_from(read(KEY)?).map_err(Fault::new)?;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from(read(AUTHORITY)?))?;
    let roots = Arc::new(roots);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider))
            .build()?;
    let server = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain.clone(), key.clone_key())?;
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)?;
    Ok(PeerTls {
        server: Arc::new(server),
        client: Arc::new(client),
    })
}
