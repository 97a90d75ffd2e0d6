//! TLS as far as a client can tell: who signed the server's certificate, and which names stand in it. No bytes are encrypted.

use super::{Failure, Handler};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use std::{collections::BTreeSet, sync::Arc};

/// Certificates of authorities, as DER.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Authorities(BTreeSet<Vec<u8>>);

/// A server's end: what it shows, and what answers behind it.
#[derive(Debug)]
pub struct TlsServer {
    pub handler: Arc<dyn Handler>,
    /// That signed the server's certificate.
    pub authority: Authorities,
    /// Names and addresses in the certificate.
    pub names: BTreeSet<String>,
}

/// A client's end.
#[derive(Debug, Clone)]
pub struct TlsClient {
    /// As the URL spells it.
    pub host: String,
    /// Whom it trusts; `None`: it does not look.
    pub trusts: Option<Authorities>,
}

impl Authorities {
    /// Out of a PEM file; what is no certificate in it is passed over.
    pub fn parse(pem: &[u8]) -> Self {
        const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
        let text = String::from_utf8_lossy(pem);
        let blocks = text.split(BEGIN).skip(1).filter_map(|block| block.split_once("-----END CERTIFICATE-----"));
        let decoded = blocks.filter_map(|(body, _)| BASE64_STANDARD.decode(body.split_whitespace().collect::<String>()).ok());
        Self(decoded.filter(|der| !der.is_empty()).collect())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl TlsServer {
    /// Whether a client goes on after the server's certificate.
    pub fn accepts(&self, client: &TlsClient) -> Result<(), Failure> {
        let Some(trusts) = &client.trusts else { return Ok(()) };
        if trusts.0.is_disjoint(&self.authority.0) {
            return Err(Failure::UnknownIssuer);
        }
        let host = client.host.trim_end_matches('.').to_lowercase();
        if self.names.contains(&host) { Ok(()) } else { Err(Failure::OtherName) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Request, Response};
    use futures::future::BoxFuture;

    #[derive(Debug)]
    struct Nothing;

    impl Handler for Nothing {
        fn handle(&self, _: Request) -> BoxFuture<'_, Response> {
            Box::pin(std::future::ready(Response::default()))
        }
    }

    fn pem(der: &[u8]) -> String {
        format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", BASE64_STANDARD.encode(der))
    }

    #[test]
    fn a_client_trusts_the_authority_and_the_name() {
        let server = TlsServer {
            handler: Arc::new(Nothing),
            authority: Authorities::parse(pem(b"ours").as_bytes()),
            names: BTreeSet::from(["kubernetes.default.svc".to_owned(), "10.96.0.1".to_owned()]),
        };
        let bundle = format!("# two\n{}{}", pem(b"another"), pem(b"ours"));
        for (host, trusts, expected) in [
            ("kubernetes.default.svc", Some(bundle.clone()), Ok(())),
            ("Kubernetes.Default.svc.", Some(bundle.clone()), Ok(())),
            ("10.96.0.1", Some(bundle.clone()), Ok(())),
            ("kubernetes.example", Some(bundle), Err(Failure::OtherName)),
            ("kubernetes.default.svc", Some(pem(b"another")), Err(Failure::UnknownIssuer)),
            ("kubernetes.default.svc", Some("-----BEGIN CERTIFICATE-----\n".to_owned()), Err(Failure::UnknownIssuer)),
            ("kubernetes.default.svc", Some(String::new()), Err(Failure::UnknownIssuer)),
            ("anything", None, Ok(())),
        ] {
            let client = TlsClient { host: host.to_owned(), trusts: trusts.map(|pem| Authorities::parse(pem.as_bytes())) };
            assert_eq!(server.accepts(&client), expected, "{host}");
        }
    }
}
