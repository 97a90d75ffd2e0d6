//! The right side of a comparison, ready to be held against one value.

use super::{
    Extract,
    glob::{Glob, Paths},
    literal::{self, Literal},
    regex as expressions,
};
use crate::{
    event::{Event, Value},
    fields::Kind,
    syntax::{Modifier, Operator},
};
use ::regex::Regex;
use ipnet::IpNet;
use memchr::memmem::Finder;
use rustc_hash::FxHashSet;
use std::cmp::Ordering;

#[derive(Debug, Clone)]
pub enum Test {
    Exists,
    /// Nothing is in an empty list.
    Never,
    Text {
        equal: bool,
        value: Box<str>,
    },
    TextIn(Texts),
    Contains(Box<Finder<'static>>),
    IContains(Box<str>),
    StartsWith(Box<[u8]>),
    EndsWith(Box<[u8]>),
    Glob(Glob),
    Regex(Box<Regex>),
    Paths(Paths),
    /// Text, numbers and doubles by order.
    Order(Operator, Value),
    Equal {
        equal: bool,
        value: Value,
    },
    In(Vec<Value>),
    Network {
        equal: bool,
        network: IpNet,
    },
    InNetwork(Vec<IpNet>),
    Modified(Modifier, Vec<Test>),
    /// The other side is a field too.
    Field(Operator, Option<Modifier>, Extract),
}

/// A set of texts.
#[derive(Debug, Clone)]
pub struct Texts {
    /// A bit for each length modulo 64: most texts are told by it alone.
    lengths: u64,
    texts: FxHashSet<Box<str>>,
}

impl Texts {
    fn new(texts: &[&str]) -> Self {
        let lengths = texts.iter().fold(0, |lengths, text| lengths | length_bit(text));
        Self { lengths, texts: texts.iter().map(|text| Box::from(*text)).collect() }
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        self.texts.iter().map(AsRef::as_ref)
    }

    fn contains(&self, text: &str) -> bool {
        self.lengths & length_bit(text) != 0 && self.texts.contains(text)
    }
}

fn length_bit(text: &str) -> u64 {
    1 << (text.len() % 64)
}

impl Test {
    /// A comparison with constants. The operator suits the kind.
    pub fn new(kind: Kind, operator: Operator, modifier: Option<Modifier>, values: &[&str]) -> Result<Self, String> {
        if let Some(modifier) = modifier {
            let tests = values.iter().map(|value| Self::one(kind, operator, value)).collect::<Result<Vec<_>, _>>()?;
            return Ok(if tests.is_empty() { Self::Never } else { Self::Modified(modifier, tests) });
        }
        match operator {
            Operator::In | Operator::Intersects => Self::membership(kind, values),
            Operator::PMatch => Ok(Self::Paths(Paths::new(values.iter().copied()))),
            _ => values.first().map_or(Ok(Self::Exists), |value| Self::one(kind, operator, value)),
        }
    }

    fn membership(kind: Kind, values: &[&str]) -> Result<Self, String> {
        if kind.is_text() {
            return Ok(Self::TextIn(Texts::new(values)));
        }
        let (mut plain, mut networks) = (Vec::new(), Vec::new());
        for value in values {
            match literal::parse(kind, value)? {
                Literal::Value(value) => plain.push(value),
                Literal::Network(network) => networks.push(network),
            }
        }
        Ok(match (plain.is_empty(), networks.is_empty()) {
            (true, true) => Self::Never,
            (true, false) => Self::InNetwork(networks),
            (false, _) => Self::In(plain),
        })
    }

