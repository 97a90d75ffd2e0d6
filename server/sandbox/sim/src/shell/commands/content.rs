//! cat, tac, head, tail, tee, wc, rev: whole contents.

use super::{Options, cannot_open, inputs};
use crate::shell::{machine::unless_signalled, process::Process, streams::CAPTURE_LIMIT};
use jiff::SignedDuration;

pub async fn run(process: &Process, name: &str, arguments: &[String]) -> i32 {
    match name {
        "cat" | "less" | "more" => cat(process, arguments).await,
        "head" | "tail" => ends(process, name == "tail", arguments).await,
        "tee" => tee(process, arguments).await,
        "wc" => wc(process, arguments).await,
        _ => reversed(process, name == "tac", arguments).await,
    }
}

async fn cat(process: &Process, arguments: &[String]) -> i32 {
    let options = match Options::parse(process, arguments, "nbvteAu", &[]).await {
        Ok(options) => options,
        Err(code) => return code,
    };
    let operands = if options.operands.is_empty() { vec!["-".to_owned()] } else { options.operands.clone() };
    let (mut status, mut number) = (0, 0);
    for operand in operands {
        let input = match operand.as_str() {
            "-" => process.stdin.clone(),
            file => match process.open(file) {
                Ok(input) => input,
                Err(error) => {
                    cannot_open(process, file, error).await;
                    status = 1;
                    continue;
                }
            },
        };
        loop {
            if !process.step().await {
                return 128 + process.control.pending().unwrap_or(9);
            }
            if options.has('n') {
                let Some(line) = unless_signalled(process, input.line()).await.flatten() else { break };
                number += 1;
                process.out([format!("{number:>6}\t").into_bytes(), line].concat()).await;
                continue;
            }
            let Some(bytes) = unless_signalled(process, input.read(4096)).await else {
                return 128 + process.control.pending().unwrap_or(2);
            };
            if bytes.is_empty() {
                break;
            }
            if !process.out(bytes).await {
                return if matches!(process.stdout, crate::shell::streams::Output::Full) { 1 } else { 141 };
            }
        }
    }
    status
}

async fn ends(process: &Process, tail: bool, arguments: &[String]) -> i32 {
    // `-5` is `-n 5`.
    let arguments: Vec<String> = arguments
        .iter()
        .flat_map(|a| match a.strip_prefix('-') {
            Some(n) if !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()) => vec!["-n".to_owned(), n.to_owned()],
            _ => vec![a.clone()],
        })
        .collect();
    let options = match Options::parse(process, &arguments, "n:c:fFqvs:", &[("lines", 'n'), ("bytes", 'c'), ("follow", 'f')]).await {
        Ok(options) => options,
        Err(code) => return code,
    };
    let text = options.value('c').or(options.value('n')).unwrap_or("10").to_owned();
    let Ok(count) = text.trim_start_matches(['+', '-']).parse::<usize>() else {
        process.complain(format!("invalid number '{text}'")).await;
        return 1;
    };
    let bytes_wanted = options.value('c').is_some();
    if !tail && !bytes_wanted && options.operands.is_empty() && !text.starts_with('-') {
        // Line by line, so that an endless writer is let go.
        for _ in 0..count {
            let Some(line) = unless_signalled(process, process.stdin.line()).await.flatten() else { break };
            process.out(line).await;
        }
        return 0;
    }
    if !tail && bytes_wanted && options.operands.len() < 2 && !text.starts_with('-') {
        return first_bytes(process, options.operands.first().map_or("-", String::as_str), count).await;
    }
    // The end of what never ends is sought until the memory is full.
    let endless = |file: &String| process.open(file).is_ok_and(|input| input.is_endless());
    if tail && options.operands.iter().any(endless) {
        return process.run_out_of_memory();
    }
    let (contents, status) = inputs(process, &options.operands).await;
    let full = |(_, content): &(String, Vec<u8>)| content.len() >= CAPTURE_LIMIT && !content.contains(&b'\n');
    if tail && options.operands.is_empty() && contents.iter().any(full) && process.is_too_much(64 << 20) {
        return process.run_out_of_memory();
    }
    let many = contents.len() > 1 && !options.has('q');
    for (i, (name, content)) in contents.iter().enumerate() {
        if many {
            process.out(format!("{}==> {name} <==\n", if i > 0 { "\n" } else { "" })).await;
        }
        let pieces: Vec<&[u8]> =
            if bytes_wanted { content.chunks(1).collect() } else { content.split_inclusive(|b| *b == b'\n').collect() };
        let range = match (tail, text.chars().next()) {
            (true, Some('+')) => count.saturating_sub(1).min(pieces.len())..pieces.len(),
            (true, _) => pieces.len().saturating_sub(count)..pieces.len(),
            (false, Some('-')) => 0..pieces.len().saturating_sub(count),
            (false, _) => 0..count.min(pieces.len()),
        };
        process.out(pieces[range].concat()).await;
    }
    if tail && (options.has('f') || options.has('F')) {
        let mut seen: Vec<usize> = contents.iter().map(|(_, c)| c.len()).collect();
        loop {
            if !process.step().await {
                return 128 + process.control.pending().unwrap_or(2);
            }
            process.sleep(SignedDuration::from_secs(1)).await;
            for (i, (name, _)) in contents.iter().enumerate() {
                if let Ok(content) = process.read(name)
                    && content.len() > seen[i]
                {
                    process.out(&content[seen[i]..]).await;
                    seen[i] = content.len();
                }
            }
        }
    }
    status
}

