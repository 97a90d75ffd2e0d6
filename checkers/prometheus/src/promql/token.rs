//! Tokens, and how errors name them.

use crate::number::quote;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    Atan2,
    Equal,
    NotEqual,
    Greater,
    Less,
    GreaterEqual,
    LessEqual,
    And,
    Or,
    Unless,
}

impl Operator {
    pub fn is_comparison(self) -> bool {
        matches!(self, Self::Equal | Self::NotEqual | Self::Greater | Self::Less | Self::GreaterEqual | Self::LessEqual)
    }

    pub fn is_set(self) -> bool {
        matches!(self, Self::And | Self::Or | Self::Unless)
    }

    pub fn text(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Sub => "-",
            Self::Mul => "*",
            Self::Div => "/",
            Self::Mod => "%",
            Self::Pow => "^",
            Self::Atan2 => "atan2",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Greater => ">",
            Self::Less => "<",
            Self::GreaterEqual => ">=",
            Self::LessEqual => "<=",
            Self::And => "and",
            Self::Or => "or",
            Self::Unless => "unless",
        }
    }

    /// Higher binds tighter.
    pub(super) fn precedence(self) -> u8 {
        match self {
            Self::Or => 1,
            Self::And | Self::Unless => 2,
            comparison if comparison.is_comparison() => 3,
            Self::Add | Self::Sub => 4,
            Self::Pow => 6,
            _ => 5,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aggregator {
    Avg,
    Bottomk,
    Count,
    CountValues,
    Group,
    LimitRatio,
    Limitk,
    Max,
    Min,
    Quantile,
    Stddev,
    Stdvar,
    Sum,
    Topk,
}

impl Aggregator {
    pub fn text(self) -> &'static str {
        match self {
            Self::Avg => "avg",
            Self::Bottomk => "bottomk",
            Self::Count => "count",
            Self::CountValues => "count_values",
            Self::Group => "group",
            Self::LimitRatio => "limit_ratio",
            Self::Limitk => "limitk",
            Self::Max => "max",
            Self::Min => "min",
            Self::Quantile => "quantile",
            Self::Stddev => "stddev",
            Self::Stdvar => "stdvar",
            Self::Sum => "sum",
            Self::Topk => "topk",
        }
    }

    pub fn has_param(self) -> bool {
        matches!(self, Self::Topk | Self::Bottomk | Self::CountValues | Self::Quantile | Self::Limitk | Self::LimitRatio)
    }

    pub fn is_experimental(self) -> bool {
        matches!(self, Self::Limitk | Self::LimitRatio)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keyword {
    Bool,
    By,
    GroupLeft,
    GroupRight,
    Ignoring,
    Offset,
    On,
    Without,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tok {
    Eof,
    /// The token's text is the message.
    Error,
    Identifier,
    /// With a colon in it.
    MetricIdentifier,
    String,
    Number,
    Duration,
    Operator(Operator),
    Aggregator(Aggregator),
    Keyword(Keyword),
    Start,
    End,
    At,
    /// `=`
    Assign,
    /// `=~`
    MatchRegexp,
    /// `!~`
    NotMatchRegexp,
    LeftParen,
    RightParen,
    LeftBrace,
    RightBrace,
    LeftBracket,
    RightBracket,
    Comma,
    Colon,
    // Of series notation only.
    Space,
    Blank,
    Times,
    OpenHistogram,
    CloseHistogram,
    HistogramKey,
    ResetHint,
}

#[derive(Debug, Clone)]
pub struct Token {
    pub kind: Tok,
    pub start: usize,
    pub text: String,
}

impl Token {
    pub fn end(&self) -> usize {
        self.start + self.text.len()
    }

    /// `identifier "foo"`, `<op:+>`, `end of input`.
    pub fn describe(&self) -> String {
        match self.kind {
            Tok::Eof => "end of input".to_owned(),
            Tok::Identifier => format!("identifier {}", quote(&self.text)),
            Tok::MetricIdentifier => format!("metric identifier {}", quote(&self.text)),
            Tok::String => format!("string {}", self.quoted()),
            Tok::Number => format!("number {}", self.quoted()),
            Tok::Duration => format!("duration {}", self.quoted()),
            Tok::Keyword(_) => format!("<{}>", self.text),
            Tok::Operator(_) | Tok::At | Tok::MatchRegexp | Tok::NotMatchRegexp => format!("<op:{}>", self.text),
            Tok::Aggregator(_) => format!("<aggr:{}>", self.text),
            _ => self.quoted(),
        }
    }

    fn quoted(&self) -> String {
        if self.text.len() <= 10 {
            return quote(&self.text);
        }
        format!("{}...", quote(&self.text.chars().take(10).collect::<String>()))
    }

    /// What may stand where a metric's name is expected.
    pub fn is_metric_name(&self) -> bool {
        match self.kind {
            Tok::Identifier | Tok::MetricIdentifier | Tok::Aggregator(_) | Tok::Start | Tok::End => true,
            Tok::Keyword(keyword) => matches!(keyword, Keyword::By | Keyword::Offset | Keyword::Without),
            Tok::Operator(operator) => operator.is_set(),
            _ => false,
        }
    }

    /// What may stand where a label's name is expected inside `by (…)`.
    pub fn is_label_name(&self) -> bool {
        match self.kind {
            Tok::Identifier | Tok::MetricIdentifier | Tok::Aggregator(_) | Tok::Start | Tok::End | Tok::Keyword(_) => true,
            Tok::Operator(operator) => operator.is_set() || operator == Operator::Atan2,
            _ => false,
        }
    }
}

/// A word's meaning outside braces, whatever its case.
pub fn keyword(word: &str) -> Option<Tok> {
    use {Aggregator as A, Keyword as K, Operator as O};
    Some(match word.to_ascii_lowercase().as_str() {
        "and" => Tok::Operator(O::And),
        "or" => Tok::Operator(O::Or),
        "unless" => Tok::Operator(O::Unless),
        "atan2" => Tok::Operator(O::Atan2),
        "sum" => Tok::Aggregator(A::Sum),
        "avg" => Tok::Aggregator(A::Avg),
        "count" => Tok::Aggregator(A::Count),
        "min" => Tok::Aggregator(A::Min),
        "max" => Tok::Aggregator(A::Max),
        "group" => Tok::Aggregator(A::Group),
        "stddev" => Tok::Aggregator(A::Stddev),
        "stdvar" => Tok::Aggregator(A::Stdvar),
        "topk" => Tok::Aggregator(A::Topk),
        "bottomk" => Tok::Aggregator(A::Bottomk),
        "count_values" => Tok::Aggregator(A::CountValues),
        "quantile" => Tok::Aggregator(A::Quantile),
        "limitk" => Tok::Aggregator(A::Limitk),
        "limit_ratio" => Tok::Aggregator(A::LimitRatio),
        "offset" => Tok::Keyword(K::Offset),
        "by" => Tok::Keyword(K::By),
        "without" => Tok::Keyword(K::Without),
        "on" => Tok::Keyword(K::On),
        "ignoring" => Tok::Keyword(K::Ignoring),
        "group_left" => Tok::Keyword(K::GroupLeft),
        "group_right" => Tok::Keyword(K::GroupRight),
        "bool" => Tok::Keyword(K::Bool),
        "start" => Tok::Start,
        "end" => Tok::End,
        "inf" | "nan" => Tok::Number,
        _ => return None,
    })
}
