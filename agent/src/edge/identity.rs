//! The agent's key and certificates on disk.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use manifests::wire::JoinResponse;
use rcgen::KeyPair;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::files::write_atomic;

/// Who the agent is, and whom it trusts.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) key: PrivateKeyDer<'static>,
    pub(crate) ca: CertificateDer<'static>,
    /// Seconds since 1970 after which the certificate is void.
    pub(crate) expires_s: i64,
}

/// A certificate is renewed when it has less than this left: long enough for an operator to act.
pub(crate) const RENEW_BEFORE_S: i64 = 30 * 24 * 3600;

/// Reads the identity; `None` before the first join.
pub(crate) fn load(pki: &Path) -> io::Result<Option<Identity>> {
    // The certificate is written last, so where it is the others are as well.
    let Some(certificate) = read(&pki.join("agent.crt"))? else {
        return Ok(None);
    };
    let [key, ca] = ["agent.key", "ca.crt"].map(|name| fs::read(pki.join(name)));
    let certificate = CertificateDer::from_pem_slice(&certificate).map_err(|e| damaged(&e))?;
    let expires_s = expiry(&certificate)?;
    Ok(Some(Identity {
        certificate,
        key: PrivateKeyDer::from_pem_slice(&key?).map_err(|e| damaged(&e))?,
        ca: CertificateDer::from_pem_slice(&ca?).map_err(|e| damaged(&e))?,
        expires_s,
    }))
}

/// The key to join with: made once, and kept through every renewal.
pub(crate) fn ensure_key(pki: &Path) -> io::Result<KeyPair> {
    let path = pki.join("agent.key");
    if let Some(pem) = read(&path)? {
        let text = String::from_utf8(pem).map_err(io::Error::other)?;
        return KeyPair::from_pem(&text).map_err(io::Error::other);
    }
    let key = KeyPair::generate().map_err(io::Error::other)?;
    write_atomic(&path, key.serialize_pem().as_bytes())?;
    Ok(key)
}

/// Keeps what the servers issued.
pub(crate) fn store(pki: &Path, issued: &JoinResponse) -> io::Result<()> {
    write_atomic(&pki.join("ca.crt"), issued.ca.as_bytes())?;
    write_atomic(&pki.join("agent.crt"), issued.certificate.as_bytes())
}

fn expiry(certificate: &CertificateDer<'_>) -> io::Result<i64> {
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(io::Error::other)?;
    Ok(parsed.validity().not_after.timestamp())
}

fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

fn damaged(error: &rustls_pki_types::pem::Error) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("damaged PEM: {error:?}"))
}
