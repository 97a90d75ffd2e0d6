//! GET / : all labs.

use super::super::page::Frame;
use askama::Template;

#[derive(Debug, Template)]
#[template(path = "pages/catalogue.html")]
pub struct CataloguePage {
    pub frame: Frame,
    pub tracks: Vec<Track>,
}

#[derive(Debug)]
pub struct Track {
    pub title: String,
    pub labs: Vec<LabCard>,
}

#[derive(Debug, Clone, Default)]
pub struct LabCard {
    pub href: String,
    pub title: String,
    pub summary: String,
    pub level: String,
    pub minutes: u64,
    pub points: u64,
    pub simulated: bool,
    pub state: Option<CardState>,
}

/// How far this visitor is with a lab.
#[derive(Debug, Clone)]
pub struct CardState {
    pub tone: &'static str,
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::super::sample::{AWKWARD, frame, judge};
    use super::*;

    pub fn card() -> LabCard {
        LabCard {
            href: "/labs/secure".to_owned(),
            title: AWKWARD.to_owned(),
            summary: AWKWARD.to_owned(),
            level: "beginner".to_owned(),
            minutes: 45,
            points: 100,
            simulated: true,
            state: Some(CardState { tone: "good", text: "best 80".to_owned() }),
        }
    }

    #[test]
    fn renders() {
        for tracks in [vec![], vec![Track { title: AWKWARD.to_owned(), labs: vec![card(), LabCard::default()] }]] {
            for frame in [frame(), Frame { nonce: frame().nonce, csrf: frame().csrf, ..Frame::default() }] {
                judge(&CataloguePage { frame, tracks: vec![] }.render().unwrap());
            }
            judge(&CataloguePage { frame: frame(), tracks }.render().unwrap());
        }
    }
}
