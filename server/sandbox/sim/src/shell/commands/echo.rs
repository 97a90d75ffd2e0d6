//! echo, yes.

use crate::shell::process::Process;

pub async fn run(process: &Process, name: &str, arguments: &[String]) -> i32 {
    if name == "yes" {
        let line = if arguments.is_empty() { "y\n".to_owned() } else { format!("{}\n", arguments.join(" ")) };
        while process.step().await && process.out(&line).await {}
        return 0;
    }
    let (mut newline, mut escapes) = (true, false);
    let mut rest = arguments;
    while let Some(option) =
        rest.first().filter(|a| a.len() > 1 && a.starts_with('-') && a[1..].chars().all(|c| matches!(c, 'n' | 'e' | 'E')))
    {
        newline &= !option.contains('n');
        escapes = (escapes || option.contains('e')) && !option.contains('E');
        rest = &rest[1..];
    }
    let text = rest.join(" ");
    let mut bytes = if escapes { unescape(&text) } else { text.into_bytes() };
    if newline {
        bytes.push(b'\n');
    }
    i32::from(!process.out(bytes).await)
}

/// Backslash escapes of `echo -e` and `printf`.
pub fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] != b'\\' || at + 1 >= bytes.len() {
            out.push(bytes[at]);
            at += 1;
            continue;
        }
        at += 2;
        match bytes[at - 1] {
            b'n' => out.push(b'\n'),
            b't' => out.push(b'\t'),
            b'r' => out.push(b'\r'),
            b'a' => out.push(7),
            b'b' => out.push(8),
            b'e' => out.push(27),
            b'f' => out.push(12),
            b'v' => out.push(11),
            b'\\' => out.push(b'\\'),
            b'x' => {
                let digits: String = bytes[at..].iter().take(2).take_while(|b| b.is_ascii_hexdigit()).map(|b| char::from(*b)).collect();
                at += digits.len();
                out.push(u8::from_str_radix(&digits, 16).unwrap_or(b'x'));
            }
            digit @ b'0'..=b'7' => {
                let start = if digit == b'0' { at } else { at - 1 };
                let digits: String =
                    bytes[start..].iter().take(3).take_while(|b| matches!(b, b'0'..=b'7')).map(|b| char::from(*b)).collect();
                at = start + digits.len();
                out.push(u8::try_from(u32::from_str_radix(&digits, 8).unwrap_or(0) & 255).unwrap_or(0));
            }
            other => out.extend([b'\\', other]),
        }
    }
    out
}
