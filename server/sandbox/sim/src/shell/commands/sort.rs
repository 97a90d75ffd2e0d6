//! sort, uniq.

use super::{Options, inputs};
use crate::shell::process::Process;

pub async fn run(process: &Process, name: &str, arguments: &[String]) -> i32 {
    if name == "uniq" { uniq(process, arguments).await } else { sort(process, arguments).await }
}

async fn sort(process: &Process, arguments: &[String]) -> i32 {
    let options = match Options::parse(process, arguments, "nrubfhsVk:t:o:", &[("reverse", 'r'), ("unique", 'u')]).await {
        Ok(options) => options,
        Err(code) => return code,
    };
    let (contents, status) = inputs(process, &options.operands).await;
    let text: String = contents.iter().map(|(_, c)| String::from_utf8_lossy(c).into_owned()).collect();
    let mut lines: Vec<&str> = text.lines().collect();
    let field: Option<usize> = options.value('k').and_then(|k| k.split([',', '.', 'n', 'r']).next()?.parse().ok());
    let numeric = options.has('n') || options.has('h') || options.value('k').is_some_and(|k| k.contains('n'));
    let key = |line: &str| -> String {
        match (field, options.value('t')) {
            (None, _) => line.to_owned(),
            (Some(n), Some(separator)) => line.split(separator).skip(n.saturating_sub(1)).collect::<Vec<_>>().join(separator),
            (Some(n), None) => line.split_whitespace().skip(n.saturating_sub(1)).collect::<Vec<_>>().join(" "),
        }
    };
    let number = |text: &str| {
        let digits: String = text
            .trim()
            .chars()
            .enumerate()
            .take_while(|(i, c)| c.is_ascii_digit() || *c == '.' || (*i == 0 && *c == '-'))
            .map(|(_, c)| c)
            .collect();
        digits.parse::<f64>().unwrap_or(0.0)
    };
    lines.sort_by(|a, b| {
        let (x, y) = (key(a), key(b));
        let order = if numeric {
            number(&x).total_cmp(&number(&y))
        } else if options.has('f') {
            x.to_lowercase().cmp(&y.to_lowercase())
        } else {
            x.cmp(&y)
        };
        let order = order.then_with(|| a.cmp(b));
        if options.has('r') || options.value('k').is_some_and(|k| k.contains('r')) { order.reverse() } else { order }
    });
    if options.has('u') {
        lines.dedup_by_key(|line| if numeric { number(&key(line)).to_string() } else { key(line) });
    }
    let out: String = lines.iter().map(|l| format!("{l}\n")).collect();
    match options.value('o') {
        Some(file) => {
            if let Err(error) = process.write(file, out.into_bytes()) {
                process.complain(format!("{file}: {error}")).await;
                return 1;
            }
        }
        None => {
            process.out(out).await;
        }
    }
    status
}

async fn uniq(process: &Process, arguments: &[String]) -> i32 {
    let options = match Options::parse(process, arguments, "cdui", &[]).await {
        Ok(options) => options,
        Err(code) => return code,
    };
    let (contents, status) = inputs(process, &options.operands).await;
    let text: String = contents.iter().map(|(_, c)| String::from_utf8_lossy(c).into_owned()).collect();
    let mut groups: Vec<(usize, &str)> = Vec::new();
    for line in text.lines() {
        match groups.last_mut() {
            Some((count, last)) if *last == line || (options.has('i') && last.eq_ignore_ascii_case(line)) => *count += 1,
            _ => groups.push((1, line)),
        }
    }
    for (count, line) in groups {
        if (options.has('d') && count < 2) || (options.has('u') && count > 1) {
            continue;
        }
        process.out(if options.has('c') { format!("{count:>7} {line}\n") } else { format!("{line}\n") }).await;
    }
    status
}
