//! Functions of histograms, native and classic.

use super::{
    Matrix, Sample, Value,
    eval::{Evaluated, Evaluator},
    over_time::{kahan, warn_quantile},
};
use crate::{
    histogram::{ClassicBucket, Histogram, Quantile, classic_fraction, classic_quantile},
    labels::Labels,
    number::{parse_float, quote},
    promql::{Expr, Span},
};
use std::{collections::HashSet, sync::Arc};

use indexmap::IndexMap;

/// A vector, split into its native histograms and its classic ones, by their labels without `le`.
#[derive(Debug, Default)]
struct Split {
    native: Vec<(Sample, Arc<Histogram>)>,
    classic: IndexMap<Labels, (Sample, Vec<ClassicBucket>)>,
}

impl Evaluator<'_> {
    pub(super) fn histogram_call(&mut self, name: &'static str, mut inputs: Vec<Matrix>, args: &[Expr]) -> Evaluated<Matrix> {
        let spans: Vec<Span> = args.iter().map(Expr::span).collect();
        match name {
            "histogram_quantile" => self.each_step(inputs, |evaluator, _, vectors| {
                let q = scalar(vectors, 0);
                Ok(evaluator.quantiles(q, &vectors[1], &spans))
            }),
            "histogram_fraction" => self.each_step(inputs, |evaluator, _, vectors| {
                let (lower, upper) = (scalar(vectors, 0), scalar(vectors, 1));
                Ok(evaluator.fractions(lower, upper, &vectors[2], &spans))
            }),
            _ => {
                let of: fn(&Histogram) -> f64 = match name {
                    "histogram_count" => |h| h.count,
                    "histogram_sum" => |h| h.sum,
                    "histogram_avg" => |h| h.sum / h.count,
                    "histogram_stddev" => |h| variance(h).sqrt(),
                    "histogram_stdvar" => variance,
                    other => return Err(format!("unknown function with name {}", quote(other))),
                };
                let mut matrix = inputs.swap_remove(0);
                for series in &mut matrix {
                    series.points.retain(|point| point.value.histogram().is_some());
                    for point in &mut series.points {
                        let value = point.value.histogram().map_or(f64::NAN, |histogram| of(histogram));
                        point.value = Value::Float(value);
                    }
                }
                self.map_floats(matrix, |value| value)
            }
        }
    }

    fn quantiles(&mut self, q: f64, vector: &[Sample], spans: &[Span]) -> Vec<Sample> {
        if !(0.0..=1.0).contains(&q) {
            warn_quantile(self, q, spans[0]);
        }
        let split = self.split(vector, spans[1]);
        let mut out = Vec::new();
        for (sample, histogram) in split.native {
            let name = quote(self.unnamed(&sample.metric).name());
            let value = match histogram.quantile(q) {
                Quantile::Plain(value) => value,
                Quantile::Skewed(value) => {
                    let what = "input to histogram_quantile has NaN observations, result is skewed higher for metric name";
                    self.info(spans[1], &format!("{what} {name}"));
                    value
                }
                Quantile::BeyondBuckets => {
                    let what = "input to histogram_quantile has NaN observations, result is NaN for metric name";
                    self.info(spans[1], &format!("{what} {name}"));
                    f64::NAN
                }
            };
            out.push(self.result(&sample, value));
        }
        for (sample, buckets) in split.classic.into_values() {
            let (value, forced) = classic_quantile(q, buckets);
            if forced {
                let what = "input to histogram_quantile needed to be fixed for monotonicity";
                let see = "(see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)";
                self.info(spans[1], &format!("{what} {see} for metric name {}", quote(sample.metric.name())));
            }
            out.push(self.result(&sample, value));
        }
        out
    }

    fn fractions(&mut self, lower: f64, upper: f64, vector: &[Sample], spans: &[Span]) -> Vec<Sample> {
        let split = self.split(vector, spans[2]);
        let mut out = Vec::new();
        for (sample, histogram) in split.native {
            let fraction = histogram.fraction(lower, upper);
            if fraction.has_nan {
                let name = quote(self.unnamed(&sample.metric).name());
                let what = "input to histogram_fraction has NaN observations, which are excluded from all fractions for metric name";
                self.info(spans[2], &format!("{what} {name}"));
            }
            out.push(self.result(&sample, fraction.value));
        }
        for (sample, buckets) in split.classic.into_values() {
            out.push(self.result(&sample, classic_fraction(lower, upper, buckets)));
        }
        out
    }

    fn result(&self, sample: &Sample, value: f64) -> Sample {
        Sample { metric: self.unnamed(&sample.metric), value: Value::Float(value), t: sample.t, drop_name: true }
    }

    fn split(&mut self, vector: &[Sample], span: Span) -> Split {
        let mut split = Split::default();
        for sample in vector {
            match &sample.value {
                Value::Histogram(histogram) => split.native.push((sample.clone(), histogram.clone())),
                Value::Float(count) => {
                    let le = sample.metric.get("le");
                    let Some(upper) = parse_float(le).ok().filter(|upper| !upper.is_nan()) else {
                        let name = quote(sample.metric.name());
                        let what = format!("bucket label \"le\" is missing or has a malformed value of {}", quote(le));
                        self.warn(span, &format!("{what} for metric name {name}"));
                        continue;
                    };
                    let labels = sample.metric.with("le", "");
                    let entry =
                        split.classic.entry(labels.clone()).or_insert_with(|| (Sample { metric: labels, ..sample.clone() }, vec![]));
                    entry.1.push(ClassicBucket { upper, count: *count });
                }
            }
        }
        // A classic and a native histogram of the same name and labels: neither counts.
        let both: HashSet<Labels> =
            split.native.iter().map(|native| native.0.metric.clone()).filter(|metric| split.classic.contains_key(metric)).collect();
        for metric in &both {
            let what = "vector contains a mix of classic and native histograms for metric name";
            self.warn(span, &format!("{what} {}", quote(metric.name())));
            split.classic.shift_remove(metric);
        }
        split.native.retain(|native| !both.contains(&native.0.metric));
        split
    }
}

fn scalar(vectors: &[Vec<Sample>], at: usize) -> f64 {
    vectors.get(at).and_then(|vector| vector.first()?.value.float()).unwrap_or(f64::NAN)
}

/// As if all observations of a bucket lay in its middle: the geometric one, where buckets grow exponentially.
fn variance(histogram: &Histogram) -> f64 {
    let mean = histogram.sum / histogram.count;
    let (mut sum, mut lost) = (0.0, 0.0);
    for bucket in histogram.buckets().into_iter().filter(|bucket| bucket.count != 0.0) {
        let middle = if histogram.is_custom() {
            (bucket.upper + bucket.lower) / 2.0
        } else if bucket.lower <= 0.0 && bucket.upper >= 0.0 {
            0.0
        } else {
            (bucket.upper * bucket.lower).sqrt() * bucket.upper.signum()
        };
        let delta = middle - mean;
        (sum, lost) = kahan(bucket.count * delta * delta, sum, lost);
    }
    (sum + lost) / histogram.count
}
