//! Create, get, list, update, patch, delete.

use crate::kit::Kit;
use apiserver::Body;
use serde_json::{Value, json};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn map(name: &str, data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}

#[tokio::test]
async fn an_object_lives_and_dies() {
    let kit = Kit::new();
    let made = kit.post(MAPS, map("a", json!({"k": "1"}))).await.expect(201).json();
    assert_eq!(made["metadata"]["namespace"], "default");
    assert_eq!(made["metadata"]["creationTimestamp"], "2026-01-02T03:04:05Z");
    assert_eq!(made["metadata"]["uid"].as_str().unwrap().len(), 36);
    let mut got = kit.get(&format!("{MAPS}/a")).await.expect(200).json();
    assert_eq!(got, made);

    got["data"]["k"] = "2".into();
    let updated = kit.put(&format!("{MAPS}/a"), got.clone()).await.expect(200).json();
    assert_eq!(updated["data"]["k"], "2");
    let stale = kit.put(&format!("{MAPS}/a"), got).await.expect(409);
    assert_eq!(
        stale.message(),
        "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your changes to the latest version and try again"
    );
    let same = kit.put(&format!("{MAPS}/a"), updated.clone()).await.expect(200).json();
    assert_eq!(same["metadata"]["resourceVersion"], updated["metadata"]["resourceVersion"], "a write that changes nothing is none");

    let gone = kit.delete(&format!("{MAPS}/a")).await.expect(200).json();
    assert_eq!((&gone["kind"], &gone["status"]), (&json!("Status"), &json!("Success")));
    assert_eq!(gone["details"], json!({"name": "a", "kind": "configmaps", "uid": made["metadata"]["uid"]}));
    assert_eq!(kit.get(&format!("{MAPS}/a")).await.expect(404).message(), "configmaps \"a\" not found");
}

#[tokio::test]
async fn refusals() {
    let kit = Kit::new();
    kit.post(MAPS, map("a", json!({}))).await.expect(201);
    let other = "/api/v1/namespaces/nope/configmaps";
    let cases = [
        (kit.post(MAPS, map("a", json!({}))).await, 409, "configmaps \"a\" already exists"),
        (kit.post(other, map("a", json!({}))).await, 404, "namespaces \"nope\" not found"),
        (
            kit.post(other, json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "default"}})).await,
            400,
            "the namespace of the provided object does not match the namespace sent on the request",
        ),
        (kit.put(&format!("{MAPS}/b"), map("b", json!({}))).await, 404, "configmaps \"b\" not found"),
        (
            kit.put(&format!("{MAPS}/b"), map("a", json!({}))).await,
            400,
            "the name of the object (a) does not match the name on the URL (b)",
        ),
        (kit.delete("/api/v1/namespaces/default").await, 403, "namespaces \"default\" is forbidden: this namespace may not be deleted"),
        (kit.get("/api/v1/nothing").await, 404, "the server could not find the requested resource"),
        (kit.post(&format!("{MAPS}/a"), map("a", json!({}))).await, 405, "the server does not allow this method on the requested resource"),
        (kit.request("POST", MAPS, &[], "x".repeat(4 << 20)).await, 413, "Request entity too large: limit is 3145728"),
        (
            kit.request("POST", MAPS, &[("content-type", "text/plain")], "{}").await,
            415,
            "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf",
        ),
        (
            kit.request("GET", MAPS, &[("accept", "application/vnd.kubernetes.protobuf")], Body::empty()).await,
            406,
            "only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf",
        ),
    ];
    for (answer, code, message) in cases {
        assert_eq!((answer.message().as_str(), answer.code), (message, code));
    }
}

