//! Regular expressions as programs written in Go read them, on the `regex` crate.
//!
//! ```text
//!  pattern in Go's syntax ──translate──► pattern of the regex crate ──► Regexp (at most 2 MiB, matches in linear time)
//! ```
//!
//! What Go refuses is refused, in Go's words. It must never keep more than some compiled patterns for each thread.

use regex::{Captures, Regex, RegexBuilder};
use std::{cell::RefCell, collections::HashMap, sync::Arc};

/// Bytes of a compiled program. Beyond that a pattern is refused.
const SIZE_LIMIT: usize = 2 << 20;
const NEST_LIMIT: u32 = 200;
/// How many programs each thread keeps: the same patterns come again at every evaluation of a rule.
const KEPT: usize = 256;
/// As in Go.
const MAX_REPEAT: u32 = 1000;

#[derive(Debug, Clone)]
pub struct Regexp(Arc<Regex>);

impl Regexp {
    /// The whole text must match, and `.` matches newlines too, as Prometheus has it.
    pub fn anchored(pattern: &str) -> Result<Self, String> {
        Self::build(pattern, true)
    }

    /// Some part of the text must match, as `regexp.Compile` has it.
    pub fn unanchored(pattern: &str) -> Result<Self, String> {
        Self::build(pattern, false)
    }

    pub fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text)
    }

    pub fn captures<'t>(&self, text: &'t str) -> Option<Captures<'t>> {
        self.0.captures(text)
    }

    /// The matches one after the other, no more than `most`.
    pub fn captures_iter<'t>(&self, text: &'t str, most: usize) -> impl Iterator<Item = Captures<'t>> {
        self.0.captures_iter(text).take(most)
    }

    /// The texts that match one after the other, no more than `most`.
    pub fn find_all<'t>(&self, text: &'t str, most: usize) -> Vec<&'t str> {
        self.0.find_iter(text).take(most).map(|found| found.as_str()).collect()
    }

    /// `$1`, `${1}` and `$name` in the replacement stand for groups.
    pub fn replace_all(&self, text: &str, replacement: &str) -> String {
        self.0.replace_all(text, |captures: &Captures<'_>| expand(captures, replacement)).into_owned()
    }

    /// The replacement stands for itself.
    pub fn replace_all_literal(&self, text: &str, replacement: &str) -> String {
        self.0.replace_all(text, regex::NoExpand(replacement)).into_owned()
    }

    fn build(pattern: &str, anchored: bool) -> Result<Self, String> {
        thread_local! {
            static PROGRAMS: RefCell<HashMap<(String, bool), Regexp>> = RefCell::default();
        }
        let key = (pattern.to_owned(), anchored);
        if let Some(known) = PROGRAMS.with_borrow(|programs| programs.get(&key).cloned()) {
            return Ok(known);
        }
        let regexp = Self::compile(pattern, anchored)?;
        PROGRAMS.with_borrow_mut(|programs| {
            if programs.len() >= KEPT {
                programs.clear();
            }
            programs.insert(key, regexp.clone());
        });
        Ok(regexp)
    }

    fn compile(pattern: &str, anchored: bool) -> Result<Self, String> {
        let pattern = translate(pattern).map_err(|problem| format!("error parsing regexp: {problem}"))?;
        let build = |pattern: &str| RegexBuilder::new(pattern).size_limit(SIZE_LIMIT).nest_limit(NEST_LIMIT).build();
        let explain = |error: regex::Error| match error {
            regex::Error::CompiledTooBig(_) => "error parsing regexp: expression too large".to_owned(),
            other => {
                format!("error parsing regexp: {}", other.to_string().lines().last().unwrap_or_default().trim_start_matches("error: "))
            }
        };
        let whole = if anchored { format!("^(?s:{pattern})$") } else { pattern };
        build(&whole).map(|regex| Self(Arc::new(regex))).map_err(explain)
    }
}

/// A replacement's groups filled in, as Go's `Regexp.Expand` does: a name is as long as possible, an unknown group is empty.
pub fn expand(captures: &Captures<'_>, template: &str) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some(at) = rest.find('$') {
        out += &rest[..at];
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
            continue;
        }
        let (name, after) = match rest.strip_prefix('{').map(|inner| inner.split_once('}')) {
            Some(Some((name, after))) => (name, after),
            Some(None) => ("", rest),
            None => {
                let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
                rest.split_at(end)
            }
        };
        if name.is_empty() || !name.chars().all(|c| c.is_alphanumeric() || c == '_') {
            out.push('$');
            continue;
        }
        let group = if name.bytes().all(|b| b.is_ascii_digit()) {
            name.parse().ok().and_then(|index: usize| captures.get(index))
        } else {
            captures.name(name)
        };
        out += group.map_or("", |group| group.as_str());
        rest = after;
    }
    out + rest
}