    fn one(kind: Kind, operator: Operator, text: &str) -> Result<Self, String> {
        use Operator as O;
        let equal = operator != O::NotEqual;
        Ok(match operator {
            O::BContains | O::BStartsWith => {
                let bytes = literal::unhex(text).ok_or("filter error: bcontains and bstartswith operator support hex strings only")?;
                if operator == O::BContains { Self::Contains(Box::new(Finder::new(&bytes).into_owned())) } else { Self::StartsWith(bytes) }
            }
            O::Contains => Self::Contains(Box::new(Finder::new(text.as_bytes()).into_owned())),
            O::IContains => Self::IContains(text.to_ascii_lowercase().into()),
            O::StartsWith => Self::StartsWith(text.as_bytes().into()),
            O::EndsWith => Self::EndsWith(text.as_bytes().into()),
            O::Glob | O::IGlob => Self::Glob(Glob::new(text, operator == O::IGlob)),
            O::Regex => Self::Regex(Box::new(expressions::compile(text)?)),
            O::Equal | O::NotEqual if kind.is_text() => Self::Text { equal, value: text.into() },
            O::Equal | O::NotEqual => match literal::parse(kind, text)? {
                Literal::Value(value) => Self::Equal { equal, value },
                Literal::Network(network) => Self::Network { equal, network },
            },
            O::Less | O::LessOrEqual | O::Greater | O::GreaterOrEqual => match literal::parse(kind, text)? {
                Literal::Value(value) => Self::Order(operator, value),
                Literal::Network(_) => Self::Never,
            },
            O::Exists | O::In | O::Intersects | O::PMatch => Self::Exists,
        })
    }

    /// Whether one value, which is there, passes.
    pub fn holds(&self, value: &Value, event: &Event) -> bool {
        match (self, value) {
            (_, Value::Absent) | (Self::Never, _) => false,
            (Self::Exists, _) => true,
            (Self::Text { equal, value: wanted }, Value::Text(text)) => (text == wanted) == *equal,
            (Self::TextIn(wanted), Value::Text(text)) => wanted.contains(text),
            (Self::Contains(finder), _) => bytes(value).is_some_and(|bytes| finder.find(bytes).is_some()),
            (Self::IContains(wanted), Value::Text(text)) => contains_ignoring_case(text.as_bytes(), wanted.as_bytes()),
            (Self::StartsWith(wanted), _) => bytes(value).is_some_and(|bytes| bytes.starts_with(wanted)),
            (Self::EndsWith(wanted), _) => bytes(value).is_some_and(|bytes| bytes.ends_with(wanted)),
            (Self::Glob(glob), Value::Text(text)) => glob.matches(text),
            (Self::Regex(regex), Value::Text(text)) => regex.is_match(text),
            (Self::Paths(paths), Value::Text(text)) => paths.matches(text),
            (Self::Order(operator, wanted), _) => order(value, wanted).is_some_and(|order| ordered(*operator, order)),
            (Self::Equal { equal, value: wanted }, _) => (value == wanted) == *equal,
            (Self::In(wanted), _) => wanted.contains(value),
            (Self::Network { equal, network }, Value::Address(address)) => network.contains(address) == *equal,
            (Self::InNetwork(networks), Value::Address(address)) => networks.iter().any(|network| network.contains(address)),
            (Self::Modified(modifier, tests), _) => {
                counted(*modifier, tests.len(), tests.iter().filter(|test| test.holds(value, event)).count())
            }
            (Self::Field(operator, modifier, other), _) => other.with(event, |other| against(*operator, *modifier, value, other)),
            _ => false,
        }
    }

    /// A guess at what it costs, in comparisons of a short text.
    pub fn cost(&self) -> u32 {
        match self {
            Self::Never | Self::Exists | Self::Equal { .. } | Self::Order(..) | Self::Text { .. } => 2,
            Self::StartsWith(_) | Self::EndsWith(_) | Self::Network { .. } => 3,
            Self::TextIn(_) => 6,
            Self::In(values) => 2 + u32::try_from(values.len()).unwrap_or(u32::MAX / 2),
            Self::InNetwork(networks) => 2 + u32::try_from(networks.len()).unwrap_or(u32::MAX / 2),
            Self::Contains(_) | Self::IContains(_) | Self::Field(..) => 10,
            Self::Glob(_) | Self::Paths(_) => 12,
            Self::Regex(_) => 40,
            Self::Modified(_, tests) => tests.iter().fold(2, |sum: u32, test| sum.saturating_add(test.cost())),
        }
    }
}

fn counted(modifier: Modifier, of: usize, holding: usize) -> bool {
    match modifier {
        Modifier::OneOf => holding == 1,
        Modifier::AnyOf => holding > 0,
        Modifier::AllOf => of > 0 && holding == of,
    }
}

pub fn bytes(value: &Value) -> Option<&[u8]> {
    match value {
        Value::Text(text) => Some(text.as_bytes()),
        Value::Bytes(bytes) => Some(bytes),
        _ => None,
    }
}

fn contains_ignoring_case(text: &[u8], lower: &[u8]) -> bool {
    lower.is_empty() || text.windows(lower.len()).any(|window| window.eq_ignore_ascii_case(lower))
}

fn order(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => Some(left.cmp(right)),
        (Value::Double(left), Value::Double(right)) => left.partial_cmp(right),
        (Value::Text(left), Value::Text(right)) => Some(left.as_bytes().cmp(right.as_bytes())),
        _ => None,
    }
}

