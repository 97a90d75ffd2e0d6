//! Connections between pods: DNS, Service, endpoints, readiness, listening port, network policy, in that order.
//!
//! ```text
//! name ──dns──► address ──fabric──► Service? ──► ready endpoint ──► network-policy engine ──► who listens there ──► Listener
//!          │                           │                                  │                          │
//!     no such host              refused, timed out                    timed out                   refused
//! ```
//!
//! Packets that a policy blocks vanish, so the connection times out. Nothing leaves the cluster: what lies outside times out too.

mod dns;
mod fabric;
mod http;
mod sockets;

pub use dns::{Record, RecordType, Reply};
pub use fabric::{Fabric, Place, PodNetwork, Resolver};
pub use http::{Request, Response, header};
pub use sockets::{Bound, Connection, Handler, Listener, Protocol, Sockets};

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
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSuchHost => "Name or service not known",
            Self::Refused => "Connection refused",
            Self::TimedOut => "Connection timed out",
            Self::Unreachable => "No route to host",
            Self::NotHttp => "Connection reset by peer",
        })
    }
}

/// An HTTP request from a container. Waits as long as `limit` where nobody answers.
pub async fn fetch(machine: &Machine, address: Ipv4Addr, port: u16, request: Request, limit: SignedDuration) -> Result<Response, Failure> {
    let mut request = request;
    request.headers.push(("X-Simulated-Peer".to_owned(), machine.network.address().to_string()));
    match machine.network.dial(address, port, Protocol::Tcp) {
        Ok(listener) => {
            let answer = exchange(&listener, request, machine.network.address());
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

/// One request to a listener that was reached.
pub async fn exchange(listener: &Listener, request: Request, peer: Ipv4Addr) -> Result<Response, Failure> {
    match listener {
        Listener::Http(handler) => Ok(handler.handle(request).await),
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
        Listener::Silent => spawner.spawn(Box::pin(async move { while connection.from_client.recv().await.is_some() {} })),
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
