//! DaemonSets: one pod on each node that wants it (k8s.io/kubernetes/pkg/controller/daemon).

use super::{
    common::{self, Backoff, claim, concerns, int, items, put_count, text},
    history::{self, History},
};
use crate::{
    events::{self, Event},
    scheduler,
    step::{Context, Controller},
};
use apiserver::Change;
use machinery::{dump, gvr, object};
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};

const COMPONENT: &str = "daemonset-controller";
const HASH: &str = "controller-revision-hash";
const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

/// Taints that a daemon's pods bear, whatever their template says: key, effect, only with the host's network.
const TOLERATED: [(&str, &str, bool); 7] = [
    ("node.kubernetes.io/not-ready", "NoExecute", false),
    ("node.kubernetes.io/unreachable", "NoExecute", false),
    ("node.kubernetes.io/disk-pressure", "NoSchedule", false),
    ("node.kubernetes.io/memory-pressure", "NoSchedule", false),
    ("node.kubernetes.io/pid-pressure", "NoSchedule", false),
    ("node.kubernetes.io/unschedulable", "NoSchedule", false),
    ("node.kubernetes.io/network-unavailable", "NoSchedule", true),
];

#[derive(Debug, Default)]
pub struct DaemonSetController {
    backoff: Backoff,
}

impl Controller for DaemonSetController {
    fn name(&self) -> &'static str {
        COMPONENT
    }

    fn interested(&self, change: &Change) -> bool {
        concerns(change, &[gvr::DAEMON_SETS, gvr::PODS, gvr::NODES, gvr::CONTROLLER_REVISIONS])
    }

    fn reconcile(&mut self, context: &mut Context<'_>) {
        let sets = context.client.list(gvr::DAEMON_SETS, None);
        if sets.is_empty() {
            return;
        }
        let nodes = context.client.list(gvr::NODES, None);
        let pods = common::pods_by_namespace(context.client);
        let none = Vec::new();
        for set in &sets {
            self.sync(context, set, &nodes, pods.get(object::namespace(set)).unwrap_or(&none));
        }
        self.backoff.keep(|uid| sets.iter().any(|set| object::uid(set) == uid));
    }
}

impl DaemonSetController {
    fn sync(&mut self, context: &mut Context<'_>, set: &Arc<Value>, nodes: &[Arc<Value>], candidates: &[Arc<Value>]) {
        if object::is_terminating(set) {
            return;
        }
        let collisions = set["status"]["collisionCount"].as_i64();
        let hash = |_: &Value| dump::pod_template_hash(&set["spec"]["template"], collisions);
        let Some(history) = history::sync(context, set, HASH, hash) else { return };
        let hash = history::hash_of(&history.current, HASH).to_owned();
        let pods = claim(context.client, gvr::PODS, set, candidates);
        let mut on_node: BTreeMap<&str, Vec<&Arc<Value>>> = BTreeMap::new();
        for pod in &pods {
            on_node.entry(node_of(pod)).or_default().push(pod);
        }
        self.manage(context, set, &hash, nodes, &on_node);
        roll(context, set, &hash, nodes, &on_node);
        report(context, set, &hash, nodes, &on_node);
        let live = |revision: &Value| pods.iter().any(|pod| text(&pod["metadata"]["labels"][HASH]) == history::hash_of(revision, HASH));
        tidy(context, set, &history, live);
    }

    fn manage(
        &mut self,
        context: &mut Context<'_>,
        set: &Arc<Value>,
        hash: &str,
        nodes: &[Arc<Value>],
        on_node: &BTreeMap<&str, Vec<&Arc<Value>>>,
    ) {
        let mut missing = Vec::new();
        let mut surplus: Vec<Arc<Value>> = Vec::new();
        for node in nodes {
            let (runs, continues) = should_run(set, node);
            let pods = on_node.get(object::name(node)).map_or(&[][..], Vec::as_slice);
            let (finished, rest): (Vec<&Arc<Value>>, Vec<&Arc<Value>>) = pods.iter().copied().partition(|pod| common::is_pod_finished(pod));
            let alive: Vec<_> = rest.into_iter().filter(|pod| !object::is_terminating(pod)).collect();
            if runs && pods.is_empty() {
                missing.push(object::name(node));
            } else if continues {
                for pod in finished.into_iter().filter(|pod| !object::is_terminating(pod)) {
                    let (kind, reason) = if pod["status"]["phase"] == "Failed" {
                        ("failed", "FailedDaemonPod")
                    } else {
                        ("succeeded", "SucceededDaemonPod")
                    };
                    let message =
                        format!("Found {kind} daemon pod {} on node {}, will try to kill it", common::key(pod), object::name(node));
                    let event = if kind == "failed" {
                        Event::warning(COMPONENT, reason, message)
                    } else {
                        Event::normal(COMPONENT, reason, message)
                    };
                    events::record(context, set, &event);
                    surplus.push(Arc::clone(pod));
                }
                if set["spec"]["updateStrategy"]["rollingUpdate"]["maxSurge"].as_i64().unwrap_or(0) == 0 {
                    let mut alive = alive;
                    alive.sort_by_key(|pod| common::created_at(pod));
                    surplus.extend(alive.into_iter().skip(1).map(Arc::clone));
                }
            } else {
                surplus.extend(alive.into_iter().map(Arc::clone));
            }
        }
        for (name, pods) in on_node {
            if !nodes.iter().any(|node| object::name(node) == *name) {
                surplus.extend(pods.iter().filter(|pod| !object::is_terminating(pod)).copied().map(Arc::clone));
            }
        }
        for pod in surplus {
            remove(context, set, &pod);
        }
        if missing.is_empty() || !self.backoff.ready(context, object::uid(set)) {
            return;
        }
        for node in missing {
            if let Err(error) = context.client.create(gvr::PODS, pod_for(set, hash, node)) {
                if text(&error.details["causes"][0]["reason"]) != "NamespaceTerminating" {
                    let message = format!("Error creating: {error}");
                    events::record(context, set, &Event::warning(COMPONENT, "FailedCreate", message));
                    self.backoff.failed(context, object::uid(set));
                }
                return;
            } else if let Some(pod) = newest(context, set, node) {
                let message = format!("Created pod: {}", object::name(&pod));
                events::record(context, set, &Event::normal(COMPONENT, "SuccessfulCreate", message));
            }
        }
        self.backoff.succeeded(object::uid(set));
    }
}

