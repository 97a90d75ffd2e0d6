//! pvc-protection and pv-protection: a claim stays while a pod uses it, a volume while a claim is bound to it.

use super::common::{self, concerns, is_pod_finished, items, text};
use crate::step::{Context, Controller};
use apiserver::Change;
use machinery::{Gvr, gvr, object};
use serde_json::Value;

const CLAIM: &str = "kubernetes.io/pvc-protection";
const VOLUME: &str = "kubernetes.io/pv-protection";

#[derive(Debug, Default)]
pub struct StorageProtectionController {}

impl Controller for StorageProtectionController {
    fn name(&self) -> &'static str {
        "storage-protection-controller"
    }

    fn interested(&self, change: &Change) -> bool {
        concerns(change, &[gvr::PERSISTENT_VOLUME_CLAIMS, gvr::PERSISTENT_VOLUMES, gvr::PODS])
    }

    fn reconcile(&mut self, context: &mut Context<'_>) {
        let claims: Vec<_> = context.client.list(gvr::PERSISTENT_VOLUME_CLAIMS, None).into_iter().filter(|c| is_held(c, CLAIM)).collect();
        if !claims.is_empty() {
            let pods = common::pods_by_namespace(context.client);
            for claim in claims {
                let pods = pods.get(object::namespace(&claim)).map(Vec::as_slice).unwrap_or_default();
                if !pods.iter().any(|pod| uses(pod, object::name(&claim))) {
                    release(context, gvr::PERSISTENT_VOLUME_CLAIMS, &claim, CLAIM);
                }
            }
        }
        for volume in context.client.list(gvr::PERSISTENT_VOLUMES, None) {
            if is_held(&volume, VOLUME) && volume["status"]["phase"] != "Bound" {
                release(context, gvr::PERSISTENT_VOLUMES, &volume, VOLUME);
            }
        }
    }
}

fn is_held(object: &Value, finalizer: &str) -> bool {
    object::is_terminating(object) && items(&object["metadata"]["finalizers"]).iter().any(|held| held == finalizer)
}

/// Whether a pod that has a node and has not ended mounts the claim.
fn uses(pod: &Value, claim: &str) -> bool {
    let named = |volume: &Value| {
        text(&volume["persistentVolumeClaim"]["claimName"]) == claim
            || (volume["ephemeral"].is_object() && format!("{}-{}", object::name(pod), text(&volume["name"])) == claim)
    };
    !text(&pod["spec"]["nodeName"]).is_empty() && !is_pod_finished(pod) && items(&pod["spec"]["volumes"]).iter().any(named)
}

fn release(context: &Context<'_>, gvr: Gvr, object: &Value, finalizer: &str) {
    common::modify(context.client, gvr, object, |changed| {
        if let Some(finalizers) = changed["metadata"]["finalizers"].as_array_mut() {
            finalizers.retain(|held| held != finalizer);
        }
    });
}