fn ordered(operator: Operator, order: Ordering) -> bool {
    match operator {
        Operator::Less => order.is_lt(),
        Operator::LessOrEqual => order.is_le(),
        Operator::Greater => order.is_gt(),
        Operator::GreaterOrEqual => order.is_ge(),
        _ => false,
    }
}

/// Field against field: one value on the left, any number on the right.
fn against(operator: Operator, modifier: Option<Modifier>, left: &Value, right: &Value) -> bool {
    let one = |right: &Value| match operator {
        Operator::NotEqual => left != right,
        Operator::Equal | Operator::In | Operator::Intersects => left == right,
        Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual => {
            order(left, right).is_some_and(|order| ordered(operator, order))
        }
        _ => match (bytes(left), bytes(right)) {
            (Some(left), Some(right)) => match operator {
                Operator::Contains | Operator::BContains => memchr::memmem::find(left, right).is_some(),
                Operator::IContains => contains_ignoring_case(left, &right.to_ascii_lowercase()),
                Operator::StartsWith | Operator::BStartsWith => left.starts_with(right),
                Operator::EndsWith => left.ends_with(right),
                Operator::Glob | Operator::IGlob => {
                    let ignore_case = operator == Operator::IGlob;
                    Glob::new(&String::from_utf8_lossy(right), ignore_case).matches(&String::from_utf8_lossy(left))
                }
                _ => false,
            },
            _ => false,
        },
    };
    match (right, modifier) {
        (Value::Absent, _) => false,
        (Value::Many(values), None) => values.iter().any(one),
        (Value::Many(values), Some(modifier)) => counted(modifier, values.len(), values.iter().filter(|value| one(value)).count()),
        (value, _) => one(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    const NO_EVENT: fn() -> Event = || Event { values: Box::default(), event_type: 0 };

    #[test]
    fn families_of_addresses_differ() {
        let v4 = Value::Address(IpAddr::from([10, 0, 0, 1]));
        let table = [
            (Kind::Ipaddr, Operator::NotEqual, "::1", true),
            (Kind::Ipaddr, Operator::Equal, "::1", false),
            (Kind::Ipnet, Operator::NotEqual, "2001::/16", true),
            (Kind::Ipnet, Operator::Equal, "10.9.9.9/8", true),
        ];
        for (kind, operator, text, expected) in table {
            let test = Test::new(kind, operator, None, &[text]).expect("a constant");
            assert_eq!(test.holds(&v4, &NO_EVENT()), expected, "{} {text}", operator.as_str());
        }
    }

    #[test]
    fn modifiers_count() {
        let name = Value::Text("myexe".into());
        let table: [(Operator, Modifier, &[&str], bool); 8] = [
            (Operator::Equal, Modifier::OneOf, &["myexe", "bash"], true),
            (Operator::Equal, Modifier::OneOf, &["myexe", "myexe"], false),
            (Operator::NotEqual, Modifier::OneOf, &["myexe", "bash"], true),
            (Operator::NotEqual, Modifier::AnyOf, &["myexe", "bash"], true),
            (Operator::NotEqual, Modifier::AllOf, &["myexe", "bash"], false),
            (Operator::StartsWith, Modifier::AllOf, &["my", "mye"], true),
            (Operator::NotEqual, Modifier::AllOf, &[], false),
            (Operator::IContains, Modifier::AnyOf, &["YEX"], true),
        ];
        for (operator, modifier, values, expected) in table {
            let test = Test::new(Kind::Charbuf, operator, Some(modifier), values).expect("constants");
            assert_eq!(test.holds(&name, &NO_EVENT()), expected, "{} {} {values:?}", operator.as_str(), modifier.as_str());
        }
    }
}
