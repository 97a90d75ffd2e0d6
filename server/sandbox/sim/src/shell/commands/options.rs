//! Short options as `getopt` takes them.

use crate::shell::process::Process;
use std::collections::BTreeMap;

#[derive(Debug, Default)]
pub struct Options {
    flags: Vec<char>,
    values: BTreeMap<char, Vec<String>>,
    pub operands: Vec<String>,
}

impl Options {
    /// `valid` as getopt has it: a letter followed by `:` takes a value. Long options in `long` stand for a letter.
    pub async fn parse(process: &Process, arguments: &[String], valid: &str, long: &[(&str, char)]) -> Result<Self, i32> {
        let mut options = Self::default();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            if argument == "--" {
                options.operands.extend(rest.cloned());
                break;
            }
            if let Some(name) = argument.strip_prefix("--") {
                let (name, value) = name.split_once('=').map_or((name, None), |(n, v)| (n, Some(v.to_owned())));
                match long.iter().find(|(l, _)| *l == name) {
                    Some((_, letter)) if valid.contains(&format!("{letter}:")) => {
                        let value = value.or_else(|| rest.next().cloned()).unwrap_or_default();
                        options.values.entry(*letter).or_default().push(value);
                    }
                    Some((_, letter)) => options.flags.push(*letter),
                    None => return Err(refuse(process, &format!("unrecognized option '--{name}'")).await),
                }
                continue;
            }
            if !argument.starts_with('-') || argument.len() == 1 {
                options.operands.push(argument.clone());
                continue;
            }
            let letters: Vec<char> = argument[1..].chars().collect();
            let mut at = 0;
            while let Some(letter) = letters.get(at) {
                at += 1;
                if *letter == ':' || !valid.contains(*letter) {
                    return Err(refuse(process, &format!("invalid option -- '{letter}'")).await);
                }
                if !valid.contains(&format!("{letter}:")) {
                    options.flags.push(*letter);
                    continue;
                }
                let inline: String = letters[at..].iter().collect();
                at = letters.len();
                let value = if inline.is_empty() { rest.next().cloned() } else { Some(inline) };
                match value {
                    Some(value) => options.values.entry(*letter).or_default().push(value),
                    None => return Err(refuse(process, &format!("option requires an argument -- '{letter}'")).await),
                }
            }
        }
        Ok(options)
    }

    pub fn has(&self, letter: char) -> bool {
        self.flags.contains(&letter)
    }

    pub fn value(&self, letter: char) -> Option<&str> {
        self.values.get(&letter)?.last().map(String::as_str)
    }

    pub fn values(&self, letter: char) -> &[String] {
        self.values.get(&letter).map_or(&[], Vec::as_slice)
    }

    pub fn number(&self, letter: char) -> Option<i64> {
        self.value(letter)?.parse().ok()
    }
}

async fn refuse(process: &Process, what: &str) -> i32 {
    process.complain(what).await;
    process.err(format!("BusyBox v1.37.0 (simulated by Cordon) multi-call binary.\n\nUsage: {} [OPTIONS]\n", process.name)).await;
    1
}
