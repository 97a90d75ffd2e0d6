//! The subset of kubectl's JSONPath that printer columns use: `.a.b`, `.a['b.c']`, `.a\.b`, `[0]`, `[-1]`, `[*]`,
//! `[?(@.type=="Ready")]`.

use serde_json::Value;

#[derive(Debug, PartialEq)]
pub(super) struct Path(Vec<Step>);

#[derive(Debug, PartialEq)]
enum Step {
    Field(String),
    Index(i64),
    All,
    /// Keeps the elements whose value at this path compares so with the literal; without one, those that have the path.
    Filter(Vec<String>, Option<(Comparison, Value)>),
}

#[derive(Debug, PartialEq, Clone, Copy)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Path {
    /// `None` where the path is not one that we read: the column then stays empty, as the API server leaves it.
    pub fn parse(text: &str) -> Option<Self> {
        let mut steps = Vec::new();
        let mut rest = text.strip_prefix('$').unwrap_or(text);
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('[') {
                let (inside, after) = bracket(after)?;
                steps.push(Self::subscript(inside)?);
                rest = after;
            } else {
                let after = rest.strip_prefix('.').unwrap_or(rest);
                let (field, after) = identifier(after);
                match field.as_str() {
                    "" if after.starts_with('[') => {}
                    "" => return after.is_empty().then_some(Self(steps)),
                    "*" => steps.push(Step::All),
                    _ => steps.push(Step::Field(field)),
                }
                rest = after;
            }
        }
        Some(Self(steps))
    }

    fn subscript(inside: &str) -> Option<Step> {
        let inside = inside.trim();
        if inside == "*" {
            return Some(Step::All);
        }
        if let Some(filter) = inside.strip_prefix("?(").and_then(|s| s.strip_suffix(')')) {
            return Self::filter(filter);
        }
        match unquote(inside) {
            Some(name) => Some(Step::Field(name)),
            None => inside.parse().ok().map(Step::Index),
        }
    }

    fn filter(text: &str) -> Option<Step> {
        let signs = [
            ("==", Comparison::Equal),
            ("!=", Comparison::NotEqual),
            ("<=", Comparison::LessOrEqual),
            (">=", Comparison::GreaterOrEqual),
            ("<", Comparison::Less),
            (">", Comparison::Greater),
        ];
        let found = signs.iter().filter_map(|(sign, comparison)| text.find(sign).map(|at| (at, *sign, *comparison))).min_by_key(|f| f.0);
        let (left, literal) = match found {
            Some((at, sign, comparison)) => {
                let right = text[at + sign.len()..].trim();
                let literal = unquote(right).map(Value::String).or_else(|| serde_json::from_str(right).ok())?;
                (&text[..at], Some((comparison, literal)))
            }
            None => (text, None),
        };
        let path = Self::parse(left.trim().strip_prefix('@')?)?;
        let fields = path.0.into_iter().map(|step| if let Step::Field(name) = step { Some(name) } else { None }).collect::<Option<_>>()?;
        Some(Step::Filter(fields, literal))
    }

    /// The first value that the path finds.
    pub fn first<'a>(&self, object: &'a Value) -> Option<&'a Value> {
        let mut found = vec![object];
        for step in &self.0 {
            found = found.into_iter().flat_map(|value| step.apply(value)).collect();
        }
        found.into_iter().next()
    }
}

impl Step {
    fn apply<'a>(&self, value: &'a Value) -> Vec<&'a Value> {
        match self {
            Self::Field(name) => value.get(name).into_iter().collect(),
            Self::All => match value {
                Value::Array(list) => list.iter().collect(),
                Value::Object(map) => map.values().collect(),
                _ => Vec::new(),
            },
            Self::Index(index) => {
                let Some(list) = value.as_array() else { return Vec::new() };
                let length = i64::try_from(list.len()).unwrap_or(i64::MAX);
                let index = if *index < 0 { length + *index } else { *index };
                usize::try_from(index).ok().and_then(|i| list.get(i)).into_iter().collect()
            }
            Self::Filter(fields, literal) => {
                value.as_array().into_iter().flatten().filter(|v| keeps(v, fields, literal.as_ref())).collect()
            }
        }
    }
}

fn keeps(value: &Value, fields: &[String], literal: Option<&(Comparison, Value)>) -> bool {
    let Some(found) = fields.iter().try_fold(value, |value, field| value.get(field)) else { return false };
    let Some((comparison, literal)) = literal else { return true };
    let order = match (found, literal) {
        (Value::Number(a), Value::Number(b)) => a.as_f64().partial_cmp(&b.as_f64()),
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (a, b) if a == b => Some(std::cmp::Ordering::Equal),
        _ => None,
    };
    match comparison {
        Comparison::Equal => order.is_some_and(std::cmp::Ordering::is_eq),
        Comparison::NotEqual => !order.is_some_and(std::cmp::Ordering::is_eq),
        Comparison::Less => order.is_some_and(std::cmp::Ordering::is_lt),
        Comparison::LessOrEqual => order.is_some_and(std::cmp::Ordering::is_le),
        Comparison::Greater => order.is_some_and(std::cmp::Ordering::is_gt),
        Comparison::GreaterOrEqual => order.is_some_and(std::cmp::Ordering::is_ge),
    }
}

/// What stands in the bracket that has just opened, and what follows it. Quotes hide brackets.
fn bracket(text: &str) -> Option<(&str, &str)> {
    let mut quote = None;
    for (at, character) in text.char_indices() {
        match (quote, character) {
            (None, '\'' | '"') => quote = Some(character),
            (Some(open), _) if open == character => quote = None,
            (None, ']') => return Some((&text[..at], &text[at + 1..])),
            _ => {}
        }
    }
    None
}

fn identifier(text: &str) -> (String, &str) {
    let mut name = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '.' | '[' => return (name, &text[at..]),
            '\\' => name.extend(characters.next().map(|(_, escaped)| escaped)),
            _ => name.push(character),
        }
    }
    (name, "")
}

fn unquote(text: &str) -> Option<String> {
    let quote = text.chars().next().filter(|c| *c == '\'' || *c == '"')?;
    let inside = text.strip_prefix(quote)?.strip_suffix(quote)?;
    Some(inside.replace("\\.", "."))
}
