//! Functions of a window of samples.

use super::{
    Point, Value,
    eval::{Evaluated, Evaluator},
    rate,
};
use crate::{
    histogram::{Histogram, Incompatible},
    number::{format_g, quote},
    promql::Span,
};
use std::sync::Arc;

/// The samples of one series in `(start, end]`; there is at least one.
#[derive(Debug)]
pub struct Window<'w> {
    pub samples: &'w [Point],
    pub start: i64,
    pub end: i64,
    /// The step's own time.
    pub ts: i64,
    /// Milliseconds.
    pub range: i64,
    /// The metric's.
    pub name: &'w str,
    /// The first argument's place in the query.
    pub span: Span,
}

impl Window<'_> {
    pub fn floats(&self) -> impl Iterator<Item = f64> {
        self.samples.iter().filter_map(|point| point.value.float())
    }

    pub fn histograms(&self) -> impl Iterator<Item = &Arc<Histogram>> {
        self.samples.iter().filter_map(|point| point.value.histogram())
    }

    /// Samples with a float, and their times.
    pub fn timed_floats(&self) -> Vec<(i64, f64)> {
        self.samples.iter().filter_map(|point| Some((point.t, point.value.float()?))).collect()
    }

    fn has_histogram(&self) -> bool {
        self.histograms().next().is_some()
    }

    fn is_mixed(&self) -> bool {
        self.has_histogram() && self.floats().next().is_some()
    }
}

/// Calls the function by its name; no value where the window holds too little.
pub fn call(evaluator: &mut Evaluator<'_>, name: &str, window: &Window<'_>, scalar: &dyn Fn(usize) -> f64) -> Evaluated<Option<Value>> {
    let float = |value: f64| Ok(Some(Value::Float(value)));
    match name {
        "rate" | "increase" | "delta" => return Ok(rate::extrapolated(evaluator, name, window)),
        "irate" | "idelta" => return Ok(rate::instant(evaluator, name == "irate", window)),
        "count_over_time" => return float(window.samples.len() as f64),
        "present_over_time" => return float(1.0),
        "last_over_time" => return Ok(window.samples.last().map(|point| point.value.clone())),
        "first_over_time" => return Ok(window.samples.first().map(|point| point.value.clone())),
        "ts_of_last_over_time" => return Ok(window.samples.last().map(|point| Value::Float(point.t as f64 / 1000.0))),
        "ts_of_first_over_time" => return Ok(window.samples.first().map(|point| Value::Float(point.t as f64 / 1000.0))),
        "changes" => return float(count_pairs(window, |a, b| !unchanged(a, b))),
        "resets" => return float(count_pairs(window, is_reset)),
        "sum_over_time" | "avg_over_time" => return Ok(sum_or_average(evaluator, name == "avg_over_time", window)),
        _ => {}
    }
    // All others look at floats only.
    let floats: Vec<f64> = window.floats().collect();
    if floats.is_empty() {
        return Ok(None);
    }
    if name == "double_exponential_smoothing" {
        check_factor("smoothing", scalar(1))?;
        check_factor("trend", scalar(2))?;
    }
    if name == "quantile_over_time" && !(0.0..=1.0).contains(&scalar(0)) {
        warn_quantile(evaluator, scalar(0), window.span);
    }
    if window.has_histogram() {
        let metric = quote(window.name);
        evaluator
            .info(window.span, &format!("ignored histograms in a range containing both floats and histograms for metric name {metric}"));
    }
    if matches!(name, "deriv" | "predict_linear" | "double_exponential_smoothing") && floats.len() < 2 {
        return Ok(None);
    }
    let value = match name {
        "min_over_time" => extreme(window, |new, best| new < best || best.is_nan()).1,
        "max_over_time" => extreme(window, |new, best| new > best || best.is_nan()).1,
        "ts_of_min_over_time" => extreme(window, |new, best| new <= best || best.is_nan()).0,
        "ts_of_max_over_time" => extreme(window, |new, best| new >= best || best.is_nan()).0,
        "quantile_over_time" => quantile(scalar(0), floats),
        "stddev_over_time" => variance(&floats).sqrt(),
        "stdvar_over_time" => variance(&floats),
        "mad_over_time" => {
            let median = quantile(0.5, floats.clone());
            quantile(0.5, floats.iter().map(|value| (value - median).abs()).collect())
        }
        "deriv" => {
            let samples = window.timed_floats();
            regression(&samples, samples[0].0).0
        }
        "predict_linear" => {
            let (slope, intercept) = regression(&window.timed_floats(), window.ts);
            slope * scalar(1) + intercept
        }
        "double_exponential_smoothing" => smoothed(&floats, scalar(1), scalar(2)),
        other => return Err(format!("unknown function with name {}", quote(other))),
    };
    float(value)
}

