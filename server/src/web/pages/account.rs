//! GET /account : one's attempts and password.

use super::super::page::Frame;
use askama::Template;

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
