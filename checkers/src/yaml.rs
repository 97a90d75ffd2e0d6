//! YAML as Kubernetes reads it, within bounds, and with the line of every field.
//!
//! JSON is read as the YAML that it is. Of YAML 1.1 the words `yes`, `no`, `on`, `off` and octal numbers count, as kubectl counts
//! them; a bare `y` or `n` stays a string. Size, depth, number of nodes and what aliases may unfold to are bounded.

use serde::{Deserialize, Deserializer, de};
use serde_json::{Map, Number, Value};
use serde_saphyr::{Spanned, budget::Budget, options::AliasLimits};
use std::fmt;

/// Largest text that is read.
pub const MAX_BYTES: usize = 8 << 20;
const MAX_DEPTH: usize = 100;
const MAX_NODES: usize = 400_000;

/// Why a text could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct YamlError {
    /// From 1; `None` where it is not known.
    pub line: Option<u64>,
    pub message: String,
}

impl fmt::Display for YamlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for YamlError {}

/// One document of a text.
#[derive(Debug, Clone)]
pub struct Document {
    pub value: Value,
    root: Node,
}

impl Document {
    /// The line of a field such as `spec.containers[0].image` or `metadata.annotations[a.b/c]`; where it is not there, of what
    /// is there of the way to it.
    pub fn line(&self, field: &str) -> u64 {
        let mut node = &self.root;
        let mut line = node.line;
        for step in steps(field) {
            let next = match (&node.kind, step) {
                (Kind::Map(entries), Step::Key(key)) => entries.iter().find(|(name, _)| name == key).map(|(_, node)| node),
                (Kind::List(items), Step::Index(index, _)) => items.get(index),
                (Kind::Map(entries), Step::Index(_, key)) => entries.iter().find(|(name, _)| name == key).map(|(_, node)| node),
                _ => None,
            };
            let Some(next) = next else { break };
            node = next;
            if node.line > 0 {
                line = node.line;
            }
        }
        line
    }
}

enum Step<'a> {
    Key(&'a str),
    Index(usize, &'a str),
}

/// `a.b[0]`, `metadata.labels[app.kubernetes.io/name]`.
fn steps(field: &str) -> Vec<Step<'_>> {
    let mut steps = Vec::new();
    let mut rest = field;
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('[') {
            let (key, after) = inner.split_once(']').unwrap_or((inner, ""));
            steps.push(key.parse().map_or(Step::Key(key), |index| Step::Index(index, key)));
            rest = after;
        } else {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            if end > 0 {
                steps.push(Step::Key(&rest[..end]));
            }
            rest = rest[end..].strip_prefix('.').unwrap_or(&rest[end..]);
        }
    }
    steps
}

