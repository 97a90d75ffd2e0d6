//! GET and POST /register, and /first-admin/{token}: an account, with what was done as a guest.

use super::super::page::Frame;
use askama::Template;

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