pub fn warn_quantile(evaluator: &mut Evaluator<'_>, q: f64, span: Span) {
    evaluator.warn(span, &format!("quantile value should be between 0 and 1, got {}", format_g(q)));
}

/// Says why histograms cannot be combined.
pub fn warn_incompatible(evaluator: &mut Evaluator<'_>, error: Incompatible, metric: &str, span: Span) {
    let what = match error {
        Incompatible::Schema => "vector contains a mix of histograms with exponential and custom buckets schemas for metric name",
        Incompatible::Bounds => "vector contains histograms with incompatible custom buckets for metric name",
    };
    evaluator.warn(span, &format!("{what} {}", quote(metric)));
}

pub fn warn_mixed(evaluator: &mut Evaluator<'_>, metric: &str, span: Span) {
    evaluator.warn(span, &format!("encountered a mix of histograms and floats for metric name {}", quote(metric)));
}

/// One step of Kahan's and Neumaier's summation: the sum, and what rounding took from it.
pub fn kahan(value: f64, sum: f64, lost: f64) -> (f64, f64) {
    let total = sum + value;
    if total.is_infinite() {
        return (total, 0.0);
    }
    let lost = if sum.abs() >= value.abs() { lost + ((sum - total) + value) } else { lost + ((value - total) + sum) };
    (total, lost)
}

/// The mean of floats: of their sum as long as that is finite, else step by step.
#[derive(Debug, Default, Clone, Copy)]
pub struct Mean {
    count: f64,
    sum: f64,
    mean: f64,
    lost: f64,
    stepwise: bool,
}

impl Mean {
    pub fn add(&mut self, value: f64) {
        self.count += 1.0;
        if self.count == 1.0 {
            self.sum = value;
            return;
        }
        if !self.stepwise {
            let (sum, lost) = kahan(value, self.sum, self.lost);
            if !sum.is_infinite() {
                (self.sum, self.lost) = (sum, lost);
                return;
            }
            self.stepwise = true;
            self.mean = self.sum / (self.count - 1.0);
            self.lost /= self.count - 1.0;
        }
        let share = (self.count - 1.0) / self.count;
        (self.mean, self.lost) = kahan(value / self.count, share * self.mean, share * self.lost);
    }

    pub fn value(&self) -> f64 {
        if self.stepwise { self.mean + self.lost } else { self.sum / self.count + self.lost / self.count }
    }
}

/// Between the two nearest values, as a weighted average.
pub fn quantile(q: f64, mut values: Vec<f64>) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    // NaN counts as smaller than everything.
    values.sort_by(|a, b| a.partial_cmp(b).unwrap_or_else(|| b.is_nan().cmp(&a.is_nan())));
    let rank = q * (values.len() as f64 - 1.0);
    let lower = rank.floor().max(0.0);
    let upper = (lower + 1.0).min(values.len() as f64 - 1.0);
    let weight = rank - rank.floor();
    // Right on a value: its neighbour may be infinite.
    if weight == 0.0 {
        return values[lower as usize];
    }
    values[lower as usize] * (1.0 - weight) + values[upper as usize] * weight
}

fn check_factor(name: &str, value: f64) -> Evaluated<()> {
    if value <= 0.0 || value >= 1.0 {
        let short = if name == "smoothing" { "sf" } else { "tf" };
        return Err(format!("invalid {name} factor. Expected: 0 < {short} < 1, got: {value:.6}"));
    }
    Ok(())
}

fn extreme(window: &Window<'_>, better: impl Fn(f64, f64) -> bool) -> (f64, f64) {
    let mut best: Option<(i64, f64)> = None;
    for (t, value) in window.timed_floats() {
        let replaces = best.is_none_or(|(_, best)| better(value, best));
        if replaces {
            best = Some((t, value));
        }
    }
    best.map_or((f64::NAN, f64::NAN), |(t, value)| (t as f64 / 1000.0, value))
}

