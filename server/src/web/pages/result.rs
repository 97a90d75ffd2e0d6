//! GET /attempts/{id}/result : the score, what was open, the receipt, the reference solution and why.

use super::task::OpenFindings;
use crate::app::{AttemptState, AttemptView, User};
use crate::web::{
    Site,
    error::WebError,
    extract::{Path, SignedInUser},
    markdown,
    middleware::visitor::Visitor,
    page::{Frame, download, page},
};
use askama::Template;
use axum::{
    extract::State,
    response::{IntoResponse, Redirect, Response},
};
use checkers::Outcome;

#[derive(Debug, Template)]
#[template(path = "pages/result.html")]
pub struct ResultPage {
    pub frame: Frame,
    pub title: String,
    pub summary: String,
    pub simulated: bool,
    pub base: String,
    pub lab_href: String,
    pub score: u64,
    pub total: u64,
    pub tasks: Vec<TaskRow>,
    pub has_receipt: bool,
    /// Safe HTML: the rendered findings of tasks that did not pass.
    pub findings: Vec<String>,
    pub solution: Vec<SolutionFile>,
    /// Safe HTML.
    pub why: String,
}

#[derive(Debug)]
pub struct TaskRow {
    pub title: String,
    pub tone: &'static str,
    pub word: &'static str,
    pub earned: u64,
    pub points: u64,
    pub hints: usize,
}

#[derive(Debug)]
pub struct SolutionFile {
    pub path: String,
    pub text: String,
}

/// The result of a finished attempt; GET /attempts/{id} shows it, too.
pub async fn show(site: &Site, user: &User, visitor: &Visitor, view: AttemptView) -> Result<Response, WebError> {
    let points = |value: i64| u64::try_from(value).unwrap_or(0);
    let rows = view.tasks.iter().map(|task| {
        let (tone, word) = match task.verdict.as_ref().map(|verdict| verdict.outcome) {
            Some(Outcome::Passed) => ("good", "passed"),
            Some(Outcome::Failed) => ("bad", "not passed"),
            Some(Outcome::Inconclusive) => ("warn", "could not be judged"),
            None => ("", "not done"),
        };
        let hints = task.hints.iter().filter(|hint| hint.text.is_some()).count();
        let earned = task.verdict.as_ref().map_or(0, |verdict| verdict.points);
        TaskRow { title: task.title.clone(), tone, word, earned: points(earned), points: points(task.points), hints }
    });
    let open = view.tasks.iter().filter_map(|task| {
        let verdict = task.verdict.as_ref().filter(|verdict| verdict.outcome != Outcome::Passed && !verdict.findings.is_empty())?;
        Some(OpenFindings { title: task.title.clone(), findings: verdict.findings.clone() }.render())
    });
    let solution = site.content.solution(&view.attempt.lab, &view.attempt.params).unwrap_or_default();
    let minutes = match (view.attempt.started_at, view.attempt.finished_at) {
        (Some(started), Some(finished)) => format!("Finished in {}", minutes(finished.as_second() - started.as_second())),
        _ => "Finished".to_owned(),
    };
    page(&ResultPage {
        tasks: rows.collect(),
        findings: open.collect::<Result<_, _>>()?,
        title: view.plan.title.clone(),
        summary: minutes,
        simulated: site.app.capabilities().simulated,
        base: format!("/attempts/{}", view.attempt.id),
        lab_href: format!("/labs/{}", view.attempt.lab),
        score: points(view.score),
        total: points(view.total),
        has_receipt: site.app.receipt(user, &view.attempt.id).await?.is_some(),
        solution: solution.files.into_iter().map(|(path, text)| SolutionFile { path, text }).collect(),
        why: markdown::render(&solution.why, 2),
        frame: visitor.frame("labs"),
    })
}

fn minutes(seconds: i64) -> String {
    match seconds {
        ..=59 => "less than a minute".to_owned(),
        60..=119 => "one minute".to_owned(),
        seconds => format!("{} minutes", seconds / 60),
    }
}

/// GET /attempts/{id}/result
pub async fn result(
    State(site): State<Site>,
    SignedInUser { user, visitor }: SignedInUser,
    Path(id): Path<String>,
) -> Result<Response, WebError> {
    let view = site.app.view(&user, &id).await?;
    if view.attempt.state == AttemptState::Finished {
        show(&site, &user, &visitor, view).await
    } else {
        Ok(Redirect::to(&format!("/attempts/{id}")).into_response())
    }
}

/// GET /attempts/{id}/receipt
pub async fn receipt(
    State(site): State<Site>,
    SignedInUser { user, .. }: SignedInUser,
    Path(id): Path<String>,
) -> Result<Response, WebError> {
    let receipt = site.app.receipt(&user, &id).await?.ok_or(WebError::NotFound)?;
    Ok(download("receipt.json", "application/json", receipt))
}

/// GET /receipts/public-key : for everybody.
pub async fn public_key(State(site): State<Site>) -> Response {
    download("public-key.pem", "application/x-pem-file", site.app.receipts_public_key())
}

#[cfg(test)]
mod tests {
    use super::super::sample::{AWKWARD, frame, judge};
    use super::super::task::{OpenFindings, tests::finding};
    use super::*;

    #[test]
    fn renders() {
        for has_receipt in [true, false] {
            let html = ResultPage {
                frame: frame(),
                title: AWKWARD.to_owned(),
                summary: "12 minutes".to_owned(),
                simulated: true,
                base: "/attempts/1".to_owned(),
                lab_href: "/labs/x".to_owned(),
                score: 80,
                total: 100,
                tasks: vec![TaskRow { title: AWKWARD.to_owned(), tone: "good", word: "passed", earned: 20, points: 20, hints: 1 }],
                has_receipt,
                findings: vec![OpenFindings { title: AWKWARD.to_owned(), findings: vec![finding()] }.render().unwrap()],
                solution: vec![SolutionFile { path: AWKWARD.to_owned(), text: AWKWARD.to_owned() }],
                why: "<p>because</p>".to_owned(),
            }
            .render()
            .unwrap();
            judge(&html);
            assert_eq!(html.contains("cordon verify"), has_receipt);
        }
    }
}
