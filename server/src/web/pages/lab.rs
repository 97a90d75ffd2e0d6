//! GET /attempts/{id} : the lab itself, instructions and workbench.

use super::super::page::Frame;
use askama::Template;

#[derive(Debug, Template)]
#[template(path = "pages/lab.html")]
pub struct LabPage {
    pub frame: Frame,
    pub title: String,
    pub simulated: bool,
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
    pub resets: Vec<ResetPoint>,
    /// Why there is no terminal here.
    pub shell_problem: Option<String>,
    pub files: Vec<String>,
}

#[derive(Debug)]
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
                base: "/attempts/1".to_owned(),
                score: Score { score: 20, total: 100 }.render().unwrap(),
                intro: "<p>intro</p>".to_owned(),
                apply_result: ApplyResult { tone: "good", lines: vec![AWKWARD.to_owned()] }.render().unwrap(),
                cluster: ClusterPanel { problem: Some(AWKWARD.to_owned()), ..ClusterPanel::default() }.render().unwrap(),
                steps: vec![step],
                seconds_left: Some(1234),
                fresh: true,
                resets: vec![ResetPoint { value: "start".to_owned(), text: AWKWARD.to_owned() }],
                shell_problem,
                files: vec![AWKWARD.to_owned()],
            };
            let html = page.render().unwrap();
            judge(&html);
            assert!(html.contains("simulated cluster"));
            assert_eq!(html.contains("id=\"terminal\""), page.shell_problem.is_none());
        }
    }
}
