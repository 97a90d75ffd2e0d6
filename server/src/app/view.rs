//! Everything that the lab page shows of an attempt, read at once.

use crate::app::checking::{TaskVerdict, reward};
use crate::app::course::LabPlan;
use crate::app::{App, AppError, HintView, LiveEvent, ResetPoint};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;
use store::{Attempt, User};

/// A stage of the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageView {
    pub name: String,
    pub began: Timestamp,
    pub ended: Option<Timestamp>,
}

#[derive(Debug, Clone)]
pub struct TaskView {
    pub id: String,
    pub title: String,
    /// Full reward.
    pub points: i64,
    /// What it can still earn after the hints that were taken.
    pub reward: i64,
    /// What it earns as it stands.
    pub earned: i64,
    pub passed: bool,
    /// It passed once; the last check showed it broken.
    pub broken: bool,
    /// Titles of tasks that it needs and that do not pass now.
    pub missing: Vec<String>,
    /// The newest verdict, if it was ever checked.
    pub verdict: Option<TaskVerdict>,
    pub hints: Vec<HintView>,
}

#[derive(Debug, Clone)]
pub struct AttemptView {
    pub attempt: Attempt,
    pub plan: Arc<LabPlan>,
    pub stages: Vec<StageView>,
    /// In the page's order.
    pub tasks: Vec<TaskView>,
    pub score: i64,
    pub total: i64,
    /// `None` without a timer, or once finished.
    pub seconds_left: Option<i64>,
    pub reset_points: Vec<ResetPoint>,
    /// Number of the newest event: where a page's live connection begins.
    pub last_event: i64,
}

impl App {
    pub async fn view(&self, user: &User, attempt: &str) -> Result<AttemptView, AppError> {
        let attempt = self.attempt(user, attempt).await?;
        let plan = self.course.lab(&attempt.lab).ok_or(AppError::NotFound("lab"))?;
        let mut events = Vec::new();
        loop {
            let more = self.store.events(&attempt.id, events.last().map_or(0, |event: &store::Event| event.seq)).await?;
            if more.is_empty() {
                break;
            }
            events.extend(more);
        }
        let states: BTreeMap<String, store::TaskState> =
            self.store.task_states(&attempt.id).await?.into_iter().map(|state| (state.task.clone(), state)).collect();
        let verdicts = self.latest_verdicts(user, &attempt.id).await?;
        let taken = self.store.hints_taken(&attempt.id).await?;
        let once: Vec<String> =
            self.store.verdicts(&attempt.id).await?.into_iter().filter(|row| row.outcome == "passed").map(|row| row.task).collect();
        let passes = |task: &str| states.get(task).is_some_and(|state| state.passed);
        let mut tasks = Vec::new();
        for task in &plan.tasks {
            let passed = passes(&task.id);
            let missing = task.needs.iter().filter(|need| !passes(need));
            tasks.push(TaskView {
                id: task.id.clone(),
                title: task.title.clone(),
                points: task.points,
                reward: reward(&plan, &task.id, &taken),
                earned: states.get(&task.id).map_or(0, |state| if state.passed { state.points } else { 0 }),
                passed,
                broken: !passed && states.contains_key(&task.id) && once.contains(&task.id),
                missing: missing.map(|need| plan.task(need).map_or_else(|| need.clone(), |need| need.title.clone())).collect(),
                verdict: verdicts.get(&task.id).filter(|_| states.contains_key(&task.id) || attempt.score.is_some()).cloned(),
                hints: self.hints(user, &attempt.id, &task.id).await?,
            });
        }
        let now = self.clock.now();
        let seconds_left = attempt.expires_at.filter(|_| attempt.state.is_open()).map(|end| (end.as_second() - now.as_second()).max(0));
        let score = attempt.score.unwrap_or_else(|| tasks.iter().map(|task| task.earned).sum());
        Ok(AttemptView {
            stages: stages(&events),
            last_event: events.last().map_or(0, |event| event.seq),
            reset_points: self.reset_points(user, &attempt.id).await?,
            total: plan.total(),
            score,
            tasks,
            seconds_left,
            attempt,
            plan,
        })
    }
}

/// The stages that have begun, each with its newest beginning and end.
fn stages(events: &[store::Event]) -> Vec<StageView> {
    let mut stages: Vec<StageView> = Vec::new();
    for event in events.iter().filter(|event| event.kind == "stage") {
        let Ok(LiveEvent::Stage { stage, done }) = serde_json::from_str(&event.body) else { continue };
        match stages.iter_mut().find(|known| known.name == stage) {
            Some(known) if done => known.ended = Some(event.at),
            Some(known) => (known.began, known.ended) = (event.at, None),
            None => stages.push(StageView { name: stage, began: event.at, ended: done.then_some(event.at) }),
        }
    }
    stages
}
