//! The walk over an expression.

use super::{
    Annotations, EngineOptions, Level, Matrix, Point, QueryValue, Sample, Series, Storage, Value,
    over_time::{self, Window},
    storage::StoredSeries,
};
use crate::{
    histogram::{Histogram, ResetHint},
    labels::{Labels, MatchOp},
    promql::{At, Expr, Function, Selector, Span, Subquery, ValueType},
};
use std::{borrow::Cow, collections::HashMap, sync::Arc};

pub(super) type Evaluated<T> = Result<T, String>;

pub(super) const SAME_LABELSET: &str = "vector cannot contain metrics with the same labelset";

pub(super) fn too_many() -> String {
    "query processing would load too many samples into memory in query execution".to_owned()
}

/// One evaluation's times, limits and annotations.
#[derive(Debug)]
pub(super) struct Evaluator<'a> {
    pub storage: &'a Storage,
    pub query: &'a str,
    pub options: &'a EngineOptions,
    pub start: i64,
    pub end: i64,
    pub step: i64,
    pub annotations: Annotations,
    /// The whole query's start, end and step, which functions of the same names give.
    pub whole: (i64, i64, i64),
    /// Samples held at the moment.
    samples: usize,
    /// Samples looked at so far, so that a query ends whatever it nests.
    work: usize,
}

/// A series that a range selector reads.
#[derive(Debug)]
struct RangeSeries<'s> {
    metric: Labels,
    points: Cow<'s, [Point]>,
    drop_name: bool,
}

/// How many samples a query may look at for each that it may hold.
const WORK_FACTOR: usize = 40;

impl<'a> Evaluator<'a> {
    pub fn new(storage: &'a Storage, query: &'a str, options: &'a EngineOptions, start: i64, end: i64, step: i64) -> Self {
        let whole = (start, end, step);
        Self { storage, query, options, start, end, step, annotations: Annotations::default(), whole, samples: 0, work: 0 }
    }

    pub fn query(&mut self, expr: &Expr) -> Evaluated<QueryValue> {
        if let Expr::String { value, .. } = expr.unwrapped() {
            return Ok(QueryValue::String(value.clone()));
        }
        let mut matrix = match expr.unwrapped() {
            Expr::Matrix { selector, range, .. } => self.range_selector(selector, *range)?,
            Expr::Subquery(subquery) => self.subquery(subquery)?,
            _ => self.eval(expr)?,
        };
        if self.options.delayed_name_removal {
            for series in matrix.iter_mut().filter(|series| series.drop_name) {
                series.metric = series.metric.without_metadata();
            }
            matrix = self.merged(matrix)?;
        }
        Ok(QueryValue::Matrix(matrix))
    }

    pub fn warn(&mut self, at: Span, text: &str) {
        self.annotations.add(Level::Warning, self.query, at, text);
    }

    pub fn info(&mut self, at: Span, text: &str) {
        self.annotations.add(Level::Info, self.query, at, text);
    }

    /// Counts samples that a result takes up.
    pub fn charge(&mut self, samples: usize) -> Evaluated<()> {
        self.samples += samples;
        if self.samples > self.options.max_samples { Err(too_many()) } else { Ok(()) }
    }

    /// Counts samples that are looked at.
    pub fn work(&mut self, samples: usize) -> Evaluated<()> {
        self.work += samples + 1;
        if self.work > self.options.max_samples.saturating_mul(WORK_FACTOR) { Err(too_many()) } else { Ok(()) }
    }

    pub fn is_instant(&self) -> bool {
        self.start == self.end
    }

    pub fn steps(&self) -> impl Iterator<Item = i64> + use<> {
        let (start, step) = (self.start, self.step);
        (0..self.step_count()).map(move |index| start + index as i64 * step)
    }

    pub fn step_count(&self) -> usize {
        if self.end < self.start { 0 } else { ((self.end - self.start) / self.step) as usize + 1 }
    }

    /// A metric that lost what its name says.
    pub fn unnamed(&self, metric: &Labels) -> Labels {
        if self.options.delayed_name_removal { metric.clone() } else { metric.without_metadata() }
    }

