//! Snapshots of a real cluster: its objects, recorded and written back. What containers wrote to their disks, and what only runs,
//! is not in them: pods of controllers are made anew, and bare pods start again.
//!
//! ```text
//! snapshot   every object that no controller owns ──► <data>/snapshots/<id>/<name>.json
//! restore    present against recorded: delete what is new, replace what differs, create what is missing
//! fill       the same for another cluster, which keeps its own authorities and kube-system
//! ```

use crate::kind::{
    api::{Api, ApiError},
    network,
    objects::{self, Place, text},
};
use futures::{StreamExt, stream};
use http::Method;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Kinds that the cluster writes itself, and those that are no state of a lab.
const LEFT_OUT: &[&str] = &[
    "events",
    "leases",
    "endpoints",
    "controllerrevisions",
    "csinodes",
    "csistoragecapacities",
    "apiservices",
    "certificatesigningrequests",
    "flowschemas",
    "prioritylevelconfigurations",
    "volumeattachments",
    "ipaddresses",
    "servicecidrs",
    "componentstatuses",
    "resourceslices",
];

/// The cluster's own announcements, and where this engine tries the network out.
const NAMESPACES_LEFT_OUT: &[&str] = &["kube-node-lease", "kube-public", network::NAMESPACE];

/// Restored before everything else, in this order; everything that may refuse a request comes last.
const FIRST: &[&str] =
    &["namespaces", "customresourcedefinitions", "priorityclasses", "storageclasses", "runtimeclasses", "serviceaccounts"];
const LAST: &[&str] = &[
    "resourcequotas",
    "limitranges",
    "pods",
    "mutatingwebhookconfigurations",
    "validatingwebhookconfigurations",
    "validatingadmissionpolicybindings",
    "validatingadmissionpolicies",
];

/// One object that was found, and where.
#[derive(Debug, Clone)]
struct Found {
    place: Place,
    /// As it is, with uid and resourceVersion.
    object: Value,
}

/// Path of an object: its identity here.
type Path = String;

/// Everything that a snapshot holds: what no controller made, without what the API server adds.
pub async fn record(api: &Api) -> Result<Vec<Value>, ApiError> {
    Ok(collect(api).await?.into_values().map(|found| content(&found.object)).collect())
}

async fn collect(api: &Api) -> Result<BTreeMap<Path, Found>, ApiError> {
    let mut versions = vec!["v1".to_owned()];
    for group in api.get("/apis").await?["groups"].as_array().into_iter().flatten() {
        versions.push(text(group, "/preferredVersion/groupVersion").to_owned());
    }
    let mut kinds: Vec<(String, String, Place)> = Vec::new();
    for version in &versions {
        // A group whose server is away, as an aggregated one, is no reason to lose the others.
        let Ok(list) = api.get(&objects::prefix(version)).await else { continue };
        let able = |place: &Place| ["list", "create", "delete"].iter().all(|verb| place.verbs.iter().any(|v| v == verb));
        let wanted =
            objects::places(version, &list).into_iter().filter(|(_, place)| able(place) && !LEFT_OUT.contains(&place.plural.as_str()));
        kinds.extend(wanted.map(|(kind, place)| (version.clone(), kind, place)));
    }
    let lists: Vec<_> = stream::iter(kinds)
        .map(|(version, kind, place)| async move { (api.get(&place.collection("")).await, version, kind, place) })
        .buffer_unordered(8)
        .collect()
        .await;
    let mut all = BTreeMap::new();
    for (list, version, kind, place) in lists {
        for mut object in list?["items"].as_array().cloned().unwrap_or_default() {
            let namespace = text(&object, "/metadata/namespace").to_owned();
            let within = if place.plural == "namespaces" { text(&object, "/metadata/name") } else { &namespace };
            let owned = object["metadata"]["ownerReferences"].as_array().is_some_and(|owners| !owners.is_empty());
            if owned || object["metadata"]["deletionTimestamp"].is_string() || NAMESPACES_LEFT_OUT.contains(&within) {
                continue;
            }
            object["apiVersion"] = json!(version);
            object["kind"] = json!(kind);
            let path = format!("{}/{}", place.collection(&namespace), text(&object, "/metadata/name"));
            all.insert(path, Found { place: place.clone(), object });
        }
    }
    Ok(all)
}

