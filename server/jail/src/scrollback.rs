//! The last bytes that a terminal printed, for viewers that come later.

use std::collections::VecDeque;

const ENTER: &[u8] = b"\x1b[?1049h";
const LEAVE: &[u8] = b"\x1b[?1049l";

/// A bounded ring of output. Remembers whether a full-screen program (editor, pager) holds the alternate screen.
#[derive(Debug)]
pub(crate) struct Scrollback {
    bytes: VecDeque<u8>,
    limit: usize,
    cut: bool,
    alternate: bool,
    tail: Vec<u8>,
}

impl Scrollback {
    pub fn new(limit: usize) -> Self {
        Self { bytes: VecDeque::new(), limit, cut: false, alternate: false, tail: Vec::new() }
    }

    pub fn push(&mut self, output: &[u8]) {
        // The switch may be split over two reads.
        self.tail.extend_from_slice(output);
        let find = |needle: &[u8]| self.tail.windows(needle.len()).rposition(|window| window == needle);
        match (find(ENTER), find(LEAVE)) {
            (Some(entered), left) => self.alternate = left.is_none_or(|left| entered > left),
            (None, Some(_)) => self.alternate = false,
            (None, None) => {}
        }
        let keep = self.tail.len().min(ENTER.len() - 1);
        self.tail.drain(..self.tail.len() - keep);
        self.bytes.extend(output);
        if self.bytes.len() > self.limit {
            self.cut = true;
            self.bytes.drain(..self.bytes.len() - self.limit);
        }
    }

    /// What a new viewer is shown: from the start of a line where the ring was cut, so that no half of a sequence comes first.
    pub fn replay(&self) -> Vec<u8> {
        let start = if self.cut { self.bytes.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1) } else { 0 };
        self.bytes.iter().skip(start).copied().collect()
    }

    pub fn alternate(&self) -> bool {
        self.alternate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_end_from_the_start_of_a_line() {
        for (limit, pushed, expected) in [
            (100, vec!["one\n", "two\n"], "one\ntwo\n"),
            (8, vec!["one\n", "two\n"], "one\ntwo\n"),
            (7, vec!["one\n", "two\n"], "two\n"),
            (4, vec!["no line end"], " end"),
        ] {
            let mut scrollback = Scrollback::new(limit);
            for part in pushed {
                scrollback.push(part.as_bytes());
            }
            assert_eq!(String::from_utf8(scrollback.replay()).unwrap(), expected);
        }
    }

    #[test]
    fn knows_the_alternate_screen() {
        for (pushed, expected) in [
            (vec!["plain"], false),
            (vec!["\x1b[?1049h"], true),
            (vec!["\x1b[?10", "49h text"], true),
            (vec!["\x1b[?1049h", "\x1b[?1049l"], false),
            (vec!["\x1b[?1049h\x1b[?1049l\x1b[?1049h"], true),
        ] {
            let mut scrollback = Scrollback::new(1000);
            for part in &pushed {
                scrollback.push(part.as_bytes());
            }
            assert_eq!(scrollback.alternate(), expected, "{pushed:?}");
        }
    }
}
