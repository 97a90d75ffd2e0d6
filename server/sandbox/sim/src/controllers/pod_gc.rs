//! Pods that nobody will end any more: of nodes that are gone, and terminating ones that never had a node.

use super::common::{self, concerns, items, text};
use crate::step::{Context, Controller};
use apiserver::{Change, ChangeKind, client::DeleteOptions};
use machinery::{clock, gvr, object};
use serde_json::{Value, json};

#[derive(Debug, Default)]
pub struct PodGarbageCollector {}

impl Controller for PodGarbageCollector {
    fn name(&self) -> &'static str {
        "pod-garbage-collector-controller"
    }

    fn interested(&self, change: &Change) -> bool {
        (concerns(change, &[gvr::NODES]) && change.kind == ChangeKind::Deleted)
            || (concerns(change, &[gvr::PODS]) && object::is_terminating(&change.object) && change.kind != ChangeKind::Deleted)
    }

    fn reconcile(&mut self, context: &mut Context<'_>) {
        let nodes = context.client.list(gvr::NODES, None);
        for pod in context.client.list(gvr::PODS, None) {
            let node = text(&pod["spec"]["nodeName"]);
            let never_placed = node.is_empty() && object::is_terminating(&pod);
            let orphaned = !node.is_empty() && !nodes.iter().any(|other| object::name(other) == node);
            if !never_placed && !orphaned {
                continue;
            }
            if orphaned && !common::is_pod_finished(&pod) {
                fail(context, &pod);
            }
            let options =
                DeleteOptions { grace_period_seconds: Some(0), uid: Some(object::uid(&pod).to_owned()), ..DeleteOptions::default() };
            let deleted = context.client.delete(gvr::PODS, object::namespace(&pod), object::name(&pod), &options);
            common::tolerate("collecting a pod", deleted);
        }
    }
}

fn fail(context: &Context<'_>, pod: &Value) {
    let mut status = pod["status"].clone();
    status["phase"] = "Failed".into();
    let mut conditions = items(&status["conditions"]).to_vec();
    conditions.retain(|condition| condition["type"] != "DisruptionTarget");
    conditions.push(json!({
        "type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC", "message": "PodGC: node no longer exists",
        "lastProbeTime": null, "lastTransitionTime": clock::rfc3339(context.now),
    }));
    status["conditions"] = conditions.into();
    common::write_status(context.client, gvr::PODS, pod, &status);
}
