//! What one cluster holds: a persistent ordered map with one global resource version, a bounded history of changes, and the
//! journal that makes a write durable before anybody hears of it.
//!
//! ```text
//! write(closure) ──► Transaction (works on a copy that shares structure) ──► journal ──► published state + history ──► watchers
//! ```
//!
//! Readers take the published [`State`], which costs nothing, and never wait for a writer's validation.

mod history;
pub mod journal;
pub mod snapshot;
mod state;
mod stored;

pub use state::State;
pub use stored::Stored;

use crate::client::{Change, ChangeKind};
use history::Changes;
use journal::{Journal, Operation};
use machinery::{ApiError, object};
use parking_lot::{Mutex, RwLock};
use serde_json::Value;
use std::{collections::VecDeque, io, path::PathBuf, sync::Arc};
use tokio::sync::watch;

/// Nesting that an object may have. Beyond 124 levels the journal could not be read back: its reader, being recursive, stops at 128
/// of a record.
const MOST_DEPTH: usize = 120;

/// Paginated lists whose state is kept for the next page.
const PAGES: usize = 4;

/// One committed write with what it replaced.
#[derive(Debug, Clone)]
pub struct Event {
    pub change: Change,
    /// What `change.object` is the tree of.
    pub stored: Arc<Stored>,
    pub previous: Option<Arc<Value>>,
    at: i64,
}

/// What may be stored, in bytes of the journal; bounds as etcd has them.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// One write, as `--max-request-bytes`.
    pub request: usize,
    /// All together, as `--quota-backend-bytes`.
    pub space: u64,
}

#[derive(Debug)]
pub struct Store {
    bounds: Bounds,
    writer: Mutex<Writer>,
    published: RwLock<Published>,
    committed: watch::Sender<u64>,
}

#[derive(Debug)]
struct Writer {
    journal: Option<Journal>,
}

#[derive(Debug)]
struct Published {
    state: State,
    history: Changes,
    pages: VecDeque<State>,
}

/// What happened after some resource version, for one watcher.
#[derive(Debug)]
pub enum History {
    Since(Vec<Arc<Event>>, u64),
    Expired,
}

impl Store {
    /// Opens the journal where there is one and reads back every acknowledged write.
    pub fn open(path: Option<PathBuf>, bounds: Bounds) -> io::Result<Self> {
        let (journal, state) = match path {
            Some(path) => {
                let (journal, state) = Journal::open(path)?;
                (Some(journal), state)
            }
            None => (None, State::default()),
        };
        let committed = watch::channel(state.resource_version()).0;
        let history = Changes::after(state.resource_version());
        let published = Published { state, history, pages: VecDeque::new() };
        Ok(Self { bounds, writer: Mutex::new(Writer { journal }), published: RwLock::new(published), committed })
    }

    /// Everything as it is now.
    pub fn state(&self) -> State {
        self.published.read().state.clone()
    }

    pub fn committed(&self) -> watch::Receiver<u64> {
        self.committed.subscribe()
    }

    /// Runs `work` on a copy and commits what it wrote, all or nothing. An error, or `dry_run`, leaves everything as it was.
    /// `now` is in seconds since 1970 and only ages the history.
    pub fn write<T>(
        &self,
        now: i64,
        dry_run: bool,
        work: impl FnOnce(&mut Transaction) -> Result<T, ApiError>,
    ) -> Result<(T, Vec<Change>), ApiError> {
        let mut writer = self.writer.lock();
        let mut transaction = Transaction { state: self.state(), events: Vec::new(), now, dry_run };
        let result = work(&mut transaction)?;
        if dry_run || transaction.events.is_empty() {
            return Ok((result, Vec::new()));
        }
        if transaction.events.iter().any(|event| deeper_than(MOST_DEPTH, &event.change.object)) {
            return Err(ApiError::bad_request(format!("the object is nested deeper than {MOST_DEPTH} levels")));
        }
        let changes: Vec<_> = transaction.events.iter().map(|event| event.change.clone()).collect();
        let unwritten = |error: io::Error| ApiError::internal(format!("etcdserver: the journal could not be written: {error}"));
        let frame = writer.frame(&transaction.state, &transaction.events).map_err(unwritten)?;
        self.admit(&mut writer, frame.len(), frees(&transaction.events))?;
        self.commit(&mut writer, &frame, transaction.state, transaction.events).map_err(unwritten)?;
        Ok((result, changes))
    }

