//! Tokens to an expression.

use super::{
    Aggregate, At, Binary, Cardinality, Expr, Matching, Selector, Span, Subquery, check,
    functions::function,
    lexer::lex,
    token::{Keyword, Operator, Tok, Token},
};
use crate::{
    labels::{METRIC_NAME, MatchOp, Matcher, is_label_name},
    number::{parse_duration, parse_number, quote},
};

/// How deep expressions may nest.
const MAX_DEPTH: usize = 200;

/// Bytes of one expression.
const MAX_LENGTH: usize = 64 << 10;

/// Go's durations end there, in seconds.
const MAX_SECONDS: f64 = 9_223_372_036.0;

/// Where a text stops being PromQL, in Prometheus' words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: parse error: {message}")]
pub struct ParseError {
    pub line: usize,
    pub column: usize,
    pub message: String,
}

#[derive(Debug, Clone, Copy, Default)]
pub struct ParseOptions {
    /// Prometheus' `promql-experimental-functions`.
    pub experimental_functions: bool,
    /// What releases after 3.5 added to the language.
    pub newer: bool,
}

/// Parses and type-checks.
pub fn parse(input: &str, options: ParseOptions) -> Result<Expr, ParseError> {
    let mut parser = Parser::new(input, options, if input.len() > MAX_LENGTH { vec![] } else { lex(input) });
    if input.len() > MAX_LENGTH {
        parser.report(0, format!("expression longer than {MAX_LENGTH} bytes"));
        return Err(parser.first_error());
    }
    let result = parser.whole();
    if let (Ok(mut expr), true) = (result, parser.errors.is_empty()) {
        check::check(&mut parser, &mut expr);
        if parser.errors.is_empty() {
            return Ok(expr);
        }
    }
    Err(parser.first_error())
}

/// Line and column of a byte, counted from one.
pub fn position(input: &str, byte: usize) -> (usize, usize) {
    let before = input.get(..byte).unwrap_or(input);
    let line = before.matches('\n').count() + 1;
    let column = before.rfind('\n').map_or(before.len() + 1, |at| before.len() - at);
    (line, column)
}

/// The token at hand does not fit. Whoever knows more about the place says so, once.
#[derive(Debug)]
pub(super) enum Stop {
    Unexpected,
    Reported,
}

pub(super) type Parsed<T> = Result<T, Stop>;

