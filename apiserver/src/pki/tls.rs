//! TLS configurations made from the authority and a certificate.

use std::sync::Arc;

use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::authority::{SKEW_S, hex, key_hash};
use super::verifier::{InGroup, KnownRoot};
use super::{Authority, Pair, PkiError};
use crate::authn::revoked::serial_of;
use crate::user::{SERVERS, User};

/// For the API's listener. A client certificate is optional, but one that is shown must be valid.
///
/// # Errors
/// The certificates do not fit together.
pub fn api_server(authority: &Authority, server: &Pair) -> Result<ServerConfig, PkiError> {
    let verifier =
        WebPkiClientVerifier::builder_with_provider(roots(authority)?.into(), provider())
            .allow_unauthenticated()
            .build()?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(server.chain()?, server.private_key()?)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// For the listener other replicas dial: only servers' certificates are let in.
///
/// # Errors
/// The certificates do not fit together.
pub fn peer_server(authority: &Authority, server: &Pair) -> Result<ServerConfig, PkiError> {
    let any = WebPkiClientVerifier::builder_with_provider(roots(authority)?.into(), provider())
        .build()?;
    Ok(ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(Arc::new(InGroup {
            any,
            group: SERVERS,
        }))
        .with_single_cert(server.chain()?, server.private_key()?)?)
}

/// For dialling other replicas.
///
/// # Errors
/// The certificates do not fit together.
pub fn peer_client(authority: &Authority, server: &Pair) -> Result<ClientConfig, PkiError> {
    Ok(ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots(authority)?)
        .with_client_auth_cert(server.chain()?, server.private_key()?)?)
}

/// For dialling agents: the log proxy.
///
/// # Errors
/// The certificates do not fit together.
pub fn agent_client(authority: &Authority, server: &Pair) -> Result<ClientConfig, PkiError> {
    peer_client(authority, server)
}

/// For joining: trusts whoever shows a chain that ends in the CA certificate with this SHA-256.
///
/// # Errors
/// The TLS library refuses its own defaults.
pub fn joining_client(ca_hash: &str) -> Result<ClientConfig, PkiError> {
    let verifier = KnownRoot {
        ca_hash: ca_hash.to_owned(),
        provider: provider(),
    };
    Ok(ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth())
}

/// The user a verified certificate speaks for: CN is the name, every O is a group.
#[must_use]
pub fn user_of(certificate: &CertificateDer<'_>) -> Option<User> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let subject = parsed.subject();
    let name = subject.iter_common_name().next()?.as_str().ok()?;
    let groups = subject.iter_organization().filter_map(|o| o.as_str().ok());
    Some(User {
        name: name.to_owned(),
        groups: groups.map(str::to_owned).collect(),
        ..User::default()
    })
}

/// A verified client certificate, as far as it tells who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certified {
    /// Whom it speaks for.
    pub user: User,
    /// Its public key, as `Authority::key_of_request` writes the key of a request.
    pub key: String,
    /// Its serial number, as revocations are compared.
    pub serial: String,
    /// The second in which it was made.
    pub issued_s: u64,
    /// It says nothing from this second on.
    pub expires_s: u64,
}

/// What a verified certificate says.
#[must_use]
pub fn certified(certificate: &CertificateDer<'_>) -> Option<Certified> {
    let user = user_of(certificate)?;
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let seconds = |time: x509_parser::time::ASN1Time| u64::try_from(time.timestamp()).ok();
    let validity = parsed.validity();
    Some(Certified {
        user,
        key: key_hash(&parsed.public_key().subject_public_key.data),
        serial: serial_of(&hex(parsed.raw_serial())),
        // Ours begin before they are made.
        issued_s: seconds(validity.not_before)?.saturating_add(SKEW_S),
        expires_s: seconds(validity.not_after)?,
    })
}

/// The serial number of a certificate in PEM.
///
/// # Errors
/// The text is no certificate.
pub fn serial_of_pem(text: &str) -> Result<String, PkiError> {
    let wrong = PkiError::Pem("the certificate");
    let Ok(certificate) = CertificateDer::from_pem_slice(text.as_bytes()) else {
        return Err(wrong);
    };
    match x509_parser::parse_x509_certificate(&certificate) {
        Ok((_, parsed)) => Ok(serial_of(&hex(parsed.raw_serial()))),
        Err(_der) => Err(wrong),
    }
}

fn roots(authority: &Authority) -> Result<RootCertStore, PkiError> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.certificate().clone())?;
    Ok(roots)
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
