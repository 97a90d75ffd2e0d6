//! cut, tr, seq, xargs, base64, checksums, od, basename, dirname, expr, cmp, diff.

use super::{Options, inputs};
use crate::shell::process::Process;
use base64::Engine as _;
use sha2::{Digest as _, Sha256};

/// Whether a byte belongs to a class such as `[:digit:]`.
type ByteClass = fn(&u8) -> bool;

pub async fn run(process: &Process, name: &str, arguments: &[String]) -> i32 {
    match name {
        "cut" => cut(process, arguments).await,
        "tr" => tr(process, arguments).await,
        "seq" => seq(process, arguments).await,
        "xargs" => xargs(process, arguments).await,
        "basename" | "dirname" => {
            let path = arguments.first().map_or("", String::as_str);
            let text = if name == "dirname" {
                match path.trim_end_matches('/').rfind('/') {
                    Some(0) => "/".to_owned(),
                    Some(at) => path[..at].to_owned(),
                    None => ".".to_owned(),
                }
            } else {
                let base = super::base(path.trim_end_matches('/'));
                arguments.get(1).and_then(|suffix| base.strip_suffix(suffix.as_str())).unwrap_or(base).to_owned()
            };
            process.out(format!("{text}\n")).await;
            0
        }
        "expr" => expr(process, arguments).await,
        "base64" => base64(process, arguments).await,
        "cmp" | "diff" => compare(process, name, arguments).await,
        "od" => octal(process, arguments).await,
        "hexdump" | "xxd" => dump(process, arguments).await,
        _ => checksum(process, name, arguments).await,
    }
}

/// `1,3-5,7-` as a test.
fn in_list(list: &str, n: usize) -> bool {
    list.split(',').any(|range| match range.split_once('-') {
        Some((from, to)) => n >= from.parse().unwrap_or(1) && n <= to.parse().unwrap_or(usize::MAX),
        None => range.parse() == Ok(n),
    })
}

async fn cut(process: &Process, arguments: &[String]) -> i32 {
    let options = match Options::parse(process, arguments, "d:f:c:b:sn", &[("delimiter", 'd'), ("fields", 'f')]).await {
        Ok(options) => options,
        Err(code) => return code,
    };
    let (contents, status) = inputs(process, &options.operands).await;
    let delimiter = options.value('d').unwrap_or("\t").to_owned();
    for (_, content) in contents {
        for line in String::from_utf8_lossy(&content).lines() {
            let out = if let Some(list) = options.value('c').or(options.value('b')) {
                line.chars().enumerate().filter(|(i, _)| in_list(list, i + 1)).map(|(_, c)| c).collect()
            } else if let Some(list) = options.value('f') {
                if !line.contains(&delimiter) {
                    if options.has('s') {
                        continue;
                    }
                    line.to_owned()
                } else {
                    line.split(delimiter.as_str())
                        .enumerate()
                        .filter(|(i, _)| in_list(list, i + 1))
                        .map(|(_, f)| f)
                        .collect::<Vec<_>>()
                        .join(&delimiter)
                }
            } else {
                process.complain("expected a list of bytes, characters, or fields").await;
                return 1;
            };
            process.out(format!("{out}\n")).await;
        }
    }
    status
}

