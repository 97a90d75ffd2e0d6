//! GET /attempts/{id}/terminal : the learner's shell over a WebSocket.
//!
//! Bytes go as binary frames both ways; control goes as JSON text: `{"type":"resize","columns":…,"rows":…}` from the page,
//! `{"type":"replayed"}`, `{"type":"ended","reason":…}` and `{"type":"unavailable","reason":…}` to it. The shell lives on when the
//! page goes; a new page gets the scrollback replayed. The page's side is `web/src/terminal.ts`.

use super::{
    Site, csrf,
    error::WebError,
    extract::{Path, Query, SignedInUser},
};
use axum::{
    body::Bytes,
    extract::{
        State, WebSocketUpgrade,
        ws::{Message, WebSocket, rejection::WebSocketUpgradeRejection},
    },
    http::HeaderMap,
    response::Response,
};
use jail::{Shell, ShellEvent};
use serde::Deserialize;
use std::{sync::Arc, time::Duration};
use tokio::sync::broadcast::error::RecvError;

/// Frames from the page are keystrokes and pastes.
const FRAME_LIMIT: usize = 256 << 10;
const PING: Duration = Duration::from_secs(25);

#[derive(Debug, Deserialize)]
pub struct Size {
    #[serde(default = "columns")]
    columns: u16,
    #[serde(default = "rows")]
    rows: u16,
}

fn columns() -> u16 {
    80
}

fn rows() -> u16 {
    24
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Control {
    Resize { columns: u16, rows: u16 },
}

pub async fn terminal(
    State(site): State<Site>,
    SignedInUser { user, .. }: SignedInUser,
    Path(id): Path<String>,
    Query(size): Query<Size>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, WebError> {
    if !csrf::same_origin(&headers, &site.authority) {
        return Err(WebError::Forbidden("this came from another site".into()));
    }
    // Whose attempt it is, before anything is upgraded.
    site.app.attempt(&user, &id).await?;
    let upgrade = upgrade.map_err(|_| WebError::BadRequest("only the terminal of a lab's page can use this address".to_owned()))?;
    let upgrade = upgrade.max_message_size(FRAME_LIMIT).max_frame_size(FRAME_LIMIT);
    Ok(upgrade.on_upgrade(async move |mut socket| {
        let shell = site.app.shell(&user, &id, (size.columns, size.rows)).await;
        match shell {
            Ok(shell) => serve(socket, &shell).await,
            Err(error) => {
                let reason = match &error {
                    crate::app::AppError::Internal { .. } => {
                        tracing::error!(attempt.id = id, "{}", crate::app::error::chain(&error));
                        "The shell could not be started; the reason is in the server's log.".to_owned()
                    }
                    error => error.to_string(),
                };
                let _ = send_control(&mut socket, "unavailable", Some(&reason)).await;
            }
        }
    }))
}

async fn send_control(socket: &mut WebSocket, kind: &str, reason: Option<&str>) -> Result<(), axum::Error> {
    let mut value = serde_json::json!({"type": kind});
    if let Some(reason) = reason {
        value["reason"] = reason.into();
    }
    socket.send(Message::Text(value.to_string().into())).await
}

async fn serve(mut socket: WebSocket, shell: &Arc<Shell>) {
    let mut attachment = shell.attach();
    if !attachment.replay.is_empty() && socket.send(Message::Binary(attachment.replay.clone())).await.is_err() {
        return;
    }
    if send_control(&mut socket, "replayed", None).await.is_err() {
        return;
    }
    let mut ping = tokio::time::interval(PING);
    let mut heard = true;
    loop {
        tokio::select! {
            event = attachment.events.recv() => match event {
                Ok(ShellEvent::Output(bytes)) => {
                    if socket.send(Message::Binary(bytes)).await.is_err() {
                        return;
                    }
                }
                Ok(ShellEvent::Ended(reason)) => {
                    let _ = send_control(&mut socket, "ended", Some(&reason)).await;
                    return;
                }
                // Too slow for what is printed: the page connects anew and gets the scrollback.
                Err(RecvError::Lagged(_)) => return,
                Err(RecvError::Closed) => {
                    let reason = shell.ended().await;
                    let _ = send_control(&mut socket, "ended", Some(&reason)).await;
                    return;
                }
            },
            message = socket.recv() => {
                heard = true;
                match message {
                    Some(Ok(Message::Binary(keys))) => {
                        if shell.input(keys).await.is_err() {
                            let reason = shell.ended().await;
                            let _ = send_control(&mut socket, "ended", Some(&reason)).await;
                            return;
                        }
                    }
                    Some(Ok(Message::Text(text))) => {
                        if let Ok(Control::Resize { columns, rows }) = serde_json::from_str(&text) {
                            shell.resize(columns, rows);
                        }
                    }
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                }
            }
            _ = ping.tick() => {
                // A page that does not even answer pings is gone.
                if !std::mem::take(&mut heard) {
                    return;
                }
                if socket.send(Message::Ping(Bytes::new())).await.is_err() {
                    return;
                }
            }
        }
    }
}