#[tokio::test]
async fn lists_by_page_selector_and_shape() {
    let kit = Kit::new();
    for n in 0..5 {
        let mut object = map(&format!("m{n}"), json!({}));
        object["metadata"]["labels"] = json!({"parity": if n % 2 == 0 { "even" } else { "odd" }});
        kit.post(MAPS, object).await.expect(201);
    }
    let names = |list: &Value| {
        list["items"].as_array().unwrap().iter().map(|o| o["metadata"]["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let first = kit.get(&format!("{MAPS}?limit=2")).await.expect(200).json();
    assert_eq!((names(&first), &first["metadata"]["remainingItemCount"]), (vec!["m0".into(), "m1".into()], &json!(3)));
    assert_eq!((&first["kind"], &first["items"][0]["kind"]), (&json!("ConfigMapList"), &Value::Null));
    // A page shows the state at which the list began.
    kit.delete(&format!("{MAPS}/m3")).await.expect(200);
    let token = first["metadata"]["continue"].as_str().unwrap();
    let second = kit.get(&format!("{MAPS}?limit=10&continue={token}")).await.expect(200).json();
    assert_eq!(names(&second), ["m2", "m3", "m4"]);
    assert_eq!(second["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
    assert_eq!(kit.get(&format!("{MAPS}?continue=rubbish")).await.code, 400);

    let even = kit.get(&format!("{MAPS}?labelSelector=parity%3Deven")).await.expect(200).json();
    assert_eq!(names(&even), ["m0", "m2", "m4"]);
    let one = kit.get(&format!("{MAPS}?fieldSelector=metadata.name%3Dm2")).await.expect(200).json();
    assert_eq!(names(&one), ["m2"]);

    let accept = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io,application/json")];
    let table = kit.request("GET", MAPS, &accept, Body::empty()).await.expect(200).json();
    assert_eq!((&table["kind"], table["rows"].as_array().unwrap().len()), (&json!("Table"), 4));
    let accept = [("accept", "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io")];
    let partial = kit.request("GET", MAPS, &accept, Body::empty()).await.expect(200).json();
    assert_eq!((&partial["kind"], &partial["items"][0]["kind"]), (&json!("PartialObjectMetadataList"), &json!("PartialObjectMetadata")));
    let yaml = kit.request("GET", &format!("{MAPS}/m0"), &[("accept", "application/yaml")], Body::empty()).await.expect(200);
    assert_eq!(yaml.headers["content-type"], "application/yaml");
    assert!(yaml.text.contains("kind: ConfigMap"), "{}", yaml.text);
}

#[tokio::test]
async fn patches_and_dry_runs() {
    let kit = Kit::new();
    kit.post(MAPS, map("a", json!({"k": "1"}))).await.expect(201);
    let path = format!("{MAPS}/a");
    kit.patch(&path, "merge", json!({"data": {"merged": "yes"}})).await.expect(200);
    kit.patch(&path, "json", json!([{"op": "remove", "path": "/data/k"}])).await.expect(200);
    kit.patch(&path, "strategic-merge", json!({"data": {"strategic": "yes"}})).await.expect(200);
    let got = kit.get(&path).await.json();
    assert_eq!(got["data"], json!({"merged": "yes", "strategic": "yes"}));
    let dry = kit.patch(&format!("{path}?dryRun=All"), "merge", json!({"data": {"dry": "yes"}})).await.expect(200).json();
    assert_eq!(dry["data"]["dry"], "yes");
    assert_eq!(kit.get(&path).await.json(), got);
    kit.post(&format!("{MAPS}?dryRun=All"), map("dry", json!({}))).await.expect(201);
    kit.get(&format!("{MAPS}/dry")).await.expect(404);
    let refused = kit.patch(&path, "apply", map("a", json!({}))).await.expect(422);
    assert_eq!(refused.message(), "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch");
    let applied = kit.patch(&format!("{MAPS}/new?fieldManager=me"), "apply", map("new", json!({"x": "y"}))).await.expect(201).json();
    assert_eq!(applied["data"]["x"], "y");
}

#[tokio::test]
async fn finalizers_hold_an_object_until_they_are_gone() {
    let kit = Kit::new();
    let mut object = map("a", json!({}));
    object["metadata"]["finalizers"] = json!(["example.com/hold"]);
    kit.post(MAPS, object).await.expect(201);
    let path = format!("{MAPS}/a");
    let marked = kit.delete(&path).await.expect(200).json();
    assert_eq!(marked["metadata"]["deletionTimestamp"], "2026-01-02T03:04:05Z");
    kit.delete(&path).await.expect(200);
    kit.patch(&path, "merge", json!({"metadata": {"finalizers": null}})).await.expect(200);
    kit.get(&path).await.expect(404);
}

#[tokio::test]
async fn a_pod_goes_when_its_kubelet_says_so() {
    let kit = Kit::new();
    let pods = "/api/v1/namespaces/default/pods";
    let pod = |name: &str| {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
               "spec": {"containers": [{"name": "c", "image": "i"}]}})
    };
    kit.post(pods, pod("unscheduled")).await.expect(201);
    kit.delete(&format!("{pods}/unscheduled")).await.expect(200);
    kit.get(&format!("{pods}/unscheduled")).await.expect(404);

    kit.post(pods, pod("running")).await.expect(201);
    let client = kit.client();
    client.bind("default", "running", "node-1").unwrap();
    let path = format!("{pods}/running");
    let marked = kit.delete(&path).await.expect(200).json();
    assert_eq!(marked["metadata"]["deletionTimestamp"], "2026-01-02T03:04:35Z");
    assert_eq!(marked["metadata"]["deletionGracePeriodSeconds"], 30);
    let sooner = kit.delete(&format!("{path}?gracePeriodSeconds=5")).await.expect(200).json();
    assert_eq!(sooner["metadata"]["deletionTimestamp"], "2026-01-02T03:04:10Z");
    let other = json!({"preconditions": {"uid": "other"}});
    let refused = kit.request("DELETE", &path, &[("content-type", "application/json")], other.to_string()).await.expect(409);
    assert!(refused.message().contains("the UID in the precondition (other) does not match the UID in record"), "{}", refused.message());
    kit.delete(&format!("{path}?gracePeriodSeconds=0")).await.expect(200);
    kit.get(&path).await.expect(404);
}
