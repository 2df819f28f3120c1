//! The certificate authority: what it signs, and the join tokens it vouches for.

use std::fmt;

use manifests::token::{JoinRole, JoinToken};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertificateSigningRequestParams, DnType,
    ExtendedKeyUsagePurpose as Purpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData,
    SerialNumber,
};
use ring::{digest, hmac};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::PkiError;
use crate::names;
use crate::user::{AGENTS, MASTERS, SERVERS};

const DAY_S: u64 = 24 * 60 * 60;

/// The authority outlives every replica; there is no rotation yet, so it must not run out.
const AUTHORITY_DAYS: u64 = 10 * 365;

/// Leaves are made anew at every start of a server and every join of an agent.
const LEAF_DAYS: u64 = 365;

/// Certificates begin in the past, so that a joiner whose clock is behind can use one at once.
pub(super) const SKEW_S: u64 = 5 * 60;

/// Who a certificate speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The administrator.
    Admin,
    /// The machine of this name.
    Agent(String),
    /// The replica of this name.
    Server(String),
}

/// What a certificate may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// Dialling only.
    Client,
    /// Dialling and answering.
    Both,
}

impl Subject {
    fn parts(&self) -> Result<(String, &'static str, Usage), PkiError> {
        let (name, group, usage, label) = match self {
            Subject::Admin => return Ok(("admin".to_owned(), MASTERS, Usage::Client)),
            Subject::Agent(name) => (format!("stoa:agent:{name}"), AGENTS, Usage::Both, name),
            Subject::Server(name) => (format!("stoa:server:{name}"), SERVERS, Usage::Both, name),
        };
        match names::dns_subdomain(label) {
            Some(_) => Err(PkiError::Name(label.clone())),
            None => Ok((name, group, usage)),
        }
    }
}

/// A certificate with its key, both PEM. The certificate is followed by the authority's, so that
/// a joiner who knows only the authority's hash can check the chain.
#[derive(Clone)]
pub struct Pair {
    /// Leaf and authority.
    pub certificate: String,
    /// The leaf's key, PKCS#8.
    pub key: String,
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pair")
            .field("certificate", &self.certificate)
            .finish_non_exhaustive()
    }
}

impl Pair {
    /// The chain, as TLS wants it.
    ///
    /// # Errors
    /// The certificate is not PEM.
    pub fn chain(&self) -> Result<Vec<CertificateDer<'static>>, PkiError> {
        CertificateDer::pem_slice_iter(self.certificate.as_bytes())
            .collect::<Result<_, _>>()
            .map_err(|_pem| PkiError::Pem("the certificate"))
    }

    /// The key, as TLS wants it.
    ///
    /// # Errors
    /// The key is not PEM.
    pub fn private_key(&self) -> Result<PrivateKeyDer<'static>, PkiError> {
        PrivateKeyDer::from_pem_slice(self.key.as_bytes()).map_err(|_pem| PkiError::Pem("the key"))
    }
}

/// The cluster's certificate authority.
#[derive(Clone)]
pub struct Authority {
    certificate_pem: String,
    certificate: CertificateDer<'static>,
    key_pem: String,
    /// Keyed by the authority's key: every server can check a token, nobody else can make one.
    mac: hmac::Key,
    hash: String,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("hash", &self.hash)
            .finish_non_exhaustive()
    }
}

