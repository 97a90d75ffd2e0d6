//! The type check of an expression: names that are not declared, fields that do not exist, calls that no overload takes.

mod forms;

use super::{
    estimate::Kinds,
    functions,
    kind::{self, BOOL, Bindings, INT, Kind, NULL, STRING, fits},
    library,
    place::Places,
};
use kube_cel::cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, operators};
use std::collections::BTreeMap;

pub(super) struct Check<'a> {
    variables: &'a BTreeMap<String, Kind>,
    /// Variables of comprehensions, innermost last.
    scopes: Vec<(String, Kind)>,
    places: Places<'a>,
    /// Calls of `format` around what is looked at, whose arguments may be of several types.
    formats: usize,
    pub errors: Vec<String>,
    /// The kinds of all parts.
    pub kinds: Kinds,
}

impl<'a> Check<'a> {
    pub fn new(source: &'a str, variables: &'a BTreeMap<String, Kind>) -> Self {
        Self { variables, scopes: Vec::new(), places: Places::new(source), formats: 0, errors: Vec::new(), kinds: Kinds::new() }
    }

    fn error(&mut self, at: usize, message: &str) -> Kind {
        self.errors.push(self.places.message(at, message));
        Kind::Dyn
    }

    pub fn kind(&mut self, expression: &IdedExpr) -> Kind {
        let kind = self.kind_here(expression);
        self.kinds.insert(expression.id, kind.clone());
        kind
    }

    fn kind_here(&mut self, expression: &IdedExpr) -> Kind {
        match &expression.expr {
            Expr::Literal(literal) => literal_kind(literal),
            Expr::Ident(name) => self.ident(name),
            Expr::Select(select) => {
                let operand = self.kind(&select.operand);
                let at = self.places.pass(".");
                self.places.pass(&select.field);
                self.field(&operand, &select.field, at, select.test)
            }
            Expr::Call(call) => self.call(call),
            Expr::List(list) => {
                let at = self.places.pass("[");
                let elements = list.elements.iter().enumerate();
                let kinds: Vec<_> =
                    elements.map(|(index, element)| self.element(element, list.optional_indices.contains(&index))).collect();
                Kind::List(Box::new(self.joined(&kinds, at)))
            }
            Expr::Map(map) => {
                let at = self.places.pass("{");
                let (mut keys, mut values) = (Vec::new(), Vec::new());
                for entry in &map.entries {
                    if let EntryExpr::MapEntry(entry) = &entry.expr {
                        keys.push(self.kind(&entry.key));
                        values.push(self.element(&entry.value, entry.optional));
                    }
                }
                let key = self.joined(&keys, at);
                Kind::Map(Box::new(key), Box::new(self.joined(&values, at)))
            }
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
            Expr::Struct(_) | Expr::Unspecified => Kind::Dyn,
        }
    }

    /// A part of a literal: `?` before it takes it out of its optional.
    fn element(&mut self, element: &IdedExpr, optional: bool) -> Kind {
        match self.kind(element) {
            Kind::Optional(inner) if optional => *inner,
            kind => kind,
        }
    }

    /// Elements of one literal have one type.
    fn joined(&mut self, kinds: &[Kind], at: usize) -> Kind {
        let Some(first) = kinds.iter().find(|kind| !matches!(kind, Kind::Dyn)) else { return Kind::Dyn };
        for kind in kinds {
            if !fits(first, kind, &mut Bindings::new()) {
                if self.formats > 0 {
                    return Kind::Dyn;
                }
                return self.error(at, &format!("expected type '{first}' but found '{kind}'"));
            }
        }
        if kinds.iter().any(|kind| matches!(kind, Kind::Dyn)) { Kind::Dyn } else { first.clone() }
    }

    fn ident(&mut self, name: &str) -> Kind {
        if let Some((_, kind)) = self.scopes.iter().rev().find(|(variable, _)| variable == name) {
            let kind = kind.clone();
            self.places.pass(name);
            return kind;
        }
        let at = self.places.pass(name);
        match self.variables.get(name) {
            Some(kind) => kind.clone(),
            None if library::is_type(name) => Kind::Named("type"),
            None => self.error(at, &format!("undeclared reference to '{name}' (in container '')")),
        }
    }

