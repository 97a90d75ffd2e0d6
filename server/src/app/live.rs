//! What open pages are told as it happens, and what they missed.

use crate::app::{App, AppError};
use jiff::Timestamp;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use store::{AttemptState, User};
use tokio::sync::broadcast;

/// Something that an open page shows at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum LiveEvent {
    /// A stage of the start began (`done: false`) or ended.
    Stage {
        stage: String,
        done: bool,
    },
    /// `failure` says why, where the state is `failed`.
    State {
        state: AttemptState,
        failure: Option<String>,
    },
    Verdict {
        task: String,
        outcome: String,
        points: i64,
        score: i64,
    },
    HintTaken {
        task: String,
        hint: i64,
        cost: i64,
    },
    Scanned {
        image: String,
        digest: String,
        critical: usize,
    },
    Reset {
        to: String,
    },
    Finished {
        score: i64,
    },
}

impl LiveEvent {
    fn kind(&self) -> &'static str {
        match self {
            Self::Stage { .. } => "stage",
            Self::State { .. } => "state",
            Self::Verdict { .. } => "verdict",
            Self::HintTaken { .. } => "hintTaken",
            Self::Scanned { .. } => "scanned",
            Self::Reset { .. } => "reset",
            Self::Finished { .. } => "finished",
        }
    }
}

/// An event with its number, which a page gives back after a lost connection (`Last-Event-ID`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LiveMessage {
    pub seq: i64,
    pub at: Timestamp,
    pub event: LiveEvent,
}

/// The channels of attempts that somebody watches.
#[derive(Debug, Default)]
pub struct Live {
    channels: Mutex<HashMap<String, broadcast::Sender<LiveMessage>>>,
}

impl Live {
    fn subscribe(&self, attempt: &str) -> broadcast::Receiver<LiveMessage> {
        let mut channels = self.channels.lock();
        if channels.len() > 64 {
            channels.retain(|_, sender| sender.receiver_count() > 0);
        }
        channels.entry(attempt.to_owned()).or_insert_with(|| broadcast::channel(128).0).subscribe()
    }

    fn send(&self, attempt: &str, message: LiveMessage) {
        if let Some(sender) = self.channels.lock().get(attempt) {
            let _ = sender.send(message);
        }
    }

    /// How many pages watch.
    pub fn watchers(&self, attempt: &str) -> usize {
        self.channels.lock().get(attempt).map_or(0, broadcast::Sender::receiver_count)
    }
}

impl App {
    /// Everything that happens from now on. Subscribe first, then read [`App::events_since`]: nothing falls between.
    pub async fn subscribe(&self, user: &User, attempt: &str) -> Result<broadcast::Receiver<LiveMessage>, AppError> {
        self.attempt(user, attempt).await?;
        Ok(self.live.subscribe(attempt))
    }

    /// What happened after number `seq` (0: from the start), oldest first.
    pub async fn events_since(&self, user: &User, attempt: &str, seq: i64) -> Result<Vec<LiveMessage>, AppError> {
        self.attempt(user, attempt).await?;
        let events = self.store.events(attempt, seq).await?;
        // An event that an older or newer version wrote is left out, not an error.
        Ok(events
            .into_iter()
            .filter_map(|event| Some(LiveMessage { seq: event.seq, at: event.at, event: serde_json::from_str(&event.body).ok()? }))
            .collect())
    }

    /// Writes an event down and tells it to all open pages. A failure is logged: no use-case fails for want of a witness.
    pub(crate) async fn tell(&self, attempt: &str, event: LiveEvent) {
        let at = self.clock.now();
        let body = serde_json::to_string(&event).unwrap_or_default();
        match self.store.append_event(attempt, at, event.kind(), &body).await {
            Ok(seq) => self.live.send(attempt, LiveMessage { seq, at, event }),
            Err(error) => tracing::error!(attempt.id = attempt, "{}", crate::app::error::chain(&error)),
        }
    }
}
