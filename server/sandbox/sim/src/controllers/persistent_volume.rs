//! PersistentVolumeClaims find a volume, and the local provisioner makes one where there is none
//! (k8s.io/kubernetes/pkg/controller/volume/persistentvolume, rancher.io/local-path).

use super::common::{self, concerns, items, text};
use crate::{
    events::{self, Event},
    scheduler::SELECTED_NODE,
    step::{Context, Controller},
};
use apiserver::Change;
use machinery::{gvr, object, quantity::Quantity, selector::LabelSelector};
use serde_json::{Value, json};
use std::{collections::BTreeSet, sync::Arc};

const COMPONENT: &str = "persistentvolume-controller";
const LOCAL_PATH: &str = "rancher.io/local-path";
const DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";
const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";
const BOUND_BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";
const CLAIM_PROTECTION: &str = "kubernetes.io/pvc-protection";
const VOLUME_PROTECTION: &str = "kubernetes.io/pv-protection";

#[derive(Debug, Default)]
pub struct PersistentVolumeController {}

impl Controller for PersistentVolumeController {
    fn name(&self) -> &'static str {
        COMPONENT
    }

    fn interested(&self, change: &Change) -> bool {
        concerns(change, &[gvr::PERSISTENT_VOLUME_CLAIMS, gvr::PERSISTENT_VOLUMES, gvr::STORAGE_CLASSES, gvr::PODS])
    }

    fn reconcile(&mut self, context: &mut Context<'_>) {
        let claims = context.client.list(gvr::PERSISTENT_VOLUME_CLAIMS, None);
        let volumes = context.client.list(gvr::PERSISTENT_VOLUMES, None);
        if claims.is_empty() && volumes.is_empty() {
            return;
        }
        let pods = context.client.list(gvr::PODS, None);
        for claim in &claims {
            if object::is_terminating(claim) {
                release_claim(context, claim, &pods);
            } else {
                sync_claim(context, claim, &pods);
            }
        }
        for volume in context.client.list(gvr::PERSISTENT_VOLUMES, None) {
            sync_volume(context, &volume);
        }
    }
}

fn class_of(context: &Context<'_>, claim: &Arc<Value>) -> (Arc<Value>, Option<Arc<Value>>) {
    if claim["spec"]["storageClassName"].is_null() {
        let default = context
            .client
            .list(gvr::STORAGE_CLASSES, None)
            .into_iter()
            .filter(|class| object::annotation(class, DEFAULT_CLASS) == Some("true"))
            .max_by_key(|class| common::created_at(class));
        if let Some(class) = default {
            let name = class["metadata"]["name"].clone();
            let changed =
                common::modify(context.client, gvr::PERSISTENT_VOLUME_CLAIMS, claim, |changed| changed["spec"]["storageClassName"] = name);
            return (changed.unwrap_or_else(|| Arc::clone(claim)), Some(class));
        }
    }
    let class = context.client.get(gvr::STORAGE_CLASSES, "", text(&claim["spec"]["storageClassName"]));
    (Arc::clone(claim), class)
}