impl Authority {
    /// A new authority with a fresh key.
    ///
    /// # Errors
    /// The cryptography library fails.
    pub fn create(now_s: u64) -> Result<Self, PkiError> {
        let key = KeyPair::generate().map_err(failed("make the authority's key"))?;
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::CommonName, "stoa-ca");
        valid_for(&mut params, now_s, AUTHORITY_DAYS);
        let certificate = params
            .self_signed(&key)
            .map_err(failed("sign the authority"))?;
        Self::from_pem(&certificate.pem(), &key.serialize_pem())
    }

    /// The authority of these two PEM texts.
    ///
    /// # Errors
    /// One of them is not PEM of its kind.
    pub fn from_pem(certificate_pem: &str, key_pem: &str) -> Result<Self, PkiError> {
        let certificate = CertificateDer::from_pem_slice(certificate_pem.as_bytes())
            .map_err(|_pem| PkiError::Pem("ca.crt"))?;
        let key = PrivatePkcs8KeyDer::from_pem_slice(key_pem.as_bytes())
            .map_err(|_pem| PkiError::Pem("ca.key"))?;
        Ok(Self {
            hash: hex(digest::digest(&digest::SHA256, &certificate).as_ref()),
            mac: hmac::Key::new(hmac::HMAC_SHA256, key.secret_pkcs8_der()),
            certificate_pem: certificate_pem.to_owned(),
            key_pem: key_pem.to_owned(),
            certificate,
        })
    }

    /// The authority's certificate, PEM.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The authority's key, PEM. Only servers may hold it.
    #[must_use]
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }

    /// The authority's key, PKCS#8.
    ///
    /// # Errors
    /// The key is not PEM, which was checked when it was read.
    pub fn key_der(&self) -> Result<Vec<u8>, PkiError> {
        let key = PrivatePkcs8KeyDer::from_pem_slice(self.key_pem.as_bytes())
            .map_err(|_pem| PkiError::Pem("ca.key"))?;
        Ok(key.secret_pkcs8_der().to_vec())
    }

    /// The authority's certificate, DER.
    #[must_use]
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// Makes a key and a certificate for it.
    ///
    /// # Errors
    /// A name is unusable, or the cryptography library fails.
    pub fn issue(&self, subject: &Subject, sans: &[String], now_s: u64) -> Result<Pair, PkiError> {
        let key = KeyPair::generate().map_err(failed("make a key"))?;
        let params = leaf(subject, sans, now_s, key.public_key_raw())?;
        let certificate = params
            .signed_by(&key, &self.issuer()?)
            .map_err(failed("sign a certificate"))?;
        Ok(Pair {
            certificate: self.chain(&certificate),
            key: key.serialize_pem(),
        })
    }

    /// Signs the public key of a request. Whatever else the request asks for is ignored: the
    /// authority alone decides on names and usages.
    ///
    /// # Errors
    /// The request is malformed, its signature is wrong, or a name is unusable.
    pub fn sign_request(
        &self,
        request_pem: &str,
        subject: &Subject,
        sans: &[String],
        now_s: u64,
    ) -> Result<String, PkiError> {
        let mut request = CertificateSigningRequestParams::from_pem(request_pem)
            .map_err(failed("read the certificate request"))?;
        let key = request.public_key.der_bytes().to_vec();
        request.params = leaf(subject, sans, now_s, &key)?;
        let certificate = request
            .signed_by(&self.issuer()?)
            .map_err(failed("sign a certificate"))?;
        Ok(self.chain(&certificate))
    }

    /// The public key of a request, as the SHA-256 of its bytes.
    ///
    /// # Errors
    /// The request is malformed, or its signature is wrong.
    pub fn key_of_request(request_pem: &str) -> Result<String, PkiError> {
        let request = CertificateSigningRequestParams::from_pem(request_pem)
            .map_err(failed("read the certificate request"))?;
        let key = request.public_key.der_bytes();
        Ok(key_hash(key))
    }

    /// A certificate request for a fresh key that is thrown away: a server that joins is given the
    /// authority itself, and needs no certificate from it.
    ///
    /// # Errors
    /// The cryptography library fails.
    pub fn throwaway_request() -> Result<String, PkiError> {
        let key = KeyPair::generate().map_err(failed("make a key"))?;
        let request = CertificateParams::default()
            .serialize_request(&key)
            .map_err(failed("make a certificate request"))?;
        request.pem().map_err(failed("write a certificate request"))
    }

    /// A join token for a role, good from one second to another. `dice` tells it from others made in
    /// the same second.
    #[must_use]
    pub fn mint(&self, role: JoinRole, (now_s, expires_s): (u64, u64), dice: u32) -> String {
        let made_s = u32::try_from(now_s).unwrap_or(u32::MAX);
        let mut token = JoinToken {
            role,
            expires_s,
            nonce: format!("{made_s:08x}{dice:08x}"),
            mac: String::new(),
            ca_hash: self.hash.clone(),
        };
        token.mac = hex(hmac::sign(&self.mac, token.signed_part().as_bytes()).as_ref());
        token.to_string()
    }

    /// What a join token says; none if it is forged, foreign or expired.
    #[must_use]
    pub fn verify_token(&self, text: &str, now_s: u64) -> Option<JoinToken> {
        let token = JoinToken::parse(text).ok()?;
        let mac = unhex(&token.mac)?;
        hmac::verify(&self.mac, token.signed_part().as_bytes(), &mac).ok()?;
        (token.expires_s > now_s).then_some(token)
    }

    pub(super) fn issuer(&self) -> Result<Issuer<'static, KeyPair>, PkiError> {
        let key = KeyPair::from_pem(&self.key_pem).map_err(failed("read ca.key"))?;
        Issuer::from_ca_cert_der(&self.certificate, key).map_err(failed("read ca.crt"))
    }

    fn chain(&self, leaf: &Certificate) -> String {
        format!("{}{}", leaf.pem(), self.certificate_pem)
    }
}

fn leaf(
    subject: &Subject,
    sans: &[String],
    now_s: u64,
    key: &[u8],
) -> Result<CertificateParams, PkiError> {
    let (name, group, usage) = subject.parts()?;
    let mut params =
        CertificateParams::new(sans).map_err(failed("use the names for a certificate"))?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::OrganizationName, group);
    params.distinguished_name.push(DnType::CommonName, name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = match usage {
        Usage::Client => vec![Purpose::ClientAuth],
        Usage::Both => vec![Purpose::ClientAuth, Purpose::ServerAuth],
    };
    params.use_authority_key_identifier_extension = true;
    params.serial_number = Some(SerialNumber::from(serial(key, now_s)));
    valid_for(&mut params, now_s, LEAF_DAYS);
    Ok(params)
}

