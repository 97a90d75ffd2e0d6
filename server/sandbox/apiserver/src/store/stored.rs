//! One object as the store holds it: as JSON, which journal, lists and watchers send as it is, and as a tree for whoever reads
//! fields. Either is made of the other when it is first asked for. A tree takes ten times the memory of its JSON, so a store at rest
//! lets go of all that nobody else holds.

use machinery::ordered;
use parking_lot::Mutex;
use serde_json::{Value, value::RawValue};
use std::sync::{
    Arc, OnceLock, Weak,
    atomic::{AtomicBool, Ordering},
};

#[derive(Debug)]
pub struct Stored {
    text: OnceLock<Box<RawValue>>,
    tree: Mutex<Tree>,
    /// What many clusters share costs each of them nothing.
    shared: AtomicBool,
}

#[derive(Debug)]
enum Tree {
    Held(Arc<Value>),
    /// Somebody else may still hold it.
    LetGo(Weak<Value>),
}

impl Stored {
    pub fn new(tree: Arc<Value>) -> Self {
        Self { text: OnceLock::new(), tree: Mutex::new(Tree::Held(tree)), shared: AtomicBool::new(false) }
    }

    /// Of what [`Self::text`] gave at some time.
    pub(super) fn of_text(text: Box<RawValue>) -> Self {
        Self { text: text.into(), tree: Mutex::new(Tree::LetGo(Weak::new())), shared: AtomicBool::new(false) }
    }

    /// Compact JSON as an API server writes it: fields in the order of Go's structures, markup escaped.
    pub fn text(&self) -> &str {
        self.raw().get()
    }

    /// The same, as a part of other JSON.
    pub(super) fn raw(&self) -> &RawValue {
        self.text.get_or_init(|| ordered::text(&ordered::object(&self.tree())))
    }

    pub fn tree(&self) -> Arc<Value> {
        let mut tree = self.tree.lock();
        let held = match &*tree {
            Tree::Held(held) => return held.clone(),
            Tree::LetGo(weak) => weak.upgrade(),
        };
        // The text was written from a tree, or read from a journal whose sum was right and whose JSON was whole.
        let read = || Arc::new(self.text.get().and_then(|text| serde_json::from_str(text.get()).ok()).unwrap_or_default());
        let held = held.unwrap_or_else(read);
        *tree = Tree::Held(held.clone());
        held
    }

    /// Lets go of the tree, which is read again when somebody asks for it.
    pub(super) fn rest(&self) {
        if self.shared.load(Ordering::Relaxed) || matches!(*self.tree.lock(), Tree::LetGo(_)) {
            return;
        }
        self.text();
        let mut tree = self.tree.lock();
        if let Tree::Held(held) = &*tree {
            *tree = Tree::LetGo(Arc::downgrade(held));
        }
    }

    /// Another object has taken this one's place: only who holds the past still has it.
    pub(super) fn replaced(&self) {
        if self.text.get().is_some() {
            self.rest();
        }
    }

    /// From now on the tree is kept.
    pub(super) fn share(&self) {
        self.tree();
        self.shared.store(true, Ordering::Relaxed);
    }
}
