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
    /// Seconds since 1970 from which the certificate holds.
    pub(crate) begins_s: i64,
    /// Seconds since 1970 after which the certificate is void.
    pub(crate) expires_s: i64,
}

impl Identity {
    /// True when less than a third of the certificate's life is left: long enough for an operator
    /// to act, whatever that life is.
    pub(crate) const fn is_due(&self, now_s: i64) -> bool {
        self.expires_s - now_s < (self.expires_s - self.begins_s) / 3
    }
}

/// Reads the identity; `None` before the first join.
pub(crate) fn load(pki: &Path) -> io::Result<Option<Identity>> {
    // The certificate is written last, so where it is the others are as well.
    let Some(certificate) = read(&pki.join("agent.crt"))? else {
        return Ok(None);
    };
    let [key, ca] = ["agent.key", "ca.crt"].map(|name| fs::read(pki.join(name)));
    let certificate = CertificateDer::from_pem_slice(&certificate).map_err(|e| damaged(&e))?;
    let (begins_s, expires_s) = validity(&certificate)?;
    Ok(Some(Identity {
        certificate,
        key: PrivateKeyDer::from_pem_slice(&key?).map_err(|e| damaged(&e))?,
        ca: CertificateDer::from_pem_slice(&ca?).map_err(|e| damaged(&e))?,
        begins_s,
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

fn validity(certificate: &CertificateDer<'_>) -> io::Result<(i64, i64)> {
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(io::Error::other)?;
    let validity = parsed.validity();
    Ok((
        validity.not_before.timestamp(),
        validity.not_after.timestamp(),
    ))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_due_in_the_last_third_of_its_life() {
        let (certificate, key) = (vec![0].into(), vec![0]);
        let identity = Identity {
            certificate,
            key: PrivateKeyDer::Pkcs8(key.into()),
            ca: vec![0].into(),
            begins_s: 1_000,
            expires_s: 1_300,
        };
        for (now_s, due) in [(1_000, false), (1_200, false), (1_201, true), (1_400, true)] {
            assert_eq!(identity.is_due(now_s), due, "{now_s}");
        }
    }
}
