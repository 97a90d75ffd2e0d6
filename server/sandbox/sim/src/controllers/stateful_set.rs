//! StatefulSets: pods with names, an order and volumes of their own (k8s.io/kubernetes/pkg/controller/statefulset).

use super::{
    common::{self, claim, concerns, int, items, put_count, text},
    history,
};
use crate::{
    events::{self, Event},
    step::{Context, Controller},
};
use apiserver::Change;
use machinery::{ApiError, dump, gvr, object};
use serde_json::{Value, json};
use std::sync::Arc;

const COMPONENT: &str = "statefulset-controller";
/// On pods.
const REVISION: &str = "controller-revision-hash";
/// On ControllerRevisions.
const HASH: &str = "controller.kubernetes.io/hash";

#[derive(Debug, Default)]
pub struct StatefulSetController {
    backoff: common::Backoff,
}

impl Controller for StatefulSetController {
    fn name(&self) -> &'static str {
        COMPONENT
    }

    fn interested(&self, change: &Change) -> bool {
        concerns(change, &[gvr::STATEFUL_SETS, gvr::PODS, gvr::CONTROLLER_REVISIONS, gvr::PERSISTENT_VOLUME_CLAIMS])
    }

    fn reconcile(&mut self, context: &mut Context<'_>) {
        let sets = context.client.list(gvr::STATEFUL_SETS, None);
        if sets.is_empty() {
            return;
        }
        let pods = common::pods_by_namespace(context.client);
        let none = Vec::new();
        for set in &sets {
            self.sync(context, set, pods.get(object::namespace(set)).unwrap_or(&none));
        }
        self.backoff.keep(|uid| sets.iter().any(|set| object::uid(set) == uid));
    }
}

/// The number at the end of a pod's name.
fn ordinal(set: &Value, pod: &Value) -> Option<i64> {
    object::name(pod).strip_prefix(object::name(set))?.strip_prefix('-')?.parse().ok()
}

fn first_ordinal(set: &Value) -> i64 {
    int(&set["spec"]["ordinals"]["start"], 0)
}

impl StatefulSetController {
    fn sync(&mut self, context: &mut Context<'_>, set: &Arc<Value>, candidates: &[Arc<Value>]) {
        let named: Vec<_> = candidates.iter().filter(|pod| ordinal(set, pod).is_some()).cloned().collect();
        let pods = claim(context.client, gvr::PODS, set, &named);
        if object::is_terminating(set) {
            return;
        }
        let collisions = int(&set["status"]["collisionCount"], 0);
        let Some(history) = history::sync(context, set, HASH, |data| dump::revision_hash(data, collisions)) else { return };
        let update = object::name(&history.current).to_owned();
        let current = history
            .all
            .iter()
            .map(|revision| object::name(revision))
            .find(|name| *name == text(&set["status"]["currentRevision"]))
            .unwrap_or(&update)
            .to_owned();
        let current_template = history
            .all
            .iter()
            .find(|revision| object::name(revision) == current)
            .map_or(&set["spec"]["template"], |revision| &revision["data"]["spec"]["template"])
            .clone();
        let work = Work { set, pods: &pods, update: &update, current: &current, current_template: &current_template };
        work.scale(context, &mut self.backoff);
        work.report(context);
        let live = |revision: &Value| {
            pods.iter().any(|pod| text(&pod["metadata"]["labels"][REVISION]) == object::name(revision)) || object::name(revision) == current
        };
        history::truncate(context, &history, int(&set["spec"]["revisionHistoryLimit"], 10), live);
    }
}

#[derive(Debug)]
struct Work<'a> {
    set: &'a Arc<Value>,
    pods: &'a [Arc<Value>],
    update: &'a str,
    current: &'a str,
    current_template: &'a Value,
}

