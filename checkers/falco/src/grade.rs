//! How well rules do on events of which somebody said what should happen.
//!
//! A labelled event says which rules should fire (`"rules": ["Read sensitive file untrusted"]`, empty for none), or whether it belongs
//! to an attack at all (`"kind": "attack"` or `"benign"`), or both. The first decides rule by rule, the second over all rules together.

use crate::engine::Alert;
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};

/// What is known about an event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Label {
    pub rules: Option<BTreeSet<String>>,
    pub attack: Option<bool>,
}

impl Label {
    /// Reads the label of a recorded event; the error names the field that is wrong.
    pub fn from_event(event: &Json) -> Result<Self, String> {
        let rules = match event.get("rules") {
            None | Some(Json::Null) => None,
            Some(Json::Array(names)) => {
                let names: Option<BTreeSet<String>> = names.iter().map(|name| name.as_str().map(str::to_owned)).collect();
                Some(names.ok_or("rules: every entry is the name of a rule")?)
            }
            Some(_) => return Err("rules: a list of names of rules".to_owned()),
        };
        let attack = match event.get("kind").map(Json::as_str) {
            None => None,
            Some(Some("attack")) => Some(true),
            Some(Some("benign")) => Some(false),
            Some(_) => return Err("kind: attack or benign".to_owned()),
        };
        Ok(Self { rules, attack })
    }

    pub fn is_empty(&self) -> bool {
        self.rules.is_none() && self.attack.is_none()
    }
}

/// Which events decided, by the names that the caller gives them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tally {
    /// Fired, and should.
    pub right: Vec<String>,
    /// Fired, and should not.
    pub wrong: Vec<String>,
    /// Should have fired, and did not.
    pub missed: Vec<String>,
}

impl Tally {
    fn note(&mut self, event: &str, fired: bool, should: bool) {
        let events = match (fired, should) {
            (true, true) => &mut self.right,
            (true, false) => &mut self.wrong,
            (false, true) => &mut self.missed,
            (false, false) => return,
        };
        events.push(event.to_owned());
    }

    /// How many of the alerts are right; none without an alert.
    pub fn precision(&self) -> Option<f64> {
        ratio(self.right.len(), self.wrong.len())
    }

    /// How many of the events are found; none where there are none to be found.
    pub fn recall(&self) -> Option<f64> {
        ratio(self.right.len(), self.missed.len())
    }

    /// Nothing wrong, nothing missed.
    pub fn is_perfect(&self) -> bool {
        self.wrong.is_empty() && self.missed.is_empty()
    }
}

fn ratio(right: usize, other: usize) -> Option<f64> {
    let all = right + other;
    (all > 0).then(|| right as f64 / all as f64)
}

/// The grades of a set of rules.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grades {
    /// By rule, every one that is loaded or that a label names.
    pub rules: BTreeMap<String, Tally>,
    /// Attacks against benign events, whichever rule fires.
    pub attacks: Tally,
    /// Events with a label that names rules, and events with a kind.
    pub labelled: usize,
    pub kinds: usize,
    /// Events without any label.
    pub unlabelled: usize,
}

impl Grades {
    pub fn new<'a>(rules: impl Iterator<Item = &'a str>) -> Self {
        Self { rules: rules.map(|name| (name.to_owned(), Tally::default())).collect(), ..Self::default() }
    }

    /// Counts one event.
    pub fn add(&mut self, event: &str, label: &Label, alerts: &[Alert]) {
        if label.is_empty() {
            self.unlabelled += 1;
        }
        if let Some(attack) = label.attack {
            self.kinds += 1;
            self.attacks.note(event, !alerts.is_empty(), attack);
        }
        let Some(expected) = &label.rules else { return };
        self.labelled += 1;
        for name in expected {
            self.rules.entry(name.clone()).or_default();
        }
        for (name, tally) in &mut self.rules {
            let fired = alerts.iter().any(|alert| alert.rule == *name);
            tally.note(event, fired, expected.contains(name));
        }
    }

    /// Every labelled event came out as its label says.
    pub fn is_perfect(&self) -> bool {
        self.attacks.is_perfect() && self.rules.values().all(Tally::is_perfect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Map, json};

    fn alert(rule: &str) -> Alert {
        let output_fields = Map::new();
        Alert { rule: rule.to_owned(), priority: "Notice", source: "syscall", tags: Vec::new(), output: String::new(), output_fields }
    }

    #[test]
    fn precision_and_recall_by_rule() {
        let mut grades = Grades::new(["A", "B"].into_iter());
        let events: [(&str, Json, &[&str]); 5] = [
            ("1", json!({"rules": ["A"], "kind": "attack"}), &["A"]),
            ("2", json!({"rules": ["A"], "kind": "attack"}), &[]),
            ("3", json!({"rules": [], "kind": "benign"}), &["A", "B"]),
            ("4", json!({"rules": ["C"]}), &[]),
            ("5", json!({}), &["A"]),
        ];
        for (name, event, fired) in events {
            let alerts: Vec<Alert> = fired.iter().map(|rule| alert(rule)).collect();
            grades.add(name, &Label::from_event(&event).expect("a label"), &alerts);
        }
        let a = &grades.rules["A"];
        assert_eq!((&a.right[..], &a.wrong[..], &a.missed[..]), (&["1".to_owned()][..], &["3".to_owned()][..], &["2".to_owned()][..]));
        assert_eq!((a.precision(), a.recall()), (Some(0.5), Some(0.5)));
        assert_eq!((grades.rules["B"].precision(), grades.rules["B"].recall()), (Some(0.0), None));
        assert_eq!((grades.rules["C"].precision(), grades.rules["C"].recall()), (None, Some(0.0)));
        assert_eq!((grades.attacks.precision(), grades.attacks.recall()), (Some(0.5), Some(0.5)));
        assert_eq!((grades.labelled, grades.kinds, grades.unlabelled, grades.is_perfect()), (4, 3, 1, false));
    }

    #[test]
    fn a_label_that_is_none_is_said() {
        for (event, field) in [(json!({"rules": "A"}), "rules"), (json!({"rules": [1]}), "rules"), (json!({"kind": "bad"}), "kind")] {
            assert!(Label::from_event(&event).is_err_and(|message| message.starts_with(field)), "{event}");
        }
    }
}
