//! One cluster and the learner who works on it, for the suites that look at a cluster from inside.

use crate::common::{World, one_node};
use http::{Method, Request};
use http_body_util::BodyExt;
use provision::{Body, Cluster, ClusterSpec, Probe, ProbeOutcome, Provisioner, UserInfo, kind::KindProvisioner};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

/// A cluster, and the learner who works on it.
pub struct Desk {
    pub world: World,
    pub provisioner: KindProvisioner,
    pub cluster: Arc<dyn Cluster>,
}

pub fn learner() -> UserInfo {
    UserInfo { name: "learner".to_owned(), ..UserInfo::admin() }
}

impl Desk {
    pub async fn new() -> Result<Self, String> {
        Self::of(&one_node()).await
    }

    pub async fn of(spec: &ClusterSpec) -> Result<Self, String> {
        let world = World::new().await?;
        // Its nodes may fetch images, though there are none to fetch.
        let provisioner = world.with(|settings| settings.pull = true).await;
        let (sender, _) = tokio::sync::mpsc::unbounded_channel();
        let cluster = provisioner.create("a", spec, sender).await.map_err(|error| format!("{error:?}")).unwrap();
        Ok(Self { world, provisioner, cluster })
    }

    /// Status code and body of a request in somebody's name.
    pub async fn ask(&self, user: UserInfo, method: Method, path: &str, body: &Value) -> (u16, Value) {
        let content_type = if method == Method::PATCH { "application/apply-patch+yaml" } else { "application/json" };
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        let request = Request::builder().method(method).uri(path).header("content-type", content_type).body(body).unwrap();
        let response = self.cluster.serve(user, request).await;
        let code = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (code, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    pub async fn get(&self, path: &str) -> Value {
        self.ask(learner(), Method::GET, path, &Value::Null).await.1
    }

    pub async fn make(&self, path: &str, body: Value) -> Value {
        let (code, answer) = self.ask(learner(), Method::POST, path, &body).await;
        assert_eq!(code, 201, "{path} {body}: {answer}");
        answer
    }

    /// Waits, by looking, for something that is bound to come; the test ends where it does not.
    pub async fn until(&self, what: &str, path: &str, look: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let looking = async {
            loop {
                last = self.get(path).await;
                if look(&last) {
                    break;
                }
                tokio::task::yield_now().await;
            }
        };
        let came = tokio::time::timeout(Duration::from_secs(90), looking).await;
        assert!(came.is_ok(), "{what} does not come: {last}");
        last
    }

    pub async fn probe(&self, from: &str, to: &str, port: u16, path: Option<&str>) -> ProbeOutcome {
        let probe = Probe {
            from_namespace: "net".to_owned(),
            from_pod: from.to_owned(),
            to_host: to.to_owned(),
            to_port: port,
            http_path: path.map(str::to_owned),
        };
        self.cluster.probe(&probe).await
    }
}

pub fn pod(name: &str, command: &[&str]) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [{"name": "c", "image": "busybox:1.37", "command": command}]},
    })
}

pub fn is_ready(pod: &Value) -> bool {
    let all = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
    all.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}
