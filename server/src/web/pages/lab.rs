//! GET /attempts/{id} : the lab itself, instructions and workbench.

use super::{
    catalogue::{self, CardState},
    result, startup, task,
};
use crate::app::{AppError, AttemptState, AttemptView, Purpose, ResetPoint as Point, User, Which};
use crate::web::{
    Site, cluster_view,
    error::WebError,
    extract::{Form, Path, SignedInUser},
    markdown,
    middleware::visitor::Visitor,
    page::{Frame, download, page},
    update::{Update, answer, wants_update},
};
use askama::Template;
use axum::{extract::State, response::Response};
use checkers::Outcome;

#[derive(Debug, Clone, Template)]
#[template(path = "pages/lab.html")]
pub struct LabPage {
    pub frame: Frame,
    pub title: String,
    pub simulated: bool,
    /// The cluster's network was found not to do what NetworkPolicies say.
    pub open_network: bool,
    pub gpus: Option<CardState>,
    /// `/attempts/<id>`.
    pub base: String,
    /// Safe HTML of the parts; the same parts come again as live updates.
    pub score: String,
    pub intro: String,
    pub apply_result: String,
    pub cluster: String,
    pub steps: Vec<StepView>,
    pub seconds_left: Option<i64>,
    /// Nothing was checked yet: the introduction is open.
    pub fresh: bool,
    pub resets: String,
    /// Somebody else's work: nothing here can be pressed.
    pub watched: bool,
    /// Why there is no terminal here.
    pub shell_problem: Option<String>,
    pub files: Vec<String>,
}

#[derive(Debug, Clone)]
pub struct StepView {
    pub id: String,
    pub title: String,
    pub points: u64,
    pub open: bool,
    /// Safe HTML.
    pub mark: String,
    pub html: String,
    pub tasks: Vec<String>,
}

