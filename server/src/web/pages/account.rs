//! GET /account : one's attempts and password.

use super::{catalogue::state_word, sign_in::sentence};
use crate::app::AppError;
use crate::web::{
    Site,
    error::WebError,
    extract::{Form, SignedInUser},
    middleware::visitor::Visitor,
    page::{Frame, page_with},
};
use askama::Template;
use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{AppendHeaders, IntoResponse, Redirect, Response},
};

#[derive(Debug, Template)]
#[template(path = "pages/account.html")]
pub struct AccountPage {
    pub frame: Frame,
    pub name: String,
    pub role: String,
    pub attempts: Vec<AttemptRow>,
    pub has_password: bool,
    pub problem: Option<String>,
}

#[derive(Debug)]
pub struct AttemptRow {
    pub href: String,
    pub lab: String,
    pub begun: String,
    pub state: String,
    pub score: String,
}

pub async fn account(State(site): State<Site>, SignedInUser { user, visitor }: SignedInUser) -> Result<Response, WebError> {
    show(&site, &user, &visitor, StatusCode::OK, None).await
}

async fn show(
    site: &Site,
    user: &crate::app::User,
    visitor: &Visitor,
    status: StatusCode,
    problem: Option<String>,
) -> Result<Response, WebError> {
    let attempts = site.app.attempts(user).await?;
    let rows = attempts.iter().map(|attempt| AttemptRow {
        href: format!("/attempts/{}", attempt.id),
        lab: site.app.course().lab(&attempt.lab).map_or_else(|| attempt.lab.clone(), |plan| plan.title.clone()),
        begun: attempt.created_at.strftime("%-d %b %Y, %H:%M").to_string(),
        state: state_word(attempt.state).to_owned(),
        score: attempt.score.map(|score| score.to_string()).unwrap_or_default(),
    });
    let page = AccountPage {
        attempts: rows.collect(),
        name: user.display_name.clone(),
        role: if user.is_guest() {
            "Guest: your work is kept in this browser only".to_owned()
        } else {
            sentence(user.role.as_str()).trim_end_matches('.').to_owned()
        },
        has_password: user.password_hash.is_some(),
        problem,
        frame: visitor.frame("account"),
    };
    page_with(status, &page)
}

/// POST /account/password : ends all sessions, this one too.
pub async fn password(State(site): State<Site>, Form { user, visitor, fields, .. }: Form) -> Result<Response, WebError> {
    match site.app.change_password(&user, fields.get("old"), fields.get("new")).await {
        Ok(()) => {
            let cookies = AppendHeaders([(header::SET_COOKIE, site.cookies.forget(site.cookies.session_name()))]);
            Ok((cookies, Redirect::to("/sign-in?next=/account")).into_response())
        }
        Err(AppError::Invalid { message, .. }) => {
            show(&site, &user, &visitor, StatusCode::UNPROCESSABLE_ENTITY, Some(sentence(&message))).await
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{AWKWARD, frame, judge};
    use super::*;

    #[test]
    fn renders() {
        let row = AttemptRow {
            href: "/attempts/1".to_owned(),
            lab: AWKWARD.to_owned(),
            begun: "today".to_owned(),
            state: "running".to_owned(),
            score: "20".to_owned(),
        };
        for (attempts, problem) in [(vec![], None), (vec![row], Some(AWKWARD.to_owned()))] {
            judge(
                &AccountPage {
                    frame: frame(),
                    name: AWKWARD.to_owned(),
                    role: "learner".to_owned(),
                    attempts,
                    has_password: true,
                    problem,
                }
                .render()
                .unwrap(),
            );
        }
    }
}
