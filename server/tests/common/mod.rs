//! A cluster that says what a test tells it, and an application around it.

use async_trait::async_trait;
use checkers::{Evidence, Finding, Outcome, Verdict};
use http::{Request, Response};
use jiff::Timestamp;
use machinery::clock::ManualClock;
use parking_lot::Mutex;
use provision::{
    Body, Capabilities, Cluster, ClusterSpec, Probe, ProbeOutcome, ProgressSender, ProvisionError, Provisioner, SandboxProvisioner,
    UserInfo,
};
use serde_json::{Value, json};
use server::app::course::{Course, CourseError, LabPlan, NamedProbe, Start, StepPlan, TaskPlan};
use server::app::{App, AttemptState, LiveEvent, Parts, Settings, User, keys::Keys, scan};
use server::state::SystemRandom;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

pub const LAB: &str = "lab";

/// Answers every request in one way and writes down what happens to it.
#[derive(Debug, Default)]
pub struct FakeCluster {
    pub id: String,
    pub journal: Arc<Mutex<Vec<String>>>,
}

#[async_trait]
impl Cluster for FakeCluster {
    fn id(&self) -> &str {
        &self.id
    }

    async fn serve(&self, user: UserInfo, request: Request<Body>) -> Response<Body> {
        use http_body_util::BodyExt;
        let (parts, body) = request.into_parts();
        let secrets = ["authorization", "cookie"].iter().any(|name| parts.headers.contains_key(*name));
        let Ok(body) = body.collect().await else {
            return Response::builder().status(413).body(Body::from("{}")).unwrap();
        };
        let line = format!("{} {} {} {} {}", self.id, user.name, parts.method, parts.uri, body.to_bytes().len());
        self.journal.lock().push(if secrets { format!("{line} WITH SECRETS") } else { line });
        if parts.uri.path() == "/version" {
            return Response::new(Body::from(json!({"gitVersion": "v1.34.0"}).to_string()));
        }
        if parts.method == "POST" {
            let answer = Response::builder().status(201).header("content-type", "application/json");
            return answer.body(Body::from(json!({"metadata": {"name": "made-up"}}).to_string())).unwrap();
        }
        Response::new(Body::from(json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": []}).to_string()))
    }

    async fn authenticate(&self, bearer_token: &str) -> Option<UserInfo> {
        (bearer_token == format!("sa-of-{}", self.id)).then(|| UserInfo::service_account("ml", "serving"))
    }

    async fn probe(&self, _probe: &Probe) -> ProbeOutcome {
        ProbeOutcome::TimedOut
    }

    async fn snapshot(&self, name: &str) -> Result<(), ProvisionError> {
        self.journal.lock().push(format!("{} snapshot {name}", self.id));
        Ok(())
    }

    async fn restore(&self, name: &str) -> Result<(), ProvisionError> {
        self.journal.lock().push(format!("{} restore {name}", self.id));
        Ok(())
    }

    async fn settle(&self, _limit: Duration) {}

    async fn sleep(&self) -> Result<(), ProvisionError> {
        self.journal.lock().push(format!("{} sleep", self.id));
        Ok(())
    }
}

#[derive(Debug, Default)]
pub struct FakeEngine {
    pub clusters: Mutex<BTreeSet<String>>,
    pub journal: Arc<Mutex<Vec<String>>>,
    /// Why the next creation fails.
    pub broken: Mutex<Option<String>>,
}

#[async_trait]
impl Provisioner for FakeEngine {
    fn capabilities(&self) -> Capabilities {
        SandboxProvisioner::offers()
    }

    async fn create(&self, id: &str, _spec: &ClusterSpec, _progress: ProgressSender) -> Result<Arc<dyn Cluster>, ProvisionError> {
        if let Some(why) = self.broken.lock().take() {
            return Err(ProvisionError::Unavailable(why));
        }
        self.clusters.lock().insert(id.to_owned());
        self.open(id).await
    }

    async fn open(&self, id: &str) -> Result<Arc<dyn Cluster>, ProvisionError> {
        if !self.clusters.lock().contains(id) {
            return Err(ProvisionError::NotFound);
        }
        Ok(Arc::new(FakeCluster { id: id.to_owned(), journal: self.journal.clone() }))
    }

    async fn delete(&self, id: &str) -> Result<(), ProvisionError> {
        self.clusters.lock().remove(id);
        Ok(())
    }

    async fn list(&self) -> Result<Vec<String>, ProvisionError> {
        Ok(self.clusters.lock().iter().cloned().collect())
    }
}

/// Two steps: `gpu` (40 points, two hints) and `harden` (60 points, needs `gpu`). Each task's outcome is what the test says.
#[derive(Debug)]
pub struct FakeCourse {
    pub outcomes: Mutex<BTreeMap<String, Outcome>>,
}

impl FakeCourse {
    pub fn says(&self, task: &str, outcome: Outcome) {
        self.outcomes.lock().insert(task.to_owned(), outcome);
    }
}

impl Course for FakeCourse {
    fn labs(&self) -> Vec<Arc<LabPlan>> {
        self.lab(LAB).into_iter().collect()
    }

    fn lab(&self, id: &str) -> Option<Arc<LabPlan>> {
        let task = |id: &str, points, needs: &[&str]| TaskPlan {
            id: id.to_owned(),
            title: id.to_uppercase(),
            points,
            needs: needs.iter().map(|&need| need.to_owned()).collect(),
            hint_costs: vec![5, 50],
        };
        let step = |id: &str| StepPlan { id: format!("step-{id}"), title: id.to_owned(), tasks: vec![id.to_owned()] };
        (id == LAB).then(|| {
            Arc::new(LabPlan {
                id: LAB.to_owned(),
                title: "A lab".to_owned(),
                digest: "sha256:lab".to_owned(),
                time_limit: Some(Duration::from_secs(3600)),
                cluster: ClusterSpec::default(),
                steps: vec![step("gpu"), step("harden")],
                tasks: vec![task("gpu", 40, &[]), task("harden", 60, &["gpu"])],
            })
        })
    }

    fn params(&self, _lab: &str, key: &[u8; 32], attempt: &str) -> BTreeMap<String, String> {
        BTreeMap::from([("namespace".to_owned(), format!("ml-{:x}{}", key[0], &attempt[..4]))])
    }

    fn start(&self, _lab: &str, _params: &BTreeMap<String, String>) -> Result<Start, CourseError> {
        Ok(Start { objects: Vec::new(), workspace: BTreeMap::from([("start.yaml".to_owned(), b"kind: Pod\n".to_vec())]), namespace: None })
    }

    fn probes(&self, _lab: &str, _params: &BTreeMap<String, String>, _objects: &[Value]) -> Vec<NamedProbe> {
        Vec::new()
    }

    fn check(&self, _lab: &str, task: &str, _evidence: &Evidence) -> Verdict {
        let outcome = self.outcomes.lock().get(task).copied().unwrap_or(Outcome::Failed);
        let finding = Finding {
            control: "test".to_owned(),
            object: String::new(),
            field: String::new(),
            actual: "no".to_owned(),
            expected: "yes".to_owned(),
            why: String::new(),
            read: String::new(),
        };
        Verdict { outcome, findings: if outcome == Outcome::Failed { vec![finding] } else { Vec::new() } }
    }

    fn hint(&self, _lab: &str, task: &str, number: usize, _params: &BTreeMap<String, String>) -> Option<String> {
        Some(format!("hint {number} of {task}"))
    }

    fn checker_version(&self) -> String {
        "test".to_owned()
    }
}

/// Knows `known:1`, with one critical finding.
#[derive(Debug)]
pub struct FakeScanner;

impl scan::Scanner for FakeScanner {
    fn scan(&self, image: &str) -> Result<scan::Scanned, String> {
        if image != "known:1" {
            return Err(format!("nothing is known about {image:?}"));
        }
        let found = scan::Vulnerable {
            id: "CVE-1".to_owned(),
            package: "p".to_owned(),
            installed: "1".to_owned(),
            fixed: String::new(),
            severity: "CRITICAL".to_owned(),
            title: "t".to_owned(),
            kind: "debian".to_owned(),
        };
        let image = "docker.io/library/known:1".to_owned();
        Ok(scan::Scanned { image, digest: "sha256:1".to_owned(), os: "debian".to_owned(), simulated: true, vulnerabilities: vec![found] })
    }
}

pub struct World {
    pub app: Arc<App>,
    pub clock: Arc<ManualClock>,
    pub engine: Arc<FakeEngine>,
    pub course: Arc<FakeCourse>,
    pub store: store::Database,
    _folder: tempfile::TempDir,
}

pub async fn world() -> World {
    world_with(Settings::default()).await
}

pub async fn world_with(settings: Settings) -> World {
    let folder = tempfile::tempdir().unwrap();
    let store = store::Database::open_file(&folder.path().join("cordon.db")).await.unwrap();
    let clock = Arc::new(ManualClock::at(Timestamp::from_second(1_800_000_000).unwrap()));
    let engine = Arc::new(FakeEngine::default());
    let course = Arc::new(FakeCourse { outcomes: Mutex::default() });
    let jails = jail::Jails::open(jail::JailConfig::new(folder.path().join("jails"), env!("CARGO_BIN_EXE_cordon"))).unwrap();
    let app = App::new(Parts {
        store: Arc::new(store.clone()),
        clock: clock.clone(),
        random: Arc::new(SystemRandom),
        course: course.clone(),
        engine: engine.clone(),
        scanner: Arc::new(FakeScanner),
        jails: Arc::new(jails),
        keys: Keys::temporary(&SystemRandom),
        settings,
    });
    World { app, clock, engine, course, store, _folder: folder }
}

impl World {
    pub fn pass_time(&self, seconds: i64) {
        use machinery::Clock;
        self.clock.advance_to(self.clock.now() + jiff::SignedDuration::from_secs(seconds));
    }

    pub async fn guest(&self) -> User {
        self.app.guest().await.unwrap().user
    }

    /// Starts the lab and waits until it runs (or failed).
    pub async fn started(&self, user: &User) -> store::Attempt {
        let attempt = self.app.start(user, LAB).await.unwrap();
        self.settled(user, &attempt.id).await
    }

    pub async fn settled(&self, user: &User, attempt: &str) -> store::Attempt {
        let mut live = self.app.subscribe(user, attempt).await.unwrap();
        loop {
            let present = self.app.attempt(user, attempt).await.unwrap();
            if present.state != AttemptState::Preparing {
                return present;
            }
            loop {
                if let LiveEvent::State { .. } = live.recv().await.unwrap().event {
                    break;
                }
            }
        }
    }
}