    /// Refuses what is too large, or finds no room, in etcd's words and with the answer that kube-apiserver makes of them.
    fn admit(&self, writer: &mut Writer, size: usize, frees: bool) -> Result<(), ApiError> {
        let refuse = |why: &str| Err(ApiError::new(500, "", why));
        if size > self.bounds.request {
            return refuse("etcdserver: request is too large");
        }
        let full = |journal: &Journal| journal.length() + size as u64 > self.bounds.space;
        let Some(journal) = writer.journal.as_mut().filter(|journal| !frees && full(journal)) else { return Ok(()) };
        if journal.can_shrink() {
            compact(journal, &self.state());
        }
        if full(journal) { refuse("etcdserver: mvcc: database space exceeded") } else { Ok(()) }
    }

    fn commit(&self, writer: &mut Writer, frame: &[u8], state: State, events: Vec<Event>) -> io::Result<()> {
        if let Some(journal) = &mut writer.journal {
            journal.append(frame, frees(&events))?;
            if journal.wants_compaction() {
                // The record above is durable already; a failed compaction only leaves a longer file.
                compact(journal, &state);
            }
        }
        let resource_version = state.resource_version();
        let mut published = self.published.write();
        published.state = state;
        published.history.extend(events);
        drop(published);
        self.committed.send_replace(resource_version);
        Ok(())
    }

    /// What was committed after `resource_version`, with the resource version that the answer reaches to.
    pub fn since(&self, resource_version: u64) -> History {
        let published = self.published.read();
        match published.history.since(resource_version) {
            Some(events) => History::Since(events, published.state.resource_version().max(resource_version)),
            None => History::Expired,
        }
    }

    /// Nothing was written for a while: what is only kept for watchers that fall behind takes little memory from now on.
    pub fn rest(&self, now: i64) {
        let state = {
            let mut published = self.published.write();
            published.history.pack(now);
            published.state.clone()
        };
        state.all().for_each(|(_, _, _, stored)| stored.rest());
    }

    /// Keeps `state` for the next page of a paginated list.
    pub fn keep_page(&self, state: &State) {
        let mut published = self.published.write();
        if published.pages.iter().any(|page| page.resource_version() == state.resource_version()) {
            return;
        }
        if published.pages.len() >= PAGES {
            published.pages.pop_front();
        }
        published.pages.push_back(state.clone());
    }

    /// The state that a continue token speaks of, where it is still known.
    pub fn page(&self, resource_version: u64) -> Option<State> {
        let published = self.published.read();
        if published.state.resource_version() == resource_version {
            return Some(published.state.clone());
        }
        published.pages.iter().find(|page| page.resource_version() == resource_version).cloned()
    }

    /// Puts `target` in place of everything; `encoded` is its journal form. The differences become events.
    pub fn restore(&self, now: i64, target: &State, encoded: impl FnOnce() -> Arc<[u8]>) -> io::Result<()> {
        let mut writer = self.writer.lock();
        let current = self.state();
        if current.resource_version() == 0 {
            if let Some(journal) = &mut writer.journal {
                journal.replace(&encoded())?;
            }
            let mut published = self.published.write();
            published.state = target.clone();
            published.history = Changes::after(target.resource_version());
            drop(published);
            self.committed.send_replace(target.resource_version());
            return Ok(());
        }
        let mut transaction = Transaction { state: current.clone(), events: Vec::new(), now, dry_run: false };
        transaction.state.raise(target.resource_version());
        current.difference(target, |group, resource, key, wanted| match wanted {
            Some(wanted) => {
                // Another object of the same name does not become this one: it goes, and this one comes.
                let wanted = wanted.tree();
                if transaction.state.at(group, resource, key).is_some_and(|here| object::uid(&here.tree()) != object::uid(&wanted)) {
                    transaction.remove_key(group, resource, key);
                }
                transaction.put(group, resource, Value::clone(&wanted));
            }
            None => {
                transaction.remove_key(group, resource, key);
            }
        });
        if transaction.events.is_empty() {
            return Ok(());
        }
        let frame = writer.frame(&transaction.state, &transaction.events)?;
        self.commit(&mut writer, &frame, transaction.state, transaction.events)
    }
}