/// What was asked for, without what the cluster adds: the same content means that nothing is to be done.
fn content(object: &Value) -> Value {
    let mut object = object.clone();
    if object["kind"] == "Node" {
        return node_content(&object);
    }
    if let Some(meta) = object["metadata"].as_object_mut() {
        for field in ["resourceVersion", "uid", "generation", "creationTimestamp", "managedFields", "selfLink"] {
            meta.remove(field);
        }
        if let Some(annotations) = meta.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.retain(|key, _| {
                !matches!(key.as_str(), "deployment.kubernetes.io/revision" | "deprecated.daemonset.template.generation")
                    && !key.starts_with("pv.kubernetes.io/")
                    && !key.starts_with("volume.kubernetes.io/")
            });
            if annotations.is_empty() {
                meta.remove("annotations");
            }
        }
    }
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    let kind = text(&object, "/kind").to_owned();
    if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
        match kind.as_str() {
            "Pod" => drop(spec.remove("nodeName")),
            "PersistentVolumeClaim" => drop(spec.remove("volumeName")),
            "PersistentVolume" => drop(spec.remove("claimRef")),
            "Job" if spec.get("manualSelector") != Some(&json!(true)) => {
                spec.remove("selector");
                let labels = spec.get_mut("template").and_then(|template| template.pointer_mut("/metadata/labels"));
                if let Some(labels) = labels.and_then(Value::as_object_mut) {
                    labels.retain(|key, _| !key.ends_with("controller-uid") && !key.ends_with("job-name"));
                }
            }
            _ => {}
        }
    }
    if kind == "Job"
        && let Some(labels) = object.pointer_mut("/metadata/labels").and_then(Value::as_object_mut)
    {
        labels.retain(|key, _| !key.ends_with("controller-uid") && !key.ends_with("job-name"));
    }
    object
}

/// Of a node only what an administrator sets: labels, taints, and whether it takes pods.
fn node_content(node: &Value) -> Value {
    let taints = node["spec"]["taints"].as_array().into_iter().flatten();
    // Those below node.kubernetes.io come and go with the node's conditions.
    let own: Vec<&Value> = taints.filter(|taint| !text(taint, "/key").starts_with("node.kubernetes.io/")).collect();
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": node["metadata"]["name"], "labels": node["metadata"]["labels"]},
        "spec": {"taints": own, "unschedulable": node["spec"]["unschedulable"] == true},
    })
}

/// Makes the cluster's objects those of the recording.
pub async fn restore(api: &Api, recorded: &[Value]) -> Result<(), ApiError> {
    write_back(api, collect(api).await?, recorded.iter().collect()).await
}

/// The same with a recording of another cluster: what each cluster has of its own stays as it is.
pub async fn fill(api: &Api, recorded: &[Value]) -> Result<(), ApiError> {
    let mut now = collect(api).await?;
    let mine: BTreeSet<(String, String, String)> = now.values().map(|found| identity(&found.object)).collect();
    now.retain(|_, found| !is_of_system(&found.object));
    let shared = |object: &&Value| !(is_of_one_cluster(object) || is_of_system(object) && mine.contains(&identity(object)));
    write_back(api, now, recorded.iter().filter(shared).collect()).await
}

/// Of the cluster's own machinery: its configuration and its accounts.
fn is_of_system(object: &Value) -> bool {
    text(object, "/metadata/namespace") == "kube-system"
}

/// Signed by the cluster's own authorities, or a secret of its own nodes.
fn is_of_one_cluster(object: &Value) -> bool {
    let kind = text(object, "/type");
    (object["kind"] == "ConfigMap" && text(object, "/metadata/name") == "kube-root-ca.crt")
        || (object["kind"] == "Secret" && matches!(kind, "kubernetes.io/service-account-token" | "bootstrap.kubernetes.io/token"))
}

fn identity(object: &Value) -> (String, String, String) {
    let part = |pointer| text(object, pointer).to_owned();
    (part("/kind"), part("/metadata/namespace"), part("/metadata/name"))
}

