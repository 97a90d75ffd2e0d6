//! Regular expressions as Falco has them: POSIX syntax (what RE2 calls `posix_syntax`), the whole text, within bounds.

use regex::{Regex, RegexBuilder};

/// Largest compiled expression, and largest cache of its automaton.
const SIZE_LIMIT: usize = 1 << 20;

pub fn compile(pattern: &str) -> Result<Regex, String> {
    let invalid = |why: String| format!("invalid regex pattern: {why}");
    let translated = translate(pattern).map_err(invalid)?;
    let build = |text: &str| RegexBuilder::new(text).multi_line(true).size_limit(SIZE_LIMIT).dfa_size_limit(SIZE_LIMIT).build();
    // On its own first, so that it cannot close the group that is put around it.
    build(&translated).map_err(|error| invalid(short(&error)))?;
    build(&format!(r"\A(?:{translated})\z")).map_err(|error| invalid(short(&error)))
}

fn short(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(limit) => format!("it would need more than {limit} bytes"),
        other => other.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned(),
    }
}

/// POSIX knows no Perl classes, no lazy repetition and no groups with options; inside brackets only `[:name:]` is special.
fn translate(pattern: &str) -> Result<String, String> {
    let chars: Vec<char> = pattern.chars().collect();
    let mut out = String::with_capacity(pattern.len());
    let mut at = 0;
    while at < chars.len() {
        match chars[at] {
            '\\' => {
                let next = *chars.get(at + 1).ok_or("trailing \\")?;
                match next {
                    'a' | 'f' | 'n' | 'r' | 't' | 'v' => out.extend(['\\', next]),
                    'x' => out.push_str("\\x"),
                    c if c.is_ascii_alphanumeric() => return Err(format!("invalid escape sequence: \\{c}")),
                    c => push_literal(&mut out, c),
                }
                at += 2;
            }
            '[' => at = bracket(&chars, at, &mut out)?,
            '(' if chars.get(at + 1) == Some(&'?') => return Err("missing argument to repetition operator: ?".to_owned()),
            // Without lazy repetition, a run of operators repeats what was repeated: that is one operator again.
            c @ ('*' | '+' | '?') => {
                let run = chars[at..].iter().take_while(|c| matches!(c, '*' | '+' | '?')).count();
                let same = chars[at..at + run].iter().all(|other| *other == c);
                out.push(if same { c } else { '*' });
                at += run;
            }
            '{' => match counted(&chars[at..]) {
                Some(length) => {
                    if chars.get(at + length) == Some(&'?') {
                        return Err("bad repetition operator: }?".to_owned());
                    }
                    out.extend(&chars[at..at + length]);
                    at += length;
                }
                // What counts nothing is a brace like any other character.
                None => {
                    out.push_str("\\{");
                    at += 1;
                }
            },
            '}' => {
                out.push_str("\\}");
                at += 1;
            }
            c => {
                out.push(c);
                at += 1;
            }
        }
    }
    Ok(out)
}

/// The length of `{2}`, `{2,}` or `{2,3}`.
fn counted(chars: &[char]) -> Option<usize> {
    let end = chars.iter().position(|c| *c == '}')?;
    let inner: String = chars[1..end].iter().collect();
    let (least, most) = inner.split_once(',').unwrap_or((&inner, ""));
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    (!least.is_empty() && number(least) && number(most)).then_some(end + 1)
}

fn push_literal(out: &mut String, c: char) {
    if c.is_ascii_punctuation() {
        out.push('\\');
    }
    out.push(c);
}

fn bracket(chars: &[char], open: usize, out: &mut String) -> Result<usize, String> {
    out.push('[');
    let mut at = open + 1;
    if chars.get(at) == Some(&'^') {
        out.push('^');
        at += 1;
    }
    let first = at;
    loop {
        match *chars.get(at).ok_or("missing ]")? {
            ']' if at > first => {
                out.push(']');
                return Ok(at + 1);
            }
            '[' if chars.get(at + 1) == Some(&':') => {
                let end = (at + 2..chars.len().saturating_sub(1)).find(|index| chars[*index] == ':' && chars[*index + 1] == ']');
                let end = end.ok_or("missing ]")?;
                out.extend(&chars[at..end + 2]);
                at = end + 2;
            }
            '\\' => {
                let next = *chars.get(at + 1).ok_or("missing ]")?;
                match next {
                    'a' | 'f' | 'n' | 'r' | 't' | 'v' => out.extend(['\\', next]),
                    c if c.is_ascii_alphanumeric() => return Err(format!("invalid escape sequence: \\{c}")),
                    c => push_literal(out, c),
                }
                at += 2;
            }
            '-' if at > first && chars.get(at + 1) != Some(&']') => {
                out.push('-');
                at += 1;
            }
            c => {
                push_literal(out, c);
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_text_is_matched() {
        let table = [
            ("my.*", "myexe", true),
            ("yex", "myexe", false),
            ("^syscall$", "syscall", true),
            ("research[0-9]+", "research12", true),
            ("a|ab", "ab", true),
            ("[^[]", "[", false),
            ("[a&&b]", "&", true),
            ("[[:alpha:]_-]+", "a-b_c", true),
            ("x{2,3}", "xxx", true),
            ("\\.", ".", true),
            ("", "", true),
            ("", "x", false),
            ("x{2", "x{2", true),
            ("4}", "4}", true),
            ("ab+?", "a", true),
            ("a**b++", "bb", true),
        ];
        for (pattern, text, expected) in table {
            assert_eq!(compile(pattern).map(|regex| regex.is_match(text)), Ok(expected), "{pattern} on {text}");
        }
    }

    #[test]
    fn what_posix_does_not_know_is_refused() {
        for pattern in ["\\d+", "(?i)a", "a{2}?", "(", "a)(b", "[a", "a\\", "((((a{1000}){1000}){1000}){1000})"] {
            assert!(compile(pattern).is_err(), "{pattern}");
        }
    }
}