fn sync_claim(context: &Context<'_>, claim: &Arc<Value>, pods: &[Arc<Value>]) {
    if claim["status"]["phase"] == "Bound" {
        let name = text(&claim["spec"]["volumeName"]);
        if context.client.get(gvr::PERSISTENT_VOLUMES, "", name).is_none() {
            let message = "Bound claim has lost its PersistentVolume. Data on the volume is lost!";
            events::record(context, claim, &Event::warning(COMPONENT, "ClaimLost", message));
            let mut status = claim["status"].clone();
            status["phase"] = "Lost".into();
            common::write_status(context.client, gvr::PERSISTENT_VOLUME_CLAIMS, claim, &status);
        }
        return;
    }
    if claim["status"]["phase"] == "Lost" {
        return;
    }
    let (claim, class) = class_of(context, claim);
    if let Some(volume) = suitable(context, &claim) {
        let waits = class.as_ref().is_some_and(|class| class["volumeBindingMode"] == "WaitForFirstConsumer");
        if !waits || object::annotation(&claim, SELECTED_NODE).is_some() || !text(&claim["spec"]["volumeName"]).is_empty() {
            bind(context, &claim, &volume);
            return;
        }
    }
    let Some(class) = class else {
        if text(&claim["spec"]["storageClassName"]).is_empty() {
            let message = "no persistent volumes available for this claim and no storage class is set";
            say_once(context, &claim, &Event::normal(COMPONENT, "FailedBinding", message));
        } else {
            let message = format!("storageclass.storage.k8s.io {:?} not found", text(&claim["spec"]["storageClassName"]));
            say_once(context, &claim, &Event::warning(COMPONENT, "ProvisioningFailed", message));
        }
        return;
    };
    let node = object::annotation(&claim, SELECTED_NODE);
    if class["volumeBindingMode"] == "WaitForFirstConsumer" && node.is_none() {
        let consumer = pods.iter().find(|pod| uses(pod, &claim) && common::is_pod_active(pod));
        let event = match consumer {
            None => Event::normal(COMPONENT, "WaitForFirstConsumer", "waiting for first consumer to be created before binding"),
            Some(pod) => Event::normal(COMPONENT, "WaitForPodScheduled", format!("waiting for pod {} to be scheduled", object::name(pod))),
        };
        say_once(context, &claim, &event);
        return;
    }
    let provisioner = text(&class["provisioner"]);
    if provisioner == LOCAL_PATH {
        provision(context, &claim, &class, node);
    } else if provisioner != "kubernetes.io/no-provisioner" {
        let message = format!(
            "Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually by the system administrator. \
             If volume creation is delayed, please verify that the provisioner is running and correctly registered."
        );
        say_once(context, &claim, &Event::normal(COMPONENT, "ExternalProvisioning", message));
    }
}

fn say_once(context: &Context<'_>, claim: &Value, event: &Event<'_>) {
    let said = context.client.list(gvr::EVENTS, Some(object::namespace(claim))).iter().any(|other| {
        other["involvedObject"]["uid"] == claim["metadata"]["uid"] && other["reason"] == event.reason && other["message"] == event.message
    });
    if !said {
        events::record(context, claim, event);
    }
}

fn storage(object: &Value, path: &str) -> i128 {
    let quantity =
        if path == "capacity" { &object["spec"]["capacity"]["storage"] } else { &object["spec"]["resources"]["requests"]["storage"] };
    Quantity::parse(text(quantity)).map_or(0, |quantity| quantity.nano)
}

/// The smallest free volume that satisfies the claim; one that was reserved for it first.
fn suitable(context: &Context<'_>, claim: &Value) -> Option<Arc<Value>> {
    let selector = claim["spec"]["selector"].is_object().then(|| LabelSelector::from_object(&claim["spec"]["selector"]).ok()).flatten();
    let named = text(&claim["spec"]["volumeName"]);
    let modes: BTreeSet<_> = items(&claim["spec"]["accessModes"]).iter().map(text).collect();
    let is_for = |volume: &Value| {
        let reserved = &volume["spec"]["claimRef"];
        reserved.is_null()
            || (reserved["name"] == claim["metadata"]["name"]
                && reserved["namespace"] == claim["metadata"]["namespace"]
                && (reserved["uid"].is_null() || reserved["uid"] == claim["metadata"]["uid"]))
    };
    context
        .client
        .list(gvr::PERSISTENT_VOLUMES, None)
        .into_iter()
        .filter(|volume| !object::is_terminating(volume) && is_for(volume))
        .filter(|volume| named.is_empty() || named == object::name(volume))
        .filter(|volume| text(&volume["spec"]["storageClassName"]) == text(&claim["spec"]["storageClassName"]))
        .filter(|volume| {
            volume["spec"]["volumeMode"].as_str().unwrap_or("Filesystem") == claim["spec"]["volumeMode"].as_str().unwrap_or("Filesystem")
        })
        .filter(|volume| modes.iter().all(|mode| items(&volume["spec"]["accessModes"]).iter().any(|other| other == mode)))
        .filter(|volume| storage(volume, "capacity") >= storage(claim, "requests"))
        .filter(|volume| selector.as_ref().is_none_or(|selector| selector.matches(object::labels(volume))))
        .min_by_key(|volume| (volume["spec"]["claimRef"].is_null(), storage(volume, "capacity"), object::name(volume).to_owned()))
}

