//! GET /attempts/{id}/events : what open pages are told, as server-sent events. Each carries an [`Update`] that the page's script
//! puts in its place (`web/src/fragments.ts`). A page that lost its connection is simply told everything again.

use super::{
    Site, cluster_view,
    error::WebError,
    extract::{Path, Query, SignedInUser},
    pages::{lab, startup},
    update::Update,
};
use crate::app::{AttemptState, LiveEvent, LiveMessage, User};
use askama::Template;
use axum::{
    extract::State,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures::stream;
use serde::Deserialize;
use std::{convert::Infallible, time::Duration};
use tokio::sync::broadcast::{self, error::RecvError};

/// How often the cluster view looks again while somebody watches.
const LOOK: Duration = Duration::from_secs(2);

#[derive(Debug, Deserialize)]
pub struct Which {
    #[serde(default)]
    page: String,
}

struct Watcher {
    site: Site,
    user: User,
    id: String,
    csrf: String,
    startup: bool,
    receiver: broadcast::Receiver<LiveMessage>,
    looked: tokio::time::Interval,
    /// The cluster view as it was sent last.
    cluster: String,
    first: bool,
    over: bool,
}

pub async fn events(
    State(site): State<Site>,
    SignedInUser { user, visitor }: SignedInUser,
    Path(id): Path<String>,
    Query(Which { page }): Query<Which>,
) -> Result<Response, WebError> {
    let receiver = site.app.subscribe(&user, &id).await?;
    let mut looked = tokio::time::interval(LOOK);
    looked.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let watcher = Watcher {
        site,
        user,
        id,
        csrf: visitor.csrf,
        startup: page == "startup",
        receiver,
        looked,
        cluster: String::new(),
        first: true,
        over: false,
    };
    let updates = stream::unfold(watcher, async |mut watcher| {
        let update = watcher.next().await?;
        let event = Event::default().json_data(&update).unwrap_or_default();
        Some((Ok::<_, Infallible>(event), watcher))
    });
    Ok(Sse::new(updates).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))).into_response())
}

impl Watcher {
    /// The next thing to tell; `None` ends the stream, and the page asks again.
    async fn next(&mut self) -> Option<Update> {
        if self.over {
            return None;
        }
        if std::mem::take(&mut self.first) {
            return self.everything().await;
        }
        loop {
            tokio::select! {
                message = self.receiver.recv() => match message {
                    Ok(message) => if let Some(update) = self.told(message.event).await { return Some(update) },
                    Err(RecvError::Lagged(_)) => return self.everything().await,
                    Err(RecvError::Closed) => return None,
                },
                _ = self.looked.tick(), if !self.startup => if let Some(update) = self.cluster().await { return Some(update) },
            }
        }
    }

    async fn everything(&mut self) -> Option<Update> {
        let view = self.site.app.view(&self.user, &self.id).await.ok()?;
        if self.startup {
            return match view.attempt.state {
                AttemptState::Preparing | AttemptState::Failed => Update::default().part("stages", &startup::stages(&view)).ok(),
                _ => self.go(format!("/attempts/{}", self.id)),
            };
        }
        match view.attempt.state {
            AttemptState::Finished => self.go(format!("/attempts/{}/result", self.id)),
            _ => lab::parts(&view, &self.csrf, self.site.app.now(), None).ok(),
        }
    }

    fn go(&mut self, path: String) -> Option<Update> {
        self.over = true;
        Some(Update::go(path))
    }

    async fn told(&mut self, event: LiveEvent) -> Option<Update> {
        if self.startup {
            return match event {
                LiveEvent::Stage { .. } | LiveEvent::State { .. } => self.everything().await,
                _ => None,
            };
        }
        match event {
            LiveEvent::Finished { .. } => self.go(format!("/attempts/{}/result", self.id)),
            LiveEvent::Verdict { task, .. } | LiveEvent::HintTaken { task, .. } => {
                let view = self.site.app.view(&self.user, &self.id).await.ok()?;
                lab::parts(&view, &self.csrf, self.site.app.now(), Some(&task)).ok()
            }
            LiveEvent::Reset { .. } => Some(self.everything().await?.say("info", "The attempt was reset.")),
            LiveEvent::Scanned { image, critical, .. } => {
                let words = if critical == 0 {
                    format!("Scanned {image}: nothing critical.")
                } else {
                    format!("Scanned {image}: {critical} critical.")
                };
                Some(Update::default().say("info", words))
            }
            LiveEvent::Stage { .. } | LiveEvent::State { .. } => self.cluster().await,
        }
    }

    /// The cluster view, if it looks different from what was sent last.
    async fn cluster(&mut self) -> Option<Update> {
        let html = cluster_view::of(&self.site, &self.user, &self.id).await.ok()?.render().ok()?;
        if html == self.cluster {
            return None;
        }
        self.cluster.clone_from(&html);
        Some(Update { fragments: vec![super::update::Fragment { id: "cluster".to_owned(), html }], ..Update::default() })
    }
}
