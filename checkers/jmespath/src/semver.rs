//! Versions and ranges of versions as `blang/semver` v4 reads them: `>1.0.0 <2.0.0 || 3.x`.

use std::cmp::Ordering;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Version {
    pub major: u64,
    pub minor: u64,
    pub patch: u64,
    pre: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Number(u64),
    Text(String),
}

impl Version {
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("Version string empty".to_owned());
        }
        let mut parts = text.splitn(3, '.');
        let (Some(major), Some(minor), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
            return Err("No Major.Minor.Patch elements found".to_owned());
        };
        let major = numeric(major, "major")?;
        let minor = numeric(minor, "minor")?;
        let (rest, build) = rest.split_once('+').map_or((rest, None), |(rest, build)| (rest, Some(build)));
        let (patch, pre) = rest.split_once('-').map_or((rest, None), |(patch, pre)| (patch, Some(pre)));
        let patch = numeric(patch, "patch")?;
        let pre: Result<_, _> = pre.into_iter().flat_map(|pre| pre.split('.')).map(Part::parse).collect();
        for part in build.into_iter().flat_map(|build| build.split('.')) {
            if part.is_empty() {
                return Err("Build meta data is empty".to_owned());
            }
            if !is_alphanumeric(part) {
                return Err(format!("Invalid character(s) found in build meta data {part:?}"));
            }
        }
        Ok(Self { major, minor, patch, pre: pre? })
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let numbers = |v: &Self| (v.major, v.minor, v.patch);
        numbers(self).cmp(&numbers(other)).then_with(|| match (self.pre.is_empty(), other.pre.is_empty()) {
            (true, true) => Ordering::Equal,
            // What comes before a release is less than it.
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => self.pre.cmp(&other.pre),
        })
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Part {
    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("Prerelease is empty".to_owned());
        }
        if text.bytes().all(|b| b.is_ascii_digit()) {
            if text.len() > 1 && text.starts_with('0') {
                return Err(format!("Numeric PreRelease version must not contain leading zeroes {text:?}"));
            }
            return text.parse().map(Self::Number).map_err(|_| out_of_range(text));
        }
        if is_alphanumeric(text) {
            Ok(Self::Text(text.to_owned()))
        } else {
            Err(format!("Invalid character(s) found in prerelease {text:?}"))
        }
    }
}

fn is_alphanumeric(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

fn out_of_range(text: &str) -> String {
    format!("strconv.ParseUint: parsing {text:?}: value out of range")
}

fn numeric(text: &str, which: &str) -> Result<u64, String> {
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!("Invalid character(s) found in {which} number {text:?}"));
    }
    if text.len() > 1 && text.starts_with('0') {
        return Err(format!("{}{} number must not contain leading zeroes {text:?}", which[..1].to_uppercase(), &which[1..]));
    }
    if text.is_empty() {
        return Err("strconv.ParseUint: parsing \"\": invalid syntax".to_owned());
    }
    text.parse().map_err(|_| out_of_range(text))
}

/// Versions that satisfy all conditions of one of several groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range(Vec<Vec<(Comparator, Version)>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparator {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

impl Range {
    pub fn parse(text: &str) -> Result<Self, String> {
        let words = words(text);
        let groups: Vec<&[String]> = words.split(|word| word == "||").collect();
        if groups.len() > 1 && groups[0].is_empty() {
            return Err("First element in range is '||'".to_owned());
        }
        if groups.last().is_none_or(|last| last.is_empty()) {
            return Err("Last element in range is '||'".to_owned());
        }
        let mut alternatives = Vec::new();
        for group in groups {
            let mut conditions = Vec::new();
            for word in group {
                for word in expand(word)? {
                    conditions.push(condition(&word)?);
                }
            }
            alternatives.push(conditions);
        }
        Ok(Self(alternatives))
    }

    pub fn contains(&self, version: &Version) -> bool {
        let holds = |(comparator, other): &(Comparator, Version)| match comparator {
            Comparator::Equal => version == other,
            Comparator::NotEqual => version != other,
            Comparator::Greater => version > other,
            Comparator::GreaterOrEqual => version >= other,
            Comparator::Less => version < other,
            Comparator::LessOrEqual => version <= other,
        };
        self.0.iter().any(|conditions| conditions.iter().all(holds))
    }
}

