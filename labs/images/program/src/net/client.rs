//! One HTTP request over TCP or TLS.

use super::resolve;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{WebPkiSupportedAlgorithms, ring},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};
use std::{io, net::IpAddr, sync::Arc, time::Duration};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// As long as the kernel tries to connect.
pub const CONNECT: Duration = Duration::from_secs(127);
/// A body is kept in memory up to this size.
const LARGEST_BODY: usize = 64 << 20;

/// What a URL names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    pub scheme: String,
    pub host: String,
    pub port: u16,
    /// With the query.
    pub path: String,
}

impl Url {
    /// `http` where no scheme is said.
    pub fn parse(text: &str) -> Self {
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        let (authority, path) = rest.find(['/', '?']).map_or((rest, ""), |at| rest.split_at(at));
        let authority = authority.rsplit('@').next().unwrap_or(authority);
        // `[::1]:80` has its colons in brackets.
        let (host, port) = match authority.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
            Some((host, rest)) => (host, rest.strip_prefix(':')),
            None => authority.rsplit_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
        };
        let usual = if scheme == "https" { 443 } else { 80 };
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let port = port.and_then(|port| port.parse().ok()).unwrap_or(usual);
        Self { scheme: scheme.to_owned(), host: host.to_owned(), port, path: path.split('#').next().unwrap_or_default().to_owned() }
    }

    pub fn is_secure(&self) -> bool {
        self.scheme == "https"
    }

    /// `host` or `host:port`, as it is shown and sent.
    pub fn authority(&self) -> String {
        let usual = if self.is_secure() { 443 } else { 80 };
        if self.port == usual { self.host.clone() } else { format!("{}:{}", self.host, self.port) }
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Failure {
    Resolve,
    Connect(io::Error),
    /// The certificate, or that it speaks no TLS: rustls' words.
    Tls(rustls::Error),
    /// It was connected, and no answer came.
    NoAnswer,
    TimedOut {
        connected: bool,
    },
}

/// Whose certificates are good.
#[derive(Debug, Clone)]
pub enum Trust {
    Nobody,
    Anybody,
    /// PEM.
    Authorities(Vec<u8>),
}

#[derive(Debug, Clone)]
pub struct Call {
    pub url: Url,
    pub method: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub trust: Trust,
    pub connect_limit: Duration,
    /// For all of it.
    pub limit: Option<Duration>,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub reason: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Call {
    pub fn get(url: Url) -> Self {
        let headers = vec![("Host".to_owned(), url.authority())];
        let method = "GET".to_owned();
        Self { url, method, headers, body: Vec::new(), trust: Trust::Nobody, connect_limit: CONNECT, limit: None }
    }
}

/// `connected` is told the address once there is a connection.
pub async fn call(call: &Call, connected: impl Fn(IpAddr)) -> Result<Answer, Failure> {
    let was_connected = std::sync::atomic::AtomicBool::new(false);
    let told = |address| {
        was_connected.store(true, std::sync::atomic::Ordering::Relaxed);
        connected(address);
    };
    match call.limit {
        Some(limit) => tokio::time::timeout(limit, whole(call, told))
            .await
            .unwrap_or_else(|_| Err(Failure::TimedOut { connected: was_connected.load(std::sync::atomic::Ordering::Relaxed) })),
        None => whole(call, told).await,
    }
}

async fn whole(call: &Call, connected: impl Fn(IpAddr)) -> Result<Answer, Failure> {
    let (address, stream) = connect(&call.url.host, call.url.port, call.connect_limit).await?;
    connected(address);
    let response = if call.url.is_secure() { exchange(call, secure(call, stream).await?).await } else { exchange(call, stream).await }?;
    let (head, body) = response;
    let headers = head.headers().iter().map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
    Ok(Answer {
        status: head.status().as_u16(),
        reason: head.status().canonical_reason().unwrap_or_default().to_owned(),
        headers: headers.collect(),
        body,
    })
}

/// The first address that takes the connection.
pub async fn connect(host: &str, port: u16, limit: Duration) -> Result<(IpAddr, TcpStream), Failure> {
    let mut last = None;
    for address in resolve::addresses(host).await.map_err(|_| Failure::Resolve)? {
        match tokio::time::timeout(limit, TcpStream::connect((address, port))).await {
            Ok(Ok(stream)) => return Ok((address, stream)),
            Ok(Err(error)) if error.kind() == io::ErrorKind::TimedOut => last = Some(Failure::TimedOut { connected: false }),
            Ok(Err(error)) => last = Some(Failure::Connect(error)),
            Err(_) => return Err(Failure::TimedOut { connected: false }),
        }
    }
    Err(last.unwrap_or(Failure::Resolve))
}

async fn exchange<S>(call: &Call, stream: S) -> Result<(Response<()>, Vec<u8>), Failure>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) = http1::Builder::new()
        .title_case_headers(true)
        .preserve_header_case(true)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|_| Failure::NoAnswer)?;
    tokio::spawn(connection);
    let mut request = Request::builder().method(call.method.as_str()).uri(call.url.path.as_str());
    for (name, value) in &call.headers {
        request = request.header(name, value);
    }
    let request = request.body(Full::new(Bytes::from(call.body.clone()))).map_err(|_| Failure::NoAnswer)?;
    let response = sender.send_request(request).await.map_err(|_| Failure::NoAnswer)?;
    let (head, mut body) = response.into_parts();
    let mut bytes = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        if let Some(data) = frame.data_ref() {
            bytes.extend_from_slice(data);
        }
        if bytes.len() > LARGEST_BODY {
            break;
        }
    }
    Ok((Response::from_parts(head, ()), bytes))
}

async fn secure(call: &Call, stream: TcpStream) -> Result<tokio_rustls::client::TlsStream<TcpStream>, Failure> {
    let failed = |error: rustls::Error| Failure::Tls(error);
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions().map_err(failed)?;
    let mut roots = RootCertStore::empty();
    if let Trust::Authorities(pem) = &call.trust {
        roots.add_parsable_certificates(CertificateDer::pem_slice_iter(pem).flatten());
    }
    let config = match call.trust {
        Trust::Anybody => {
            let any = Arc::new(Any(provider.signature_verification_algorithms));
            builder.dangerous().with_custom_certificate_verifier(any).with_no_client_auth()
        }
        Trust::Nobody | Trust::Authorities(_) => builder.with_root_certificates(roots).with_no_client_auth(),
    };
    let name = ServerName::try_from(call.url.host.clone())
        .map_err(|_| Failure::Tls(rustls::Error::General("the host is no name for a certificate".to_owned())))?;
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(|error| {
        let kind = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()).cloned();
        kind.map_or(Failure::NoAnswer, Failure::Tls)
    })
}

/// `curl -k`: whatever certificate comes is taken.
#[derive(Debug)]
struct Any(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Any {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let rows = [
            ("http://a.b:8600/v1/models/x?y=1#z", "http a.b 8600 /v1/models/x?y=1"),
            ("resnet:8501", "http resnet 8501 /"),
            ("https://kubernetes.default", "https kubernetes.default 443 /"),
            ("http://user:secret@h?q", "http h 80 /?q"),
            ("http://[::1]:80/x", "http ::1 80 /x"),
        ];
        for (text, expected) in rows {
            let Url { scheme, host, port, path } = Url::parse(text);
            assert_eq!(format!("{scheme} {host} {port} {path}"), expected, "{text}");
        }
        assert_eq!(Url::parse("http://h:80/").authority(), "h");
        assert_eq!(Url::parse("https://h:80/").authority(), "h:80");
    }
}
