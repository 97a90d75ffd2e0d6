//! What was committed lately, for watchers. The newest changes are held as objects; older ones, and all of a store that rests, as the
//! JSON that they are: an object in memory is about ten times as large, and hardly anybody asks for an old one.

use super::Event;
use crate::client::{Change, ChangeKind};
use serde_json::Value;
use std::{collections::VecDeque, sync::Arc};

/// Changes that are kept. A watcher that falls further behind is told to list anew.
pub(super) const MOST: usize = 1024;
/// Fewer changes than this are kept however old they are.
const LEAST: usize = 64;
/// Seconds that a change is kept, as etcd's compaction interval of a real cluster.
pub(super) const SECONDS: i64 = 300;
/// Changes that are held as objects while more are coming.
const RECENT: usize = 128;

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
    object: Box<[u8]>,
    previous: Option<Box<[u8]>>,
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

    /// Holds everything as JSON.
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
            match Packed::new(&event) {
                Some(packed) => self.packed.push_back(packed),
                None => {
                    // A watcher that needs it lists anew.
                    self.floor = self.floor.max(event.change.resource_version);
                    self.packed.clear();
                }
            }
        }
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
    fn new(event: &Event) -> Option<Self> {
        let json = |object: &Arc<Value>| serde_json::to_vec(&**object).ok().map(Vec::into_boxed_slice);
        let previous = match &event.previous {
            Some(object) => Some(json(object)?),
            None => None,
        };
        Some(Self {
            resource_version: event.change.resource_version,
            kind: event.change.kind,
            group: event.change.group.clone(),
            resource: event.change.resource.clone(),
            object: json(&event.change.object)?,
            previous,
            at: event.at,
        })
    }

    fn unpack(&self) -> Option<Event> {
        let object = |json: &[u8]| serde_json::from_slice(json).ok().map(Arc::new);
        let change = Change {
            resource_version: self.resource_version,
            kind: self.kind,
            group: self.group.clone(),
            resource: self.resource.clone(),
            object: object(&self.object)?,
        };
        let previous = match &self.previous {
            Some(json) => Some(object(json)?),
            None => None,
        };
        Some(Event { change, previous, at: self.at })
    }
}
