//! What a cluster looks like at one moment: the objects, the live probes, the scans. Bounded in every direction; what could not
//! be seen is said in `missing`, so that a checker can tell "wrong" from "we could not look".

use crate::app::course::NamedProbe;
use crate::app::kube::{CallError, Caller};
use crate::app::{App, AppError};
use checkers::evidence::ProbeResult;
use checkers::{Evidence, ProbeRecord, ScanRecord};
use futures::StreamExt;
use provision::{Cluster, ProbeOutcome, UserInfo};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use store::Attempt;

/// Secrets are not among them: no check needs one, and no evidence keeps one.
const RESOURCES: [&str; 27] = [
    "/api/v1/namespaces",
    "/api/v1/nodes",
    "/api/v1/pods",
    "/api/v1/services",
    "/api/v1/serviceaccounts",
    "/api/v1/configmaps",
    "/api/v1/replicationcontrollers",
    "/api/v1/persistentvolumes",
    "/api/v1/persistentvolumeclaims",
    "/api/v1/limitranges",
    "/api/v1/resourcequotas",
    "/apis/apps/v1/daemonsets",
    "/apis/apps/v1/deployments",
    "/apis/apps/v1/replicasets",
    "/apis/apps/v1/statefulsets",
    "/apis/batch/v1/cronjobs",
    "/apis/batch/v1/jobs",
    "/apis/discovery.k8s.io/v1/endpointslices",
    "/apis/networking.k8s.io/v1/ingresses",
    "/apis/networking.k8s.io/v1/networkpolicies",
    "/apis/node.k8s.io/v1/runtimeclasses",
    "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "/apis/rbac.authorization.k8s.io/v1/rolebindings",
    "/apis/rbac.authorization.k8s.io/v1/roles",
    "/apis/scheduling.k8s.io/v1/priorityclasses",
    "/apis/policy/v1/poddisruptionbudgets",
];

/// Said where a policy is right and changes nothing.
pub const NOT_ENFORCED: &str = "the network of this cluster does not enforce NetworkPolicies, as was tried out; this costs you nothing";

const OBJECTS: usize = 5_000;
const BYTES: usize = 24 * 1024 * 1024;
const PROBES: usize = 200;
const AT_ONCE: usize = 16;
const SETTLE: Duration = Duration::from_secs(3);
const ONE_PROBE: Duration = Duration::from_secs(8);
const ALL_PROBES: Duration = Duration::from_secs(40);

impl App {
    /// Looks once, after the cluster has come to rest or three seconds are over.
    pub(crate) async fn collect(&self, attempt: &Attempt, cluster: Arc<dyn Cluster>) -> Result<Evidence, AppError> {
        cluster.settle(SETTLE).await;
        let taken_at = self.clock.now();
        let caller = Caller { cluster: &*cluster, user: UserInfo::admin() };
        let mut missing = Vec::new();
        let kubernetes_version = match caller.get("/version").await {
            Ok(version) => version["gitVersion"].as_str().unwrap_or_default().to_owned(),
            Err(error) => {
                missing.push(format!("the cluster's version: {error}"));
                String::new()
            }
        };
        let objects = objects(&caller, &mut missing).await;
        let wanted = self.course.probes(&attempt.lab, &attempt.params, &objects);
        let probes = probes(&*cluster, wanted, &mut missing).await;
        let capabilities = self.engine.capabilities();
        let scans = self.store.scans(&attempt.id).await?;
        Ok(Evidence {
            taken_at,
            kubernetes_version,
            engine: attempt.engine.clone(),
            simulated: capabilities.simulated,
            params: attempt.params.clone(),
            objects,
            probes,
            scans: scans.into_iter().map(scan_record).collect(),
            missing,
            policies_not_enforced: (capabilities.network_policy_enforced == Some(false)).then(|| NOT_ENFORCED.to_owned()),
        })
    }
}

