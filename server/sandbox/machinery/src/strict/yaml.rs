//! YAML as the API server reads it: turned into what JSON can hold, with repeated keys reported by line. Depth, size and what
//! aliases unfold to are bounded.

use super::{json::MAX_DEPTH, node::Node};
use serde::{Deserialize, Deserializer, de};
use serde_saphyr::{
    Spanned,
    budget::Budget,
    options::{AliasLimits, DuplicateKeyPolicy},
};
use std::{cell::RefCell, collections::HashMap, fmt};

const MAX_NODES: usize = 400_000;
const MAX_SCALAR_BYTES: usize = 16 << 20;

thread_local! {
    /// Repeated keys of the document that this thread reads now: a `Deserialize` has no other way to its caller.
    static REPEATED: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

fn options(strict_booleans: bool) -> serde_saphyr::Options {
    let mut budget = Budget::default();
    // Its reader takes up to 20 KiB of stack for a level, and a thread has 2 MiB.
    budget.max_depth = MAX_DEPTH.min(64);
    budget.max_nodes = MAX_NODES;
    budget.max_events = 2 * MAX_NODES;
    budget.max_total_scalar_bytes = MAX_SCALAR_BYTES;
    let mut alias_limits = AliasLimits::default();
    alias_limits.max_total_replayed_events = MAX_NODES / 4;
    alias_limits.max_replay_stack_depth = 16;
    serde_saphyr::options! {
        budget: Some(budget),
        alias_limits: alias_limits,
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        legacy_octal_numbers: true,
        strict_booleans: strict_booleans,
        with_snippet: false,
    }
}

/// The document and what `line 4: key "a" already set in map` says of it.
pub(super) fn parse(body: &[u8]) -> Result<(Node, Vec<String>), String> {
    let text = std::str::from_utf8(body).map_err(|_| "yaml: invalid leading UTF-8 octet".to_owned())?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.lines().all(|line| line.trim().is_empty() || line.starts_with('#') || line == "---") {
        return Ok((Node::Null, Vec::new()));
    }
    let read = |strict: bool| {
        REPEATED.with_borrow_mut(Vec::clear);
        serde_saphyr::from_str_with_options::<Node>(text, options(strict)).map_err(|error| explain(&error))
    };
    let mut node = read(true)?;
    let repeated = REPEATED.take();
    // of YAML 1.1's words for true and false Kubernetes knows yes, no, on and off; only a text with one of them reads differently
    let lower = text.to_ascii_lowercase();
    if ["yes", "no", "on", "off"].iter().any(|word| lower.contains(word)) {
        let loose = read(false)?;
        REPEATED.with_borrow_mut(Vec::clear);
        adopt_words(&mut node, &loose);
    }
    Ok((node, repeated))
}

fn adopt_words(node: &mut Node, loose: &Node) {
    match (&mut *node, loose) {
        (Node::Text(text), Node::Bool(truth)) if !text.eq_ignore_ascii_case("y") && !text.eq_ignore_ascii_case("n") => {
            *node = Node::Bool(*truth);
        }
        (Node::List(items), Node::List(others)) => items.iter_mut().zip(others).for_each(|(a, b)| adopt_words(a, b)),
        (Node::Object(items), Node::Object(others)) => items.iter_mut().zip(others).for_each(|(a, b)| adopt_words(&mut a.1, &b.1)),
        _ => {}
    }
}

/// `yaml: line 3: what is wrong`, as far as this parser's words go.
fn explain(error: &serde_saphyr::Error) -> String {
    let line = error.location().map(|location| location.line()).filter(|line| *line > 1);
    let text = error.without_snippet().to_string();
    let first = text.lines().next().unwrap_or_default().trim();
    let first = first.strip_prefix("error: ").unwrap_or(first);
    let message = match first.strip_prefix("line ").and_then(|rest| rest.split_once(": ")) {
        Some((_, message)) => message,
        None => first.rsplit_once(" at line ").map_or(first, |(message, _)| message),
    };
    match line {
        Some(line) => format!("yaml: line {line}: {message}"),
        None => format!("yaml: {message}"),
    }
}

/// A key, which JSON knows as text only.
struct Key(String);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(match Node::deserialize(deserializer)? {
            Node::Text(text) | Node::Number(text) => text,
            Node::Bool(yes) => yes.to_string(),
            Node::Null => "null".to_owned(),
            Node::List(_) | Node::Object(_) => return Err(de::Error::custom("a key must be a scalar")),
        }))
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> de::Visitor<'de> for Any {
            type Value = Node;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value that JSON can hold")
            }

            fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
                Ok(Node::Bool(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
                Ok(Node::Number(value.to_string()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
                Ok(Node::Number(value.to_string()))
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Node, E> {
                if !value.is_finite() {
                    return Err(E::custom("a number without a finite value"));
                }
                // a float with a whole value is an integer to JSON: 1e3 is 1000
                Ok(Node::Number(value.to_string()))
            }

            fn visit_str<E>(self, value: &str) -> Result<Node, E> {
                Ok(Node::Text(value.to_owned()))
            }

            fn visit_unit<E>(self) -> Result<Node, E> {
                Ok(Node::Null)
            }

            fn visit_none<E>(self) -> Result<Node, E> {
                Ok(Node::Null)
            }

            fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
                deserializer.deserialize_any(Self)
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = access.next_element()? {
                    items.push(item);
                }
                Ok(Node::List(items))
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
                let mut entries: Vec<(String, Node)> = Vec::new();
                let mut places: HashMap<String, usize> = HashMap::new();
                while let Some((key, node)) = access.next_entry::<Spanned<Key>, Node>()? {
                    let line = key.referenced.line();
                    let name = key.value.0;
                    // a repeated key is reported here; what counts is the last
                    if let Some(place) = places.get(&name) {
                        REPEATED.with_borrow_mut(|lines| lines.push(format!("line {line}: key {name:?} already set in map")));
                        if let Some(entry) = entries.get_mut(*place) {
                            entry.1 = node;
                        }
                    } else {
                        places.insert(name.clone(), entries.len());
                        entries.push((name, node));
                    }
                }
                Ok(Node::Object(entries))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_as_the_api_server_does() {
        for (text, expected) in [
            ("a: yes\nb: 'yes'\nc: Off\nd: y", r#"{"a":true,"b":"yes","c":false,"d":"y"}"#),
            ("mode: 0644\nn: 5", r#"{"mode":420,"n":5}"#),
            ("b: [~, 1.5, '', \"x\"]", r#"{"b":[null,1.5,"","x"]}"#),
            ("x: &x {k: v}\ny: *x", r#"{"x":{"k":"v"},"y":{"k":"v"}}"#),
            ("1: a\ntrue: b", r#"{"1":"a","true":"b"}"#),
            ("a: |\n  two\n  lines\n", r#"{"a":"two\nlines\n"}"#),
            ("# nothing\n\n", "null"),
            ("a: 1.0\nb: 1e3", r#"{"a":1,"b":1000}"#),
        ] {
            let (node, repeated) = parse(text.as_bytes()).expect(text);
            assert_eq!(node.to_value().to_string(), expected, "{text}");
            assert!(repeated.is_empty(), "{text}");
        }
    }

    #[test]
    fn repeated_keys_are_reported_with_their_line() {
        let (node, repeated) = parse(b"a: 1\nb: {c: 1, c: 2}\na: 3\n").expect("read");
        assert_eq!(node.to_value().to_string(), r#"{"a":3,"b":{"c":2}}"#);
        assert_eq!(repeated, ["line 2: key \"c\" already set in map", "line 3: key \"a\" already set in map"]);
    }

    #[test]
    fn bad_texts_cost_little() {
        let bomb = format!(
            "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n{}",
            (1..12).map(|n| format!("a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 10].join(","))).collect::<String>()
        );
        let deep = "[".repeat(100_000);
        for text in ["a: b: c", "a: [1", "a: *nobody", &bomb, &deep, "a: .nan", "? [a]\n: b", "a: 1\n---\nb: 2"] {
            let error = parse(text.as_bytes()).expect_err(&text[..text.len().min(40)]);
            assert!(error.starts_with("yaml: "), "{error}");
        }
        assert!(parse(b"a: \xff").is_err());
    }
}