fn bind(context: &Context<'_>, claim: &Value, volume: &Arc<Value>) {
    let mut reference = events::reference(claim);
    reference.as_object_mut().map(|reference| reference.remove("resourceVersion"));
    let bound = common::modify(context.client, gvr::PERSISTENT_VOLUMES, volume, |changed| {
        let ours = changed["spec"]["claimRef"].is_null();
        changed["spec"]["claimRef"] = reference;
        if ours {
            annotate(changed, BOUND_BY_CONTROLLER, "yes");
        }
    });
    let Some(volume) = bound else { return };
    common::write_status(context.client, gvr::PERSISTENT_VOLUMES, &volume, &phase(&volume, "Bound"));
    let bound = common::modify(context.client, gvr::PERSISTENT_VOLUME_CLAIMS, claim, |changed| {
        if text(&changed["spec"]["volumeName"]).is_empty() {
            changed["spec"]["volumeName"] = object::name(&volume).into();
            annotate(changed, BOUND_BY_CONTROLLER, "yes");
        }
        annotate(changed, BIND_COMPLETED, "yes");
    });
    if let Some(claim) = bound {
        let status = json!({"phase": "Bound", "accessModes": volume["spec"]["accessModes"], "capacity": {"storage": volume["spec"]["capacity"]["storage"]}});
        common::write_status(context.client, gvr::PERSISTENT_VOLUME_CLAIMS, &claim, &status);
    }
}

fn phase(volume: &Value, phase: &str) -> Value {
    let mut status = if volume["status"].is_object() { volume["status"].clone() } else { json!({}) };
    status["phase"] = phase.into();
    status
}

fn annotate(object: &mut Value, key: &str, value: &str) {
    if !object["metadata"]["annotations"].is_object() {
        object["metadata"]["annotations"] = json!({});
    }
    object["metadata"]["annotations"][key] = value.into();
}

fn provision(context: &Context<'_>, claim: &Arc<Value>, class: &Value, node: Option<&str>) {
    let name = format!("pvc-{}", object::uid(claim));
    if context.client.get(gvr::PERSISTENT_VOLUMES, "", &name).is_some() {
        return;
    }
    let component = "rancher.io/local-path_local-path-provisioner";
    let message = format!("External provisioner is provisioning volume for claim {:?}", common::key(claim));
    events::record(context, claim, &Event::normal(component, "Provisioning", message));
    let Some(node) = node else {
        let message = "failed to provision volume with StorageClass \"".to_owned()
            + object::name(class)
            + "\": configuration error, no node was specified";
        say_once(context, claim, &Event::warning(component, "ProvisioningFailed", message));
        return;
    };
    let path = format!("/var/local-path-provisioner/{name}_{}_{}", object::namespace(claim), object::name(claim));
    let mut reference = events::reference(claim);
    reference.as_object_mut().map(|reference| reference.remove("resourceVersion"));
    let volume = json!({
        "apiVersion": "v1", "kind": "PersistentVolume",
        "metadata": {
            "name": name, "finalizers": [VOLUME_PROTECTION],
            "annotations": {"pv.kubernetes.io/provisioned-by": LOCAL_PATH, "local.path.provisioner/selected-node": node},
        },
        "spec": {
            "accessModes": claim["spec"]["accessModes"], "capacity": {"storage": claim["spec"]["resources"]["requests"]["storage"]},
            "claimRef": reference, "hostPath": {"path": path, "type": "DirectoryOrCreate"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}]}},
            "persistentVolumeReclaimPolicy": class["reclaimPolicy"].as_str().unwrap_or("Delete"),
            "storageClassName": object::name(class), "volumeMode": claim["spec"]["volumeMode"].as_str().unwrap_or("Filesystem"),
        },
    });
    if common::tolerate("provisioning a volume", context.client.create(gvr::PERSISTENT_VOLUMES, volume)).is_some() {
        common::modify(context.client, gvr::PERSISTENT_VOLUME_CLAIMS, claim, |changed| {
            annotate(changed, "volume.beta.kubernetes.io/storage-provisioner", LOCAL_PATH);
            annotate(changed, "volume.kubernetes.io/storage-provisioner", LOCAL_PATH);
        });
        let message = format!("Successfully provisioned volume {name}");
        events::record(context, claim, &Event::normal(component, "ProvisioningSucceeded", message));
    }
}

