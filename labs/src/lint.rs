//! What a lab must satisfy before anybody learns by it.

use crate::{
    action::{Action, Edit},
    attempt::{AttemptLab, solution_path},
    model::Lab,
    problem::Problem,
    template::render,
};
use checkers::{Spec, yaml::Document};
use std::collections::{BTreeMap, BTreeSet};

const LAB: &str = "lab.yaml";
const TOTAL: u32 = 100;
const SOLUTIONS: usize = 2;
const MISTAKES: usize = 12;

/// All problems of a lab whose YAML could be read; `document` is its `lab.yaml`.
pub fn lint(lab: &Lab, document: &Document) -> Vec<Problem> {
    let mut lints = Lints { lab, document, problems: Vec::new() };
    lints.names();
    lints.files();
    lints.tasks();
    lints.params();
    if lints.problems.is_empty() {
        // Each of these needs what the ones before have made sure of.
        lints.attempt();
    }
    lints.problems
}

struct Lints<'a> {
    lab: &'a Lab,
    document: &'a Document,
    problems: Vec<Problem>,
}

fn is_name(text: &str) -> bool {
    let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !text.is_empty() && text.len() <= 63 && text.bytes().all(good) && !text.starts_with('-') && !text.ends_with('-')
}

impl Lints<'_> {
    fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        let field = field.into();
        self.problems.push(Problem::new(LAB, self.document.line(&field), field, message));
    }

    fn unique<'n>(&mut self, names: impl Iterator<Item = (String, &'n str)>) {
        let mut seen = BTreeSet::new();
        for (field, name) in names {
            if !is_name(name) {
                self.add(field.as_str(), format!("{name:?} is no name: a-z, 0-9 and -, 63 characters at most"));
            }
            if !seen.insert(name) {
                self.add(field, format!("{name:?} is there twice"));
            }
        }
    }

    fn names(&mut self) {
        let lab = self.lab;
        let spec = &lab.spec;
        self.unique([("metadata.name".to_owned(), lab.name.as_str())].into_iter());
        self.unique(spec.tasks.iter().enumerate().map(|(i, task)| (format!("spec.tasks[{i}].id"), task.id.as_str())));
        self.unique(spec.steps.iter().enumerate().map(|(i, step)| (format!("spec.steps[{i}].id"), step.id.as_str())));
        self.unique(spec.cluster.nodes.iter().enumerate().map(|(i, node)| (format!("spec.cluster.nodes[{i}].name"), node.name.as_str())));
        if !["beginner", "intermediate", "advanced"].contains(&spec.track.as_str()) {
            self.add("spec.track", "must be beginner, intermediate or advanced");
        }
        if spec.cluster.nodes.is_empty() {
            self.add("spec.cluster.nodes", "a cluster needs a node");
        }
        for (field, text) in [("spec.title", &spec.title), ("spec.summary", &spec.summary)] {
            if text.trim().is_empty() || text.contains('\n') {
                self.add(field, "must be one line of text");
            }
        }
    }

    fn files(&mut self) {
        let lab = self.lab;
        let spec = &lab.spec;
        let mut named = vec![("spec.intro".to_owned(), &spec.intro), ("spec.explanation".to_owned(), &spec.explanation)];
        named.extend(spec.start.objects.iter().enumerate().map(|(i, file)| (format!("spec.start.objects[{i}]"), file)));
        named.extend(spec.steps.iter().enumerate().map(|(i, step)| (format!("spec.steps[{i}].file"), &step.file)));
        for (t, task) in spec.tasks.iter().enumerate() {
            named.extend(task.hints.iter().enumerate().map(|(h, hint)| (format!("spec.tasks[{t}].hints[{h}].file"), &hint.file)));
        }
        for (field, file) in named {
            if lab.text(file).is_none_or(|text| text.trim().is_empty()) {
                self.add(field, format!("there is no text in {file}"));
            }
        }
        let workspace = format!("{}/", spec.start.workspace.trim_end_matches('/'));
        if !lab.files.keys().any(|path| path.starts_with(&workspace)) {
            self.add("spec.start.workspace", "there is no file in this folder");
        }
        for path in lab.files.keys() {
            let bad = path.split('/').any(|part| matches!(part, "" | "." | "..")) || path.contains(['\\', '\0']) || path.len() > 200;
            if bad {
                self.problems.push(Problem::new(path.as_str(), 0, "", "is no path of a lab"));
            }
        }
    }

    fn tasks(&mut self) {
        let lab = self.lab;
        let tasks = &lab.spec.tasks;
        let total: u32 = tasks.iter().map(|task| task.points).sum();
        if total != TOTAL {
            self.add("spec.tasks", format!("points add up to {total}, not {TOTAL}"));
        }
        for (t, task) in tasks.iter().enumerate() {
            let field = |rest: &str| format!("spec.tasks[{t}].{rest}");
            if task.points == 0 {
                self.add(field("points"), "a task earns something");
            }
            if task.checks.is_empty() {
                self.add(field("checks"), "a task is judged by something");
            }
            for (n, need) in task.needs.iter().enumerate() {
                match tasks.iter().position(|other| other.id == *need) {
                    None => self.add(field(&format!("needs[{n}]")), format!("there is no task {need}")),
                    // In the order of the page nothing can need itself in a circle.
                    Some(other) if other >= t => self.add(field(&format!("needs[{n}]")), format!("{need} must come before {}", task.id)),
                    Some(_) => {}
                }
            }
            let costs: Vec<u32> = task.hints.iter().map(|hint| hint.cost).collect();
            if costs.windows(2).any(|pair| pair[0] > pair[1]) {
                self.add(field("hints"), "hints are ordered: a later one costs no less than an earlier one");
            }
            if costs.iter().sum::<u32>() > task.points {
                self.add(field("hints"), "all hints together cost more than the task earns");
            }
            if !lab.spec.steps.iter().any(|step| step.tasks.contains(&task.id)) {
                self.add(field("id"), format!("no step shows {}", task.id));
            }
        }
        for (s, step) in lab.spec.steps.iter().enumerate() {
            for (n, id) in step.tasks.iter().enumerate().filter(|(_, id)| lab.task(id).is_none()) {
                self.add(format!("spec.steps[{s}].tasks[{n}]"), format!("there is no task {id}"));
            }
        }
        if lab.spec.start.points > TOTAL {
            self.add("spec.start.points", "is more than there is");
        }
    }

    fn params(&mut self) {
        let lab = self.lab;
        for (name, param) in &lab.spec.params {
            let good = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !name.is_empty();
            if let Some(message) = param.problem().or((!good).then_some("a parameter's name is of letters, digits and _")) {
                self.add(format!("spec.params.{name}"), message);
            }
        }
        let sample = sample(lab);
        for (path, _) in lab.files.iter().filter(|(path, _)| path.as_str() != LAB && !path.starts_with("mistakes/")) {
            if let Some(Err(error)) = lab.text(path).map(|text| render(text, &sample)) {
                self.problems.push(Problem::new(path.as_str(), error.line, "", error.to_string()));
            }
        }
    }

    fn attempt(&mut self) {
        let lab = self.lab;
        let attempt = match lab.for_attempt(sample(lab)) {
            Ok(attempt) => attempt,
            Err(problems) => {
                problems.into_iter().for_each(|problem| self.add(problem.field, problem.message));
                return;
            }
        };
        for path in &lab.spec.start.objects {
            if let Err(problem) = attempt.objects(path, &[]) {
                self.problems.push(problem);
            }
        }
        self.checks(&attempt);
        self.solutions(&attempt);
        self.mistakes(&attempt);
    }

    fn checks(&mut self, attempt: &AttemptLab<'_>) {
        let mut probes = BTreeMap::new();
        for (t, task) in self.lab.spec.tasks.iter().enumerate() {
            let checks = attempt.checks(&task.id);
            self.unique(checks.iter().enumerate().map(|(c, check)| (format!("spec.tasks[{t}].checks[{c}].id"), check.id.as_str())));
            for (c, check) in checks.iter().enumerate() {
                let field = format!("spec.tasks[{t}].checks[{c}]");
                if let Spec::Reachability(reachability) = &check.spec {
                    for group in reachability.unknown_groups() {
                        self.add(format!("{field}.reachability.expect"), format!("there is no group {group}"));
                    }
                    for expectation in reachability.expect.iter().filter(|e| e.port.port() == 0 || e.protocol.parse::<Protocol>().is_err())
                    {
                        self.add(format!("{field}.reachability.expect"), format!("{} needs a protocol and a port", expectation.id));
                    }
                }
                for probe in check.spec.needs().probes {
                    if probes.get(&probe.id).is_some_and(|other| *other != probe) {
                        self.add(field.as_str(), format!("two different probes are called {}", probe.id));
                    }
                    probes.insert(probe.id.clone(), probe);
                }
            }
        }
    }

    fn solutions(&mut self, attempt: &AttemptLab<'_>) {
        let lab = self.lab;
        if lab.solutions.len() < SOLUTIONS {
            self.add("", format!("{} solutions; a lab shows {SOLUTIONS} different right ways", lab.solutions.len()));
        }
        for solution in &lab.solutions {
            let file = format!("solutions/{}/solution.yaml", solution.name);
            self.actions(attempt, &file, &solution.name, &solution.actions, &[]);
        }
    }

    fn actions(&mut self, attempt: &AttemptLab<'_>, file: &str, solution: &str, actions: &[Action], edits: &[Edit]) {
        let Some(solution) = self.lab.solutions.iter().find(|s| s.name == solution) else { return };
        for action in actions {
            let problem = match action {
                Action::Apply(path) => attempt.solution_objects(solution, path, edits).err(),
                Action::ApplyObject(value) => attempt.value(value).err(),
                Action::Patch(patch) => attempt.value(&patch.merge).err(),
                Action::Delete(_) | Action::Scan(_) | Action::Wait(_) => None,
            };
            self.problems.extend(problem.map(|p| if p.file.is_empty() { Problem { file: file.to_owned(), ..p } } else { p }));
        }
    }

    fn mistakes(&mut self, attempt: &AttemptLab<'_>) {
        let lab = self.lab;
        if lab.mistakes.len() < MISTAKES {
            self.add("", format!("{} mistakes; a lab shows {MISTAKES} wrong ways or more", lab.mistakes.len()));
        }
        for mistake in &lab.mistakes {
            let file = format!("mistakes/{}.yaml", mistake.name);
            let mut complain = |message: String| self.problems.push(Problem::new(file.as_str(), 0, "", message));
            let Some(solution) = lab.solutions.iter().find(|s| s.name == mistake.solution) else {
                complain(format!("there is no solution {}", mistake.solution));
                continue;
            };
            if mistake.fails.is_empty() {
                complain("a mistake fails somewhere".to_owned());
            }
            if mistake.edits.is_empty() && mistake.without.is_empty() && mistake.actions.is_empty() {
                complain("it does what the solution does".to_owned());
            }
            for index in mistake.without.iter().filter(|index| **index >= solution.actions.len()) {
                complain(format!("the solution has no action {index}"));
            }
            for fails in &mistake.fails {
                if !attempt.checks(&fails.task).iter().any(|check| check.id == fails.check) {
                    complain(format!("there is no check {} of task {}", fails.check, fails.task));
                }
            }
            for edit in &mistake.edits {
                let path = solution_path(solution, &edit.file);
                if !lab.text(&path).is_some_and(|text| text.contains(&edit.find)) {
                    complain(format!("{path} does not hold {:?}", edit.find));
                }
                let done = crate::action::actions(solution, mistake);
                if !done.iter().any(|action| matches!(action, Action::Apply(file) if *file == edit.file)) {
                    complain(format!("{} is edited and never applied", edit.file));
                }
            }
            self.actions(attempt, &file, &solution.name, &mistake.actions, &mistake.edits);
        }
    }
}

/// The protocols of a port.
struct Protocol;

impl std::str::FromStr for Protocol {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if matches!(text, "TCP" | "UDP" | "SCTP") { Ok(Self) } else { Err(()) }
    }
}

/// Some attempt's values: enough to see whether everything fits together.
fn sample(lab: &Lab) -> BTreeMap<String, String> {
    lab.params(b"lint", "lint")
}
