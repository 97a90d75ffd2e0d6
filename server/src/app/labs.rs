//! The `labs` crate as the application's [`Course`].

use crate::app::course::{Course, CourseError, LabPlan, NamedProbe, Start, StepPlan, TaskPlan};
use checkers::{Evidence, Verdict};
use labs::{AttemptLab, Catalogue, Lab, PlannedProbe};
use provision::{ClusterSpec, NodeSpec, Probe};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// All labs of this server, read once.
#[derive(Debug, Clone)]
pub struct Labs {
    catalogue: Arc<Catalogue>,
    plans: Vec<Arc<LabPlan>>,
}

impl Labs {
    pub fn new(catalogue: Arc<Catalogue>) -> Self {
        let plans = catalogue.labs().into_iter().map(|lab| Arc::new(plan(lab))).collect();
        Self { catalogue, plans }
    }

    pub fn catalogue(&self) -> &Arc<Catalogue> {
        &self.catalogue
    }

    fn attempt<T>(
        &self,
        lab: &str,
        params: &BTreeMap<String, String>,
        work: impl FnOnce(&AttemptLab<'_>) -> Result<T, String>,
    ) -> Result<T, CourseError> {
        let failed = |message: String| CourseError { lab: lab.to_owned(), message };
        let found = self.catalogue.lab(lab).ok_or_else(|| failed("there is no such lab".to_owned()))?;
        let attempt = found
            .for_attempt(params.clone())
            .map_err(|problems| failed(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")))?;
        work(&attempt).map_err(failed)
    }
}

/// The clusters that attempts of a lab get; the control plane runs on the first node.
pub(crate) fn cluster_spec(lab: &Lab) -> ClusterSpec {
    let nodes = lab.spec.cluster.nodes.iter().enumerate().map(|(index, node)| NodeSpec {
        gpu_product: if node.gpu_product.is_empty() { NodeSpec::with_gpus("", node.gpus).gpu_product } else { node.gpu_product.clone() },
        gpus: node.gpus,
        name: node.name.clone(),
        control_plane: index == 0,
        ..NodeSpec::default()
    });
    ClusterSpec { nodes: nodes.collect(), ..ClusterSpec::default() }
}

pub(crate) fn named(planned: Vec<PlannedProbe>) -> Vec<NamedProbe> {
    let named = planned.into_iter().map(|probe| NamedProbe {
        id: probe.id,
        probe: Probe {
            from_namespace: probe.from_namespace,
            from_pod: probe.from_pod,
            to_host: probe.to_host,
            to_port: probe.to_port,
            http_path: probe.http_path,
        },
    });
    named.collect()
}

fn plan(lab: &Lab) -> LabPlan {
    LabPlan {
        id: lab.name.clone(),
        title: lab.spec.title.clone(),
        digest: lab.digest.clone(),
        time_limit: (lab.spec.minutes > 0).then(|| Duration::from_secs(u64::from(lab.spec.minutes) * 60)),
        cluster: cluster_spec(lab),
        steps: lab
            .spec
            .steps
            .iter()
            .map(|step| StepPlan { id: step.id.clone(), title: step.title.clone(), tasks: step.tasks.clone() })
            .collect(),
        tasks: lab
            .spec
            .tasks
            .iter()
            .map(|task| TaskPlan {
                id: task.id.clone(),
                title: task.title.clone(),
                points: i64::from(task.points),
                needs: task.needs.clone(),
                hint_costs: task.hints.iter().map(|hint| i64::from(hint.cost)).collect(),
            })
            .collect(),
    }
}

impl Course for Labs {
    fn labs(&self) -> Vec<Arc<LabPlan>> {
        self.plans.clone()
    }

    fn lab(&self, id: &str) -> Option<Arc<LabPlan>> {
        self.plans.iter().find(|plan| plan.id == id).cloned()
    }

    fn params(&self, lab: &str, key: &[u8; 32], attempt: &str) -> BTreeMap<String, String> {
        self.catalogue.lab(lab).map(|lab| lab.params(key, attempt)).unwrap_or_default()
    }

    fn start(&self, lab: &str, params: &BTreeMap<String, String>) -> Result<Start, CourseError> {
        self.attempt(lab, params, |attempt| {
            let objects = attempt.start_objects().map_err(|problem| problem.to_string())?;
            Ok(Start { objects, workspace: attempt.workspace(), namespace: attempt.namespace() })
        })
    }

    fn probes(&self, lab: &str, params: &BTreeMap<String, String>, objects: &[Value]) -> Vec<NamedProbe> {
        named(self.attempt(lab, params, |attempt| Ok(attempt.probes(objects))).unwrap_or_default())
    }

    fn check(&self, lab: &str, task: &str, evidence: &Evidence) -> Verdict {
        let judged = self.attempt(lab, &evidence.params, |attempt| Ok(attempt.judge(task, evidence)));
        match judged {
            Ok(Some(verdict)) => verdict.merged(),
            Ok(None) => Verdict::inconclusive("lab/task", "the lab has no such task"),
            Err(error) => Verdict::inconclusive("lab/readable", error.to_string()),
        }
    }

    fn hint(&self, lab: &str, task: &str, number: usize, params: &BTreeMap<String, String>) -> Option<String> {
        self.attempt(lab, params, |attempt| Ok(attempt.hint(task, number))).ok().flatten()
    }

    fn checker_version(&self) -> String {
        checkers::CHECKER_VERSION.to_owned()
    }
}
