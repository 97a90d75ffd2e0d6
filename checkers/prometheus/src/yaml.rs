//! YAML with the place of every field, within bounds. Scalars keep their text: `1.0` as a label's value stays `1.0`.

use serde::{Deserialize, Deserializer, de};
use serde_saphyr::{Spanned, budget::Budget, options::AliasLimits};
use std::{cell::RefCell, fmt};

/// Largest text that is read.
pub const MAX_BYTES: usize = 8 << 20;
const MAX_DEPTH: usize = 60;
const MAX_NODES: usize = 400_000;

/// Why a text could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("yaml: line {line}: {message}")]
pub struct YamlError {
    /// From 1; 0 where it is not known.
    pub line: u64,
    pub message: String,
}

#[derive(Debug, Clone)]
pub struct Node {
    pub line: u64,
    pub column: u64,
    pub kind: Kind,
}

#[derive(Debug, Clone)]
pub enum Kind {
    Null,
    /// The text, and whether it is a string rather than a number or a truth value.
    Scalar(String, bool),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Debug, Clone)]
pub struct Entry {
    pub name: String,
    pub line: u64,
    pub value: Node,
}

/// Something that does not fit, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub line: u64,
    pub column: u64,
    /// `groups[0].rules[1].expr`.
    pub field: String,
    pub message: String,
}