fn variance(values: &[f64]) -> f64 {
    let (mut count, mut mean, mut mean_lost, mut aux, mut aux_lost) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for value in values {
        count += 1.0;
        let delta = value - (mean + mean_lost);
        (mean, mean_lost) = kahan(delta / count, mean, mean_lost);
        (aux, aux_lost) = kahan(delta * (value - (mean + mean_lost)), aux, aux_lost);
    }
    (aux + aux_lost) / count
}

/// Slope per second, and the value at a time.
fn regression(samples: &[(i64, f64)], at: i64) -> (f64, f64) {
    let first = samples[0].1;
    if samples.iter().all(|sample| sample.1 == first) {
        return if first.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, first) };
    }
    let mut sums = [(0.0, 0.0); 4];
    for (t, y) in samples {
        let x = (t - at) as f64 / 1e3;
        for (sum, value) in sums.iter_mut().zip([x, *y, x * y, x * x]) {
            *sum = kahan(value, sum.0, sum.1);
        }
    }
    let [x, y, xy, xx] = sums.map(|(sum, lost)| sum + lost);
    let count = samples.len() as f64;
    let slope = (xy - x * y / count) / (xx - x * x / count);
    (slope, y / count - slope * x / count)
}

/// Double exponential smoothing: the level after the last sample.
fn smoothed(values: &[f64], level_factor: f64, trend_factor: f64) -> f64 {
    let mut before = 0.0;
    let mut level = values[0];
    let mut trend = values[1] - values[0];
    for (index, value) in values.iter().enumerate().skip(1) {
        if index > 1 {
            trend = trend_factor * (level - before) + (1.0 - trend_factor) * trend;
        }
        let next = level_factor * value + (1.0 - level_factor) * (level + trend);
        (before, level) = (level, next);
    }
    level
}

fn count_pairs(window: &Window<'_>, counts: impl Fn(&Value, &Value) -> bool) -> f64 {
    window.samples.windows(2).filter(|pair| counts(&pair[0].value, &pair[1].value)).count() as f64
}

fn unchanged(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Float(a), Value::Float(b)) => a == b || a.is_nan() && b.is_nan(),
        (Value::Histogram(a), Value::Histogram(b)) => a.equals(b),
        _ => false,
    }
}

fn is_reset(before: &Value, after: &Value) -> bool {
    match (before, after) {
        (Value::Float(before), Value::Float(after)) => after < before,
        (Value::Histogram(before), Value::Histogram(after)) => after.detect_reset(before),
        _ => true,
    }
}

fn sum_or_average(evaluator: &mut Evaluator<'_>, average: bool, window: &Window<'_>) -> Option<Value> {
    if window.is_mixed() {
        warn_mixed(evaluator, window.name, window.span);
        return None;
    }
    if window.has_histogram() {
        let histograms: Vec<&Arc<Histogram>> = window.histograms().collect();
        return match if average { mean_histogram(&histograms) } else { sum_histogram(&histograms) } {
            Ok(result) => Some(Value::Histogram(Arc::new(result))),
            Err(error) => {
                warn_incompatible(evaluator, error, window.name, window.span);
                None
            }
        };
    }
    if average {
        let mut mean = Mean::default();
        window.floats().for_each(|value| mean.add(value));
        return Some(Value::Float(mean.value()));
    }
    let (sum, lost) = window.floats().fold((0.0, 0.0), |(sum, lost), value| kahan(value, sum, lost));
    Some(Value::Float(if sum.is_infinite() { sum } else { sum + lost }))
}

fn sum_histogram(histograms: &[&Arc<Histogram>]) -> Result<Histogram, Incompatible> {
    let mut sum = (**histograms[0]).clone();
    for next in &histograms[1..] {
        sum.add(next)?;
    }
    Ok(sum)
}

fn mean_histogram(histograms: &[&Arc<Histogram>]) -> Result<Histogram, Incompatible> {
    let mut mean = (**histograms[0]).clone();
    for (index, next) in histograms.iter().enumerate().skip(1) {
        add_to_mean(&mut mean, next, index as f64 + 1.0)?;
    }
    Ok(mean)
}

/// One more histogram to a mean of `count - 1` of them.
pub fn add_to_mean(mean: &mut Histogram, next: &Histogram, count: f64) -> Result<(), Incompatible> {
    let mut step = next.clone().divided(count);
    step.sub(&mean.clone().divided(count))?;
    mean.add(&step)
}