impl Writer {
    /// What the journal will hold of a write; nothing where there is no journal.
    fn frame(&self, state: &State, events: &[Event]) -> io::Result<Vec<u8>> {
        let mut frame = Vec::new();
        if self.journal.is_some() {
            let operations: Vec<_> = events.iter().map(Operation::from_event).collect();
            journal::encode_frame(&mut frame, state.resource_version(), &operations)?;
        }
        Ok(frame)
    }
}

/// Whether a write removes something, or prepares it.
fn frees(events: &[Event]) -> bool {
    let goes = |event: &Event| event.change.kind == ChangeKind::Deleted || object::is_terminating(&event.change.object);
    events.iter().any(goes)
}

fn deeper_than(levels: usize, value: &Value) -> bool {
    let Some(below) = levels.checked_sub(1) else { return true };
    match value {
        Value::Array(items) => items.iter().any(|item| deeper_than(below, item)),
        Value::Object(fields) => fields.values().any(|field| deeper_than(below, field)),
        _ => false,
    }
}

fn compact(journal: &mut Journal, state: &State) {
    if let Err(error) = journal.replace(&snapshot::encode(state)) {
        tracing::warn!(%error, "the journal could not be compacted");
    }
}

/// A write in the making. It sees its own changes.
#[derive(Debug)]
pub struct Transaction {
    pub state: State,
    events: Vec<Event>,
    now: i64,
    dry_run: bool,
}

impl Transaction {
    /// Stores `object` under its own namespace and name with the next resource version; in a dry run with the one that it has,
    /// or none where it is new, because nothing of it will be seen again.
    pub fn put(&mut self, group: &str, resource: &str, mut object: Value) -> Arc<Value> {
        let resource_version = self.state.next();
        let key = state::key(object::namespace(&object), object::name(&object));
        if !self.dry_run {
            object::set_meta(&mut object, "resourceVersion", resource_version.to_string());
        }
        let object = Arc::new(object);
        let stored = Arc::new(Stored::new(object.clone()));
        let (group, resource, previous) = self.state.insert(group, resource, key, stored.clone());
        let kind = if previous.is_some() { ChangeKind::Modified } else { ChangeKind::Added };
        let change = Change { resource_version, kind, group, resource, object: object.clone() };
        let previous = previous.map(|stored| {
            let tree = stored.tree();
            stored.replaced();
            tree
        });
        self.events.push(Event { change, stored, previous, at: self.now });
        object
    }

    /// Removes an object; returns it as it last was, with the resource version of its removal.
    pub fn remove(&mut self, group: &str, resource: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.remove_key(group, resource, &state::key(namespace, name))
    }

    fn remove_key(&mut self, group: &str, resource: &str, key: &str) -> Option<Arc<Value>> {
        let (group, resource, previous) = self.state.remove(group, resource, key)?;
        let resource_version = self.state.next();
        let (previous, gone) = (previous.tree(), previous);
        gone.replaced();
        let mut last = Value::clone(&previous);
        object::set_meta(&mut last, "resourceVersion", resource_version.to_string());
        let object = Arc::new(last);
        let change = Change { resource_version, kind: ChangeKind::Deleted, group, resource, object: object.clone() };
        let stored = Arc::new(Stored::new(object.clone()));
        self.events.push(Event { change, stored, previous: Some(previous), at: self.now });
        Some(object)
    }
}

#[cfg(test)]
mod tests;
