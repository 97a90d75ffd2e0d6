//! The workload still works: a learner cannot secure it by breaking it.
//!
//! Controls: `works/resolves`, `works/connects`, `works/status`, `works/body`.

use crate::{
    evidence::{Evidence, ProbeResult},
    scope::Scope,
    spec::{Number, ProbeNeed, ProbeTarget},
    verdict::{Finding, Verdict},
};
use serde::{Deserialize, Serialize};

/// An HTTP request from a pod, and the answer that it must get.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Answers {
    /// Name of the probe, unique in the lab.
    pub probe: String,
    pub from: Scope,
    pub host: String,
    pub port: Number,
    #[serde(default = "root")]
    pub path: String,
    #[serde(default = "ok")]
    pub status: Number,
    /// Text that the answer's first bytes must hold.
    #[serde(default)]
    pub contains: Option<String>,
}

fn root() -> String {
    "/".to_owned()
}

fn ok() -> Number {
    Number(200)
}

impl Answers {
    pub(crate) fn probe(&self) -> ProbeNeed {
        ProbeNeed {
            id: self.probe.clone(),
            from: self.from.clone(),
            to: ProbeTarget::Host(self.host.clone()),
            port: self.port.port(),
            path: Some(self.path.clone()),
        }
    }

    pub(crate) fn check(&self, evidence: &Evidence) -> Verdict {
        let Some(record) = evidence.probes.iter().find(|record| record.id == self.probe) else {
            return Verdict::inconclusive("works/probe", format!("the probe {} was not made", self.probe));
        };
        let url = format!("http://{}:{}{}", self.host, self.port.0, self.path);
        let object = format!("Pod/{}", record.from);
        let fail = |control: &str, actual: String, expected: String| {
            Verdict::of(vec![Finding::new(control, object.as_str(), url.as_str(), actual, expected)])
        };
        match &record.result {
            ProbeResult::Unknown { reason } => Verdict::inconclusive("works/probe", reason.clone()),
            ProbeResult::NoSuchHost => {
                fail("works/resolves", format!("the name {} is not found", self.host), "a Service of this name".to_owned())
            }
            ProbeResult::Refused => {
                fail("works/connects", "connection refused: nothing is ready behind it".to_owned(), "an answer".to_owned())
            }
            ProbeResult::TimedOut => fail("works/connects", "timed out: packets are dropped on the way".to_owned(), "an answer".to_owned()),
            ProbeResult::Connected { status: None, .. } => {
                fail("works/status", "a connection without an HTTP answer".to_owned(), self.status.0.to_string())
            }
            ProbeResult::Connected { status: Some(status), .. } if u32::from(*status) != self.status.0 => {
                fail("works/status", status.to_string(), self.status.0.to_string())
            }
            ProbeResult::Connected { body, .. } => match &self.contains {
                Some(text) if !body.contains(text.as_str()) => {
                    fail("works/body", crate::path::words(&body.as_str().into()), format!("an answer with {text}"))
                }
                _ => Verdict::of(Vec::new()),
            },
        }
    }
}
