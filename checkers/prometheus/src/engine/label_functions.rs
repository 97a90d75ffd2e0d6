//! Functions that change labels only.

use super::{
    Matrix,
    eval::{Evaluated, Evaluator},
    vector_functions::text,
};
use crate::{
    labels::{Labels, METRIC_NAME, is_label_name},
    promql::Expr,
    regexp::{Regexp, expand},
};

impl Evaluator<'_> {
    pub(super) fn label_replace(&mut self, args: &[Expr]) -> Evaluated<Matrix> {
        let [source, texts @ ..] = args else { return Ok(vec![]) };
        let texts: Vec<&str> = texts.iter().filter_map(text).collect();
        let [target, replacement, label, pattern] = texts.as_slice() else { return Ok(vec![]) };
        let regexp = Regexp::anchored(pattern).map_err(|_| format!("invalid regular expression in label_replace(): {pattern}"))?;
        if !is_label_name(target) {
            return Err(format!("invalid destination label name in label_replace(): {target}"));
        }
        self.relabel(source, target, |metric| regexp.captures(metric.get(label)).map(|captures| expand(&captures, replacement)))
    }

    pub(super) fn label_join(&mut self, args: &[Expr]) -> Evaluated<Matrix> {
        let [source, texts @ ..] = args else { return Ok(vec![]) };
        let texts: Vec<&str> = texts.iter().filter_map(text).collect();
        let [target, separator, labels @ ..] = texts.as_slice() else { return Ok(vec![]) };
        if let Some(label) = labels.iter().find(|label| !is_label_name(label)) {
            return Err(format!("invalid source label name in label_join(): {label}"));
        }
        if !is_label_name(target) {
            return Err(format!("invalid destination label name in label_join(): {target}"));
        }
        self.relabel(source, target, |metric| Some(labels.iter().map(|label| metric.get(label)).collect::<Vec<_>>().join(separator)))
    }

    fn relabel(&mut self, source: &Expr, target: &str, value: impl Fn(&Labels) -> Option<String>) -> Evaluated<Matrix> {
        let mut matrix = self.eval(source)?;
        for series in &mut matrix {
            let Some(value) = value(&series.metric) else { continue };
            series.metric = series.metric.with(target, &value);
            if target == METRIC_NAME {
                series.drop_name = false;
            }
        }
        self.merged(matrix)
    }
}
