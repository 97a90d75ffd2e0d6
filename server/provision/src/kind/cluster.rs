//! One learner's cluster: its API behind the gateway, and its sleep.

use crate::{
    contract::{Body, Cluster, Probe, ProbeOutcome, ProvisionError, UserInfo, refusal},
    kind::{
        api::{Api, chain},
        docker::{DockerError, Engine, Listed, label},
        egress, failed,
        gpus::Gpus,
        guard, identity,
        names::{self, Names},
        network,
        objects::text,
        probe, recording, rest,
        settings::KindSettings,
        stage::StageError,
    },
};
use async_trait::async_trait;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use sandbox::{ApiError, is_snapshot_name};
use serde_json::{Value, json};
use std::{
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

/// One cluster, awake or paused.
#[derive(Debug)]
pub struct KindCluster {
    names: Names,
    engine: Engine,
    api: Api,
    settings: KindSettings,
    asleep: AtomicBool,
    /// One change between waking and sleeping at a time.
    turning: tokio::sync::Mutex<()>,
}

impl KindCluster {
    pub fn new(names: Names, engine: Engine, api: Api, settings: KindSettings) -> Self {
        Self { names, engine, api, settings, asleep: AtomicBool::new(false), turning: tokio::sync::Mutex::default() }
    }

    /// Finds a cluster in Docker, wakes or starts it again, and waits for its API.
    pub async fn open(names: Names, engine: Engine, settings: KindSettings, gpus: &Gpus) -> Result<Self, ProvisionError> {
        let stage = "opening the cluster";
        let docker = |error: DockerError| failed(stage, error);
        let broken = |why: &str| docker(DockerError::known(why, "remove it and start the lab anew"));
        let node = names.control_plane();
        let found = engine.inspect(&node).await.map_err(docker)?.ok_or(ProvisionError::NotFound)?;
        let bindings = found.host_config.and_then(|host| host.port_bindings).unwrap_or_default();
        let port = bindings.get("6443/tcp").cloned().flatten().and_then(|all| all.first()?.host_port.as_ref()?.parse().ok());
        let port = port.ok_or_else(|| broken("the node publishes no port for its API"))?;
        up(&engine, &names, &settings).await.map_err(docker)?;
        for node in nodes(&engine, &names).await.map_err(docker)? {
            if let Some(uuids) = node.labels.get(names::GPUS) {
                gpus.isolate_again(&engine, &node.id, uuids).await.map_err(|why| ProvisionError::Unavailable(why.to_string()))?;
            }
        }
        let kubeconfig = engine.run(&node, &["cat", "/etc/kubernetes/super-admin.conf"], b"").await.map_err(docker)?;
        let api = Api::new(&kubeconfig, port).map_err(|error| broken(&error.to_string()))?;
        let answers = tokio::time::timeout(settings.stage_limit, api.until("/readyz", |_| Some(()))).await;
        answers.map_err(|_| broken("the cluster's API server does not answer"))?;
        Ok(Self::new(names, engine, api, settings))
    }

    pub fn names(&self) -> &Names {
        &self.names
    }

    /// Whether NetworkPolicies do something here, tried out.
    pub async fn enforces_policies(&self) -> Result<bool, StageError> {
        network::measure(&self.api, &self.engine, &self.names).await
    }

    /// Does nothing where it is awake.
    pub async fn wake(&self) -> Result<(), ProvisionError> {
        if !self.asleep.load(Ordering::Acquire) {
            return Ok(());
        }
        let docker = |error: DockerError| failed("waking the cluster", error);
        let _turn = self.turning.lock().await;
        if self.asleep.load(Ordering::Acquire) {
            for node in nodes(&self.engine, &self.names).await.map_err(docker)? {
                if node.state == "paused" {
                    self.engine.unpause(&node.id).await.map_err(docker)?;
                }
            }
            self.asleep.store(false, Ordering::Release);
        }
        Ok(())
    }

    /// Starts nodes again that have died, or that went down with Docker. Does nothing where all run, or all sleep.
    pub async fn revive(&self) -> Result<(), ProvisionError> {
        let stage = "starting the cluster's nodes again";
        let _turn = self.turning.lock().await;
        if self.asleep.load(Ordering::Acquire) {
            return Ok(());
        }
        if up(&self.engine, &self.names, &self.settings).await.map_err(|error| failed(stage, error))? {
            tracing::warn!(cluster.id = self.names.id, "nodes had stopped, and were started again");
            let answers = tokio::time::timeout(self.settings.stage_limit, self.api.until("/readyz", |_| Some(()))).await;
            answers.map_err(|_| failed(stage, StageError::Late { limit: self.settings.stage_limit, what: "the API server's /readyz" }))?;
        }
        Ok(())
    }

    pub fn api(&self) -> &Api {
        &self.api
    }
}

#[async_trait]
impl Cluster for KindCluster {
    fn id(&self) -> &str {
        &self.names.id
    }

    async fn serve(&self, user: UserInfo, request: Request<Body>) -> Response<Body> {
        if let Err(error) = self.wake().await {
            return status(503, "ServiceUnavailable", &error.to_string());
        }
        let mut user = identity::of(&user, self.settings.trusted_learners);
        if let Some(wanted) = identity::wanted(request.headers()) {
            if let Err(why) = identity::may_impersonate(&self.api, &user, &wanted, self.settings.trusted_learners).await {
                return status(403, "Forbidden", &why);
            }
            user = wanted;
        }
        match self.api.forward(&user, request).await {
            Ok(response) if response.status() == StatusCode::INTERNAL_SERVER_ERROR => explained(response).await,
            Ok(response) => response,
            // A node that has died: the next request finds it alive.
            Err(error) => match self.revive().await {
                Ok(()) => status(503, "ServiceUnavailable", &error.to_string()),
                Err(worse) => status(503, "ServiceUnavailable", &chain(&worse)),
            },
        }
    }

    async fn authenticate(&self, bearer_token: &str) -> Option<UserInfo> {
        // Pods of a sleeping cluster do not run: a token wakes nothing.
        if self.asleep.load(Ordering::Acquire) {
            return None;
        }
        let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": bearer_token}});
        let answer = self.api.post("/apis/authentication.k8s.io/v1/tokenreviews", &review).await.ok()?;
        let user = &answer["status"]["user"];
        if answer["status"]["authenticated"] != true || user.is_null() {
            return None;
        }
        Some(UserInfo {
            name: text(user, "/username").to_owned(),
            uid: text(user, "/uid").to_owned(),
            groups: serde_json::from_value(user["groups"].clone()).unwrap_or_default(),
            extra: serde_json::from_value(user["extra"].clone()).unwrap_or_default(),
        })
    }

    async fn probe(&self, probe: &Probe) -> ProbeOutcome {
        if let Err(error) = self.wake().await {
            return ProbeOutcome::Unknown { reason: error.to_string() };
        }
        let limit = Duration::from_secs(20);
        let looked = tokio::time::timeout(limit, probe::run(&self.api, &self.engine, &self.names, probe)).await;
        looked.unwrap_or_else(|_| ProbeOutcome::Unknown { reason: format!("no answer from the node in {} seconds", limit.as_secs()) })
    }

    async fn snapshot(&self, name: &str) -> Result<(), ProvisionError> {
        let stage = "taking a snapshot";
        let path = snapshot_path(&self.settings, &self.names.id, name).ok_or(ProvisionError::NotFound)?;
        self.wake().await?;
        let recorded = recording::record(&self.api).await.map_err(|error| failed(stage, error))?;
        let written = tokio::task::spawn_blocking(move || -> std::io::Result<()> {
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder)?;
            }
            let temporary = path.with_extension("new");
            std::fs::write(&temporary, serde_json::to_vec(&recorded)?)?;
            std::fs::rename(temporary, path)
        });
        written.await.map_err(|error| failed(stage, error))?.map_err(|error| failed(stage, error))
    }

    async fn restore(&self, name: &str) -> Result<(), ProvisionError> {
        let stage = "restoring a snapshot";
        let recorded = recorded(&self.settings, &self.names.id, name).await?;
        self.wake().await?;
        let restored = tokio::time::timeout(self.settings.stage_limit, recording::restore(&self.api, &recorded)).await;
        restored
            .map_err(|_| failed(stage, StageError::Late { limit: self.settings.stage_limit, what: "" }))?
            .map_err(|error| failed(stage, error))
    }

    async fn settle(&self, limit: Duration) {
        if self.wake().await.is_ok() {
            let _ = tokio::time::timeout(limit, rest::wait(&self.api)).await;
        }
    }

    async fn sleep(&self) -> Result<(), ProvisionError> {
        let docker = |error: DockerError| failed("putting the cluster to sleep", error);
        let _turn = self.turning.lock().await;
        if !self.asleep.load(Ordering::Acquire) {
            for node in nodes(&self.engine, &self.names).await.map_err(docker)? {
                if node.state == "running" {
                    self.engine.pause(&node.id).await.map_err(docker)?;
                }
            }
            self.asleep.store(true, Ordering::Release);
        }
        Ok(())
    }
}