/// The pod that was just made for `node`.
fn newest(context: &Context<'_>, set: &Value, node: &str) -> Option<Arc<Value>> {
    let pods = context.client.list(gvr::PODS, Some(object::namespace(set)));
    pods.into_iter()
        .filter(|pod| common::is_controlled_by(pod, set) && node_of(pod) == node && !object::is_terminating(pod))
        .max_by_key(|pod| object::resource_version(pod))
}

fn remove(context: &Context<'_>, set: &Value, pod: &Value) {
    if common::tolerate("deleting a pod of a DaemonSet", common::delete(context.client, gvr::PODS, pod)).is_some() {
        let message = format!("Deleted pod: {}", object::name(pod));
        events::record(context, set, &Event::normal(COMPONENT, "SuccessfulDelete", message));
    }
}

/// The node that a pod is on, or was made for.
fn node_of(pod: &Value) -> &str {
    if let Some(node) = pod["spec"]["nodeName"].as_str().filter(|node| !node.is_empty()) {
        return node;
    }
    let terms = &pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"];
    items(terms)
        .iter()
        .flat_map(|term| items(&term["matchFields"]))
        .find(|field| field["key"] == "metadata.name")
        .map_or("", |field| text(&field["values"][0]))
}

/// Whether a pod should be made on the node, and whether one that is there may stay.
fn should_run(set: &Value, node: &Value) -> (bool, bool) {
    let mut pod = json!({"spec": set["spec"]["template"]["spec"]});
    add_tolerations(&mut pod);
    let labels = object::labels(node);
    let selected = pod["spec"]["nodeSelector"]
        .as_object()
        .is_none_or(|wanted| wanted.iter().all(|(key, value)| labels.and_then(|labels| labels.get(key)) == Some(value)));
    let required = &pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    let named = pod["spec"]["nodeName"].as_str().is_none_or(|name| name.is_empty() || name == object::name(node));
    if !named || !selected || (required.is_object() && !scheduler::node_selector_matches(required, node)) {
        return (false, false);
    }
    let taints = items(&node["spec"]["taints"]);
    let untolerated = |effect: &str| taints.iter().any(|taint| taint["effect"] == effect && !scheduler::tolerates(&pod, taint));
    (!untolerated("NoSchedule") && !untolerated("NoExecute"), !untolerated("NoExecute"))
}

fn add_tolerations(pod: &mut Value) {
    let mut tolerations = items(&pod["spec"]["tolerations"]).to_vec();
    let host_network = pod["spec"]["hostNetwork"] == true;
    for (key, effect, only_host_network) in TOLERATED {
        let toleration = json!({"key": key, "operator": "Exists", "effect": effect});
        if (!only_host_network || host_network) && !tolerations.contains(&toleration) {
            tolerations.push(toleration);
        }
    }
    pod["spec"]["tolerations"] = tolerations.into();
}

