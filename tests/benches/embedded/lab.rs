//! The beginner's lab: its start and a solution, put into clusters as a learner would.

use labs::{Action, AttemptLab, Catalogue};
use provision::{Cluster, ClusterSpec, UserInfo};
use serde_json::Value;
use server::app::{Course, Labs, apply::learner, kube};
use std::{collections::BTreeMap, sync::Arc};

pub const LAB: &str = "secure-single-node-gpu-cluster";

#[derive(Debug)]
pub struct Beginner {
    catalogue: Arc<Catalogue>,
}

impl Beginner {
    pub fn new() -> Self {
        let Ok(catalogue) = Catalogue::embedded() else { panic!("the built-in labs can be read") };
        Self { catalogue: Arc::new(catalogue) }
    }

    pub fn spec(&self) -> ClusterSpec {
        Labs::new(self.catalogue.clone()).lab(LAB).expect("the lab").cluster.clone()
    }

    fn attempt(&self, id: &str) -> AttemptLab<'_> {
        self.attempt_with(self.catalogue.lab(LAB).expect("the lab").params(b"make bench", id))
    }

    /// The lab with these values.
    pub fn attempt_with(&self, values: BTreeMap<String, String>) -> AttemptLab<'_> {
        let Ok(attempt) = self.catalogue.lab(LAB).expect("the lab").for_attempt(values) else { panic!("the lab takes its values") };
        attempt
    }

    /// What is there when a learner comes.
    pub async fn start(&self, cluster: &dyn Cluster) {
        let attempt = self.attempt(cluster.id());
        let objects = attempt.start_objects().expect("the start can be read");
        apply(cluster, &attempt, UserInfo::admin(), objects).await;
    }

    /// The actions of the first solution, from one wait to the next: what can be done without letting time pass.
    pub fn stages(&self) -> Vec<Vec<Action>> {
        let actions = &self.attempt("").lab.solutions[0].actions;
        actions.split(|action| matches!(action, Action::Wait(_))).map(<[_]>::to_vec).collect()
    }

    /// Scans leave nothing in the cluster and are left out.
    pub async fn act(&self, cluster: &dyn Cluster, actions: &[Action]) {
        let attempt = self.attempt(cluster.id());
        for action in actions {
            match action {
                Action::Apply(file) => {
                    let objects = attempt.solution_objects(&attempt.lab.solutions[0], file, &[]).expect("the solution can be read");
                    apply(cluster, &attempt, learner(), objects).await;
                }
                Action::Scan(_) => {}
                other => panic!("the solution has an action that nothing here does: {other:?}"),
            }
        }
    }
}

async fn apply(cluster: &dyn Cluster, attempt: &AttemptLab<'_>, user: UserInfo, objects: Vec<Value>) {
    let namespace = attempt.namespace().unwrap_or_else(|| "default".to_owned());
    for applied in kube::apply_all(&kube::Caller { cluster, user }, "bench", &namespace, objects, false).await {
        assert_eq!(applied.problem, None, "{}", applied.object);
    }
}
