//! Check: one task or all, on one evidence snapshot.

use crate::app::course::LabPlan;
use crate::app::live::LiveEvent;
use crate::app::{App, AppError};
use crate::state::edge;
use checkers::{Evidence, Finding, Outcome, Verdict};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use store::{Attempt, EvidenceBlob, HintTaken, TaskState, User, VerdictRow};

/// What to check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    One(String),
    All,
}

/// A task's verdict with what it earns.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskVerdict {
    pub task: String,
    pub outcome: Outcome,
    /// After the cost of hints; 0 unless passed.
    pub points: i64,
    pub findings: Vec<Finding>,
    pub at: Timestamp,
}

/// All verdicts of one look at the cluster.
#[derive(Debug, Clone)]
pub(crate) struct Judged {
    pub(crate) verdicts: Vec<TaskVerdict>,
    /// `sha256:…` of the evidence.
    pub(crate) evidence: String,
}

impl App {
    /// Checks and remembers. A task that we could not look at (`Inconclusive`) stays as it was.
    pub async fn check(&self, user: &User, attempt: &str, which: &Which) -> Result<Vec<TaskVerdict>, AppError> {
        let lock = self.attempt_lock(attempt);
        let _held = lock.lock().await;
        let attempt = self.running_attempt(user, attempt).await?;
        self.touch(&attempt).await?;
        Ok(self.judge(&attempt, which, false).await?.verdicts)
    }

    /// The newest verdict of each task that was ever checked.
    pub async fn latest_verdicts(&self, user: &User, attempt: &str) -> Result<BTreeMap<String, TaskVerdict>, AppError> {
        self.attempt(user, attempt).await?;
        let mut latest = BTreeMap::new();
        for row in self.store.verdicts(attempt).await? {
            latest.insert(row.task.clone(), read(row)?);
        }
        Ok(latest)
    }

    /// Under the attempt's lock.
    pub(crate) async fn judge(&self, attempt: &Attempt, which: &Which, is_final: bool) -> Result<Judged, AppError> {
        let plan = self.course.lab(&attempt.lab).ok_or(AppError::NotFound("lab"))?;
        if let Which::One(task) = which
            && plan.task(task).is_none()
        {
            return Err(AppError::NotFound("task"));
        }
        let cluster = self.engine.open(&attempt.id).await?;
        let evidence = self.collect(attempt, cluster.clone()).await?;
        let at = evidence.taken_at;
        let json = serde_json::to_vec(&evidence).map_err(|error| AppError::internal("write the evidence", error))?;
        let blob = EvidenceBlob::new(at, json);
        self.store.put_evidence(&attempt.id, &blob).await?;

        let hints = self.store.hints_taken(&attempt.id).await?;
        let before: HashMap<String, TaskState> =
            self.store.task_states(&attempt.id).await?.into_iter().map(|state| (state.task.clone(), state)).collect();
        let (course, lab) = (self.course.clone(), attempt.lab.clone());
        let wanted = match which {
            Which::One(task) => vec![task.clone()],
            Which::All => plan.tasks.iter().map(|task| task.id.clone()).collect(),
        };
        let (judged_plan, evidence) = (plan.clone(), std::sync::Arc::new(evidence));
        let judging =
            tokio::task::spawn_blocking(move || with_needs(&judged_plan, &wanted, &evidence, |task, seen| course.check(&lab, task, seen)));
        let outcomes = judging.await.map_err(|error| AppError::internal("judge", error))?;

        let mut states: BTreeMap<String, i64> =
            before.values().filter(|state| state.passed).map(|state| (state.task.clone(), state.points)).collect();
        let mut verdicts = Vec::new();
        for (task, verdict) in outcomes {
            let reward = reward(&plan, &task, &hints);
            let standing = before.get(&task).filter(|state| state.passed);
            let points = match verdict.outcome {
                Outcome::Passed => reward,
                Outcome::Failed => 0,
                // Ours is the fault: at the end it counts as it last was seen.
                Outcome::Inconclusive => standing.map_or(0, |_| reward),
            };
            if verdict.outcome != Outcome::Inconclusive {
                let passed = verdict.outcome == Outcome::Passed;
                let passed_at = passed.then(|| standing.and_then(|state| state.passed_at).unwrap_or(at));
                let state = TaskState { attempt_id: attempt.id.clone(), task: task.clone(), passed, points, passed_at, checked_at: at };
                self.store.put_task_state(&state).await?;
                if passed {
                    states.insert(task.clone(), points);
                } else {
                    states.remove(&task);
                }
            }
            verdicts.push(TaskVerdict { task, outcome: verdict.outcome, points, findings: verdict.findings, at });
        }
        let score: i64 = states.values().sum();
        for verdict in &verdicts {
            self.write_down(attempt, verdict, &blob.digest, is_final).await?;
            let event = LiveEvent::Verdict {
                task: verdict.task.clone(),
                outcome: outcome_word(verdict.outcome).to_owned(),
                points: verdict.points,
                score,
            };
            self.tell(&attempt.id, event).await;
        }
        if !is_final {
            self.remember_passed_steps(attempt, &*cluster, &plan, &states).await?;
        }
        Ok(Judged { verdicts, evidence: blob.digest })
    }

