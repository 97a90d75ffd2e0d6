//! A pod as its worker holds it: while the cluster rests, in no form but the store's own.

use apiserver::Stored;
use serde_json::Value;
use std::{cell::OnceCell, ops::Deref, sync::Arc};

#[derive(Debug)]
pub struct Held {
    tree: OnceCell<Arc<Value>>,
    /// What the tree can be read from again.
    stored: Option<Arc<Stored>>,
}

impl Held {
    /// Lets go of the tree where `find` finds the very same object in the store.
    pub fn rest(&mut self, find: impl FnOnce(&Value) -> Option<Arc<Stored>>) {
        let Some(tree) = self.tree.get() else { return };
        self.stored = find(tree).filter(|stored| Arc::ptr_eq(&stored.tree(), tree));
        if self.stored.is_some() {
            self.tree.take();
        }
    }
}

impl From<Arc<Value>> for Held {
    fn from(tree: Arc<Value>) -> Self {
        Self { tree: tree.into(), stored: None }
    }
}

impl Deref for Held {
    type Target = Arc<Value>;

    fn deref(&self) -> &Arc<Value> {
        self.tree.get_or_init(|| self.stored.as_ref().map(|stored| stored.tree()).unwrap_or_default())
    }
}
