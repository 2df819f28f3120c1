//! Certificates: the CA that the servers of a cluster share, and the ones no server may accept.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

use crate::Outcome;

/// Makes the CA that several first servers share, as `stoa up` does.
///
/// # Errors
/// When the folder cannot be written.
pub fn shared_authority(folder: &Path) -> Outcome<()> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    apiserver::pki::Authority::load_or_create(folder, now.as_secs())?;
    Ok(())
}

/// Makes a CA that no server knows, with the files `ca.crt` and `ca.key`.
///
/// # Errors
/// When the folder cannot be written.
pub fn foreign_authority(folder: &Path) -> Outcome<()> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    // The name of the real one, so that only the signature tells them apart.
    params
        .distinguished_name
        .push(DnType::CommonName, "stoa-ca");
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    fs::create_dir_all(folder)?;
    fs::write(folder.join("ca.crt"), certificate.pem())?;
    fs::write(folder.join("ca.key"), key.serialize_pem())?;
    Ok(())
}

/// An administrator's certificate and key, in files below `into`, signed by the CA in `authority`
/// and valid from the first of January of one year to that of another.
///
/// # Errors
/// When files cannot be read or written.
pub fn administrator(
    authority: &Path,
    into: &Path,
    years: (i32, i32),
) -> Outcome<(PathBuf, PathBuf)> {
    let ca_key = KeyPair::from_pem(&fs::read_to_string(authority.join("ca.key"))?)?;
    let issuer = Issuer::from_ca_cert_pem(&fs::read_to_string(authority.join("ca.crt"))?, ca_key)?;
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "admin");
    params
        .distinguished_name
        .push(DnType::OrganizationName, "system:masters");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.not_before = date_time_ymd(years.0, 1, 1);
    params.not_after = date_time_ymd(years.1, 1, 1);
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, &issuer)?;
    fs::create_dir_all(into)?;
    let files = (into.join("admin.crt"), into.join("admin.key"));
    fs::write(&files.0, certificate.pem())?;
    fs::write(&files.1, key.serialize_pem())?;
    Ok(files)
}
