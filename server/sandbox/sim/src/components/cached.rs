//! What a program has made of the objects of some API groups: made anew when one of them has changed.

use apiserver::{Changes, Client};
use parking_lot::Mutex;
use std::sync::Arc;

#[derive(Debug)]
pub struct Cached<T> {
    groups: &'static [&'static str],
    held: Mutex<Option<(u64, Arc<T>)>>,
}

impl<T> Cached<T> {
    pub fn new(groups: &'static [&'static str]) -> Self {
        Self { groups, held: Mutex::new(None) }
    }

    pub fn get(&self, client: &Client, make: impl FnOnce() -> T) -> Arc<T> {
        let mut held = self.held.lock();
        let now = client.resource_version();
        if let Some((version, made)) = held.as_mut()
            && let Changes::Since(changes) = client.changes_since(*version)
            && !changes.iter().any(|change| self.groups.contains(&&*change.group))
        {
            *version = changes.iter().map(|change| change.resource_version).max().unwrap_or(*version);
            return Arc::clone(made);
        }
        let made = Arc::new(make());
        *held = Some((now, Arc::clone(&made)));
        made
    }
}
