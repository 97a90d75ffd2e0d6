//! Parts of the lab page that change by themselves: a task's card, a step's mark, the score.

use crate::app::{AttemptView, HintView, TaskView};
use crate::web::{cluster_view::ago, markdown};
use askama::Template;
use checkers::{Finding, Outcome};
use jiff::Timestamp;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskState {
    /// Not checked yet.
    Open,
    Failed,
    Passed,
    /// Passed once, and a later check showed it broken.
    Broken,
    /// We could not look.
    Inconclusive,
}

impl TaskState {
    pub fn class(&self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Failed => "failed",
            Self::Passed => "passed",
            Self::Broken => "broken",
            Self::Inconclusive => "inconclusive",
        }
    }

    pub fn is_passed(&self) -> bool {
        *self == Self::Passed
    }

    pub fn is_broken(&self) -> bool {
        *self == Self::Broken
    }

    pub fn is_inconclusive(&self) -> bool {
        *self == Self::Inconclusive
    }
}

#[derive(Debug, Clone, Template)]
#[template(path = "partials/task.html")]
pub struct TaskCard {
    /// `/attempts/<id>`.
    pub base: String,
    pub csrf: String,
    pub id: String,
    pub title: String,
    pub state: TaskState,
    pub points: u64,
    pub earned: u64,
    /// Titles of tasks that must pass first and have not, joined.
    pub missing: String,
    pub findings: Vec<Finding>,
    pub hints: Vec<HintRow>,
    /// When it was last checked, in words; empty where never.
    pub checked: String,
}

/// A hint that was taken shows its text; of the others only the next one can be taken.
#[derive(Debug, Clone)]
pub struct HintRow {
    /// Safe HTML.
    pub html: Option<String>,
    pub cost: u64,
    pub next: bool,
}

#[derive(Debug, Clone, Template)]
#[template(path = "partials/mark.html")]
pub struct Mark {
    pub id: String,
    pub state: &'static str,
    pub sign: String,
    pub word: String,
}

impl Mark {
    /// Of a step with these tasks; `number` counts from one.
    pub fn of(id: &str, number: usize, tasks: &[TaskState]) -> Self {
        let (state, sign, word) = if tasks.iter().any(TaskState::is_broken) {
            ("broken", "!".to_owned(), format!("Step {number}, broken again:"))
        } else if !tasks.is_empty() && tasks.iter().all(TaskState::is_passed) {
            ("passed", "✓".to_owned(), format!("Step {number}, passed:"))
        } else {
            ("open", number.to_string(), format!("Step {number}:"))
        };
        Self { id: id.to_owned(), state, sign, word }
    }
}

#[derive(Debug, Clone, Template)]
#[template(path = "partials/score.html")]
pub struct Score {
    pub score: u64,
    pub total: u64,
}

#[derive(Debug, Clone, Template)]
#[template(path = "partials/finding.html")]
pub struct OpenFindings {
    pub title: String,
    pub findings: Vec<Finding>,
}

/// A task's card as the attempt stands.
pub fn card(view: &AttemptView, task: &TaskView, csrf: &str, now: Timestamp) -> TaskCard {
    let outcome = task.verdict.as_ref().map(|verdict| verdict.outcome);
    let state = match (task.passed, task.broken, outcome) {
        (true, ..) => TaskState::Passed,
        (_, true, _) => TaskState::Broken,
        (_, _, Some(Outcome::Inconclusive)) => TaskState::Inconclusive,
        (_, _, Some(Outcome::Failed)) => TaskState::Failed,
        _ => TaskState::Open,
    };
    let points = |value: i64| u64::try_from(value).unwrap_or(0);
    let hint = |hint: &HintView| HintRow {
        html: hint.text.as_deref().map(|text| markdown::render(text, 3)),
        cost: points(hint.cost),
        next: hint.next,
    };
    TaskCard {
        base: format!("/attempts/{}", view.attempt.id),
        csrf: csrf.to_owned(),
        id: task.id.clone(),
        title: task.title.clone(),
        state,
        points: points(task.points),
        earned: points(task.earned),
        missing: task.missing.join(", "),
        findings: task.verdict.as_ref().filter(|_| !task.passed).map(|verdict| verdict.findings.clone()).unwrap_or_default(),
        hints: task.hints.iter().map(hint).collect(),
        checked: task.verdict.as_ref().map(|verdict| format!("checked {}", ago(verdict.at, now))).unwrap_or_default(),
    }
}

/// The mark of a step of the attempt; `index` counts from 0.
pub fn mark(view: &AttemptView, index: usize) -> Option<Mark> {
    let step = view.plan.steps.get(index)?;
    let state = |task: &TaskView| match (task.passed, task.broken) {
        (true, _) => TaskState::Passed,
        (_, true) => TaskState::Broken,
        _ => TaskState::Open,
    };
    let states: Vec<TaskState> = view.tasks.iter().filter(|task| step.tasks.contains(&task.id)).map(state).collect();
    Some(Mark::of(&step.id, index + 1, &states))
}

pub fn score(view: &AttemptView) -> Score {
    Score { score: u64::try_from(view.score).unwrap_or(0), total: u64::try_from(view.total).unwrap_or(0) }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::sample::{AWKWARD, judge};
    use super::*;

    pub fn finding() -> Finding {
        Finding {
            control: AWKWARD.to_owned(),
            object: AWKWARD.to_owned(),
            field: "spec".to_owned(),
            actual: AWKWARD.to_owned(),
            expected: "true".to_owned(),
            why: AWKWARD.to_owned(),
            read: "https://kubernetes.io/docs/".to_owned(),
        }
    }

    pub fn card(state: TaskState) -> TaskCard {
        TaskCard {
            base: "/attempts/1".to_owned(),
            csrf: "token".to_owned(),
            id: "harden".to_owned(),
            title: AWKWARD.to_owned(),
            state,
            points: 20,
            earned: 17,
            missing: AWKWARD.to_owned(),
            findings: vec![finding(), Finding { read: "javascript:alert(1)".to_owned(), object: String::new(), ..finding() }],
            hints: vec![
                HintRow { html: Some("<p>first</p>".to_owned()), cost: 0, next: false },
                HintRow { html: None, cost: 3, next: true },
                HintRow { html: None, cost: 5, next: false },
            ],
            checked: "just now".to_owned(),
        }
    }

    #[test]
    fn a_card_in_every_state() {
        for state in [TaskState::Open, TaskState::Failed, TaskState::Passed, TaskState::Broken, TaskState::Inconclusive] {
            let html = card(state).render().unwrap();
            judge(&html);
            assert!(html.contains("costs 3 points") && !html.contains("costs 5"), "only the next hint shows its price and can be taken");
            assert_eq!(html.contains("17 of 20"), state == TaskState::Passed);
        }
    }

    #[test]
    fn a_step_is_passed_when_all_its_tasks_are() {
        use TaskState::{Broken, Failed, Open, Passed};
        for (tasks, state) in [
            (vec![], "open"),
            (vec![Open], "open"),
            (vec![Passed, Failed], "open"),
            (vec![Passed, Passed], "passed"),
            (vec![Passed, Broken], "broken"),
        ] {
            let mark = Mark::of("one", 2, &tasks);
            assert_eq!(mark.state, state, "{tasks:?}");
            judge(&mark.render().unwrap());
        }
    }
}
