//! Binary operators.

use super::{
    Matrix, Sample, Value,
    eval::{Evaluated, Evaluator},
};
use crate::{
    histogram::{Histogram, Incompatible},
    labels::{Labels, METRIC_NAME},
    number::quote,
    promql::{Binary, Cardinality, Matching, Operator, Span, ValueType},
};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

const MANY_MATCHES: &str = "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)";

impl Evaluator<'_> {
    pub(super) fn binary(&mut self, binary: &Binary) -> Evaluated<Matrix> {
        let (left, right) = (self.eval(&binary.lhs)?, self.eval(&binary.rhs)?);
        let kinds = (binary.lhs.value_type(), binary.rhs.value_type());
        let span = Span { start: binary.lhs.span().start, end: binary.rhs.span().end };
        let op = binary.op;
        let scalar_of = |vector: &[Sample]| vector.first().and_then(|sample| sample.value.float()).unwrap_or(f64::NAN);
        match kinds {
            (ValueType::Scalar, ValueType::Scalar) => self.each_step(vec![left, right], |_, _, vectors| {
                let (a, b) = (scalar_of(&vectors[0]), scalar_of(&vectors[1]));
                let value = compare(op, a, b).map_or_else(|| arithmetic(op, a, b), |holds| f64::from(u8::from(holds)));
                Ok(vec![Sample::plain(value)])
            }),
            (ValueType::Scalar, _) => self.each_step(vec![left, right], |evaluator, _, vectors| {
                Ok(evaluator.with_scalar(binary, &vectors[1], scalar_of(&vectors[0]), true, span))
            }),
            (_, ValueType::Scalar) => self.each_step(vec![left, right], |evaluator, _, vectors| {
                Ok(evaluator.with_scalar(binary, &vectors[0], scalar_of(&vectors[1]), false, span))
            }),
            _ => {
                let signatures = Signatures::new(&binary.matching, &left, &right);
                self.each_step(vec![left, right], |evaluator, _, vectors| {
                    let (left, right) = (&vectors[0], &vectors[1]);
                    match op {
                        Operator::And | Operator::Or | Operator::Unless => Ok(set(op, left, right, &signatures)),
                        _ => evaluator.vectors(binary, left, right, &signatures, span),
                    }
                })
            }
        }
    }

    fn with_scalar(&mut self, binary: &Binary, vector: &[Sample], scalar: f64, swapped: bool, span: Span) -> Vec<Sample> {
        let op = binary.op;
        let scalar = Value::Float(scalar);
        let mut out = Vec::with_capacity(vector.len());
        for sample in vector {
            let (left, right) = if swapped { (&scalar, &sample.value) } else { (&sample.value, &scalar) };
            let Some((value, keep)) = self.element(op, left, right, span) else { continue };
            // A comparison keeps the vector's element, whichever side it stands on.
            let mut value = if op.is_comparison() && swapped { sample.value.clone() } else { value };
            if binary.return_bool {
                value = Value::Float(f64::from(u8::from(keep)));
            } else if !keep {
                continue;
            }
            let drops = !op.is_comparison() || binary.return_bool;
            let metric = if drops { self.unnamed(&sample.metric) } else { sample.metric.clone() };
            out.push(Sample { metric, value, t: sample.t, drop_name: drops || sample.drop_name });
        }
        out
    }

    fn vectors(
        &mut self,
        binary: &Binary,
        left: &[Sample],
        right: &[Sample],
        signatures: &Signatures,
        span: Span,
    ) -> Evaluated<Vec<Sample>> {
        let matching = &binary.matching;
        if left.is_empty() || right.is_empty() {
            return Ok(vec![]);
        }
        // The `one` side goes right.
        let swapped = matching.cardinality == Cardinality::OneToMany;
        let (many, one) = if swapped { (right, left) } else { (left, right) };
        let mut by_signature: HashMap<&Labels, &Sample> = HashMap::with_capacity(one.len());
        for sample in one {
            let signature = signatures.of(&sample.metric);
            if let Some(other) = by_signature.insert(signature, sample) {
                let side = if swapped { "left" } else { "right" };
                let group = if matching.on { sample.metric.only(&matching.labels) } else { without(&sample.metric, &matching.labels) };
                let mut both = [sample.metric.to_string(), other.metric.to_string()];
                both.sort();
                let found = format!("found duplicate series for the match group {group} on the {side} hand-side of the operation");
                return Err(format!(
                    "{found}: [{}];many-to-many matching not allowed: matching labels must be unique on one side",
                    both.join(", ")
                ));
            }
        }
        let mut matched: HashSet<&Labels> = HashSet::new();
        let mut results: HashSet<(&Labels, Labels)> = HashSet::new();
        let mut out = Vec::new();
        for sample in many {
            let signature = signatures.of(&sample.metric);
            let Some(partner) = by_signature.get(signature) else { continue };
            // Releases after 3.5 ask for it even where the comparison drops the result.
            let newer = self.options.parse.newer && matching.cardinality == Cardinality::OneToOne;
            if newer && !matched.insert(signature) {
                return Err(MANY_MATCHES.to_owned());
            }
            let (a, b) = if swapped { (&partner.value, &sample.value) } else { (&sample.value, &partner.value) };
            let Some((mut value, keep)) = self.element(binary.op, a, b, span) else { continue };
            if binary.return_bool {
                value = Value::Float(f64::from(u8::from(keep)));
            } else if !keep {
                continue;
            }
            let mut metric = result_metric(&sample.metric, &partner.metric, binary.op, matching);
            if binary.return_bool {
                metric = self.unnamed(&metric);
            }
            if matching.cardinality == Cardinality::OneToOne {
                if !newer && !matched.insert(signature) {
                    return Err(MANY_MATCHES.to_owned());
                }
            } else if !results.insert((signature, metric.clone())) {
                return Err("multiple matches for labels: grouping labels must ensure unique matches".to_owned());
            }
            out.push(Sample { metric, value, t: sample.t, drop_name: binary.return_bool });
        }
        Ok(out)
    }

    /// The result and whether a comparison holds; nothing where the types do not go together.
    fn element(&mut self, op: Operator, left: &Value, right: &Value, span: Span) -> Option<(Value, bool)> {
        let float = |value: f64| Some((Value::Float(value), true));
        let histogram = |value: Histogram| Some((Value::Histogram(Arc::new(value.compact())), true));
        match (left, right) {
            (Value::Float(a), Value::Float(b)) => match compare(op, *a, *b) {
                Some(keep) => Some((left.clone(), keep)),
                None => float(arithmetic(op, *a, *b)),
            },
            (Value::Float(a), Value::Histogram(b)) if op == Operator::Mul => histogram((**b).clone().scaled(*a)),
            (Value::Histogram(a), Value::Float(b)) if op == Operator::Mul => histogram((**a).clone().scaled(*b)),
            (Value::Histogram(a), Value::Float(b)) if op == Operator::Div => histogram((**a).clone().divided(*b)),
            (Value::Histogram(a), Value::Histogram(b)) => match op {
                Operator::Add | Operator::Sub => {
                    let mut result = (**a).clone();
                    match if op == Operator::Add { result.add(b) } else { result.sub(b) } {
                        Ok(()) => histogram(result),
                        Err(Incompatible::Schema | Incompatible::Bounds) => {
                            self.warn(span, &format!("incompatible bucket layout encountered for binary operator {}", op.text()));
                            None
                        }
                    }
                }
                Operator::Equal => Some((left.clone(), a.equals(b))),
                Operator::NotEqual => Some((left.clone(), !a.equals(b))),
                _ => self.incompatible("histogram", op, "histogram", span),
            },
            (Value::Float(_), Value::Histogram(_)) => self.incompatible("float", op, "histogram", span),
            (Value::Histogram(_), Value::Float(_)) => self.incompatible("histogram", op, "float", span),
        }
    }

    fn incompatible(&mut self, left: &str, op: Operator, right: &str, span: Span) -> Option<(Value, bool)> {
        let (op, quoted) = (op.text(), quote(op.text()));
        self.info(span, &format!("incompatible sample types encountered for binary operator {quoted}: {left} {op} {right}"));
        None
    }
}