/// A serial number of its own for every key and second: revoking one certificate must not revoke the
/// one that was made for the same key later. Positive, and without leading zeros.
fn serial(key: &[u8], now_s: u64) -> Vec<u8> {
    let text = [key, &now_s.to_be_bytes()].concat();
    let hash = digest::digest(&digest::SHA256, &text);
    let mut serial = hash.as_ref()[..16].to_vec();
    serial[0] = serial[0] & 0x3f | 0x40;
    serial
}

fn valid_for(params: &mut CertificateParams, now_s: u64, days: u64) {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let at = |s: u64| epoch + std::time::Duration::from_secs(s);
    params.not_before = at(now_s.saturating_sub(SKEW_S));
    params.not_after = at(now_s + days * DAY_S);
}

pub(super) fn failed(what: &'static str) -> impl Fn(rcgen::Error) -> PkiError {
    move |source| PkiError::Certificate { what, source }
}

/// The name of a public key: the SHA-256 of its bytes.
pub(super) fn key_hash(key: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, key).as_ref())
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks(2);
    digits
        .map(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::user_of;

    const NOW_S: u64 = 1_800_000_000;

    #[test]
    fn tokens() {
        let ours = Authority::create(NOW_S).unwrap();
        let other = Authority::create(NOW_S).unwrap();
        let token = ours.mint(JoinRole::Agent, (NOW_S, NOW_S + 10), 7);
        let as_server = token.replace("agent", "server");
        for (text, now_s, role) in [
            (&token, NOW_S, Some(JoinRole::Agent)),
            (&token, NOW_S + 10, None),
            (&as_server, NOW_S, None),
            (
                &other.mint(JoinRole::Agent, (NOW_S, NOW_S + 10), 7),
                NOW_S,
                None,
            ),
            (
                &token.replace(&(NOW_S + 10).to_string(), &(NOW_S + 99).to_string()),
                NOW_S,
                None,
            ),
            (&"stoa.agent".to_owned(), NOW_S, None),
        ] {
            let found = ours.verify_token(text, now_s);
            assert_eq!(found.map(|token| token.role), role, "{text}");
        }
        let again = Authority::from_pem(ours.certificate_pem(), ours.key_pem()).unwrap();
        let known = again.verify_token(&token, NOW_S).unwrap();
        assert_eq!(known.issued_s(), Some(NOW_S));
    }

    #[test]
    fn subjects() {
        let authority = Authority::create(NOW_S).unwrap();
        for (subject, name, group) in [
            (Subject::Admin, "admin", MASTERS),
            (Subject::Agent("a1".into()), "stoa:agent:a1", AGENTS),
            (Subject::Server("s-1".into()), "stoa:server:s-1", SERVERS),
        ] {
            let pair = authority
                .issue(&subject, &["stoa-agent".into()], NOW_S)
                .unwrap();
            let user = user_of(&pair.chain().unwrap()[0]).unwrap();
            assert_eq!(
                (user.name.as_str(), user.groups.as_slice()),
                (name, &[group.into()][..])
            );
            assert_eq!(pair.chain().unwrap().len(), 2);
        }
        for name in ["", "a:b", "A", "a,O=system:masters"] {
            let refused = authority.issue(&Subject::Agent(name.into()), &[], NOW_S);
            assert!(matches!(refused, Err(PkiError::Name(_))), "{name}");
        }
    }

    #[test]
    fn requests_get_our_names_only() {
        let authority = Authority::create(NOW_S).unwrap();
        let key = KeyPair::generate().unwrap();
        let mut asks = CertificateParams::new(["stoa-peer".to_owned()]).unwrap();
        asks.distinguished_name
            .push(DnType::OrganizationName, MASTERS);
        let request = asks.serialize_request(&key).unwrap().pem().unwrap();
        let signed = authority
            .sign_request(
                &request,
                &Subject::Agent("a1".into()),
                &["stoa-agent".into()],
                NOW_S,
            )
            .unwrap();
        let pair = Pair {
            certificate: signed,
            key: key.serialize_pem(),
        };
        let leaf = &pair.chain().unwrap()[0];
        assert_eq!(user_of(leaf).unwrap().groups, [AGENTS]);
        let (_, parsed) = x509_parser::parse_x509_certificate(leaf).unwrap();
        let names = parsed.subject_alternative_name().unwrap().unwrap();
        assert_eq!(
            format!("{:?}", names.value.general_names),
            "[DNSName(\"stoa-agent\")]"
        );
        let damaged = request.replace("MI", "MA");
        assert!(
            authority
                .sign_request(&damaged, &Subject::Admin, &[], NOW_S)
                .is_err()
        );
    }
}
