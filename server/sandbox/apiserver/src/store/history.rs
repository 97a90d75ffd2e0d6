//! What was committed lately, for watchers. The newest changes are held as objects; older ones, and all of a store that rests, as
//! compressed JSON: an object in memory is about fifty times as large, and hardly anybody asks for an old one.

use super::{Event, Stored};
use crate::client::{Change, ChangeKind};
use flate2::{Compression, read::DeflateDecoder, write::DeflateEncoder};
use machinery::object;
use serde_json::Value;
use std::{
    collections::VecDeque,
    io::{Read, Write},
    sync::Arc,
};

/// Changes that are kept. A watcher that falls further behind is told to list anew.
pub(super) const MOST: usize = 1024;
/// Fewer changes than this are kept however old they are.
const LEAST: usize = 64;
/// Seconds that a change is kept, as etcd's compaction interval of a real cluster.
pub(super) const SECONDS: i64 = 300;
/// Changes that are held as objects while more are coming.
const RECENT: usize = 512;

#[derive(Debug)]
pub(super) struct Changes {
    /// Changes up to this resource version are forgotten.
    floor: u64,
    packed: VecDeque<Packed>,
    recent: VecDeque<Arc<Event>>,
}

#[derive(Debug)]
struct Packed {
    resource_version: u64,
    kind: ChangeKind,
    group: Arc<str>,
    resource: Arc<str>,
    object: Arc<[u8]>,
    /// Shared with the earlier change that made it, where that one is packed as well.
    previous: Option<Arc<[u8]>>,
    at: i64,
}

impl Changes {
    /// None yet after this resource version.
    pub fn after(resource_version: u64) -> Self {
        Self { floor: resource_version, packed: VecDeque::new(), recent: VecDeque::new() }
    }

    pub fn extend(&mut self, events: Vec<Event>) {
        let newest = events.last().map_or(0, |event| event.at);
        self.recent.extend(events.into_iter().map(Arc::new));
        self.keep_recent(RECENT);
        self.forget(newest);
    }

    /// Holds everything packed.
    pub fn pack(&mut self, now: i64) {
        self.forget(now);
        self.keep_recent(0);
        self.recent.shrink_to_fit();
    }

    /// What came after `resource_version`, in order; `None` where some of it is forgotten.
    pub fn since(&self, resource_version: u64) -> Option<Vec<Arc<Event>>> {
        if resource_version < self.floor {
            return None;
        }
        let old = self.packed.partition_point(|packed| packed.resource_version <= resource_version);
        let new = self.recent.partition_point(|event| event.change.resource_version <= resource_version);
        let unpacked = self.packed.range(old..).map(|packed| packed.unpack().map(Arc::new));
        unpacked.chain(self.recent.range(new..).cloned().map(Some)).collect()
    }

    fn keep_recent(&mut self, count: usize) {
        while self.recent.len() > count {
            let Some(event) = self.recent.pop_front() else { return };
            match self.packed(&event) {
                Some(packed) => self.packed.push_back(packed),
                None => {
                    // A watcher that needs it lists anew.
                    self.floor = self.floor.max(event.change.resource_version);
                    self.packed.clear();
                }
            }
        }
    }

    fn packed(&self, event: &Event) -> Option<Packed> {
        let previous = match &event.previous {
            Some(object) => {
                let made = self.made_at(object::resource_version(object));
                Some(made.map_or_else(|| pack(&serde_json::to_vec(object).ok()?), Some)?)
            }
            None => None,
        };
        Some(Packed {
            resource_version: event.change.resource_version,
            kind: event.change.kind,
            group: event.change.group.clone(),
            resource: event.change.resource.clone(),
            object: pack(event.stored.text().as_bytes())?,
            previous,
            at: event.at,
        })
    }

    /// What the packed change of exactly this resource version made.
    fn made_at(&self, resource_version: u64) -> Option<Arc<[u8]>> {
        let index = self.packed.partition_point(|packed| packed.resource_version < resource_version);
        self.packed.get(index).filter(|packed| packed.resource_version == resource_version).map(|packed| packed.object.clone())
    }

    fn forget(&mut self, now: i64) {
        loop {
            let count = self.packed.len() + self.recent.len();
            let oldest = self.packed.front().map(|packed| packed.at).or_else(|| self.recent.front().map(|event| event.at));
            if count <= MOST && (count <= LEAST || oldest.is_none_or(|at| now - at <= SECONDS)) {
                return;
            }
            let gone = self.packed.pop_front().map(|packed| packed.resource_version);
            let gone = gone.or_else(|| self.recent.pop_front().map(|event| event.change.resource_version));
            self.floor = self.floor.max(gone.unwrap_or(0));
        }
    }
}

impl Packed {
    fn unpack(&self) -> Option<Event> {
        let change = Change {
            resource_version: self.resource_version,
            kind: self.kind,
            group: self.group.clone(),
            resource: self.resource.clone(),
            object: unpack(&self.object)?,
        };
        let previous = match &self.previous {
            Some(packed) => Some(unpack(packed)?),
            None => None,
        };
        let stored = Arc::new(Stored::new(change.object.clone()));
        Some(Event { change, stored, previous, at: self.at })
    }
}

fn pack(json: &[u8]) -> Option<Arc<[u8]>> {
    let mut packed = DeflateEncoder::new(Vec::with_capacity(json.len() / 4), Compression::fast());
    packed.write_all(json).ok()?;
    Some(packed.finish().ok()?.into())
}

fn unpack(packed: &[u8]) -> Option<Arc<Value>> {
    let mut json = Vec::with_capacity(packed.len() * 4);
    DeflateDecoder::new(packed).read_to_end(&mut json).ok()?;
    serde_json::from_slice(&json).ok().map(Arc::new)
}
