//! Admission webhooks: which requests they see, what they are told, and what comes of their answers or their silence.

use crate::kit::Kit;
use apiserver::{
    ExecStreams, NodeRuntime,
    node::{ExecOptions, ExecStatus, LogOptions, WebhookCall},
};
use async_trait::async_trait;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use machinery::ApiError;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::mpsc;

/// What each Service answers: the `response` of a review, or why none comes. It keeps what it was asked.
#[derive(Default)]
struct Webhooks {
    asked: Mutex<Vec<(String, Value)>>,
}

#[async_trait]
impl NodeRuntime for Webhooks {
    async fn logs(&self, _: Arc<Value>, _: LogOptions) -> Result<mpsc::Receiver<Bytes>, ApiError> {
        Err(ApiError::internal("no logs here"))
    }

    async fn exec(&self, _: Arc<Value>, _: ExecOptions, _: ExecStreams) -> ExecStatus {
        ExecStatus::Exited(0)
    }

    async fn attach(&self, _: Arc<Value>, _: ExecOptions, _: ExecStreams) -> ExecStatus {
        ExecStatus::Exited(0)
    }

    async fn port_forward(&self, _: Arc<Value>, _: u16, _: mpsc::Receiver<Bytes>, _: mpsc::Sender<Bytes>) -> Result<(), String> {
        Ok(())
    }

    async fn proxy(&self, _: Arc<Value>, _: u16, _: http::Request<Bytes>) -> Result<http::Response<Bytes>, ApiError> {
        Err(ApiError::internal("no proxy here"))
    }

    fn review(&self, call: WebhookCall) -> Result<http::Response<Bytes>, String> {
        assert_eq!((call.namespace.as_str(), call.authority.as_slice()), ("hooks", b"pem".as_slice()));
        let asked: Value = serde_json::from_slice(&call.body).unwrap();
        let request = &asked["request"];
        let patch =
            |operations: Value| json!({"allowed": true, "patchType": "JSONPatch", "patch": BASE64_STANDARD.encode(operations.to_string())});
        let mut response = match call.service.as_str() {
            "away" => return Err("dial tcp 10.96.0.9:443: connect: connection refused".to_owned()),
            "broken" => return Ok(http::Response::builder().status(500).body("no".into()).unwrap()),
            "wrong" => return Ok(http::Response::new(json!({"response": {"uid": "other", "allowed": true}}).to_string().into())),
            "no" => json!({"allowed": false, "status": {"message": "because"}, "warnings": ["w1"]}),
            "forbid" => json!({"allowed": false, "status": {"message": "[a] b", "code": 403, "reason": "Forbidden"}}),
            "mute" => json!({"allowed": false}),
            "warn" => json!({"allowed": true, "warnings": ["mind this"]}),
            "label" => patch(json!([{"op": "add", "path": "/metadata/labels", "value": {"by": "label"}}])),
            // Adds what it does not see yet.
            "sidecar" if request["object"]["spec"]["containers"].as_array().map_or(0, Vec::len) < 2 => {
                patch(json!([{"op": "add", "path": "/spec/containers/-", "value": {"name": "side", "image": "i"}}]))
            }
            "misfit" => patch(json!([{"op": "remove", "path": "/nothing"}])),
            _ => json!({"allowed": true}),
        };
        response["uid"] = request["uid"].clone();
        self.asked.lock().push((call.service, request.clone()));
        Ok(http::Response::new(
            json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "response": response}).to_string().into(),
        ))
    }
}

const PODS: &str = "/api/v1/namespaces/x/pods";

fn pod(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "i"}]}})
}

fn kit() -> (Kit, Arc<Webhooks>) {
    let kit = Kit::new();
    kit.namespace("x");
    let webhooks = Arc::<Webhooks>::default();
    kit.server.set_node_runtime(webhooks.clone());
    (kit, webhooks)
}

