//! Whether a cluster's pod network enforces NetworkPolicies: tried out by real connections, once for each node image, and remembered.
//!
//! ```text
//! pod "from" ──► pod "to", a port where nobody listens:  refused, so it arrives
//!          NetworkPolicy "closed" on "to"
//! pod "from" ──► pod "to":  no answer ⇒ enforced        still refused ⇒ not enforced
//! ```
//!
//! The pods run the pause program that every node has for its sandboxes. Their namespace is no part of a lab: snapshots leave it out.

use crate::{
    contract::{Probe, ProbeOutcome},
    kind::{
        api::Api,
        docker::{Engine, label},
        names::{self, Names},
        objects::text,
        probe,
        stage::StageError,
    },
};
use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

pub const NAMESPACE: &str = "cordon-network";

/// How long a new policy may take until packets stop; plug-ins take a second or two.
const PATIENCE: Duration = Duration::from_secs(20);
const STARTED: Duration = Duration::from_secs(60);

/// What was found out of one node image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Measured {
    pub enforced: bool,
    pub at: String,
}

/// `network.json` in the engine's folder, by the id of the node image.
#[derive(Debug, Clone)]
pub struct Record(PathBuf);

impl Record {
    pub fn new(folder: &Path) -> Self {
        Self(folder.join("network.json"))
    }

    pub fn get(&self, image: &str) -> Option<Measured> {
        self.read().remove(image)
    }

    pub fn put(&self, image: &str, measured: Measured) -> std::io::Result<()> {
        let mut known = self.read();
        known.insert(image.to_owned(), measured);
        if let Some(folder) = self.0.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let temporary = self.0.with_extension("new");
        std::fs::write(&temporary, serde_json::to_vec_pretty(&known)?)?;
        std::fs::rename(temporary, &self.0)
    }

    fn read(&self) -> BTreeMap<String, Measured> {
        std::fs::read(&self.0).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }
}

/// Tries it out in a running cluster. `Err`: why it could not be.
pub async fn measure(api: &Api, engine: &Engine, names: &Names) -> Result<bool, StageError> {
    let path = format!("/api/v1/namespaces/{NAMESPACE}");
    // What an earlier try has left behind, or is still being removed.
    let gone = async {
        while api.get(&path).await.is_ok() {
            let _ = api.call(Method::DELETE, &path, "application/json", Vec::new()).await;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    within(STARTED, "the end of an earlier try", gone).await?;
    let tried = attempt(api, engine, names).await;
    if let Err(error) = api.call(Method::DELETE, &path, "application/json", Vec::new()).await {
        tracing::warn!("{path} cannot be removed: {error}");
    }
    tried
}

/// The id of the image that a cluster's nodes are made of.
pub async fn image_of(engine: &Engine, names: &Names) -> Option<String> {
    let found = engine.inspect(&names.control_plane()).await.ok()??;
    found.config?.labels?.remove(names::IMAGE_ID)
}

/// A running cluster of this server, if there is one.
pub async fn running(engine: &Engine, instance: &str) -> Option<Names> {
    let all = engine.containers(&[label(names::INSTANCE, instance)]).await.ok()?;
    let running = all.iter().filter(|container| container.state == "running");
    let id = running.filter_map(|container| names::id_of_control_plane(instance, &container.name)).next()?;
    Names::new(instance, id).ok()
}

async fn attempt(api: &Api, engine: &Engine, names: &Names) -> Result<bool, StageError> {
    let control_plane = names.control_plane();
    let list = "ctr -n k8s.io images ls -q | grep -m1 '/pause:'";
    let image = engine.run(&control_plane, &["sh", "-c", list], b"").await?.trim().to_owned();
    let node =
        text(&api.get("/api/v1/nodes?labelSelector=node-role.kubernetes.io%2Fcontrol-plane").await?, "/items/0/metadata/name").to_owned();
    made(api.post("/api/v1/namespaces", &json!({"metadata": {"name": NAMESPACE}})).await)?;
    let account = format!("/api/v1/namespaces/{NAMESPACE}/serviceaccounts/default");
    within(STARTED, "the account of its namespace", api.until(&account, |_| Some(()))).await?;
    let pods = format!("/api/v1/namespaces/{NAMESPACE}/pods");
    for name in ["from", "to"] {
        let pod = json!({
            "metadata": {"name": name, "labels": {"app": name}},
            "spec": {"nodeName": node, "terminationGracePeriodSeconds": 0, "automountServiceAccountToken": false,
                "containers": [{"name": "pause", "image": image, "imagePullPolicy": "Never"}]},
        });
        made(api.post(&pods, &pod).await)?;
    }
    let mut addresses = Vec::new();
    for name in ["from", "to"] {
        let path = format!("{pods}/{name}");
        let address = api.until(&path, |pod| {
            let address = text(pod, "/status/podIP");
            (text(pod, "/status/phase") == "Running" && !address.is_empty()).then(|| address.to_owned())
        });
        addresses.push(within(STARTED, "its pods", address).await?);
    }
    let probe = Probe {
        from_namespace: NAMESPACE.to_owned(),
        from_pod: "from".to_owned(),
        to_host: addresses.pop().unwrap_or_default(),
        to_port: 9,
        http_path: None,
    };
    let outcome = async |wanted: ProbeOutcome| while probe::run(api, engine, names, &probe).await != wanted {};
    within(STARTED, "a connection between its pods", outcome(ProbeOutcome::Refused)).await?;
    let policy = json!({
        "metadata": {"name": "closed"},
        "spec": {"podSelector": {"matchLabels": {"app": "to"}}, "policyTypes": ["Ingress"]},
    });
    made(api.post(&format!("/apis/networking.k8s.io/v1/namespaces/{NAMESPACE}/networkpolicies"), &policy).await)?;
    Ok(tokio::time::timeout(PATIENCE, outcome(ProbeOutcome::TimedOut)).await.is_ok())
}

/// What an earlier try has left behind will do.
fn made(answer: Result<Value, crate::kind::api::ApiError>) -> Result<(), StageError> {
    match answer {
        Err(error) if error.code() != Some(409) => Err(error.into()),
        _ => Ok(()),
    }
}

async fn within<T>(limit: Duration, what: &'static str, work: impl Future<Output = T>) -> Result<T, StageError> {
    tokio::time::timeout(limit, work).await.map_err(|_| StageError::Late { limit, what })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_image_is_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let record = Record::new(&folder.path().join("kind"));
        assert_eq!(record.get("sha256:a"), None);
        let measured = |enforced| Measured { enforced, at: "2026-11-27T00:00:00Z".to_owned() };
        for (image, enforced) in [("sha256:a", true), ("sha256:b", false), ("sha256:a", false)] {
            record.put(image, measured(enforced)).unwrap();
            assert_eq!(record.get(image), Some(measured(enforced)));
        }
        assert_eq!(record.get("sha256:b"), Some(measured(false)));
        std::fs::write(folder.path().join("kind/network.json"), "{").unwrap();
        assert_eq!(record.get("sha256:b"), None, "a file that cannot be read is none");
    }
}
