//! The tokens of a condition. Falco's lexer is greedy and has no keywords: what a word is depends on where it stands.

use super::{Operator, Position, escape::unescape};

pub(super) const UNARY_OPERATORS: &[(&str, Operator)] = &[("exists", Operator::Exists)];

pub(super) const NUMBER_OPERATORS: &[(&str, Operator)] =
    &[("<=", Operator::LessOrEqual), ("<", Operator::Less), (">=", Operator::GreaterOrEqual), (">", Operator::Greater)];

pub(super) const STRING_OPERATORS: &[(&str, Operator)] = &[
    ("==", Operator::Equal),
    ("=", Operator::Equal),
    ("!=", Operator::NotEqual),
    ("glob", Operator::Glob),
    ("iglob", Operator::IGlob),
    ("contains", Operator::Contains),
    ("icontains", Operator::IContains),
    ("bcontains", Operator::BContains),
    ("startswith", Operator::StartsWith),
    ("bstartswith", Operator::BStartsWith),
    ("endswith", Operator::EndsWith),
    ("regex", Operator::Regex),
];

pub(super) const LIST_OPERATORS: &[(&str, Operator)] =
    &[("intersects", Operator::Intersects), ("in", Operator::In), ("pmatch", Operator::PMatch)];

pub(super) const ALL_OPERATORS: &[(&str, Operator)] = &[
    ("exists", Operator::Exists),
    ("<=", Operator::LessOrEqual),
    ("<", Operator::Less),
    (">=", Operator::GreaterOrEqual),
    (">", Operator::Greater),
    ("==", Operator::Equal),
    ("=", Operator::Equal),
    ("!=", Operator::NotEqual),
    ("glob", Operator::Glob),
    ("iglob", Operator::IGlob),
    ("contains", Operator::Contains),
    ("icontains", Operator::IContains),
    ("bcontains", Operator::BContains),
    ("startswith", Operator::StartsWith),
    ("bstartswith", Operator::BStartsWith),
    ("endswith", Operator::EndsWith),
    ("regex", Operator::Regex),
    ("intersects", Operator::Intersects),
    ("in", Operator::In),
    ("pmatch", Operator::PMatch),
];

pub(super) const TRANSFORMERS: &[&str] = &["tolower", "toupper", "b64", "basename", "len", "join", "concat", "getopt"];

/// A cursor over the text, with the last token that was read.
#[derive(Debug, Clone)]
pub(super) struct Lexer<'a> {
    text: &'a str,
    pub position: Position,
    pub token: String,
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}

/// The blanks that separate tokens; a backspace is one of them.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | 0x08 | b'\r' | b'\n')
}

