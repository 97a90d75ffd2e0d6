//! Connections between pods: DNS, Service, endpoints, readiness, listening port, network policy, in that order.
//!
//! ```text
//! name ──dns──► address ──fabric──► Service? ──► ready endpoint ──► network-policy engine ──► who listens there ──► Listener
//!          │                           │                                  │                          │
//!     no such host              refused, timed out                    timed out                   refused
//! ```
//!
//! Packets that a policy blocks vanish, so the connection times out. Nothing leaves the cluster: what lies outside times out too.

mod api_server;
mod dns;
mod fabric;
mod http;
mod sockets;
mod tls;
mod webhook;

pub use api_server::api_server;
pub use dns::{Record, RecordType, Reply};
pub use fabric::{Fabric, Place, PodNetwork, Resolver};
pub use http::{Request, Response, header};
pub use sockets::{Bound, Connection, Handler, Listener, Protocol, Sockets};
pub use tls::{Authorities, TlsClient, TlsServer};
pub use webhook::review;

use crate::shell::machine::{Machine, Spawner};
use jiff::SignedDuration;
use std::{fmt, net::Ipv4Addr, sync::Arc};
use tokio::sync::mpsc;

/// Why a connection does not come about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    NoSuchHost,
    Refused,
    /// Nobody answers: a policy, or an address outside.
    TimedOut,
    /// No pod has this address.
    Unreachable,
    /// Connected, but the other side speaks no HTTP.
    NotHttp,
    /// Connected, but the other side speaks no TLS.
    NotTls,
    /// The server's certificate was signed by nobody whom the client trusts.
    UnknownIssuer,
    /// The server's certificate is another host's.
    OtherName,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSuchHost => "Name or service not known",
            Self::Refused => "Connection refused",
            Self::TimedOut => "Connection timed out",
            Self::Unreachable => "No route to host",
            Self::NotHttp | Self::NotTls => "Connection reset by peer",
            Self::UnknownIssuer => "unable to get local issuer certificate",
            Self::OtherName => "certificate is for another host",
        })
    }
}

/// How long a request to the API server takes. Whoever asks in a loop is held to what a real server would answer.
const ROUND_TRIP: SignedDuration = SignedDuration::from_millis(5);

/// An HTTP request from a container, with `tls` an HTTPS one. Waits as long as `limit` where nobody answers.
pub async fn fetch(
    machine: &Machine,
    address: Ipv4Addr,
    port: u16,
    mut request: Request,
    tls: Option<&TlsClient>,
    limit: SignedDuration,
) -> Result<Response, Failure> {
    request.headers.push(("X-Simulated-Peer".to_owned(), machine.network.address().to_string()));
    match machine.network.dial(address, port, Protocol::Tcp) {
        Ok(listener) => {
            let answer = async {
                if matches!(listener, Listener::Https(_)) {
                    machine.timer.sleep(ROUND_TRIP).await;
                }
                exchange_over(&listener, request, tls, machine.network.address()).await
            };
            tokio::select! {
                biased;
                answer = answer => answer,
                () = machine.timer.sleep(limit) => Err(Failure::TimedOut),
            }
        }
        Err(Failure::TimedOut) => {
            let control = machine.timer.sleep(limit);
            control.await;
            Err(Failure::TimedOut)
        }
        Err(failure) => Err(failure),
    }
}

/// One request to a listener that was reached, with TLS or without.
pub async fn exchange_over(listener: &Listener, request: Request, tls: Option<&TlsClient>, peer: Ipv4Addr) -> Result<Response, Failure> {
    match (tls, listener) {
        (None, _) => exchange(listener, request, peer).await,
        (Some(client), Listener::Https(server)) => {
            server.accepts(client)?;
            Ok(server.handler.handle(request).await)
        }
        (Some(_), _) => Err(Failure::NotTls),
    }
}

/// What a server written in Go says to a client that forgot the `s` of `https`.
const NOT_PLAIN: &str = "Client sent an HTTP request to an HTTPS server.\n";

/// One request to a listener that was reached.
pub async fn exchange(listener: &Listener, request: Request, peer: Ipv4Addr) -> Result<Response, Failure> {
    match listener {
        Listener::Http(handler) => Ok(handler.handle(request).await),
        Listener::Https(_) => Ok(Response::new(400, "text/plain", NOT_PLAIN)),
        Listener::Silent => Err(Failure::NotHttp),
        Listener::Stream(sender) => {
            let (to_server, from_client) = mpsc::channel(16);
            let (to_client, mut from_server) = mpsc::channel(16);
            sender.send(Connection { from_client, to_client, peer }).await.map_err(|_| Failure::Refused)?;
            let mut plain = request;
            plain.headers.retain(|(name, _)| name != "X-Simulated-Peer");
            to_server.send(plain.to_bytes().into()).await.map_err(|_| Failure::NotHttp)?;
            let mut bytes = Vec::new();
            while let Some(more) = from_server.recv().await {
                bytes.extend_from_slice(&more);
                if let Some(response) = Response::from_bytes(&bytes)
                    && response
                        .header("content-length")
                        .and_then(|l| l.parse().ok())
                        .is_some_and(|length: usize| response.body.len() >= length)
                {
                    return Ok(response);
                }
                if bytes.len() > 1 << 20 {
                    break;
                }
            }
            Response::from_bytes(&bytes).ok_or(Failure::NotHttp)
        }
    }
}

/// Hands a raw connection to whoever listens.
pub async fn serve(listener: &Listener, mut connection: Connection, spawner: &dyn Spawner) {
    match listener {
        Listener::Stream(sender) => {
            let _ = sender.send(connection).await;
        }
        Listener::Silent | Listener::Https(_) => {
            spawner.spawn(Box::pin(async move { while connection.from_client.recv().await.is_some() {} }))
        }
        Listener::Http(handler) => {
            let handler = Arc::clone(handler);
            spawner.spawn(Box::pin(async move {
                let mut bytes = Vec::new();
                while let Some(more) = connection.from_client.recv().await {
                    bytes.extend_from_slice(&more);
                    if bytes.len() > 1 << 20 {
                        return;
                    }
                    if let Some((request, _)) = Request::from_bytes(&bytes) {
                        let response = handler.handle(request).await;
                        let _ = connection.to_client.send(response.to_bytes().into()).await;
                        return;
                    }
                }
            }));
        }
    }
}
