//! What the grammar cannot say: types, numbers of arguments, which modifiers go together.

use super::{Aggregator, Binary, Cardinality, Expr, Function, Span, ValueType, parser::Parser};
use crate::{labels::METRIC_NAME, number::quote};

/// Reports what is wrong, and settles the cardinality of set operations.
pub fn check(parser: &mut Parser<'_>, expr: &mut Expr) -> ValueType {
    let span = expr.span();
    match expr {
        Expr::Number { .. } | Expr::String { .. } => {}
        Expr::Paren { expr, .. } | Expr::StepInvariant(expr) => _ = check(parser, expr),
        Expr::Unary { expr, .. } => {
            let kind = check(parser, expr);
            if !matches!(kind, ValueType::Scalar | ValueType::Vector) {
                let what = "unary expression only allowed on expressions of type scalar or instant vector";
                parser.report(span.start, format!("{what}, got {}", quote(kind.documented())));
            }
        }
        Expr::Subquery(subquery) => {
            let kind = check(parser, &mut subquery.expr);
            if kind != ValueType::Vector {
                parser.report(span.start, format!("subquery is only allowed on instant vector, got {} instead", kind.short()));
            }
        }
        Expr::Vector(selector) | Expr::Matrix { selector, .. } => {
            let start = selector.span.start;
            if !selector.name.is_empty() {
                let inside = selector.matchers.split_last().map(|split| split.1).unwrap_or_default();
                if let Some(other) = inside.iter().find(|matcher| matcher.name == METRIC_NAME) {
                    let names = format!("{} or {}", quote(&selector.name), quote(&other.value));
                    parser.report(start, format!("metric name must not be set twice: {names}"));
                }
            } else if !selector.may_be_empty && selector.matchers.iter().all(|matcher| matcher.matches("")) {
                parser.report(start, "vector selector must contain at least one non-empty matcher");
            }
        }
        Expr::Aggregate(aggregate) => {
            expect(parser, &mut aggregate.expr, ValueType::Vector, "aggregation expression");
            if let Some(param) = &mut aggregate.param {
                let wanted = if aggregate.op == Aggregator::CountValues { ValueType::String } else { ValueType::Scalar };
                expect(parser, param, wanted, "aggregation parameter");
            }
        }
        Expr::Call { function, args, .. } => call(parser, function, args, span),
        Expr::Binary(binary) => check_binary(parser, binary, span),
    }
    expr.value_type()
}

fn expect(parser: &mut Parser<'_>, expr: &mut Expr, wanted: ValueType, context: &str) {
    let kind = check(parser, expr);
    if kind != wanted {
        let (wanted, kind) = (wanted.documented(), kind.documented());
        parser.report(expr.span().start, format!("expected type {wanted} in {context}, got {kind}"));
    }
}

fn call(parser: &mut Parser<'_>, function: &Function, args: &mut [Expr], span: Span) {
    let (declared, got, name) = (function.args.len(), args.len(), quote(function.name));
    let mut complain = |text: String| parser.report(span.start, text);
    match function.variadic {
        0 if declared != got => complain(format!("expected {declared} argument(s) in call to {name}, got {got}")),
        0 => {}
        variadic => {
            let least = declared - 1;
            let most = usize::try_from(variadic).ok().map(|extra| least + extra);
            if got < least {
                complain(format!("expected at least {least} argument(s) in call to {name}, got {got}"));
            } else if let Some(most) = most.filter(|most| got > *most) {
                complain(format!("expected at most {most} argument(s) in call to {name}, got {got}"));
            }
        }
    }
    if function.name == "info"
        && let Some(second) = args.get_mut(1)
    {
        match second {
            Expr::Vector(selector) if selector.name.is_empty() => selector.may_be_empty = true,
            Expr::Vector(selector) => {
                let start = selector.span.start;
                parser.report(start, "expected label selectors only, got vector selector instead");
            }
            other => {
                let kind = other.value_type().documented();
                parser.report(span.start, format!("expected label selectors only, got {kind} instead"));
            }
        }
    }
    for (index, arg) in args.iter_mut().enumerate() {
        let wanted = match function.args.get(index) {
            Some(wanted) => *wanted,
            None if function.variadic == 0 => break,
            None => match function.args.last() {
                Some(last) => *last,
                None => break,
            },
        };
        expect(parser, arg, wanted, &format!("call to function {name}"));
    }
}

fn check_binary(parser: &mut Parser<'_>, binary: &mut Binary, span: Span) {
    let left = check(parser, &mut binary.lhs);
    let right = check(parser, &mut binary.rhs);
    let op = binary.op;
    // The operator's own place: behind the left side, past blanks.
    let after = binary.lhs.span().end;
    let gap = parser.input.get(after..).unwrap_or_default();
    let op_start = after + gap.len() - gap.trim_start_matches([' ', '\t', '\n', '\r']).len();
    if binary.return_bool && !op.is_comparison() {
        parser.report(op_start, "bool modifier can only be used on comparison operators");
    }
    if op.is_comparison() && !binary.return_bool && left == ValueType::Scalar && right == ValueType::Scalar {
        parser.report(op_start, "comparisons between scalars must use BOOL modifier");
    }
    let matching = &mut binary.matching;
    if op.is_set() && matching.cardinality == Cardinality::OneToOne {
        matching.cardinality = Cardinality::ManyToMany;
    }
    if matching.on
        && let Some(label) = matching.labels.iter().find(|label| matching.include.contains(label))
    {
        parser.report(op_start, format!("label {} must not occur in ON and GROUP clause at once", quote(label)));
    }
    for (kind, side) in [(left, &binary.lhs), (right, &binary.rhs)] {
        if !matches!(kind, ValueType::Scalar | ValueType::Vector) {
            parser.report(side.span().start, "binary expression must contain only scalar and instant vector types");
        }
    }
    if left != ValueType::Vector || right != ValueType::Vector {
        if !matching.labels.is_empty() {
            parser.report(span.start, "vector matching only allowed between instant vectors");
        }
    } else if op.is_set() && matching.cardinality != Cardinality::ManyToMany {
        parser.report(span.start, format!("no grouping allowed for {} operation", quote(op.text())));
    }
    if op.is_set() && (left == ValueType::Scalar || right == ValueType::Scalar) {
        parser.report(span.start, format!("set operator {} not allowed in binary scalar expression", quote(op.text())));
    }
}