/// A webhook about pods, with fields of its own.
fn webhook(service: &str, fields: Value) -> Value {
    let mut webhook = json!({
        "name": format!("{service}.example.com"), "sideEffects": "None", "admissionReviewVersions": ["v1"],
        "clientConfig": {"service": {"namespace": "hooks", "name": service, "path": "/ask"}, "caBundle": BASE64_STANDARD.encode("pem")},
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
    });
    for (key, value) in fields.as_object().unwrap() {
        webhook[key] = value.clone();
    }
    webhook
}

async fn configure(kit: &Kit, kind: &str, name: &str, webhooks: Vec<Value>) {
    let path = format!("/apis/admissionregistration.k8s.io/v1/{}webhookconfigurations", kind.to_lowercase());
    let kind = format!("{kind}WebhookConfiguration");
    let object = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": name}, "webhooks": webhooks});
    kit.post(&path, object).await.expect(201);
}

#[tokio::test]
async fn answers_and_silence() {
    const AWAY: &str = "Internal error occurred: failed calling webhook \"away.example.com\": failed to call webhook: Post \"https://away.hooks.svc:443/ask?timeout=10s\": dial tcp 10.96.0.9:443: connect: connection refused";
    let ignore = json!({"failurePolicy": "Ignore"});
    for (service, fields, code, reason, message) in [
        ("yes", json!({}), 201, "", ""),
        ("no", json!({}), 400, "", "admission webhook \"no.example.com\" denied the request: because"),
        ("forbid", json!({}), 403, "Forbidden", "admission webhook \"forbid.example.com\" denied the request: [a] b"),
        ("mute", json!({}), 400, "", "admission webhook \"mute.example.com\" denied the request without explanation"),
        ("away", json!({}), 500, "InternalError", AWAY),
        ("away", ignore.clone(), 201, "", ""),
        ("no", ignore.clone(), 400, "", "admission webhook \"no.example.com\" denied the request: because"),
        ("broken", ignore, 201, "", ""),
        (
            "broken",
            json!({}),
            500,
            "InternalError",
            "Internal error occurred: failed calling webhook \"broken.example.com\": failed to call webhook: an error on the server (\"no\") has prevented the request from succeeding",
        ),
    ] {
        let (kit, _) = kit();
        configure(&kit, "Validating", "all", vec![webhook(service, fields)]).await;
        let answer = kit.post(PODS, pod("p")).await.expect(code);
        assert_eq!((answer.json()["reason"].as_str().unwrap_or_default(), answer.message().as_str()), (reason, message), "{service}");
    }
    let (kit, _) = kit();
    configure(&kit, "Validating", "all", vec![webhook("wrong", json!({}))]).await;
    assert!(kit.post(PODS, pod("p")).await.expect(500).message().contains("expected response.uid="));
}

