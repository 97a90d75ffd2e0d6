//! GET /admin/users : people and their roles, for admins.

use super::super::page::Frame;
use askama::Template;

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
    pub guest: bool,
    pub disabled: bool,
    /// The admin who looks: nobody locks themselves out.
    pub me: bool,
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
        assert!(html.contains("action=\"/admin/users/b\"") && !html.contains("action=\"/admin/users/a\""));
    }
}
