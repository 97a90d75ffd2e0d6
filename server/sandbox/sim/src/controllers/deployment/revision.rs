//! Which ReplicaSet is the Deployment's present template, and which number each revision has.

use super::{COMPONENT, Rollout, scale, wanted};
use crate::{
    controllers::common::{self, POD_TEMPLATE_HASH, int, items, text},
    events::{self, Event},
    step::Context,
};
use machinery::{clock, dump, gvr, object};
use serde_json::{Map, Value, json};
use std::sync::Arc;

pub const REVISION: &str = "deployment.kubernetes.io/revision";
const REVISION_HISTORY: &str = "deployment.kubernetes.io/revision-history";
pub const DESIRED_REPLICAS: &str = "deployment.kubernetes.io/desired-replicas";
pub const MAX_REPLICAS: &str = "deployment.kubernetes.io/max-replicas";

/// Annotations of a Deployment that its ReplicaSets do not take over.
const NOT_COPIED: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    REVISION_HISTORY,
    DESIRED_REPLICAS,
    MAX_REPLICAS,
    "deprecated.deployment.rollback.to",
];

/// Finds the ReplicaSet of the present template among `sets`, which are ordered by age.
pub fn split(deployment: &Arc<Value>, sets: Vec<Arc<Value>>) -> Rollout {
    let template = without_hash(&deployment["spec"]["template"]);
    let new = sets.iter().find(|set| without_hash(&set["spec"]["template"]) == template).cloned();
    let old = sets.into_iter().filter(|set| new.as_ref().is_none_or(|new| object::uid(new) != object::uid(set))).collect();
    Rollout { deployment: Arc::clone(deployment), new, old }
}

fn without_hash(template: &Value) -> Value {
    let mut template = template.clone();
    if let Some(metadata) = template["metadata"].as_object_mut() {
        metadata.remove("creationTimestamp");
        if let Some(labels) = metadata.get_mut("labels").and_then(Value::as_object_mut) {
            labels.remove(POD_TEMPLATE_HASH);
        }
    }
    template
}

pub fn revision(object: &Value) -> i64 {
    object::annotation(object, REVISION).and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Makes sure that the new ReplicaSet carries the newest revision and the Deployment's annotations; creates it where it is missing
/// and `create` is set.
pub fn find(context: &mut Context<'_>, rollout: &mut Rollout, create: bool) {
    let newest = rollout.old.iter().map(|set| revision(set)).max().unwrap_or(0) + 1;
    if let Some(new) = rollout.new.clone() {
        let min_ready = rollout.deployment["spec"]["minReadySeconds"].clone();
        let annotations = annotations(rollout, Some(&new), newest);
        rollout.new = common::modify(context.client, gvr::REPLICA_SETS, &new, |set| {
            set["metadata"]["annotations"] = Value::Object(annotations);
            if int(&set["spec"]["minReadySeconds"], 0) != int(&min_ready, 0) {
                set["spec"]["minReadySeconds"] = min_ready;
            }
        })
        .or(Some(new));
        let present = rollout.new.as_deref().map_or(newest, revision);
        set_deployment_revision(context, rollout, present);
        if common::condition(&rollout.deployment, "Progressing").is_none() {
            let name = rollout.new.as_deref().map(object::name).unwrap_or_default().to_owned();
            note(context, rollout, "FoundNewReplicaSet", &format!("Found new replica set {name:?}"));
        }
    } else if create {
        make(context, rollout, newest);
    }
}

fn make(context: &mut Context<'_>, rollout: &mut Rollout, newest: i64) {
    let deployment = Arc::clone(&rollout.deployment);
    let collisions = deployment["status"]["collisionCount"].as_i64();
    let template = without_hash(&deployment["spec"]["template"]);
    let hash = common::safe_encode(&dump::pod_template_hash(&template, collisions).to_string());
    let mut template = template;
    if template["metadata"].is_null() {
        template["metadata"] = json!({});
    }
    template["metadata"]["labels"][POD_TEMPLATE_HASH] = hash.as_str().into();
    let mut selector = deployment["spec"]["selector"].clone();
    if !selector["matchLabels"].is_object() {
        selector["matchLabels"] = json!({});
    }
    selector["matchLabels"][POD_TEMPLATE_HASH] = hash.as_str().into();
    let name = format!("{}-{hash}", object::name(&deployment));
    let mut set = json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {
            "name": name, "namespace": deployment["metadata"]["namespace"],
            "labels": template["metadata"]["labels"],
            "annotations": annotations(rollout, None, newest),
            "ownerReferences": [common::owner_reference(&deployment)],
        },
        "spec": {"replicas": 0, "selector": selector, "template": template},
    });
    if let Some(seconds) = deployment["spec"]["minReadySeconds"].as_i64().filter(|seconds| *seconds > 0) {
        set["spec"]["minReadySeconds"] = seconds.into();
    }
    set["spec"]["replicas"] = scale::new_replicas(rollout, 0).into();
    let replicas = wanted(&set);
    match context.client.create(gvr::REPLICA_SETS, set) {
        Ok(created) => {
            if replicas > 0 {
                let message = format!("Scaled up replica set {name} from 0 to {replicas}");
                events::record(context, &deployment, &Event::normal(COMPONENT, "ScalingReplicaSet", message));
            }
            rollout.new = Some(created);
            set_deployment_revision(context, rollout, newest);
            note(context, rollout, "NewReplicaSetCreated", &format!("Created new replica set {name:?}"));
        }
        Err(error) if error.reason == "AlreadyExists" => {
            // Somebody else's ReplicaSet has the name: another number of collisions gives another name.
            let taken = context.client.get(gvr::REPLICA_SETS, object::namespace(&deployment), &name);
            if taken.is_some_and(|taken| !common::is_controlled_by(&taken, &deployment)) {
                let mut status = deployment["status"].clone();
                if !status.is_object() {
                    status = json!({});
                }
                status["collisionCount"] = (collisions.unwrap_or(0) + 1).into();
                common::write_status(context.client, gvr::DEPLOYMENTS, &deployment, &status);
            }
        }
        Err(error) => {
            let message = format!("Failed to create new replica set {name:?}: {error}");
            events::record(context, &deployment, &Event::warning(COMPONENT, "ReplicaSetCreateError", message.clone()));
            note(context, rollout, "ReplicaSetCreateError", &message);
            context.wake_in(5);
        }
    }
}

