//! A cluster, and what is done to it.

use super::Judged;
use crate::app::{
    apply::learner,
    attempts::engine_name,
    collect,
    kube::{self, CallError, Caller},
    labs,
    scan::{CatalogueScanner, scan_on},
};
use ::labs::{Action, AttemptLab, Edit, ObjectRef, Solution};
use checkers::{Evidence, ScanRecord};
use jiff::{SignedDuration, Timestamp};
use machinery::{Clock, clock::ManualClock};
use provision::{Cluster, ProvisionError, Provisioner, UserInfo, sandbox::SandboxProvisioner};
use sandbox::{ImageCatalogue, Sandbox, SandboxError};
use serde_json::Value;
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// How long things may take to come to rest.
const SETTLE: Duration = Duration::from_secs(60);
/// On a real cluster; there one that is at rest sooner is waited for no longer.
const SETTLE_REAL: Duration = Duration::from_secs(120);
/// On a real cluster: how many times in a row it must be at rest.
const LOOKS: u32 = 2;
/// On a real cluster: what is done before and after a pause must not fall into one second, which is as finely as objects tell their age.
const PAUSE: Duration = Duration::from_secs(2);
/// The snapshot of a lab's start.
const START: &str = "start";

#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    #[error("making a cluster failed")]
    Sandbox(#[from] SandboxError),
    #[error("the cluster failed")]
    Provision(#[from] ProvisionError),
    #[error("the start of {lab} cannot be applied: {problem}")]
    Start { lab: String, problem: String },
    #[error("asking the cluster failed")]
    Call(#[from] CallError),
    #[error("there is no cluster yet")]
    NotBegun,
    #[error("a run broke off")]
    BrokeOff(#[source] tokio::task::JoinError),
}

/// On which clusters labs are tested.
#[derive(Debug, Clone)]
pub enum On {
    /// Embedded ones, in simulated time from this moment on.
    Embedded(Timestamp),
    /// Those of an engine, in the time of this clock.
    Real { engine: Arc<dyn Provisioner>, clock: Arc<dyn Clock> },
}

#[derive(Debug)]
enum Time {
    Simulated(Arc<ManualClock>),
    Real(Arc<dyn Clock>),
}

/// Runs labs, one after another.
#[derive(Debug)]
pub struct Bench {
    engine: Arc<dyn Provisioner>,
    time: Time,
    catalogue: Arc<ImageCatalogue>,
    cluster: Option<Arc<dyn Cluster>>,
    scans: Vec<ScanRecord>,
    remembered: BTreeMap<String, Vec<ScanRecord>>,
    /// The lab whose start [`START`] holds.
    began: Option<String>,
    made: u32,
}

impl Bench {
    pub fn new(catalogue: Arc<ImageCatalogue>, on: &On) -> Result<Self, BenchError> {
        let (engine, time): (Arc<dyn Provisioner>, _) = match on {
            On::Embedded(now) => {
                let clock = Arc::new(ManualClock::at(*now));
                let sandbox = Sandbox::new(sandbox::Options::manual(clock.clone(), catalogue.clone()))?;
                (Arc::new(SandboxProvisioner::new(sandbox)), Time::Simulated(clock))
            }
            On::Real { engine, clock } => (engine.clone(), Time::Real(clock.clone())),
        };
        Ok(Self { engine, time, catalogue, cluster: None, scans: Vec::new(), remembered: BTreeMap::new(), began: None, made: 0 })
    }

    fn now(&self) -> Timestamp {
        match &self.time {
            Time::Simulated(clock) => clock.now(),
            Time::Real(clock) => clock.now(),
        }
    }

    /// Removes the cluster.
    pub(super) async fn end(mut self) -> Result<(), BenchError> {
        if let Some(cluster) = self.cluster.take() {
            self.engine.delete(cluster.id()).await?;
        }
        Ok(())
    }

    fn cluster(&self) -> Result<&Arc<dyn Cluster>, BenchError> {
        self.cluster.as_ref().ok_or(BenchError::NotBegun)
    }

    /// A cluster with the lab's start in it and nothing else, at rest: made once, then restored.
    pub(super) async fn begin(&mut self, attempt: &AttemptLab<'_>) -> Result<(), BenchError> {
        if self.began.as_ref() == Some(&attempt.lab.name) {
            return self.back_to(START).await;
        }
        self.made += 1;
        let (progress, _) = tokio::sync::mpsc::unbounded_channel();
        let id = format!("labtest-{}", self.made);
        self.cluster = Some(self.engine.create(&id, &labs::cluster_spec(attempt.lab), progress).await?);
        (self.scans, self.remembered) = (Vec::new(), BTreeMap::new());
        let problem = |problem: String| BenchError::Start { lab: attempt.lab.name.clone(), problem };
        let objects = attempt.start_objects().map_err(|found| problem(found.to_string()))?;
        self.apply(attempt, UserInfo::admin(), objects).await?.map_err(problem)?;
        self.settle(SETTLE).await?;
        self.began = Some(attempt.lab.name.clone());
        self.remember(START).await
    }

    pub(super) async fn remember(&mut self, name: &str) -> Result<(), BenchError> {
        self.cluster()?.snapshot(name).await?;
        self.remembered.insert(name.to_owned(), self.scans.clone());
        Ok(())
    }

    /// The cluster as it was when it was at rest; whoever changes it next lets it come to rest again.
    pub(super) async fn back_to(&mut self, name: &str) -> Result<(), BenchError> {
        self.cluster()?.restore(name).await?;
        self.scans = self.remembered.get(name).cloned().unwrap_or_default();
        Ok(())
    }

    /// Lets the cluster come to rest; simulated time passes, whatever happens in it.
    async fn settle(&self, time: Duration) -> Result<(), BenchError> {
        match &self.time {
            Time::Simulated(clock) => {
                let end = clock.now().saturating_add(SignedDuration::try_from(time).unwrap_or_default()).unwrap_or(Timestamp::MAX);
                self.cluster()?.settle(time).await;
                clock.advance_to(end);
                self.cluster()?.settle(Duration::ZERO).await;
            }
            Time::Real(_) => {
                // What is at rest may be waiting for something that is on its way, as a pod for the GPU that a device plugin is about
                // to offer.
                for _ in 0..LOOKS {
                    tokio::time::sleep(PAUSE.min(time)).await;
                    self.cluster()?.settle(SETTLE_REAL).await;
                }
            }
        }
        if tracing::enabled!(tracing::Level::DEBUG) {
            self.tell().await?;
        }
        Ok(())
    }

    /// Logs what runs, for whoever looks for the reason of a wrong verdict.
    async fn tell(&self) -> Result<(), BenchError> {
        let cluster = self.cluster()?;
        let pods = Caller { cluster: &**cluster, user: UserInfo::admin() }.get("/api/v1/pods").await?;
        for pod in pods["items"].as_array().into_iter().flatten() {
            let (metadata, status) = (&pod["metadata"], &pod["status"]);
            let state = &status["containerStatuses"][0]["state"];
            let pod = format!("{}/{}", metadata["namespace"].as_str().unwrap_or_default(), metadata["name"].as_str().unwrap_or_default());
            tracing::debug!(at = %self.now(), pod, phase = %status["phase"], reason = %status["reason"], message = %status["message"], %state);
        }
        Ok(())
    }

    async fn apply(&self, attempt: &AttemptLab<'_>, user: UserInfo, objects: Vec<Value>) -> Result<Result<(), String>, BenchError> {
        let cluster = self.cluster()?;
        let namespace = attempt.namespace().unwrap_or_else(|| "default".to_owned());
        // The lab's own objects stay the lab's: a learner who applies an object again takes nothing of them away.
        let manager = if user == learner() { "kubectl" } else { "cordon-start" };
        let caller = Caller { cluster: &**cluster, user };
        let applied = kube::apply_all(&caller, manager, &namespace, objects, false).await;
        let problem = applied.into_iter().find_map(|one| one.problem.map(|problem| format!("{}: {problem}", one.object)));
        Ok(problem.map_or(Ok(()), Err))
    }

    /// Does what a learner would do, in order; `Err` with the first thing that the cluster did not take.
    pub(super) async fn run(
        &mut self,
        attempt: &AttemptLab<'_>,
        solution: &Solution,
        actions: &[Action],
        edits: &[Edit],
    ) -> Result<Result<(), String>, BenchError> {
        for action in actions {
            let done = match action {
                Action::Apply(file) => match attempt.solution_objects(solution, file, edits) {
                    Ok(objects) => self.apply(attempt, learner(), objects).await?,
                    Err(problem) => Err(problem.to_string()),
                },
                Action::ApplyObject(object) => match attempt.value(object) {
                    Ok(object) => self.apply(attempt, learner(), vec![object]).await?,
                    Err(problem) => Err(problem.to_string()),
                },
                Action::Delete(of) => self.change(attempt, http::Method::DELETE, of, None).await?,
                Action::Patch(patch) => match attempt.value(&patch.merge) {
                    Ok(merge) => self.change(attempt, http::Method::PATCH, &patch.of, Some(&merge)).await?,
                    Err(problem) => Err(problem.to_string()),
                },
                Action::Scan(image) => self.scan(&attempt.words(image)).await?,
                Action::Wait(seconds) => {
                    self.settle(Duration::from_secs(u64::from(*seconds))).await?;
                    Ok(())
                }
            };
            if let Err(problem) = done {
                return Ok(Err(format!("{action:?}: {problem}")));
            }
        }
        self.settle(SETTLE).await?;
        Ok(Ok(()))
    }

    async fn scan(&mut self, image: &str) -> Result<Result<(), String>, BenchError> {
        let scanner = CatalogueScanner(self.catalogue.clone());
        let scanned = match scan_on(&*self.engine, &scanner, image).await? {
            Ok(scanned) => scanned,
            Err(problem) => return Ok(Err(problem)),
        };
        self.scans.push(ScanRecord {
            image: image.to_owned(),
            digest: scanned.digest,
            at: self.now(),
            by: "learner".to_owned(),
            findings: scanned.vulnerabilities.into_iter().map(|found| (found.id, found.severity)).collect(),
            simulated: scanned.simulated,
        });
        Ok(Ok(()))
    }

    async fn change(
        &self,
        attempt: &AttemptLab<'_>,
        method: http::Method,
        of: &ObjectRef,
        merge: Option<&Value>,
    ) -> Result<Result<(), String>, BenchError> {
        let cluster = self.cluster()?;
        let caller = Caller { cluster: &**cluster, user: learner() };
        let (namespace, name) = (attempt.words(&of.namespace), attempt.words(&of.name));
        let object = serde_json::json!({"apiVersion": of.api_version, "kind": of.kind, "metadata": {"namespace": namespace, "name": name}});
        let path = match kube::path_of(&caller, &object).await {
            Ok(path) => path,
            Err(problem) => return Ok(Err(problem)),
        };
        let body = merge.map(|merge| merge.to_string().into_bytes()).unwrap_or_default();
        let kind = if merge.is_some() { "application/merge-patch+json" } else { "application/json" };
        Ok(caller.call(method, &path, kind, body).await.map(drop).map_err(|error| error.to_string()))
    }

    /// What the cluster made of the objects that a solution applies; those that other runs of the lab need as well are among them.
    pub(super) async fn applied_now(&self, attempt: &AttemptLab<'_>, solution: &Solution) -> Result<Vec<Value>, BenchError> {
        let cluster = self.cluster()?;
        let caller = Caller { cluster: &**cluster, user: learner() };
        let mut objects = Vec::new();
        for action in &solution.actions {
            let Action::Apply(file) = action else { continue };
            for object in attempt.solution_objects(solution, file, &[]).unwrap_or_default() {
                if let Ok(path) = kube::path_of(&caller, &object).await {
                    let mut now = caller.get(&path).await?;
                    now["apiVersion"] = object["apiVersion"].clone();
                    now["kind"] = object["kind"].clone();
                    objects.push(now);
                }
            }
        }
        Ok(objects)
    }

    /// Puts a mutant in place of an object, or takes the object away. `Err`: the cluster did not take it.
    pub(super) async fn mutate(&self, object: &Value, becomes: Option<&Value>) -> Result<Result<(), String>, BenchError> {
        let cluster = self.cluster()?;
        let caller = Caller { cluster: &**cluster, user: learner() };
        let path = match kube::path_of(&caller, object).await {
            Ok(path) => path,
            Err(problem) => return Ok(Err(problem)),
        };
        let done = match becomes {
            None => caller.call(http::Method::DELETE, &path, "application/json", Vec::new()).await,
            Some(mutant) => {
                let mut mutant = mutant.clone();
                if let Some(metadata) = mutant["metadata"].as_object_mut() {
                    metadata.remove("resourceVersion");
                    metadata.remove("managedFields");
                }
                caller.call(http::Method::PUT, &path, "application/json", mutant.to_string().into_bytes()).await
            }
        };
        match done {
            Ok(_) => {
                self.settle(SETTLE).await?;
                Ok(Ok(()))
            }
            Err(error) => Ok(Err(error.to_string())),
        }
    }

    /// Collects as for a learner, and judges.
    pub(super) async fn judge(&self, attempt: &AttemptLab<'_>) -> Result<Judged, BenchError> {
        let evidence = self.evidence(attempt).await?;
        let (points, tasks) = attempt.judge_all(&evidence);
        Ok(Judged { points, tasks })
    }

    async fn evidence(&self, attempt: &AttemptLab<'_>) -> Result<Evidence, BenchError> {
        let cluster = self.cluster()?;
        let caller = Caller { cluster: &**cluster, user: UserInfo::admin() };
        let mut missing = Vec::new();
        let objects = collect::objects(&caller, &mut missing).await;
        let probes = collect::probes(&**cluster, labs::named(attempt.probes(&objects)), &mut missing).await;
        Ok(Evidence {
            taken_at: self.now(),
            kubernetes_version: String::new(),
            engine: engine_name(self.engine.capabilities().engine).to_owned(),
            simulated: self.engine.capabilities().simulated,
            params: attempt.params.clone(),
            objects,
            probes,
            scans: self.scans.clone(),
            missing,
            policies_not_enforced: None,
        })
    }
}