/// Separated by spaces, except behind a comparator. Single letters get lost, as they do in the original.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut begin = 0;
    let mut last = ' ';
    for (at, letter) in text.char_indices() {
        if letter == ' ' && !matches!(last, '>' | '<' | '=') {
            if begin + 1 < at {
                words.push(text[begin..at].replace(' ', ""));
            }
            begin = at + 1;
        } else if letter != ' ' {
            last = letter;
        }
    }
    if begin + 1 < text.len() {
        words.push(text[begin..].replace(' ', ""));
    }
    words
}

fn split(word: &str) -> Result<(&str, &str), String> {
    match word.find(char::is_numeric) {
        Some(at) => Ok(word.split_at(at)),
        None => Err(format!("Could not get version from string: {word:?}")),
    }
}

/// Conditions without the wildcard `x`.
fn expand(word: &str) -> Result<Vec<String>, String> {
    if !word.contains('x') {
        return Ok(vec![word.to_owned()]);
    }
    let (operator, version) = split(word)?;
    let parts: Vec<&str> = version.split('.').collect();
    let wildcard = if parts.last() == Some(&"x") { parts.len() } else { 0 };
    let mut flat = version.replacen(".x.x", ".x", 1).replacen(".x", ".0", 1);
    if flat.split('.').count() == 2 {
        flat += ".0";
    }
    let next = || {
        let position = match wildcard {
            3 => 1,
            2 => 0,
            _ => return String::new(),
        };
        let mut parts: Vec<String> = flat.split('.').map(str::to_owned).collect();
        match parts.get(position).and_then(|part| part.parse::<u64>().ok()) {
            Some(number) => parts[position] = number.saturating_add(1).to_string(),
            None => return String::new(),
        }
        parts.join(".")
    };
    Ok(match operator {
        ">" => vec![format!(">={}", next())],
        ">=" => vec![format!(">={flat}")],
        "<" => vec![format!("<{flat}")],
        "<=" => vec![format!("<{}", next())],
        "" | "=" | "==" => vec![format!(">={flat}"), format!("<{}", next())],
        "!=" | "!" => vec![format!("<{flat}"), format!(">={}", next())],
        _ => vec![flat],
    })
}

fn condition(word: &str) -> Result<(Comparator, Version), String> {
    let (operator, version) = split(word)?;
    let comparator = match operator {
        "" | "=" | "==" => Comparator::Equal,
        ">" => Comparator::Greater,
        ">=" => Comparator::GreaterOrEqual,
        "<" => Comparator::Less,
        "<=" => Comparator::LessOrEqual,
        "!" | "!=" => Comparator::NotEqual,
        other => {
            return Err(format!("Could not parse Range {word:?}: Could not parse comparator {other:?} in {word:?}"));
        }
    };
    let explain = |problem| format!("Could not parse Range {word:?}: Could not parse version {version:?} in {word:?}: {problem}");
    Version::parse(version).map(|version| (comparator, version)).map_err(explain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        for (range, inside, outside) in [
            ("<1.0.0", "0.9.9", "1.0.0"),
            (">1.0.0 <2.0.0 || >3.0.0 !4.2.1", "3.1.1", "4.2.1"),
            (">=4.1.3", "4.1.3", "4.1.2"),
            ("1.2.x", "1.2.9", "1.3.0"),
            ("1.x", "1.9.0", "2.0.0"),
            ("> 1.0.0", "1.0.1", "1.0.0"),
            ("!=1.0.0", "1.0.1", "1.0.0"),
            ("<=1.2.x", "1.2.5", "1.3.0"),
            (">1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-1"),
            ("1.0.0+build", "1.0.0", "1.0.1"),
        ] {
            let range = Range::parse(range).expect("a range");
            let contains = |version| range.contains(&Version::parse(version).expect("a version"));
            assert!(contains(inside) && !contains(outside), "{range:?}");
        }
        for (range, problem) in [
            ("", "Last element in range is '||'"),
            ("|| 1.0.0", "First element in range is '||'"),
            ("abc", "Could not get version from string: \"abc\""),
            ("~1.0.0", "Could not parse Range \"~1.0.0\": Could not parse comparator \"~\" in \"~1.0.0\""),
            (">1.0", "Could not parse Range \">1.0\": Could not parse version \"1.0\" in \">1.0\": No Major.Minor.Patch elements found"),
        ] {
            assert_eq!(Range::parse(range), Err(problem.to_owned()));
        }
    }
}
