//! Owners and dependents: what nobody owns any more goes; foreground deletion waits; orphaning sets free
//! (<https://kubernetes.io/docs/concepts/architecture/garbage-collection/>).

use super::common::{self, items, text};
use crate::step::{Context, Controller};
use apiserver::{
    Change, ChangeKind,
    client::{DeleteOptions, Propagation},
};
use machinery::object;
use serde_json::{Value, json};
use std::{collections::HashMap, sync::Arc};

const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";

#[derive(Debug, Default)]
pub struct GarbageCollector {}

impl Controller for GarbageCollector {
    fn name(&self) -> &'static str {
        "garbage-collector-controller"
    }

    fn interested(&self, change: &Change) -> bool {
        match change.kind {
            ChangeKind::Deleted => true,
            ChangeKind::Added | ChangeKind::Modified => {
                let owned = !items(&change.object["metadata"]["ownerReferences"]).is_empty();
                (owned && (change.kind == ChangeKind::Added || object::is_terminating(&change.object)))
                    || (object::is_terminating(&change.object) && (has(&change.object, ORPHAN) || has(&change.object, FOREGROUND)))
            }
        }
    }

    fn reconcile(&mut self, context: &mut Context<'_>) {
        let objects: Vec<_> =
            context.client.everything().into_iter().map(|(group, resource, object)| Entry { group, resource, object }).collect();
        let graph = Graph::of(&objects);
        for entry in &objects {
            if object::is_terminating(&entry.object) {
                if has(&entry.object, ORPHAN) {
                    graph.orphan(context, entry);
                } else if has(&entry.object, FOREGROUND) {
                    graph.finish_foreground(context, entry);
                }
            }
            if !items(&entry.object["metadata"]["ownerReferences"]).is_empty() && !object::is_terminating(&entry.object) {
                graph.judge(context, entry);
            }
        }
    }
}

fn has(object: &Value, finalizer: &str) -> bool {
    items(&object["metadata"]["finalizers"]).iter().any(|name| name == finalizer)
}

#[derive(Debug)]
struct Entry {
    group: Arc<str>,
    resource: Arc<str>,
    object: Arc<Value>,
}

/// Who owns whom. It copies nothing, because it is made anew at each change of interest.
#[derive(Debug)]
struct Graph<'a> {
    by_uid: HashMap<&'a str, &'a Entry>,
    dependents: HashMap<&'a str, Vec<&'a Entry>>,
}

impl<'a> Graph<'a> {
    fn of(objects: &'a [Entry]) -> Self {
        let mut by_uid = HashMap::with_capacity(objects.len());
        let mut dependents: HashMap<&str, Vec<&Entry>> = HashMap::new();
        for entry in objects {
            by_uid.insert(object::uid(&entry.object), entry);
            for owner in items(&entry.object["metadata"]["ownerReferences"]) {
                dependents.entry(text(&owner["uid"])).or_default().push(entry);
            }
        }
        Self { by_uid, dependents }
    }

    fn dependents_of(&self, entry: &Entry) -> impl Iterator<Item = &'a Entry> {
        self.dependents.get(object::uid(&entry.object)).into_iter().flatten().copied()
    }

    /// The owner, where it exists and may own the object: in its namespace, or cluster-scoped.
    fn owner(&self, reference: &Value, of: &Value) -> Option<&'a Entry> {
        let owner = *self.by_uid.get(text(&reference["uid"]))?;
        let namespace = object::namespace(&owner.object);
        (namespace.is_empty() || namespace == object::namespace(of)).then_some(owner)
    }

    /// Dependents are set free, then the owner may go.
    fn orphan(&self, context: &Context<'_>, entry: &Entry) {
        for dependent in self.dependents_of(entry) {
            self.remove_owners(context, dependent, |reference| reference["uid"] == entry.object["metadata"]["uid"]);
        }
        remove_finalizer(context, entry, ORPHAN);
    }

    /// The owner goes when no dependent is left that blocks it.
    fn finish_foreground(&self, context: &Context<'_>, entry: &Entry) {
        let blocks = |dependent: &Entry| {
            items(&dependent.object["metadata"]["ownerReferences"])
                .iter()
                .any(|reference| reference["uid"] == entry.object["metadata"]["uid"] && reference["blockOwnerDeletion"] == true)
        };
        if !self.dependents_of(entry).any(blocks) {
            remove_finalizer(context, entry, FOREGROUND);
        }
    }

    fn judge(&self, context: &Context<'_>, entry: &Entry) {
        let references = items(&entry.object["metadata"]["ownerReferences"]);
        let mut solid = 0;
        let mut waiting = 0;
        for reference in references {
            match self.owner(reference, &entry.object) {
                Some(owner) if object::is_terminating(&owner.object) && has(&owner.object, FOREGROUND) => waiting += 1,
                Some(_) => solid += 1,
                None => {}
            }
        }
        if solid == references.len() {
            return;
        }
        if solid > 0 {
            self.remove_owners(context, entry, |reference| {
                self.owner(reference, &entry.object)
                    .is_none_or(|owner| object::is_terminating(&owner.object) && has(&owner.object, FOREGROUND))
            });
            return;
        }
        let has_dependents = self.dependents_of(entry).next().is_some();
        let propagation = if has(&entry.object, ORPHAN) {
            Propagation::Orphan
        } else if has(&entry.object, FOREGROUND) || (waiting > 0 && has_dependents) {
            Propagation::Foreground
        } else {
            Propagation::Background
        };
        let options =
            DeleteOptions { propagation: Some(propagation), uid: Some(object::uid(&entry.object).to_owned()), ..DeleteOptions::default() };
        let (namespace, name) = (object::namespace(&entry.object), object::name(&entry.object));
        common::tolerate(
            "collecting an object without an owner",
            context.client.delete_stored(&entry.group, &entry.resource, namespace, name, &options),
        );
    }

    fn remove_owners(&self, context: &Context<'_>, entry: &Entry, gone: impl Fn(&Value) -> bool) {
        let references = items(&entry.object["metadata"]["ownerReferences"]);
        let kept: Vec<_> = references.iter().filter(|reference| !gone(reference)).cloned().collect();
        if kept.len() == references.len() {
            return;
        }
        let kept = if kept.is_empty() { Value::Null } else { kept.into() };
        patch(context, entry, json!({"metadata": {"uid": entry.object["metadata"]["uid"], "ownerReferences": kept}}));
    }
}

fn remove_finalizer(context: &Context<'_>, entry: &Entry, finalizer: &str) {
    let kept: Vec<_> = items(&entry.object["metadata"]["finalizers"]).iter().filter(|name| *name != finalizer).cloned().collect();
    let kept = if kept.is_empty() { Value::Null } else { kept.into() };
    patch(context, entry, json!({"metadata": {"finalizers": kept}}));
}

fn patch(context: &Context<'_>, entry: &Entry, patch: Value) {
    let (namespace, name) = (object::namespace(&entry.object), object::name(&entry.object));
    common::tolerate(
        "changing what is being collected",
        context.client.merge_patch_stored(&entry.group, &entry.resource, namespace, name, patch),
    );
}
