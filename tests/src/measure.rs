//! Figures of a benchmark: distributions, ratios, memory.

use std::{fmt, time::Duration};

/// Durations of the same thing done many times.
#[derive(Debug, Clone)]
pub struct Distribution {
    sorted: Vec<Duration>,
}

impl Distribution {
    pub fn of(mut durations: Vec<Duration>) -> Self {
        durations.sort_unstable();
        Self { sorted: durations }
    }

    /// The smallest duration that `percent` of all do not exceed (nearest rank); zero where nothing was measured.
    pub fn percentile(&self, percent: usize) -> Duration {
        let rank = (self.sorted.len() * percent).div_ceil(100).max(1);
        self.sorted.get(rank - 1).copied().unwrap_or_default()
    }

    pub fn median_ratio(&self, base: &Self) -> f64 {
        self.percentile(50).as_secs_f64() / base.percentile(50).as_secs_f64().max(f64::EPSILON)
    }
}

impl fmt::Display for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [median, p95, p99, most] = [50, 95, 99, 100].map(|p| self.percentile(p));
        write!(f, "p50 {median:.2?}, p95 {p95:.2?}, p99 {p99:.2?}, max {most:.2?} (n={})", self.sorted.len())
    }
}

/// Resident memory of this process in KiB, as `/proc/self/status` says.
pub fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let hundred = Distribution::of((1..=100).rev().map(Duration::from_millis).collect());
        for (percent, expected) in [(50, 50), (95, 95), (99, 99), (100, 100)] {
            assert_eq!(hundred.percentile(percent), Duration::from_millis(expected));
        }
        assert_eq!(Distribution::of(vec![]).percentile(95), Duration::ZERO);
        assert_eq!(Distribution::of(vec![Duration::from_millis(7)]).percentile(1), Duration::from_millis(7));
    }
}
