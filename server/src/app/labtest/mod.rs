//! `cordon labs test`: does a lab judge rightly?
//!
//! ```text
//! start ──► scores what it says        solution ──► 100 ──► each mutant loses points
//!   └── mistake ──► fails where it says, and nowhere else
//! ```
//!
//! Every run is in a cluster, an embedded one in simulated time or one of another engine: objects are applied through its API,
//! controllers and kubelet do what they do, evidence is collected as for a learner, and the checkers judge it. The start is made
//! once for each cluster and restored for each run. Mutants are for embedded clusters, where each takes milliseconds.

mod bench;
mod report;

pub use bench::{Bench, BenchError, On};
pub use report::{Line, Report, Verdict};

use ::labs::{Action, AttemptLab, Lab, Mistake, Solution, TaskVerdict};
use checkers::Outcome;
use sandbox::ImageCatalogue;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tokio::task::JoinSet;

const KEY: &[u8] = b"cordon labs test";
const SOLVED: &str = "solved";

/// What the checkers said of one run.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    pub points: u32,
    pub tasks: Vec<TaskVerdict>,
}

/// Tests one lab, in as many clusters at once as there are `workers`. `Err` only where the bench itself fails; what is wrong with
/// the lab is in the report, in the lab's own order.
pub async fn test(lab: &Arc<Lab>, images: &Arc<ImageCatalogue>, on: &On, workers: usize) -> Result<Report, BenchError> {
    let mut report = Report::new(&lab.name);
    if let Err(problems) = lab.for_attempt(lab.params(KEY, "attempt")) {
        problems.iter().for_each(|problem| report.add("lab", Verdict::Broken, problem.to_string(), None));
        return Ok(report);
    }
    let next = Arc::new(AtomicUsize::new(0));
    let mut working: JoinSet<Result<Vec<_>, BenchError>> = JoinSet::new();
    for _ in 0..workers.max(1) {
        let (lab, next, mut bench) = (lab.clone(), next.clone(), Bench::new(images.clone(), on)?);
        let mutants = matches!(on, On::Embedded(_));
        working.spawn(async move {
            let mut done = Vec::new();
            let Ok(attempt) = lab.for_attempt(lab.params(KEY, "attempt")) else { return Ok(done) };
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(job) = Job::number(&lab, number) else { break };
                let mut part = Report::new(&lab.name);
                bench.begin(&attempt).await?;
                match job {
                    Job::Start => start(&attempt, &bench, &mut part).await?,
                    Job::Solution(solution) => solve(&attempt, solution, &mut bench, mutants, &mut part).await?,
                    Job::Mistake(mistake) => spoil(&attempt, mistake, &mut bench, &mut part).await?,
                }
                done.push((number, part.lines));
            }
            bench.end().await?;
            Ok(done)
        });
    }
    let mut parts = Vec::new();
    while let Some(done) = working.join_next().await {
        parts.extend(done.map_err(BenchError::BrokeOff)??);
    }
    parts.sort_by_key(|(number, _)| *number);
    report.lines = parts.into_iter().flat_map(|(_, lines)| lines).collect();
    Ok(report)
}