impl Work<'_> {
    fn replicas(&self) -> i64 {
        int(&self.set["spec"]["replicas"], 1)
    }

    fn is_parallel(&self) -> bool {
        self.set["spec"]["podManagementPolicy"] == "Parallel"
    }

    fn min_ready(&self) -> i64 {
        int(&self.set["spec"]["minReadySeconds"], 0)
    }

    fn partition(&self) -> i64 {
        int(&self.set["spec"]["updateStrategy"]["rollingUpdate"]["partition"], 0)
    }

    fn pod(&self, number: i64) -> Option<&Arc<Value>> {
        self.pods.iter().find(|pod| ordinal(self.set, pod) == Some(number))
    }

    /// One step: in order, each waits for those before it; in parallel, all at once.
    fn scale(&self, context: &mut Context<'_>, backoff: &mut common::Backoff) {
        let start = first_ordinal(self.set);
        let end = start + self.replicas();
        for number in start..end {
            match self.pod(number) {
                None => {
                    if !backoff.ready(context, object::uid(self.set)) {
                        return;
                    }
                    match self.create(context, number) {
                        Ok(()) => backoff.succeeded(object::uid(self.set)),
                        Err(error) => {
                            if text(&error.details["causes"][0]["reason"]) != "NamespaceTerminating" {
                                backoff.failed(context, object::uid(self.set));
                            }
                            return;
                        }
                    }
                    if !self.is_parallel() {
                        return;
                    }
                }
                Some(pod) if common::is_pod_finished(pod) && !object::is_terminating(pod) => {
                    // A pod that ended is made anew under its name.
                    let message =
                        format!("StatefulSet {} is recreating {} Pod {}", common::key(self.set), kind_of_end(pod), object::name(pod));
                    let reason = if pod["status"]["phase"] == "Failed" { "RecreatingFailedPod" } else { "RecreatingTerminatedPod" };
                    let event = if reason == "RecreatingFailedPod" {
                        Event::warning(COMPONENT, reason, message)
                    } else {
                        Event::normal(COMPONENT, reason, message)
                    };
                    events::record(context, self.set, &event);
                    self.delete(context, pod);
                    if !self.is_parallel() {
                        return;
                    }
                }
                Some(pod) => {
                    let settled = !object::is_terminating(pod) && common::is_available(context, pod, self.min_ready());
                    if !settled && !self.is_parallel() {
                        return;
                    }
                }
            }
        }
        let mut surplus: Vec<_> = self
            .pods
            .iter()
            .filter_map(|pod| ordinal(self.set, pod).filter(|number| *number < start || *number >= end).map(|number| (number, pod)))
            .collect();
        surplus.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
        if !surplus.is_empty() {
            for (_, pod) in surplus {
                if !object::is_terminating(pod) {
                    self.delete(context, pod);
                }
                if !self.is_parallel() {
                    return;
                }
            }
            return;
        }
        self.roll(context, start, end);
    }

    /// From the highest number down to the partition, one at a time.
    fn roll(&self, context: &mut Context<'_>, start: i64, end: i64) {
        if self.set["spec"]["updateStrategy"]["type"] == "OnDelete" {
            return;
        }
        for number in (start.max(start + self.partition())..end).rev() {
            let Some(pod) = self.pod(number) else { return };
            if object::is_terminating(pod) {
                return;
            }
            if text(&pod["metadata"]["labels"][REVISION]) != self.update {
                self.delete(context, pod);
                return;
            }
            if !common::is_available(context, pod, self.min_ready()) {
                return;
            }
        }
    }

    fn delete(&self, context: &Context<'_>, pod: &Value) {
        let name = object::name(pod);
        let set = object::name(self.set);
        match common::delete(context.client, gvr::PODS, pod) {
            Ok(()) => {
                let message = format!("delete Pod {name} in StatefulSet {set} successful");
                events::record(context, self.set, &Event::normal(COMPONENT, "SuccessfulDelete", message));
            }
            Err(error) => {
                let message = format!("delete Pod {name} in StatefulSet {set} failed error: {error}");
                events::record(context, self.set, &Event::warning(COMPONENT, "FailedDelete", message));
            }
        }
    }

    fn create(&self, context: &Context<'_>, number: i64) -> Result<(), ApiError> {
        let set = object::name(self.set);
        let name = format!("{set}-{number}");
        for template in items(&self.set["spec"]["volumeClaimTemplates"]) {
            self.create_claim(context, template, &name)?;
        }
        // Below the partition a pod comes back as it was; above it, as it shall be.
        let below = number < first_ordinal(self.set) + self.partition();
        let (template, revision) = if below || (self.current != self.update && self.set["spec"]["updateStrategy"]["type"] == "OnDelete") {
            (self.current_template, self.current)
        } else {
            (&self.set["spec"]["template"], self.update)
        };
        let mut pod = common::pod_from_template(self.set, template);
        pod["metadata"]["name"] = name.as_str().into();
        pod["metadata"]["labels"]["statefulset.kubernetes.io/pod-name"] = name.as_str().into();
        pod["metadata"]["labels"]["apps.kubernetes.io/pod-index"] = number.to_string().into();
        pod["metadata"]["labels"][REVISION] = revision.into();
        pod["spec"]["hostname"] = name.as_str().into();
        if let Some(service) = self.set["spec"]["serviceName"].as_str().filter(|service| !service.is_empty()) {
            pod["spec"]["subdomain"] = service.into();
        }
        self.mount_claims(&mut pod, &name);
        match context.client.create(gvr::PODS, pod) {
            Ok(_) => {
                let message = format!("create Pod {name} in StatefulSet {set} successful");
                events::record(context, self.set, &Event::normal(COMPONENT, "SuccessfulCreate", message));
                Ok(())
            }
            Err(error) => {
                let message = format!("create Pod {name} in StatefulSet {set} failed error: {error}");
                events::record(context, self.set, &Event::warning(COMPONENT, "FailedCreate", message));
                Err(error)
            }
        }
    }

    fn create_claim(&self, context: &Context<'_>, template: &Value, pod: &str) -> Result<(), ApiError> {
        let volume = object::name(template);
        let name = format!("{volume}-{pod}");
        if context.client.get(gvr::PERSISTENT_VOLUME_CLAIMS, object::namespace(self.set), &name).is_some() {
            return Ok(());
        }
        let mut metadata = json!({"name": name, "namespace": object::namespace(self.set)});
        let mut labels = template["metadata"]["labels"].as_object().cloned().unwrap_or_default();
        if let Some(selector) = self.set["spec"]["selector"]["matchLabels"].as_object() {
            labels.extend(selector.clone());
        }
        metadata["labels"] = labels.into();
        if template["metadata"]["annotations"].is_object() {
            metadata["annotations"] = template["metadata"]["annotations"].clone();
        }
        let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": template["spec"]});
        let set = object::name(self.set);
        match context.client.create(gvr::PERSISTENT_VOLUME_CLAIMS, claim) {
            Ok(_) => {
                let message = format!("create Claim {name} Pod {pod} in StatefulSet {set} success");
                events::record(context, self.set, &Event::normal(COMPONENT, "SuccessfulCreate", message));
                Ok(())
            }
            Err(error) => {
                let message = format!("create Claim {name} for Pod {pod} in StatefulSet {set} failed error: {error}");
                events::record(context, self.set, &Event::warning(COMPONENT, "FailedCreate", message));
                Err(error)
            }
        }
    }

    fn mount_claims(&self, pod: &mut Value, name: &str) {
        let templates = items(&self.set["spec"]["volumeClaimTemplates"]);
        if templates.is_empty() {
            return;
        }
        let mut volumes: Vec<_> = templates
            .iter()
            .map(|template| json!({"name": object::name(template), "persistentVolumeClaim": {"claimName": format!("{}-{name}", object::name(template))}}))
            .collect();
        let others =
            items(&pod["spec"]["volumes"]).iter().filter(|volume| !templates.iter().any(|t| t["metadata"]["name"] == volume["name"]));
        volumes.extend(others.cloned());
        pod["spec"]["volumes"] = volumes.into();
    }

    fn report(&self, context: &mut Context<'_>) {
        let created: Vec<_> = self.pods.iter().filter(|pod| !common::is_pod_finished(pod)).collect();
        let of = |revision: &str| {
            let matching =
                created.iter().filter(|pod| text(&pod["metadata"]["labels"][REVISION]) == revision && !object::is_terminating(pod));
            i64::try_from(matching.count()).unwrap_or(i64::MAX)
        };
        let ready = created.iter().filter(|pod| common::is_pod_ready(pod)).count() as i64;
        let min_ready = self.min_ready();
        let available = created.iter().filter(|pod| common::is_available(context, pod, min_ready)).count() as i64;
        let updated = of(self.update);
        // When every replica is of the new revision and ready, the new one becomes the current one.
        let complete =
            updated == self.replicas() && ready == self.replicas() && created.len() as i64 == self.replicas() && self.partition() == 0;
        let current = if complete { self.update } else { self.current };
        let mut status = json!({"replicas": created.len(), "availableReplicas": available});
        put_count(&mut status, "readyReplicas", ready);
        put_count(&mut status, "currentReplicas", of(current));
        put_count(&mut status, "updatedReplicas", updated);
        put_count(&mut status, "observedGeneration", int(&self.set["metadata"]["generation"], 0));
        status["currentRevision"] = current.into();
        status["updateRevision"] = self.update.into();
        status["collisionCount"] = int(&self.set["status"]["collisionCount"], 0).into();
        common::write_status(context.client, gvr::STATEFUL_SETS, self.set, &status);
    }
}

fn kind_of_end(pod: &Value) -> &'static str {
    if pod["status"]["phase"] == "Failed" { "failed" } else { "terminated" }
}
