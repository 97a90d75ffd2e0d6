//! What the pages read of a lab: texts. The application itself knows only plans (`app::course`).

use labs::{Action, AttemptLab, Catalogue, Lab};
use std::{collections::BTreeMap, fmt::Debug, sync::Arc};

/// A lab on the catalogue's shelf.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabText {
    pub id: String,
    pub title: String,
    /// The shelf, as `Beginner`.
    pub track: String,
    pub summary: String,
    pub level: String,
    /// How long it should take.
    pub minutes: u64,
}

/// The reference solution, shown when an attempt is finished.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Solution {
    /// Path and text, in the order in which they are read.
    pub files: Vec<(String, String)>,
    /// Markdown: why it is right.
    pub why: String,
}

pub type Params = BTreeMap<String, String>;

/// All texts are Markdown with the attempt's own values already in them. Pure: answers at once, from memory.
pub trait Content: Send + Sync + Debug {
    /// In the catalogue's order.
    fn labs(&self) -> Vec<LabText>;
    /// What the lab is about; without an attempt the values are shown by their names.
    fn intro(&self, lab: &str, params: Option<&Params>) -> String;
    fn step(&self, lab: &str, step: &str, params: &Params) -> String;
    fn solution(&self, lab: &str, params: &Params) -> Option<Solution>;
}

/// No texts: the catalogue is empty.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoContent;

impl Content for NoContent {
    fn labs(&self) -> Vec<LabText> {
        Vec::new()
    }

    fn intro(&self, _lab: &str, _params: Option<&Params>) -> String {
        String::new()
    }

    fn step(&self, _lab: &str, _step: &str, _params: &Params) -> String {
        String::new()
    }

    fn solution(&self, _lab: &str, _params: &Params) -> Option<Solution> {
        None
    }
}

/// The labs that this server was given.
#[derive(Debug, Clone)]
pub struct LabContent(pub Arc<Catalogue>);

impl LabContent {
    fn with<T>(&self, lab: &str, params: &Params, read: impl FnOnce(&AttemptLab<'_>) -> T) -> Option<T> {
        let lab = self.0.lab(lab)?;
        let attempt = lab.for_attempt(params.clone()).ok()?;
        Some(read(&attempt))
    }
}

impl Content for LabContent {
    fn labs(&self) -> Vec<LabText> {
        self.0.labs().into_iter().map(|lab| text(lab)).collect()
    }

    fn intro(&self, lab: &str, params: Option<&Params>) -> String {
        let Some(found) = self.0.lab(lab) else { return String::new() };
        // Before there is an attempt, a value shows its name.
        let names = found.spec.params.keys().map(|name| (name.clone(), format!("<{name}>"))).collect();
        let params = params.unwrap_or(&names);
        found.text(&found.spec.intro).and_then(|text| labs::render(text, params).ok()).unwrap_or_default()
    }

    fn step(&self, lab: &str, step: &str, params: &Params) -> String {
        let file = self.0.lab(lab).and_then(|lab| lab.spec.steps.iter().find(|one| one.id == step).map(|step| step.file.clone()));
        file.and_then(|file| self.with(lab, params, |lab| lab.text(&file))?).unwrap_or_default()
    }

    fn solution(&self, lab: &str, params: &Params) -> Option<Solution> {
        let reference = self.0.lab(lab)?.solutions.first()?.clone();
        self.with(lab, params, |attempt| {
            let mut files = Vec::new();
            for action in &reference.actions {
                if let Action::Apply(file) = action {
                    let path = match file.strip_prefix('/') {
                        Some(own) => own.to_owned(),
                        None => format!("solutions/{}/{file}", reference.name),
                    };
                    if let Some(text) = attempt.text(&path) {
                        files.push((file.trim_start_matches('/').to_owned(), text));
                    }
                }
            }
            Solution { files, why: attempt.text(&attempt.lab.spec.explanation).unwrap_or_default() }
        })
    }
}

fn text(lab: &Lab) -> LabText {
    let track = &lab.spec.track;
    let shelf = track.get(..1).map(|first| first.to_uppercase() + &track[1..]).unwrap_or_default();
    LabText {
        id: lab.name.clone(),
        title: lab.spec.title.clone(),
        track: shelf,
        summary: lab.spec.summary.clone(),
        level: track.clone(),
        minutes: u64::from(lab.spec.minutes),
    }
}
