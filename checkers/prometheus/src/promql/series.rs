//! promtool's notation of series: `up{job="a"} 0+1x3 _ stale {{schema:0 count:1 buckets:[1]}}`.

use super::{
    lexer::{Lexer, State, is_alpha, is_space},
    parser::{ParseError, ParseOptions, Parsed, Parser, Stop},
    token::{Operator, Tok, keyword},
};
use crate::{
    engine::Value,
    histogram::{CUSTOM, EXPONENTIAL, Histogram, ResetHint},
    labels::{Labels, METRIC_NAME},
    number::{quote, quote_char, stale},
};
use std::{collections::BTreeMap, sync::Arc};

/// How many values one line may stand for.
pub const MAX_VALUES: usize = 200_000;

/// One value of a series; `None` is a gap.
pub type SequenceValue = Option<Value>;

/// Labels and values of one line.
pub fn parse_series(input: &str) -> Result<(Labels, Vec<SequenceValue>), ParseError> {
    let mut lexer = Lexer::new(input, true);
    while lexer.step() {}
    let mut parser = Parser::new(input, ParseOptions::default(), lexer.tokens);
    let labels = parser.metric();
    let labels = parser.explain(labels, "", "");
    let series = labels.and_then(|labels| {
        let values = parser.values();
        parser.explain(values, "series values", "").map(|values| (labels, values))
    });
    match series {
        Ok(series) if parser.errors.is_empty() => Ok(series),
        _ => Err(parser.first_error()),
    }
}

impl Lexer<'_> {
    pub(super) fn series_step(&mut self) -> bool {
        self.begin();
        let Some(letter) = self.next() else {
            return match self.state {
                State::Values => self.finish(),
                _ => self.fail(format!("histogram description incomplete unexpected: {}", quote_char(char::REPLACEMENT_CHARACTER))),
            };
        };
        if is_space(letter) {
            self.emit(Tok::Space);
            self.eat_all(is_space);
            return true;
        }
        match self.state {
            State::Values => self.value(letter),
            State::Buckets => self.bucket(letter),
            _ => self.histogram(letter),
        }
    }

    fn value(&mut self, letter: char) -> bool {
        match letter {
            '{' if self.eat(|c| c == '{') => {
                self.state = State::Histogram;
                self.emit(Tok::OpenHistogram)
            }
            '+' => self.emit(Tok::Operator(Operator::Add)),
            '-' => self.emit(Tok::Operator(Operator::Sub)),
            'x' => self.emit(Tok::Times),
            '_' => self.emit(Tok::Blank),
            digit if digit.is_ascii_digit() || digit == '.' && self.peek().is_some_and(|c| c.is_ascii_digit()) => self.number_from(letter),
            alpha if is_alpha(alpha) => self.keyword_or_identifier(),
            other => self.fail(format!("unexpected character in series sequence: {}", quote_char(other))),
        }
    }

    fn histogram(&mut self, letter: char) -> bool {
        match letter {
            ':' => self.emit(Tok::Colon),
            '-' => self.emit(Tok::Operator(Operator::Sub)),
            digit if digit.is_ascii_digit() => self.number_from(digit),
            '[' => {
                self.state = State::Buckets;
                self.emit(Tok::LeftBracket)
            }
            '}' if self.eat(|c| c == '}') => {
                self.state = State::Values;
                self.emit(Tok::CloseHistogram)
            }
            alpha if is_alpha(alpha) => {
                self.eat_all(is_alpha);
                let word = self.word().to_ascii_lowercase();
                if KEYS.contains(&word.as_str()) {
                    return if self.peek() == Some(':') {
                        self.emit(Tok::HistogramKey)
                    } else {
                        self.fail("missing `:` for histogram descriptor")
                    };
                }
                match keyword(&word) {
                    Some(Tok::Number) => self.emit(Tok::Number),
                    _ if reset_hint(&word).is_some() => self.emit(Tok::ResetHint),
                    _ => {
                        let word = quote(self.word());
                        self.fail(format!("bad histogram descriptor found: {word}"))
                    }
                }
            }
            other => self.fail(format!("histogram description incomplete unexpected: {}", quote_char(other))),
        }
    }

    fn bucket(&mut self, letter: char) -> bool {
        match letter {
            '-' => self.emit(Tok::Operator(Operator::Sub)),
            digit if digit.is_ascii_digit() => self.number_from(digit),
            ']' => {
                self.state = State::Histogram;
                self.emit(Tok::RightBracket)
            }
            alpha if is_alpha(alpha) => {
                while keyword(self.word()) != Some(Tok::Number) && self.eat(is_alpha) {}
                if keyword(self.word()) == Some(Tok::Number) {
                    return self.emit(Tok::Number);
                }
                let next = quote_char(self.peek().unwrap_or(char::REPLACEMENT_CHARACTER));
                self.fail(format!("invalid character in buckets description: {next}"))
            }
            other => self.fail(format!("invalid character in buckets description: {}", quote_char(other))),
        }
    }

    fn number_from(&mut self, first: char) -> bool {
        self.at -= first.len_utf8();
        if self.scan_number() {
            return self.emit(Tok::Number);
        }
        let text = quote(self.word());
        self.fail(format!("bad number syntax: {text}"))
    }
}

