//! printf: a format, used again while there are arguments.

use super::echo::unescape;
use crate::shell::process::Process;

pub async fn run(process: &Process, arguments: &[String]) -> i32 {
    let Some(format) = arguments.first() else {
        process.err("printf: usage: printf FORMAT [ARG]...\n").await;
        return 1;
    };
    let mut values = arguments[1..].iter();
    let mut out = Vec::new();
    let mut status = 0;
    loop {
        let before = values.len();
        let mut chars = format.chars().peekable();
        let mut literal = String::new();
        while let Some(c) = chars.next() {
            if c != '%' {
                literal.push(c);
                continue;
            }
            if chars.peek() == Some(&'%') {
                chars.next();
                literal.push('%');
                continue;
            }
            out.extend(unescape(&std::mem::take(&mut literal)));
            let mut spec = String::new();
            while let Some(c) = chars.next_if(|c| c.is_ascii_digit() || matches!(c, '-' | '.' | '+' | ' ' | '#' | '*')) {
                if c == '*' { spec.push_str(values.next().map_or("0", String::as_str)) } else { spec.push(c) }
            }
            let kind = chars.next().unwrap_or('s');
            let value = values.next().cloned().unwrap_or_default();
            let number = |value: &str| -> Option<i64> {
                let value = value.trim();
                if value.is_empty() {
                    Some(0)
                } else {
                    value.strip_prefix("0x").map_or_else(|| value.parse().ok(), |hex| i64::from_str_radix(hex, 16).ok())
                }
            };
            let text = match kind {
                'd' | 'i' | 'u' | 'x' | 'X' | 'o' => {
                    let n = number(&value).unwrap_or_else(|| {
                        status = 1;
                        0
                    });
                    match kind {
                        'x' => format!("{n:x}"),
                        'X' => format!("{n:X}"),
                        'o' => format!("{n:o}"),
                        _ => n.to_string(),
                    }
                }
                'f' | 'g' | 'e' => {
                    let precision = spec.split_once('.').and_then(|(_, p)| p.parse().ok()).unwrap_or(6_usize).min(50);
                    format!("{:.precision$}", value.parse::<f64>().unwrap_or(0.0))
                }
                'c' => value.chars().take(1).collect(),
                'b' => String::from_utf8_lossy(&unescape(&value)).into_owned(),
                _ => match spec.split_once('.').and_then(|(_, p)| p.parse::<usize>().ok()) {
                    Some(most) => value.chars().take(most).collect(),
                    None => value,
                },
            };
            if status == 1 && matches!(kind, 'd' | 'i' | 'u' | 'x' | 'X' | 'o') {
                process.complain("invalid number").await;
            }
            out.extend(padded(&text, &spec).into_bytes());
        }
        out.extend(unescape(&literal));
        if values.len() == 0 || values.len() == before || out.len() > 1 << 20 {
            break;
        }
    }
    process.out(out).await;
    status
}

fn padded(text: &str, spec: &str) -> String {
    let left = spec.starts_with('-');
    let digits = spec.trim_start_matches(['-', '+', ' ', '#']);
    let zero = digits.starts_with('0');
    let width: usize = digits.split('.').next().and_then(|w| w.parse().ok()).unwrap_or(0).min(10_000);
    match (left, zero) {
        (true, _) => format!("{text:<width$}"),
        (false, true) => text
            .strip_prefix('-')
            .map_or_else(|| format!("{text:0>width$}"), |digits| format!("-{digits:0>w$}", w = width.saturating_sub(1))),
        (false, false) => format!("{text:>width$}"),
    }
}
