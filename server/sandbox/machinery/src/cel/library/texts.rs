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
            ("split", [Cel::String(separator)]) => Ok(split(held, separator, -1)),
            ("split", [Cel::String(separator), Cel::Int(most)]) => Ok(split(held, separator, *most)),
            ("charAt", [Cel::Int(at)]) => part(held, *at, (*at).saturating_add(1).min(length(held))),
            ("substring", [Cel::Int(begin)]) => part(held, *begin, length(held)),
            ("substring", [Cel::Int(begin), Cel::Int(end)]) if begin > end => {
                Err(format!("invalid substring range. start: {begin}, end: {end}"))
            }
            ("substring", [Cel::Int(begin), Cel::Int(end)]) => part(held, *begin, *end),
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

/// As Go's `strings.SplitN`: between all letters where there is no separator.
fn split(text: &str, separator: &str, most: i64) -> Cel {
    let most = match usize::try_from(most) {
        Ok(0) => return list(Vec::new()),
        Ok(most) => most,
        Err(_) => usize::MAX,
    };
    if !separator.is_empty() {
        return list(text.splitn(most, separator).map(string).collect());
    }
    let mut rest = text;
    let mut parts = Vec::new();
    while let Some(letter) = rest.chars().next() {
        if parts.len() + 1 == most {
            parts.push(string(rest));
            break;
        }
        let (first, others) = rest.split_at(letter.len_utf8());
        parts.push(string(first));
        rest = others;
    }
    list(parts)
}

fn length(text: &str) -> i64 {
    i64::try_from(text.chars().count()).unwrap_or(i64::MAX)
}

/// The letters from `begin` to before `end`.
fn part(text: &str, begin: i64, end: i64) -> Answer {
    let length = length(text);
    if let Some(wrong) = [begin, end].iter().find(|at| !(0..=length).contains(*at)) {
        return Err(format!("index out of range: {wrong}"));
    }
    let (begin, end) = (usize::try_from(begin).unwrap_or(0), usize::try_from(end).unwrap_or(0));
    Ok(string(&text.chars().take(end).skip(begin).collect::<String>()))
}