async fn write_back(api: &Api, now: BTreeMap<Path, Found>, recorded: Vec<&Value>) -> Result<(), ApiError> {
    let places = objects::Places::new(api);
    // Kinds that came with a CustomResourceDefinition may be gone: their objects are found again when it is back.
    let mut wanted: BTreeMap<Path, &Value> = BTreeMap::new();
    let mut homeless = Vec::new();
    for object in recorded {
        match places.path(object).await {
            Ok(path) => drop(wanted.insert(path, object)),
            Err(error) if error.code() == Some(404) => homeless.push(object),
            Err(error) => return Err(error),
        }
    }

    let mut gone: Vec<(&Path, &Found)> =
        now.iter().filter(|(path, found)| !wanted.contains_key(*path) && found.object["kind"] != "Node").collect();
    gone.sort_by_key(|(_, found)| std::cmp::Reverse(order(&found.place.plural)));
    let namespaces: Vec<&str> = gone
        .iter()
        .filter(|(_, found)| found.place.plural == "namespaces")
        .map(|(_, found)| text(&found.object, "/metadata/name"))
        .collect();
    for (path, found) in &gone {
        // A namespace takes what is in it along.
        if !namespaces.contains(&text(&found.object, "/metadata/namespace")) {
            delete(api, path).await?;
        }
    }
    for (path, _) in &gone {
        until_gone(api, path).await;
    }

    let mut changes: Vec<(&Path, &&Value)> = wanted.iter().collect();
    changes.sort_by_key(|(path, object)| (order(plural(path)), text(object, "/metadata/name")));
    for (path, object) in changes {
        match now.get(path) {
            Some(found) if content(&found.object) == **object => {}
            Some(found) => replace(api, path, object, &found.object).await?,
            None => create(api, path, object).await?,
        }
    }
    for object in homeless {
        create_when_served(api, object).await?;
    }
    Ok(())
}

/// Kinds that a patient restore waits for are served within a moment of their definition.
async fn create_when_served(api: &Api, object: &Value) -> Result<(), ApiError> {
    for _ in 0..50 {
        match objects::Places::new(api).path(object).await {
            Ok(path) => return create(api, &path, object).await,
            Err(error) if error.code() == Some(404) => tokio::time::sleep(Duration::from_millis(200)).await,
            Err(error) => return Err(error),
        }
    }
    let message = format!("{} {} cannot be restored: its kind is not served", text(object, "/kind"), text(object, "/metadata/name"));
    Err(ApiError::Refused { code: 404, message })
}

async fn delete(api: &Api, path: &str) -> Result<(), ApiError> {
    let grace = if plural(path) == "pods" { json!(0) } else { Value::Null };
    let options = json!({"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background", "gracePeriodSeconds": grace});
    match api.call(Method::DELETE, path, "application/json", options.to_string().into_bytes()).await {
        // 403: kube-system and the like, which nobody can have made.
        Err(error) if !matches!(error.code(), Some(403 | 404 | 409)) => Err(error),
        _ => Ok(()),
    }
}

