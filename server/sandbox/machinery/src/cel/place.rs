//! Where in the text of an expression something stands, for messages.
//!
//! The parser keeps no positions, so the tokens are counted again: a check visits them in the order of the text.

/// Tokens of an expression and how many of them the check has passed.
#[derive(Debug)]
pub(super) struct Places<'a> {
    source: &'a str,
    tokens: Vec<(usize, &'a str)>,
    next: usize,
}

impl<'a> Places<'a> {
    pub fn new(source: &'a str) -> Self {
        Self { source, tokens: tokens(source), next: 0 }
    }

    /// Moves behind the next token that reads `text` and returns where it begins.
    pub fn pass(&mut self, text: &str) -> usize {
        match self.tokens[self.next..].iter().position(|(_, token)| *token == text) {
            Some(found) => {
                let at = self.tokens[self.next + found].0;
                self.next += found + 1;
                at
            }
            None => self.here(),
        }
    }

    /// Where the next token begins.
    pub fn here(&self) -> usize {
        self.tokens.get(self.next).map_or(0, |(at, _)| *at)
    }

    /// The same for a line and a column, both counted from one.
    pub fn message_at(&self, (line, column): (isize, isize), message: &str) -> String {
        let begin: usize = self.source.split_inclusive('\n').take(usize::try_from(line - 1).unwrap_or(0)).map(str::len).sum();
        let rest = &self.source[begin.min(self.source.len())..];
        let skipped = usize::try_from(column - 1).unwrap_or(0);
        let at = rest.char_indices().nth(skipped).map_or(rest.len(), |(at, _)| at);
        self.message(self.source.len().min(begin + at), message)
    }

    /// A message as cel-go prints it: place, text, and an arrow below.
    pub fn message(&self, at: usize, message: &str) -> String {
        let line_number = self.source[..at].matches('\n').count();
        let begin = self.source[..at].rfind('\n').map_or(0, |newline| newline + 1);
        let column = self.source[begin..at].chars().count();
        let line = self.source.lines().nth(line_number).unwrap_or_default();
        format!("ERROR: <input>:{}:{}: {message}\n | {line}\n | {}^", line_number + 1, column + 1, ".".repeat(column))
    }
}

fn tokens(source: &str) -> Vec<(usize, &str)> {
    let bytes = source.as_bytes();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let begin = at;
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80;
        match bytes[at] {
            byte if byte.is_ascii_whitespace() => {
                at += 1;
                continue;
            }
            quote @ (b'"' | b'\'') => {
                at += 1;
                while at < bytes.len() && bytes[at] != quote {
                    at += 1 + usize::from(bytes[at] == b'\\');
                }
                at = (at + 1).min(bytes.len());
            }
            byte if word(byte) => {
                while at < bytes.len() && word(bytes[at]) {
                    at += 1;
                }
            }
            b'=' | b'!' | b'<' | b'>' if bytes.get(at + 1) == Some(&b'=') => at += 2,
            b'&' | b'|' if bytes.get(at + 1) == Some(&bytes[at]) => at += 2,
            _ => at += 1,
        }
        // A string may end inside of a character only where the text ends.
        tokens.push((begin, source.get(begin..at).unwrap_or(&source[begin..])));
    }
    tokens
}
