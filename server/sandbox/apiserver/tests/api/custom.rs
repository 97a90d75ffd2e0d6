//! CustomResourceDefinitions: stored, established, served, defaulted, scaled, removed with their objects.

use crate::kit::Kit;
use serde_json::json;

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const JOBS: &str = "/apis/lab.example.com/v1/namespaces/default/gpujobs";

async fn defined() -> Kit {
    let kit = Kit::new();
    let definition = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "gpujobs.lab.example.com"}, "spec": {
        "group": "lab.example.com", "scope": "Namespaced",
        "names": {"plural": "gpujobs", "kind": "GpuJob", "shortNames": ["gj"]},
        "versions": [{"name": "v1", "served": true, "storage": true,
            "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.workers", "statusReplicasPath": ".status.workers"}},
            "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                "spec": {"type": "object", "properties": {"workers": {"type": "integer"}, "model": {"type": "string", "default": "H100"}}},
                "status": {"type": "object", "properties": {"workers": {"type": "integer"}}}}}}}]}});
    kit.post(DEFINITIONS, definition).await.expect(201);
    kit
}

#[tokio::test]
async fn a_definition_serves_its_objects_at_once() {
    let kit = defined().await;
    let definition = kit.get(&format!("{DEFINITIONS}/gpujobs.lab.example.com")).await.expect(200).json();
    assert_eq!(definition["status"]["acceptedNames"]["listKind"], "GpuJobList");
    assert!(definition["status"]["conditions"].as_array().unwrap().iter().any(|c| c["type"] == "Established" && c["status"] == "True"));
    let discovered = kit.get("/apis/lab.example.com/v1").await.expect(200).json();
    assert_eq!(discovered["resources"][0]["name"], "gpujobs");
    let object = json!({"apiVersion": "lab.example.com/v1", "kind": "GpuJob", "metadata": {"name": "train"}, "spec": {"workers": 2}});
    let made = kit.post(JOBS, object).await.expect(201).json();
    assert_eq!(made["spec"], json!({"workers": 2, "model": "H100"}));
    let listed = kit.get(JOBS).await.expect(200).json();
    assert_eq!((&listed["kind"], &listed["items"][0]["kind"]), (&json!("GpuJobList"), &json!("GpuJob")));

    let scale = kit.get(&format!("{JOBS}/train/scale")).await.expect(200).json();
    assert_eq!((&scale["kind"], &scale["spec"]["replicas"]), (&json!("Scale"), &json!(2)));
    kit.patch(&format!("{JOBS}/train/scale"), "merge", json!({"spec": {"replicas": 5}})).await.expect(200);
    kit.patch(&format!("{JOBS}/train/status"), "merge", json!({"status": {"workers": 1}, "spec": {"workers": 9}})).await.expect(200);
    let got = kit.get(&format!("{JOBS}/train")).await.json();
    assert_eq!((&got["spec"]["workers"], &got["status"]["workers"]), (&json!(5), &json!(1)));
    assert_eq!(got["metadata"]["generation"], 2, "scaling changes the spec");
    kit.patch(&format!("{JOBS}/train"), "strategic-merge", json!({})).await.expect(415);

    kit.delete(&format!("{DEFINITIONS}/gpujobs.lab.example.com")).await.expect(200);
    assert_eq!(kit.get(JOBS).await.code, 404);
    assert!(!kit.client().stored_resources().iter().any(|(group, _)| group == "lab.example.com"));
}
