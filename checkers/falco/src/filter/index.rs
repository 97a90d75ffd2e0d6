//! Finds conditions by what an event says: one look at a field tells which of many conditions may hold.
//!
//! ```text
//! fd.name in (/etc/shadow, …)   → 0      "/etc/shadow" ──► 0      "/opt/m/x" ──► 1      "/data/y" ──► none
//! fd.name startswith /opt/m/    → 1
//! ```
//!
//! It may name a condition that does not hold, and never leaves one out that does.

use super::{
    Check, Extract, Quantity,
    plan::{Graph, Kind},
    test::{Test, bytes},
};
use crate::event::{Event, Value};
use rustc_hash::FxHashMap;

/// A condition that asks for one of more values than this is not worth an index.
const MAX_VALUES: usize = 256;
/// How deep conditions are searched for something that they need.
const MAX_DEPTH: u32 = 16;

/// Something that must be so for a condition to hold: one of these.
pub type Needs = Vec<Need>;

/// What a field must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    slot: u32,
    what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    Text(Side, Box<[u8]>),
    Number(i128),
}

/// Which part of a text is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    All,
    Start,
    End,
}

/// Up to [`Index::ENTRIES`] conditions, each by what it needs.
#[derive(Debug, Clone, Default)]
pub struct Index {
    texts: Vec<Texts>,
    numbers: Vec<Numbers>,
}

/// The texts that one field is compared with on one side; a bit for each condition.
#[derive(Debug, Clone)]
struct Texts {
    slot: u32,
    side: Side,
    lengths: Vec<usize>,
    entries: FxHashMap<Box<[u8]>, u64>,
}

#[derive(Debug, Clone)]
struct Numbers {
    slot: u32,
    entries: FxHashMap<i128, u64>,
}

impl Index {
    /// The bits of a mask.
    pub const ENTRIES: usize = u64::BITS as usize;

    pub fn new(conditions: &[Needs]) -> Self {
        let mut index = Self::default();
        for (number, needs) in conditions.iter().enumerate() {
            for Need { slot, what } in needs {
                *index.entry(*slot, what) |= 1 << number;
            }
        }
        for texts in &mut index.texts {
            texts.lengths = texts.entries.keys().map(|text| text.len()).collect();
            texts.lengths.sort_unstable();
            texts.lengths.dedup();
        }
        index
    }

    /// A bit for each condition that may hold.
    pub fn candidates(&self, event: &Event) -> u64 {
        let texts = self.texts.iter().fold(0, |mask, texts| mask | each(event.value(texts.slot), |value| texts.get(value)));
        self.numbers.iter().fold(texts, |mask, numbers| mask | each(event.value(numbers.slot), |value| numbers.get(value)))
    }

    fn entry(&mut self, slot: u32, what: &What) -> &mut u64 {
        match what {
            What::Text(side, text) => {
                let at = self.texts.iter().position(|texts| (texts.slot, texts.side) == (slot, *side)).unwrap_or_else(|| {
                    self.texts.push(Texts { slot, side: *side, lengths: Vec::new(), entries: FxHashMap::default() });
                    self.texts.len() - 1
                });
                self.texts[at].entries.entry(text.clone()).or_default()
            }
            What::Number(number) => {
                let at = self.numbers.iter().position(|numbers| numbers.slot == slot).unwrap_or_else(|| {
                    self.numbers.push(Numbers { slot, entries: FxHashMap::default() });
                    self.numbers.len() - 1
                });
                self.numbers[at].entries.entry(*number).or_default()
            }
        }
    }
}

/// One of many values is enough.
fn each(value: &Value, get: impl Fn(&Value) -> u64) -> u64 {
    match value {
        Value::Many(values) => values.iter().fold(0, |mask, value| mask | get(value)),
        one => get(one),
    }
}

impl Texts {
    fn get(&self, value: &Value) -> u64 {
        let Some(text) = bytes(value) else { return 0 };
        let get = |part: &[u8]| self.entries.get(part).copied().unwrap_or(0);
        let known = self.lengths.iter().copied().take_while(|length| *length <= text.len());
        match self.side {
            Side::All if self.lengths.binary_search(&text.len()).is_err() => 0,
            Side::All => get(text),
            Side::Start => known.fold(0, |mask, length| mask | get(&text[..length])),
            Side::End => known.fold(0, |mask, length| mask | get(&text[text.len() - length..])),
        }
    }
}

impl Numbers {
    fn get(&self, value: &Value) -> u64 {
        match value {
            Value::Number(number) => self.entries.get(number).copied().unwrap_or(0),
            _ => 0,
        }
    }
}

/// The best that is known of what all of these steps together need, if anything can be looked up.
pub fn needs(graph: &Graph, steps: &[u32]) -> Option<Needs> {
    all(graph, steps, 0)
}

fn all(graph: &Graph, steps: &[u32], depth: u32) -> Option<Needs> {
    steps.iter().filter_map(|step| one(graph, *step, depth)).min_by_key(Vec::len)
}

fn one(graph: &Graph, step: u32, depth: u32) -> Option<Needs> {
    if depth == MAX_DEPTH {
        return None;
    }
    match graph.kind(step) {
        Kind::Check(check) => of_check(check),
        Kind::And(children) => all(graph, children, depth + 1),
        Kind::Or(children) => {
            let mut any = Needs::new();
            for child in children {
                any.extend(one(graph, *child, depth + 1)?);
                if any.len() > MAX_VALUES {
                    return None;
                }
            }
            Some(any)
        }
        Kind::Always(_) | Kind::Not(_) => None,
    }
}

fn of_check(check: &Check) -> Option<Needs> {
    let (Extract::Slot(slot), Quantity::Any) = (&check.left, check.values) else { return None };
    let text = |side, text: &[u8]| (!text.is_empty()).then(|| vec![Need { slot: *slot, what: What::Text(side, text.into()) }]);
    let number = |value: &Value| match value {
        Value::Number(number) => Some(Need { slot: *slot, what: What::Number(*number) }),
        _ => None,
    };
    match &check.test {
        Test::Text { equal: true, value } => text(Side::All, value.as_bytes()),
        Test::TextIn(values) if values.iter().len() <= MAX_VALUES => {
            Some(values.iter().map(|value| Need { slot: *slot, what: What::Text(Side::All, value.as_bytes().into()) }).collect())
        }
        Test::StartsWith(start) => text(Side::Start, start),
        Test::EndsWith(end) => text(Side::End, end),
        Test::Glob(glob) => match (glob.literal_start(), glob.literal_end()) {
            (start, end) if start.len() >= end.len() => text(Side::Start, start.as_bytes()),
            (_, end) => text(Side::End, end.as_bytes()),
        },
        Test::Equal { equal: true, value } => number(value).map(|need| vec![need]),
        Test::In(values) if values.len() <= MAX_VALUES => values.iter().map(number).collect(),
        _ => None,
    }
}
