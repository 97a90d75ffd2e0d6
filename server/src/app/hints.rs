//! Hints: the price is shown before they are taken, and paid from the reward of their task.

use crate::app::checking::reward;
use crate::app::live::LiveEvent;
use crate::app::{App, AppError};
use serde::Serialize;
use store::{HintTaken, TaskState, User};

/// One hint of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HintView {
    /// From 0.
    pub number: usize,
    /// Points of this task that it costs, or did cost.
    pub cost: i64,
    /// Markdown; `None` until it is taken.
    pub text: Option<String>,
    /// The one that may be taken now: hints come in their order.
    pub next: bool,
}

impl App {
    pub async fn hints(&self, user: &User, attempt: &str, task: &str) -> Result<Vec<HintView>, AppError> {
        let attempt = self.attempt(user, attempt).await?;
        let plan = self.course.lab(&attempt.lab).ok_or(AppError::NotFound("lab"))?;
        let plan = plan.task(task).ok_or(AppError::NotFound("task"))?;
        let taken = self.store.hints_taken(&attempt.id).await?;
        let taken: Vec<&HintTaken> = taken.iter().filter(|hint| hint.task == task).collect();
        Ok(plan
            .hint_costs
            .iter()
            .enumerate()
            .map(|(number, &cost)| {
                let paid = taken.iter().find(|hint| usize::try_from(hint.hint) == Ok(number));
                HintView {
                    number,
                    cost: paid.map_or(cost, |hint| hint.cost),
                    text: paid.and_then(|_| self.course.hint(&attempt.lab, task, number, &attempt.params)),
                    next: number == taken.len(),
                }
            })
            .collect())
    }

    /// Takes hint `number`, which must be the next one; one that was taken before is given again for nothing.
    pub async fn take_hint(&self, user: &User, attempt: &str, task: &str, number: usize) -> Result<HintView, AppError> {
        let lock = self.attempt_lock(attempt);
        let _held = lock.lock().await;
        let attempt = self.running_attempt(user, attempt).await?;
        self.touch(&attempt).await?;
        let hints = self.hints(user, &attempt.id, task).await?;
        let hint = hints.into_iter().nth(number).ok_or(AppError::NotFound("hint"))?;
        if hint.text.is_some() {
            return Ok(hint);
        }
        if !hint.next {
            return Err(AppError::Conflict("take the hints in their order".to_owned()));
        }
        let index = i64::try_from(number).map_err(|error| AppError::internal("count hints", error))?;
        let at = self.clock.now();
        let row = HintTaken { attempt_id: attempt.id.clone(), task: task.to_owned(), hint: index, cost: hint.cost, at };
        self.store.take_hint(&row).await?;
        // A task that passed already pays for it, too.
        let plan = self.course.lab(&attempt.lab).ok_or(AppError::NotFound("lab"))?;
        let taken = self.store.hints_taken(&attempt.id).await?;
        let states = self.store.task_states(&attempt.id).await?;
        if let Some(state) = states.into_iter().find(|state| state.task == task && state.passed) {
            self.store.put_task_state(&TaskState { points: reward(&plan, task, &taken), ..state }).await?;
        }
        self.tell(&attempt.id, LiveEvent::HintTaken { task: task.to_owned(), hint: index, cost: hint.cost }).await;
        let text = self.course.hint(&attempt.lab, task, number, &attempt.params);
        Ok(HintView { text, next: false, ..hint })
    }
}
