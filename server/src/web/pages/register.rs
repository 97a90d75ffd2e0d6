//! GET and POST /register, and /first-admin/{token}: an account, with what was done as a guest.

use super::sign_in::sentence;
use crate::app::{AppError, Registration};
use crate::web::{
    Site,
    error::WebError,
    extract::{Fields, Path},
    middleware::visitor::{Visitor, session_cookie},
    page::{Frame, page, page_with},
};
use askama::Template;
use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{AppendHeaders, IntoResponse, Redirect, Response},
};

#[derive(Debug, Template)]
#[template(path = "pages/register.html")]
pub struct RegisterPage {
    pub frame: Frame,
    pub action: String,
    /// The role that a one-time link gives.
    pub role: Option<String>,
    pub guest: bool,
    pub problem: Option<String>,
    pub login: String,
}

pub async fn form(State(site): State<Site>, visitor: Visitor) -> Result<Response, WebError> {
    if !site.app.settings().registration {
        return Err(WebError::Forbidden("accounts are made by an administrator here".into()));
    }
    page(&register_page(&visitor, "/register".to_owned(), None, None, ""))
}

/// The one-time link that makes the first admin.
pub async fn link_form(State(site): State<Site>, visitor: Visitor, Path(link): Path<String>) -> Result<Response, WebError> {
    let role = site
        .app
        .link_role(&link)
        .await?
        .ok_or_else(|| WebError::Forbidden("this link was used already, has expired, or a newer one was made".into()))?;
    page(&register_page(&visitor, format!("/join/{link}"), Some(role.as_str().to_owned()), None, ""))
}

pub async fn register(State(site): State<Site>, visitor: Visitor, fields: Fields) -> Result<Response, WebError> {
    let result = site.app.register(visitor.user.as_ref(), &registration(&fields)).await;
    finish(&site, &visitor, &fields, "/register".to_owned(), None, result)
}

pub async fn register_by_link(
    State(site): State<Site>,
    visitor: Visitor,
    Path(link): Path<String>,
    fields: Fields,
) -> Result<Response, WebError> {
    let role = site.app.link_role(&link).await?.map(|role| role.as_str().to_owned());
    let result = site.app.register_by_link(&link, visitor.user.as_ref(), &registration(&fields)).await;
    finish(&site, &visitor, &fields, format!("/join/{link}"), role, result)
}

fn registration(fields: &Fields) -> Registration {
    Registration { login: fields.get("login").to_owned(), display_name: String::new(), password: fields.get("password").to_owned() }
}

fn finish(
    site: &Site,
    visitor: &Visitor,
    fields: &Fields,
    action: String,
    role: Option<String>,
    result: Result<crate::app::SignedIn, AppError>,
) -> Result<Response, WebError> {
    match result {
        Ok(signed_in) => {
            let cookies = AppendHeaders([(header::SET_COOKIE, session_cookie(site.cookies, &signed_in, site.app.now()))]);
            Ok((cookies, Redirect::to("/account")).into_response())
        }
        Err(AppError::Invalid { field, message }) => {
            let name = if field == "login" { "Name" } else { "Password" };
            let problem = Some(sentence(&format!("{name}: {message}")));
            page_with(StatusCode::UNPROCESSABLE_ENTITY, &register_page(visitor, action, role, problem, fields.get("login")))
        }
        Err(error) => Err(error.into()),
    }
}

fn register_page(visitor: &Visitor, action: String, role: Option<String>, problem: Option<String>, login: &str) -> RegisterPage {
    let guest = visitor.user.as_ref().is_some_and(|user| user.is_guest());
    RegisterPage { frame: visitor.frame("register"), action, role, guest, problem, login: login.chars().take(64).collect() }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{AWKWARD, frame, judge};
    use super::*;

    #[test]
    fn renders() {
        for (role, problem) in [(None, None), (Some("admin".to_owned()), Some(AWKWARD.to_owned()))] {
            judge(
                &RegisterPage { frame: frame(), action: "/register".to_owned(), role, guest: true, problem, login: AWKWARD.to_owned() }
                    .render()
                    .unwrap(),
            );
        }
    }
}
