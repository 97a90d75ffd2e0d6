//! PersistentVolumeClaims: what must be bound before a pod can be placed, and where its volumes can be reached.

use super::{
    affinity::node_selector_matches,
    state::{NodeInfo, Refusal},
};
use crate::controllers::common::{self, items, text};
use apiserver::Client;
use machinery::{gvr, object};
use serde_json::{Value, json};
use std::sync::Arc;

pub const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";

/// A claim of the pod.
#[derive(Debug, Clone)]
pub struct Claim {
    pub claim: Arc<Value>,
    /// The bound volume; `None` while the claim waits for its first consumer.
    pub volume: Option<Arc<Value>>,
}

/// The pod's claims, or why it cannot be scheduled anywhere.
pub fn claims_of(client: &Client, pod: &Value) -> Result<Vec<Claim>, String> {
    let mut claims = Vec::new();
    for volume in items(&pod["spec"]["volumes"]) {
        let name = if volume["ephemeral"].is_object() {
            format!("{}-{}", object::name(pod), text(&volume["name"]))
        } else {
            match volume["persistentVolumeClaim"]["claimName"].as_str() {
                Some(name) => name.to_owned(),
                None => continue,
            }
        };
        let Some(claim) = client.get(gvr::PERSISTENT_VOLUME_CLAIMS, object::namespace(pod), &name) else {
            return Err(format!("persistentvolumeclaim {name:?} not found"));
        };
        if object::is_terminating(&claim) {
            return Err(format!("persistentvolumeclaim {name:?} is being deleted"));
        }
        if claim["status"]["phase"] == "Lost" {
            return Err(format!(
                "persistentvolumeclaim {name:?} bound to non-existent persistentvolume {:?}",
                text(&claim["spec"]["volumeName"])
            ));
        }
        if claim["status"]["phase"] == "Bound" {
            let volume = client.get(gvr::PERSISTENT_VOLUMES, "", text(&claim["spec"]["volumeName"]));
            claims.push(Claim { claim, volume });
            continue;
        }
        let class = client.get(gvr::STORAGE_CLASSES, "", text(&claim["spec"]["storageClassName"]));
        if class.is_none_or(|class| class["volumeBindingMode"] != "WaitForFirstConsumer") {
            return Err("pod has unbound immediate PersistentVolumeClaims".to_owned());
        }
        claims.push(Claim { claim, volume: None });
    }
    Ok(claims)
}

pub fn filter(node: &NodeInfo, claims: &[Claim]) -> Result<(), Refusal> {
    for claim in claims {
        if let Some(volume) = &claim.volume {
            let required = &volume["spec"]["nodeAffinity"]["required"];
            if required.is_object() && !node_selector_matches(required, &node.node) {
                return Err(Refusal::unresolvable("node(s) didn't match PersistentVolume's node affinity"));
            }
        } else if let Some(selected) = object::annotation(&claim.claim, SELECTED_NODE)
            && selected != node.name
        {
            // Provisioning has begun elsewhere already.
            return Err(Refusal::unresolvable("node(s) didn't find available persistent volumes to bind"));
        }
    }
    Ok(())
}

/// Tells the provisioner where the volumes shall be. True when all are bound.
pub fn prepare(client: &Client, claims: &[Claim], node: &str) -> bool {
    let mut ready = true;
    for claim in claims.iter().filter(|claim| claim.volume.is_none()) {
        ready = false;
        if object::annotation(&claim.claim, SELECTED_NODE).is_none() {
            let patch = json!({"metadata": {"annotations": {SELECTED_NODE: node}}});
            let (namespace, name) = (object::namespace(&claim.claim), object::name(&claim.claim));
            common::tolerate("choosing a node for a volume", client.merge_patch(gvr::PERSISTENT_VOLUME_CLAIMS, namespace, name, patch));
        }
    }
    ready
}
