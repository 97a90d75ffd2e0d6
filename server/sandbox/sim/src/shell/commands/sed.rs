//! sed: s, d, p, q, =, a, i, c, y with line numbers, ranges and patterns.

use super::{Options, grep::translate};
use crate::shell::process::Process;

enum Address {
    Line(usize),
    Last,
    Pattern(regex::Regex),
}

struct Instruction {
    from: Option<Address>,
    to: Option<Address>,
    negated: bool,
    verb: char,
    pattern: Option<regex::Regex>,
    text: String,
    flags: String,
    active: bool,
}

pub async fn run(process: &Process, arguments: &[String]) -> i32 {
    let options = match Options::parse(
        process,
        arguments,
        "nriEse:f:",
        &[("expression", 'e'), ("quiet", 'n'), ("regexp-extended", 'E'), ("in-place", 'i')],
    )
    .await
    {
        Ok(options) => options,
        Err(code) => return code,
    };
    let mut operands = options.operands.clone();
    let mut scripts = options.values('e').to_vec();
    if scripts.is_empty() {
        if operands.is_empty() {
            process.err("BusyBox v1.37.0 (simulated by Cordon) multi-call binary.\n\nUsage: sed [-i] [-nrE] SCRIPT [FILE]...\n").await;
            return 1;
        }
        scripts.push(operands.remove(0));
    }
    let extended = options.has('r') || options.has('E');
    let mut program = match parse(&scripts.join("\n"), extended) {
        Ok(program) => program,
        Err(message) => {
            process.complain(message).await;
            return 1;
        }
    };
    let (contents, status) = super::inputs(process, &operands).await;
    let mut number = 0;
    for (i, (name, content)) in contents.iter().enumerate() {
        let text = String::from_utf8_lossy(content).into_owned();
        let lines: Vec<&str> = text.lines().collect();
        let mut out = String::new();
        let final_file = i + 1 == contents.len();
        for (n, line) in lines.iter().enumerate() {
            number += 1;
            if !process.step().await {
                return 137;
            }
            let quit = apply(&mut program, line, number, final_file && n + 1 == lines.len(), options.has('n'), &mut out);
            if quit || out.len() > 1 << 20 {
                break;
            }
        }
        if options.has('i') {
            if let Err(error) = process.write(name, out.into_bytes()) {
                process.complain(format!("{name}: {error}")).await;
                return 4;
            }
        } else {
            process.out(out).await;
        }
    }
    status
}

fn apply(program: &mut [Instruction], line: &str, number: usize, last: bool, silent: bool, out: &mut String) -> bool {
    let mut line = line.to_owned();
    let (mut deleted, mut quit, mut after) = (false, false, String::new());
    for instruction in program {
        if instruction.selects(&line, number, last) == instruction.negated {
            continue;
        }
        match instruction.verb {
            'd' => {
                deleted = true;
                break;
            }
            'p' => out.push_str(&format!("{line}\n")),
            'q' => {
                quit = true;
                break;
            }
            '=' => out.push_str(&format!("{number}\n")),
            'i' => out.push_str(&format!("{}\n", instruction.text)),
            'a' => after.push_str(&format!("{}\n", instruction.text)),
            'c' => {
                out.push_str(&format!("{}\n", instruction.text));
                deleted = true;
                break;
            }
            'y' => {
                let (from, to): (Vec<char>, Vec<char>) = (instruction.text.chars().collect(), instruction.flags.chars().collect());
                line = line.chars().map(|c| from.iter().position(|f| *f == c).and_then(|i| to.get(i).copied()).unwrap_or(c)).collect();
            }
            _ => {
                if let Some(pattern) = &instruction.pattern {
                    let most = if instruction.flags.contains('g') { 0 } else { 1 };
                    let replaced = pattern.replacen(&line, most, instruction.text.as_str()).into_owned();
                    if replaced != line && instruction.flags.contains('p') {
                        out.push_str(&format!("{replaced}\n"));
                    }
                    line = replaced;
                }
            }
        }
    }
    if !deleted && !silent {
        out.push_str(&line);
        out.push('\n');
    }
    out.push_str(&after);
    quit
}

