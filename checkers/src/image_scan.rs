//! What runs was scanned before it was deployed, and carries nothing critical that nobody answers for.
//!
//! Controls: `scan/running`, `scan/beforeDeployment`, `scan/critical`, `scan/exception`.
//!
//! An exception is an entry of a ConfigMap in the workload's namespace that carries the label `cordon.dev/scan-exceptions: "true"`:
//!
//! ```yaml
//! data:
//!   CVE-2023-25668: |
//!     digest: sha256:…            # the image that it speaks of
//!     reason: We serve no SavedModel from untrusted sources; see risk 4711.
//!     approvedBy: security@example.com
//!     expires: 2027-06-30
//! ```

use crate::{
    evidence::{Evidence, ScanRecord},
    scope::{Scope, object_name},
    verdict::{Finding, Verdict},
    workloads::root,
    yaml,
};
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Label of the ConfigMaps that hold exceptions.
const EXCEPTIONS: &str = "cordon.dev/scan-exceptions";
/// Shorter is no reason.
const SHORTEST_REASON: usize = 20;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ImageScan {
    pub of: Scope,
    /// Severities that need an exception each.
    #[serde(default = "critical")]
    pub severities: Vec<String>,
}

fn critical() -> Vec<String> {
    vec!["CRITICAL".to_owned()]
}

/// `sha256:…` of an `imageID`: `docker.io/tensorflow/serving@sha256:…`.
fn digest(image_id: &str) -> Option<&str> {
    let digest = image_id.rsplit_once('@').map_or(image_id, |(_, digest)| digest);
    digest.starts_with("sha256:").then_some(digest)
}

impl ImageScan {
    pub(crate) fn check(&self, evidence: &Evidence) -> Verdict {
        let mut findings = Vec::new();
        let pods: Vec<&Value> = self.of.running(evidence).collect();
        if pods.is_empty() {
            return Verdict::of(vec![Finding::new("scan/running", "", "", "none runs", format!("running {}", self.of.words()))]);
        }
        for pod in pods {
            let Some(owner) = root(evidence, pod) else {
                return Verdict::inconclusive("scan/owner", format!("the controller of {} is not in the evidence", object_name(pod)));
            };
            let created = owner["metadata"]["creationTimestamp"].as_str().and_then(|text| text.parse::<Timestamp>().ok());
            let Some(created) = created else {
                return Verdict::inconclusive("scan/owner", format!("{} has no creation time", object_name(owner)));
            };
            for list in ["initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"] {
                let statuses = pod["status"][list].as_array().map(Vec::as_slice).unwrap_or_default();
                for (index, status) in statuses.iter().enumerate() {
                    let field = format!("status.{list}[{index}].imageID");
                    match digest(status["imageID"].as_str().unwrap_or_default()) {
                        Some(digest) => self.image(evidence, pod, &field, digest, owner, created, &mut findings),
                        None => {
                            findings.push(Finding::new("scan/running", object_name(pod), field, "no digest yet", "a container that runs"))
                        }
                    }
                }
            }
        }
        Verdict::of(findings)
    }

    #[expect(clippy::too_many_arguments, reason = "one container of one pod of one workload, and where to put what is found")]
    fn image(
        &self,
        evidence: &Evidence,
        pod: &Value,
        field: &str,
        digest: &str,
        owner: &Value,
        created: Timestamp,
        findings: &mut Vec<Finding>,
    ) {
        let mut add = |control: &str, actual: String, expected: String| {
            findings.push(Finding::new(control, object_name(pod), field, actual, expected))
        };
        let scans = || evidence.scans.iter().filter(|scan| scan.digest == digest);
        // Creation times are whole seconds, rounded down: a scan of the same second cannot prove that it came first. `cordon scan`
        // answers in a later second than the one it looked in, so that whoever waits for it is on the safe side.
        let before: Option<&ScanRecord> = scans().filter(|scan| scan.at < created).max_by_key(|scan| scan.at);
        let Some(scan) = before else {
            let actual = match scans().map(|scan| scan.at).min() {
                Some(at) => format!("{digest} was scanned at {at}, after {} was created ({created})", object_name(owner)),
                None => format!("{digest} was never scanned"),
            };
            add("scan/beforeDeployment", actual, format!("a scan before {} is created", object_name(owner)));
            return;
        };
        let mut severe: Vec<(&str, &str)> = scan
            .findings
            .iter()
            .filter(|(_, severity)| self.severities.iter().any(|wanted| wanted.eq_ignore_ascii_case(severity)))
            .map(|(id, severity)| (id.as_str(), severity.as_str()))
            .collect();
        severe.sort_unstable();
        for (id, severity) in severe {
            match exception(evidence, &self.of.namespace, id, digest) {
                Exception::Holds => {}
                Exception::None => {
                    add("scan/critical", format!("{id} is {severity}"), "a patched image, or a written exception".to_owned())
                }
                Exception::Lacks(what) => add("scan/exception", format!("the exception for {id} {what}"), "a whole exception".to_owned()),
            }
        }
    }
}

enum Exception {
    Holds,
    None,
    Lacks(String),
}

fn exception(evidence: &Evidence, namespace: &str, id: &str, digest: &str) -> Exception {
    let marked =
        |o: &&Value| o["kind"] == "ConfigMap" && o["metadata"]["namespace"] == namespace && o["metadata"]["labels"][EXCEPTIONS] == "true";
    let entries = evidence.objects.iter().filter(marked).filter_map(|map| map["data"][id].as_str());
    let mut complaint = Exception::None;
    for entry in entries {
        match lacks(entry, digest, evidence.taken_at) {
            None => return Exception::Holds,
            Some(what) => complaint = Exception::Lacks(what),
        }
    }
    complaint
}

fn lacks(entry: &str, digest: &str, now: Timestamp) -> Option<String> {
    let document = match yaml::documents(entry) {
        Ok(documents) => documents.into_iter().next().map(|document| document.value).unwrap_or_default(),
        Err(error) => return Some(format!("cannot be read: {error}")),
    };
    let text = |key: &str| document[key].as_str().map(str::trim).unwrap_or_default();
    if text("digest") != digest {
        return Some(format!("speaks of digest {:?}, and {digest} runs", text("digest")));
    }
    if text("reason").chars().count() < SHORTEST_REASON {
        return Some(format!("gives no reason of {SHORTEST_REASON} characters or more"));
    }
    if text("approvedBy").is_empty() {
        return Some("names nobody under approvedBy".to_owned());
    }
    match text("expires").parse::<Date>() {
        Err(_) => Some("has no date under expires (as 2027-06-30)".to_owned()),
        Ok(date) if date < now.to_zoned(TimeZone::UTC).date() => Some(format!("expired on {date}")),
        Ok(_) => None,
    }
}
