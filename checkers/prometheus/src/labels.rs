//! Label sets and matchers.

use crate::{number::quote, regexp::Regexp};
use std::{fmt, sync::Arc};

pub const METRIC_NAME: &str = "__name__";

/// What a result loses when it no longer is the metric it was made of.
const METADATA: [&str; 3] = [METRIC_NAME, "__type__", "__unit__"];

/// Sorted by name, without empty values. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Labels(Arc<[(Arc<str>, Arc<str>)]>);

impl Labels {
    /// Of two pairs with the same name the last one counts.
    pub fn new<N: AsRef<str>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut all: Vec<(Arc<str>, Arc<str>)> = pairs.into_iter().map(|(n, v)| (n.as_ref().into(), v.as_ref().into())).collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        let mut unique: Vec<(Arc<str>, Arc<str>)> = Vec::with_capacity(all.len());
        for pair in all {
            if unique.last().is_some_and(|last| last.0 == pair.0) {
                unique.pop();
            }
            unique.push(pair);
        }
        unique.retain(|pair| !pair.1.is_empty());
        Self(unique.into())
    }

    /// Empty where the label is not set, as in PromQL.
    pub fn get(&self, name: &str) -> &str {
        self.0.iter().find(|pair| &*pair.0 == name).map_or("", |pair| &pair.1)
    }

    pub fn name(&self) -> &str {
        self.get(METRIC_NAME)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|pair| (&*pair.0, &*pair.1))
    }

    /// An empty value removes the label.
    #[must_use]
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut pairs: Vec<_> = self.0.iter().filter(|pair| &*pair.0 != name).cloned().collect();
        if !value.is_empty() {
            let at = pairs.partition_point(|pair| &*pair.0 < name);
            pairs.insert(at, (name.into(), value.into()));
        }
        Self(pairs.into())
    }

    #[must_use]
    pub fn filter(&self, keep: impl Fn(&str) -> bool) -> Self {
        if self.0.iter().all(|pair| keep(&pair.0)) {
            return self.clone();
        }
        Self(self.0.iter().filter(|pair| keep(&pair.0)).cloned().collect())
    }

    #[must_use]
    pub fn without(&self, names: &[String]) -> Self {
        self.filter(|name| !names.iter().any(|other| other == name))
    }

    #[must_use]
    pub fn only(&self, names: &[String]) -> Self {
        self.filter(|name| names.iter().any(|other| other == name))
    }

    /// Without the metric's name, and without the labels that hold its type and unit.
    #[must_use]
    pub fn without_metadata(&self) -> Self {
        self.filter(|name| !METADATA.contains(&name))
    }
}

/// `{__name__="up", job="a"}`.
impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (index, (name, value)) in self.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            if is_legacy_label_name(name) {
                write!(f, "{comma}{name}={}", quote(value))?;
            } else {
                write!(f, "{comma}{}={}", quote(name), quote(value))?;
            }
        }
        f.write_str("}")
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MatchOp {
    Equal,
    NotEqual,
    Regexp,
    NotRegexp,
}

#[derive(Debug, Clone)]
pub struct Matcher {
    pub op: MatchOp,
    pub name: String,
    pub value: String,
    regexp: Option<Regexp>,
}

impl Matcher {
    pub fn new(op: MatchOp, name: impl Into<String>, value: impl Into<String>) -> Result<Self, String> {
        let value = value.into();
        let regexp = match op {
            MatchOp::Equal | MatchOp::NotEqual => None,
            MatchOp::Regexp | MatchOp::NotRegexp => Some(Regexp::anchored(&value)?),
        };
        Ok(Self { op, name: name.into(), value, regexp })
    }

    pub fn equal(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { op: MatchOp::Equal, name: name.into(), value: value.into(), regexp: None }
    }

    pub fn matches(&self, value: &str) -> bool {
        match (self.op, &self.regexp) {
            (MatchOp::Equal, _) => value == self.value,
            (MatchOp::NotEqual, _) => value != self.value,
            (MatchOp::Regexp, Some(regexp)) => regexp.is_match(value),
            (MatchOp::NotRegexp, Some(regexp)) => !regexp.is_match(value),
            (_, None) => false,
        }
    }
}

/// A label's name as Prometheus before 3.0 knew it; others are written in quotes.
pub fn is_legacy_label_name(name: &str) -> bool {
    let mut letters = name.chars();
    letters.next().is_some_and(|c| c == '_' || c.is_ascii_alphabetic()) && letters.all(|c| c == '_' || c.is_ascii_alphanumeric())
}

/// Since 3.0 any UTF-8 that is not empty; what was none has become a replacement character.
pub fn is_label_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(char::REPLACEMENT_CHARACTER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_sets() {
        let labels = Labels::new([("job", "a"), ("__name__", "up"), ("empty", ""), ("job", "b"), ("a.b", "q\"")]);
        assert_eq!(labels.to_string(), r#"{__name__="up", "a.b"="q\"", job="b"}"#);
        assert_eq!(labels.without_metadata().with("job", "").to_string(), r#"{"a.b"="q\""}"#);
        assert_eq!((labels.get("job"), labels.get("none")), ("b", ""));
    }

    #[test]
    fn matchers() {
        for (op, value, text, want) in [
            (MatchOp::Equal, "a", "a", true),
            (MatchOp::NotEqual, "a", "", true),
            (MatchOp::Regexp, "a|b", "ab", false),
            (MatchOp::Regexp, "a.b", "a\nb", true),
            (MatchOp::NotRegexp, ".+", "", true),
        ] {
            assert_eq!(Matcher::new(op, "l", value).expect("valid").matches(text), want, "{op:?} {value} {text}");
        }
        assert!(Matcher::new(MatchOp::Regexp, "l", "(").is_err());
    }
}
