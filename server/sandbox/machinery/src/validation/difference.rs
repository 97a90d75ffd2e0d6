//! Unified differences of text, line by line, with three lines of context and without file names: how the API server shows what an
//! update of an immutable part would change.

const CONTEXT: usize = 3;
/// Beyond this many lines the common part is not looked for: the whole text counts as changed.
const MAX_LINES: usize = 4000;

#[derive(Clone, Copy, PartialEq)]
enum Edit {
    Keep,
    Remove,
    Add,
}

pub(super) fn unified(old: &str, new: &str) -> String {
    let (old, new): (Vec<_>, Vec<_>) = (old.split('\n').collect(), new.split('\n').collect());
    let edits = edits(&old, &new);
    let mut out = String::new();
    let mut at = 0;
    while let Some(change) = edits[at..].iter().position(|e| e.0 != Edit::Keep).map(|offset| at + offset) {
        let start = change.saturating_sub(CONTEXT).max(at);
        let mut end = change;
        // Changes with no more than two contexts between them share a hunk.
        while let Some(next) = edits[end..].iter().position(|e| e.0 != Edit::Keep).map(|offset| end + offset) {
            if next > end + 2 * CONTEXT {
                break;
            }
            end = next + 1;
        }
        let end = (end + CONTEXT).min(edits.len());
        let hunk = &edits[start..end];
        let count = |without: Edit| hunk.iter().filter(|e| e.0 != without).count();
        let (removed, added) = (count(Edit::Add), count(Edit::Remove));
        let (old_start, new_start) = (hunk[0].1, hunk[0].2);
        out.push_str(&format!("@@ -{} +{} @@\n", range(old_start, removed), range(new_start, added)));
        for (edit, old_line, new_line) in hunk {
            let (sign, line) = match edit {
                Edit::Keep => (' ', old[*old_line]),
                Edit::Remove => ('-', old[*old_line]),
                Edit::Add => ('+', new[*new_line]),
            };
            out.push(sign);
            out.push_str(line);
            out.push('\n');
        }
        at = end;
    }
    out
}

fn range(start: usize, length: usize) -> String {
    match length {
        1 => format!("{}", start + 1),
        0 => format!("{start},0"),
        _ => format!("{},{length}", start + 1),
    }
}

/// Each edit with the lines, counted from 0, that old and new have reached.
fn edits(old: &[&str], new: &[&str]) -> Vec<(Edit, usize, usize)> {
    let same_start = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let same_end = old[same_start..].iter().rev().zip(new[same_start..].iter().rev()).take_while(|(a, b)| a == b).count();
    let (old_end, new_end) = (old.len() - same_end, new.len() - same_end);
    let mut edits: Vec<_> = (0..same_start).map(|i| (Edit::Keep, i, i)).collect();
    let (a, b) = (&old[same_start..old_end], &new[same_start..new_end]);
    let common = if a.len().saturating_mul(b.len()) <= MAX_LINES * 50 { common_lines(a, b) } else { Vec::new() };
    let (mut i, mut j) = (0, 0);
    for (x, y) in common.into_iter().chain([(a.len(), b.len())]) {
        edits.extend((i..x).map(|i| (Edit::Remove, same_start + i, same_start + j)));
        edits.extend((j..y).map(|j| (Edit::Add, same_start + x, same_start + j)));
        if x < a.len() {
            edits.push((Edit::Keep, same_start + x, same_start + y));
        }
        (i, j) = (x + 1, y + 1);
    }
    edits.extend((0..same_end).map(|k| (Edit::Keep, old_end + k, new_end + k)));
    edits
}

/// Pairs of equal lines in order: the longest matching block first, then left and right of it, as Python's difflib does.
fn common_lines(a: &[&str], b: &[&str]) -> Vec<(usize, usize)> {
    let mut pairs = Vec::new();
    let mut open = vec![(0, a.len(), 0, b.len())];
    while let Some((a_low, a_high, b_low, b_high)) = open.pop() {
        let (mut best, mut length) = ((a_low, b_low), 0);
        let mut before = vec![0_usize; b_high - b_low + 1];
        for (i, old) in a.iter().enumerate().take(a_high).skip(a_low) {
            let mut row = vec![0; b_high - b_low + 1];
            for (j, _) in b[b_low..b_high].iter().enumerate().filter(|(_, new)| *new == old) {
                let run = before[j] + 1;
                row[j + 1] = run;
                if run > length {
                    (best, length) = ((i + 1 - run, b_low + j + 1 - run), run);
                }
            }
            before = row;
        }
        if length > 0 {
            pairs.extend((0..length).map(|k| (best.0 + k, best.1 + k)));
            open.push((a_low, best.0, b_low, best.1));
            open.push((best.0 + length, a_high, best.1 + length, b_high));
        }
    }
    pairs.sort_unstable();
    pairs
}

#[cfg(test)]
mod tests {
    use super::unified;
    use expect_test::expect;

    #[test]
    fn hunks() {
        assert_eq!(unified("a\nb", "a\nb"), "");
        let old = "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n13\n14\n15\n16";
        let new = old.replace("\n2\n", "\ntwo\n").replace("\n14\n", "\n14\n14b\n");
        expect![[r#"
            @@ -1,5 +1,5 @@
             1
            -2
            +two
             3
             4
             5
            @@ -12,5 +12,6 @@
             12
             13
             14
            +14b
             15
             16
        "#]]
        .assert_eq(&unified(old, &new));
    }
}
