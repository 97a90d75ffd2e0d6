//! Functions of instant vectors and scalars.

use super::{
    Matrix, Point, Sample, Series, Value,
    eval::{Evaluated, Evaluator, absent_labels},
};
use crate::promql::{Expr, Function, Span, ValueType};
use jiff::{Timestamp, civil, tz::TimeZone};
use std::cmp::Ordering;

impl Evaluator<'_> {
    /// A function without a range vector among its arguments.
    pub(super) fn vector_call(&mut self, function: &'static Function, args: &[Expr], span: Span) -> Evaluated<Matrix> {
        match function.name {
            "time" => return self.scalar_series(|t| t as f64 / 1000.0),
            "pi" => return self.scalar_series(|_| std::f64::consts::PI),
            "start" => return self.constant(self.whole.0 as f64 / 1000.0),
            "end" => return self.constant(self.whole.1 as f64 / 1000.0),
            "range" => return self.constant((self.whole.1 - self.whole.0) as f64 / 1000.0),
            "step" => return self.constant(if self.whole.0 == self.whole.1 { 0.0 } else { self.whole.2 as f64 / 1000.0 }),
            "label_replace" => return self.label_replace(args),
            "label_join" => return self.label_join(args),
            _ => {}
        }
        let mut inputs = Vec::with_capacity(args.len());
        for arg in args {
            inputs.push(if arg.value_type() == ValueType::String { vec![] } else { self.eval(arg)? });
        }
        if let Some(change) = float_function(function.name) {
            return self.map_floats(inputs.swap_remove(0), change);
        }
        if let Some(part) = date_function(function.name) {
            let input = if args.is_empty() { self.scalar_series(|t| t.div_euclid(1000) as f64)? } else { inputs.swap_remove(0) };
            return self.map_floats(input, move |seconds| utc(seconds).map_or(f64::NAN, part));
        }
        match function.name {
            "vector" => Ok(inputs.swap_remove(0)),
            "timestamp" => {
                let mut matrix = inputs.swap_remove(0);
                for point in matrix.iter_mut().flat_map(|series| &mut series.points) {
                    point.value = Value::Float(point.t as f64 / 1000.0);
                }
                self.map_floats(matrix, |value| value)
            }
            "scalar" => self.each_step(inputs, |_, _, vectors| {
                let mut floats = vectors[0].iter().filter_map(|sample| sample.value.float());
                let only = floats.next().filter(|_| floats.next().is_none());
                Ok(vec![Sample::plain(only.unwrap_or(f64::NAN))])
            }),
            "absent" => {
                let labels = absent_labels(&args[0]);
                self.each_step(inputs, |_, t, vectors| {
                    let sample = Sample { metric: labels.clone(), value: Value::Float(1.0), t, drop_name: false };
                    Ok(if vectors[0].is_empty() { vec![sample] } else { vec![] })
                })
            }
            "round" | "clamp" | "clamp_min" | "clamp_max" => {
                let name = function.name;
                let infinite = |index: usize| name == "clamp" || (name == "clamp_min") == (index == 0);
                self.each_step(inputs, |evaluator, _, vectors| {
                    let scalar = |at: usize| vectors.get(at).and_then(|v| v.first()?.value.float());
                    if name == "round" {
                        let inverse = 1.0 / scalar(1).unwrap_or(1.0);
                        return Ok(evaluator.floats(&vectors[0], |value| (value * inverse + 0.5).floor() / inverse));
                    }
                    let min = if infinite(0) { scalar(1).unwrap_or(f64::NAN) } else { f64::NEG_INFINITY };
                    let upper_at = if name == "clamp" { 2 } else { 1 };
                    let max = if infinite(1) { scalar(upper_at).unwrap_or(f64::NAN) } else { f64::INFINITY };
                    Ok(if max < min { vec![] } else { evaluator.floats(&vectors[0], |value| go_max(min, go_min(max, value))) })
                })
            }
            "min_of" | "max_of" => {
                let choose = if function.name == "min_of" { go_min } else { go_max };
                self.each_step(inputs, |_, _, vectors| {
                    let scalar = |at: usize| vectors.get(at).and_then(|v| v.first()?.value.float()).unwrap_or(f64::NAN);
                    Ok(vec![Sample::plain(choose(scalar(0), scalar(1)))])
                })
            }
            "sort" | "sort_desc" | "sort_by_label" | "sort_by_label_desc" => self.sort(function.name, inputs, args, span),
            _ => self.histogram_call(function.name, inputs, args),
        }
    }

    /// The same function of every float; histograms fall away, and so does the metric's name.
    pub(super) fn map_floats(&mut self, matrix: Matrix, change: impl Fn(f64) -> f64) -> Evaluated<Matrix> {
        let mut out = Vec::with_capacity(matrix.len());
        for series in matrix {
            let float = |point: Point| Some(Point { t: point.t, value: Value::Float(change(point.value.float()?)) });
            let points: Vec<Point> = series.points.into_iter().filter_map(float).collect();
            if !points.is_empty() {
                out.push(Series { metric: self.unnamed(&series.metric), points, drop_name: true });
            }
        }
        if self.options.delayed_name_removal { Ok(out) } else { self.merged(out) }
    }

    fn constant(&mut self, value: f64) -> Evaluated<Matrix> {
        self.scalar_series(|_| value)
    }

    fn floats(&self, vector: &[Sample], change: impl Fn(f64) -> f64) -> Vec<Sample> {
        let float = |sample: &Sample| {
            let value = Value::Float(change(sample.value.float()?));
            Some(Sample { metric: self.unnamed(&sample.metric), value, t: sample.t, drop_name: true })
        };
        vector.iter().filter_map(float).collect()
    }

    fn sort(&mut self, name: &str, mut inputs: Vec<Matrix>, args: &[Expr], span: Span) -> Evaluated<Matrix> {
        if !self.is_instant() {
            self.warn(span, "sort is ineffective for range queries since results are always ordered by labels");
        }
        let mut matrix = inputs.swap_remove(0);
        let descending = name.ends_with("_desc");
        if name.starts_with("sort_by_label") {
            let labels: Vec<&str> = args[1..].iter().filter_map(text).collect();
            matrix.sort_by(|a, b| {
                let by_label = labels.iter().map(|label| (a.metric.get(label), b.metric.get(label))).find(|(a, b)| a != b);
                let order = by_label.map_or_else(|| a.metric.cmp(&b.metric), |(a, b)| natural(a, b));
                if descending { order.reverse() } else { order }
            });
            return Ok(matrix);
        }
        for series in &mut matrix {
            series.points.retain(|point| point.value.float().is_some());
        }
        matrix.retain(|series| !series.points.is_empty());
        if self.is_instant() {
            let value = |series: &Series| series.points[0].value.float().unwrap_or(f64::NAN);
            matrix.sort_by(|a, b| {
                let (a, b) = (value(a), value(b));
                // NaN comes last either way.
                let order = a.is_nan().cmp(&b.is_nan());
                let by_value = a.partial_cmp(&b).unwrap_or(Ordering::Equal);
                order.then(if descending { by_value.reverse() } else { by_value })
            });
        }
        Ok(matrix)
    }
}

