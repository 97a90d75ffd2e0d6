//! Rules with several bodies: `violation[x] { … } { … }`, which regorus takes for an `else` where the rule makes a set.

/// Gives each further body of a rule that makes a set the head of the rule. Lines stay where they are.
pub(super) fn apart(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let bytes = text.as_bytes();
    let (mut at, mut depth) = (0, 0_usize);
    // Where the head of a rule may begin, the head of the last rule, and whether its body has just ended.
    let (mut begin, mut head, mut ended) = (0, "", false);
    while at < bytes.len() {
        let end = match bytes[at] {
            b'"' => skip(bytes, at, b'"', true),
            b'`' => skip(bytes, at, b'`', false),
            b'#' => bytes[at..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |length| at + length),
            _ => at + 1,
        };
        match bytes[at] {
            b'{' if depth == 0 => {
                if ended && makes_set(head) {
                    out.push_str(head.trim());
                    out.push(' ');
                } else if !ended {
                    head = &text[begin..at];
                }
                depth = 1;
            }
            b'{' | b'[' | b'(' => depth += 1,
            b'}' | b']' | b')' => {
                depth = depth.saturating_sub(1);
                ended = depth == 0 && bytes[at] == b'}';
                if ended {
                    begin = end;
                }
            }
            b'\n' if depth == 0 => begin = end,
            b'#' | b' ' | b'\t' | b'\r' | b'\n' => {}
            _ if depth == 0 => ended = false,
            _ => {}
        }
        out.push_str(text.get(at..end).unwrap_or_default());
        at = end;
    }
    out
}

/// `name[key]` and nothing else.
fn makes_set(head: &str) -> bool {
    let head = head.trim();
    let name = head.find(|character: char| !character.is_ascii_alphanumeric() && character != '_').unwrap_or(head.len());
    name > 0 && head[name..].starts_with('[') && head.ends_with(']')
}

/// The end of a text that begins at `at`.
fn skip(bytes: &[u8], at: usize, quote: u8, escapes: bool) -> usize {
    let mut at = at + 1;
    while at < bytes.len() && bytes[at] != quote && !(escapes && bytes[at] == b'\n') {
        at += if escapes && bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(bytes.len())
}