/// The buttons that lead back; a step that is passed adds one.
#[derive(Debug, Clone, Template)]
#[template(path = "partials/resets.html")]
pub struct Resets {
    pub base: String,
    pub csrf: String,
    pub points: Vec<ResetPoint>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResetPoint {
    pub value: String,
    pub text: String,
}

/// What Apply answered, line by line.
#[derive(Debug, Clone, Default, Template)]
#[template(path = "partials/apply_result.html")]
pub struct ApplyResult {
    pub tone: &'static str,
    pub lines: Vec<String>,
}

/// An attempt, whatever its state: starting, under way, finished.
pub async fn lab(
    State(site): State<Site>,
    SignedInUser { user, visitor }: SignedInUser,
    Path(id): Path<String>,
) -> Result<Response, WebError> {
    let view = site.app.view(&user, &id).await?;
    match view.attempt.state {
        AttemptState::Preparing | AttemptState::Failed => startup_page(&site, &visitor, &view),
        AttemptState::Finished => result::show(&site, &user, &visitor, view).await,
        AttemptState::Running | AttemptState::Sleeping => lab_page(&site, &user, &visitor, &view).await,
    }
}

fn startup_page(site: &Site, visitor: &Visitor, view: &AttemptView) -> Result<Response, WebError> {
    page(&startup::StartupPage {
        frame: visitor.frame("labs"),
        lab_title: view.plan.title.clone(),
        simulated: site.app.capabilities().simulated,
        following: view.attempt.state == AttemptState::Preparing,
        events: format!("/attempts/{}/events?page=startup", view.attempt.id),
        stages: startup::stages(view).render()?,
    })
}

async fn lab_page(site: &Site, user: &User, visitor: &Visitor, view: &AttemptView) -> Result<Response, WebError> {
    let attempt = &view.attempt;
    let now = site.app.now();
    let mut opened = false;
    let mut steps = Vec::new();
    for (index, step) in view.plan.steps.iter().enumerate() {
        let tasks: Vec<_> = view.tasks.iter().filter(|task| step.tasks.contains(&task.id)).collect();
        // The first step that is not done is open.
        let open = !opened && tasks.iter().any(|task| !task.passed);
        opened |= open;
        steps.push(StepView {
            id: step.id.clone(),
            title: step.title.clone(),
            points: u64::try_from(tasks.iter().map(|task| task.points).sum::<i64>()).unwrap_or(0),
            open,
            mark: task::mark(view, index).map(|mark| mark.render()).transpose()?.unwrap_or_default(),
            html: markdown::render(&site.content.step(&attempt.lab, &step.id, &attempt.params), 2),
            tasks: tasks.iter().map(|task| task::card(view, task, &visitor.csrf, now).render()).collect::<Result<_, _>>()?,
        });
    }
    let report = site.app.jails().report();
    let capabilities = site.app.capabilities();
    page(&LabPage {
        frame: visitor.frame("labs"),
        title: view.plan.title.clone(),
        simulated: capabilities.simulated,
        open_network: capabilities.network_policy_enforced == Some(false),
        gpus: catalogue::gpus(&capabilities),
        base: format!("/attempts/{}", attempt.id),
        score: task::score(view).render()?,
        intro: markdown::render(&site.content.intro(&attempt.lab, Some(&attempt.params)), 1),
        apply_result: ApplyResult::default().render()?,
        cluster: cluster_view::of(site, user, &attempt.id).await?.render()?,
        steps,
        seconds_left: view.seconds_left,
        fresh: view.tasks.iter().all(|task| task.verdict.is_none()),
        resets: resets(view, &visitor.csrf).render()?,
        watched: attempt.user_id != user.id,
        shell_problem: (!report.available).then(|| report.problem.clone()),
        files: site.app.files(user, &attempt.id).await?.into_iter().map(|entry| entry.path).collect(),
    })
}

fn resets(view: &AttemptView, csrf: &str) -> Resets {
    let title = |point: &Point| match point {
        Point::Start => "the start".to_owned(),
        Point::Step(id) => {
            let step = view.plan.steps.iter().find(|step| step.id == *id);
            step.map_or_else(|| id.clone(), |step| format!("the end of “{}”", step.title))
        }
    };
    let points = view.reset_points.iter().map(|point| ResetPoint { value: point.to_string(), text: title(point) });
    Resets { base: format!("/attempts/{}", view.attempt.id), csrf: csrf.to_owned(), points: points.collect() }
}

/// All parts of the lab page that change by themselves; with `only`, the card of that task alone beside score and marks.
pub fn parts(view: &AttemptView, csrf: &str, now: jiff::Timestamp, only: Option<&str>) -> Result<Update, askama::Error> {
    let mut update = Update::default().part("score", &task::score(view))?.part("resets", &resets(view, csrf))?;
    for (index, step) in view.plan.steps.iter().enumerate() {
        if let Some(mark) = task::mark(view, index) {
            update = update.part(format!("mark-{}", step.id), &mark)?;
        }
    }
    // A verdict may change what other tasks need, so their cards come along where they name it.
    for one in view.tasks.iter().filter(|task| only.is_none_or(|only| task.id == only) || !task.missing.is_empty()) {
        update = update.part(format!("task-{}", one.id), &task::card(view, one, csrf, now))?;
    }
    Ok(update)
}

/// POST /attempts/{id}/check : one task or all.
pub async fn check(
    State(site): State<Site>,
    Path(id): Path<String>,
    Form { user, visitor, headers, fields }: Form,
) -> Result<Response, WebError> {
    let one = fields.get("task");
    let which = if one.is_empty() { Which::All } else { Which::One(one.to_owned()) };
    let verdicts = site.app.check(&user, &id, &which).await?;
    let passed = verdicts.iter().filter(|verdict| verdict.outcome == Outcome::Passed).count();
    let blind = verdicts.iter().any(|verdict| verdict.outcome == Outcome::Inconclusive);
    let (tone, words) = match verdicts.as_slice() {
        [verdict] if verdict.outcome == Outcome::Passed => ("good", format!("Passed: {} points.", verdict.points)),
        [verdict] if verdict.outcome == Outcome::Failed => (
            "info",
            match verdict.findings.len() {
                1 => "Not yet: one finding.".to_owned(),
                count => format!("Not yet: {count} findings."),
            },
        ),
        all if passed == all.len() => ("good", "Every task passes. Finish when you are ready.".to_owned()),
        all => ("info", format!("{passed} of {} tasks pass.{}", all.len(), if blind { " Some could not be judged now." } else { "" })),
    };
    let view = site.app.view(&user, &id).await?;
    let update = parts(&view, &visitor.csrf, site.app.now(), None)?.say(tone, words);
    let back = if one.is_empty() { format!("/attempts/{id}") } else { format!("/attempts/{id}#task-{one}") };
    Ok(answer(&headers, update, &back))
}

/// POST /attempts/{id}/hints/{task} : takes the next hint; its price stood on the button.
pub async fn hint(
    State(site): State<Site>,
    Path((id, task)): Path<(String, String)>,
    Form { user, visitor, headers, fields }: Form,
) -> Result<Response, WebError> {
    let number: usize = fields
        .get("number")
        .parse()
        .ok()
        .and_then(|number: usize| number.checked_sub(1))
        .ok_or_else(|| WebError::BadRequest("which hint?".to_owned()))?;
    site.app.take_hint(&user, &id, &task, number).await?;
    let view = site.app.view(&user, &id).await?;
    let update = parts(&view, &visitor.csrf, site.app.now(), Some(&task))?.say("info", "The hint is below the task.");
    Ok(answer(&headers, update, &format!("/attempts/{id}#task-{task}")))
}

/// POST /attempts/{id}/reset
pub async fn reset(
    State(site): State<Site>,
    Path(id): Path<String>,
    Form { user, headers, fields, .. }: Form,
) -> Result<Response, WebError> {
    let to = Point::parse(fields.get("to")).ok_or_else(|| WebError::BadRequest("there is no such point to go back to".to_owned()))?;
    site.app.reset(&user, &id, &to).await?;
    Ok(answer(&headers, Update::default().say("good", "Cluster and files are as they were."), &format!("/attempts/{id}")))
}

/// POST /attempts/{id}/finish
pub async fn finish(State(site): State<Site>, Path(id): Path<String>, Form { user, headers, .. }: Form) -> Result<Response, WebError> {
    site.app.finish(&user, &id).await?;
    Ok(answer(&headers, Update::go(format!("/attempts/{id}/result")), &format!("/attempts/{id}/result")))
}

/// GET /attempts/{id}/kubeconfig
pub async fn kubeconfig(
    State(site): State<Site>,
    SignedInUser { user, .. }: SignedInUser,
    Path(id): Path<String>,
) -> Result<Response, WebError> {
    let text = site.app.kubeconfig(&user, &id, Purpose::Download, None).await?;
    Ok(download("cordon.kubeconfig", "application/yaml", text))
}

/// Words that quote what they complain about may be as long as a file.
fn short(words: &str) -> String {
    const LETTERS: usize = 1_000;
    let mut short: String = words.chars().take(LETTERS).collect();
    if short.len() < words.len() {
        short.push('…');
    }
    short
}

/// POST /attempts/{id}/apply : a file of the workspace, through the API, as the learner.
pub async fn apply(
    State(site): State<Site>,
    Path(id): Path<String>,
    Form { user, headers, fields, .. }: Form,
) -> Result<Response, WebError> {
    let dry_run = fields.get("dry_run") == "true";
    let result = match site.app.apply_file(&user, &id, fields.get("path"), dry_run).await {
        Ok(applied) if applied.is_empty() => ApplyResult { tone: "warn", lines: vec!["There is no object in this file.".to_owned()] },
        Ok(applied) => {
            let dry = if dry_run { " (dry run)" } else { "" };
            let line = |one: &crate::app::Applied| match &one.problem {
                Some(problem) => format!("{}: {}", one.object, short(problem)),
                None => format!("{} {}{dry}", one.object, one.action),
            };
            let tone = if applied.iter().any(|one| one.problem.is_some()) { "bad" } else { "good" };
            ApplyResult { tone, lines: applied.iter().map(line).collect() }
        }
        // Not YAML, and the like: words for the learner, beside the editor.
        Err(AppError::Invalid { message, .. }) => ApplyResult { tone: "bad", lines: vec![short(&message)] },
        Err(error) => return Err(error.into()),
    };
    let (tone, words) = if result.tone == "good" {
        ("good", if dry_run { "The cluster would take it." } else { "Applied." })
    } else {
        ("bad", "Not everything was applied; see below the editor.")
    };
    let update = if wants_update(&headers) {
        Update::default().part("apply-result", &result)?.say(tone, words)
    } else {
        Update::default().say(tone, result.lines.join(" · "))
    };
    Ok(answer(&headers, update, &format!("/attempts/{id}#panel-editor")))
}

#[cfg(test)]
mod tests {
    use super::super::sample::{AWKWARD, frame, judge};
    use super::super::task::{Mark, Score, TaskState, tests::card};
    use super::*;
    use crate::web::cluster_view::ClusterPanel;

