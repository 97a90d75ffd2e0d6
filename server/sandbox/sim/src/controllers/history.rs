//! ControllerRevisions: the templates that a DaemonSet or StatefulSet has had (k8s.io/kubernetes/pkg/controller/history).

use super::common::{self, int, text};
use crate::step::Context;
use machinery::{gvr, object};
use serde_json::{Value, json};
use std::sync::Arc;

/// The revision of the present template, and all of the owner's, oldest first.
#[derive(Debug)]
pub struct History {
    pub current: Arc<Value>,
    pub all: Vec<Arc<Value>>,
}

/// What a revision keeps: the template as a patch that replaces it.
fn data(owner: &Value) -> Value {
    let mut template = owner["spec"]["template"].clone();
    template["$patch"] = "replace".into();
    json!({"spec": {"template": template}})
}

/// Finds or makes the revision of the owner's present template. `None` where it could not be made now.
/// It is named by the `hash` of its data, which `label` carries; a template that comes back gets the newest number.
pub fn sync(context: &Context<'_>, owner: &Value, label: &str, hash: impl FnOnce(&Value) -> u32) -> Option<History> {
    let candidates = context.client.list(gvr::CONTROLLER_REVISIONS, Some(object::namespace(owner)));
    let mut all: Vec<_> = candidates.into_iter().filter(|revision| common::is_controlled_by(revision, owner)).collect();
    all.sort_by_key(|revision| (int(&revision["revision"], 0), common::created_at(revision)));
    let data = data(owner);
    let newest = all.last().map_or(0, |revision| int(&revision["revision"], 0));
    if let Some(index) = all.iter().rposition(|revision| revision["data"] == data) {
        let mut current = Arc::clone(&all[index]);
        if int(&current["revision"], 0) != newest {
            current = common::modify(context.client, gvr::CONTROLLER_REVISIONS, &current, |changed| {
                changed["revision"] = (newest + 1).into();
            })?;
            all.remove(index);
            all.push(Arc::clone(&current));
        }
        return Some(History { current, all });
    }
    let hash = common::safe_encode(&hash(&data).to_string());
    let mut labels = owner["spec"]["template"]["metadata"]["labels"].clone();
    if !labels.is_object() {
        labels = json!({});
    }
    labels[label] = hash.as_str().into();
    let mut metadata = json!({
        "name": format!("{}-{hash}", object::name(owner)), "namespace": object::namespace(owner),
        "labels": labels, "ownerReferences": [common::owner_reference(owner)],
    });
    if owner["metadata"]["annotations"].is_object() {
        metadata["annotations"] = owner["metadata"]["annotations"].clone();
    }
    let revision =
        json!({"apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": metadata, "data": data, "revision": newest + 1});
    let current = common::tolerate("creating a ControllerRevision", context.client.create(gvr::CONTROLLER_REVISIONS, revision))?;
    all.push(Arc::clone(&current));
    Some(History { current, all })
}

/// Removes the oldest revisions beyond `limit` that no pod lives by.
pub fn truncate(context: &Context<'_>, history: &History, limit: i64, is_live: impl Fn(&Value) -> bool) {
    let limit = usize::try_from(limit).unwrap_or(0);
    let idle: Vec<_> =
        history.all.iter().filter(|revision| object::uid(revision) != object::uid(&history.current) && !is_live(revision)).collect();
    for revision in idle.iter().take(idle.len().saturating_sub(limit)) {
        common::tolerate("removing an old revision", common::delete(context.client, gvr::CONTROLLER_REVISIONS, revision));
    }
}

/// The hash that a revision's label carries.
pub fn hash_of<'a>(revision: &'a Value, label: &str) -> &'a str {
    text(&revision["metadata"]["labels"][label])
}