/// Bounded: a finalizer whose controller is gone would hold it for ever.
async fn until_gone(api: &Api, path: &str) {
    let gone = async {
        while !matches!(api.get(path).await, Err(error) if error.code() == Some(404)) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    if tokio::time::timeout(Duration::from_secs(20), gone).await.is_err() {
        tracing::warn!("{path} is still there after its deletion");
    }
}

async fn create(api: &Api, path: &str, object: &Value) -> Result<(), ApiError> {
    let (collection, _) = path.rsplit_once('/').unwrap_or((path, ""));
    for _ in 0..20 {
        match api.post(collection, object).await {
            // A namespace's own accounts and authorities are made by its controllers.
            Err(error) if error.code() == Some(409) => match api.get(path).await {
                Ok(present) => return replace(api, path, object, &present).await,
                Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
            },
            // The account of a new namespace is not there yet, or its definition is not served yet.
            Err(error) if matches!(error.code(), Some(403 | 404)) => tokio::time::sleep(Duration::from_millis(200)).await,
            other => return other.map(drop),
        }
    }
    api.post(collection, object).await.map(drop)
}

async fn replace(api: &Api, path: &str, object: &Value, present: &Value) -> Result<(), ApiError> {
    if object["kind"] == "Node" {
        return replace_node(api, path, object, present).await;
    }
    if content(present) == *object {
        return Ok(());
    }
    let anew = matches!(text(object, "/kind"), "Pod" | "Job");
    if !anew {
        let mut body = object.clone();
        body["metadata"]["resourceVersion"] = present["metadata"]["resourceVersion"].clone();
        match api.call(Method::PUT, path, "application/json", body.to_string().into_bytes()).await {
            // A field that cannot change, or a change in between.
            Err(error) if matches!(error.code(), Some(409 | 422)) => {}
            other => return other.map(drop),
        }
    }
    delete(api, path).await?;
    until_gone(api, path).await;
    let (collection, _) = path.rsplit_once('/').unwrap_or((path, ""));
    match api.post(collection, object).await {
        Err(error) if error.code() == Some(409) => Ok(()),
        other => other.map(drop),
    }
}

async fn replace_node(api: &Api, path: &str, object: &Value, present: &Value) -> Result<(), ApiError> {
    let mut labels = object["metadata"]["labels"].clone();
    for key in present["metadata"]["labels"].as_object().into_iter().flatten().map(|(key, _)| key) {
        if labels.get(key).is_none() {
            labels[key] = Value::Null;
        }
    }
    api.merge(path, &json!({"metadata": {"labels": labels}, "spec": object["spec"]})).await.map(drop)
}

fn plural(path: &str) -> &str {
    path.rsplit('/').nth(1).unwrap_or_default()
}

/// Small is first.
fn order(plural: &str) -> usize {
    let first = FIRST.iter().position(|name| *name == plural);
    let last = LAST.iter().position(|name| *name == plural).map(|at| FIRST.len() + 1 + at);
    first.or(last).unwrap_or(FIRST.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_cluster_adds_is_no_content() {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "a", "namespace": "b", "uid": "1", "resourceVersion": "2", "creationTimestamp": "3", "managedFields": [],
                "generation": 1, "annotations": {"deployment.kubernetes.io/revision": "1"}, "labels": {"x": "y"}},
            "spec": {"nodeName": "n", "containers": []},
            "status": {"phase": "Running"},
        });
        let expected = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "b", "labels": {"x": "y"}}, "spec": {"containers": []},
        });
        assert_eq!(content(&pod), expected);
        assert_eq!(content(&expected), expected);
        let job = json!({
            "kind": "Job",
            "metadata": {"name": "a", "labels": {"job-name": "a", "app": "x"}},
            "spec": {"selector": {}, "template": {"metadata": {"labels": {"batch.kubernetes.io/controller-uid": "1", "app": "x"}}}},
        });
        assert_eq!(
            content(&job),
            json!({"kind": "Job", "metadata": {"name": "a", "labels": {"app": "x"}}, "spec": {"template": {"metadata": {"labels": {"app": "x"}}}}})
        );
    }

    #[test]
    fn of_nodes_only_what_an_administrator_sets() {
        let node = json!({
            "kind": "Node", "metadata": {"name": "n", "labels": {"a": "b"}, "annotations": {"c": "d"}},
            "spec": {"podCIDR": "x", "taints": [{"key": "node.kubernetes.io/not-ready"}, {"key": "gpu", "effect": "NoSchedule"}]},
        });
        let content = content(&node);
        assert_eq!(content["spec"], json!({"taints": [{"key": "gpu", "effect": "NoSchedule"}], "unschedulable": false}));
        assert_eq!(content["metadata"], json!({"name": "n", "labels": {"a": "b"}}));
    }

    #[test]
    fn what_each_cluster_has_of_its_own() {
        let rows = [
            (json!({"kind": "ConfigMap", "metadata": {"name": "kube-root-ca.crt", "namespace": "a"}}), true),
            (json!({"kind": "ConfigMap", "metadata": {"name": "mine", "namespace": "a"}}), false),
            (json!({"kind": "Secret", "metadata": {"name": "t"}, "type": "kubernetes.io/service-account-token"}), true),
            (json!({"kind": "Secret", "metadata": {"name": "t"}, "type": "Opaque"}), false),
        ];
        for (object, expected) in rows {
            assert_eq!(is_of_one_cluster(&object), expected, "{object}");
        }
        assert!(is_of_system(&json!({"metadata": {"namespace": "kube-system"}})));
        assert!(!is_of_system(&json!({"kind": "Namespace", "metadata": {"name": "kube-system"}})));
    }

    #[test]
    fn the_order_of_a_restore() {
        let mut kinds =
            ["pods", "deployments", "namespaces", "validatingwebhookconfigurations", "serviceaccounts", "customresourcedefinitions"];
        kinds.sort_by_key(|plural| order(plural));
        assert_eq!(
            kinds,
            ["namespaces", "customresourcedefinitions", "serviceaccounts", "deployments", "pods", "validatingwebhookconfigurations"]
        );
        assert_eq!(plural("/apis/apps/v1/namespaces/ml/deployments/web"), "deployments");
        assert_eq!(plural("/api/v1/namespaces/ml"), "namespaces");
    }
}
