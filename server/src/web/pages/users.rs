//! GET /admin/users : people and their roles, for admins.

use crate::app::{Role, User};
use crate::web::{
    Site,
    error::WebError,
    extract::{Form, Path, SignedInUser},
    page::{Frame, page},
    update::{Update, answer},
};
use askama::Template;
use axum::{extract::State, response::Response};

#[derive(Debug, Template)]
#[template(path = "pages/users.html")]
pub struct UsersPage {
    pub frame: Frame,
    pub users: Vec<UserRow>,
    pub roles: Vec<&'static str>,
}

#[derive(Debug)]
pub struct UserRow {
    pub id: String,
    pub name: String,
    pub role: String,
    pub since: String,
    pub attempts: usize,
    /// UUIDs of this machine's GPUs that their clusters have.
    pub gpus: Vec<String>,
    pub guest: bool,
    pub disabled: bool,
    /// The admin who looks: nobody locks themselves out.
    pub me: bool,
}

const ROLES: [Role; 4] = [Role::Learner, Role::Instructor, Role::Interviewer, Role::Admin];

pub async fn users(State(site): State<Site>, admin: SignedInUser) -> Result<Response, WebError> {
    only_admins(&admin.user)?;
    let mut rows = Vec::new();
    let claims = site.app.gpu_claims().await?;
    for user in site.app.users().await? {
        let attempts = site.app.attempts(&user).await?;
        let theirs = claims.iter().filter(|claim| attempts.iter().any(|attempt| attempt.id == claim.cluster));
        rows.push(UserRow {
            name: user.display_name.clone(),
            role: user.role.as_str().to_owned(),
            since: user.created_at.strftime("%-d %b %Y").to_string(),
            attempts: attempts.len(),
            gpus: theirs.map(|claim| claim.uuid.clone()).collect(),
            guest: user.is_guest(),
            disabled: user.disabled,
            me: user.id == admin.user.id,
            id: user.id,
        });
    }
    page(&UsersPage { frame: admin.visitor.frame("users"), users: rows, roles: ROLES.iter().map(|role| role.as_str()).collect() })
}

/// POST /admin/users/{id}
pub async fn change(
    State(site): State<Site>,
    Path(id): Path<String>,
    Form { user: admin, headers, fields, .. }: Form,
) -> Result<Response, WebError> {
    only_admins(&admin)?;
    if id == admin.id {
        return Err(WebError::Conflict("nobody changes their own role".to_owned()));
    }
    let (role, disabled) = match fields.get("do") {
        "lock" => (None, Some(true)),
        "unlock" => (None, Some(false)),
        "role" => (Some(Role::parse(fields.get("role")).ok_or_else(|| WebError::BadRequest("there is no such role".to_owned()))?), None),
        _ => return Err(WebError::BadRequest("nothing to do".to_owned())),
    };
    let user = site.app.change_user(&id, role, disabled).await?;
    Ok(answer(&headers, Update::default().say("good", format!("{} was changed.", user.display_name)), "/admin/users"))
}

/// Whether the page exists is nobody else's business.
fn only_admins(user: &User) -> Result<(), WebError> {
    if user.role == Role::Admin { Ok(()) } else { Err(WebError::NotFound) }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{AWKWARD, frame, judge};
    use super::*;

    #[test]
    fn renders() {
        let row = |id: &str, me, disabled| UserRow {
            id: id.to_owned(),
            name: AWKWARD.to_owned(),
            role: "learner".to_owned(),
            since: "today".to_owned(),
            attempts: 2,
            gpus: if me { vec![AWKWARD.to_owned()] } else { Vec::new() },
            guest: disabled,
            disabled,
            me,
        };
        let html = UsersPage {
            frame: frame(),
            users: vec![row("a", true, false), row("b", false, true), row("c", false, false)],
            roles: vec!["learner", "admin"],
        }
        .render()
        .unwrap();
        judge(&html);
        assert_eq!(html.matches("GPU of this machine").count(), 1);
        assert!(html.contains("action=\"/admin/users/b\"") && !html.contains("action=\"/admin/users/a\""));
    }
}
