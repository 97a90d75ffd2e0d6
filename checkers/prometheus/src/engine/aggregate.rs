//! Aggregations.

use super::{
    Matrix, Point, Sample, Series, Value,
    eval::{Evaluated, Evaluator},
    over_time::{Mean, add_to_mean, kahan, quantile, warn_incompatible, warn_quantile},
    vector_functions::text,
};
use crate::{
    histogram::{Histogram, Incompatible},
    labels::{Labels, METRIC_NAME, is_label_name},
    number::{format_g, format_plain, quote},
    promql::{Aggregate, Aggregator, Span},
};
use indexmap::IndexMap;
use std::{cmp::Ordering, sync::Arc};

impl Evaluator<'_> {
    pub(super) fn aggregate(&mut self, aggregate: &Aggregate) -> Evaluated<Matrix> {
        if aggregate.op == Aggregator::CountValues {
            return self.count_values(aggregate);
        }
        let params = match &aggregate.param {
            Some(param) => {
                let matrix = self.eval(param)?;
                let points = matrix.first().map(|series| series.points.iter().filter_map(|point| point.value.float()).collect());
                Some(points.unwrap_or_default())
            }
            None => None,
        };
        let params: Vec<f64> = params.unwrap_or_default();
        let input = self.eval(&aggregate.expr)?;
        if let Some(param) = &aggregate.param
            && !self.check_params(aggregate, &params, param.span())?
        {
            return Ok(vec![]);
        }
        let mut groups: IndexMap<Labels, Vec<usize>> = IndexMap::new();
        for (index, series) in input.iter().enumerate() {
            groups.entry(grouping(&series.metric, aggregate)).or_default().push(index);
        }
        match aggregate.op {
            Aggregator::Topk | Aggregator::Bottomk | Aggregator::Limitk | Aggregator::LimitRatio => {
                self.select_some(aggregate, &params, &input, &groups)
            }
            _ => self.reduce(aggregate, &params, &input, &groups),
        }
    }

    /// False where no parameter can select anything.
    fn check_params(&mut self, aggregate: &Aggregate, params: &[f64], span: Span) -> Evaluated<bool> {
        let has_nan = params.iter().any(|value| value.is_nan());
        let max = params.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let min = params.iter().copied().fold(f64::INFINITY, f64::min);
        match aggregate.op {
            Aggregator::Topk | Aggregator::Bottomk | Aggregator::Limitk => {
                if has_nan {
                    return Err("Parameter value is NaN".to_owned());
                }
                if let Some(value) = params.iter().find(|value| !value.is_finite() || value.abs() >= i64::MAX as f64) {
                    return Err(format!("Scalar value {} overflows int64", format_g(*value)));
                }
                Ok(max >= 1.0)
            }
            Aggregator::LimitRatio => {
                if has_nan {
                    return Err("Ratio value is NaN".to_owned());
                }
                for (value, to) in [(max, 1.0), (min, -1.0)] {
                    if (to > 0.0 && value > to) || (to < 0.0 && value < to) {
                        let (got, to) = (format_g(value), format_g(to));
                        self.warn(span, &format!("ratio value should be between -1 and 1, got {got}, capping to {to}"));
                    }
                }
                Ok(max != 0.0 || min != 0.0)
            }
            _ => {
                if has_nan {
                    warn_quantile(self, f64::NAN, span);
                }
                for value in [max, min].into_iter().filter(|value| value.is_finite() && !(0.0..=1.0).contains(value)) {
                    warn_quantile(self, value, span);
                }
                Ok(true)
            }
        }
    }

    /// One series a group.
    fn reduce(
        &mut self,
        aggregate: &Aggregate,
        params: &[f64],
        input: &Matrix,
        groups: &IndexMap<Labels, Vec<usize>>,
    ) -> Evaluated<Matrix> {
        let mut cursors = vec![0; input.len()];
        let mut out: Matrix = groups.keys().map(|labels| Series { metric: labels.clone(), ..Series::default() }).collect();
        for (step, t) in self.steps().enumerate() {
            self.work(input.len())?;
            let param = params.get(step).copied().unwrap_or(f64::NAN);
            for (members, series) in groups.values().zip(&mut out) {
                let mut state = Group::default();
                for member in members {
                    let source = &input[*member];
                    let Some(point) = source.points.get(cursors[*member]).filter(|point| point.t == t) else { continue };
                    cursors[*member] += 1;
                    series.drop_name |= source.drop_name;
                    self.add(aggregate, &mut state, &point.value, source.metric.name());
                }
                if let Some(value) = self.finish(aggregate, state, param) {
                    series.points.push(Point { t, value });
                }
            }
        }
        out.retain(|series| !series.points.is_empty());
        Ok(out)
    }

    fn add(&mut self, aggregate: &Aggregate, state: &mut Group, value: &Value, metric: &str) {
        use Aggregator as A;
        let span = aggregate.expr.span();
        match (aggregate.op, value) {
            (A::Count | A::Group, _) => state.count += 1.0,
            (A::Sum | A::Avg, Value::Histogram(histogram)) => {
                state.count += 1.0;
                state.has_histogram = true;
                if state.incompatible {
                    return;
                }
                let result = match &mut state.histogram {
                    None if state.has_float => Ok(()),
                    None => {
                        state.histogram = Some((**histogram).clone());
                        Ok(())
                    }
                    Some(sum) if aggregate.op == A::Sum => sum.add(histogram),
                    Some(mean) => add_to_mean(mean, histogram, state.count),
                };
                if let Err(error) = result {
                    state.incompatible = true;
                    self.warn_aggregation(error, metric, span);
                }
            }
            (A::Sum, Value::Float(value)) => {
                state.count += 1.0;
                // The first value is the sum so far, whatever it is.
                (state.sum, state.lost) = if state.has_float { kahan(*value, state.sum, state.lost) } else { (*value, 0.0) };
                state.has_float = true;
            }
            (A::Avg, Value::Float(value)) => {
                state.count += 1.0;
                state.has_float = true;
                state.mean.add(*value);
            }
            (op, Value::Histogram(_)) => {
                self.info(span, &format!("ignored histogram in {} aggregation", op.text()));
            }
            (A::Quantile, Value::Float(value)) => {
                state.count += 1.0;
                state.values.push(*value);
            }
            (op, Value::Float(value)) => {
                state.count += 1.0;
                let first = state.count == 1.0;
                match op {
                    A::Min if first || state.sum > *value || state.sum.is_nan() => state.sum = *value,
                    A::Max if first || state.sum < *value || state.sum.is_nan() => state.sum = *value,
                    A::Stddev | A::Stdvar if first => {
                        state.average = *value;
                        state.sum = if value.is_finite() { 0.0 } else { f64::NAN };
                    }
                    A::Stddev | A::Stdvar => {
                        let delta = value - state.average;
                        state.average += delta / state.count;
                        state.sum += delta * (value - state.average);
                    }
                    _ => {}
                }
            }
        }
    }

    fn finish(&mut self, aggregate: &Aggregate, state: Group, param: f64) -> Option<Value> {
        use Aggregator as A;
        if state.count == 0.0 {
            return None;
        }
        if state.has_float && state.has_histogram {
            self.warn(aggregate.expr.span(), "encountered a mix of histograms and floats for aggregation");
            return None;
        }
        if state.incompatible {
            return None;
        }
        if let Some(histogram) = state.histogram {
            return Some(Value::Histogram(Arc::new(histogram.compact())));
        }
        Some(Value::Float(match aggregate.op {
            A::Count => state.count,
            A::Group => 1.0,
            A::Sum => state.sum + state.lost,
            A::Avg => state.mean.value(),
            A::Stdvar => state.sum / state.count,
            A::Stddev => (state.sum / state.count).sqrt(),
            A::Quantile => quantile(param, state.values),
            _ => state.sum,
        }))
    }

    fn warn_aggregation(&mut self, error: Incompatible, metric: &str, span: Span) {
        warn_incompatible(self, error, metric, span);
    }

    /// Some of the input's series, as they are.
    fn select_some(
        &mut self,
        aggregate: &Aggregate,
        params: &[f64],
        input: &Matrix,
        groups: &IndexMap<Labels, Vec<usize>>,
    ) -> Evaluated<Matrix> {
        let mut cursors = vec![0; input.len()];
        let mut chosen: IndexMap<usize, Vec<Point>> = IndexMap::new();
        for (step, t) in self.steps().enumerate() {
            self.work(input.len())?;
            let param = params.get(step).copied().unwrap_or(f64::NAN);
            for members in groups.values() {
                let mut here: Vec<(usize, &Point)> = Vec::with_capacity(members.len());
                for member in members {
                    let Some(point) = input[*member].points.get(cursors[*member]).filter(|point| point.t == t) else { continue };
                    cursors[*member] += 1;
                    here.push((*member, point));
                }
                for (member, point) in self.choose(aggregate, param, here, input) {
                    chosen.entry(member).or_default().push(point.clone());
                }
            }
        }
        Ok(chosen.into_iter().map(|(member, points)| Series { points, ..without_points(&input[member]) }).collect())
    }

    fn choose<'p>(
        &mut self,
        aggregate: &Aggregate,
        param: f64,
        mut here: Vec<(usize, &'p Point)>,
        input: &Matrix,
    ) -> Vec<(usize, &'p Point)> {
        let op = aggregate.op;
        if op == Aggregator::LimitRatio {
            let ratio = param.clamp(-1.0, 1.0);
            here.retain(|(member, _)| {
                let share = share_of(&input[*member].metric);
                if ratio >= 0.0 { share < ratio } else { share >= 1.0 + ratio }
            });
            return here;
        }
        if param < 1.0 {
            return vec![];
        }
        let count = param as usize;
        if op != Aggregator::Limitk {
            if here.iter().any(|(_, point)| point.value.histogram().is_some()) {
                self.info(aggregate.span, &format!("ignored histogram in {} aggregation", op.text()));
                here.retain(|(_, point)| point.value.float().is_some());
            }
            let value = |entry: &(usize, &Point)| entry.1.value.float().unwrap_or(f64::NAN);
            here.sort_by(|a, b| {
                let (a, b) = (value(a), value(b));
                let order = a.partial_cmp(&b).unwrap_or(Ordering::Equal);
                // NaN is chosen last.
                a.is_nan().cmp(&b.is_nan()).then(if op == Aggregator::Topk { order.reverse() } else { order })
            });
        }
        here.truncate(count);
        here
    }

    fn count_values(&mut self, aggregate: &Aggregate) -> Evaluated<Matrix> {
        let label = aggregate.param.as_deref().and_then(text).unwrap_or_default().to_owned();
        if !is_label_name(&label) {
            return Err(format!("invalid label name {}", quote(&label)));
        }
        let mut widened = aggregate.clone();
        if !widened.without {
            widened.grouping.push(label.clone());
        }
        let input = self.eval(&aggregate.expr)?;
        self.each_step(vec![input], |_, t, vectors| {
            let mut counts: IndexMap<Labels, f64> = IndexMap::new();
            for sample in &vectors[0] {
                let value = match &sample.value {
                    Value::Float(value) => format_plain(*value),
                    Value::Histogram(histogram) => histogram.to_string(),
                };
                *counts.entry(grouping(&sample.metric.with(&label, &value), &widened)).or_default() += 1.0;
            }
            let sample = |(metric, count)| Sample { metric, value: Value::Float(count), t, drop_name: false };
            Ok(counts.into_iter().map(sample).collect())
        })
    }
}

/// What is known of a group at one step.
#[derive(Debug, Default)]
struct Group {
    count: f64,
    /// The sum, the extreme, or the sum of squares.
    sum: f64,
    lost: f64,
    average: f64,
    mean: Mean,
    values: Vec<f64>,
    histogram: Option<Histogram>,
    has_float: bool,
    has_histogram: bool,
    incompatible: bool,
}

fn grouping(metric: &Labels, aggregate: &Aggregate) -> Labels {
    if aggregate.without {
        metric.filter(|name| name != METRIC_NAME && !aggregate.grouping.iter().any(|label| label == name))
    } else {
        metric.only(&aggregate.grouping)
    }
}

fn without_points(series: &Series) -> Series {
    Series { metric: series.metric.clone(), points: vec![], drop_name: series.drop_name }
}

/// A number in [0, 1] that depends on the labels alone. Prometheus takes another hash, so the choice differs, its share does not.
fn share_of(metric: &Labels) -> f64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in metric.to_string().bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    // A last mix, so that high bits depend on all labels.
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash as f64 / u64::MAX as f64
}
