//! Namespaces on their way out: their content goes first, then they.

use super::common::{self, concerns, items, set_condition, text};
use crate::step::{Context, Controller};
use apiserver::{Change, ChangeKind, client::DeleteOptions};
use machinery::{gvr, object};
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};

#[derive(Debug, Default)]
pub struct NamespaceController {
    /// Namespaces that were seen terminating: what leaves them is of interest.
    terminating: Vec<String>,
}

impl Controller for NamespaceController {
    fn name(&self) -> &'static str {
        "namespace-controller"
    }

    fn interested(&self, change: &Change) -> bool {
        if concerns(change, &[gvr::NAMESPACES]) {
            return change.kind != ChangeKind::Deleted && object::is_terminating(&change.object);
        }
        self.terminating.iter().any(|name| name == object::namespace(&change.object))
    }

    fn reconcile(&mut self, context: &mut Context<'_>) {
        let terminating: Vec<_> =
            context.client.list(gvr::NAMESPACES, None).into_iter().filter(|namespace| object::is_terminating(namespace)).collect();
        self.terminating = terminating.iter().map(|namespace| object::name(namespace).to_owned()).collect();
        if terminating.is_empty() {
            return;
        }
        for namespace in terminating {
            empty(context, &namespace);
        }
    }
}

type Content = Vec<(Arc<str>, Arc<str>, Arc<Value>)>;

fn content(context: &Context<'_>, name: &str) -> Content {
    context.client.everything().into_iter().filter(|(_, _, object)| object::namespace(object) == name).collect()
}

fn empty(context: &mut Context<'_>, namespace: &Arc<Value>) {
    let name = object::name(namespace);
    let before = content(context, name);
    // Pods first, so that none outlives the policies and secrets that it lives under.
    let pods_remain = before.iter().any(|(group, resource, _)| group.is_empty() && &**resource == "pods");
    for (group, resource, object) in &before {
        let is_pod = group.is_empty() && &**resource == "pods";
        if object::is_terminating(object) || (pods_remain && !is_pod) {
            continue;
        }
        let options = DeleteOptions { uid: Some(object::uid(object).to_owned()), ..DeleteOptions::default() };
        let deleted = context.client.delete_stored(group, resource, name, object::name(object), &options);
        common::tolerate("emptying a namespace", deleted);
    }
    let left = content(context, name);
    if left.is_empty() {
        let mut finalized = (**namespace).clone();
        let kept: Vec<_> = items(&namespace["spec"]["finalizers"]).iter().filter(|name| *name != "kubernetes").cloned().collect();
        finalized["spec"]["finalizers"] = kept.into();
        // Somebody else holds it: that nothing of its content is left is said meanwhile.
        if finalized["spec"]["finalizers"] != json!([]) || !items(&namespace["metadata"]["finalizers"]).is_empty() {
            report(context, namespace, &left);
        }
        if let Some(metadata) = finalized["metadata"].as_object_mut() {
            metadata.remove("resourceVersion");
        }
        common::tolerate("finishing a namespace", context.client.finalize_namespace(finalized));
        return;
    }
    report(context, namespace, &left);
}

fn report(context: &Context<'_>, namespace: &Value, left: &Content) {
    let mut resources: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut finalizers: BTreeMap<&str, usize> = BTreeMap::new();
    for (group, resource, object) in left {
        *resources.entry((&**resource, &**group)).or_default() += 1;
        for finalizer in items(&object["metadata"]["finalizers"]) {
            *finalizers.entry(text(finalizer)).or_default() += 1;
        }
    }
    let resources: Vec<_> =
        resources.iter().map(|((resource, group), count)| format!("{resource}.{group} has {count} resource instances")).collect();
    let finalizers: Vec<_> = finalizers.iter().map(|(name, count)| format!("{name} in {count} resource instances")).collect();
    let mut conditions = items(&namespace["status"]["conditions"]).to_vec();
    let mut set = |kind: &str, yes: bool, reason: &str, message: &str| {
        set_condition(&mut conditions, context.now, false, kind, if yes { "True" } else { "False" }, reason, message);
    };
    set("NamespaceDeletionDiscoveryFailure", false, "ResourcesDiscovered", "All resources successfully discovered");
    set("NamespaceDeletionGroupVersionParsingFailure", false, "ParsedGroupVersions", "All legacy kube types successfully parsed");
    set("NamespaceDeletionContentFailure", false, "ContentDeleted", "All content successfully deleted, may be waiting on finalization");
    if resources.is_empty() {
        set("NamespaceContentRemaining", false, "ContentRemoved", "All content successfully removed");
    } else {
        let message = format!("Some resources are remaining: {}", resources.join(", "));
        set("NamespaceContentRemaining", true, "SomeResourcesRemain", &message);
    }
    if finalizers.is_empty() {
        set("NamespaceFinalizersRemaining", false, "ContentHasNoFinalizers", "All content-preserving finalizers finished");
    } else {
        let message = format!("Some content in the namespace has finalizers remaining: {}", finalizers.join(", "));
        set("NamespaceFinalizersRemaining", true, "SomeFinalizersRemain", &message);
    }
    common::write_status(context.client, gvr::NAMESPACES, namespace, &json!({"phase": "Terminating", "conditions": conditions}));
}
