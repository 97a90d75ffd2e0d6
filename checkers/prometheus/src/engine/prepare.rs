//! Settles `start()` and `end()`, and marks the parts of an expression that are the same at every step.

use crate::promql::{At, Expr};

/// Functions whose result depends on the step even where their arguments do not.
const DEPEND_ON_STEP: [&str; 11] = [
    "days_in_month",
    "day_of_month",
    "day_of_week",
    "day_of_year",
    "hour",
    "minute",
    "month",
    "year",
    "predict_linear",
    "time",
    "timestamp",
];

pub fn prepare(mut expr: Expr, start: i64, end: i64) -> Expr {
    if settle(&mut expr, start, end) {
        mark(&mut expr);
    }
    expr
}

/// Whether the expression is the same at every step. Where it is not, its parts that are get marked.
fn settle(expr: &mut Expr, start: i64, end: i64) -> bool {
    let settled = |at: &mut Option<At>| {
        *at = at.map(|at| match at {
            At::Start => At::Time(start),
            At::End => At::Time(end),
            time => time,
        });
        at.is_some()
    };
    match expr {
        Expr::Vector(selector) | Expr::Matrix { selector, .. } => settled(&mut selector.at),
        Expr::Subquery(subquery) => {
            if settle(&mut subquery.expr, start, end) {
                mark(&mut subquery.expr);
            }
            settled(&mut subquery.at)
        }
        Expr::Aggregate(aggregate) => {
            if let Some(param) = &mut aggregate.param
                && settle(param, start, end)
            {
                mark(param);
            }
            let param_varies = aggregate.param.as_ref().is_some_and(|param| !matches!(**param, Expr::StepInvariant(_)));
            let invariant = settle(&mut aggregate.expr, start, end);
            if invariant && param_varies {
                mark(&mut aggregate.expr);
            }
            invariant && !param_varies
        }
        Expr::Binary(binary) => {
            let (left, right) = (settle(&mut binary.lhs, start, end), settle(&mut binary.rhs, start, end));
            if left && !right {
                mark(&mut binary.lhs);
            }
            if right && !left {
                mark(&mut binary.rhs);
            }
            left && right
        }
        Expr::Call { function, args, .. } => {
            let each: Vec<bool> = args.iter_mut().map(|arg| settle(arg, start, end)).collect();
            if each.iter().all(|invariant| *invariant) && !DEPEND_ON_STEP.contains(&function.name) {
                return true;
            }
            args.iter_mut().zip(each).filter(|(_, invariant)| *invariant).for_each(|(arg, _)| mark(arg));
            false
        }
        Expr::Paren { expr, .. } | Expr::Unary { expr, .. } => settle(expr, start, end),
        Expr::Number { .. } | Expr::String { .. } | Expr::StepInvariant(_) => true,
    }
}

fn mark(expr: &mut Expr) {
    let span = expr.span();
    let inner = std::mem::replace(expr, Expr::Number { value: 0.0, span });
    *expr = Expr::StepInvariant(Box::new(inner));
}
