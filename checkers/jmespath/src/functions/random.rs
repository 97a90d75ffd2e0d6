//! `random`: a text that a regular expression matches.

use super::string;
use crate::{
    Error,
    interpreter::{Answer, Run},
    value::Value,
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use regex_syntax::hir::{Class, Hir, HirKind};

/// How often `*` repeats at most, as in Kyverno's generator.
const MOST: u32 = 4096;

pub(super) fn random<'a>(run: &mut Run<'a>, given: Vec<Value<'a>>) -> Answer<'a> {
    let pattern = string(&given[0]);
    if pattern.is_empty() {
        return Err(Error::Failed("no pattern provided".to_owned()));
    }
    run.charge(pattern.len())?;
    let translated = go_regexp::translate(pattern).map_err(|problem| Error::Failed(format!("error parsing regexp: {problem}")))?;
    let tree = regex_syntax::ParserBuilder::new().nest_limit(50).build().parse(&translated);
    let tree = tree.map_err(|_| Error::Failed(format!("error parsing regexp: invalid pattern: `{pattern}`")))?;
    let seed = run.env.seed.get();
    run.env.seed.set(seed.wrapping_add(1));
    let mut out = String::new();
    write(run, &tree, &mut StdRng::seed_from_u64(seed), &mut out)?;
    run.text(out)
}

fn write(run: &mut Run<'_>, tree: &Hir, random: &mut StdRng, out: &mut String) -> Result<(), Error> {
    run.charge(1)?;
    match tree.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => *out += &String::from_utf8_lossy(&literal.0),
        HirKind::Class(Class::Unicode(class)) => {
            out.extend(pick(&class.iter().map(|range| (range.start().into(), range.end().into())).collect::<Vec<_>>(), random))
        }
        HirKind::Class(Class::Bytes(class)) => {
            out.extend(pick(&class.iter().map(|range| (range.start().into(), range.end().into())).collect::<Vec<_>>(), random));
        }
        HirKind::Repetition(repetition) => {
            let most = repetition.max.unwrap_or(MOST.max(repetition.min));
            for _ in 0..random.random_range(repetition.min..=most) {
                write(run, &repetition.sub, random, out)?;
            }
        }
        HirKind::Capture(capture) => write(run, &capture.sub, random, out)?,
        HirKind::Concat(parts) => {
            for part in parts {
                write(run, part, random, out)?;
            }
        }
        HirKind::Alternation(parts) => write(run, &parts[random.random_range(0..parts.len())], random, out)?,
    }
    Ok(())
}

/// A letter of the ranges; a printable one of ASCII where there is any.
fn pick(ranges: &[(u32, u32)], random: &mut StdRng) -> Option<char> {
    let printable = ranges.iter().map(|(begin, end)| ((*begin).max(0x20), (*end).min(0x7e))).filter(|(begin, end)| begin <= end);
    let printable: Vec<_> = printable.collect();
    let ranges = if printable.is_empty() { ranges.to_vec() } else { printable };
    let total: u32 = ranges.iter().map(|(begin, end)| end - begin + 1).sum();
    if total == 0 {
        return None;
    }
    let mut at = random.random_range(0..total);
    for (begin, end) in ranges {
        if at <= end - begin {
            return char::from_u32(begin + at);
        }
        at -= end - begin + 1;
    }
    None
}
