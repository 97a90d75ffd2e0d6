//! One network namespace: who listens on which port, and connections as pairs of channels.

use super::{
    http::{Request, Response},
    tls::TlsServer,
};
use bytes::Bytes;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::{collections::BTreeMap, fmt::Debug, net::Ipv4Addr, sync::Arc};
use tokio::sync::mpsc;

/// By protocol and port: the listener, with its number and its owner's name.
type Listeners = BTreeMap<(Protocol, u16), (u64, String, Listener)>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    Tcp,
    Udp,
}

impl Protocol {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
        }
    }
}

/// Answers HTTP requests.
pub trait Handler: Send + Sync + Debug {
    fn handle(&self, request: Request) -> BoxFuture<'_, Response>;
}

/// The server's end of a raw connection.
#[derive(Debug)]
pub struct Connection {
    pub from_client: mpsc::Receiver<Bytes>,
    pub to_client: mpsc::Sender<Bytes>,
    pub peer: Ipv4Addr,
}

/// What stands behind a listening port.
#[derive(Debug, Clone)]
pub enum Listener {
    Http(Arc<dyn Handler>),
    Https(Arc<TlsServer>),
    /// Raw bytes, as `nc -l` takes them.
    Stream(mpsc::Sender<Connection>),
    /// Accepts, and says nothing that we know of.
    Silent,
}

/// A pod's own network namespace, or a node's.
#[derive(Debug, Default)]
pub struct Sockets {
    listeners: Mutex<Listeners>,
    next: Mutex<u64>,
}

impl Sockets {
    /// `None` where the port is taken. The ticket closes it.
    pub fn listen(&self, protocol: Protocol, port: u16, program: &str, listener: Listener) -> Option<u64> {
        let mut listeners = self.listeners.lock();
        if listeners.contains_key(&(protocol, port)) {
            return None;
        }
        let mut next = self.next.lock();
        *next += 1;
        listeners.insert((protocol, port), (*next, program.to_owned(), listener));
        Some(*next)
    }

    pub fn close(&self, ticket: u64) {
        self.listeners.lock().retain(|_, (held, ..)| *held != ticket);
    }

    pub fn find(&self, protocol: Protocol, port: u16) -> Option<Listener> {
        self.listeners.lock().get(&(protocol, port)).map(|(.., listener)| listener.clone())
    }

    /// Protocol, port and program of each listener.
    pub fn listening(&self) -> Vec<(Protocol, u16, String)> {
        self.listeners.lock().iter().map(|((protocol, port), (_, program, _))| (*protocol, *port, program.clone())).collect()
    }
}

/// Closes its ports when it goes.
#[derive(Debug)]
pub struct Bound {
    sockets: Arc<Sockets>,
    ticket: u64,
}

impl Bound {
    pub fn new(sockets: &Arc<Sockets>, protocol: Protocol, port: u16, program: &str, listener: Listener) -> Option<Self> {
        Some(Self { ticket: sockets.listen(protocol, port, program, listener)?, sockets: Arc::clone(sockets) })
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        self.sockets.close(self.ticket);
    }
}
