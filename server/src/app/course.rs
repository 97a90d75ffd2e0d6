//! What the application needs of the labs: plans, parameters, judgement. The seam to the `labs` and `checkers` crates, and where
//! a test puts a lab of its own.

use checkers::{Evidence, Verdict};
use provision::{ClusterSpec, Probe};
use serde_json::Value;
use std::{collections::BTreeMap, fmt::Debug, sync::Arc, time::Duration};

/// A lab as the application sees it. Titles are plain text; the pages read Markdown from the `labs` crate.
#[derive(Debug, Clone)]
pub struct LabPlan {
    /// As `secure-single-node-gpu-cluster`.
    pub id: String,
    pub title: String,
    /// `sha256:…` of the lab's content.
    pub digest: String,
    /// `None`: no timer.
    pub time_limit: Option<Duration>,
    pub cluster: ClusterSpec,
    pub steps: Vec<StepPlan>,
    /// In the order of the page; their points add up to 100.
    pub tasks: Vec<TaskPlan>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepPlan {
    pub id: String,
    pub title: String,
    /// Ids of the step's tasks.
    pub tasks: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskPlan {
    pub id: String,
    pub title: String,
    pub points: i64,
    /// Tasks that must pass on the same evidence, else this one earns nothing.
    pub needs: Vec<String>,
    /// The price of each hint, in points of this task.
    pub hint_costs: Vec<i64>,
}

impl LabPlan {
    pub fn task(&self, id: &str) -> Option<&TaskPlan> {
        self.tasks.iter().find(|task| task.id == id)
    }

    pub fn total(&self) -> i64 {
        self.tasks.iter().map(|task| task.points).sum()
    }
}

/// What an attempt begins with.
#[derive(Debug, Clone, Default)]
pub struct Start {
    /// Put into the cluster by its administrator, in this order.
    pub objects: Vec<Value>,
    /// The learner's files.
    pub workspace: BTreeMap<String, Vec<u8>>,
    /// The kubeconfig's namespace.
    pub namespace: Option<String>,
}

/// A connection that the lab wants tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedProbe {
    pub id: String,
    pub probe: Probe,
}

#[derive(Debug, thiserror::Error)]
#[error("lab {lab}: {message}")]
pub struct CourseError {
    pub lab: String,
    pub message: String,
}

/// All labs of this server. Pure: answers at once, from memory.
pub trait Course: Send + Sync + Debug {
    /// In the catalogue's order.
    fn labs(&self) -> Vec<Arc<LabPlan>>;

    fn lab(&self, id: &str) -> Option<Arc<LabPlan>>;

    /// The attempt's own values, derived from the server's key.
    fn params(&self, lab: &str, key: &[u8; 32], attempt: &str) -> BTreeMap<String, String>;

    fn start(&self, lab: &str, params: &BTreeMap<String, String>) -> Result<Start, CourseError>;

    /// Which connections to try, now that the cluster holds `objects`.
    fn probes(&self, lab: &str, params: &BTreeMap<String, String>, objects: &[Value]) -> Vec<NamedProbe>;

    /// Judges one task by itself; `needs` are the application's business.
    fn check(&self, lab: &str, task: &str, evidence: &Evidence) -> Verdict;

    /// A hint's text as Markdown, from 0.
    fn hint(&self, lab: &str, task: &str, number: usize, params: &BTreeMap<String, String>) -> Option<String>;

    /// Goes into receipts.
    fn checker_version(&self) -> String;
}

/// No labs at all: the pages then say so.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoLabs;

impl Course for NoLabs {
    fn labs(&self) -> Vec<Arc<LabPlan>> {
        Vec::new()
    }

    fn lab(&self, _id: &str) -> Option<Arc<LabPlan>> {
        None
    }

    fn params(&self, _lab: &str, _key: &[u8; 32], _attempt: &str) -> BTreeMap<String, String> {
        BTreeMap::new()
    }

    fn start(&self, lab: &str, _params: &BTreeMap<String, String>) -> Result<Start, CourseError> {
        Err(CourseError { lab: lab.to_owned(), message: "there is no such lab".to_owned() })
    }

    fn probes(&self, _lab: &str, _params: &BTreeMap<String, String>, _objects: &[Value]) -> Vec<NamedProbe> {
        Vec::new()
    }

    fn check(&self, _lab: &str, _task: &str, _evidence: &Evidence) -> Verdict {
        Verdict { outcome: checkers::Outcome::Inconclusive, findings: Vec::new() }
    }

    fn hint(&self, _lab: &str, _task: &str, _number: usize, _params: &BTreeMap<String, String>) -> Option<String> {
        None
    }

    fn checker_version(&self) -> String {
        String::new()
    }
}
