//! A lab with one attempt's values in it.

use crate::{
    action::{Edit, Solution},
    model::{Check, Lab},
    problem::Problem,
    template::{render, render_value},
};
use checkers::{Evidence, Needs, Outcome, Scope, Verdict, manifest};
use serde_json::Value;
use std::collections::BTreeMap;

/// What an attempt of a lab needs: objects, files, texts, checks.
#[derive(Debug, Clone)]
pub struct AttemptLab<'a> {
    pub lab: &'a Lab,
    pub params: BTreeMap<String, String>,
    tasks: Vec<Vec<Check>>,
}

/// A task's judgement with those of its checks.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskVerdict {
    pub task: String,
    pub points: u32,
    /// Passed where all checks passed; failed where one failed; else inconclusive.
    pub outcome: Outcome,
    pub checks: Vec<(String, Verdict)>,
}

/// A connection to try from a pod that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedProbe {
    pub id: String,
    pub from_namespace: String,
    pub from_pod: String,
    pub to_host: String,
    pub to_port: u16,
    /// `None`: a bare TCP connection.
    pub http_path: Option<String>,
}

impl Lab {
    /// Puts the attempt's values in. Problems are those that a lint would have found, with the values at hand.
    pub fn for_attempt(&self, params: BTreeMap<String, String>) -> Result<AttemptLab<'_>, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut tasks = Vec::new();
        for (t, task) in self.spec.tasks.iter().enumerate() {
            let mut checks = Vec::new();
            for (c, raw) in task.checks.iter().enumerate() {
                match check(raw, &params) {
                    Ok(check) => checks.push(check),
                    Err((field, message)) => {
                        let place = format!("spec.tasks[{t}].checks[{c}]");
                        let field = if field.is_empty() { place } else { format!("{place}.{field}") };
                        problems.push(Problem::new("lab.yaml", 0, field, message));
                    }
                }
            }
            tasks.push(checks);
        }
        if problems.is_empty() { Ok(AttemptLab { lab: self, params, tasks }) } else { Err(problems) }
    }
}

fn check(raw: &Value, params: &BTreeMap<String, String>) -> Result<Check, (String, String)> {
    let bad = |field: &str, message: String| Err((field.to_owned(), message));
    let Value::Object(fields) = render_value(raw, params).map_err(|e| (String::new(), e.to_string()))? else {
        return bad("", "must be an object".to_owned());
    };
    let text = |key: &str| fields.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let id = text("id");
    if id.is_empty() {
        return bad("id", "is missing".to_owned());
    }
    let families: Vec<_> = fields.iter().filter(|(key, _)| !matches!(key.as_str(), "id" | "title")).collect();
    let [(family, spec)] = families.as_slice() else {
        return bad("", "must hold id, perhaps title, and one check family".to_owned());
    };
    let tagged = Value::Object([((*family).clone(), (*spec).clone())].into_iter().collect());
    match serde_path_to_error::deserialize::<_, checkers::Spec>(&tagged) {
        Ok(spec) => Ok(Check { id, title: text("title"), spec }),
        Err(error) => {
            let field = error.path().to_string();
            let field = if field == "." { (*family).clone() } else { field };
            Err((field, error.into_inner().to_string()))
        }
    }
}

