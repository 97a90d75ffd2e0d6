//! GET / : all labs.

use crate::app::{Attempt, AttemptState};
use crate::web::{
    Site,
    content::LabText,
    error::WebError,
    middleware::visitor::Visitor,
    page::{Frame, page},
};
use askama::Template;
use axum::{extract::State, response::Response};
use provision::{Capabilities, GpuSupport};

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
    pub gpus: Option<CardState>,
    pub state: Option<CardState>,
}

/// How far this visitor is with a lab.
#[derive(Debug, Clone)]
pub struct CardState {
    pub tone: &'static str,
    pub text: String,
}

pub async fn catalogue(State(site): State<Site>, visitor: Visitor) -> Result<Response, WebError> {
    let attempts = match &visitor.user {
        Some(user) => site.app.attempts(user).await?,
        None => Vec::new(),
    };
    let mut tracks: Vec<Track> = Vec::new();
    for lab in site.content.labs() {
        let card = card(&site, &lab, &attempts);
        match tracks.last_mut().filter(|track| track.title == lab.track) {
            Some(track) => track.labs.push(card),
            None => tracks.push(Track { title: lab.track, labs: vec![card] }),
        }
    }
    page(&CataloguePage { frame: visitor.frame("labs"), tracks })
}

/// A lab's card; `attempts` are the visitor's own, newest first.
pub fn card(site: &Site, lab: &LabText, attempts: &[Attempt]) -> LabCard {
    let mine: Vec<&Attempt> = attempts.iter().filter(|attempt| attempt.lab == lab.id).collect();
    let best = mine.iter().filter_map(|attempt| attempt.score).max();
    let state = if mine.iter().any(|attempt| attempt.state.is_open()) {
        Some(CardState { tone: "warn", text: "under way".to_owned() })
    } else {
        best.map(|best| CardState { tone: "good", text: format!("best score {best}") })
    };
    LabCard {
        href: format!("/labs/{}", lab.id),
        title: lab.title.clone(),
        summary: lab.summary.clone(),
        level: lab.level.clone(),
        minutes: lab.minutes,
        points: site.app.course().lab(&lab.id).map_or(0, |plan| u64::try_from(plan.total()).unwrap_or(0)),
        simulated: site.app.capabilities().simulated,
        gpus: gpus(&site.app.capabilities()),
        state,
    }
}

/// What the GPUs of real clusters are; on a simulated cluster everything is, and it says so already.
pub fn gpus(capabilities: &Capabilities) -> Option<CardState> {
    match capabilities.gpus {
        _ if capabilities.simulated => None,
        GpuSupport::None => None,
        GpuSupport::Simulated => Some(CardState { tone: "warn", text: "simulated GPUs".to_owned() }),
        GpuSupport::PassedThrough => Some(CardState { tone: "good", text: "GPUs of this machine".to_owned() }),
    }
}

/// In words.
pub fn state_word(state: AttemptState) -> &'static str {
    match state {
        AttemptState::Preparing => "starting",
        AttemptState::Running => "under way",
        AttemptState::Sleeping => "asleep",
        AttemptState::Failed => "did not start",
        AttemptState::Finished => "finished",
    }
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
            gpus: Some(CardState { tone: "good", text: "GPUs of this machine".to_owned() }),
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