#[tokio::test]
async fn who_is_asked_about_what() {
    let rules = |group: &str, version: &str, operation: &str, resource: &str| json!({"rules": [{"apiGroups": [group], "apiVersions": [version], "operations": [operation], "resources": [resource]}]});
    let only = |field: &str, value: Value| json!({field: value});
    for (fields, is_asked) in [
        (json!({}), true),
        (rules("*", "*", "*", "*"), true),
        (rules("", "v1", "*", "*/*"), true),
        (rules("", "v1", "UPDATE", "pods"), false),
        (rules("", "v1", "CREATE", "pods/status"), false),
        (rules("apps", "v1", "CREATE", "pods"), false),
        (only("objectSelector", json!({"matchLabels": {"a": "b"}})), false),
        (only("namespaceSelector", json!({"matchLabels": {"kubernetes.io/metadata.name": "x"}})), true),
        (
            only(
                "namespaceSelector",
                json!({"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["x"]}]}),
            ),
            false,
        ),
        (only("matchConditions", json!([{"name": "c", "expression": "object.metadata.name == 'p'"}])), true),
        (only("matchConditions", json!([{"name": "c", "expression": "request.userInfo.username == 'nobody'"}])), false),
    ] {
        let (kit, webhooks) = kit();
        configure(&kit, "Validating", "all", vec![webhook("yes", fields.clone())]).await;
        kit.post(PODS, pod("p")).await.expect(201);
        let asked = webhooks.asked.lock();
        assert_eq!(asked.len(), usize::from(is_asked), "{fields}");
        let Some((_, request)) = asked.first() else { continue };
        let told =
            [&request["operation"], &request["namespace"], &request["name"], &request["kind"]["kind"], &request["userInfo"]["username"]];
        assert_eq!(told, ["CREATE", "x", "p", "Pod", "kubernetes-admin"]);
        assert!(request["oldObject"].is_null() && request["object"]["metadata"]["managedFields"].is_null());
    }
    // A condition that cannot be judged is no reason to let the request pass.
    let (kit, _) = kit();
    let condition = json!([{"name": "c", "expression": "object.spec.nothing == 'p'"}]);
    configure(&kit, "Validating", "all", vec![webhook("yes", only("matchConditions", condition))]).await;
    kit.post(PODS, pod("p")).await.expect(403);
}

#[tokio::test]
async fn changes_and_deletions_are_asked_about_as_well() {
    let (kit, webhooks) = kit();
    let rules = json!([{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["UPDATE", "DELETE"], "resources": ["configmaps"]}]);
    configure(&kit, "Validating", "all", vec![webhook("yes", json!({"rules": rules}))]).await;
    let path = "/api/v1/namespaces/x/configmaps";
    kit.post(path, json!({"metadata": {"name": "c"}, "data": {"a": "1"}})).await.expect(201);
    kit.patch(&format!("{path}/c"), "merge", json!({"data": {"a": "2"}})).await.expect(200);
    kit.delete(&format!("{path}/c")).await.expect(200);
    let asked = webhooks.asked.lock();
    let told: Vec<_> = asked.iter().map(|(_, r)| json!([r["operation"], r["oldObject"]["data"]["a"], r["object"]["data"]["a"]])).collect();
    assert_eq!(told, [json!(["UPDATE", "1", "2"]), json!(["DELETE", "2", null])]);
}

#[tokio::test]
async fn webhooks_change_objects_one_after_the_other() {
    let (kit, webhooks) = kit();
    configure(&kit, "Mutating", "a", vec![webhook("label", json!({"reinvocationPolicy": "IfNeeded"}))]).await;
    configure(&kit, "Mutating", "b", vec![webhook("sidecar", json!({}))]).await;
    configure(&kit, "Validating", "c", vec![webhook("warn", json!({}))]).await;
    let made = kit.post(PODS, pod("p")).await.expect(201);
    assert_eq!(made.headers["warning"], "299 - \"mind this\"");
    let made = made.json();
    assert_eq!(made["metadata"]["labels"]["by"], "label");
    // What a webhook adds is defaulted as if the client had sent it.
    assert_eq!(made["spec"]["containers"][1]["imagePullPolicy"], "Always");
    let order: Vec<_> = webhooks.asked.lock().iter().map(|(service, _)| service.clone()).collect();
    assert_eq!(order, ["label", "sidecar", "label", "warn"], "the first one sees again what came after it");
    configure(&kit, "Mutating", "d", vec![webhook("misfit", json!({}))]).await;
    assert!(kit.post(PODS, pod("q")).await.expect(500).message().contains("misfit.example.com"));
}

#[tokio::test]
async fn configurations_can_always_be_mended() {
    let (kit, _) = kit();
    let all = json!({"rules": [{"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*/*"]}]});
    configure(&kit, "Validating", "all", vec![webhook("no", all)]).await;
    let refused = kit.post("/api/v1/namespaces", json!({"metadata": {"name": "y"}})).await.expect(400);
    assert_eq!(refused.headers["warning"], "299 - \"w1\"");
    kit.delete("/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/all").await.expect(200);
    kit.post("/api/v1/namespaces", json!({"metadata": {"name": "y"}})).await.expect(201);
}