    #[test]
    fn renders() {
        for shell_problem in [None, Some(AWKWARD.to_owned())] {
            let step = StepView {
                id: "one".to_owned(),
                title: AWKWARD.to_owned(),
                points: 20,
                open: true,
                mark: Mark::of("one", 1, &[TaskState::Open]).render().unwrap(),
                html: "<p>step</p>".to_owned(),
                tasks: vec![card(TaskState::Failed).render().unwrap()],
            };
            let page = LabPage {
                frame: frame(),
                title: AWKWARD.to_owned(),
                simulated: true,
                open_network: true,
                gpus: None,
                base: "/attempts/1".to_owned(),
                score: Score { score: 20, total: 100 }.render().unwrap(),
                intro: "<p>intro</p>".to_owned(),
                apply_result: ApplyResult { tone: "good", lines: vec![AWKWARD.to_owned()] }.render().unwrap(),
                cluster: ClusterPanel { problem: Some(AWKWARD.to_owned()), ..ClusterPanel::default() }.render().unwrap(),
                steps: vec![step],
                seconds_left: Some(1234),
                fresh: true,
                resets: Resets {
                    base: "/attempts/1".to_owned(),
                    csrf: "token".to_owned(),
                    points: vec![ResetPoint { value: "start".to_owned(), text: AWKWARD.to_owned() }],
                }
                .render()
                .unwrap(),
                watched: false,
                shell_problem,
                files: vec![AWKWARD.to_owned()],
            };
            let html = page.render().unwrap();
            judge(&html);
            let watched = LabPage { watched: true, ..page.clone() }.render().unwrap();
            judge(&watched);
            assert!(
                !watched.contains("id=\"panel-editor\"")
                    && !watched.contains("id=\"terminal\"")
                    && watched.contains("id=\"panel-cluster\"")
            );
            assert!(html.contains("simulated cluster") && html.contains("policies not enforced"));
            assert_eq!(html.contains("id=\"terminal\""), page.shell_problem.is_none());
        }
    }
}
