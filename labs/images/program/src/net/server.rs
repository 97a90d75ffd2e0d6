//! Ports that listen: with answers over HTTP, or silently.

use http_body_util::{BodyExt, Full, Limited};
use hyper::{Request, Response, body::Bytes, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use images::behaviour::Answer;
use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::net::{TcpListener, UdpSocket};

/// The largest body of a request.
const LARGEST: usize = 8 << 20;

/// One request, as the pure answers take it.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: String,
    /// With the query.
    pub target: String,
    pub agent: String,
    pub peer: String,
    pub body: Vec<u8>,
}

impl Asked {
    /// Without the query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }
}

pub type Handler = Arc<dyn Fn(Asked) -> Answer + Send + Sync>;

/// On all addresses, of both families where there are two.
pub async fn bind(port: u16) -> io::Result<TcpListener> {
    match TcpListener::bind(("::", port)).await {
        Err(error)
            if matches!(error.kind(), io::ErrorKind::Unsupported | io::ErrorKind::AddrNotAvailable) || error.raw_os_error() == Some(97) =>
        {
            TcpListener::bind(("0.0.0.0", port)).await
        }
        bound => bound,
    }
}

/// Answers for ever.
pub async fn serve(listener: TcpListener, handler: Handler, name: Option<&'static str>) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let handler = Arc::clone(&handler);
                tokio::spawn(async move {
                    let service = service_fn(move |request| answer(Arc::clone(&handler), request, peer, name));
                    // A client that goes away is no concern of the server's.
                    let _ = http1::Builder::new().title_case_headers(true).serve_connection(TokioIo::new(stream), service).await;
                });
            }
            // Out of descriptors: those that are open go on.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn answer(
    handler: Handler,
    request: Request<hyper::body::Incoming>,
    peer: SocketAddr,
    name: Option<&'static str>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let agent = head.headers.get("user-agent").map_or("-".to_owned(), |agent| String::from_utf8_lossy(agent.as_bytes()).into_owned());
    let answer = match Limited::new(body, LARGEST).collect().await {
        Ok(body) => {
            let target = head.uri.path_and_query().map_or("/", |target| target.as_str()).to_owned();
            let peer = peer.ip().to_canonical().to_string();
            handler(Asked { method: head.method.to_string(), target, agent, peer, body: body.to_bytes().to_vec() })
        }
        Err(_) => Answer::text(413, "the body is too large\n"),
    };
    let mut response = Response::new(Full::new(Bytes::from(answer.body)));
    *response.status_mut() = hyper::StatusCode::from_u16(answer.status).unwrap_or(hyper::StatusCode::INTERNAL_SERVER_ERROR);
    let mut header = |key: &'static str, value: &str| {
        if let Ok(value) = hyper::header::HeaderValue::from_str(value) {
            response.headers_mut().insert(key, value);
        }
    };
    header("content-type", &answer.content_type);
    if let Some(name) = name {
        header("server", name);
    }
    Ok(response)
}

/// Takes connections and says nothing on them, as a port whose protocol nobody speaks here.
pub async fn silent(listener: TcpListener) {
    loop {
        if let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move { tokio::io::copy(&mut stream, &mut tokio::io::sink()).await });
        } else {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// The same for datagrams.
pub async fn silent_datagrams(socket: UdpSocket) {
    let mut buffer = vec![0; 2048];
    while socket.recv(&mut buffer).await.is_ok() {}
}