    async fn write_down(&self, attempt: &Attempt, verdict: &TaskVerdict, evidence: &str, is_final: bool) -> Result<(), AppError> {
        let findings = serde_json::to_string(&verdict.findings).map_err(|error| AppError::internal("write a verdict", error))?;
        let row = VerdictRow {
            id: edge::id(&*self.random),
            attempt_id: attempt.id.clone(),
            task: verdict.task.clone(),
            outcome: outcome_word(verdict.outcome).to_owned(),
            points: verdict.points,
            findings,
            evidence: evidence.to_owned(),
            is_final,
            at: verdict.at,
        };
        Ok(self.store.create_verdict(&row).await?)
    }
}

/// What a task is worth after the hints that were taken for it; never below 0.
pub(crate) fn reward(plan: &LabPlan, task: &str, hints: &[HintTaken]) -> i64 {
    let points = plan.task(task).map_or(0, |task| task.points);
    let spent: i64 = hints.iter().filter(|hint| hint.task == task).map(|hint| hint.cost).sum();
    (points - spent).max(0)
}

/// Judges `wanted` in their order. A task passes only if everything that it needs passes on the same evidence.
fn with_needs(
    plan: &LabPlan,
    wanted: &[String],
    evidence: &Evidence,
    check: impl Fn(&str, &Evidence) -> Verdict,
) -> Vec<(String, Verdict)> {
    let mut known: HashMap<String, Verdict> = HashMap::new();
    wanted
        .iter()
        .map(|task| {
            let verdict = judge_one(plan, task, evidence, &check, &mut known, &mut BTreeSet::new());
            (task.clone(), verdict)
        })
        .collect()
}

fn judge_one(
    plan: &LabPlan,
    task: &str,
    evidence: &Evidence,
    check: &impl Fn(&str, &Evidence) -> Verdict,
    known: &mut HashMap<String, Verdict>,
    above: &mut BTreeSet<String>,
) -> Verdict {
    if let Some(verdict) = known.get(task) {
        return verdict.clone();
    }
    // A lab whose tasks need each other in a circle does not pass the linter; here it only must not turn for ever.
    let mut verdict = check(task, evidence);
    if above.insert(task.to_owned()) {
        for need in plan.task(task).map(|task| task.needs.as_slice()).unwrap_or_default() {
            if verdict.outcome != Outcome::Passed || above.contains(need) {
                break;
            }
            let outcome = judge_one(plan, need, evidence, check, known, above).outcome;
            if outcome != Outcome::Passed {
                let title = plan.task(need).map_or(need.as_str(), |task| task.title.as_str());
                verdict = Verdict { outcome, findings: vec![unmet(need, title, outcome)] };
            }
        }
        above.remove(task);
    }
    known.insert(task.to_owned(), verdict.clone());
    verdict
}

fn unmet(need: &str, title: &str, outcome: Outcome) -> Finding {
    Finding {
        control: format!("needs/{need}"),
        object: String::new(),
        field: String::new(),
        actual: format!("the task \"{title}\" {}", if outcome == Outcome::Failed { "does not pass" } else { "could not be looked at" }),
        expected: format!("the task \"{title}\" passes"),
        why: "Security that is bought by breaking what the workload is there for is worth nothing, so this task counts only together with that one.".to_owned(),
        read: String::new(),
    }
}