    pub fn eval(&mut self, expr: &Expr) -> Evaluated<Matrix> {
        if self.end < self.start {
            return Ok(vec![]);
        }
        let before = self.samples;
        let result = self.dispatch(expr)?;
        self.samples = before;
        self.charge(result.iter().flat_map(|series| &series.points).map(|point| point.value.weight()).sum())?;
        Ok(result)
    }

    fn dispatch(&mut self, expr: &Expr) -> Evaluated<Matrix> {
        match expr {
            Expr::Number { value, .. } => self.scalar_series(|_| *value),
            Expr::String { .. } => Ok(vec![]),
            Expr::Paren { expr, .. } => self.eval(expr),
            Expr::Vector(selector) => self.instant_selector(selector),
            Expr::Matrix { .. } | Expr::Subquery(_) => Err("a range vector where an instant vector is expected".to_owned()),
            Expr::Unary { negate, expr, .. } => self.unary(*negate, expr),
            Expr::StepInvariant(inner) => self.invariant(inner),
            Expr::Aggregate(aggregate) => self.aggregate(aggregate),
            Expr::Binary(binary) => self.binary(binary),
            Expr::Call { function, args, .. } => self.call(function, args, expr.span()),
        }
    }

    /// One series without labels, with a value at every step.
    pub fn scalar_series(&mut self, value: impl Fn(i64) -> f64) -> Evaluated<Matrix> {
        self.work(self.step_count())?;
        let points = self.steps().map(|t| Point { t, value: Value::Float(value(t)) }).collect();
        Ok(vec![Series { metric: Labels::default(), points, drop_name: false }])
    }

    fn invariant(&mut self, inner: &Expr) -> Evaluated<Matrix> {
        let end = std::mem::replace(&mut self.end, self.start);
        let result = self.eval(inner);
        self.end = end;
        let mut matrix = result?;
        if self.is_instant() {
            return Ok(matrix);
        }
        for series in &mut matrix {
            let Some(point) = series.points.pop() else { continue };
            self.charge(point.value.weight() * self.step_count())?;
            series.points = self.steps().map(|t| Point { t, value: point.value.clone() }).collect();
        }
        Ok(matrix)
    }

    fn unary(&mut self, negate: bool, expr: &Expr) -> Evaluated<Matrix> {
        let mut matrix = self.eval(expr)?;
        if !negate {
            return Ok(matrix);
        }
        for series in &mut matrix {
            series.metric = self.unnamed(&series.metric);
            series.drop_name = true;
            for point in &mut series.points {
                point.value = match &point.value {
                    Value::Float(value) => Value::Float(-value),
                    Value::Histogram(histogram) => Value::Histogram(Arc::new(negated(histogram))),
                };
            }
        }
        self.merged(matrix)
    }

    /// Joins series that came to have the same labels, as long as they never have a sample at the same time.
    pub fn merged(&mut self, matrix: Matrix) -> Evaluated<Matrix> {
        let mut places: HashMap<Labels, usize> = HashMap::with_capacity(matrix.len());
        let mut out: Matrix = Vec::with_capacity(matrix.len());
        let mut joined = Vec::new();
        for series in matrix {
            match places.get(&series.metric) {
                Some(place) => {
                    out[*place].points.extend(series.points);
                    joined.push(*place);
                }
                None => {
                    places.insert(series.metric.clone(), out.len());
                    out.push(series);
                }
            }
        }
        for place in joined {
            let points = &mut out[place].points;
            points.sort_by_key(|point| point.t);
            if points.windows(2).any(|pair| pair[0].t == pair[1].t) {
                return Err(SAME_LABELSET.to_owned());
            }
        }
        Ok(out)
    }

