//! Certificates for clients who ask by a CertificateSigningRequest: whom the request names, and its
//! signature. Nothing of the request but name, groups and key comes into the certificate.

use rcgen::{
    CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose as Purpose, KeyUsagePurpose, SerialNumber,
};
use rustls_pki_types::CertificateSigningRequestDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer;

use super::authority::{SKEW_S, failed};
use super::{Authority, PkiError};

/// The library that writes certificates knows each kind of name once; the organisation has two
/// spellings there.
const GROUPS_MAX: usize = 2;

/// Organisation, by its number.
const ORGANIZATION: [u64; 4] = [2, 5, 4, 10];

/// Whom a request names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// CN.
    pub name: String,
    /// Every O.
    pub groups: Vec<String>,
}

impl Request {
    /// Reads a request and checks its signature.
    ///
    /// # Errors
    /// A sentence on what is wrong with it.
    pub fn parse(pem: &str) -> Result<Self, String> {
        let der = CertificateSigningRequestDer::from_pem_slice(pem.as_bytes())
            .map_err(|_pem| "PEM block type must be CERTIFICATE REQUEST".to_owned())?;
        let (_, parsed) = X509CertificationRequest::from_der(&der)
            .map_err(|error| format!("the request does not parse: {error}"))?;
        let subject = &parsed.certification_request_info.subject;
        if subject.iter().any(|rdn| rdn.iter().count() != 1) {
            return Err("each part of the subject must have one attribute".to_owned());
        }
        // The rest of the parsing, and the signature.
        CertificateSigningRequestParams::from_der(&der).map_err(|error| error.to_string())?;
        let name = subject.iter_common_name().next();
        let groups = subject
            .iter_organization()
            .map(|o| o.as_str().map(str::to_owned));
        let groups: Result<Vec<String>, _> = groups.collect();
        let groups = groups.map_err(|_text| "an organization is no text".to_owned())?;
        if groups.len() > GROUPS_MAX {
            return Err(format!(
                "the subject has more than {GROUPS_MAX} organizations"
            ));
        }
        let name = name.and_then(|name| name.as_str().ok()).unwrap_or_default();
        Ok(Self {
            name: name.to_owned(),
            groups,
        })
    }
}

impl Authority {
    /// A certificate with which a client proves to be whom its request names.
    ///
    /// # Errors
    /// The request is malformed or not signed by its key, or the cryptography library fails.
    pub fn sign_client(
        &self,
        pem: &str,
        lasts_s: u64,
        now_s: u64,
        serial: u64,
    ) -> Result<String, PkiError> {
        let named = Request::parse(pem).map_err(PkiError::Request)?;
        let mut request = CertificateSigningRequestParams::from_pem(pem)
            .map_err(failed("read the certificate request"))?;
        let mut params = CertificateParams::default();
        params.distinguished_name = subject(&named);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![Purpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        params.serial_number = Some(SerialNumber::from(serial));
        let epoch = rcgen::date_time_ymd(1970, 1, 1);
        let at = |s: u64| epoch + std::time::Duration::from_secs(s);
        params.not_before = at(now_s.saturating_sub(SKEW_S));
        params.not_after = at(now_s + lasts_s);
        request.params = params;
        let certificate = request.signed_by(&self.issuer()?);
        Ok(certificate.map_err(failed("sign a certificate"))?.pem())
    }
}

fn subject(named: &Request) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    let spellings = [
        DnType::OrganizationName,
        DnType::CustomDnType(ORGANIZATION.into()),
    ];
    for (spelling, group) in spellings.into_iter().zip(&named.groups) {
        subject.push(spelling, group.as_str());
    }
    subject.push(DnType::CommonName, named.name.as_str());
    subject
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::user_of;
    use rcgen::KeyPair;
    use rustls_pki_types::CertificateDer;

    const NOW_S: u64 = 1_800_000_000;

    fn request(name: &str, groups: &[&str]) -> String {
        let mut params = CertificateParams::new(["stoa-peer".to_owned()]).unwrap();
        params.distinguished_name = subject(&Request {
            name: name.into(),
            groups: groups.iter().map(|&group| group.to_owned()).collect(),
        });
        let key = KeyPair::generate().unwrap();
        params.serialize_request(&key).unwrap().pem().unwrap()
    }

    #[test]
    fn names_and_groups_are_carried_over_and_nothing_else() {
        let authority = Authority::create(NOW_S).unwrap();
        for groups in [&[][..], &["g1"], &["g1", "g2"]] {
            let pem = request("jane", groups);
            assert_eq!(Request::parse(&pem).unwrap().groups, groups);
            let signed = authority.sign_client(&pem, 600, NOW_S, 7).unwrap();
            let leaf = CertificateDer::from_pem_slice(signed.as_bytes()).unwrap();
            let user = user_of(&leaf).unwrap();
            assert_eq!(
                (user.name.as_str(), user.groups.as_slice()),
                (
                    "jane",
                    groups
                        .iter()
                        .map(|&g| g.to_owned())
                        .collect::<Vec<_>>()
                        .as_slice()
                )
            );
            let (_, parsed) = x509_parser::parse_x509_certificate(&leaf).unwrap();
            assert!(parsed.subject_alternative_name().unwrap().is_none());
            let ends = parsed.validity().not_after.timestamp();
            assert_eq!(ends, i64::try_from(NOW_S + 600).unwrap());
        }
        let good = request("jane", &[]);
        for bad in [
            "",
            "x",
            &good.replace("MI", "MA"),
            &good.replace("REQUEST", "X"),
        ] {
            assert!(Request::parse(bad).is_err(), "{bad}");
            assert!(authority.sign_client(bad, 600, NOW_S, 7).is_err());
        }
    }
}