fn uses(pod: &Value, claim: &Value) -> bool {
    object::namespace(pod) == object::namespace(claim)
        && items(&pod["spec"]["volumes"]).iter().any(|volume| {
            volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
                || (volume["ephemeral"].is_object() && format!("{}-{}", object::name(pod), text(&volume["name"])) == object::name(claim))
        })
}

/// A claim that is in use stays until its last pod has ended.
fn release_claim(context: &Context<'_>, claim: &Arc<Value>, pods: &[Arc<Value>]) {
    let held = items(&claim["metadata"]["finalizers"]).iter().any(|finalizer| finalizer == CLAIM_PROTECTION);
    let in_use = pods.iter().any(|pod| uses(pod, claim) && !common::is_pod_finished(pod) && !text(&pod["spec"]["nodeName"]).is_empty());
    if held && !in_use {
        remove_finalizer(context, gvr::PERSISTENT_VOLUME_CLAIMS, claim, CLAIM_PROTECTION);
    }
}

fn remove_finalizer(context: &Context<'_>, gvr: machinery::Gvr, object: &Value, finalizer: &str) {
    common::modify(context.client, gvr, object, |changed| {
        let kept: Vec<_> = items(&changed["metadata"]["finalizers"]).iter().filter(|name| *name != finalizer).cloned().collect();
        if kept.is_empty() {
            changed["metadata"].as_object_mut().map(|metadata| metadata.remove("finalizers"));
        } else {
            changed["metadata"]["finalizers"] = kept.into();
        }
    });
}

fn sync_volume(context: &Context<'_>, volume: &Arc<Value>) {
    let reference = &volume["spec"]["claimRef"];
    let claim = context
        .client
        .get(gvr::PERSISTENT_VOLUME_CLAIMS, text(&reference["namespace"]), text(&reference["name"]))
        .filter(|claim| reference["uid"].is_null() || claim["metadata"]["uid"] == reference["uid"]);
    if object::is_terminating(volume) {
        let held = items(&volume["metadata"]["finalizers"]).iter().any(|finalizer| finalizer == VOLUME_PROTECTION);
        if held && claim.is_none() {
            remove_finalizer(context, gvr::PERSISTENT_VOLUMES, volume, VOLUME_PROTECTION);
        }
        return;
    }
    let next = match (reference.is_null(), &claim) {
        (true, _) => "Available",
        (false, Some(claim)) if claim["spec"]["volumeName"] == volume["metadata"]["name"] => "Bound",
        (false, Some(_)) => "Available",
        (false, None) if reference["uid"].is_null() => "Available",
        (false, None) => "Released",
    };
    if text(&volume["status"]["phase"]) != next {
        common::write_status(context.client, gvr::PERSISTENT_VOLUMES, volume, &phase(volume, next));
    }
    if next == "Released" && volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete" {
        common::tolerate("deleting a released volume", common::delete(context.client, gvr::PERSISTENT_VOLUMES, volume));
    }
}