fn annotations(rollout: &Rollout, set: Option<&Value>, newest: i64) -> Map<String, Value> {
    let mut result = set.and_then(|set| set["metadata"]["annotations"].as_object().cloned()).unwrap_or_default();
    if let Some(own) = rollout.deployment["metadata"]["annotations"].as_object() {
        for (key, value) in own.iter().filter(|(key, _)| !NOT_COPIED.contains(&key.as_str())) {
            result.insert(key.clone(), value.clone());
        }
    }
    let present = set.map_or(0, revision);
    if present < newest {
        if present > 0 {
            let history = match set.and_then(|set| object::annotation(set, REVISION_HISTORY)) {
                Some(earlier) if !earlier.is_empty() => format!("{earlier},{present}"),
                _ => present.to_string(),
            };
            result.insert(REVISION_HISTORY.to_owned(), history.into());
        }
        result.insert(REVISION.to_owned(), newest.to_string().into());
    }
    result.insert(DESIRED_REPLICAS.to_owned(), rollout.wanted().to_string().into());
    result.insert(MAX_REPLICAS.to_owned(), (rollout.wanted() + rollout.max_surge()).to_string().into());
    result
}

fn set_deployment_revision(context: &mut Context<'_>, rollout: &mut Rollout, revision: i64) {
    // Through the status, as the real controller does: an annotation written otherwise would make a new generation.
    let changed = common::modify_status(context.client, gvr::DEPLOYMENTS, &rollout.deployment, |deployment| {
        if !deployment["metadata"]["annotations"].is_object() {
            deployment["metadata"]["annotations"] = json!({});
        }
        deployment["metadata"]["annotations"][REVISION] = revision.to_string().into();
    });
    if let Some(changed) = changed {
        rollout.deployment = changed;
    }
}

/// Sets the Progressing condition, where a deadline makes it meaningful.
fn note(context: &mut Context<'_>, rollout: &mut Rollout, reason: &str, message: &str) {
    if !super::progress::has_deadline(&rollout.deployment) {
        return;
    }
    let status_word = if reason == "ReplicaSetCreateError" { "False" } else { "True" };
    let mut status = if rollout.deployment["status"].is_object() { rollout.deployment["status"].clone() } else { json!({}) };
    let mut conditions = items(&status["conditions"]).to_vec();
    if common::set_condition(&mut conditions, context.now, true, "Progressing", status_word, reason, message) {
        status["conditions"] = conditions.into();
        common::write_status(context.client, gvr::DEPLOYMENTS, &rollout.deployment, &status);
        if let Some(fresh) = context.client.get(gvr::DEPLOYMENTS, object::namespace(&rollout.deployment), object::name(&rollout.deployment))
        {
            rollout.deployment = fresh;
        }
    }
}

/// Removes the oldest ReplicaSets beyond `revisionHistoryLimit`.
pub fn clean_up(context: &mut Context<'_>, rollout: &Rollout) {
    let limit = usize::try_from(int(&rollout.deployment["spec"]["revisionHistoryLimit"], 10)).unwrap_or(0);
    let mut cleanable: Vec<_> = rollout.old.iter().filter(|set| !object::is_terminating(set)).collect();
    if cleanable.len() <= limit {
        return;
    }
    cleanable.sort_by_key(|set| revision(set));
    for set in cleanable.iter().take(cleanable.len() - limit) {
        let idle = int(&set["status"]["replicas"], 0) == 0
            && wanted(set) == 0
            && int(&set["metadata"]["generation"], 0) <= int(&set["status"]["observedGeneration"], 0);
        if idle {
            common::tolerate("removing an old revision", common::delete(context.client, gvr::REPLICA_SETS, set));
        }
    }
}

/// `kubectl`-independent short form for messages.
pub fn name_of(set: Option<&Arc<Value>>) -> &str {
    set.map_or("", |set| text(&set["metadata"]["name"]))
}

/// Time of now as conditions hold it.
pub fn stamp(context: &Context<'_>) -> Value {
    clock::rfc3339(context.now).into()
}
