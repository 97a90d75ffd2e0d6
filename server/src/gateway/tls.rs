//! Certificates: an authority made at first start, and a server certificate that it signs; or what the operator gives.
//!
//! Both live in `<data>/tls`. The authority stays for ten years, so that downloaded kubeconfigs go on working; the server
//! certificate is made anew when it is about to end or when the names that it must carry have changed.

use crate::state::files;
use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use std::{collections::BTreeSet, io, net::IpAddr, path::Path, sync::Arc};
use time::{Duration, OffsetDateTime};

const AUTHORITY_DAYS: i64 = 3650;
const SERVER_DAYS: i64 = 397;
/// A server certificate with less time left than this is made anew at start.
const RENEW_DAYS: i64 = 30;

#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{what}")]
    File {
        what: String,
        #[source]
        source: io::Error,
    },
    #[error("cannot make a certificate")]
    Make(#[from] rcgen::Error),
    #[error("cannot use the certificate and key")]
    Use(#[from] rustls::Error),
    #[error("{0}")]
    Unreadable(String),
}

/// A server's certificate, and what a client needs to trust it.
#[derive(Debug, Clone)]
pub struct Tls {
    /// With ALPN `h2` and `http/1.1`.
    pub config: Arc<rustls::ServerConfig>,
    /// PEM of the authority for kubeconfigs; `None` where the certificate is one that clients trust anyway.
    pub authority: Option<String>,
}

impl Tls {
    /// What is kept in `folder`, or made there now. `names` are host names and addresses beside `localhost` and the loopback addresses.
    pub fn own(folder: &Path, names: &[String], now: Timestamp) -> Result<Self, TlsError> {
        files::private_folder(folder).map_err(|source| TlsError::File { what: format!("cannot make {}", folder.display()), source })?;
        let (authority, issuer) = authority(folder, now)?;
        let names: BTreeSet<String> =
            ["localhost", "127.0.0.1", "::1"].into_iter().map(str::to_owned).chain(names.iter().cloned()).collect();
        let (certificate_file, key_file) = (folder.join("server.pem"), folder.join("server-key.pem"));
        let kept = match (read(&certificate_file)?, read(&key_file)?) {
            (Some(certificate), Some(key)) if still_good(&certificate, &authority, &names, now) => Some((certificate, key)),
            _ => None,
        };
        let (certificate, key) = match kept {
            Some(kept) => kept,
            None => {
                let key = KeyPair::generate()?;
                let certificate = server_params(&names, now)?.signed_by(&key, &issuer)?.pem();
                write(&key_file, &key.serialize_pem())?;
                write(&certificate_file, &certificate)?;
                (certificate, key.serialize_pem())
            }
        };
        let config = server_config(&certificate, &key, Path::new("the server certificate"))?;
        Ok(Self { config, authority: Some(authority) })
    }

    /// The operator's certificate chain and key, both PEM. `authority` where clients would not trust the chain by themselves.
    pub fn given(certificate: &Path, key: &Path, authority: Option<&Path>) -> Result<Self, TlsError> {
        let need = |path: &Path| read(path)?.ok_or_else(|| TlsError::Unreadable(format!("there is no file {}", path.display())));
        let config = server_config(&need(certificate)?, &need(key)?, certificate)?;
        Ok(Self { config, authority: authority.map(need).transpose()? })
    }
}

fn read(path: &Path) -> Result<Option<String>, TlsError> {
    let bytes = files::read_optional(path).map_err(|source| TlsError::File { what: format!("cannot read {}", path.display()), source })?;
    bytes.map(String::from_utf8).transpose().map_err(|_| TlsError::Unreadable(format!("{} is not PEM", path.display())))
}

fn write(path: &Path, contents: &str) -> Result<(), TlsError> {
    files::write_private(path, contents.as_bytes())
        .map_err(|source| TlsError::File { what: format!("cannot write {}", path.display()), source })
}

fn offset(now: Timestamp, days: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(now.as_second()).unwrap_or(OffsetDateTime::UNIX_EPOCH) + Duration::days(days)
}

/// The authority's PEM and the means to sign with it.
fn authority(folder: &Path, now: Timestamp) -> Result<(String, Issuer<'static, KeyPair>), TlsError> {
    let (certificate_file, key_file) = (folder.join("ca.pem"), folder.join("ca-key.pem"));
    if let (Some(certificate), Some(key)) = (read(&certificate_file)?, read(&key_file)?) {
        let issuer = Issuer::from_ca_cert_pem(&certificate, KeyPair::from_pem(&key)?)?;
        return Ok((certificate, issuer));
    }
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, format!("cordon authority {}", now.as_second()));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (params.not_before, params.not_after) = (offset(now, -1), offset(now, AUTHORITY_DAYS));
    let certificate = params.self_signed(&key)?.pem();
    write(&key_file, &key.serialize_pem())?;
    write(&certificate_file, &certificate)?;
    Ok((certificate, Issuer::new(params, key)))
}