fn pod_for(set: &Value, hash: &str, node: &str) -> Value {
    let mut pod = common::pod_from_template(set, &set["spec"]["template"]);
    let generation = object::annotation(set, TEMPLATE_GENERATION).unwrap_or("1");
    pod["metadata"]["labels"]["pod-template-generation"] = generation.into();
    pod["metadata"]["labels"][HASH] = hash.into();
    add_tolerations(&mut pod);
    let this_node = json!({"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]});
    let required = &mut pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    // Labels have been judged when the node was chosen: the name says it all.
    *required = json!({"nodeSelectorTerms": [this_node]});
    pod
}

fn is_updated(pod: &Value, hash: &str) -> bool {
    text(&pod["metadata"]["labels"][HASH]) == hash
}

/// RollingUpdate: old pods go while no more than `maxUnavailable` nodes are without a daemon; with `maxSurge` the new ones come first.
fn roll(context: &mut Context<'_>, set: &Arc<Value>, hash: &str, nodes: &[Arc<Value>], on_node: &BTreeMap<&str, Vec<&Arc<Value>>>) {
    if set["spec"]["updateStrategy"]["type"] == "OnDelete" {
        return;
    }
    let wanting: Vec<_> = nodes.iter().filter(|node| should_run(set, node).0).collect();
    let desired = i64::try_from(wanting.len()).unwrap_or(i64::MAX);
    let rolling = &set["spec"]["updateStrategy"]["rollingUpdate"];
    let surge = common::scaled(&rolling["maxSurge"], desired, true);
    let mut unavailable_allowed = common::scaled(&rolling["maxUnavailable"], desired, true);
    if unavailable_allowed == 0 && surge == 0 {
        unavailable_allowed = 1;
    }
    let min_ready = int(&set["spec"]["minReadySeconds"], 0);
    let mut unavailable = 0;
    let mut replaceable = Vec::new();
    let mut to_surge = Vec::new();
    let mut surging = 0;
    for node in &wanting {
        let pods: Vec<_> =
            on_node.get(object::name(node)).into_iter().flatten().filter(|pod| !object::is_terminating(pod)).copied().collect();
        let new = pods.iter().find(|pod| is_updated(pod, hash));
        let old = pods.iter().find(|pod| !is_updated(pod, hash));
        let available = |context: &mut Context<'_>, pod: &Value| common::is_available(context, pod, min_ready);
        match (old, new) {
            (None, None) => unavailable += 1,
            (None, Some(new)) => unavailable += i64::from(!available(context, new)),
            (Some(old), None) if surge > 0 => {
                if available(context, old) {
                    to_surge.push(object::name(node).to_owned())
                } else {
                    replaceable.insert(0, Arc::clone(old))
                }
            }
            (Some(old), None) => {
                if available(context, old) {
                    replaceable.push(Arc::clone(old));
                } else {
                    // What does not work anyway may go at once.
                    remove(context, set, old);
                    unavailable += 1;
                }
            }
            (Some(old), Some(new)) => {
                surging += 1;
                if available(context, new) || !available(context, old) {
                    remove(context, set, old);
                }
            }
        }
    }
    if surge > 0 {
        for pod in replaceable {
            remove(context, set, &pod);
        }
        for node in to_surge.iter().take(usize::try_from(surge - surging).unwrap_or(0)) {
            if common::tolerate("creating a surge pod", context.client.create(gvr::PODS, pod_for(set, hash, node))).is_some()
                && let Some(pod) = newest(context, set, node)
            {
                let message = format!("Created pod: {}", object::name(&pod));
                events::record(context, set, &Event::normal(COMPONENT, "SuccessfulCreate", message));
            }
        }
        return;
    }
    let budget = usize::try_from(unavailable_allowed - unavailable).unwrap_or(0);
    for pod in replaceable.into_iter().take(budget) {
        remove(context, set, &pod);
    }
}

fn report(context: &mut Context<'_>, set: &Arc<Value>, hash: &str, nodes: &[Arc<Value>], on_node: &BTreeMap<&str, Vec<&Arc<Value>>>) {
    let min_ready = int(&set["spec"]["minReadySeconds"], 0);
    let (mut desired, mut current, mut misscheduled, mut ready, mut available, mut updated) = (0, 0, 0, 0, 0, 0);
    for node in nodes {
        let pods: Vec<_> = on_node.get(object::name(node)).into_iter().flatten().copied().collect();
        if !should_run(set, node).0 {
            misscheduled += i64::from(!pods.is_empty());
            continue;
        }
        desired += 1;
        let Some(pod) = pods.iter().min_by_key(|pod| (!common::is_pod_ready(pod), common::created_at(pod))) else { continue };
        current += 1;
        if common::is_pod_ready(pod) {
            ready += 1;
            available += i64::from(common::is_available(context, pod, min_ready));
        }
        updated += i64::from(pods.iter().any(|pod| is_updated(pod, hash)));
    }
    let mut status = json!({
        "currentNumberScheduled": current, "desiredNumberScheduled": desired, "numberMisscheduled": misscheduled, "numberReady": ready,
    });
    put_count(&mut status, "numberAvailable", available);
    put_count(&mut status, "numberUnavailable", desired - available);
    put_count(&mut status, "updatedNumberScheduled", updated);
    put_count(&mut status, "observedGeneration", int(&set["metadata"]["generation"], 0));
    if let Some(collisions) = set["status"]["collisionCount"].as_i64() {
        status["collisionCount"] = collisions.into();
    }
    common::write_status(context.client, gvr::DAEMON_SETS, set, &status);
}

fn tidy(context: &Context<'_>, set: &Value, history: &History, live: impl Fn(&Value) -> bool) {
    history::truncate(context, history, int(&set["spec"]["revisionHistoryLimit"], 10), live);
}