impl Instruction {
    fn selects(&mut self, line: &str, number: usize, last: bool) -> bool {
        let hit = |address: &Address| match address {
            Address::Line(n) => *n == number,
            Address::Last => last,
            Address::Pattern(pattern) => pattern.is_match(line),
        };
        match (&self.from, &self.to) {
            (None, _) => true,
            (Some(from), None) => hit(from),
            (Some(from), Some(to)) => {
                if self.active {
                    self.active = !(hit(to) || matches!(to, Address::Line(n) if *n <= number));
                    return true;
                }
                let starts = hit(from);
                self.active = starts && !matches!(to, Address::Line(n) if *n <= number);
                starts
            }
        }
    }
}

fn parse(script: &str, extended: bool) -> Result<Vec<Instruction>, String> {
    let chars: Vec<char> = script.chars().collect();
    let (mut at, mut program) = (0, Vec::new());
    let compile = |text: &str, flags: &str| {
        let insensitive = flags.contains(['i', 'I']);
        regex::RegexBuilder::new(&translate(text, extended))
            .case_insensitive(insensitive)
            .size_limit(1 << 20)
            .build()
            .map_err(|_| format!("bad regex '{text}'"))
    };
    let until = |at: &mut usize, end: char| -> Result<String, String> {
        let mut text = String::new();
        while let Some(c) = chars.get(*at).copied() {
            *at += 1;
            if c == end {
                return Ok(text);
            }
            if c == '\\' && chars.get(*at) == Some(&end) {
                text.push(end);
                *at += 1;
            } else if c == '\\' {
                text.push(c);
                text.extend(chars.get(*at));
                *at += 1;
            } else {
                text.push(c);
            }
        }
        Err("unmatched '/'".to_owned())
    };
    while at < chars.len() {
        if chars[at].is_whitespace() || chars[at] == ';' || chars[at] == '}' {
            at += 1;
            continue;
        }
        let address = |at: &mut usize| -> Result<Option<Address>, String> {
            match chars.get(*at) {
                Some('$') => {
                    *at += 1;
                    Ok(Some(Address::Last))
                }
                Some('/') => {
                    *at += 1;
                    let text = until(at, '/')?;
                    Ok(Some(Address::Pattern(compile(&text, "")?)))
                }
                Some(c) if c.is_ascii_digit() => {
                    let digits: String = chars[*at..].iter().take_while(|c| c.is_ascii_digit()).collect();
                    *at += digits.len();
                    Ok(Some(Address::Line(digits.parse().map_err(|_| "bad line number")?)))
                }
                _ => Ok(None),
            }
        };
        let from = address(&mut at)?;
        let to = if from.is_some() && chars.get(at) == Some(&',') {
            at += 1;
            address(&mut at)?
        } else {
            None
        };
        let negated = chars.get(at) == Some(&'!');
        at += usize::from(negated);
        while chars.get(at).is_some_and(|c| c.is_whitespace()) {
            at += 1;
        }
        let Some(verb) = chars.get(at).copied() else { return Err("missing command".to_owned()) };
        at += 1;
        let mut instruction =
            Instruction { from, to, negated, verb, pattern: None, text: String::new(), flags: String::new(), active: false };
        match verb {
            's' | 'y' => {
                let delimiter = *chars.get(at).ok_or("bad format in substitution expression")?;
                at += 1;
                let (pattern, text) = (until(&mut at, delimiter)?, until(&mut at, delimiter)?);
                if verb == 'y' {
                    (instruction.text, instruction.flags) = (pattern, text);
                } else {
                    instruction.flags = chars[at..].iter().take_while(|c| c.is_ascii_alphanumeric()).collect();
                    at += instruction.flags.len();
                    instruction.pattern = Some(compile(&pattern, &instruction.flags)?);
                    instruction.text = replacement(&text);
                }
            }
            'a' | 'i' | 'c' => {
                let line: String = chars[at..].iter().take_while(|c| **c != '\n').collect();
                at += line.chars().count();
                instruction.text = line.trim_start().trim_start_matches('\\').trim_start().to_owned();
            }
            'd' | 'p' | 'q' | '=' => {}
            other => return Err(format!("unsupported command {other}")),
        }
        program.push(instruction);
    }
    Ok(program)
}

/// `&`, `\1` and `\n` in the words of the regex crate.
fn replacement(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '&' => out.push_str("${0}"),
            '$' => out.push_str("$$"),
            '\\' => match chars.next() {
                Some(d) if d.is_ascii_digit() => out.push_str(&format!("${{{d}}}")),
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some('$') => out.push_str("$$"),
                Some(other) => out.push(other),
                None => {}
            },
            _ => out.push(c),
        }
    }
    out
}
