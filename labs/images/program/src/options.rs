//! Options as `getopt_long` takes them.

use std::collections::BTreeMap;

#[derive(Debug, Default)]
pub struct Options {
    flags: Vec<char>,
    values: BTreeMap<char, Vec<String>>,
    pub operands: Vec<String>,
}

impl Options {
    /// `arguments` without the program. `valid`: a letter followed by `:` takes a value. Long options stand for a letter. `Err` is what
    /// to say.
    pub fn parse(arguments: &[String], valid: &str, long: &[(&str, char)]) -> Result<Self, String> {
        let mut options = Self::default();
        let takes_value = |letter: char| valid.contains(&format!("{letter}:"));
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            if argument == "--" {
                options.operands.extend(rest.cloned());
                break;
            }
            if let Some(name) = argument.strip_prefix("--") {
                let (name, inline) = name.split_once('=').map_or((name, None), |(name, value)| (name, Some(value.to_owned())));
                let letter = long.iter().find(|(long, _)| *long == name).map(|(_, letter)| *letter);
                let letter = letter.ok_or_else(|| format!("unrecognized option '--{name}'"))?;
                if takes_value(letter) {
                    let value = inline.or_else(|| rest.next().cloned());
                    options.push(letter, value.ok_or_else(|| format!("option '--{name}' requires an argument"))?);
                } else {
                    options.flags.push(letter);
                }
                continue;
            }
            let Some(letters) = argument.strip_prefix('-').filter(|letters| !letters.is_empty()) else {
                options.operands.push(argument.clone());
                continue;
            };
            for (at, letter) in letters.char_indices() {
                if letter == ':' || !valid.contains(letter) {
                    return Err(format!("invalid option -- '{letter}'"));
                }
                if !takes_value(letter) {
                    options.flags.push(letter);
                    continue;
                }
                let inline = &letters[at + letter.len_utf8()..];
                let value = if inline.is_empty() { rest.next().cloned() } else { Some(inline.to_owned()) };
                options.push(letter, value.ok_or_else(|| format!("option requires an argument -- '{letter}'"))?);
                break;
            }
        }
        Ok(options)
    }

    pub fn has(&self, letter: char) -> bool {
        self.flags.contains(&letter)
    }

    /// The last one.
    pub fn value(&self, letter: char) -> Option<&str> {
        self.values.get(&letter)?.last().map(String::as_str)
    }

    pub fn values(&self, letter: char) -> &[String] {
        self.values.get(&letter).map_or(&[], Vec::as_slice)
    }

    /// A number of seconds, as `3` or `0.5`.
    pub fn seconds(&self, letter: char) -> Option<std::time::Duration> {
        let seconds: f64 = self.value(letter)?.parse().ok()?;
        (seconds > 0.0).then(|| std::time::Duration::from_secs_f64(seconds.clamp(0.001, 1e6)))
    }

    fn push(&mut self, letter: char, value: String) {
        self.values.entry(letter).or_default().push(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_as_getopt_reads_them() {
        let rows: &[(&[&str], Result<&str, &str>)] = &[
            (&["-sm", "3", "url"], Ok("s m=3 [url]")),
            (&["-m3", "-s", "a", "b"], Ok("s m=3 [a b]")),
            (&["--max-time=3", "--silent", "a"], Ok("s m=3 [a]")),
            (&["--max-time", "3", "-", "--", "-s"], Ok(" m=3 [- -s]")),
            (&["-x"], Err("invalid option -- 'x'")),
            (&["-m"], Err("option requires an argument -- 'm'")),
            (&["--max-time"], Err("option '--max-time' requires an argument")),
            (&["--wrong"], Err("unrecognized option '--wrong'")),
        ];
        for (arguments, expected) in rows {
            let owned: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
            let read = Options::parse(&owned, "sm:", &[("silent", 's'), ("max-time", 'm')]).map(|options| {
                let flag = if options.has('s') { "s" } else { "" };
                format!("{flag} m={} [{}]", options.value('m').unwrap_or_default(), options.operands.join(" "))
            });
            assert_eq!(read.as_deref().map_err(String::as_str), *expected, "{arguments:?}");
        }
    }
}
