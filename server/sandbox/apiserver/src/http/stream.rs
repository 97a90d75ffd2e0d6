//! A watch as a stream of lines of JSON.

use super::{
    negotiate::{Accepted, Encoding, Shape},
    respond,
    respond::Answer,
};
use crate::verbs::watch::{self, WatchEvent, Watcher};
use axum::body::Body;
use bytes::Bytes;
use futures::stream;
use http::HeaderValue;
use machinery::{ApiError, ordered, table};
use serde_json::{Value, json};
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep_until};

/// Seconds between bookmarks, as of a real server's watch cache.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);

struct Following {
    watcher: Watcher,
    call: crate::call::Call,
    accepted: Accepted,
    include: table::IncludeObject,
    bookmarks: bool,
    headers_sent: bool,
    ends: Instant,
    next_bookmark: Instant,
}

/// Streams until `limit` is over, the client goes, or the watcher has fallen too far behind.
pub(super) fn follow(
    call: &crate::call::Call,
    watcher: Watcher,
    accepted: Accepted,
    include: table::IncludeObject,
    bookmarks: bool,
    limit: Duration,
) -> Answer {
    let now = started();
    let following = Following {
        watcher,
        call: call.clone(),
        accepted,
        include,
        bookmarks,
        headers_sent: false,
        ends: now + limit,
        next_bookmark: now + BOOKMARK_EVERY,
    };
    let lines = stream::unfold(following, |mut following| async move {
        let line = following.line().await?;
        Some((Ok::<Bytes, Infallible>(line), following))
    });
    let kind = if accepted.encoding == Encoding::Yaml { "application/yaml" } else { "application/json" };
    let mut answer = respond::bare(200, kind, Body::from_stream(lines));
    answer.headers_mut().insert(http::header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

fn started() -> Instant {
    Instant::now()
}

impl Following {
    async fn line(&mut self) -> Option<Bytes> {
        loop {
            let event = tokio::select! {
                biased;
                event = self.watcher.next() => event?,
                () = sleep_until(self.ends) => return None,
                () = sleep_until(self.next_bookmark) => {
                    self.next_bookmark += BOOKMARK_EVERY;
                    self.watcher.bookmark()
                }
            };
            if matches!(event, WatchEvent::Bookmark { .. }) && !self.bookmarks {
                continue;
            }
            let text = match &event {
                WatchEvent::Added(object) | WatchEvent::Modified(object) | WatchEvent::Deleted(object)
                    if self.accepted.shape == Shape::Object =>
                {
                    object.text()
                }
                _ => Box::<str>::from(ordered::text(&ordered::object(&self.object(&event)))).into_string().into(),
            };
            return Some(format!("{{\"type\":\"{}\",\"object\":{text}}}\n", event.name()).into());
        }
    }

    fn object(&mut self, event: &WatchEvent) -> Value {
        match event {
            WatchEvent::Error(error) => ApiError::to_status(error),
            WatchEvent::Added(object) | WatchEvent::Modified(object) | WatchEvent::Deleted(object) => self.shape(&object.tree()),
            WatchEvent::Bookmark { resource_version, initial_events_end } => {
                let object = watch::bookmark_object(&self.call, *resource_version, *initial_events_end);
                match self.accepted.shape {
                    Shape::Object => object,
                    Shape::Metadata => respond::metadata_only(&object),
                    Shape::Table => self.shape(&Arc::new(object)),
                }
            }
        }
    }

    fn shape(&mut self, object: &Arc<Value>) -> Value {
        match self.accepted.shape {
            Shape::Object => Value::clone(object),
            Shape::Metadata => respond::metadata_only(object),
            Shape::Table => {
                let metadata = json!({"resourceVersion": object["metadata"]["resourceVersion"]});
                let headers = !std::mem::replace(&mut self.headers_sent, true);
                let now = self.call.server.clock().now();
                table::render(&self.call.resource, metadata, std::slice::from_ref(object), self.include, headers, now)
            }
        }
    }
}
