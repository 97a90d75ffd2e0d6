//! `watch`: a stream of events that follows the history.
//!
//! A watcher holds nothing but its position. It is woken by each commit and reads what came since; one that is too slow finds
//! its position forgotten and is told so (410 Expired), as by a real API server.

use crate::{
    call::Call,
    client::ChangeKind,
    convert::{self, Served},
    store::{Event, History},
    verbs::list::{self, Selection},
};
use machinery::{ApiError, FieldError, object};
use serde_json::{Value, json};
use std::{collections::VecDeque, sync::Arc};
use tokio::sync::watch;

/// `ListOptions` that concern a watch.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    pub selection: Selection,
    pub resource_version: String,
    pub resource_version_match: String,
    pub send_initial_events: Option<bool>,
    pub bookmarks: bool,
}

#[derive(Debug, Clone)]
pub(crate) enum WatchEvent {
    Added(Served),
    Modified(Served),
    Deleted(Served),
    Bookmark {
        resource_version: u64,
        initial_events_end: bool,
    },
    /// The stream ends with it.
    Error(ApiError),
}

#[derive(Debug)]
pub(crate) struct Watcher {
    call: Call,
    selection: Selection,
    committed: watch::Receiver<u64>,
    position: u64,
    pending: VecDeque<WatchEvent>,
    ended: bool,
}

impl WatchEvent {
    /// `ADDED`, …
    pub fn name(&self) -> &'static str {
        match self {
            Self::Added(_) => "ADDED",
            Self::Modified(_) => "MODIFIED",
            Self::Deleted(_) => "DELETED",
            Self::Bookmark { .. } => "BOOKMARK",
            Self::Error(_) => "ERROR",
        }
    }
}

pub(crate) fn watch(call: &Call, options: &Options) -> Result<Watcher, ApiError> {
    check(options)?;
    // A watch says so as an error of the server.
    let start = list::version(&options.resource_version).map_err(|error| ApiError::new(500, "", error.to_string()))?;
    let committed = call.server.committed();
    let initial = options.send_initial_events.unwrap_or(start == 0);
    let mut pending = VecDeque::new();
    let state = call.server.state();
    let position = if initial || start == 0 { state.resource_version() } else { start };
    if initial {
        for object in options.selection.choose(&state, call) {
            pending.push_back(WatchEvent::Added(object));
        }
        if options.send_initial_events == Some(true) {
            pending.push_back(WatchEvent::Bookmark { resource_version: position, initial_events_end: true });
        }
    }
    Ok(Watcher { call: call.clone(), selection: options.selection.clone(), committed, position, pending, ended: false })
}

/// What is wrong with the options, all of it (`ValidateListOptions` of a watch).
fn check(options: &Options) -> Result<(), ApiError> {
    const MATCH: &str = "resourceVersionMatch";
    let mut errors = Vec::new();
    let (initial, matching) = (options.send_initial_events.is_some(), options.resource_version_match.as_str());
    if initial && matching != "NotOlderThan" {
        errors.push(FieldError::forbidden(MATCH, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"));
    }
    if !matching.is_empty() {
        if !initial {
            errors.push(FieldError::forbidden(MATCH, "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"));
        }
        if matching != "NotOlderThan" {
            errors.push(FieldError::not_supported(MATCH, &json!(matching), &["NotOlderThan"]));
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(ApiError::invalid("meta.k8s.io", "ListOptions", "", &errors)) }
}

impl Watcher {
    /// The next event; `None` after an error. Cancel-safe.
    pub async fn next(&mut self) -> Option<WatchEvent> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                return Some(event);
            }
            if self.ended {
                return None;
            }
            self.committed.borrow_and_update();
            match self.call.server.store().since(self.position) {
                History::Expired => {
                    self.ended = true;
                    let current = self.call.server.state().resource_version();
                    return Some(WatchEvent::Error(list::expired(self.position, current)));
                }
                History::Since(events, reached) => {
                    self.position = reached;
                    for event in events {
                        self.pending.extend(self.judge(&event));
                    }
                }
            }
            if self.pending.is_empty() && self.committed.changed().await.is_err() {
                return None;
            }
        }
    }

    /// Where the stream stands, for a bookmark.
    pub fn bookmark(&self) -> WatchEvent {
        WatchEvent::Bookmark { resource_version: self.position, initial_events_end: false }
    }

    /// What one change means for this watcher: an object may enter or leave what the selectors choose.
    fn judge(&self, event: &Event) -> Option<WatchEvent> {
        let change = &event.change;
        let resource = &self.call.resource;
        if *change.resource != *resource.plural || *change.group != *self.call.storage_group() {
            return None;
        }
        if !self.call.namespace.is_empty() && object::namespace(&change.object) != self.call.namespace {
            return None;
        }
        let now = Served::new(resource, &event.stored);
        let matched = event.previous.as_ref().is_some_and(|old| self.selection.matches(&convert::served(resource, old.clone())));
        let matches = change.kind != ChangeKind::Deleted && self.selection.matches(&now.tree());
        match (matched, matches) {
            (false, false) => None,
            (false, true) => Some(WatchEvent::Added(now)),
            (true, true) => Some(WatchEvent::Modified(now)),
            (true, false) if change.kind == ChangeKind::Deleted => Some(WatchEvent::Deleted(now)),
            (true, false) => {
                // The object as the watcher knew it, at the version at which it left.
                let mut last = Value::clone(&convert::served(resource, event.previous.clone()?));
                object::set_meta(&mut last, "resourceVersion", change.resource_version.to_string());
                Some(WatchEvent::Deleted(Served::Made(Arc::new(last))))
            }
        }
    }
}

/// The object of a bookmark: the kind and where the stream stands, nothing else.
pub(crate) fn bookmark_object(call: &Call, resource_version: u64, initial_events_end: bool) -> Value {
    let mut object = json!({
        "kind": call.resource.kind, "apiVersion": call.resource.api_version(),
        "metadata": {"resourceVersion": resource_version.to_string(), "creationTimestamp": null},
    });
    if initial_events_end {
        object["metadata"]["annotations"] = json!({"k8s.io/initial-events-end": "true"});
    }
    object
}