/// The pattern in the `regex` crate's syntax: rewrites what Go's syntax reads differently from the `regex` crate's: ASCII classes, literal braces and brackets, `\Q…\E`.
pub fn translate(pattern: &str) -> Result<String, String> {
    let letters: Vec<char> = pattern.chars().collect();
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut at = 0;
    // A pattern must be whole by itself: `a)(b` would be once it is wrapped.
    let mut open = 0_usize;
    // Right behind a repetition another one is an error in Go.
    let mut repeated = false;
    while let Some(letter) = letters.get(at).copied() {
        let mut is_repetition = false;
        match letter {
            '\\' => at = escape(&letters, at, &mut out, false)?,
            '[' => at = class(&letters, at, &mut out)?,
            '{' => match repetition(&letters[at..])? {
                Some(length) => {
                    if repeated {
                        return Err(format!("invalid nested repetition operator in `{pattern}`"));
                    }
                    is_repetition = true;
                    out.extend(&letters[at..at + length]);
                    at += length;
                    if letters.get(at) == Some(&'?') {
                        out.push('?');
                        at += 1;
                    }
                }
                None => {
                    out += r"\{";
                    at += 1;
                }
            },
            '*' | '+' | '?' => {
                // `(?` opens a group with flags.
                let flags = letter == '?' && out.ends_with('(') && !out.ends_with(r"\(");
                if repeated && !flags {
                    return Err(format!("invalid nested repetition operator in `{pattern}`"));
                }
                is_repetition = !flags;
                out.push(letter);
                at += 1;
                if is_repetition && letters.get(at) == Some(&'?') {
                    out.push('?');
                    at += 1;
                }
            }
            '(' | ')' => {
                open =
                    if letter == '(' { Some(open + 1) } else { open.checked_sub(1) }.ok_or_else(|| format!("unexpected ): `{pattern}`"))?;
                out.push(letter);
                at += 1;
            }
            '}' | ']' => {
                out.push('\\');
                out.push(letter);
                at += 1;
            }
            other => {
                out.push(other);
                at += 1;
            }
        }
        repeated = is_repetition;
    }
    if open > 0 {
        return Err(format!("missing closing ): `{pattern}`"));
    }
    Ok(out)
}

/// How many letters `{n}`, `{n,}` or `{n,m}` has; `None` where the brace is a letter.
fn repetition(letters: &[char]) -> Result<Option<usize>, String> {
    let Some(end) = letters.iter().position(|c| *c == '}') else { return Ok(None) };
    let inner: String = letters[1..end].iter().collect();
    let (low, high) = inner.split_once(',').map_or((inner.as_str(), None), |(low, high)| (low, Some(high)));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(low) || !high.is_none_or(|high| high.is_empty() || digits(high)) {
        return Ok(None);
    }
    let number = |text: &str| text.parse::<u32>().unwrap_or(u32::MAX);
    let top = high.filter(|high| !high.is_empty()).map_or(number(low), number);
    if number(low) > MAX_REPEAT || top > MAX_REPEAT || number(low) > top {
        return Err(format!("invalid repeat count: `{{{inner}}}`"));
    }
    Ok(Some(end + 1))
}

