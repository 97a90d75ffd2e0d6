//! While a cluster starts: its stages as they happen, and the reason where it fails.

use crate::app::{AttemptState, AttemptView, provisioning::STAGES};
use crate::web::page::Frame;
use askama::Template;

#[derive(Debug, Template)]
#[template(path = "pages/startup.html")]
pub struct StartupPage {
    pub frame: Frame,
    pub lab_title: String,
    pub simulated: bool,
    /// False once it has failed: nothing more will come.
    pub following: bool,
    pub events: String,
    /// Safe HTML: the rendered [`Stages`].
    pub stages: String,
}

#[derive(Debug, Template)]
#[template(path = "partials/stages.html")]
pub struct Stages {
    pub stages: Vec<Stage>,
    pub failure: Option<String>,
    pub back: String,
}

#[derive(Debug, Clone)]
pub struct Stage {
    pub class: &'static str,
    pub mark: &'static str,
    /// For those who do not see the mark.
    pub word: &'static str,
    pub text: String,
    pub when: String,
}

impl Stage {
    pub fn done(text: impl Into<String>, when: impl Into<String>) -> Self {
        Self { class: "done", mark: "✓", word: "done", text: text.into(), when: when.into() }
    }

    pub fn doing(text: impl Into<String>) -> Self {
        Self { class: "doing", mark: "●", word: "in progress", text: text.into(), when: String::new() }
    }

    pub fn failed(text: impl Into<String>) -> Self {
        Self { class: "failed", mark: "✗", word: "failed", text: text.into(), when: String::new() }
    }
}

/// The stages of an attempt's start as far as they are known.
pub fn stages(view: &AttemptView) -> Stages {
    let failed = view.attempt.state == AttemptState::Failed;
    let mut list: Vec<Stage> = view
        .stages
        .iter()
        .map(|stage| match stage.ended {
            Some(ended) => {
                let seconds = (ended.as_millisecond() - stage.began.as_millisecond()) as f64 / 1000.0;
                Stage::done(&stage.name, format!("{seconds:.2} s"))
            }
            None if failed => Stage::failed(&stage.name),
            None => Stage::doing(&stage.name),
        })
        .collect();
    if !failed {
        let begun: Vec<&str> = view.stages.iter().map(|stage| stage.name.as_str()).collect();
        list.extend(STAGES.iter().filter(|name| !begun.contains(name)).map(|name| Stage {
            class: "",
            mark: "○",
            word: "not begun",
            text: (*name).to_owned(),
            when: String::new(),
        }));
    }
    Stages { stages: list, failure: view.attempt.failure.clone().filter(|_| failed), back: format!("/labs/{}", view.attempt.lab) }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{AWKWARD, frame, judge};
    use super::*;

    #[test]
    fn renders() {
        for (stage, failure) in [(Stage::doing(AWKWARD), None), (Stage::failed(AWKWARD), Some(AWKWARD.to_owned()))] {
            let following = failure.is_none();
            let stages =
                Stages { stages: vec![Stage::done(AWKWARD, "0.2 s"), stage], failure, back: "/labs/x".to_owned() }.render().unwrap();
            let page = StartupPage {
                frame: frame(),
                lab_title: AWKWARD.to_owned(),
                simulated: true,
                following,
                events: "/attempts/1/events".to_owned(),
                stages,
            };
            let html = page.render().unwrap();
            judge(&html);
            assert_eq!(html.contains("data-follow"), following);
        }
    }
}
