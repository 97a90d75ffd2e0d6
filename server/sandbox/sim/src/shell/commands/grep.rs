//! grep: basic and extended patterns, as busybox takes them.

use super::Options;
use crate::shell::{machine::unless_signalled, process::Process, streams::Input};

/// A POSIX basic pattern in the words of the regex crate.
pub fn translate(pattern: &str, extended: bool) -> String {
    if extended {
        return pattern.to_owned();
    }
    let mut out = String::new();
    let mut chars = pattern.chars().peekable();
    let mut class = false;
    while let Some(c) = chars.next() {
        match c {
            '[' if !class => {
                class = true;
                out.push('[');
            }
            ']' if class => {
                class = false;
                out.push(']');
            }
            _ if class => out.push(c),
            '\\' => match chars.next() {
                Some(c @ ('(' | ')' | '{' | '}' | '|' | '+' | '?')) => out.push(c),
                Some('<' | '>') => out.push_str("\\b"),
                Some(c) => out.extend(['\\', c]),
                None => out.push_str("\\\\"),
            },
            '(' | ')' | '{' | '}' | '|' | '+' | '?' => out.extend(['\\', c]),
            '*' if out.is_empty() || out == "^" => out.push_str("\\*"),
            _ => out.push(c),
        }
    }
    out
}

pub async fn run(process: &Process, name: &str, arguments: &[String]) -> i32 {
    let options = match Options::parse(
        process,
        arguments,
        "EFivnclLoqshHwxrRe:m:A:B:C:f:a",
        &[("color", 'a'), ("ignore-case", 'i'), ("count", 'c'), ("quiet", 'q'), ("invert-match", 'v')],
    )
    .await
    {
        Ok(options) => options,
        Err(_) => return 2,
    };
    let mut operands = options.operands.clone();
    let mut patterns: Vec<String> = options.values('e').to_vec();
    if patterns.is_empty() {
        if operands.is_empty() {
            process
                .err("BusyBox v1.37.0 (simulated by Cordon) multi-call binary.\n\nUsage: grep [OPTIONS] PATTERN|-e PATTERN... [FILE]...\n")
                .await;
            return 2;
        }
        patterns.push(operands.remove(0));
    }
    let one = |p: &String| {
        let text = if name == "fgrep" || options.has('F') { regex::escape(p) } else { translate(p, name == "egrep" || options.has('E')) };
        let text = if options.has('w') { format!("\\b(?:{text})\\b") } else { text };
        if options.has('x') { format!("^(?:{text})$") } else { text }
    };
    let joined =
        patterns.iter().flat_map(|p| p.split('\n').map(str::to_owned).collect::<Vec<_>>()).map(|p| one(&p)).collect::<Vec<_>>().join("|");
    let Ok(regex) = regex::RegexBuilder::new(&joined).case_insensitive(options.has('i')).size_limit(1 << 20).build() else {
        process.complain(format!("bad regex '{}'", patterns[0])).await;
        return 2;
    };
    let recursive = options.has('r') || options.has('R');
    let mut files = if operands.is_empty() { vec![if recursive { "." } else { "-" }.to_owned()] } else { operands };
    let named = options.has('H') || ((files.len() > 1 || recursive) && !options.has('h'));
    let (mut matched, mut failed) = (false, false);
    files.reverse();
    while let Some(file) = files.pop() {
        if !process.step().await {
            return 137;
        }
        if recursive && process.find(&file, true).is_ok_and(|f| f.inode.is_directory()) {
            let mut inner: Vec<_> =
                process.list(&file).unwrap_or_default().into_iter().map(|n| format!("{}/{n}", file.trim_end_matches('/'))).collect();
            inner.reverse();
            files.extend(inner);
            continue;
        }
        let input = if file == "-" { Ok(process.stdin.clone()) } else { process.open(&file) };
        match input {
            Ok(input) => matched |= search(process, &options, &regex, &input, &file, named).await,
            Err(error) => {
                failed = true;
                if !options.has('s') {
                    process.complain(format!("{file}: {error}")).await;
                }
            }
        }
        if matched && options.has('q') {
            return 0;
        }
    }
    if failed { 2 } else { i32::from(!matched) }
}

async fn search(process: &Process, options: &Options, regex: &regex::Regex, input: &Input, file: &str, named: bool) -> bool {
    let shown = if file == "-" { "(standard input)" } else { file };
    let prefix = |n: usize, mark: char| {
        let name = if named { format!("{shown}{mark}") } else { String::new() };
        if options.has('n') { format!("{name}{n}{mark}") } else { name }
    };
    let context = options.number('C').unwrap_or(0);
    let (after, before) = (options.number('A').unwrap_or(context), usize::try_from(options.number('B').unwrap_or(context)).unwrap_or(0));
    let (mut count, mut number, mut left) = (0, 0, 0);
    let mut held: Vec<(usize, String)> = Vec::new();
    while let Some(line) = unless_signalled(process, input.line()).await.flatten() {
        number += 1;
        if !process.step().await {
            break;
        }
        let line = String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned();
        if regex.is_match(&line) == options.has('v') {
            if left > 0 {
                left -= 1;
                process.out(format!("{}{line}\n", prefix(number, '-'))).await;
            } else if before > 0 {
                held.push((number, line));
                if held.len() > before {
                    held.remove(0);
                }
            }
            continue;
        }
        count += 1;
        left = after;
        if options.has('q') || options.has('l') {
            break;
        }
        if options.has('c') || options.has('L') {
            continue;
        }
        for (n, line) in held.drain(..) {
            process.out(format!("{}{line}\n", prefix(n, '-'))).await;
        }
        if options.has('o') {
            for found in regex.find_iter(&line).filter(|m| !m.is_empty()) {
                process.out(format!("{}{}\n", prefix(number, ':'), found.as_str())).await;
            }
        } else if !process.out(format!("{}{line}\n", prefix(number, ':'))).await {
            break;
        }
        if options.number('m').is_some_and(|most| count >= most) {
            break;
        }
    }
    if options.has('c') {
        process.out(format!("{}{count}\n", if named { format!("{shown}:") } else { String::new() })).await;
    } else if (options.has('l') && count > 0) || (options.has('L') && count == 0) {
        process.out(format!("{shown}\n")).await;
    }
    count > 0
}