pub(crate) fn outcome_word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "passed",
        Outcome::Failed => "failed",
        Outcome::Inconclusive => "inconclusive",
    }
}

fn read(row: VerdictRow) -> Result<TaskVerdict, AppError> {
    let outcome = match row.outcome.as_str() {
        "passed" => Outcome::Passed,
        "failed" => Outcome::Failed,
        _ => Outcome::Inconclusive,
    };
    let findings = serde_json::from_str(&row.findings).map_err(|error| AppError::internal("read a verdict", error))?;
    Ok(TaskVerdict { task: row.task, outcome, points: row.points, findings, at: row.at })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::course::TaskPlan;

    fn plan(tasks: &[(&str, &[&str])]) -> LabPlan {
        LabPlan {
            id: "lab".to_owned(),
            title: "Lab".to_owned(),
            digest: String::new(),
            time_limit: None,
            cluster: provision::ClusterSpec::default(),
            steps: Vec::new(),
            tasks: tasks
                .iter()
                .map(|(id, needs)| TaskPlan {
                    id: (*id).to_owned(),
                    title: id.to_uppercase(),
                    points: 10,
                    needs: needs.iter().map(|&need| need.to_owned()).collect(),
                    hint_costs: vec![4, 8],
                })
                .collect(),
        }
    }

    fn evidence() -> Evidence {
        Evidence {
            taken_at: Timestamp::UNIX_EPOCH,
            kubernetes_version: String::new(),
            engine: String::new(),
            simulated: true,
            params: BTreeMap::new(),
            objects: Vec::new(),
            probes: Vec::new(),
            scans: Vec::new(),
            missing: Vec::new(),
            policies_not_enforced: None,
        }
    }

    #[test]
    fn a_task_passes_only_with_what_it_needs() {
        let plan = plan(&[("works", &[]), ("secure", &["works"]), ("scan", &["secure"]), ("a", &["b"]), ("b", &["a"])]);
        let judge = |failing: &[&str], unseen: &[&str], wanted: &[&str]| {
            let check = |task: &str, _: &Evidence| Verdict {
                outcome: match task {
                    task if failing.contains(&task) => Outcome::Failed,
                    task if unseen.contains(&task) => Outcome::Inconclusive,
                    _ => Outcome::Passed,
                },
                findings: Vec::new(),
            };
            let wanted: Vec<_> = wanted.iter().map(|&task| task.to_owned()).collect();
            let outcomes = with_needs(&plan, &wanted, &evidence(), check);
            outcomes.into_iter().map(|(task, verdict)| format!("{task} {}", outcome_word(verdict.outcome))).collect::<Vec<_>>().join(", ")
        };
        assert_eq!(judge(&[], &[], &["works", "secure", "scan"]), "works passed, secure passed, scan passed");
        assert_eq!(judge(&["works"], &[], &["works", "secure", "scan"]), "works failed, secure failed, scan failed");
        assert_eq!(judge(&["works"], &[], &["scan"]), "scan failed", "also when only one is asked for");
        assert_eq!(judge(&[], &["works"], &["secure"]), "secure inconclusive");
        assert_eq!(judge(&["secure"], &["works"], &["secure"]), "secure failed", "its own failure is certain");
        assert_eq!(judge(&[], &[], &["a", "b"]), "a passed, b passed", "a circle ends");
    }

    #[test]
    fn hints_cost_at_most_the_task() {
        let plan = plan(&[("a", &[]), ("b", &[])]);
        let taken =
            |task: &str, hint, cost| HintTaken { attempt_id: String::new(), task: task.to_owned(), hint, cost, at: Timestamp::UNIX_EPOCH };
        assert_eq!(reward(&plan, "a", &[]), 10);
        assert_eq!(reward(&plan, "a", &[taken("a", 0, 4), taken("b", 0, 4)]), 6);
        assert_eq!(reward(&plan, "a", &[taken("a", 0, 4), taken("a", 1, 8)]), 0);
        assert_eq!(reward(&plan, "nothing", &[]), 0);
    }
}
