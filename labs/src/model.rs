//! A lab as it is written: `lab.yaml` with everything that it names.

pub use crate::params::Param;
use crate::{
    action::{Mistake, Solution},
    catalogue::LabFiles,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// A whole lab, valid by the lints that [`crate::parse`] makes.
#[derive(Debug, Clone)]
pub struct Lab {
    /// Name of the folder and of `metadata.name`.
    pub name: String,
    pub spec: Spec,
    pub solutions: Vec<Solution>,
    pub mistakes: Vec<Mistake>,
    /// `sha256:…` over paths and contents of all files.
    pub digest: String,
    pub(crate) files: LabFiles,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct LabFile {
    pub api_version: String,
    pub kind: String,
    pub metadata: Metadata,
    pub spec: Spec,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Metadata {
    pub name: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Spec {
    pub title: String,
    /// One sentence for the catalogue.
    pub summary: String,
    /// `beginner`, `intermediate`, `advanced`.
    pub track: String,
    /// The time target, which is also the timer.
    pub minutes: u32,
    /// What a learner can do afterwards.
    #[serde(default)]
    pub teaches: Vec<String>,
    pub cluster: ClusterPlan,
    #[serde(default)]
    pub params: BTreeMap<String, Param>,
    /// Markdown file.
    pub intro: String,
    /// Markdown file: the reference solution and why.
    pub explanation: String,
    pub start: Start,
    pub steps: Vec<Step>,
    pub tasks: Vec<Task>,
}

/// In the words of every engine's `ClusterSpec`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClusterPlan {
    pub nodes: Vec<Node>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Node {
    pub name: String,
    #[serde(default)]
    pub gpus: u32,
    #[serde(default)]
    pub gpu_product: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Start {
    /// Files with objects that are there when the learner comes, in this order.
    #[serde(default)]
    pub objects: Vec<String>,
    /// Folder whose files become the learner's workspace.
    pub workspace: String,
    /// The kubeconfig's namespace.
    #[serde(default)]
    pub namespace: Option<String>,
    /// What the untouched start scores.
    #[serde(default)]
    pub points: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Step {
    pub id: String,
    pub title: String,
    /// Markdown file.
    pub file: String,
    /// Ids of the tasks that the page shows with this step.
    pub tasks: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Task {
    pub id: String,
    pub title: String,
    pub points: u32,
    pub minutes: u32,
    /// Tasks that must pass on the same evidence, else this one earns nothing.
    #[serde(default)]
    pub needs: Vec<String>,
    #[serde(default)]
    pub hints: Vec<Hint>,
    /// `id`, perhaps `title`, and one of the checkers' families. Typed once the parameters are in.
    pub checks: Vec<Value>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Hint {
    /// In points of the task's reward.
    pub cost: u32,
    /// Markdown file.
    pub file: String,
}

/// A check with the attempt's values in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    pub id: String,
    pub title: String,
    pub spec: checkers::Spec,
}

impl Lab {
    pub fn task(&self, id: &str) -> Option<&Task> {
        self.spec.tasks.iter().find(|task| task.id == id)
    }

    /// A file of the lab as text, not rendered.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path).and_then(|bytes| std::str::from_utf8(bytes).ok())
    }

    /// Paths of all files, for those who look for pictures and the like.
    pub fn file(&self, path: &str) -> Option<&[u8]> {
        self.files.get(path).map(|bytes| bytes.as_slice())
    }

    /// The attempt's parameters, from a key that never leaves the server.
    pub fn params(&self, key: &[u8], attempt: &str) -> BTreeMap<String, String> {
        crate::params::derive(&self.spec.params, key, attempt)
    }
}