    fn select(&mut self, selector: &Selector) -> Evaluated<Vec<&'a StoredSeries>> {
        let storage = self.storage;
        let found = storage.select(&selector.matchers);
        self.work(found.len())?;
        Ok(found)
    }

    fn instant_selector(&mut self, selector: &Selector) -> Evaluated<Matrix> {
        self.instant_selector_with(selector, |_, point| point.value.clone())
    }

    fn instant_selector_with(&mut self, selector: &Selector, value: impl Fn(i64, &Point) -> Value) -> Evaluated<Matrix> {
        let mut matrix = Vec::new();
        for series in self.select(selector)? {
            self.work(self.step_count() + series.points.len() / 16)?;
            let mut points = Vec::new();
            let mut next = 0;
            for t in self.steps() {
                let reference = reference(t, selector.at, selector.offset);
                next += series.points[next..].partition_point(|point| point.t <= reference);
                let Some(point) = next.checked_sub(1).and_then(|at| series.points.get(at)) else { continue };
                if point.t <= reference.saturating_sub(self.options.lookback) || point.value.is_stale() {
                    continue;
                }
                points.push(Point { t, value: value(t, point) });
            }
            if !points.is_empty() {
                self.charge(points.iter().map(|point| point.value.weight()).sum())?;
                matrix.push(Series { metric: series.labels.clone(), points, drop_name: false });
            }
        }
        Ok(matrix)
    }

    /// `timestamp` over a selector gives the samples' own times.
    pub fn timestamps(&mut self, selector: &Selector) -> Evaluated<Matrix> {
        let mut matrix = self.instant_selector_with(selector, |_, point| Value::Float(point.t as f64 / 1000.0))?;
        for series in &mut matrix {
            series.metric = self.unnamed(&series.metric);
            series.drop_name = true;
        }
        self.merged(matrix)
    }

    /// A range selector that is the whole query.
    fn range_selector(&mut self, selector: &Selector, range: i64) -> Evaluated<Matrix> {
        let end = reference(self.start, selector.at, selector.offset);
        let mut matrix = Vec::new();
        for series in self.select(selector)? {
            let points: Vec<Point> =
                cut(&series.points, end.saturating_sub(range), end).iter().filter(|p| !p.value.is_stale()).cloned().collect();
            self.charge(points.len())?;
            if !points.is_empty() {
                matrix.push(Series { metric: series.labels.clone(), points, drop_name: false });
            }
        }
        Ok(matrix)
    }

    /// A subquery's samples for the present start and end.
    fn subquery(&mut self, subquery: &Subquery) -> Evaluated<Matrix> {
        let first = reference(self.start, subquery.at, subquery.offset);
        let last = reference(self.end, subquery.at, subquery.offset);
        let step = if subquery.step != 0 { subquery.step } else { self.options.subquery_step }.max(1);
        let from = first.saturating_sub(subquery.range);
        // The first multiple of the step behind the left end, which does not belong to the range.
        let mut start = step.saturating_mul(from / step);
        if start <= from {
            start = start.saturating_add(step);
        }
        if last.saturating_sub(start) / step >= self.options.max_samples as i64 {
            return Err(too_many());
        }
        let saved = (self.start, self.end, self.step);
        (self.start, self.end, self.step) = (start, last, step);
        let result = self.eval(&subquery.expr);
        (self.start, self.end, self.step) = saved;
        result
    }

    fn range_series(&mut self, arg: &Expr) -> Evaluated<(Vec<RangeSeries<'a>>, i64, i64, Option<At>)> {
        match arg.unwrapped() {
            Expr::Matrix { selector, range, .. } => {
                let found = self.select(selector)?;
                let series = found.into_iter().map(|series| RangeSeries {
                    metric: series.labels.clone(),
                    points: if series.has_stale {
                        series.points.iter().filter(|point| !point.value.is_stale()).cloned().collect()
                    } else {
                        Cow::Borrowed(series.points.as_slice())
                    },
                    drop_name: false,
                });
                Ok((series.collect(), *range, selector.offset, selector.at))
            }
            Expr::Subquery(subquery) => {
                let matrix = self.subquery(subquery)?;
                let series = matrix.into_iter().map(|mut series| {
                    series.points.retain(|point| !point.value.is_stale());
                    series.points.iter_mut().for_each(|point| forget_reset(&mut point.value));
                    RangeSeries { metric: series.metric, points: Cow::Owned(series.points), drop_name: series.drop_name }
                });
                Ok((series.collect(), subquery.range, subquery.offset, subquery.at))
            }
            _ => Err("expected a range vector".to_owned()),
        }
    }

    fn call(&mut self, function: &'static Function, args: &[Expr], span: Span) -> Evaluated<Matrix> {
        if function.name == "timestamp"
            && let Some(Expr::Vector(selector)) = args.first().map(Expr::unwrapped)
        {
            return self.timestamps(selector);
        }
        match args.iter().position(|arg| arg.value_type() == ValueType::Matrix) {
            Some(at) => self.range_call(function, args, at),
            None => self.vector_call(function, args, span),
        }
    }

    /// A function of a range vector: for each series, for each step, one window of samples.
    fn range_call(&mut self, function: &'static Function, args: &[Expr], matrix_at: usize) -> Evaluated<Matrix> {
        let scalars: Vec<Matrix> = args
            .iter()
            .enumerate()
            .map(|(index, arg)| if index == matrix_at { Ok(vec![]) } else { self.eval(arg) })
            .collect::<Result<_, _>>()?;
        let (all, range, offset, at) = self.range_series(&args[matrix_at])?;
        let arg_span = match args[0].unwrapped() {
            // A subquery's samples no longer know where they came from.
            Expr::Subquery(_) => Span::default(),
            _ => args[0].span(),
        };
        let keeps_name = matches!(function.name, "last_over_time" | "first_over_time");
        let mut out = Vec::new();
        let mut present = vec![false; if function.name == "absent_over_time" { self.step_count() } else { 0 }];
        for series in &all {
            let mut points = Vec::new();
            let (mut low, mut high) = (0, 0);
            for (index, ts) in self.steps().enumerate() {
                let end = reference(ts, at, offset);
                let start = end.saturating_sub(range);
                low += series.points[low..].partition_point(|point| point.t <= start);
                high = low.max(high);
                high += series.points[high..].partition_point(|point| point.t <= end);
                let samples = &series.points[low..high];
                if samples.is_empty() {
                    continue;
                }
                self.work(samples.len())?;
                if let Some(present) = present.get_mut(index) {
                    *present = true;
                    continue;
                }
                let scalar = |at: usize| scalars.get(at).and_then(|m| m.first()?.points.get(index)?.value.float()).unwrap_or(f64::NAN);
                let window = Window { samples, start, end, ts, range, name: series.metric.name(), span: arg_span };
                if let Some(value) = over_time::call(self, function.name, &window, &scalar)? {
                    points.push(Point { t: ts, value });
                }
            }
            if points.is_empty() {
                continue;
            }
            self.charge(points.iter().map(|point| point.value.weight()).sum())?;
            if matches!(function.name, "rate" | "increase") && points.iter().any(|point| point.value.float().is_some()) {
                self.note_possible_non_counter(&series.metric, arg_span);
            }
            let metric = if keeps_name { series.metric.clone() } else { self.unnamed(&series.metric) };
            out.push(Series { metric, points, drop_name: !keeps_name || series.drop_name });
        }
        if function.name == "absent_over_time" {
            let times: Vec<i64> = self.steps().zip(&present).filter(|(_, present)| !**present).map(|(t, _)| t).collect();
            let points = times.into_iter().map(|t| Point { t, value: Value::Float(1.0) }).collect::<Vec<_>>();
            let metric = absent_labels(&args[0]);
            return Ok(if points.is_empty() { vec![] } else { vec![Series { metric, points, drop_name: true }] });
        }
        if self.options.delayed_name_removal { Ok(out) } else { self.merged(out) }
    }

    fn note_possible_non_counter(&mut self, metric: &Labels, at: Span) {
        let name = metric.name().to_owned();
        if !name.is_empty() && !["_total", "_sum", "_count", "_bucket"].iter().any(|suffix| name.ends_with(suffix)) {
            let name = crate::number::quote(&name);
            self.info(at, &format!("metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {name}"));
        }
    }

    /// Calls `each` with the samples of every argument at every step, and makes series of what it answers.
    pub fn each_step(
        &mut self,
        inputs: Vec<Matrix>,
        mut each: impl FnMut(&mut Self, i64, &[Vec<Sample>]) -> Evaluated<Vec<Sample>>,
    ) -> Evaluated<Matrix> {
        let mut cursors: Vec<Vec<usize>> = inputs.iter().map(|matrix| vec![0; matrix.len()]).collect();
        let mut out: Matrix = Vec::new();
        let mut places: HashMap<Labels, usize> = HashMap::new();
        for t in self.steps() {
            let vectors: Vec<Vec<Sample>> = inputs.iter().zip(&mut cursors).map(|(matrix, at)| gather(matrix, at, t)).collect();
            self.work(vectors.iter().map(Vec::len).sum())?;
            let result = each(self, t, &vectors)?;
            self.charge(result.len())?;
            if self.is_instant() {
                if !self.options.delayed_name_removal && has_duplicates(&result) {
                    return Err(SAME_LABELSET.to_owned());
                }
                let series = |s: Sample| Series { metric: s.metric, points: vec![Point { t, value: s.value }], drop_name: s.drop_name };
                return Ok(result.into_iter().map(series).collect());
            }
            for sample in result {
                let place = *places.entry(sample.metric.clone()).or_insert_with(|| {
                    out.push(Series { metric: sample.metric.clone(), points: vec![], drop_name: sample.drop_name });
                    out.len() - 1
                });
                if out[place].points.last().is_some_and(|point| point.t == t) {
                    return Err(SAME_LABELSET.to_owned());
                }
                out[place].points.push(Point { t, value: sample.value });
            }
        }
        Ok(out)
    }
}

