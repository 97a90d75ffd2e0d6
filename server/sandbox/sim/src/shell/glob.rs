//! Patterns: `*`, `?`, `[…]`, with backslash protecting.

/// Whether `pattern` matches the whole of `text`. Linear backtracking on the last star only.
pub fn matches(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        let step = match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
                continue;
            }
            Some('?') => Some(1),
            Some('[') => class(&pattern[p..], text[t]),
            Some('\\') if p + 1 < pattern.len() => (pattern[p + 1] == text[t]).then_some(2),
            Some(c) => (*c == text[t]).then_some(1),
            None => None,
        };
        match (step, star) {
            (Some(taken), _) => {
                p += taken;
                t += 1;
            }
            (None, Some((at, from))) => {
                p = at + 1;
                t = from + 1;
                star = Some((at, t));
            }
            (None, None) => return false,
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// How long the class at the start of `pattern` is, if `c` is in it.
fn class(pattern: &[char], c: char) -> Option<usize> {
    let negated = matches!(pattern.get(1), Some('!' | '^'));
    let start = if negated { 2 } else { 1 };
    let end = (start + 1..pattern.len()).find(|i| pattern[*i] == ']');
    let Some(end) = end else { return (c == '[').then_some(1) };
    let mut at = start;
    let mut found = false;
    while at < end {
        if at + 2 < end && pattern[at + 1] == '-' {
            found |= (pattern[at]..=pattern[at + 2]).contains(&c);
            at += 3;
        } else {
            found |= pattern[at] == c;
            at += 1;
        }
    }
    (found != negated).then_some(end + 1)
}

pub fn has_magic(text: &str) -> bool {
    text.contains(['*', '?', '['])
}