fn server_params(names: &BTreeSet<String>, now: Timestamp) -> Result<CertificateParams, TlsError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "cordon");
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    (params.not_before, params.not_after) = (offset(now, -1), offset(now, SERVER_DAYS));
    for name in names {
        params.subject_alt_names.push(match name.parse::<IpAddr>() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName(name.as_str().try_into()?),
        });
    }
    Ok(params)
}

/// Whether a kept certificate carries all of `names`, has time left and was signed by this authority.
fn still_good(certificate: &str, authority: &str, names: &BTreeSet<String>, now: Timestamp) -> bool {
    let (Ok(certificate), Ok(authority)) =
        (CertificateDer::from_pem_slice(certificate.as_bytes()), CertificateDer::from_pem_slice(authority.as_bytes()))
    else {
        return false;
    };
    let (Ok((_, certificate)), Ok((_, authority))) =
        (x509_parser::parse_x509_certificate(&certificate), x509_parser::parse_x509_certificate(&authority))
    else {
        return false;
    };
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return false };
    let carried: BTreeSet<String> = extension.value.general_names.iter().filter_map(general_name).collect();
    let left = certificate.validity().not_after.timestamp() - now.as_second();
    carried == *names && left > RENEW_DAYS * 86_400 && certificate.issuer() == authority.subject()
}

fn general_name(name: &x509_parser::extensions::GeneralName<'_>) -> Option<String> {
    use x509_parser::extensions::GeneralName;
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).ok().map(|b| IpAddr::from(b).to_string()),
            16 => <[u8; 16]>::try_from(*bytes).ok().map(|b| IpAddr::from(b).to_string()),
            _ => None,
        },
        _ => None,
    }
}

fn server_config(certificate: &str, key: &str, from: &Path) -> Result<Arc<rustls::ServerConfig>, TlsError> {
    let unreadable = |what: &str| TlsError::Unreadable(format!("{}: {what}", from.display()));
    let chain = CertificateDer::pem_slice_iter(certificate.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| unreadable("the certificate chain is not PEM"))?;
    if chain.is_empty() {
        return Err(unreadable("there is no certificate in it"));
    }
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| unreadable("there is no private key beside it"))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn the_authority_stays_and_the_server_certificate_follows_names_and_time() {
        let folder = tempfile::tempdir().unwrap();
        let tls = folder.path().join("tls");
        let server = || std::fs::read_to_string(tls.join("server.pem")).unwrap();
        let start = at("2026-01-01T00:00:00Z");
        let first = Tls::own(&tls, &["lab.example".to_owned(), "192.0.2.7".to_owned()], start).unwrap();
        let made = server();
        let names = ["192.0.2.7".to_owned(), "lab.example".to_owned()];
        let again = Tls::own(&tls, &names, at("2026-06-01T00:00:00Z")).unwrap();
        assert_eq!((&first.authority, &made), (&again.authority, &server()), "kept while it is good");
        Tls::own(&tls, &["other.example".to_owned()], at("2026-06-01T00:00:00Z")).unwrap();
        let renamed = server();
        assert_ne!(made, renamed, "another name, another certificate");
        let late = Tls::own(&tls, &["other.example".to_owned()], at("2027-06-15T00:00:00Z")).unwrap();
        assert_ne!(renamed, server(), "renewed before it ends");
        assert_eq!(first.authority, late.authority);
        for file in ["ca-key.pem", "server-key.pem"] {
            assert_eq!(std::fs::metadata(tls.join(file)).unwrap().permissions().mode() & 0o777, 0o600, "{file}");
        }
    }

    #[test]
    fn a_given_certificate_that_cannot_be_used_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (folder.path().join("a.pem"), folder.path().join("b.pem"));
        let missing = Tls::given(&certificate, &key, None).unwrap_err().to_string();
        assert!(missing.contains("a.pem"), "{missing}");
        std::fs::write(&certificate, "nothing").unwrap();
        std::fs::write(&key, "nothing").unwrap();
        let empty = Tls::given(&certificate, &key, None).unwrap_err().to_string();
        assert!(empty.contains("no certificate"), "{empty}");
    }
}
