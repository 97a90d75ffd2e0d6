//! `rate`, `increase`, `delta`, and their kin of two samples.

use super::{
    Value,
    eval::Evaluator,
    over_time::{Window, warn_incompatible, warn_mixed},
};
use crate::{
    histogram::{Histogram, ResetHint},
    number::quote,
};
use std::sync::Arc;

/// The change over the window, as if samples reached up to its ends, or nearly.
pub fn extrapolated(evaluator: &mut Evaluator<'_>, name: &str, window: &Window<'_>) -> Option<Value> {
    let is_counter = name != "delta";
    let samples = window.samples;
    let histograms = window.histograms().count();
    if histograms > 0 && histograms < samples.len() {
        warn_mixed(evaluator, window.name, window.span);
        return None;
    }
    let [first, .., last] = samples else { return None };
    let change = match (&first.value, &last.value) {
        (Value::Float(start), Value::Float(end)) => {
            let resets: f64 = if is_counter { resets(window) } else { 0.0 };
            Value::Float(end - start + resets)
        }
        _ => Value::Histogram(Arc::new(histogram_change(evaluator, is_counter, window)?)),
    };

    let seconds = |milliseconds: i64| milliseconds as f64 / 1000.0;
    let sampled = seconds(last.t - first.t);
    let between = sampled / (samples.len() as f64 - 1.0);
    let (mut to_start, mut to_end) = (seconds(first.t - window.start), seconds(window.end - last.t));
    // Further away than a sample should be: the series began or ended within the window, half a gap away.
    let threshold = between * 1.1;
    if to_start >= threshold {
        to_start = between / 2.0;
    }
    if let (true, Value::Float(change), Value::Float(start)) = (is_counter, &change, &first.value)
        && *change > 0.0
        && *start >= 0.0
    {
        // A counter does not come from below zero.
        let to_zero = sampled * (start / change);
        if to_zero < to_start {
            to_start = to_zero;
        }
    }
    if to_end >= threshold {
        to_end = between / 2.0;
    }
    let mut factor = (sampled + to_start + to_end) / sampled;
    if name == "rate" {
        factor /= seconds(window.range);
    }
    Some(match change {
        Value::Float(change) => Value::Float(change * factor),
        Value::Histogram(change) => Value::Histogram(Arc::new(Arc::unwrap_or_clone(change).scaled(factor))),
    })
}

/// From the last two samples.
pub fn instant(evaluator: &mut Evaluator<'_>, is_rate: bool, window: &Window<'_>) -> Option<Value> {
    let [.., before, last] = window.samples else { return None };
    let seconds = (last.t - before.t) as f64 / 1000.0;
    if seconds == 0.0 {
        return None;
    }
    match (&before.value, &last.value) {
        (Value::Float(start), Value::Float(end)) => {
            // After a reset the counter's new value is all that is known.
            let change = if is_rate && end < start { *end } else { end - start };
            Some(Value::Float(if is_rate { change / seconds } else { change }))
        }
        (Value::Histogram(start), Value::Histogram(end)) => {
            let gauges = [start, end].iter().filter(|h| h.hint == ResetHint::Gauge).count();
            if is_rate && gauges > 0 {
                warn_not(evaluator, "counter", window);
            }
            if !is_rate && gauges < 2 {
                warn_not(evaluator, "gauge", window);
            }
            let mut change = (**end).clone();
            if (!is_rate || !end.detect_reset(start))
                && let Err(error) = change.sub(start)
            {
                warn_incompatible(evaluator, error, window.name, window.span);
                return None;
            }
            change.hint = ResetHint::Gauge;
            let change = change.compact();
            Some(Value::Histogram(Arc::new(if is_rate { change.divided(seconds) } else { change })))
        }
        _ => {
            warn_mixed(evaluator, window.name, window.span);
            None
        }
    }
}

/// What a counter had reached before each of its resets.
fn resets(window: &Window<'_>) -> f64 {
    let mut previous = f64::NAN;
    let mut sum = 0.0;
    for value in window.floats() {
        if value < previous {
            sum += previous;
        }
        previous = value;
    }
    sum
}

fn histogram_change(evaluator: &mut Evaluator<'_>, is_counter: bool, window: &Window<'_>) -> Option<Histogram> {
    let histograms: Vec<&Arc<Histogram>> = window.histograms().collect();
    let [first, .., last] = histograms.as_slice() else { return None };
    let ends_gauge = [first, last].iter().filter(|h| h.hint == ResetHint::Gauge).count();
    let mut previous: Histogram = (***first).clone();
    if is_counter && histograms[1].detect_reset(first) {
        // Nothing of the first sample counts, so its layout need not fit either.
        let second = histograms[1];
        previous = Histogram { schema: second.schema, custom: second.custom.clone(), ..Histogram::default() };
    }
    let is_custom = previous.is_custom();
    if is_counter && (ends_gauge > 0 || histograms.iter().any(|h| h.hint == ResetHint::Gauge)) {
        warn_not(evaluator, "counter", window);
    }
    let middle = if is_counter { &histograms[1..histograms.len() - 1] } else { &[] };
    if last.is_custom() != is_custom || middle.iter().any(|h| h.is_custom() != is_custom) {
        warn_incompatible(evaluator, crate::histogram::Incompatible::Schema, window.name, window.span);
        return None;
    }
    let schema = middle.iter().map(|h| h.schema).chain([previous.schema, last.schema]).min().unwrap_or(last.schema);
    let mut change = last.to_schema(schema);
    let mut combined = change.sub(&previous);
    if is_counter {
        for current in &histograms[1..] {
            if current.detect_reset(&previous) {
                combined = combined.and_then(|()| change.add(&previous));
            }
            previous = (***current).clone();
        }
    } else if ends_gauge < 2 {
        warn_not(evaluator, "gauge", window);
    }
    if let Err(error) = combined {
        warn_incompatible(evaluator, error, window.name, window.span);
        return None;
    }
    change.hint = ResetHint::Gauge;
    Some(change.compact())
}

fn warn_not(evaluator: &mut Evaluator<'_>, kind: &str, window: &Window<'_>) {
    evaluator.warn(window.span, &format!("this native histogram metric is not a {kind}: {}", quote(window.name)));
}
