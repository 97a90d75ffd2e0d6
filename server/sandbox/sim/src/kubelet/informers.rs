//! Programs that want to hear of changes of whole API groups, as client-go's informers do. Most clusters have none.

use parking_lot::Mutex;
use std::sync::{Arc, Weak};
use tokio::sync::Notify;

#[derive(Debug, Default)]
pub struct Informers(Mutex<Vec<(&'static [&'static str], Weak<Notify>)>>);

impl Informers {
    /// Woken when an object of one of the groups has changed, until it is dropped; `*` stands for every group.
    pub fn listen(&self, groups: &'static [&'static str]) -> Arc<Notify> {
        let notify = Arc::new(Notify::new());
        let mut listeners = self.0.lock();
        listeners.retain(|(_, listener)| listener.strong_count() > 0);
        listeners.push((groups, Arc::downgrade(&notify)));
        notify
    }

    /// Whether somebody wants to hear of a group.
    pub fn concerns(&self, group: &str) -> bool {
        self.0.lock().iter().any(|(groups, listener)| hears(groups, group) && listener.strong_count() > 0)
    }

    pub fn tell(&self, group: &str) {
        for (_, listener) in self.0.lock().iter().filter(|(groups, _)| hears(groups, group)) {
            listener.upgrade().inspect(|listener| listener.notify_one());
        }
    }

    pub fn tell_all(&self) {
        for (_, listener) in self.0.lock().iter() {
            listener.upgrade().inspect(|listener| listener.notify_one());
        }
    }
}

fn hears(groups: &[&str], group: &str) -> bool {
    groups.iter().any(|held| *held == group || *held == "*")
}