/// The documents of a text; empty ones are left out.
pub fn documents(text: &str) -> Result<Vec<Node>, YamlError> {
    if text.len() > MAX_BYTES {
        return Err(YamlError { line: 0, message: format!("larger than {} MiB", MAX_BYTES >> 20) });
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut budget = Budget::default();
    budget.max_depth = MAX_DEPTH;
    budget.max_nodes = MAX_NODES;
    budget.max_events = 2 * MAX_NODES;
    budget.max_total_scalar_bytes = 2 * MAX_BYTES;
    let mut alias_limits = AliasLimits::default();
    alias_limits.max_total_replayed_events = MAX_NODES / 4;
    alias_limits.max_replay_stack_depth = 16;
    let options = serde_saphyr::options! {
        budget: Some(budget),
        alias_limits: alias_limits,
        strict_booleans: true,
        with_snippet: false,
    };
    // Numbers come without their text, which is cut out of the source by their place.
    SOURCE.with_borrow_mut(|source| text.clone_into(source));
    let nodes = serde_saphyr::from_multiple_with_options::<Node>(text, options);
    SOURCE.with_borrow_mut(String::clear);
    let nodes = nodes.map_err(|error| explain(&error))?;
    Ok(nodes.into_iter().filter(|node| !matches!(node.kind, Kind::Null)).collect())
}

thread_local! {
    static SOURCE: RefCell<String> = const { RefCell::new(String::new()) };
}

impl Node {
    pub fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar(text, _) => Some(text),
            Kind::Null => Some(""),
            _ => None,
        }
    }

    pub fn get(&self, name: &str) -> Option<&Self> {
        match &self.kind {
            Kind::Map(entries) => entries.iter().find(|entry| entry.name == name).map(|entry| &entry.value),
            _ => None,
        }
    }

    pub fn problem(&self, field: &str, message: impl Into<String>) -> Problem {
        Problem { line: self.line, column: self.column, field: field.to_owned(), message: message.into() }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Kind>::deserialize(deserializer)?;
        let place = spanned.defined;
        let mut kind = spanned.value;
        if let Kind::Scalar(text, false) = &mut kind {
            let span = place.span();
            let range = span.byte_offset().zip(span.byte_len()).map(|(start, length)| start as usize..(start + length) as usize);
            let plain = SOURCE.with_borrow(|source| range.and_then(|range| source.get(range)).map(|text| text.trim().to_owned()));
            // What an alias stands for, or a tag turns, has another text than its place.
            let is_plain = |text: &String| !text.is_empty() && !text.contains(['\n', '*', '&', '!', ':', ' ']);
            if let Some(plain) = plain.filter(is_plain) {
                *text = plain;
            }
        }
        Ok(Self { line: place.line(), column: place.column(), kind })
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> de::Visitor<'de> for Any {
            type Value = Kind;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a scalar, a list or a map")
            }

            fn visit_bool<E>(self, value: bool) -> Result<Kind, E> {
                Ok(Kind::Scalar(value.to_string(), false))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Kind, E> {
                Ok(Kind::Scalar(value.to_string(), false))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Kind, E> {
                Ok(Kind::Scalar(value.to_string(), false))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Kind, E> {
                Ok(Kind::Scalar(crate::number::format_g(value), false))
            }

            fn visit_str<E>(self, value: &str) -> Result<Kind, E> {
                Ok(Kind::Scalar(value.to_owned(), true))
            }

            fn visit_unit<E>(self) -> Result<Kind, E> {
                Ok(Kind::Null)
            }

            fn visit_none<E>(self) -> Result<Kind, E> {
                Ok(Kind::Null)
            }

            fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Kind, D::Error> {
                deserializer.deserialize_any(Self)
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut access: A) -> Result<Kind, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = access.next_element()? {
                    items.push(item);
                }
                Ok(Kind::List(items))
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut access: A) -> Result<Kind, A::Error> {
                let mut entries = Vec::new();
                while let Some((key, value)) = access.next_entry::<Node, Node>()? {
                    let name = key.text().ok_or_else(|| de::Error::custom("a key that is not a scalar"))?.to_owned();
                    entries.push(Entry { name, line: key.line, value });
                }
                Ok(Kind::Map(entries))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

fn explain(error: &serde_saphyr::Error) -> YamlError {
    let line = error.location().map_or(0, |location| location.line());
    let text = error.without_snippet().to_string();
    let first = text.lines().next().unwrap_or_default().trim();
    let first = first.strip_prefix("error: ").unwrap_or(first);
    let message = match first.strip_prefix("line ").and_then(|rest| rest.split_once(": ")) {
        Some((_, message)) => message,
        None => first.rsplit_once(" at line ").map_or(first, |(message, _)| message),
    };
    YamlError { line, message: message.to_owned() }
}

/// Reads typed fields out of nodes, and remembers what did not fit.
#[derive(Debug, Default)]
pub struct Reader {
    pub problems: Vec<Problem>,
    pub ignore_unknown: bool,
}

impl Reader {
    /// The entries of a map; fields that are not known are problems.
    pub fn map<'n>(&mut self, node: &'n Node, path: &str, kind: &str, known: &[&str]) -> &'n [Entry] {
        match &node.kind {
            Kind::Null => &[],
            Kind::Map(entries) => {
                for (index, entry) in entries.iter().enumerate() {
                    let place = Problem { line: entry.line, column: 0, field: join(path, &entry.name), message: String::new() };
                    if !known.contains(&entry.name.as_str()) && !self.ignore_unknown {
                        let message = format!("line {}: field {} not found in type {kind}", entry.line, entry.name);
                        self.problems.push(Problem { message, ..place });
                    } else if entries[..index].iter().any(|earlier| earlier.name == entry.name) {
                        self.problems.push(Problem {
                            message: format!("line {}: mapping key {:?} already defined", entry.line, entry.name),
                            ..place
                        });
                    }
                }
                entries
            }
            _ => {
                self.mismatch(node, path, kind);
                &[]
            }
        }
    }

    pub fn list<'n>(&mut self, entries: &'n [Entry], path: &str, name: &str, kind: &str) -> &'n [Node] {
        match find(entries, name).map(|node| (&node.kind, node)) {
            None | Some((Kind::Null, _)) => &[],
            Some((Kind::List(items), _)) => items,
            Some((_, node)) => {
                self.mismatch(node, &join(path, name), kind);
                &[]
            }
        }
    }

    pub fn text(&mut self, entries: &[Entry], path: &str, name: &str) -> String {
        let Some(node) = find(entries, name) else { return String::new() };
        match node.text() {
            Some(text) => text.to_owned(),
            None => {
                self.mismatch(node, &join(path, name), "string");
                String::new()
            }
        }
    }

    /// Milliseconds; nothing where the field is not there.
    pub fn duration(&mut self, entries: &[Entry], path: &str, name: &str) -> Option<i64> {
        let node = find(entries, name).filter(|node| !matches!(node.kind, Kind::Null))?;
        let text = self.text(entries, path, name);
        match crate::number::parse_duration(&text) {
            Ok(value) => Some(value),
            Err(error) => {
                self.problems.push(node.problem(&join(path, name), error));
                None
            }
        }
    }

    pub fn strings(&mut self, entries: &[Entry], path: &str, name: &str) -> Vec<(String, String)> {
        let Some(node) = find(entries, name) else { return vec![] };
        match &node.kind {
            Kind::Null => vec![],
            Kind::Map(pairs) => {
                let mut out = Vec::new();
                for pair in pairs {
                    match pair.value.text() {
                        Some(text) => out.push((pair.name.clone(), text.to_owned())),
                        None => self.mismatch(&pair.value, &format!("{}[{}]", join(path, name), pair.name), "string"),
                    }
                }
                out
            }
            _ => {
                self.mismatch(node, &join(path, name), "map[string]string");
                vec![]
            }
        }
    }

    pub fn mismatch(&mut self, node: &Node, field: &str, kind: &str) {
        let found = match &node.kind {
            Kind::Null => "!!null",
            Kind::Scalar(_, true) => "!!str",
            Kind::Scalar(_, false) => "!!int",
            Kind::List(_) => "!!seq",
            Kind::Map(_) => "!!map",
        };
        self.problems.push(node.problem(field, format!("line {}: cannot unmarshal {found} into {kind}", node.line)));
    }
}

pub fn find<'n>(entries: &'n [Entry], name: &str) -> Option<&'n Node> {
    entries.iter().find(|entry| entry.name == name).map(|entry| &entry.value)
}

pub fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}
