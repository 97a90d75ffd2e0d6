//! What a solution or a mistake does, as a list that a test can run.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A right way: scores 100.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Solution {
    /// Name of its folder below `solutions/`.
    #[serde(skip_deserializing, default)]
    pub name: String,
    pub title: String,
    pub actions: Vec<Action>,
}

/// A wrong way: fails exactly where it says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Mistake {
    /// Name of its file below `mistakes/`.
    #[serde(skip_deserializing, default)]
    pub name: String,
    pub title: String,
    /// Why it is wrong, for the author and for whoever reads the report.
    pub why: String,
    /// The solution that it spoils; its actions come first.
    pub solution: String,
    /// Changes to the solution's files before they are applied.
    #[serde(default)]
    pub edits: Vec<Edit>,
    /// Actions of the solution that are left out, by their numbers from 0.
    #[serde(default)]
    pub without: Vec<usize>,
    /// Actions after those of the solution.
    #[serde(default)]
    pub actions: Vec<Action>,
    /// The checks that fail, and with which control; no other task may fail.
    pub fails: Vec<Fails>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Edit {
    /// A file of the solution.
    pub file: String,
    pub find: String,
    pub replace: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fails {
    pub task: String,
    pub check: String,
    pub control: String,
}

/// One thing that a learner does. Files are the solution's, or the lab's with a leading `/`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// `kubectl apply -f`.
    Apply(String),
    /// The same with the object here.
    ApplyObject(Value),
    /// `kubectl delete`.
    Delete(ObjectRef),
    /// `kubectl patch --type merge`.
    Patch(Patch),
    /// `cordon scan IMAGE`.
    Scan(String),
    /// Lets the cluster come to rest and this many seconds pass.
    Wait(u32),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ObjectRef {
    pub api_version: String,
    pub kind: String,
    #[serde(default)]
    pub namespace: String,
    pub name: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Patch {
    pub of: ObjectRef,
    pub merge: Value,
}

/// The actions of a mistake: those of its solution without the ones left out, then its own.
pub fn actions(solution: &Solution, mistake: &Mistake) -> Vec<Action> {
    let kept = solution.actions.iter().enumerate().filter(|(index, _)| !mistake.without.contains(index)).map(|(_, action)| action);
    kept.chain(&mistake.actions).cloned().collect()
}
