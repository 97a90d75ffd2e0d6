//! Text to tokens. An error is the last token.

use super::token::{Operator, Tok, Token, keyword};
use crate::number::quote_char;

/// The tokens of an expression, comments left out; the last one is `Eof` or `Error`.
pub fn lex(input: &str) -> Vec<Token> {
    let mut lexer = Lexer::new(input, false);
    while lexer.step() {}
    lexer.tokens
}

/// What follows decides how the next letters are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Statement,
    /// Right behind a `[`, before its duration.
    Range,
    // Of series notation only.
    Values,
    Histogram,
    Buckets,
}

#[derive(Debug)]
pub(super) struct Lexer<'a> {
    pub(super) input: &'a str,
    pub(super) at: usize,
    start: usize,
    pub(super) tokens: Vec<Token>,
    pub(super) state: State,
    pub(super) is_series: bool,
    depth: usize,
    in_braces: bool,
    in_brackets: bool,
    got_colon: bool,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(input: &'a str, is_series: bool) -> Self {
        let state = State::Statement;
        Self { input, at: 0, start: 0, tokens: vec![], state, is_series, depth: 0, in_braces: false, in_brackets: false, got_colon: false }
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.input[self.at..].chars().next()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let letter = self.peek()?;
        self.at += letter.len_utf8();
        Some(letter)
    }

    pub(super) fn eat(&mut self, wanted: impl Fn(char) -> bool) -> bool {
        let found = self.peek().is_some_and(wanted);
        if found {
            self.next();
        }
        found
    }

    pub(super) fn eat_all(&mut self, wanted: impl Fn(char) -> bool) {
        while self.eat(&wanted) {}
    }

    pub(super) fn begin(&mut self) {
        self.start = self.at;
    }

    pub(super) fn word(&self) -> &'a str {
        &self.input[self.start..self.at]
    }

    /// True, so that lexing goes on.
    pub(super) fn emit(&mut self, kind: Tok) -> bool {
        self.tokens.push(Token { kind, start: self.start, text: self.word().to_owned() });
        self.start = self.at;
        true
    }

    /// False, so that lexing ends.
    pub(super) fn fail(&mut self, message: impl Into<String>) -> bool {
        self.tokens.push(Token { kind: Tok::Error, start: self.start, text: message.into() });
        false
    }

    pub(super) fn finish(&mut self) -> bool {
        self.begin();
        self.emit(Tok::Eof);
        false
    }

    /// One token; false after the last one.
    pub(super) fn step(&mut self) -> bool {
        match self.state {
            State::Statement if self.in_braces => self.inside_braces(),
            State::Statement => self.statement(),
            State::Range => self.range(),
            State::Values | State::Histogram | State::Buckets => self.series_step(),
        }
    }

    pub(super) fn statement(&mut self) -> bool {
        self.begin();
        let Some(letter) = self.next() else {
            if self.depth != 0 {
                return self.fail("unclosed left parenthesis");
            }
            if self.in_brackets {
                return self.fail("unclosed left bracket");
            }
            return self.finish();
        };
        use Operator as O;
        match letter {
            '#' => self.comment(),
            ',' => self.emit(Tok::Comma),
            space if is_space(space) => self.skip_space(),
            '*' => self.emit(Tok::Operator(O::Mul)),
            '/' => self.emit(Tok::Operator(O::Div)),
            '%' => self.emit(Tok::Operator(O::Mod)),
            '+' => self.emit(Tok::Operator(O::Add)),
            '-' => self.emit(Tok::Operator(O::Sub)),
            '^' => self.emit(Tok::Operator(O::Pow)),
            '=' if self.eat(|c| c == '=') => self.emit(Tok::Operator(O::Equal)),
            '=' if self.peek() == Some('~') => self.fail("unexpected character after '=': '~'"),
            '=' => self.emit(Tok::Assign),
            '!' if self.eat(|c| c == '=') => self.emit(Tok::Operator(O::NotEqual)),
            '!' => {
                let after = described(self.peek());
                self.fail(format!("unexpected character after '!': {after}"))
            }
            '<' if self.eat(|c| c == '=') => self.emit(Tok::Operator(O::LessEqual)),
            '<' => self.emit(Tok::Operator(O::Less)),
            '>' if self.eat(|c| c == '=') => self.emit(Tok::Operator(O::GreaterEqual)),
            '>' => self.emit(Tok::Operator(O::Greater)),
            digit if digit.is_ascii_digit() || digit == '.' && self.peek().is_some_and(|c| c.is_ascii_digit()) => {
                self.at = self.start;
                self.number_or_duration()
            }
            '"' | '\'' => self.string(letter),
            '`' => self.raw_string(),
            // Inside brackets only a colon has a meaning; a letter there is taken for one and refused by the parser.
            colon if is_alpha(colon) || colon == ':' => {
                if !self.in_brackets {
                    self.at = self.start;
                    return self.keyword_or_identifier();
                }
                if self.got_colon {
                    return self.fail(format!("unexpected colon {}", quote_char(colon)));
                }
                self.got_colon = true;
                self.emit(Tok::Colon)
            }
            '(' => {
                self.depth += 1;
                self.emit(Tok::LeftParen)
            }
            ')' => self.close_paren(),
            '{' => {
                self.in_braces = true;
                self.emit(Tok::LeftBrace)
            }
            '[' if self.in_brackets => self.fail("unexpected left bracket '['"),
            '[' => {
                self.got_colon = false;
                self.in_brackets = true;
                self.state = State::Range;
                self.emit(Tok::LeftBracket)
            }
            ']' if !self.in_brackets => self.fail("unexpected right bracket ']'"),
            ']' => {
                self.in_brackets = false;
                self.emit(Tok::RightBracket)
            }
            '@' => self.emit(Tok::At),
            other => self.fail(format!("unexpected character: {}", quote_char(other))),
        }
    }

    /// Between `[` and its duration only arithmetic may stand.
    fn range(&mut self) -> bool {
        self.begin();
        let Some(letter) = self.next() else { return self.fail("unexpected end of input in duration expression") };
        use Operator as O;
        match letter {
            ']' => {
                self.in_brackets = false;
                self.state = State::Statement;
                self.emit(Tok::RightBracket)
            }
            ':' => {
                self.emit(Tok::Colon);
                self.fail("unexpected colon before duration in duration expression")
            }
            '(' => {
                self.depth += 1;
                self.emit(Tok::LeftParen)
            }
            ')' => self.close_paren(),
            space if is_space(space) => true,
            '+' => self.emit(Tok::Operator(O::Add)),
            '-' => self.emit(Tok::Operator(O::Sub)),
            '*' => self.emit(Tok::Operator(O::Mul)),
            '/' => self.emit(Tok::Operator(O::Div)),
            '%' => self.emit(Tok::Operator(O::Mod)),
            '^' => self.emit(Tok::Operator(O::Pow)),
            digit if digit.is_ascii_digit() || digit == '.' && self.peek().is_some_and(|c| c.is_ascii_digit()) => {
                self.at = self.start;
                self.state = State::Statement;
                self.number_or_duration()
            }
            other => self.fail(format!("unexpected character in duration expression: {}", quote_char(other))),
        }
    }

    fn close_paren(&mut self) -> bool {
        self.emit(Tok::RightParen);
        match self.depth.checked_sub(1) {
            Some(depth) => {
                self.depth = depth;
                true
            }
            None => self.fail("unexpected right parenthesis ')'"),
        }
    }

    fn inside_braces(&mut self) -> bool {
        self.begin();
        let Some(letter) = self.next() else { return self.fail("unexpected end of input inside braces") };
        match letter {
            '#' => self.comment(),
            space if is_space(space) => self.skip_space(),
            alpha if is_alpha(alpha) => {
                self.eat_all(is_alphanumeric);
                self.emit(Tok::Identifier)
            }
            ',' => self.emit(Tok::Comma),
            '"' | '\'' => self.string(letter),
            '`' => self.raw_string(),
            '=' if self.eat(|c| c == '~') => self.emit(Tok::MatchRegexp),
            '=' => self.emit(Tok::Assign),
            '!' if self.eat(|c| c == '~') => self.emit(Tok::NotMatchRegexp),
            '!' if self.eat(|c| c == '=') => self.emit(Tok::Operator(Operator::NotEqual)),
            '!' => {
                let after = described(self.peek());
                self.fail(format!("unexpected character after '!' inside braces: {after}"))
            }
            '{' => self.fail("unexpected left brace '{'"),
            '}' => {
                self.in_braces = false;
                if self.is_series {
                    self.state = State::Values;
                }
                self.emit(Tok::RightBrace)
            }
            other => self.fail(format!("unexpected character inside braces: {}", quote_char(other))),
        }
    }

    fn comment(&mut self) -> bool {
        self.eat_all(|c| c != '\n' && c != '\r');
        self.begin();
        true
    }

    fn skip_space(&mut self) -> bool {
        self.eat_all(is_space);
        self.begin();
        true
    }

    fn string(&mut self, mark: char) -> bool {
        loop {
            match self.next() {
                Some('\\') => {
                    if let Err(message) = self.escape(mark) {
                        return self.fail(message);
                    }
                }
                Some(char::REPLACEMENT_CHARACTER) => return self.fail("invalid UTF-8 rune"),
                None | Some('\n') => return self.fail("unterminated quoted string"),
                Some(letter) if letter == mark => return self.emit(Tok::String),
                Some(_) => {}
            }
        }
    }

    fn escape(&mut self, mark: char) -> Result<(), String> {
        let (count, radix, max) = match self.next() {
            Some('a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' | '\\') => return Ok(()),
            Some(letter) if letter == mark => return Ok(()),
            Some('0'..='7') => {
                self.at -= 1;
                (3, 8, 255)
            }
            Some('x') => (2, 16, 255),
            Some('u') => (4, 16, 0x10_FFFF),
            Some('U') => (8, 16, 0x10_FFFF),
            None => return Err("escape sequence not terminated".to_owned()),
            Some(other) => return Err(format!("unknown escape sequence {}", unicode(other))),
        };
        let mut code: u32 = 0;
        for _ in 0..count {
            let letter = self.next().ok_or("escape sequence not terminated")?;
            let digit = letter.to_digit(radix).ok_or_else(|| format!("illegal character {} in escape sequence", unicode(letter)))?;
            code = code.saturating_mul(radix).saturating_add(digit);
        }
        if code > max || (0xD800..0xE000).contains(&code) {
            return Err("escape sequence is an invalid Unicode code point".to_owned());
        }
        Ok(())
    }

    fn raw_string(&mut self) -> bool {
        loop {
            match self.next() {
                Some(char::REPLACEMENT_CHARACTER) => return self.fail("invalid UTF-8 rune"),
                None => return self.fail("unterminated raw string"),
                Some('`') => return self.emit(Tok::String),
                Some(_) => {}
            }
        }
    }

    fn number_or_duration(&mut self) -> bool {
        if self.scan_number() {
            return self.emit(Tok::Number);
        }
        if self.scan_duration_unit() {
            return self.emit(Tok::Duration);
        }
        let text = crate::number::quote(self.word());
        self.fail(format!("bad number or duration syntax: {text}"))
    }

    /// Behind the digits of a duration's first number.
    fn scan_duration_unit(&mut self) -> bool {
        if !self.eat(|c| "smhdwy".contains(c)) {
            return false;
        }
        self.eat(|c| c == 's');
        while self.eat(|c| c.is_ascii_digit()) {
            self.eat_all(|c| c.is_ascii_digit());
            if !self.eat(|c| "smhdw".contains(c)) {
                return false;
            }
            self.eat(|c| c == 's');
        }
        if self.peek().is_some_and(is_alphanumeric) {
            self.next();
            return false;
        }
        true
    }

    /// The letters of a number; whether they are one is the parser's matter.
    pub(super) fn scan_number(&mut self) -> bool {
        let begin = self.at;
        let mut is_hex = false;
        // `0x3` in series notation is a value and its repetition.
        if !self.is_series && self.eat(|c| c == '0') && self.eat(|c| c == 'x' || c == 'X') {
            self.eat(|c| c == '_');
            is_hex = true;
        }
        let digit = |c: char| if is_hex { c.is_ascii_hexdigit() } else { c.is_ascii_digit() };
        self.eat(|c| c == '.');
        self.eat(digit);
        let (mut dot, mut exponent) = (false, false);
        while let Some(letter) = self.peek().filter(|c| digit(*c) || "._eE".contains(*c)) {
            match letter {
                '.' if dot => {
                    self.next();
                    return false;
                }
                'e' | 'E' if exponent => {
                    self.next();
                    return false;
                }
                '.' => {
                    self.next();
                    dot = true;
                    if self.eat(|c| c == '_' || c == '.') || is_hex {
                        return false;
                    }
                }
                'e' | 'E' => {
                    self.next();
                    exponent = true;
                    self.eat(|c| c == '+' || c == '-');
                    if self.eat(|c| "._eE".contains(c)) || self.peek().is_none() {
                        return false;
                    }
                }
                '_' => {
                    self.next();
                    if self.eat(|c| "._eE".contains(c)) || self.peek().is_none() {
                        return false;
                    }
                }
                _ => self.eat_all(digit),
            }
        }
        if self.at == begin {
            return false;
        }
        let after = self.peek();
        self.is_series && after == Some('x') || !after.is_some_and(is_alphanumeric)
    }

    pub(super) fn keyword_or_identifier(&mut self) -> bool {
        self.eat_all(|c| is_alphanumeric(c) || c == ':');
        let word = self.word();
        let kind = match keyword(word) {
            Some(kind) => kind,
            None if word.contains(':') => Tok::MetricIdentifier,
            None => Tok::Identifier,
        };
        if self.is_series && self.peek() != Some('{') {
            self.state = State::Values;
        }
        self.emit(kind)
    }
}

pub(super) fn is_space(letter: char) -> bool {
    matches!(letter, ' ' | '\t' | '\n' | '\r')
}

pub(super) fn is_alpha(letter: char) -> bool {
    letter == '_' || letter.is_ascii_alphabetic()
}

pub(super) fn is_alphanumeric(letter: char) -> bool {
    is_alpha(letter) || letter.is_ascii_digit()
}

fn described(letter: Option<char>) -> String {
    letter.map_or_else(|| quote_char(char::REPLACEMENT_CHARACTER), quote_char)
}

/// Go's `%#U`.
fn unicode(letter: char) -> String {
    format!("U+{:04X} '{letter}'", letter as u32)
}