impl AttemptLab<'_> {
    /// A text of the lab with the attempt's values. `None`: no such file, or not one of text.
    pub fn text(&self, path: &str) -> Option<String> {
        render(self.lab.text(path)?, &self.params).ok()
    }

    /// A short text, as a title.
    pub fn words(&self, text: &str) -> String {
        render(text, &self.params).unwrap_or_else(|_| text.to_owned())
    }

    /// The namespace that the learner's kubeconfig names.
    pub fn namespace(&self) -> Option<String> {
        self.lab.spec.start.namespace.as_deref().map(|text| self.words(text))
    }

    /// The objects that are there when the learner comes, in order.
    pub fn start_objects(&self) -> Result<Vec<Value>, Problem> {
        let mut objects = Vec::new();
        for path in &self.lab.spec.start.objects {
            objects.extend(self.objects(path, &[])?);
        }
        Ok(objects)
    }

    /// The learner's files, by path below the workspace.
    pub fn workspace(&self) -> BTreeMap<String, Vec<u8>> {
        let prefix = format!("{}/", self.lab.spec.start.workspace.trim_end_matches('/'));
        let inside = self.lab.files.iter().filter_map(|(path, bytes)| Some((path.strip_prefix(&prefix)?, path, bytes)));
        inside.map(|(name, path, bytes)| (name.to_owned(), self.text(path).map_or_else(|| bytes.clone(), String::into_bytes))).collect()
    }

    /// The objects of a file, after some edits of its text.
    pub fn objects(&self, path: &str, edits: &[&Edit]) -> Result<Vec<Value>, Problem> {
        let bad = |line: u64, message: String| Problem::new(path, line, "", message);
        let text = self.lab.text(path).ok_or_else(|| bad(0, "there is no such text".to_owned()))?;
        let mut text = text.to_owned();
        for edit in edits {
            if !text.contains(&edit.find) {
                return Err(bad(0, format!("does not hold {:?}", edit.find)));
            }
            text = text.replacen(&edit.find, &edit.replace, 1);
        }
        let text = render(&text, &self.params).map_err(|error| bad(error.line, error.to_string()))?;
        let read = manifest::read(text.as_bytes()).map_err(|error| bad(error.line.unwrap_or(0), error.message))?;
        Ok(read.into_iter().map(|manifest| manifest.value).collect())
    }

    /// The objects that an `apply` of a solution speaks of.
    pub fn solution_objects(&self, solution: &Solution, file: &str, edits: &[Edit]) -> Result<Vec<Value>, Problem> {
        let edits: Vec<&Edit> = edits.iter().filter(|edit| edit.file == file).collect();
        self.objects(&solution_path(solution, file), &edits)
    }

    /// A JSON value with the attempt's values.
    pub fn value(&self, value: &Value) -> Result<Value, Problem> {
        render_value(value, &self.params).map_err(|error| Problem::new("", 0, "", error.to_string()))
    }

    pub fn hint(&self, task: &str, number: usize) -> Option<String> {
        self.text(&self.lab.task(task)?.hints.get(number)?.file)
    }

    pub fn checks(&self, task: &str) -> &[Check] {
        let index = self.lab.spec.tasks.iter().position(|t| t.id == task);
        index.and_then(|index| self.tasks.get(index)).map(Vec::as_slice).unwrap_or_default()
    }

    /// What must be collected to judge.
    pub fn needs(&self) -> Needs {
        let mut needs = Needs::default();
        self.tasks.iter().flatten().for_each(|check| needs.add(check.spec.needs()));
        needs
    }

    /// The connections to try, now that the cluster holds these objects: each from the first running pod of its scope. One whose pods are
    /// not there is left out; the checker then says so.
    pub fn probes(&self, objects: &[Value]) -> Vec<PlannedProbe> {
        let running = |scope: &Scope, not: Option<&Value>| {
            objects
                .iter()
                .filter(|o| {
                    o["kind"] == "Pod"
                        && scope.holds(o)
                        && o["status"]["phase"] == "Running"
                        && o["metadata"]["deletionTimestamp"].is_null()
                })
                .find(|pod| not.is_none_or(|other| pod["metadata"]["uid"] != other["metadata"]["uid"]))
        };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let plan = |need: checkers::ProbeNeed| {
            let from = running(&need.from, None)?;
            let to_host = match &need.to {
                checkers::ProbeTarget::Host(host) => host.clone(),
                checkers::ProbeTarget::Pod(scope) => text(&running(scope, Some(from))?["status"]["podIP"]),
            };
            Some(PlannedProbe {
                id: need.id,
                from_namespace: text(&from["metadata"]["namespace"]),
                from_pod: text(&from["metadata"]["name"]),
                to_host,
                to_port: need.port,
                http_path: need.path,
            })
        };
        self.needs().probes.into_iter().filter_map(plan).collect()
    }

    /// Judges one task by itself.
    pub fn judge(&self, task: &str, evidence: &Evidence) -> Option<TaskVerdict> {
        let points = self.lab.task(task)?.points;
        let checks: Vec<_> = self.checks(task).iter().map(|check| (check.id.clone(), checkers::check(&check.spec, evidence))).collect();
        let any = |outcome: Outcome| checks.iter().any(|(_, verdict)| verdict.outcome == outcome);
        let outcome = match () {
            () if any(Outcome::Failed) => Outcome::Failed,
            () if any(Outcome::Inconclusive) => Outcome::Inconclusive,
            () => Outcome::Passed,
        };
        Some(TaskVerdict { task: task.to_owned(), points, outcome, checks })
    }

    /// Judges every task, and what the whole earns without hints: a task whose needs did not pass earns nothing.
    pub fn judge_all(&self, evidence: &Evidence) -> (u32, Vec<TaskVerdict>) {
        let verdicts: Vec<TaskVerdict> = self.lab.spec.tasks.iter().filter_map(|task| self.judge(&task.id, evidence)).collect();
        let passed = |id: &str| verdicts.iter().any(|verdict| verdict.task == id && verdict.outcome == Outcome::Passed);
        let earns = |task: &&crate::model::Task| passed(&task.id) && task.needs.iter().all(|need| passed(need));
        let points = self.lab.spec.tasks.iter().filter(earns).map(|task| task.points).sum();
        (points, verdicts)
    }
}

impl TaskVerdict {
    /// One verdict of all checks: their findings one after the other.
    pub fn merged(self) -> Verdict {
        Verdict { outcome: self.outcome, findings: self.checks.into_iter().flat_map(|(_, verdict)| verdict.findings).collect() }
    }
}

/// Where a solution's file lies in the lab; a leading `/` means the lab's own folder.
pub(crate) fn solution_path(solution: &Solution, file: &str) -> String {
    file.strip_prefix('/').map_or_else(|| format!("solutions/{}/{file}", solution.name), str::to_owned)
}
