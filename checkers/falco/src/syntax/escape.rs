//! Quoting of values in conditions.

use std::fmt::Write;

/// What a quoted token stands for; the token has its quotes.
pub(super) fn unescape(token: &str) -> Result<String, String> {
    let Some(quote) = token.chars().next() else { return Ok(String::new()) };
    let inner = &token[quote.len_utf8()..token.len() - quote.len_utf8()];
    let mut text = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            text.push(c);
            continue;
        }
        match chars.next() {
            None => {}
            Some('b') => text.push('\u{8}'),
            Some('f') => text.push('\u{c}'),
            Some('n') => text.push('\n'),
            Some('r') => text.push('\r'),
            Some('t') => text.push('\t'),
            // Some published rules escape blanks; Falco reads a backslash there.
            Some(' ' | '\\') => text.push('\\'),
            Some('/') => text.push('/'),
            Some('"') if quote == '"' => text.push('"'),
            Some('\'') if quote == '\'' => text.push('\''),
            Some('"') => return Err("invalid \\\" escape in '-quoted string".to_owned()),
            Some('\'') => return Err("invalid \\' escape in \"-quoted string".to_owned()),
            Some(other) => return Err(format!("unsupported string escape sequence: \\{other}")),
        }
    }
    Ok(text)
}

/// Writes a value so that it reads back as itself: quoted where it must be.
pub(super) fn escape(value: &str) -> String {
    let mut quoted = false;
    let mut text = String::with_capacity(value.len() + 2);
    for c in value.chars() {
        let escaped = match c {
            '\u{8}' => "\\b",
            '\u{c}' => "\\f",
            '\n' => "\\n",
            '\r' => "\\r",
            '\t' => "\\t",
            '\\' => "\\\\",
            '"' => "\\\"",
            ' ' => " ",
            '\'' => "'",
            other => {
                text.push(other);
                continue;
            }
        };
        quoted = true;
        let _ = text.write_str(escaped);
    }
    if quoted { format!("\"{text}\"") } else { text }
}