fn escape(letters: &[char], at: usize, out: &mut String, in_class: bool) -> Result<usize, String> {
    let Some(letter) = letters.get(at + 1).copied() else { return Err("trailing backslash at end of expression: ``".to_owned()) };
    let class = |plain: &str, negated: bool| match (in_class, negated) {
        (true, false) => plain.to_owned(),
        (_, negated) => format!("[{}{plain}]", if negated { "^" } else { "" }),
    };
    match letter {
        'd' | 'D' => *out += &class("0-9", letter == 'D'),
        'w' | 'W' => *out += &class("0-9A-Za-z_", letter == 'W'),
        's' | 'S' => *out += &class(r"\t\n\x0C\r ", letter == 'S'),
        'b' | 'B' if !in_class => *out += &format!(r"(?-u:\{letter})"),
        'Q' if !in_class => {
            let rest = &letters[at + 2..];
            let end = rest.windows(2).position(|pair| pair == ['\\', 'E']);
            let literal: String = rest[..end.unwrap_or(rest.len())].iter().collect();
            *out += &regex::escape(&literal);
            return Ok(at + 2 + end.map_or(rest.len(), |end| end + 2));
        }
        'p' | 'P' | 'x' | 'a' | 'f' | 't' | 'n' | 'r' | 'v' | 'A' | 'z' => {
            out.push('\\');
            out.push(letter);
        }
        '0'..='7' => {
            // An octal code of up to three digits; `\1` to `\7` alone would refer back, which Go refuses.
            let digits: String = letters[at + 1..].iter().take(3).take_while(|c| ('0'..='7').contains(c)).collect();
            if letter != '0' && digits.len() == 1 {
                return Err(format!("invalid escape sequence: `\\{letter}`"));
            }
            let code = u32::from_str_radix(&digits, 8).unwrap_or(0);
            *out += &format!(r"\x{{{code:X}}}");
            return Ok(at + 1 + digits.len());
        }
        other if other.is_alphanumeric() => return Err(format!("invalid escape sequence: `\\{other}`")),
        '_' => out.push('_'),
        other if other.is_ascii() => *out += &regex::escape(&other.to_string()).replace(' ', r"\x20"),
        other => return Err(format!("invalid escape sequence: `\\{other}`")),
    }
    Ok(at + 2)
}

/// A bracket expression: in Go, `[`, `&&`, `--` and `~~` are letters inside one.
fn class(letters: &[char], start: usize, out: &mut String) -> Result<usize, String> {
    let mut at = start + 1;
    out.push('[');
    if letters.get(at) == Some(&'^') {
        out.push('^');
        at += 1;
    }
    let mut first = true;
    loop {
        match letters.get(at).copied() {
            None => return Err(format!("missing closing ]: `{}`", letters[start..].iter().collect::<String>())),
            Some(']') if !first => {
                out.push(']');
                return Ok(at + 1);
            }
            Some('\\') => at = escape(letters, at, out, true)?,
            Some('[') if letters.get(at + 1) == Some(&':') => {
                let rest: String = letters[at..].iter().collect();
                let Some(end) = rest.find(":]") else { return Err(format!("missing closing ]: `{rest}`")) };
                let named = &rest[..end + 2];
                *out += named;
                at += named.chars().count();
            }
            Some(letter @ ('[' | ']' | '&' | '~')) => {
                out.push('\\');
                out.push(letter);
                at += 1;
            }
            Some('-') if letters.get(at + 1) == Some(&'-') => {
                *out += r"\-";
                at += 1;
            }
            Some(letter) => {
                out.push(letter);
                at += 1;
            }
        }
        first = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_gos_syntax() {
        for (pattern, text, want) in [
            (r"\d+", "12", true),
            (r"\d", "\u{0663}", false),
            (r"[\w.-]+", "a_b.c-1", true),
            (r"[[]", "[", true),
            (r"[]a]+", "]a", true),
            (r"[a&&b]+", "&", true),
            (r"x{,2}", "x{,2}", true),
            (r"{foo}", "{foo}", true),
            (r"a{2,3}", "aaa", true),
            (r"\Qa.b\E+", "a.bb", true),
            (r"(?i:TION)", "tion", true),
            (r".*", "a\nb", true),
            (r"a|b", "ab", false),
            (r"[[:alpha:]]+", "ab", true),
            (r"\_\/\-", "_/-", true),
            (r"é+", "éé", true),
            (r"[^\d]", "x", true),
            (r"\141", "a", true),
            (r"(?P<x>a)(?:b)", "ab", true),
        ] {
            assert_eq!(Regexp::anchored(pattern).map(|r| r.is_match(text)), Ok(want), "{pattern} on {text}");
        }
    }

    #[test]
    fn refuses_what_go_refuses() {
        for pattern in
            ["(", ")", "a)(b", "[a", "**", "a{1001}", "a{3,2}", "\\", r"\y", r"(a)\1", "(?<", "a**", "x{999}{999}", "((a{900}){900}){900}"]
        {
            assert!(Regexp::anchored(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn replacements() {
        let regexp = Regexp::anchored("(.*)-(?P<n>.*)").expect("valid");
        let captures = regexp.captures("a-b").expect("matches");
        for (template, want) in [("$1", "a"), ("${2}x", "bx"), ("$1x", ""), ("$n-$$", "b-$"), ("$9|${n}", "|b"), ("$", "$"), ("${", "${")] {
            assert_eq!(expand(&captures, template), want, "{template}");
        }
        assert_eq!(Regexp::unanchored("o+").expect("valid").replace_all("foo boo", "<$0>"), "f<oo> b<oo>");
    }
}