/// Labels that an `absent` of this expression has: those that its selector fixes.
pub(super) fn absent_labels(expr: &Expr) -> Labels {
    let selector = match expr.unwrapped() {
        Expr::Vector(selector) | Expr::Matrix { selector, .. } => selector,
        _ => return Labels::default(),
    };
    let mut labels = Labels::default();
    let mut seen: Vec<&str> = Vec::new();
    for matcher in selector.matchers.iter().filter(|matcher| matcher.name != crate::labels::METRIC_NAME) {
        if matcher.op == MatchOp::Equal && !seen.contains(&matcher.name.as_str()) {
            labels = labels.with(&matcher.name, &matcher.value);
            seen.push(&matcher.name);
        } else {
            labels = labels.with(&matcher.name, "");
        }
    }
    labels
}

pub(super) fn has_duplicates(samples: &[Sample]) -> bool {
    if samples.len() < 2 {
        return false;
    }
    let mut seen = std::collections::HashSet::with_capacity(samples.len());
    samples.iter().any(|sample| !seen.insert(&sample.metric))
}

fn gather(matrix: &Matrix, cursors: &mut [usize], t: i64) -> Vec<Sample> {
    let mut samples = Vec::with_capacity(matrix.len());
    for (series, cursor) in matrix.iter().zip(cursors) {
        if let Some(point) = series.points.get(*cursor).filter(|point| point.t == t) {
            *cursor += 1;
            samples.push(Sample { metric: series.metric.clone(), value: point.value.clone(), t, drop_name: series.drop_name });
        }
    }
    samples
}

/// The time that a selector looks at.
fn reference(t: i64, at: Option<At>, offset: i64) -> i64 {
    match at {
        Some(At::Time(at)) => at.saturating_sub(offset),
        _ => t.saturating_sub(offset),
    }
}

fn cut(points: &[Point], start: i64, end: i64) -> &[Point] {
    let low = points.partition_point(|point| point.t <= start);
    let high = points.partition_point(|point| point.t <= end);
    points.get(low..high).unwrap_or_default()
}

fn negated(histogram: &Histogram) -> Histogram {
    histogram.clone().scaled(-1.0)
}

/// A subquery may skip or repeat samples, so what it knows of resets no longer holds.
fn forget_reset(value: &mut Value) {
    if let Value::Histogram(histogram) = value
        && matches!(histogram.hint, ResetHint::Reset | ResetHint::NotReset)
    {
        *value = Value::Histogram(Arc::new(Histogram { hint: ResetHint::Unknown, ..(**histogram).clone() }));
    }
}