const KEYS: [&str; 11] = [
    "sum",
    "count",
    "schema",
    "offset",
    "n_offset",
    "buckets",
    "n_buckets",
    "z_bucket",
    "z_bucket_w",
    "custom_values",
    "counter_reset_hint",
];

fn reset_hint(word: &str) -> Option<ResetHint> {
    Some(match word {
        "unknown" => ResetHint::Unknown,
        "reset" => ResetHint::Reset,
        "not_reset" => ResetHint::NotReset,
        "gauge" => ResetHint::Gauge,
        _ => return None,
    })
}

/// A value of a histogram's description.
#[derive(Debug)]
enum Described {
    Number(f64),
    Integer(i32),
    List(Vec<f64>),
    Hint(ResetHint),
}

impl Parser<'_> {
    fn metric(&mut self) -> Parsed<Labels> {
        let mut pairs = Vec::new();
        if self.token().is_metric_name() {
            let name = self.advance();
            pairs.push((METRIC_NAME.to_owned(), name.text));
        }
        let named = pairs.len();
        if self.take(Tok::LeftBrace).is_some() {
            self.label_set(&mut pairs)?;
        }
        // The name in front of the braces wins.
        pairs.rotate_left(named);
        Ok(Labels::new(pairs))
    }

    fn label_set(&mut self, pairs: &mut Vec<(String, String)>) -> Parsed<()> {
        const CONTEXT: &str = "label set";
        loop {
            if self.take(Tok::RightBrace).is_some() {
                return Ok(());
            }
            let label = self.token().clone();
            let name = match label.kind {
                Tok::Identifier => label.text.clone(),
                Tok::String => self.unquoted(&label),
                _ => return Err(self.unexpected(CONTEXT, "identifier or \"}\"")),
            };
            self.advance();
            if self.take(Tok::Assign).is_some() {
                let Some(value) = self.take(Tok::String) else { return Err(self.unexpected(CONTEXT, "string")) };
                pairs.push((name, self.unquoted(&value)));
            } else if label.kind == Tok::String {
                pairs.push((METRIC_NAME.to_owned(), name));
            } else {
                return Err(self.unexpected(CONTEXT, "\"=\""));
            }
            if self.take(Tok::Comma).is_none() && self.kind() != Tok::RightBrace {
                return Err(self.unexpected(CONTEXT, "\",\" or \"}\""));
            }
        }
    }

    fn values(&mut self) -> Parsed<Vec<SequenceValue>> {
        let mut values = Vec::new();
        loop {
            if self.kind() == Tok::Eof {
                return Ok(values);
            }
            self.expect(Tok::Space)?;
            if !matches!(self.kind(), Tok::Eof | Tok::Space) {
                self.item(&mut values)?;
            }
        }
    }

    fn item(&mut self, values: &mut Vec<SequenceValue>) -> Parsed<()> {
        match self.kind() {
            Tok::Blank => {
                self.advance();
                let times = self.repetition(values.len())?.unwrap_or(1);
                values.extend(std::iter::repeat_n(None, times));
            }
            Tok::OpenHistogram => {
                let base = self.described_histogram()?;
                let sign = self.sign();
                let step = if sign.is_some() { Some(self.described_histogram()?) } else { None };
                // The first value is for time zero; so many follow it.
                let Some(times) = self.repetition(values.len())? else {
                    if step.is_some() {
                        return Err(Stop::Unexpected);
                    }
                    values.push(Some(Value::Histogram(Arc::new(base))));
                    return Ok(());
                };
                self.grow_histogram(base, step, sign.unwrap_or(1.0), times, values);
            }
            _ => {
                let mut value = self.plain_value()?;
                let step = if matches!(self.kind(), Tok::Operator(Operator::Add | Operator::Sub)) { Some(self.signed()?) } else { None };
                match self.repetition(values.len())? {
                    None if step.is_some() => return Err(Stop::Unexpected),
                    None => values.push(Some(Value::Float(value))),
                    Some(times) => {
                        for _ in 0..=times {
                            values.push(Some(Value::Float(value)));
                            if let Some(step) = step {
                                value += step;
                            }
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn grow_histogram(&mut self, base: Histogram, step: Option<Histogram>, sign: f64, times: usize, values: &mut Vec<SequenceValue>) {
        let start = self.token().start;
        let mut current = Arc::new(base);
        values.push(Some(Value::Histogram(current.clone())));
        for _ in 0..times {
            if let Some(step) = &step {
                if current.schema > step.schema {
                    let (from, to) = (step.schema, current.schema);
                    self.report(start, format!("error combining histograms: cannot merge from schema {from} to {to}"));
                    return;
                }
                let mut next = (*current).clone();
                let result = if sign > 0.0 { next.add(step) } else { next.sub(step) };
                if let Err(error) = result {
                    self.report(start, error.to_string());
                    return;
                }
                current = Arc::new(next);
            }
            values.push(Some(Value::Histogram(current.clone())));
        }
    }

    /// `x12`, bounded together with what is there already.
    fn repetition(&mut self, so_far: usize) -> Parsed<Option<usize>> {
        if self.take(Tok::Times).is_none() {
            return Ok(None);
        }
        let token = self.expect(Tok::Number)?;
        let Ok(times) = token.text.parse::<usize>() else {
            let text = quote(&token.text);
            self.report(token.start, format!("invalid repetition in series values: strconv.ParseUint: parsing {text}: invalid syntax"));
            return Err(Stop::Reported);
        };
        if times.saturating_add(so_far) >= MAX_VALUES {
            self.report(token.start, format!("more than {MAX_VALUES} values in one series"));
            return Err(Stop::Reported);
        }
        Ok(Some(times))
    }

    fn plain_value(&mut self) -> Parsed<f64> {
        match self.kind() {
            Tok::Identifier => {
                if self.token().text != "stale" {
                    return Err(self.unexpected("series values", "number or \"stale\""));
                }
                self.advance();
                Ok(stale())
            }
            _ => self.signed(),
        }
    }

    fn sign(&mut self) -> Option<f64> {
        let sign = match self.kind() {
            Tok::Operator(Operator::Add) => 1.0,
            Tok::Operator(Operator::Sub) => -1.0,
            _ => return None,
        };
        self.advance();
        Some(sign)
    }

    fn signed(&mut self) -> Parsed<f64> {
        let sign = self.sign();
        let token = self.expect(Tok::Number)?;
        let value = self.number(&token);
        Ok(if sign == Some(-1.0) { -value } else { value })
    }

    fn described_histogram(&mut self) -> Parsed<Histogram> {
        self.expect(Tok::OpenHistogram)?;
        let mut described = BTreeMap::new();
        self.take(Tok::Space);
        while self.take(Tok::CloseHistogram).is_none() {
            let entry = self.described_entry();
            let (key, value) = self.explain(entry, CONTEXT_OF_HISTOGRAMS, EXAMPLE_OF_HISTOGRAMS)?;
            if described.contains_key(key.as_str()) {
                self.report(0, format!("duplicate key \"{key}\" in histogram"));
            } else {
                described.insert(key, value);
            }
            if self.take(Tok::Space).is_none() && self.kind() != Tok::CloseHistogram {
                return Err(self.unexpected(CONTEXT_OF_HISTOGRAMS, EXAMPLE_OF_HISTOGRAMS));
            }
        }
        self.build(&described)
    }

    fn described_entry(&mut self) -> Parsed<(String, Described)> {
        let key = self.expect(Tok::HistogramKey)?.text.to_ascii_lowercase();
        self.expect(Tok::Colon)?;
        let value = match key.as_str() {
            "schema" | "offset" | "n_offset" => {
                let sign = if self.take(Tok::Operator(Operator::Sub)).is_some() { -1 } else { 1 };
                let token = self.expect(Tok::Number)?;
                let value = token.text.parse::<i32>().ok().filter(|value| value.abs() <= 1 << 24);
                Described::Integer(sign * value.ok_or(Stop::Unexpected)?)
            }
            "buckets" | "n_buckets" | "custom_values" => {
                self.expect(Tok::LeftBracket)?;
                let mut list = vec![self.signed()?];
                loop {
                    let spaced = self.take(Tok::Space).is_some();
                    if self.take(Tok::RightBracket).is_some() {
                        break Described::List(list);
                    }
                    if !spaced {
                        return Err(Stop::Unexpected);
                    }
                    list.push(self.signed()?);
                }
            }
            "counter_reset_hint" => {
                let token = self.expect(Tok::ResetHint)?;
                Described::Hint(reset_hint(&token.text.to_ascii_lowercase()).unwrap_or_default())
            }
            _ => Described::Number(self.signed()?),
        };
        Ok((key, value))
    }

    fn build(&mut self, described: &BTreeMap<String, Described>) -> Parsed<Histogram> {
        let number = |key: &str| match described.get(key) {
            Some(Described::Number(value)) => *value,
            _ => 0.0,
        };
        let integer = |key: &str| match described.get(key) {
            Some(Described::Integer(value)) => *value,
            _ => 0,
        };
        let list = |key: &str| match described.get(key) {
            Some(Described::List(list)) => list.as_slice(),
            _ => &[],
        };
        let buckets = |key: &str, offset: &str| (integer(offset)..).zip(list(key).iter().copied()).collect();
        let hint = match described.get("counter_reset_hint") {
            Some(Described::Hint(hint)) => *hint,
            _ => ResetHint::Unknown,
        };
        let schema = integer("schema");
        if schema != CUSTOM && !EXPONENTIAL.contains(&schema) {
            let start = self.token().start;
            self.report(start, format!("histogram has an invalid schema: {schema}"));
            return Err(Stop::Reported);
        }
        Ok(Histogram {
            hint,
            schema,
            zero_threshold: number("z_bucket_w"),
            zero_count: number("z_bucket"),
            count: number("count"),
            sum: number("sum"),
            positive: buckets("buckets", "offset"),
            negative: buckets("n_buckets", "n_offset"),
            custom: list("custom_values").into(),
        })
    }
}

const CONTEXT_OF_HISTOGRAMS: &str = "histogram description";
const EXAMPLE_OF_HISTOGRAMS: &str = "histogram description key, e.g. buckets:[5 10 7]";
