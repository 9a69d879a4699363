//! Certificates for TLS on loopback: good ones and bad ones.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};

use crate::error::{Error, Result};

/// The two PEM files of one certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPair {
    /// The certificate.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Certificates as PEM files in one directory, which whoever made it removes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificates {
    /// The authority that `server`, `client` and `expired` are signed by.
    pub ca: PathBuf,
    /// For a server at 127.0.0.1 or localhost.
    pub server: KeyPair,
    /// For a client; its common name is `client`.
    pub client: KeyPair,
    /// For a client, but its time has passed.
    pub expired: KeyPair,
    /// For a client, but signed by another authority.
    pub untrusted: KeyPair,
    /// The other authority: who trusts only this one does not trust `server`.
    pub other_ca: PathBuf,
}

type Authority = CertifiedIssuer<'static, rcgen::KeyPair>;

impl Certificates {
    /// Makes an authority and certificates in `directory`, which must exist.
    pub fn new(directory: &Path) -> Result<Self> {
        let authority = authority("authority")?;
        let other = self::authority("other authority")?;
        let ca = write(directory, "ca.pem", &authority.pem())?;
        let other_ca = write(directory, "other-ca.pem", &other.pem())?;
        let now = OffsetDateTime::now_utc();
        let year = (now - Duration::DAY, now + Duration::days(365));
        let past = (now - Duration::days(2), now - Duration::DAY);
        Ok(Self {
            ca,
            other_ca,
            server: issue(directory, "server", &authority, year)?,
            client: issue(directory, "client", &authority, year)?,
            expired: issue(directory, "expired", &authority, past)?,
            untrusted: issue(directory, "untrusted", &other, year)?,
        })
    }
}

fn authority(name: &str) -> Result<Authority> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, name);
    let failed = |error| Error::Certificate(name.to_owned(), error);
    let key = rcgen::KeyPair::generate().map_err(failed)?;
    CertifiedIssuer::self_signed(params, key).map_err(failed)
}

fn issue(
    directory: &Path,
    name: &str,
    authority: &Authority,
    (from, to): (OffsetDateTime, OffsetDateTime),
) -> Result<KeyPair> {
    let failed = |error| Error::Certificate(name.to_owned(), error);
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let mut params = CertificateParams::new(names).map_err(failed)?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    // Both for all: etcd's gateway calls etcd itself with the server's certificate.
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    (params.not_before, params.not_after) = (from, to);
    let key = rcgen::KeyPair::generate().map_err(failed)?;
    let certificate = params.signed_by(&key, authority).map_err(failed)?;
    Ok(KeyPair {
        cert: write(directory, &format!("{name}.pem"), &certificate.pem())?,
        key: write(directory, &format!("{name}-key.pem"), &key.serialize_pem())?,
    })
}

fn write(directory: &Path, name: &str, pem: &str) -> Result<PathBuf> {
    let path = directory.join(name);
    std::fs::write(&path, pem).map_err(Error::io("write", &path))?;
    Ok(path)
}
