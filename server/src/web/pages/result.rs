//! GET /attempts/{id}/result : the score, what was open, the receipt, the reference solution and why.

use super::super::page::Frame;
use askama::Template;

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