#[derive(Debug)]
pub(super) struct Parser<'a> {
    pub input: &'a str,
    pub options: ParseOptions,
    pub errors: Vec<(usize, String)>,
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    pub fn new(input: &'a str, options: ParseOptions, mut tokens: Vec<Token>) -> Self {
        if tokens.is_empty() {
            tokens.push(Token { kind: Tok::Eof, start: 0, text: String::new() });
        }
        Self { input, options, errors: vec![], tokens, at: 0, depth: 0 }
    }

    pub fn report(&mut self, start: usize, message: impl Into<String>) {
        self.errors.push((start, message.into()));
    }

    pub fn first_error(&self) -> ParseError {
        let (start, message) = self.errors.first().cloned().unwrap_or_else(|| (0, "unexpected end of input".to_owned()));
        let (line, column) = position(self.input, start);
        ParseError { line, column, message }
    }

    /// Says that the token at hand does not fit: what it was part of, and what would.
    pub fn unexpected(&mut self, context: &str, expected: &str) -> Stop {
        let token = self.token();
        let message = match token.kind {
            Tok::Error => token.text.clone(),
            _ => {
                let mut message = format!("unexpected {}", token.describe());
                if !context.is_empty() {
                    message += &format!(" in {context}");
                }
                if !expected.is_empty() {
                    message += &format!(", expected {expected}");
                }
                message
            }
        };
        let start = token.start;
        self.report(start, message);
        Stop::Reported
    }

    pub fn explain<T>(&mut self, result: Parsed<T>, context: &str, expected: &str) -> Parsed<T> {
        result.map_err(|stop| match stop {
            Stop::Unexpected => self.unexpected(context, expected),
            Stop::Reported => Stop::Reported,
        })
    }

    pub fn token(&self) -> &Token {
        // The last token is never passed.
        &self.tokens[self.at.min(self.tokens.len() - 1)]
    }

    pub fn kind(&self) -> Tok {
        self.token().kind
    }

    pub fn advance(&mut self) -> Token {
        let token = self.token().clone();
        if !matches!(token.kind, Tok::Eof | Tok::Error) {
            self.at += 1;
        }
        token
    }

    pub fn take(&mut self, kind: Tok) -> Option<Token> {
        (self.kind() == kind).then(|| self.advance())
    }

    pub fn expect(&mut self, kind: Tok) -> Parsed<Token> {
        self.take(kind).ok_or(Stop::Unexpected)
    }

    /// The value of a quoted token.
    pub fn unquoted(&self, token: &Token) -> String {
        unquote(&token.text)
    }

    pub fn number(&mut self, token: &Token) -> f64 {
        let value = if token.kind == Tok::Duration {
            parse_duration(&token.text).map(|milliseconds| milliseconds as f64 / 1000.0)
        } else {
            parse_number(&token.text).map_err(|error| format!("error parsing number: {error}"))
        };
        value.unwrap_or_else(|error| {
            self.report(token.start, error);
            0.0
        })
    }

    fn whole(&mut self) -> Parsed<Expr> {
        if self.kind() == Tok::Eof {
            self.report(usize::MAX, "no expression found in input");
            self.errors[0].0 = 0;
            return Err(Stop::Reported);
        }
        let expr = self.expr(0);
        let expr = self.explain(expr, "", "")?;
        if self.kind() != Tok::Eof {
            return Err(self.unexpected("", ""));
        }
        Ok(expr)
    }

    fn nested<T>(&mut self, inner: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= MAX_DEPTH {
            let start = self.token().start;
            self.report(start, format!("expression nested deeper than {MAX_DEPTH} levels"));
            return Err(Stop::Reported);
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    /// An expression whose operators bind tighter than `min`.
    fn expr(&mut self, min: u8) -> Parsed<Expr> {
        self.nested(|parser| {
            let mut lhs = parser.operand()?;
            // Chains lean to the left, so their length is a depth too.
            let mut links = 0;
            while let Tok::Operator(op) = parser.kind() {
                let precedence = op.precedence();
                if precedence <= min {
                    break;
                }
                links += 1;
                if parser.depth + links > MAX_DEPTH {
                    let start = parser.token().start;
                    parser.report(start, format!("more than {MAX_DEPTH} operators in a row"));
                    return Err(Stop::Reported);
                }
                parser.advance();
                let (matching, return_bool) = parser.modifiers()?;
                let rhs = parser.expr(if op == Operator::Pow { precedence - 1 } else { precedence })?;
                lhs = Expr::Binary(Binary { op, lhs: Box::new(lhs), rhs: Box::new(rhs), matching, return_bool });
            }
            Ok(lhs)
        })
    }

    fn operand(&mut self) -> Parsed<Expr> {
        if let Tok::Operator(sign @ (Operator::Add | Operator::Sub)) = self.kind() {
            let start = self.advance().start;
            // A sign binds as multiplication does.
            let inner = self.expr(Operator::Mul.precedence())?;
            let negate = sign == Operator::Sub;
            return Ok(match inner {
                Expr::Number { value, span } => Expr::Number { value: if negate { -value } else { value }, span: Span { start, ..span } },
                other => Expr::Unary { negate, expr: Box::new(other), start },
            });
        }
        let mut expr = self.primary()?;
        loop {
            match self.kind() {
                Tok::Keyword(Keyword::Offset) => self.offset(&mut expr)?,
                Tok::At => self.at_modifier(&mut expr)?,
                Tok::LeftBracket => expr = self.range(expr)?,
                _ => return Ok(expr),
            }
            if self.errors.len() > 100 {
                return Err(Stop::Reported);
            }
        }
    }

    fn primary(&mut self) -> Parsed<Expr> {
        match self.kind() {
            Tok::Number | Tok::Duration => {
                let token = self.advance();
                let value = self.number(&token);
                Ok(Expr::Number { value, span: span(&token) })
            }
            Tok::String => {
                let token = self.advance();
                Ok(Expr::String { value: self.unquoted(&token), span: span(&token) })
            }
            Tok::LeftParen => {
                let open = self.advance();
                let inner = self.expr(0)?;
                let close = self.expect(Tok::RightParen)?;
                Ok(Expr::Paren { expr: Box::new(inner), span: Span { start: open.start, end: close.end() } })
            }
            Tok::Aggregator(_) if self.opens_aggregate() => {
                let result = self.nested(Self::aggregate);
                self.explain(result, "aggregation", "")
            }
            Tok::Identifier if self.tokens.get(self.at + 1).is_some_and(|next| next.kind == Tok::LeftParen) => self.call(),
            // `start()` and `end()` were words of the `@` modifier only.
            Tok::Start | Tok::End if self.options.newer && self.tokens.get(self.at + 1).is_some_and(|next| next.kind == Tok::LeftParen) => {
                self.call()
            }
            Tok::LeftBrace => self.selector(None),
            _ if self.token().is_metric_name() => {
                let name = self.advance();
                self.selector(Some(name))
            }
            _ => Err(Stop::Unexpected),
        }
    }

    fn opens_aggregate(&self) -> bool {
        let next = self.tokens.get(self.at + 1).map(|token| token.kind);
        matches!(next, Some(Tok::LeftParen | Tok::Keyword(Keyword::By | Keyword::Without)))
    }

    fn aggregate(&mut self) -> Parsed<Expr> {
        let token = self.advance();
        let Tok::Aggregator(op) = token.kind else { return Err(Stop::Unexpected) };
        let mut modifier = self.aggregate_modifier()?;
        let (args, mut end) = self.arguments()?;
        if modifier.is_none() {
            modifier = self.aggregate_modifier()?;
            if modifier.is_some() {
                end = self.tokens[self.at - 1].end();
            }
        }
        let (without, grouping) = modifier.unwrap_or_default();
        let span = Span { start: token.start, end };
        if args.is_empty() {
            self.report(span.start, "no arguments for aggregate expression provided");
        }
        if op.is_experimental() && !self.options.experimental_functions && !args.is_empty() {
            let name = op.text();
            let flag = "--enable-feature=promql-experimental-functions";
            self.report(span.start, format!("{name}() is experimental and must be enabled with {flag}"));
        }
        let desired = if op.has_param() { 2 } else { 1 };
        if args.len() != desired && !args.is_empty() {
            let got = args.len();
            let what = "wrong number of arguments for aggregate expression provided";
            self.report(span.start, format!("{what}, expected {desired}, got {got}"));
        }
        let mut args = args.into_iter();
        let param = op.has_param().then(|| args.next()).flatten().map(Box::new);
        let Some(expr) = args.next() else {
            // An error has been reported; parsing goes on to see whether an earlier one is there.
            return Ok(Expr::Number { value: 0.0, span });
        };
        Ok(Expr::Aggregate(Aggregate { op, expr: Box::new(expr), param, grouping, without, span }))
    }

    /// Whether it is `without`, and the labels.
    fn aggregate_modifier(&mut self) -> Parsed<Option<(bool, Vec<String>)>> {
        let without = match self.kind() {
            Tok::Keyword(Keyword::By) => false,
            Tok::Keyword(Keyword::Without) => true,
            _ => return Ok(None),
        };
        self.advance();
        Ok(Some((without, self.grouping()?)))
    }

    fn grouping(&mut self) -> Parsed<Vec<String>> {
        const CONTEXT: &str = "grouping opts";
        if self.take(Tok::LeftParen).is_none() {
            return Err(self.unexpected(CONTEXT, "\"(\""));
        }
        let mut labels = Vec::new();
        loop {
            if self.take(Tok::RightParen).is_some() {
                return Ok(labels);
            }
            let token = self.token().clone();
            let name = match token.kind {
                Tok::String => self.unquoted(&token),
                _ if token.is_label_name() => token.text.clone(),
                _ => return Err(self.unexpected(CONTEXT, "label")),
            };
            self.advance();
            if !is_label_name(&name) {
                self.report(token.start, format!("invalid label name for grouping: {}", quote(&name)));
            }
            labels.push(name);
            if self.take(Tok::Comma).is_none() && self.kind() != Tok::RightParen {
                return Err(self.unexpected(CONTEXT, "\",\" or \")\""));
            }
        }
    }

    fn call(&mut self) -> Parsed<Expr> {
        let name = self.advance();
        let (args, end) = self.arguments()?;
        let known = function(&name.text).filter(|function| !function.newer || self.options.newer);
        match known {
            None => self.report(name.start, format!("unknown function with name {}", quote(&name.text))),
            Some(function) if function.experimental && !self.options.experimental_functions => {
                self.report(name.start, format!("function {} is not enabled", quote(&name.text)));
            }
            Some(_) => {}
        }
        let span = Span { start: name.start, end };
        Ok(known.map_or(Expr::Number { value: 0.0, span }, |function| Expr::Call { function, args, span }))
    }

    fn arguments(&mut self) -> Parsed<(Vec<Expr>, usize)> {
        self.expect(Tok::LeftParen)?;
        let mut args = Vec::new();
        if let Some(close) = self.take(Tok::RightParen) {
            return Ok((args, close.end()));
        }
        loop {
            args.push(self.expr(0)?);
            if let Some(close) = self.take(Tok::RightParen) {
                return Ok((args, close.end()));
            }
            let comma = self.expect(Tok::Comma)?;
            if matches!(self.kind(), Tok::RightParen | Tok::Comma) {
                self.report(comma.start, "trailing commas not allowed in function call args");
                return Err(Stop::Reported);
            }
        }
    }

    fn modifiers(&mut self) -> Parsed<(Matching, bool)> {
        let return_bool = self.take(Tok::Keyword(Keyword::Bool)).is_some();
        let mut matching = Matching::default();
        match self.kind() {
            Tok::Keyword(Keyword::On) => matching.on = true,
            Tok::Keyword(Keyword::Ignoring) => {}
            _ => return Ok((matching, return_bool)),
        }
        self.advance();
        matching.labels = self.grouping()?;
        matching.cardinality = match self.kind() {
            Tok::Keyword(Keyword::GroupLeft) => Cardinality::ManyToOne,
            Tok::Keyword(Keyword::GroupRight) => Cardinality::OneToMany,
            _ => return Ok((matching, return_bool)),
        };
        self.advance();
        if self.kind() == Tok::LeftParen {
            matching.include = self.grouping()?;
        }
        Ok((matching, return_bool))
    }

    fn selector(&mut self, name: Option<Token>) -> Parsed<Expr> {
        let mut span = name.as_ref().map_or_else(|| span(self.token()), span);
        let mut matchers = Vec::new();
        if self.kind() == Tok::LeftBrace {
            span.end = self.label_matchers(&mut matchers)?;
        }
        let name = name.map(|token| token.text).unwrap_or_default();
        if !name.is_empty() {
            matchers.push(Matcher::equal(METRIC_NAME, name.clone()));
        }
        Ok(Expr::Vector(Selector { name, matchers, offset: 0, at: None, span, may_be_empty: false }))
    }

    fn label_matchers(&mut self, matchers: &mut Vec<Matcher>) -> Parsed<usize> {
        const CONTEXT: &str = "label matching";
        self.expect(Tok::LeftBrace)?;
        loop {
            if let Some(close) = self.take(Tok::RightBrace) {
                return Ok(close.end());
            }
            let label = self.token().clone();
            let name = match label.kind {
                Tok::Identifier => label.text.clone(),
                Tok::String => self.unquoted(&label),
                _ => return Err(self.unexpected(CONTEXT, "identifier or \"}\"")),
            };
            self.advance();
            let op = match self.kind() {
                Tok::Assign => Some(MatchOp::Equal),
                Tok::Operator(Operator::NotEqual) => Some(MatchOp::NotEqual),
                Tok::MatchRegexp => Some(MatchOp::Regexp),
                Tok::NotMatchRegexp => Some(MatchOp::NotRegexp),
                _ => None,
            };
            match op {
                Some(op) => {
                    self.advance();
                    let Some(value) = self.take(Tok::String) else { return Err(self.unexpected(CONTEXT, "string")) };
                    match Matcher::new(op, name, self.unquoted(&value)) {
                        Ok(matcher) => matchers.push(matcher),
                        Err(error) => self.report(label.start, error),
                    }
                }
                // A quoted name alone is the metric's.
                None if label.kind == Tok::String => matchers.push(Matcher::equal(METRIC_NAME, name)),
                None => return Err(self.unexpected(CONTEXT, "label matching operator")),
            }
            if self.take(Tok::Comma).is_none() && self.kind() != Tok::RightBrace {
                return Err(self.unexpected(CONTEXT, "\",\" or \"}\""));
            }
        }
    }

    fn range(&mut self, expr: Expr) -> Parsed<Expr> {
        const CONTEXT: &str = "subquery selector";
        let open = self.advance();
        let range = self.duration();
        let range = self.explain(range, CONTEXT, "number or duration")?;
        if self.take(Tok::Colon).is_some() {
            let mut step = 0;
            if self.kind() != Tok::RightBracket {
                let given = self.duration();
                step = self.explain(given, CONTEXT, "number or duration or \"]\"")?;
            }
            let Some(close) = self.take(Tok::RightBracket) else { return Err(self.unexpected(CONTEXT, "\"]\"")) };
            return Ok(Expr::Subquery(Subquery { expr: Box::new(expr), range, step, offset: 0, at: None, end: close.end() }));
        }
        let Some(close) = self.take(Tok::RightBracket) else { return Err(self.unexpected("subquery or range", "\":\" or \"]\"")) };
        let problem = match &expr {
            Expr::Vector(selector) if selector.offset != 0 => "no offset modifiers allowed before range",
            Expr::Vector(selector) if matches!(selector.at, Some(At::Time(_))) => "no @ modifiers allowed before range",
            Expr::Vector(_) => "",
            _ => "ranges only allowed for vector selectors",
        };
        if !problem.is_empty() {
            self.report(open.start, problem);
        }
        match expr {
            Expr::Vector(selector) => Ok(Expr::Matrix { selector, range, end: close.end() }),
            other => Ok(other),
        }
    }

    /// A positive duration in milliseconds.
    fn duration(&mut self) -> Parsed<i64> {
        let (value, start) = self.signed_literal()?;
        if value <= 0.0 {
            self.report(start, "duration must be greater than 0");
        }
        Ok(to_milliseconds(value))
    }

    /// A number or duration in seconds, with any sign. Arithmetic on durations is an experimental feature that stays off.
    fn signed_literal(&mut self) -> Parsed<(f64, usize)> {
        let sign = match self.kind() {
            Tok::Operator(Operator::Add) => Some(1.0),
            Tok::Operator(Operator::Sub) => Some(-1.0),
            _ => None,
        };
        let start = self.token().start;
        if sign.is_some() {
            self.advance();
        }
        if self.kind() == Tok::LeftParen {
            return Err(self.duration_arithmetic());
        }
        if !matches!(self.kind(), Tok::Number | Tok::Duration) {
            return Err(Stop::Unexpected);
        }
        let token = self.advance();
        let value = self.number(&token) * sign.unwrap_or(1.0);
        if value.abs() > MAX_SECONDS || value.is_nan() {
            self.report(start, "duration out of range");
            return Ok((1.0, start));
        }
        Ok((value, start))
    }

    fn duration_arithmetic(&mut self) -> Stop {
        let start = self.token().start;
        self.report(start, "experimental duration expression is not enabled");
        Stop::Reported
    }

    fn offset(&mut self, expr: &mut Expr) -> Parsed<()> {
        self.advance();
        let literal = self.signed_literal();
        let (seconds, _) = self.explain(literal, "offset", "number or duration")?;
        let end = self.tokens[self.at - 1].end();
        let start = expr.span().start;
        let Some((offset, _, end_of)) = modified(expr) else {
            let what = "offset modifier must be preceded by an instant vector selector or range vector selector or a subquery";
            self.report(start, what);
            return Ok(());
        };
        *end_of = end;
        if *offset != 0 {
            self.report(start, "offset may not be set multiple times");
        } else {
            *offset = to_milliseconds(seconds);
        }
        Ok(())
    }

    fn at_modifier(&mut self, expr: &mut Expr) -> Parsed<()> {
        self.advance();
        let parsed = self.timestamp(expr.span().start);
        let at = self.explain(parsed, "@", "timestamp")?;
        let end = self.tokens[self.at - 1].end();
        let start = expr.span().start;
        let Some((_, slot, end_of)) = modified(expr) else {
            let what = "@ modifier must be preceded by an instant vector selector or range vector selector or a subquery";
            self.report(start, what);
            return Ok(());
        };
        *end_of = end;
        if slot.is_some() {
            self.report(start, "@ <timestamp> may not be set multiple times");
        } else {
            *slot = Some(at);
        }
        Ok(())
    }

    fn timestamp(&mut self, start: usize) -> Parsed<At> {
        let named = match self.kind() {
            Tok::Start => Some(At::Start),
            Tok::End => Some(At::End),
            _ => None,
        };
        if let Some(at) = named {
            self.advance();
            self.expect(Tok::LeftParen)?;
            self.expect(Tok::RightParen)?;
            return Ok(at);
        }
        let sign = match self.kind() {
            Tok::Operator(Operator::Add) => Some(1.0),
            Tok::Operator(Operator::Sub) => Some(-1.0),
            _ => None,
        };
        if sign.is_some() {
            self.advance();
        }
        if !matches!(self.kind(), Tok::Number | Tok::Duration) {
            return Err(Stop::Unexpected);
        }
        let token = self.advance();
        let seconds = self.number(&token) * sign.unwrap_or(1.0);
        if !seconds.is_finite() || seconds.abs() >= i64::MAX as f64 {
            let text = if seconds.is_finite() { format!("{seconds:.6}") } else { crate::number::format_g(seconds) };
            self.report(start, format!("timestamp out of bounds for @ modifier: {text}"));
        }
        Ok(At::Time(to_milliseconds(seconds)))
    }
}

/// Offset, `@` and end of what can have them.
fn modified(expr: &mut Expr) -> Option<(&mut i64, &mut Option<At>, &mut usize)> {
    match expr {
        Expr::Vector(selector) => Some((&mut selector.offset, &mut selector.at, &mut selector.span.end)),
        Expr::Matrix { selector, end, .. } => Some((&mut selector.offset, &mut selector.at, end)),
        Expr::Subquery(subquery) => Some((&mut subquery.offset, &mut subquery.at, &mut subquery.end)),
        _ => None,
    }
}

fn span(token: &Token) -> Span {
    Span { start: token.start, end: token.end() }
}

fn to_milliseconds(seconds: f64) -> i64 {
    // Far enough away to add up a few of them.
    (seconds * 1000.0).round().clamp(-4e18, 4e18) as i64
}

/// The text of a string literal, which the lexer has found to be well-formed.
fn unquote(text: &str) -> String {
    let inner = text.get(1..text.len().saturating_sub(1)).unwrap_or_default();
    if text.starts_with('`') {
        return inner.to_owned();
    }
    let mut out: Vec<u8> = Vec::with_capacity(inner.len());
    let mut letters = inner.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            out.extend(letter.encode_utf8(&mut [0; 4]).bytes());
            continue;
        }
        let (radix, count) = match letters.next() {
            Some('x') => (16, 2),
            Some('u') => (16, 4),
            Some('U') => (16, 8),
            Some(digit @ '0'..='7') => {
                let rest: String = letters.by_ref().take(2).collect();
                out.push((u32::from_str_radix(&format!("{digit}{rest}"), 8).unwrap_or(0) & 0xff) as u8);
                continue;
            }
            Some(other) => {
                let plain = match other {
                    'a' => '\u{7}',
                    'b' => '\u{8}',
                    'f' => '\u{c}',
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    'v' => '\u{b}',
                    same => same,
                };
                out.extend(plain.encode_utf8(&mut [0; 4]).bytes());
                continue;
            }
            None => break,
        };
        let digits: String = letters.by_ref().take(count).collect();
        let code = u32::from_str_radix(&digits, radix).unwrap_or(0);
        if count == 2 {
            out.push((code & 0xff) as u8);
        } else {
            out.extend(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER).encode_utf8(&mut [0; 4]).bytes());
        }
    }
    String::from_utf8(out).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}