/// Tries connections, some at once, in a bounded time.
pub(crate) async fn probes(cluster: &dyn Cluster, wanted: Vec<NamedProbe>, missing: &mut Vec<String>) -> Vec<ProbeRecord> {
    if wanted.len() > PROBES {
        missing.push(format!("{} of {} connections: more than {PROBES} are not tried", wanted.len() - PROBES, wanted.len()));
    }
    let trying = futures::stream::iter(wanted.into_iter().take(PROBES).map(|named| async move {
        let outcome = match tokio::time::timeout(ONE_PROBE, cluster.probe(&named.probe)).await {
            Ok(outcome) => outcome,
            Err(_) => ProbeOutcome::Unknown { reason: "the probe itself did not end in time".to_owned() },
        };
        record(named.id, named.probe, outcome)
    }))
    .buffered(AT_ONCE);
    let mut probes = Vec::new();
    let gathering = async {
        futures::pin_mut!(trying);
        while let Some(probe) = trying.next().await {
            probes.push(probe);
        }
    };
    if tokio::time::timeout(ALL_PROBES, gathering).await.is_err() {
        missing.push("some connections: trying them took too long".to_owned());
    }
    probes
}

pub(crate) async fn objects(caller: &Caller<'_>, missing: &mut Vec<String>) -> Vec<Value> {
    let mut objects: Vec<Value> = Vec::new();
    let mut bytes = 0;
    for path in RESOURCES {
        let mut next = String::new();
        loop {
            let page = match caller.get(&format!("{path}?limit=500{next}")).await {
                Ok(page) => page,
                // A cluster without this kind has none of it.
                Err(CallError::Refused { code: 404, .. }) => break,
                Err(error) => {
                    missing.push(format!("{path}: {error}"));
                    break;
                }
            };
            let kind = page["kind"].as_str().unwrap_or_default().trim_end_matches("List").to_owned();
            let version = page["apiVersion"].clone();
            let token = page["metadata"]["continue"].as_str().unwrap_or_default().to_owned();
            for mut object in items(page) {
                object["kind"] = kind.as_str().into();
                object["apiVersion"] = version.clone();
                if let Some(metadata) = object["metadata"].as_object_mut() {
                    metadata.remove("managedFields");
                }
                bytes += object.to_string().len();
                if objects.len() >= OBJECTS || bytes > BYTES {
                    missing.push(format!("{path}: the cluster holds more objects than are looked at ({OBJECTS})"));
                    return sorted(objects);
                }
                objects.push(object);
            }
            if token.is_empty() {
                break;
            }
            let token: String = url::form_urlencoded::byte_serialize(token.as_bytes()).collect();
            next = format!("&continue={token}");
        }
    }
    sorted(objects)
}

fn items(mut page: Value) -> Vec<Value> {
    match page["items"].take() {
        Value::Array(items) => items,
        _ => Vec::new(),
    }
}

fn sorted(mut objects: Vec<Value>) -> Vec<Value> {
    use machinery::object::{kind, name, namespace};
    objects.sort_by(|a, b| (kind(a), namespace(a), name(a)).cmp(&(kind(b), namespace(b), name(b))));
    objects
}

fn record(id: String, probe: provision::Probe, outcome: ProbeOutcome) -> ProbeRecord {
    let result = match outcome {
        ProbeOutcome::Connected { status, body } => ProbeResult::Connected { status, body: body.chars().take(4_096).collect() },
        ProbeOutcome::NoSuchHost => ProbeResult::NoSuchHost,
        ProbeOutcome::Refused => ProbeResult::Refused,
        ProbeOutcome::TimedOut => ProbeResult::TimedOut,
        ProbeOutcome::Unknown { reason } => ProbeResult::Unknown { reason },
    };
    let from = format!("{}/{}", probe.from_namespace, probe.from_pod);
    ProbeRecord { id, from, host: probe.to_host, port: probe.to_port, path: probe.http_path, result }
}

fn scan_record(scan: store::Scan) -> ScanRecord {
    ScanRecord {
        image: scan.image,
        digest: scan.digest,
        at: scan.at,
        by: scan.scanned_by,
        findings: scan.findings,
        simulated: scan.simulated,
    }
}