/// Makes all nodes run. `true`: some had to be started.
async fn up(engine: &Engine, names: &Names, settings: &KindSettings) -> Result<bool, DockerError> {
    let mut started = false;
    for node in nodes(engine, names).await? {
        match node.state.as_str() {
            "running" => {}
            "paused" => engine.unpause(&node.id).await?,
            _ => {
                // The node's own rules went with its network namespace.
                engine.start_container(&node.id).await?;
                egress::close(engine, &node.id, settings).await?;
                started = true;
            }
        }
    }
    Ok(started)
}

/// All containers of a cluster, found by the start that made them.
pub async fn nodes(engine: &Engine, names: &Names) -> Result<Vec<Listed>, DockerError> {
    let Some(found) = engine.inspect(&names.control_plane()).await? else { return Ok(Vec::new()) };
    let labels = found.config.and_then(|config| config.labels).unwrap_or_default();
    let start = labels.get(names::START).map(String::as_str).unwrap_or_default();
    engine.containers(&[label(names::START, start)]).await
}

/// Where the snapshots of a cluster are kept.
pub fn snapshots(settings: &KindSettings, id: &str) -> PathBuf {
    settings.data.join("snapshots").join(id)
}

/// `None`: that is no name of a snapshot.
fn snapshot_path(settings: &KindSettings, id: &str, name: &str) -> Option<PathBuf> {
    is_snapshot_name(name).then(|| snapshots(settings, id).join(format!("{name}.json")))
}

/// What a snapshot holds.
pub async fn recorded(settings: &KindSettings, id: &str, name: &str) -> Result<Vec<Value>, ProvisionError> {
    let path = snapshot_path(settings, id, name).ok_or(ProvisionError::NotFound)?;
    let bytes = tokio::fs::read(path).await.map_err(|_| ProvisionError::NotFound)?;
    serde_json::from_slice(&bytes).map_err(|error| failed("reading a snapshot", error))
}

/// A door that the guard's authorizer holds closed answers as a failure of the server; it is said what it is.
async fn explained(response: Response<Body>) -> Response<Body> {
    let (parts, body) = response.into_parts();
    let Ok(collected) = Limited::new(body, 1 << 20).collect().await else {
        return status(500, "InternalError", "the answer was cut off");
    };
    let bytes = collected.to_bytes();
    if String::from_utf8_lossy(&bytes).contains(guard::CLOSED_DOOR) {
        return status(403, "Forbidden", guard::CLOSED);
    }
    Response::from_parts(parts, Body::from(bytes))
}

/// A `Status` as the API server would send it.
fn status(code: u16, reason: &'static str, message: &str) -> Response<Body> {
    refusal(&ApiError::new(code, reason, message), &HeaderMap::new(), None)
}