    fn field(&mut self, operand: &Kind, field: &str, at: usize, test: bool) -> Kind {
        let found = match operand {
            Kind::Dyn | Kind::Parameter(_) => Kind::Dyn,
            Kind::Map(_, value) => (**value).clone(),
            Kind::Optional(inner) => Kind::Optional(Box::new(self.field(&inner.clone(), field, at, false))),
            Kind::Object(object) => match object.field(field) {
                Some(kind) => kind,
                None => self.error(at, &format!("undefined field '{field}'")),
            },
            other => self.error(at, &format!("type '{other}' does not support field selection")),
        };
        if test { BOOL } else { found }
    }

    fn call(&mut self, call: &CallExpr) -> Kind {
        let name = call.func_name.as_str();
        if let Some(token) = operator_token(name) {
            return self.operator(call, token);
        }
        if name == operators::OPT_SELECT {
            return self.optional_select(call);
        }
        if let Some(kind) = self.form(call) {
            return kind;
        }
        // `sets.contains(…)`: a name with a dot, unless the part before it is a variable.
        let qualified = match call.target.as_deref().map(|target| &target.expr) {
            Some(Expr::Ident(prefix)) if !self.is_variable(prefix) => Some(format!("{prefix}.{name}")).filter(|n| functions::exists(n)),
            _ => None,
        };
        let mut kinds = Vec::new();
        let member = call.target.is_some() && qualified.is_none();
        if let (Some(target), true) = (&call.target, member) {
            kinds.push(self.kind(target));
        }
        self.places.pass(name);
        let at = self.places.pass("(");
        if let [IdedExpr { expr: Expr::Literal(LiteralValue::String(text)), .. }] = call.args.as_slice()
            && !library::takes(name, text.inner())
        {
            let at = self.places.here();
            self.error(at, &format!("invalid {name} argument"));
        }
        self.formats += usize::from(name == "format");
        kinds.extend(call.args.iter().map(|argument| self.kind(argument)));
        self.formats -= usize::from(name == "format");
        let name = qualified.as_deref().unwrap_or(name);
        if !functions::exists(name) {
            return self.error(at, &format!("undeclared reference to '{name}' (in container '')"));
        }
        self.resolved(name, member, &kinds, at)
    }

    fn is_variable(&self, name: &str) -> bool {
        self.scopes.iter().any(|(variable, _)| variable == name) || self.variables.contains_key(name)
    }

    fn operator(&mut self, call: &CallExpr, token: &str) -> Kind {
        let mut kinds = Vec::new();
        let prefix = call.args.len() == 1;
        let mut at = 0;
        for (index, argument) in call.args.iter().enumerate() {
            if (index == 0) == prefix || (index == 1 && !prefix) {
                at = self.places.pass(token);
            }
            kinds.push(self.kind(argument));
        }
        self.resolved(&call.func_name, false, &kinds, at)
    }

    /// `a.?b`
    fn optional_select(&mut self, call: &CallExpr) -> Kind {
        let [operand, field] = call.args.as_slice() else { return Kind::Dyn };
        let operand = self.kind(operand);
        let at = self.places.pass("?");
        let Expr::Literal(LiteralValue::String(field)) = &field.expr else { return Kind::Dyn };
        let field = field.inner().to_owned();
        self.places.pass(&field);
        let inner = match &operand {
            Kind::Optional(inner) => (**inner).clone(),
            other => other.clone(),
        };
        Kind::Optional(Box::new(self.field(&inner, &field, at, false)))
    }

    fn resolved(&mut self, name: &str, member: bool, kinds: &[Kind], at: usize) -> Kind {
        if let Some(kind) = functions::resolve(name, member, kinds) {
            return kind;
        }
        let list = |kinds: &[Kind]| kinds.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let given = match kinds {
            [target, arguments @ ..] if member => format!("{target}.({})", list(arguments)),
            arguments => format!("({})", list(arguments)),
        };
        self.error(at, &format!("found no matching overload for '{name}' applied to '{given}'"));
        // What a predicate gives is known even where its arguments are wrong.
        match name {
            "_&&_" | "_||_" | "!_" | "_==_" | "_!=_" | "_<_" | "_<=_" | "_>_" | "_>=_" | "@in" => BOOL,
            _ => Kind::Dyn,
        }
    }