/// The labels by which series of both sides find each other.
#[derive(Debug)]
struct Signatures(HashMap<Labels, Labels>);

impl Signatures {
    fn new(matching: &Matching, left: &Matrix, right: &Matrix) -> Self {
        let of = |metric: &Labels| if matching.on { metric.only(&matching.labels) } else { without(metric, &matching.labels) };
        Self(left.iter().chain(right).map(|series| (series.metric.clone(), of(&series.metric))).collect())
    }

    fn of<'s>(&'s self, metric: &'s Labels) -> &'s Labels {
        self.0.get(metric).unwrap_or(metric)
    }
}

fn without(metric: &Labels, labels: &[String]) -> Labels {
    metric.filter(|name| name != METRIC_NAME && !labels.iter().any(|label| label == name))
}

fn set(op: Operator, left: &[Sample], right: &[Sample], signatures: &Signatures) -> Vec<Sample> {
    let of = |samples: &[Sample]| samples.iter().map(|sample| signatures.of(&sample.metric).clone()).collect::<HashSet<_>>();
    if op == Operator::Or {
        let there = of(left);
        let missing = right.iter().filter(|sample| !there.contains(signatures.of(&sample.metric)));
        return left.iter().chain(missing).cloned().collect();
    }
    let there = of(right);
    let wanted = op == Operator::And;
    left.iter().filter(|sample| there.contains(signatures.of(&sample.metric)) == wanted).cloned().collect()
}

fn result_metric(many: &Labels, one: &Labels, op: Operator, matching: &Matching) -> Labels {
    let mut metric = if op.is_comparison() { many.clone() } else { many.without_metadata() };
    if matching.cardinality == Cardinality::OneToOne {
        metric = if matching.on { metric.only(&matching.labels) } else { metric.without(&matching.labels) };
    }
    for label in &matching.include {
        metric = metric.with(label, one.get(label));
    }
    metric
}

fn compare(op: Operator, a: f64, b: f64) -> Option<bool> {
    Some(match op {
        Operator::Equal => a == b,
        Operator::NotEqual => a != b,
        Operator::Greater => a > b,
        Operator::Less => a < b,
        Operator::GreaterEqual => a >= b,
        Operator::LessEqual => a <= b,
        _ => return None,
    })
}

fn arithmetic(op: Operator, a: f64, b: f64) -> f64 {
    match op {
        Operator::Add => a + b,
        Operator::Sub => a - b,
        Operator::Mul => a * b,
        Operator::Div => a / b,
        Operator::Mod => a % b,
        Operator::Pow => a.powf(b),
        Operator::Atan2 => a.atan2(b),
        // Comparisons and set operators do not come here.
        _ => f64::NAN,
    }
}