impl<'a> Lexer<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { text, position: Position::default(), token: String::new() }
    }

    pub fn at_end(&self) -> bool {
        self.position.index >= self.text.len()
    }

    fn rest(&self) -> &'a [u8] {
        &self.text.as_bytes()[self.position.index..]
    }

    fn advance(&mut self, bytes: usize) {
        for byte in &self.text.as_bytes()[self.position.index..self.position.index + bytes] {
            self.position.column += 1;
            if matches!(byte, b'\r' | b'\n') {
                self.position.column = 1;
                self.position.line += 1;
            }
        }
        self.position.index += bytes;
    }

    fn take(&mut self, bytes: usize) -> bool {
        if bytes == 0 {
            return false;
        }
        let from = self.position.index;
        self.advance(bytes);
        self.token = self.text[from..from + bytes].to_owned();
        true
    }

    /// Skips blanks; leaves the last token as it is.
    pub fn blank(&mut self) -> bool {
        let blanks = self.rest().iter().take_while(|byte| is_blank(**byte)).count();
        self.advance(blanks);
        blanks > 0
    }

    pub fn literal(&mut self, word: &str) -> bool {
        self.rest().starts_with(word.as_bytes()) && self.take(word.len())
    }

    /// A word and at least one blank, which is skipped too.
    fn word_and_blank(&mut self, word: &str) -> bool {
        let rest = self.rest();
        if !rest.starts_with(word.as_bytes()) || !rest.get(word.len()).is_some_and(|byte| is_blank(*byte)) {
            return false;
        }
        self.take(word.len());
        self.blank();
        true
    }

    /// `not` and blanks.
    pub fn not_blank(&mut self) -> bool {
        let rest = self.rest();
        if !rest.starts_with(b"not") {
            return false;
        }
        let spaces = rest[3..].iter().take_while(|byte| is_space(**byte)).count();
        spaces > 0 && self.take(3 + spaces)
    }

    pub fn operator(&mut self, operators: &[(&str, Operator)]) -> Option<Operator> {
        operators
            .iter()
            .find(|(word, operator)| if needs_blank(*operator) { self.word_and_blank(word) } else { self.literal(word) })
            .map(|(_, operator)| *operator)
    }

    pub fn modifier(&mut self, word: &str) -> bool {
        self.word_and_blank(word)
    }

    /// A transformer and its opening parenthesis; the token is the name.
    pub fn transformer(&mut self, names: &[&str]) -> bool {
        let rest = self.rest();
        let found = names.iter().find(|name| rest.starts_with(name.as_bytes()) && rest.get(name.len()) == Some(&b'('));
        let Some(name) = found else { return false };
        self.take(name.len() + 1);
        self.token.pop();
        true
    }

    pub fn identifier(&mut self) -> bool {
        let length = identifier_length(self.rest());
        self.take(length)
    }

    /// At least two identifiers with dots between them.
    pub fn field_name(&mut self) -> bool {
        let rest = self.rest();
        let mut length = identifier_length(rest);
        let mut parts = 1;
        while length > 0 && rest.get(length) == Some(&b'.') {
            let next = identifier_length(&rest[length + 1..]);
            if next == 0 {
                break;
            }
            length += 1 + next;
            parts += 1;
        }
        parts > 1 && self.take(length)
    }

    pub fn field_argument(&mut self) -> bool {
        self.take_while(|byte| !matches!(byte, b'[' | b']' | b'"' | b'\'') && !is_space(byte))
    }

    pub fn bare_string(&mut self) -> bool {
        self.take_while(|byte| !matches!(byte, b'(' | b')' | b'"' | b'\'' | b'=' | b',') && !is_space(byte))
    }

    fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> bool {
        // Only ASCII ends such a token, so the cut is between characters.
        let length = self.rest().iter().take_while(|byte| wanted(**byte) && **byte != 0).count();
        self.take(length)
    }

    pub fn number(&mut self) -> bool {
        let rest = self.rest();
        let digits = |from: usize| rest[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if rest.len() > 2 && rest[0] == b'0' && matches!(rest[1], b'x' | b'X') && rest[2].is_ascii_alphanumeric() {
            let length = 2 + rest[2..].iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
            return self.take(length);
        }
        let sign = usize::from(matches!(rest.first(), Some(b'+' | b'-')));
        let whole = digits(sign.min(rest.len()));
        if whole == 0 {
            return false;
        }
        let mut length = sign + whole;
        if rest.get(length) == Some(&b'.') {
            length += 1 + digits(length + 1);
        }
        if matches!(rest.get(length), Some(b'e' | b'E')) && matches!(rest.get(length + 1), Some(b'+' | b'-')) {
            let exponent = digits(length + 2);
            if exponent > 0 {
                length += 2 + exponent;
            }
        }
        self.take(length)
    }

    /// A quoted string; the token is what it stands for.
    pub fn quoted_string(&mut self) -> Result<bool, String> {
        let rest = self.rest();
        let Some(quote) = rest.first().copied().filter(|byte| matches!(byte, b'"' | b'\'')) else { return Ok(false) };
        let mut previous = b'\\';
        for (index, byte) in rest.iter().enumerate().take_while(|(_, byte)| **byte != 0) {
            if *byte == quote && previous != b'\\' {
                self.take(index + 1);
                self.token = unescape(&self.token)?;
                return Ok(true);
            }
            previous = *byte;
        }
        Ok(false)
    }
}

/// Those of the string operators that are made of letters need a blank behind them.
fn needs_blank(operator: Operator) -> bool {
    operator.takes_modifier() && !matches!(operator, Operator::Equal | Operator::NotEqual)
}

fn identifier_length(text: &[u8]) -> usize {
    if !text.first().is_some_and(u8::is_ascii_alphabetic) {
        return 0;
    }
    text.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count()
}