/// `head -c`, piece by piece: what is read may never end.
async fn first_bytes(process: &Process, file: &str, count: usize) -> i32 {
    let input = match file {
        "-" => process.stdin.clone(),
        file => match process.open(file) {
            Ok(input) => input,
            Err(error) => {
                cannot_open(process, file, error).await;
                return 1;
            }
        },
    };
    let mut left = count;
    while left > 0 {
        if !process.step().await {
            return 128 + process.control.pending().unwrap_or(9);
        }
        let bytes = unless_signalled(process, input.read(left.min(4096))).await.unwrap_or_default();
        left -= bytes.len();
        if bytes.is_empty() || !process.out(bytes).await {
            break;
        }
    }
    0
}

async fn tee(process: &Process, arguments: &[String]) -> i32 {
    let options = match Options::parse(process, arguments, "ai", &[("append", 'a')]).await {
        Ok(options) => options,
        Err(code) => return code,
    };
    let (mut outputs, mut status) = (vec![process.stdout.clone()], 0);
    for file in &options.operands {
        match process.create(file, options.has('a')) {
            Ok(output) => outputs.push(output),
            Err(error) => {
                process.complain(format!("{file}: {error}")).await;
                status = 1;
            }
        }
    }
    loop {
        let Some(bytes) = unless_signalled(process, process.stdin.read(4096)).await.filter(|b| !b.is_empty()) else { return status };
        for output in &outputs {
            output.write(&bytes).await;
        }
    }
}

async fn wc(process: &Process, arguments: &[String]) -> i32 {
    let options = match Options::parse(process, arguments, "lwcmL", &[]).await {
        Ok(options) => options,
        Err(code) => return code,
    };
    let all = !['l', 'w', 'c', 'm', 'L'].iter().any(|f| options.has(*f));
    let (contents, status) = inputs(process, &options.operands).await;
    let count = |content: &[u8]| {
        let text = String::from_utf8_lossy(content);
        let mut fields = Vec::new();
        if all || options.has('l') {
            fields.push(content.iter().filter(|b| **b == b'\n').count());
        }
        if all || options.has('w') {
            fields.push(text.split_whitespace().count());
        }
        if options.has('m') {
            fields.push(text.chars().count());
        }
        if all || options.has('c') {
            fields.push(content.len());
        }
        if options.has('L') {
            fields.push(text.lines().map(|l| l.chars().count()).max().unwrap_or(0));
        }
        fields
    };
    let show = |fields: &[usize], name: &str| {
        let numbers = match fields {
            [one] => one.to_string(),
            many => many.iter().map(|n| format!("{n:>9}")).collect::<Vec<_>>().join(" "),
        };
        if name == "-" { format!("{numbers}\n") } else { format!("{numbers} {name}\n") }
    };
    let mut totals: Vec<usize> = Vec::new();
    for (name, content) in &contents {
        let fields = count(content);
        totals.resize(fields.len(), 0);
        totals.iter_mut().zip(&fields).for_each(|(total, n)| *total += n);
        process.out(show(&fields, name)).await;
    }
    if contents.len() > 1 {
        process.out(show(&totals, "total")).await;
    }
    status
}

async fn reversed(process: &Process, lines: bool, arguments: &[String]) -> i32 {
    let (contents, status) = inputs(process, arguments).await;
    for (_, content) in contents {
        let text = String::from_utf8_lossy(&content).into_owned();
        let out: String = if lines {
            text.lines().rev().map(|l| format!("{l}\n")).collect()
        } else {
            text.lines().map(|l| format!("{}\n", l.chars().rev().collect::<String>())).collect()
        };
        process.out(out).await;
    }
    status
}
