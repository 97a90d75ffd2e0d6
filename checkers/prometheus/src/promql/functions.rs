//! The functions and their types.

use super::ValueType::{self, Matrix, Scalar, String, Vector};

#[derive(Debug)]
pub struct Function {
    pub name: &'static str,
    pub args: &'static [ValueType],
    /// How often the last argument may be left out or repeated: 0 exactly once, n at most n times, -1 as often as one likes.
    pub variadic: i8,
    pub returns: ValueType,
    pub experimental: bool,
    /// Prometheus 3.5 does not know it.
    pub newer: bool,
}

pub fn function(name: &str) -> Option<&'static Function> {
    FUNCTIONS.iter().find(|function| function.name == name)
}

const fn plain(name: &'static str, args: &'static [ValueType]) -> Function {
    Function { name, args, variadic: 0, returns: Vector, experimental: false, newer: false }
}

const fn variadic(name: &'static str, args: &'static [ValueType], variadic: i8) -> Function {
    Function { name, args, variadic, returns: Vector, experimental: false, newer: false }
}

const fn experimental(name: &'static str, args: &'static [ValueType], variadic: i8) -> Function {
    Function { name, args, variadic, returns: Vector, experimental: true, newer: false }
}

const fn scalar(name: &'static str, args: &'static [ValueType]) -> Function {
    Function { name, args, variadic: 0, returns: Scalar, experimental: false, newer: false }
}

const fn newer(function: Function) -> Function {
    Function { newer: true, ..function }
}

static FUNCTIONS: &[Function] = &[
    plain("abs", &[Vector]),
    plain("absent", &[Vector]),
    plain("absent_over_time", &[Matrix]),
    plain("acos", &[Vector]),
    plain("acosh", &[Vector]),
    plain("asin", &[Vector]),
    plain("asinh", &[Vector]),
    plain("atan", &[Vector]),
    plain("atanh", &[Vector]),
    plain("avg_over_time", &[Matrix]),
    plain("ceil", &[Vector]),
    plain("changes", &[Matrix]),
    plain("clamp", &[Vector, Scalar, Scalar]),
    plain("clamp_max", &[Vector, Scalar]),
    plain("clamp_min", &[Vector, Scalar]),
    plain("cos", &[Vector]),
    plain("cosh", &[Vector]),
    plain("count_over_time", &[Matrix]),
    variadic("days_in_month", &[Vector], 1),
    variadic("day_of_month", &[Vector], 1),
    variadic("day_of_week", &[Vector], 1),
    variadic("day_of_year", &[Vector], 1),
    plain("deg", &[Vector]),
    plain("delta", &[Matrix]),
    plain("deriv", &[Matrix]),
    experimental("double_exponential_smoothing", &[Matrix, Scalar, Scalar], 0),
    newer(scalar("end", &[])),
    plain("exp", &[Vector]),
    newer(experimental("first_over_time", &[Matrix], 0)),
    plain("floor", &[Vector]),
    plain("histogram_avg", &[Vector]),
    plain("histogram_count", &[Vector]),
    plain("histogram_fraction", &[Scalar, Scalar, Vector]),
    plain("histogram_quantile", &[Scalar, Vector]),
    plain("histogram_stddev", &[Vector]),
    plain("histogram_stdvar", &[Vector]),
    plain("histogram_sum", &[Vector]),
    variadic("hour", &[Vector], 1),
    plain("idelta", &[Matrix]),
    plain("increase", &[Matrix]),
    plain("irate", &[Matrix]),
    variadic("label_join", &[Vector, String, String, String], -1),
    plain("label_replace", &[Vector, String, String, String, String]),
    plain("last_over_time", &[Matrix]),
    plain("ln", &[Vector]),
    plain("log10", &[Vector]),
    plain("log2", &[Vector]),
    experimental("mad_over_time", &[Matrix], 0),
    plain("max_over_time", &[Matrix]),
    newer(scalar("max_of", &[Scalar, Scalar])),
    newer(scalar("min_of", &[Scalar, Scalar])),
    plain("min_over_time", &[Matrix]),
    variadic("minute", &[Vector], 1),
    variadic("month", &[Vector], 1),
    scalar("pi", &[]),
    plain("predict_linear", &[Matrix, Scalar]),
    plain("present_over_time", &[Matrix]),
    plain("quantile_over_time", &[Scalar, Matrix]),
    plain("rad", &[Vector]),
    newer(scalar("range", &[])),
    plain("rate", &[Matrix]),
    plain("resets", &[Matrix]),
    variadic("round", &[Vector, Scalar], 1),
    scalar("scalar", &[Vector]),
    plain("sgn", &[Vector]),
    plain("sin", &[Vector]),
    plain("sinh", &[Vector]),
    plain("sort", &[Vector]),
    experimental("sort_by_label", &[Vector, String], -1),
    experimental("sort_by_label_desc", &[Vector, String], -1),
    plain("sort_desc", &[Vector]),
    plain("sqrt", &[Vector]),
    newer(scalar("start", &[])),
    plain("stddev_over_time", &[Matrix]),
    plain("stdvar_over_time", &[Matrix]),
    newer(scalar("step", &[])),
    plain("sum_over_time", &[Matrix]),
    plain("tan", &[Vector]),
    plain("tanh", &[Vector]),
    scalar("time", &[]),
    plain("timestamp", &[Vector]),
    newer(experimental("ts_of_first_over_time", &[Matrix], 0)),
    experimental("ts_of_last_over_time", &[Matrix], 0),
    experimental("ts_of_max_over_time", &[Matrix], 0),
    experimental("ts_of_min_over_time", &[Matrix], 0),
    plain("vector", &[Scalar]),
    variadic("year", &[Vector], 1),
];