/// The text of a string argument.
pub(super) fn text(arg: &Expr) -> Option<&str> {
    match arg.unwrapped() {
        Expr::String { value, .. } => Some(value),
        _ => None,
    }
}

fn float_function(name: &str) -> Option<fn(f64) -> f64> {
    Some(match name {
        "abs" => f64::abs,
        "acos" => f64::acos,
        "acosh" => f64::acosh,
        "asin" => f64::asin,
        "asinh" => f64::asinh,
        "atan" => f64::atan,
        "atanh" => f64::atanh,
        "ceil" => f64::ceil,
        "cos" => f64::cos,
        "cosh" => f64::cosh,
        "deg" => f64::to_degrees,
        "exp" => f64::exp,
        "floor" => f64::floor,
        "ln" => f64::ln,
        "log10" => f64::log10,
        "log2" => f64::log2,
        "rad" => f64::to_radians,
        "sgn" => |value| {
            if value < 0.0 {
                -1.0
            } else if value > 0.0 {
                1.0
            } else {
                value
            }
        },
        "sin" => f64::sin,
        "sinh" => f64::sinh,
        "sqrt" => f64::sqrt,
        "tan" => f64::tan,
        "tanh" => f64::tanh,
        _ => return None,
    })
}

fn date_function(name: &str) -> Option<fn(civil::DateTime) -> f64> {
    Some(match name {
        "days_in_month" => |at| f64::from(at.date().days_in_month()),
        "day_of_month" => |at| f64::from(at.day()),
        "day_of_week" => |at| f64::from(at.weekday().to_sunday_zero_offset()),
        "day_of_year" => |at| f64::from(at.day_of_year()),
        "hour" => |at| f64::from(at.hour()),
        "minute" => |at| f64::from(at.minute()),
        "month" => |at| f64::from(at.month()),
        "year" => |at| f64::from(at.year()),
        _ => return None,
    })
}

fn utc(seconds: f64) -> Option<civil::DateTime> {
    if !seconds.is_finite() {
        return None;
    }
    Timestamp::from_second(seconds as i64).ok().map(|at| at.to_zoned(TimeZone::UTC).datetime())
}

/// NaN wins.
fn go_max(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}

fn go_min(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.min(b) }
}

/// Digits in a row count as one number: `node9` comes before `node10`.
fn natural(a: &str, b: &str) -> Ordering {
    let (a, b) = (chunks(a), chunks(b));
    for (x, y) in a.iter().zip(&b) {
        let order = match (x.parse::<i64>(), y.parse::<i64>()) {
            (Ok(x), Ok(y)) => x.cmp(&y),
            _ => x.cmp(y),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    a.len().cmp(&b.len())
}

fn chunks(text: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let digits = first.is_ascii_digit();
        let end = rest.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(rest.len());
        out.push(&rest[..end]);
        rest = &rest[end..];
    }
    out
}
