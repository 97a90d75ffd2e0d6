//! GET /labs/{lab} : what a lab is about, and the button that starts it.

use super::catalogue::LabCard;
use super::catalogue::{card, state_word};
use crate::app::{Attempt, AttemptState};
use crate::web::{
    Site,
    error::WebError,
    extract::{Fields, Path},
    markdown,
    middleware::visitor::{Visitor, session_cookie},
    page::{Frame, page},
};
use askama::Template;
use axum::{
    extract::State,
    http::header,
    response::{AppendHeaders, IntoResponse, Redirect, Response},
};

#[derive(Debug, Template)]
#[template(path = "pages/intro.html")]
pub struct IntroPage {
    pub frame: Frame,
    pub lab: LabCard,
    /// Safe HTML.
    pub intro: String,
    pub steps: Vec<String>,
    pub current: Option<AttemptLink>,
    pub past: Vec<AttemptLink>,
    /// Why no attempt can be started.
    pub unavailable: Option<String>,
    pub sign_in: bool,
}

#[derive(Debug, Clone)]
pub struct AttemptLink {
    pub href: String,
    pub text: String,
    pub action: &'static str,
    pub finished: bool,
}

pub async fn intro(State(site): State<Site>, visitor: Visitor, Path(id): Path<String>) -> Result<Response, WebError> {
    let lab = site.content.labs().into_iter().find(|lab| lab.id == id).ok_or(WebError::NotFound)?;
    let plan = site.app.course().lab(&id).ok_or(WebError::NotFound)?;
    let attempts = match &visitor.user {
        Some(user) => site.app.attempts(user).await?.into_iter().filter(|attempt| attempt.lab == id).collect(),
        None => Vec::new(),
    };
    let mut links = attempts.iter().map(|attempt| link(attempt, plan.total()));
    let current = links.next();
    page(&IntroPage {
        lab: card(&site, &lab, &attempts),
        intro: markdown::render(&site.content.intro(&id, None), 1),
        steps: plan.steps.iter().map(|step| step.title.clone()).collect(),
        current,
        past: links.collect(),
        unavailable: site.app.capabilities().unavailable,
        sign_in: visitor.user.is_none() && !site.app.settings().guests,
        frame: visitor.frame("labs"),
    })
}

fn link(attempt: &Attempt, total: i64) -> AttemptLink {
    let begun = attempt.created_at.strftime("%-d %B %Y, %H:%M UTC");
    let (text, action, finished) = match (attempt.state, attempt.score) {
        (AttemptState::Finished, Some(score)) => {
            (format!("Attempt {}, begun {begun}: {score} of {total} points.", attempt.number), "See the result", true)
        }
        (AttemptState::Failed, _) => (format!("Attempt {}, begun {begun}, did not start.", attempt.number), "See why", true),
        (state, _) => (format!("Attempt {}, begun {begun}, is {}.", attempt.number, state_word(state)), "Continue", false),
    };
    AttemptLink { href: format!("/attempts/{}", attempt.id), text, action, finished }
}

/// POST /labs/{lab}/start : the attempt under way, or a new one. A visitor without an account becomes a guest, where guests are on.
pub async fn start(
    State(site): State<Site>,
    visitor: Visitor,
    Path(id): Path<String>,
    fields: Result<Fields, WebError>,
) -> Result<Response, WebError> {
    if let Err(refusal) = fields {
        return resume(&site, &visitor, &id).await?.ok_or(refusal);
    }
    let (user, cookie) = match visitor.user {
        Some(user) => (user, None),
        None if site.app.settings().guests => {
            let signed_in = site.app.guest().await?;
            let cookie = session_cookie(site.cookies, &signed_in, site.app.now());
            (signed_in.user, Some(cookie))
        }
        None => return Err(WebError::SignIn(format!("/labs/{id}"))),
    };
    let attempt = match site.app.latest_attempt(&user, &id).await? {
        Some(latest) if matches!(latest.state, AttemptState::Finished | AttemptState::Failed) => {
            site.app.start_again(&user, &id, latest.number).await?
        }
        _ => site.app.start(&user, &id).await?,
    };
    let cookies = AppendHeaders(cookie.map(|cookie| (header::SET_COOKIE, cookie)));
    Ok((cookies, Redirect::to(&format!("/attempts/{}", attempt.id))).into_response())
}

/// The way to an attempt that is under way. Changes nothing, so that a form may be too old for it: another tab was faster.
async fn resume(site: &Site, visitor: &Visitor, lab: &str) -> Result<Option<Response>, WebError> {
    let Some(user) = &visitor.user else { return Ok(None) };
    let latest = site.app.latest_attempt(user, lab).await?.filter(|attempt| attempt.state.is_open());
    Ok(latest.map(|attempt| Redirect::to(&format!("/attempts/{}", attempt.id)).into_response()))
}

#[cfg(test)]
mod tests {
    use super::super::sample::{AWKWARD, frame, judge};
    use super::*;

    #[test]
    fn renders() {
        let link = |finished| AttemptLink { href: "/attempts/1".to_owned(), text: AWKWARD.to_owned(), action: "Continue", finished };
        for (current, unavailable, sign_in) in [
            (None, None, false),
            (None, None, true),
            (None, Some(AWKWARD.to_owned()), false),
            (Some(link(false)), None, false),
            (Some(link(true)), None, false),
        ] {
            let lab = LabCard { title: AWKWARD.to_owned(), href: "/labs/x".to_owned(), simulated: true, ..LabCard::default() };
            let html = IntroPage {
                frame: frame(),
                lab,
                intro: "<p>intro</p>".to_owned(),
                steps: vec![AWKWARD.to_owned()],
                current,
                past: vec![link(true)],
                unavailable,
                sign_in,
            }
            .render()
            .unwrap();
            judge(&html);
            assert!(html.contains("simulated"));
        }
    }
}