    /// What a macro has made: `all`, `exists`, `exists_one`, `map`, `filter`.
    fn comprehension(&mut self, comprehension: &ComprehensionExpr) -> Kind {
        let first = self.range(&comprehension.iter_range).single;
        let at = self.places.pass("(");
        self.places.pass(&comprehension.iter_var);
        let depth = self.scopes.len();
        self.scopes.push((comprehension.iter_var.clone(), first.clone()));
        let kind = match &comprehension.accu_init.expr {
            Expr::List(_) => Kind::List(Box::new(self.collected(&comprehension.loop_step, &first, at).unwrap_or(Kind::Dyn))),
            _ => {
                self.collected(&comprehension.loop_step, &first, at);
                BOOL
            }
        };
        self.scopes.truncate(depth);
        kind
    }

    /// The parts of a loop that somebody wrote; the type of what a list collects.
    fn collected(&mut self, step: &IdedExpr, item: &Kind, at: usize) -> Option<Kind> {
        let Expr::Call(call) = &step.expr else { return None };
        match (call.func_name.as_str(), call.args.as_slice()) {
            (operators::CONDITIONAL, [condition, then, _]) => {
                let condition = self.kind(condition);
                if !is_bool(&condition) {
                    self.error(at, &format!("found no matching overload for '_?_:_' applied to '({condition}, {item}, {item})'"));
                }
                self.collected(then, item, at)
            }
            (name @ (operators::LOGICAL_AND | operators::LOGICAL_OR), [_, predicate]) => {
                let predicate = self.kind(predicate);
                if !is_bool(&predicate) {
                    self.error(at, &format!("found no matching overload for '{name}' applied to '(bool, {predicate})'"));
                }
                None
            }
            (operators::ADD, [_, added]) => match &added.expr {
                Expr::List(list) => match list.elements.first().map(|element| (element, &element.expr)) {
                    // `filter` collects its variable, which nobody wrote a second time.
                    Some((_, Expr::Ident(name))) if self.scopes.last().is_some_and(|(variable, _)| variable == name) => Some(item.clone()),
                    Some((element, _)) => Some(self.kind(element)),
                    None => None,
                },
                _ => None,
            },
            _ => None,
        }
    }
}

/// Whether a truth value may stand there.
fn is_bool(kind: &Kind) -> bool {
    fits(&BOOL, kind, &mut Bindings::new())
}

fn literal_kind(literal: &LiteralValue) -> Kind {
    match literal {
        LiteralValue::Boolean(_) => BOOL,
        LiteralValue::Bytes(_) => Kind::Named("bytes"),
        LiteralValue::Double(_) => Kind::Named("double"),
        LiteralValue::Int(_) => INT,
        LiteralValue::Null => NULL,
        LiteralValue::String(_) => STRING,
        LiteralValue::UInt(_) => Kind::Named("uint"),
    }
}

/// The token that stands for an operator, at whose place a message points.
fn operator_token(name: &str) -> Option<&'static str> {
    Some(match name {
        operators::CONDITIONAL | operators::OPT_INDEX => "?",
        operators::LOGICAL_AND => "&&",
        operators::LOGICAL_OR => "||",
        operators::LOGICAL_NOT => "!",
        operators::SUBSTRACT | operators::NEGATE => "-",
        operators::ADD => "+",
        operators::MULTIPLY => "*",
        operators::DIVIDE => "/",
        operators::MODULO => "%",
        operators::EQUALS => "==",
        operators::NOT_EQUALS => "!=",
        operators::GREATER_EQUALS => ">=",
        operators::LESS_EQUALS => "<=",
        operators::GREATER => ">",
        operators::LESS => "<",
        operators::INDEX => "[",
        operators::IN => "in",
        _ => return None,
    })
}

/// Whether `kind` is exactly one of `wanted` (a dynamic type is none of them).
pub(super) fn is_one_of(kind: &Kind, wanted: &[Kind]) -> bool {
    wanted.iter().any(|wanted| matches!((wanted, kind), (Kind::Named(a), Kind::Named(b)) if a == b) || matches!(wanted, kind::Kind::Dyn))
}
