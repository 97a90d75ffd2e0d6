//! `exec` and `attach` over WebSocket: each message begins with the number of its channel
//! (k8s.io/apimachinery/pkg/util/remotecommand, `v4.channel.k8s.io` and `v5.channel.k8s.io`).

use super::{entry::Incoming, respond::Answer};
use crate::{
    call::Call,
    node::{ExecOptions, ExecStatus, ExecStreams, NodeRuntime},
    server::Load,
    subresources::container,
    verbs::get,
};
use axum::{
    extract::{
        FromRequestParts, WebSocketUpgrade,
        ws::{CloseFrame, Message, WebSocket, close_code},
    },
    response::IntoResponse,
};
use bytes::{BufMut, Bytes, BytesMut};
use futures::{SinkExt, StreamExt};
use machinery::ApiError;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::mpsc;

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
const RESIZE: u8 = 4;
/// v5: the client has closed the channel whose number follows.
const CLOSE: u8 = 255;
/// Messages waiting in one direction.
const QUEUE: usize = 32;

pub(super) fn no_runtime() -> ApiError {
    ApiError::new(503, "ServiceUnavailable", "no kubelet answers for the nodes of this cluster")
}

/// Takes the connection over; 400 where the client does not ask for that.
pub(super) async fn upgrade(incoming: Incoming) -> Result<WebSocketUpgrade, ApiError> {
    let limit = incoming.server.limits().body;
    let (mut parts, _) = incoming.request.into_parts();
    let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &()).await.map_err(|_| {
        let spdy = parts.headers.get(http::header::UPGRADE).is_some_and(|value| value.as_bytes().to_ascii_lowercase().starts_with(b"spdy"));
        if spdy {
            // kubectl 1.30 and older; 1.31 and newer speak WebSocket.
            return ApiError::bad_request("SPDY is not served here: use kubectl 1.31 or newer, which speaks WebSocket");
        }
        ApiError::bad_request("Upgrade request required")
    })?;
    Ok(upgrade.max_message_size(limit).max_frame_size(limit))
}

pub(super) async fn serve(incoming: Incoming, call: &Call, attach: bool) -> Result<Answer, ApiError> {
    let pod = get::get(call)?;
    let query = incoming.query.clone();
    let options = ExecOptions {
        container: container::choose(&pod, query.text("container"))?,
        command: query.all("command").map(str::to_owned).collect(),
        stdin: query.flag("stdin"),
        tty: query.flag("tty"),
    };
    if !options.stdin && !query.flag("stdout") && !query.flag("stderr") {
        return Err(ApiError::bad_request("you must specify at least 1 of stdin, stdout, stderr"));
    }
    if !attach && options.command.is_empty() {
        let error = machinery::FieldError::required("command", "");
        return Err(ApiError::invalid("", "PodExecOptions", &call.name, &[error]));
    }
    container::check_host(call, &pod)?;
    let runtime = call.server.node_runtime().ok_or_else(no_runtime)?;
    let server = call.server.clone();
    let upgrade = upgrade(incoming).await?.protocols(["v5.channel.k8s.io", "v4.channel.k8s.io"]);
    if upgrade.selected_protocol().is_none() {
        return Err(ApiError::bad_request(
            "unable to upgrade: unsupported subprotocol, one of v5.channel.k8s.io, v4.channel.k8s.io is needed",
        ));
    }
    Ok(upgrade
        .on_upgrade(move |socket| async move {
            // The request's own place ended with its answer.
            let Some(_place) = server.enter(Load::Session) else { return };
            run(socket, runtime, pod, options, attach).await;
        })
        .into_response())
}

