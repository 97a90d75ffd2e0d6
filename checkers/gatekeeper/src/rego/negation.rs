//! `not f(x.y)` where `x.y` has no value: OPA binds the arguments of a call before it negates the call, so that the rule does not hold;
//! regorus negates the call with all that is in it. The arguments are bound here as OPA binds them.

use regorus::unstable::{BoolOp, Expr, Literal, Module, Query, Ref, Rule};

/// A place in the text, and what is put there.
type Edit = (usize, usize, String);

/// The text of a module with the arguments of negated calls bound in front of them. Lines stay where they are.
pub(super) fn bind_arguments(module: &Module, text: &str) -> String {
    let mut edits = Edits { text, edits: Vec::new(), count: 0 };
    for rule in &module.policy {
        if let Rule::Spec { bodies, .. } = rule.as_ref() {
            bodies.iter().for_each(|body| edits.query(&body.query));
        }
    }
    let mut changed = text.to_owned();
    edits.edits.sort_by_key(|(begin, end, _)| (*begin, *end));
    for (begin, end, replacement) in edits.edits.into_iter().rev() {
        if changed.get(begin..end).is_some() {
            changed.replace_range(begin..end, &replacement);
        }
    }
    changed
}

struct Edits<'a> {
    text: &'a str,
    edits: Vec<Edit>,
    count: usize,
}

impl Edits<'_> {
    fn query(&mut self, query: &Query) {
        for statement in &query.stmts {
            match &statement.literal {
                Literal::NotExpr { expr, .. } if statement.with_mods.is_empty() => self.negated(statement.span.start as usize, expr),
                Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => self.inner(expr),
                Literal::SomeIn { collection, .. } => self.inner(collection),
                Literal::Every { query, .. } => self.query(query),
                Literal::SomeVars { .. } => {}
            }
        }
    }

    fn negated(&mut self, begin: usize, expression: &Expr) {
        let arguments: Vec<&Ref<Expr>> = match expression {
            Expr::Call { params, .. } => params.iter().collect(),
            Expr::BoolExpr { op, lhs, rhs, .. } if !matches!(op, BoolOp::Eq) => vec![lhs, rhs],
            _ => return self.inner(expression),
        };
        let mut bound = String::new();
        for argument in arguments {
            if !matches!(argument.as_ref(), Expr::RefDot { .. } | Expr::RefBrack { .. } | Expr::Call { .. }) {
                self.inner(argument);
                continue;
            }
            let (from, to) = (argument.span().start as usize, argument.span().end as usize);
            let Some(written) = self.text.get(from..to) else { continue };
            self.count += 1;
            let name = format!("bound_before_not_{}", self.count);
            bound += &format!("{name} := {written}; ");
            // Lines that the argument takes up stay behind.
            let lines = "\n".repeat(written.matches('\n').count());
            bound = bound.replace('\n', " ");
            self.edits.push((from, to, format!("{name}{lines}")));
        }
        if !bound.is_empty() {
            self.edits.push((begin, begin, bound));
        }
    }

    /// Queries of comprehensions within an expression.
    fn inner(&mut self, expression: &Expr) {
        match expression {
            Expr::ArrayCompr { query, .. } | Expr::SetCompr { query, .. } | Expr::ObjectCompr { query, .. } => self.query(query),
            Expr::Array { items, .. } | Expr::Set { items, .. } => items.iter().for_each(|item| self.inner(item)),
            Expr::Call { params, .. } => params.iter().for_each(|parameter| self.inner(parameter)),
            Expr::AssignExpr { lhs, rhs, .. }
            | Expr::BinExpr { lhs, rhs, .. }
            | Expr::BoolExpr { lhs, rhs, .. }
            | Expr::ArithExpr { lhs, rhs, .. } => {
                self.inner(lhs);
                self.inner(rhs);
            }
            _ => {}
        }
    }
}
