//! Completion indexes of Indexed Jobs, written as `0-2,5`.

use super::{Counts, INDEX};
use crate::controllers::common::{self, int};
use machinery::object;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// More indexes than a Job may have are not read.
const MOST: i64 = 100_000;

pub fn of(pod: &Value) -> Option<i64> {
    object::annotation(pod, INDEX)?.parse().ok()
}

pub fn parse(text: &str) -> BTreeSet<i64> {
    let mut indexes = BTreeSet::new();
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(first), Ok(last)) = (first.parse::<i64>(), last.parse::<i64>())
            && (0..=last).contains(&first)
            && last <= MOST
        {
            indexes.extend(first..=last);
        }
    }
    indexes
}

pub fn format(indexes: &BTreeSet<i64>) -> String {
    let mut ranges: Vec<(i64, i64)> = Vec::new();
    for index in indexes {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == *index => *last = *index,
            _ => ranges.push((*index, *index)),
        }
    }
    let texts = ranges.iter().map(|(first, last)| match last - first {
        0 => first.to_string(),
        1 => format!("{first},{last}"),
        _ => format!("{first}-{last}"),
    });
    texts.collect::<Vec<_>>().join(",")
}

/// The lowest indexes that neither run nor have ended, `most` of them at most.
pub fn free(job: &Value, active: &[Arc<Value>], counts: &Counts, most: i64) -> Vec<i64> {
    let running: BTreeSet<_> = active.iter().filter_map(|pod| of(pod)).collect();
    (0..int(&job["spec"]["completions"], 0))
        .filter(|index| !running.contains(index) && !counts.completed.contains(index) && !counts.failed_indexes.contains(index))
        .take(usize::try_from(most).unwrap_or(0))
        .collect()
}

/// Indexes whose pods failed more often than `limit`.
pub fn exhausted(job: &Value, pods: &[Arc<Value>], limit: i64) -> Vec<i64> {
    let mut failures: BTreeMap<i64, i64> = BTreeMap::new();
    for pod in pods.iter().filter(|pod| common::text(&pod["status"]["phase"]) == "Failed") {
        if let Some(index) = of(pod) {
            *failures.entry(index).or_default() += 1;
        }
    }
    let completions = int(&job["spec"]["completions"], 0);
    failures.into_iter().filter(|(index, count)| *count > limit && *index < completions).map(|(index, _)| index).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_read_as_they_are_written() {
        for (text, count) in [("", 0), ("3", 1), ("0,1", 2), ("0-2,5", 4), ("0-9,11,13,14", 13)] {
            let indexes = parse(text);
            assert_eq!(indexes.len(), count, "{text}");
            assert_eq!(format(&indexes), text);
        }
        assert!(parse("5-2,x,-1,1-999999999").is_empty());
    }
}