#[derive(Debug, Clone)]
struct Node {
    line: u64,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    Scalar(Value),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Kind>::deserialize(deserializer)?;
        Ok(Self { line: spanned.referenced.line(), kind: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> de::Visitor<'de> for Any {
            type Value = Kind;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value that JSON can hold")
            }

            fn visit_bool<E>(self, value: bool) -> Result<Kind, E> {
                Ok(Kind::Scalar(Value::Bool(value)))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Kind, E> {
                Ok(Kind::Scalar(value.into()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Kind, E> {
                Ok(Kind::Scalar(value.into()))
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Kind, E> {
                let number = Number::from_f64(value).ok_or_else(|| E::custom("a number without a finite value"))?;
                Ok(Kind::Scalar(Value::Number(number)))
            }

            fn visit_str<E>(self, value: &str) -> Result<Kind, E> {
                Ok(Kind::Scalar(value.into()))
            }

            fn visit_unit<E>(self) -> Result<Kind, E> {
                Ok(Kind::Scalar(Value::Null))
            }

            fn visit_none<E>(self) -> Result<Kind, E> {
                Ok(Kind::Scalar(Value::Null))
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
                while let Some(entry) = access.next_entry::<String, Node>()? {
                    entries.push(entry);
                }
                Ok(Kind::Map(entries))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

impl Node {
    fn value(&self) -> Value {
        match &self.kind {
            Kind::Scalar(value) => value.clone(),
            Kind::List(items) => Value::Array(items.iter().map(Self::value).collect()),
            Kind::Map(entries) => Value::Object(entries.iter().map(|(key, node)| (key.clone(), node.value())).collect::<Map<_, _>>()),
        }
    }

    /// Takes over the truth of `yes`, `no`, `on` and `off` from a reading that knows them.
    fn adopt_words(&mut self, loose: &Self) {
        match (&mut self.kind, &loose.kind) {
            (Kind::Scalar(Value::String(text)), Kind::Scalar(Value::Bool(truth)))
                if !text.eq_ignore_ascii_case("y") && !text.eq_ignore_ascii_case("n") =>
            {
                self.kind = Kind::Scalar(Value::Bool(*truth));
            }
            (Kind::List(items), Kind::List(others)) => items.iter_mut().zip(others).for_each(|(a, b)| a.adopt_words(b)),
            (Kind::Map(items), Kind::Map(others)) => items.iter_mut().zip(others).for_each(|(a, b)| a.1.adopt_words(&b.1)),
            _ => {}
        }
    }
}

fn options(strict_booleans: bool) -> serde_saphyr::Options {
    let mut budget = Budget::default();
    budget.max_depth = MAX_DEPTH;
    budget.max_nodes = MAX_NODES;
    budget.max_events = 2 * MAX_NODES;
    budget.max_total_scalar_bytes = 2 * MAX_BYTES;
    let mut alias_limits = AliasLimits::default();
    alias_limits.max_total_replayed_events = MAX_NODES / 4;
    alias_limits.max_replay_stack_depth = 16;
    serde_saphyr::options! {
        budget: Some(budget),
        alias_limits: alias_limits,
        legacy_octal_numbers: true,
        strict_booleans: strict_booleans,
        with_snippet: false,
    }
}

/// Reads all documents of a text; empty ones are left out.
pub fn documents(text: &str) -> Result<Vec<Document>, YamlError> {
    if text.len() > MAX_BYTES {
        return Err(YamlError { line: None, message: format!("larger than {} MiB", MAX_BYTES >> 20) });
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let read = |strict: bool| serde_saphyr::from_multiple_with_options::<Node>(text, options(strict)).map_err(|error| explain(&error));
    let mut nodes = read(true)?;
    // Only a text with one of the words in it can read differently.
    let words = ["yes", "no", "on", "off"];
    let lower = text.to_ascii_lowercase();
    if words.iter().any(|word| lower.contains(word)) {
        let loose = read(false)?;
        nodes.iter_mut().zip(&loose).for_each(|(strict, loose)| strict.adopt_words(loose));
    }
    let documents = nodes.into_iter().map(|root| Document { value: root.value(), root });
    Ok(documents.filter(|document| !document.value.is_null()).collect())
}

/// Reads bytes that must be UTF-8.
pub fn documents_from_bytes(bytes: &[u8]) -> Result<Vec<Document>, YamlError> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let line = before.iter().filter(|b| **b == b'\n').count() as u64 + 1;
        YamlError { line: Some(line), message: "not UTF-8".to_owned() }
    })?;
    documents(text)
}

/// A JSON value as one document without lines, for those that were read elsewhere.
impl From<Value> for Document {
    fn from(value: Value) -> Self {
        Self { value, root: Node { line: 0, kind: Kind::Scalar(Value::Null) } }
    }
}

fn explain(error: &serde_saphyr::Error) -> YamlError {
    let line = error.location().map(|location| location.line()).filter(|line| *line > 0);
    let text = error.without_snippet().to_string();
    // The library puts its own position before or behind the message.
    let first = text.lines().next().unwrap_or_default().trim();
    let first = first.strip_prefix("error: ").unwrap_or(first);
    let message = match first.strip_prefix("line ").and_then(|rest| rest.split_once(": ")) {
        Some((_, message)) => message,
        None => first.rsplit_once(" at line ").map_or(first, |(message, _)| message),
    };
    YamlError { line, message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_as_kubectl_does() {
        let read = |text: &str| {
            let documents = documents(text).expect(text);
            documents.iter().map(|d| d.value.to_string()).collect::<Vec<_>>().join(" ")
        };
        for (text, want) in [
            ("a: yes\nb: 'yes'\nc: Off\nd: y\ne: n", r#"{"a":true,"b":"yes","c":false,"d":"y","e":"n"}"#),
            ("mode: 0644", r#"{"mode":420}"#),
            ("a: 1\n---\n# nothing\n---\nb: [~, 1.5, '']\n", r#"{"a":1} {"b":[null,1.5,""]}"#),
            ("{\"a\": {\"b\": [true, \"no\"]}}", r#"{"a":{"b":[true,"no"]}}"#),
            ("x: &x {k: v}\ny: *x", r#"{"x":{"k":"v"},"y":{"k":"v"}}"#),
            ("1: a", r#"{"1":"a"}"#),
            ("", ""),
        ] {
            assert_eq!(read(text), want, "{text}");
        }
    }

    #[test]
    fn knows_the_lines_of_fields() {
        let text = "---\n# first\nmetadata:\n  labels:\n    a.b/c: d\nspec:\n  list:\n  - x: 1\n  -\n    x: 2\n---\nother: 1\n";
        let documents = documents(text).expect("readable");
        let lines = ["metadata.labels[a.b/c]", "spec.list[0].x", "spec.list[1].x", "spec.list[7].x", "spec.nothing", ""];
        assert_eq!(lines.map(|field| documents[0].line(field)), [5, 8, 10, 8, 7, 3]);
        assert_eq!(documents[1].line("other"), 12);
    }

    #[test]
    fn bad_texts_are_refused_with_their_line() {
        let bomb = format!(
            "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n{}",
            (1..12).map(|n| format!("a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 10].join(","))).collect::<String>()
        );
        let deep = "[".repeat(100_000);
        let wide = format!("[{}]", "a,".repeat(500_000));
        for text in ["a: b: c", "a: [1", "a: 1\na: 2", "a: *nobody", &bomb, &deep, &wide, "a: .nan"] {
            let error = documents(text).err().map(|e| e.to_string());
            assert!(error.as_ref().is_some_and(|e| !e.is_empty()), "{:?}", &text[..text.len().min(40)]);
        }
        assert_eq!(documents("ok: 1\na: 1\na: 2").unwrap_err().line, Some(3));
        assert_eq!(documents_from_bytes(b"a: 1\nb: \xff").unwrap_err().to_string(), "line 2: not UTF-8");
        assert!(documents(&" ".repeat(MAX_BYTES + 1)).is_err());
    }
}
