//! `pods/portforward` over WebSocket, with SPDY tunnelled through it as kubectl 1.31 and newer do.
//!
//! Each connection that kubectl accepts becomes two streams with one `requestid`: an error stream, over which the server says why
//! a connection failed, and a data stream.

use super::{
    entry::Incoming,
    respond::Answer,
    session,
    spdy::{self, Connection, Frame},
};
use crate::{call::Call, node::NodeRuntime, server::Load, subresources::container, verbs::get};
use axum::{
    extract::ws::{Message, WebSocket},
    response::IntoResponse,
};
use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use machinery::{ApiError, object};
use serde_json::Value;
use std::{collections::HashMap, sync::Arc};
use tokio::sync::mpsc;

const TUNNEL: &str = "SPDY/3.1+portforward.k8s.io";
/// Frames waiting in one direction, and connections open at a time.
const QUEUE: usize = 64;
const CONNECTIONS: usize = 64;
/// Bytes of one data frame.
const CHUNK: usize = 32 << 10;

pub(super) async fn serve(incoming: Incoming, call: &Call) -> Result<Answer, ApiError> {
    let pod = get::get(call)?;
    container::check_host(call, &pod)?;
    if pod["status"]["phase"] != "Running" {
        let phase = pod["status"]["phase"].as_str().unwrap_or_default();
        return Err(ApiError::bad_request(format!("unable to forward port because pod is not running. Current status={phase}")));
    }
    let runtime = call.server.node_runtime().ok_or_else(session::no_runtime)?;
    let server = call.server.clone();
    let upgrade = session::upgrade(incoming).await?.protocols([TUNNEL]);
    if upgrade.selected_protocol().is_none() {
        return Err(ApiError::bad_request(format!("unable to upgrade: unsupported subprotocol, {TUNNEL} is needed")));
    }
    Ok(upgrade
        .on_upgrade(move |socket| async move {
            let Some(_place) = server.enter(Load::Session) else { return };
            if let Err(error) = run(socket, runtime, pod).await {
                tracing::debug!(%error, "a port-forward ended");
            }
        })
        .into_response())
}

/// One connection of the client: its error stream, and where what it sends goes.
#[derive(Debug, Default)]
struct Pair {
    error: Option<u32>,
    data: Option<u32>,
}

async fn run(socket: WebSocket, runtime: Arc<dyn NodeRuntime>, pod: Arc<Value>) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let (mut to_client, mut from_client) = socket.split();
    let mut connection = Connection::new()?;
    let (frames, mut outgoing) = mpsc::channel::<Bytes>(QUEUE);
    let mut pairs: HashMap<String, Pair> = HashMap::new();
    let mut inputs: HashMap<u32, mpsc::Sender<Bytes>> = HashMap::new();
    let mut tasks = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            frame = outgoing.recv() => match frame {
                Some(frame) => to_client.send(Message::Binary(frame)).await?,
                None => return Ok(()),
            },
            _ = tasks.join_next(), if !tasks.is_empty() => {}
            message = from_client.next() => {
                match message {
                    Some(Ok(Message::Binary(bytes))) => connection.receive(&bytes),
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return Ok(()),
                    Some(Ok(_)) => continue,
                }
                while let Some(frame) = connection.next()? {
                    match frame {
                        Frame::Open { stream, headers, .. } => {
                            to_client.send(Message::Binary(connection.reply(stream)?)).await?;
                            if inputs.len() + pairs.len() >= CONNECTIONS {
                                to_client.send(Message::Binary(spdy::reset(stream))).await?;
                                continue;
                            }
                            let header = |name: &str| headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str());
                            let id = header("requestid").unwrap_or_default().to_owned();
                            let pair = pairs.entry(id.clone()).or_default();
                            match header("streamtype") {
                                Some("error") => pair.error = Some(stream),
                                Some("data") => pair.data = Some(stream),
                                _ => to_client.send(Message::Binary(spdy::reset(stream))).await?,
                            }
                            let port = header("port").and_then(|port| port.parse::<u16>().ok());
                            if let (Some(error), Some(data), Some(port)) = (pair.error, pair.data, port) {
                                pairs.remove(&id);
                                let (input, from_peer) = mpsc::channel(QUEUE);
                                inputs.insert(data, input);
                                tasks.spawn(forward(runtime.clone(), pod.clone(), port, from_peer, frames.clone(), error, data));
                            }
                        }
                        Frame::Data { stream, data, fin } => {
                            if let Some(input) = inputs.get(&stream)
                                && !data.is_empty() && !deliver(input, data, &mut outgoing, &mut to_client).await? {
                                    inputs.remove(&stream);
                                }
                            if fin {
                                inputs.remove(&stream);
                            }
                        }
                        Frame::Reset { stream } => {
                            inputs.remove(&stream);
                        }
                        Frame::Ping { id } => to_client.send(Message::Binary(spdy::ping(id))).await?,
                        Frame::GoAway => return Ok(()),
                        Frame::Other => {}
                    }
                }
            }
        }
    }
}

/// Hands data to a connection while answers of all go on, so that a full queue on one side cannot hold up the other.
async fn deliver(
    input: &mpsc::Sender<Bytes>,
    data: Bytes,
    outgoing: &mut mpsc::Receiver<Bytes>,
    to_client: &mut (impl SinkExt<Message, Error = axum::Error> + Unpin),
) -> Result<bool, axum::Error> {
    let sending = input.send(data);
    tokio::pin!(sending);
    loop {
        tokio::select! {
            sent = &mut sending => return Ok(sent.is_ok()),
            Some(frame) = outgoing.recv() => to_client.send(Message::Binary(frame)).await?,
        }
    }
}

async fn forward(
    runtime: Arc<dyn NodeRuntime>,
    pod: Arc<Value>,
    port: u16,
    from_client: mpsc::Receiver<Bytes>,
    frames: mpsc::Sender<Bytes>,
    error: u32,
    data: u32,
) {
    let (to_client, mut chunks) = mpsc::channel::<Bytes>(QUEUE);
    let uid = object::uid(&pod).to_owned();
    let connection = runtime.port_forward(pod, port, from_client, to_client);
    tokio::pin!(connection);
    let mut outcome = None;
    loop {
        tokio::select! {
            result = &mut connection, if outcome.is_none() => outcome = Some(result),
            chunk = chunks.recv() => {
                let Some(chunk) = chunk else { break };
                for part in chunk.chunks(CHUNK) {
                    if frames.send(spdy::data(data, part, false)).await.is_err() {
                        return;
                    }
                }
            }
        }
    }
    if outcome.is_none() {
        outcome = Some(connection.await);
    }
    let words = match outcome {
        Some(Err(why)) => format!("an error occurred forwarding {port} -> {port}: error forwarding port {port} to pod {uid}, uid : {why}"),
        _ => String::new(),
    };
    // Nobody listens any more where these fail.
    drop(frames.send(spdy::data(error, words.as_bytes(), true)).await);
    drop(frames.send(spdy::data(data, &[], true)).await);
}