async fn run(socket: WebSocket, runtime: Arc<dyn NodeRuntime>, pod: Arc<Value>, options: ExecOptions, attach: bool) {
    let (mut to_client, mut from_client) = socket.split();
    let (stdin_in, stdin) = mpsc::channel(QUEUE);
    let (stdout, mut stdout_out) = mpsc::channel::<Bytes>(QUEUE);
    let (stderr, mut stderr_out) = mpsc::channel::<Bytes>(QUEUE);
    let (resize_in, resize) = mpsc::channel(QUEUE);
    let streams = ExecStreams { stdin, stdout, stderr, resize };
    let takes_stdin = options.stdin;
    let command = async { if attach { runtime.attach(pod, options, streams).await } else { runtime.exec(pod, options, streams).await } };
    tokio::pin!(command);
    let (mut stdin_in, mut resize_in) = (takes_stdin.then_some(stdin_in), Some(resize_in));
    let mut ended = None;
    let (mut out_open, mut err_open) = (true, true);
    loop {
        if ended.is_some() && !out_open && !err_open {
            break;
        }
        tokio::select! {
            status = &mut command, if ended.is_none() => ended = Some(status),
            chunk = stdout_out.recv(), if out_open => match chunk {
                Some(chunk) => if send(&mut to_client, STDOUT, &chunk).await.is_err() { return },
                None => out_open = false,
            },
            chunk = stderr_out.recv(), if err_open => match chunk {
                Some(chunk) => if send(&mut to_client, STDERR, &chunk).await.is_err() { return },
                None => err_open = false,
            },
            message = from_client.next() => match message {
                Some(Ok(Message::Binary(bytes))) => receive(&bytes, &mut stdin_in, &mut resize_in).await,
                Some(Ok(Message::Text(text))) => receive(text.as_bytes(), &mut stdin_in, &mut resize_in).await,
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {}
            },
        }
    }
    if let Some(status) = ended {
        let status = status_of(&status).to_string();
        if send(&mut to_client, ERROR, status.as_bytes()).await.is_err() {
            return;
        }
    }
    // Without a code the client takes the end for a failure. It may be gone already.
    drop(to_client.send(Message::Close(Some(CloseFrame { code: close_code::NORMAL, reason: "".into() }))).await);
    while let Some(Ok(message)) = from_client.next().await {
        if matches!(message, Message::Close(_)) {
            break;
        }
    }
}

async fn send(to: &mut (impl SinkExt<Message, Error = axum::Error> + Unpin), channel: u8, chunk: &[u8]) -> Result<(), axum::Error> {
    let mut message = BytesMut::with_capacity(chunk.len() + 1);
    message.put_u8(channel);
    message.extend_from_slice(chunk);
    to.send(Message::Binary(message.freeze())).await
}

async fn receive(message: &[u8], stdin: &mut Option<mpsc::Sender<Bytes>>, resize: &mut Option<mpsc::Sender<(u16, u16)>>) {
    match message.split_first() {
        Some((&STDIN, data)) => {
            if let Some(open) = stdin
                && !data.is_empty()
                && open.send(Bytes::copy_from_slice(data)).await.is_err()
            {
                *stdin = None;
            }
        }
        Some((&RESIZE, data)) => {
            let Ok(size) = serde_json::from_slice::<Value>(data) else { return };
            let side = |name: &str| size[name].as_u64().and_then(|side| u16::try_from(side).ok());
            if let (Some(open), Some(columns), Some(rows)) = (resize.as_ref(), side("Width"), side("Height")) {
                // A runtime that does not read sizes fills its queue; newer sizes are then left out.
                let _ = open.try_send((columns, rows));
            }
        }
        Some((&CLOSE, [STDIN, ..])) => *stdin = None,
        _ => {}
    }
}

/// What goes over the error channel (kubelet's remotecommand server).
fn status_of(status: &ExecStatus) -> Value {
    match status {
        ExecStatus::Exited(0) => json!({"metadata": {}, "status": "Success"}),
        ExecStatus::Exited(code) => json!({
            "metadata": {}, "status": "Failure", "reason": "NonZeroExitCode",
            "message": format!("command terminated with non-zero exit code: exit status {code}"),
            "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]},
        }),
        ExecStatus::Failed(message) => json!({
            "metadata": {}, "status": "Failure", "reason": "InternalError", "message": message, "code": 500,
            "details": {"causes": [{"message": message}]},
        }),
    }
}
