//! Texts: patterns are Go's, and what a text may grow to is counted before it grows.

use crate::cel::{
    Answer, Run,
    value::{list, string},
};
use go_regexp::Regexp;
use kube_cel::cel::Value as Cel;

/// Widest field of a `format`, in digits behind the point.
const MOST_DIGITS: usize = 3;

impl Run<'_> {
    /// Nothing where there is no such function here.
    pub(super) fn texts(&mut self, name: &str, arguments: &[Cel]) -> Option<Answer> {
        let [Cel::String(held), others @ ..] = arguments else { return self.join(name, arguments) };
        Some(match (name, others) {
            ("contains", [Cel::String(part)]) => Ok(Cel::Bool(held.contains(part.as_str()))),
            ("startsWith", [Cel::String(part)]) => Ok(Cel::Bool(held.starts_with(part.as_str()))),
            ("endsWith", [Cel::String(part)]) => Ok(Cel::Bool(held.ends_with(part.as_str()))),
            ("matches", [Cel::String(pattern)]) => Regexp::unanchored(pattern).map(|regexp| Cel::Bool(regexp.is_match(held))),
            ("find", [Cel::String(pattern)]) => Regexp::unanchored(pattern)
                .map(|regexp| string(regexp.captures(held).and_then(|found| found.get(0)).map_or("", |found| found.as_str()))),
            ("findAll", [Cel::String(pattern)]) => found(held, pattern, None),
            ("findAll", [Cel::String(pattern), Cel::Int(most)]) => found(held, pattern, usize::try_from(*most).ok()),
            ("replace", [Cel::String(old), Cel::String(new), ..]) => {
                let times = held.len() / old.len().max(1) + 1;
                return self.grows(times.saturating_mul(new.len()));
            }
            ("format", [Cel::List(given)]) => {
                // Digits may be asked for without end: `%.999999f`.
                let digits = held.split('%').skip(1).filter_map(|part| part.strip_prefix('.'));
                let longest = digits.map(|part| part.bytes().take_while(u8::is_ascii_digit).count()).max().unwrap_or(0);
                return if longest > MOST_DIGITS { Some(Err("precision is too large".to_owned())) } else { self.grows(given.len()) };
            }
            _ => return None,
        })
    }

    fn join(&mut self, name: &str, arguments: &[Cel]) -> Option<Answer> {
        match (name, arguments) {
            ("join", [Cel::List(items), Cel::String(separator)]) => self.grows(items.len().saturating_mul(separator.len())),
            _ => None,
        }
    }

    /// Counts letters that are about to be made; nothing where there is room for them, so that the function goes on.
    fn grows(&mut self, letters: usize) -> Option<Answer> {
        self.works(letters / 8).err().map(Err)
    }
}

fn found(text: &str, pattern: &str, most: Option<usize>) -> Answer {
    let found = Regexp::unanchored(pattern)?.find_all(text, most.unwrap_or(usize::MAX));
    Ok(list(found.into_iter().map(string).collect()))
}
