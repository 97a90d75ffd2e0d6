//! GET /labs/{lab} : what a lab is about, and the button that starts it.

use super::super::page::Frame;
use super::catalogue::LabCard;
use askama::Template;

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