fn set(text: &str) -> Vec<u8> {
    let classes: [(&str, ByteClass); 6] = [
        ("[:upper:]", u8::is_ascii_uppercase),
        ("[:lower:]", u8::is_ascii_lowercase),
        ("[:digit:]", u8::is_ascii_digit),
        ("[:alpha:]", u8::is_ascii_alphabetic),
        ("[:alnum:]", u8::is_ascii_alphanumeric),
        ("[:space:]", u8::is_ascii_whitespace),
    ];
    if let Some((_, class)) = classes.iter().find(|(name, _)| *name == text) {
        return (0..=127).filter(class).collect();
    }
    let bytes = super::echo::unescape(text);
    let (mut out, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        if at + 2 < bytes.len() && bytes[at + 1] == b'-' && bytes[at] <= bytes[at + 2] {
            out.extend(bytes[at]..=bytes[at + 2]);
            at += 3;
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    out
}

async fn tr(process: &Process, arguments: &[String]) -> i32 {
    let options = match Options::parse(process, arguments, "dscC", &[]).await {
        Ok(options) => options,
        Err(code) => return code,
    };
    let Some(from) = options.operands.first().map(|s| set(s)) else { return 1 };
    let to = options.operands.get(1).map(|s| set(s)).unwrap_or_default();
    let complement = options.has('c') || options.has('C');
    let content = process.stdin.all().await;
    let mut out: Vec<u8> = Vec::with_capacity(content.len());
    for byte in content {
        let at = from.iter().position(|f| *f == byte);
        let hit = at.is_some() != complement;
        if hit && options.has('d') {
            continue;
        }
        let mapped = if hit && !to.is_empty() { *at.and_then(|i| to.get(i)).or(to.last()).unwrap_or(&byte) } else { byte };
        let squeeze = options.has('s') && out.last() == Some(&mapped) && if to.is_empty() { hit } else { to.contains(&mapped) };
        if !squeeze {
            out.push(mapped);
        }
    }
    process.out(out).await;
    0
}

async fn seq(process: &Process, arguments: &[String]) -> i32 {
    let options = match Options::parse(process, arguments, "ws:", &[]).await {
        Ok(options) => options,
        Err(code) => return code,
    };
    let numbers: Vec<i64> = options.operands.iter().filter_map(|a| a.parse().ok()).collect();
    let (first, step, last) = match numbers.as_slice() {
        [last] => (1, 1, *last),
        [first, last] => (*first, 1, *last),
        [first, step, last] => (*first, *step, *last),
        _ => return 1,
    };
    let mut n = first;
    while step != 0 && ((step > 0 && n <= last) || (step < 0 && n >= last)) {
        if !process.step().await || !process.out(format!("{n}\n")).await {
            return 1;
        }
        n = n.saturating_add(step);
    }
    0
}

async fn xargs(process: &Process, arguments: &[String]) -> i32 {
    // Its own options end where the command begins.
    let mut own = 0;
    while let Some(argument) = arguments.get(own).filter(|a| a.starts_with('-')) {
        own += if matches!(argument.as_str(), "-n" | "-I" | "-P" | "-s") { 2 } else { 1 };
    }
    let options = match Options::parse(process, &arguments[..own.min(arguments.len())], "0rtn:I:P:s:", &[]).await {
        Ok(options) => options,
        Err(code) => return code,
    };
    let command: Vec<String> = if own < arguments.len() { arguments[own..].to_vec() } else { vec!["echo".to_owned()] };
    let text = String::from_utf8_lossy(&process.stdin.all().await).into_owned();
    let items: Vec<String> = if options.has('0') {
        text.split('\0').filter(|i| !i.is_empty()).map(str::to_owned).collect()
    } else if options.value('I').is_some() {
        text.lines().map(str::to_owned).collect()
    } else {
        text.split_whitespace().map(str::to_owned).collect()
    };
    if items.is_empty() && options.has('r') {
        return 0;
    }
    if super::locate(process, &command[0], None) != super::Located::Program {
        process.complain(format!("{}: No such file or directory", command[0])).await;
        return 127;
    }
    let mut status = 0;
    let size =
        if options.value('I').is_some() { 1 } else { options.number('n').and_then(|n| usize::try_from(n).ok()).unwrap_or(5000).max(1) };
    for chunk in if items.is_empty() { vec![&items[..]] } else { items.chunks(size).collect() } {
        let line = match options.value('I') {
            Some(mark) => command.iter().map(|c| c.replace(mark, &chunk[0])).collect(),
            None => [command.clone(), chunk.to_vec()].concat(),
        };
        if Box::pin(super::run(&mut process.clone(), &line)).await != 0 {
            status = 123;
        }
    }
    status
}

async fn expr(process: &Process, arguments: &[String]) -> i32 {
    let text = match arguments {
        [a, operator, b] if matches!(operator.as_str(), "+" | "-" | "*" | "/" | "%" | "<" | ">" | "<=" | ">=" | "=" | "!=") => {
            let operator = if operator == "=" { "==" } else { operator };
            match crate::shell::arithmetic::evaluate(&format!("({a}) {operator} ({b})"), &std::collections::BTreeMap::new()) {
                Ok(value) => value.to_string(),
                Err(_) if operator == "==" => i32::from(a == b).to_string(),
                Err(_) if operator == "!=" => i32::from(a != b).to_string(),
                Err(message) => {
                    process.complain(message).await;
                    return 2;
                }
            }
        }
        [word, text] if word == "length" => text.chars().count().to_string(),
        [one] => one.clone(),
        _ => {
            process.complain("syntax error").await;
            return 2;
        }
    };
    process.out(format!("{text}\n")).await;
    i32::from(text.is_empty() || text == "0")
}

async fn base64(process: &Process, arguments: &[String]) -> i32 {
    let options = match Options::parse(process, arguments, "diw:", &[("decode", 'd'), ("wrap", 'w')]).await {
        Ok(options) => options,
        Err(code) => return code,
    };
    let (contents, status) = inputs(process, &options.operands).await;
    for (_, content) in contents {
        if options.has('d') {
            let clean: Vec<u8> = content.into_iter().filter(|b| !b.is_ascii_whitespace()).collect();
            match base64::engine::general_purpose::STANDARD.decode(clean) {
                Ok(bytes) => {
                    process.out(bytes).await;
                }
                Err(_) => {
                    process.complain("truncated input").await;
                    return 1;
                }
            }
        } else {
            let text = base64::engine::general_purpose::STANDARD.encode(content);
            let width = options.number('w').and_then(|w| usize::try_from(w).ok()).unwrap_or(76);
            let lines: Vec<String> = if width == 0 {
                vec![text]
            } else {
                text.as_bytes().chunks(width).map(|c| String::from_utf8_lossy(c).into_owned()).collect()
            };
            process.out(format!("{}{}", lines.join("\n"), if width == 0 { "" } else { "\n" })).await;
        }
    }
    status
}

async fn checksum(process: &Process, name: &str, arguments: &[String]) -> i32 {
    if name != "sha256sum" {
        process.err(format!("{name}: not simulated by Cordon (cordon.dev/simulated); sha256sum is\n")).await;
        return 126;
    }
    let (contents, status) = inputs(process, arguments).await;
    for (file, content) in contents {
        process.out(format!("{}  {file}\n", hex::encode(Sha256::digest(&content)))).await;
    }
    status
}

/// `od`: words of two bytes in octal, or what `-c`, `-x`, `-b` and `-t` ask for.
async fn octal(process: &Process, arguments: &[String]) -> i32 {
    let options = match super::Options::parse(process, arguments, "cxbovA:t:N:j:w:", &[]).await {
        Ok(options) => options,
        Err(code) => return code,
    };
    let kind = options.value('t').unwrap_or(match () {
        () if options.has('c') => "c",
        () if options.has('x') => "x2",
        () if options.has('b') => "o1",
        () => "o2",
    });
    let most = options.number('N').and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX);
    let (contents, status) = inputs(process, &options.operands).await;
    let all: Vec<u8> = contents.into_iter().flat_map(|(_, content)| content).take(most).collect();
    let address = |at: usize| match options.value('A') {
        Some("n") => String::new(),
        Some("x") => format!("{at:06x}"),
        Some("d") => format!("{at:07}"),
        _ => format!("{at:07o}"),
    };
    for (i, line) in all.chunks(16).enumerate().take(10_000) {
        let cells: String = match kind {
            "c" => line.iter().map(|b| format!(" {:>3}", character(*b))).collect(),
            "x1" => line.iter().map(|b| format!(" {b:02x}")).collect(),
            "o1" => line.iter().map(|b| format!(" {b:03o}")).collect(),
            "u1" | "d1" => line.iter().map(|b| format!(" {b:>3}")).collect(),
            _ => line
                .chunks(2)
                .map(|pair| u16::from(pair[0]) | u16::from(pair.get(1).copied().unwrap_or(0)) << 8)
                .map(|word| if kind.starts_with('x') { format!(" {word:04x}") } else { format!(" {word:06o}") })
                .collect(),
        };
        process.out(format!("{}{cells}\n", address(i * 16))).await;
    }
    if options.value('A') != Some("n") {
        process.out(format!("{}\n", address(all.len()))).await;
    }
    status
}

/// A byte as `od -c` shows it.
fn character(byte: u8) -> String {
    match byte {
        0 => "\\0".to_owned(),
        7 => "\\a".to_owned(),
        8 => "\\b".to_owned(),
        b'\t' => "\\t".to_owned(),
        b'\n' => "\\n".to_owned(),
        b'\r' => "\\r".to_owned(),
        0x20..0x7f => char::from(byte).to_string(),
        _ => format!("{byte:03o}"),
    }
}

async fn dump(process: &Process, arguments: &[String]) -> i32 {
    let files: Vec<String> = arguments.iter().filter(|a| !a.starts_with('-')).cloned().collect();
    let (contents, status) = inputs(process, &files).await;
    for (_, content) in contents {
        for (i, line) in content.chunks(16).enumerate().take(10_000) {
            let bytes: String = line.iter().map(|b| format!(" {b:02x}")).collect();
            let text: String = line.iter().map(|b| if b.is_ascii_graphic() || *b == b' ' { char::from(*b) } else { '.' }).collect();
            process.out(format!("{:08x} {bytes:<48}  |{text}|\n", i * 16)).await;
        }
    }
    status
}

async fn compare(process: &Process, name: &str, arguments: &[String]) -> i32 {
    let files: Vec<String> = arguments.iter().filter(|a| !a.starts_with('-') || *a == "-").cloned().collect();
    let (contents, status) = inputs(process, &files).await;
    let [(a_name, a), (b_name, b)] = contents.as_slice() else { return status.max(2) };
    if a == b {
        return 0;
    }
    if name == "cmp" {
        let at = a.iter().zip(b).position(|(x, y)| x != y).unwrap_or(a.len().min(b.len()));
        process
            .out(format!("{a_name} {b_name} differ: char {}, line {}\n", at + 1, a[..at].iter().filter(|c| **c == b'\n').count() + 1))
            .await;
        return 1;
    }
    // Common head and tail; what lies between is shown as removed and added.
    let (a, b) = (String::from_utf8_lossy(a).into_owned(), String::from_utf8_lossy(b).into_owned());
    let (a, b): (Vec<&str>, Vec<&str>) = (a.lines().collect(), b.lines().collect());
    let head = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
    let tail = a[head..].iter().rev().zip(b[head..].iter().rev()).take_while(|(x, y)| x == y).count();
    let (gone, new) = (&a[head..a.len() - tail], &b[head..b.len() - tail]);
    let range = |n: usize| if n == 1 { format!("{}", head + 1) } else { format!("{},{n}", head + 1) };
    let mut out = format!("--- {a_name}\n+++ {b_name}\n@@ -{} +{} @@\n", range(gone.len()), range(new.len()));
    out.extend(gone.iter().map(|l| format!("-{l}\n")));
    out.extend(new.iter().map(|l| format!("+{l}\n")));
    process.out(out).await;
    1
}