/// What one cluster does from the lab's start on, without regard to the others.
enum Job<'a> {
    Start,
    /// And its mutants: the longest, so they come first.
    Solution(&'a Solution),
    Mistake(&'a Mistake),
}

impl<'a> Job<'a> {
    fn number(lab: &'a Lab, number: usize) -> Option<Self> {
        let solutions = lab.solutions.iter().map(Self::Solution);
        std::iter::once(Self::Start).chain(solutions).chain(lab.mistakes.iter().map(Self::Mistake)).nth(number)
    }
}

async fn start(attempt: &AttemptLab<'_>, bench: &Bench, report: &mut Report) -> Result<(), BenchError> {
    let judged = bench.judge(attempt).await?;
    let (points, wanted) = (judged.points, attempt.lab.spec.start.points);
    let verdict = if points == wanted { Verdict::Right } else { Verdict::FalseAccept };
    report.add("start", verdict, format!("scores {points}, should score {wanted}"), Some(judged));
    Ok(())
}

/// Runs a solution, which must score 100, and then its mutants where they are wanted, each of which must score less.
async fn solve(
    attempt: &AttemptLab<'_>,
    solution: &Solution,
    bench: &mut Bench,
    mutants: bool,
    report: &mut Report,
) -> Result<(), BenchError> {
    let name = format!("solution {}", solution.name);
    if let Err(problem) = bench.run(attempt, solution, &solution.actions, &[]).await? {
        report.add(name, Verdict::Broken, problem, None);
        return Ok(());
    }
    let judged = bench.judge(attempt).await?;
    if judged.points != 100 {
        let text = format!("scores {}\n{}", judged.points, complaints(&judged.tasks));
        report.add(name, Verdict::FalseReject, text, Some(judged));
        return Ok(());
    }
    report.add(name, Verdict::Right, "scores 100", Some(judged));
    if !mutants {
        return Ok(());
    }
    bench.remember(SOLVED).await?;
    let objects = bench.applied_now(attempt, solution).await?;
    for mutant in labs::mutants(&objects) {
        bench.back_to(SOLVED).await?;
        let Some(object) = objects.get(mutant.object) else { continue };
        if let Err(refused) = bench.mutate(object, mutant.becomes.as_ref()).await? {
            report.add(format!("mutant of {}: {}", solution.name, mutant.name), Verdict::Refused, refused, None);
            continue;
        }
        let judged = bench.judge(attempt).await?;
        let points = judged.points;
        // Where several policies isolate the same pods, taking one away undoes nothing.
        let policies = objects.iter().filter(|object| object["kind"] == "NetworkPolicy").count();
        let takes_away = mutant.control == "reachability" && (mutant.name.ends_with("deleted") || mutant.name.ends_with("removed"));
        let verdict = match points {
            0..100 => Verdict::Right,
            _ if takes_away && policies > 1 => Verdict::Equivalent,
            _ => Verdict::FalseAccept,
        };
        report.add(format!("mutant of {}: {}", solution.name, mutant.name), verdict, format!("scores {points}"), Some(judged));
    }
    Ok(())
}

/// Runs a mistake, which must fail with the controls that it names, and let all other tasks pass.
async fn spoil(attempt: &AttemptLab<'_>, mistake: &Mistake, bench: &mut Bench, report: &mut Report) -> Result<(), BenchError> {
    let name = format!("mistake {}", mistake.name);
    let Some(solution) = attempt.lab.solutions.iter().find(|s| s.name == mistake.solution) else {
        report.add(name, Verdict::Broken, format!("there is no solution {}", mistake.solution), None);
        return Ok(());
    };
    let actions: Vec<Action> = labs::actions(solution, mistake);
    if let Err(problem) = bench.run(attempt, solution, &actions, &mistake.edits).await? {
        report.add(name, Verdict::Broken, problem, None);
        return Ok(());
    }
    let judged = bench.judge(attempt).await?;
    let wrong = differences(mistake, &judged.tasks);
    if wrong.is_empty() {
        report.add(name, Verdict::Right, format!("scores {}", judged.points), Some(judged));
    } else {
        let accepted = judged.tasks.iter().all(|v| v.outcome == Outcome::Passed);
        let verdict = if accepted { Verdict::FalseAccept } else { Verdict::Elsewhere };
        report.add(name, verdict, format!("{}\n{}", wrong.join("\n"), complaints(&judged.tasks)), Some(judged));
    }
    Ok(())
}

/// Where the verdicts are not what the mistake says.
fn differences(mistake: &Mistake, verdicts: &[TaskVerdict]) -> Vec<String> {
    let mut wrong = Vec::new();
    for fails in &mistake.fails {
        let check = verdicts.iter().filter(|v| v.task == fails.task).flat_map(|v| &v.checks).find(|(id, _)| *id == fails.check);
        let seen = check.is_some_and(|(_, v)| v.outcome == Outcome::Failed && v.findings.iter().any(|f| f.control == fails.control));
        if !seen {
            wrong.push(format!("{}/{} should fail with {}", fails.task, fails.check, fails.control));
        }
    }
    for verdict in verdicts {
        let should_fail = mistake.fails.iter().any(|fails| fails.task == verdict.task);
        if !should_fail && verdict.outcome != Outcome::Passed {
            wrong.push(format!("{} should pass", verdict.task));
        }
    }
    wrong
}

/// Every finding, one on a line.
fn complaints(verdicts: &[TaskVerdict]) -> String {
    let mut lines = Vec::new();
    for verdict in verdicts.iter().filter(|verdict| verdict.outcome != Outcome::Passed) {
        for (check, judged) in verdict.checks.iter().filter(|(_, judged)| judged.outcome != Outcome::Passed) {
            for finding in &judged.findings {
                lines.push(format!(
                    "  {}/{check} {:?} {}: {} {} is {}, expected {}",
                    verdict.task, judged.outcome, finding.control, finding.object, finding.field, finding.actual, finding.expected
                ));
            }
        }
    }
    lines.join("\n")
}
