//! What Gatekeeper and OPA refuse before a program runs: imports and data that a template may not use, functions that do not exist,
//! rules that call themselves. (<https://open-policy-agent.github.io/gatekeeper/website/docs/constrainttemplates/>)

use super::builtins;
use crate::Finding;
use regorus::unstable::{AssignOp, Expr, Literal, Module, Query, Ref, Rule, RuleHead, Span};
use std::collections::{BTreeMap, BTreeSet};

/// Longest chain of brackets on one reference.
const LONGEST_REFERENCE: usize = 100;
/// What reading a program may cost: bytes, each as often as the brackets around it have it read.
const MOST_READ: u64 = 50_000_000;
/// How deep rules may call each other, counted in levels of expressions.
const DEEPEST_CALLS: usize = 120;

/// A program that regorus could not read in bounded time and room: its references are longer than the stack is deep, or its brackets
/// too deep in one another. What stands in brackets is read twice, first as if it were a comprehension, so each level doubles the work.
pub(super) fn too_deep(field: &str, text: &str) -> Option<Finding> {
    let found = |message: &str, at: usize| {
        let line = 1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count();
        Some(Finding::new(field, message).at_line(u64::try_from(line).ok()))
    };
    let mut chains = vec![0];
    let (mut depth, mut work, mut before) = (0_u32, 0_u64, b' ');
    for (at, byte) in code(text) {
        match byte {
            b'[' => {
                let chain = chains.last_mut()?;
                *chain = if before == b']' { *chain + 1 } else { 0 };
                if *chain > LONGEST_REFERENCE {
                    return found("a reference has too many parts", at);
                }
                chains.push(0);
                depth += 1;
            }
            b'{' => depth += 1,
            b']' | b'}' => {
                depth = depth.saturating_sub(1);
                if byte == b']' && chains.len() > 1 {
                    chains.pop();
                }
            }
            _ => {}
        }
        before = byte;
        work = work.saturating_add(1_u64.checked_shl(depth).unwrap_or(u64::MAX));
        if work > MOST_READ {
            return found("brackets lie too deep in one another", at);
        }
    }
    None
}

/// The bytes of a program that are neither in strings nor in comments, and where they stand.
fn code(text: &str) -> impl Iterator<Item = (usize, u8)> {
    let mut inside = None;
    let mut escaped = false;
    text.bytes().enumerate().filter(move |(_, byte)| match (inside, byte) {
        (None, b'"' | b'`') => {
            inside = Some(*byte);
            true
        }
        (None, b'#') => {
            inside = Some(b'\n');
            false
        }
        (None, _) => true,
        (Some(b'"'), b'\\') => {
            escaped = !escaped;
            false
        }
        (Some(end), byte) => {
            if end == *byte && !escaped {
                inside = None;
            }
            escaped = false;
            false
        }
    })
}

/// Checks the modules of a template, the entry point first.
pub(super) fn modules(modules: &[Ref<Module>], sources: &[(String, String)]) -> Vec<Finding> {
    let units: Vec<_> = modules.iter().zip(sources).map(|(module, (field, _))| Unit::new(module, field)).collect();
    let mut findings = Vec::new();
    if let Some(entry) = units.first()
        && !entry.rules.contains_key("violation")
    {
        let message = "missing required rules: [violation]; Gatekeeper asks for `violation[{\"msg\": msg}]`";
        findings.push(Finding::new(entry.field, message));
    }
    for (index, unit) in units.iter().enumerate() {
        if index > 0 && !(unit.package.len() > 2 && unit.package[..2] == ["data", "lib"]) {
            let message = format!("the package of a lib is below `lib`, as `lib.helpers`; not {}", unit.package[1..].join("."));
            findings.push(unit.finding(&unit.module.package.span, message));
        }
        unit.imports(&mut findings);
        for rules in unit.rules.values() {
            for rule in rules {
                let mut walk = Walk::new(&units, unit, rule);
                walk.rule(rule);
                findings.extend(walk.findings);
            }
        }
    }
    if findings.is_empty() {
        findings.extend(calls(&units));
    }
    findings
}

/// A module with what is asked of it again and again.
struct Unit<'a> {
    field: &'a str,
    module: &'a Module,
    /// `data`, `lib`, …
    package: Vec<String>,
    rules: BTreeMap<String, Vec<&'a Rule>>,
    aliases: BTreeMap<String, Vec<String>>,
}

impl<'a> Unit<'a> {
    fn new(module: &'a Module, field: &'a str) -> Self {
        let mut package = parts(&module.package.refr).0;
        if package.first().is_none_or(|first| first != "data") {
            package.insert(0, "data".to_owned());
        }
        let mut rules = BTreeMap::<_, Vec<_>>::new();
        for rule in &module.policy {
            let refr = match rule.as_ref() {
                Rule::Spec { head: RuleHead::Compr { refr, .. } | RuleHead::Set { refr, .. } | RuleHead::Func { refr, .. }, .. }
                | Rule::Default { refr, .. } => refr,
            };
            if let Some(name) = parts(refr).0.first() {
                rules.entry(name.clone()).or_default().push(rule.as_ref());
            }
        }
        let mut aliases = BTreeMap::new();
        for import in &module.imports {
            let path = parts(&import.refr).0;
            let name = import.r#as.as_ref().map(|alias| alias.text().to_owned()).or_else(|| path.last().cloned());
            if let Some(name) = name {
                aliases.insert(name, path);
            }
        }
        Self { field, module, package, rules, aliases }
    }

    fn finding(&self, span: &Span, message: impl Into<String>) -> Finding {
        Finding::new(self.field, message).at_line(Some(span.line.into()))
    }

    fn imports(&self, findings: &mut Vec<Finding>) {
        for import in &self.module.imports {
            let path = parts(&import.refr).0;
            let path: Vec<_> = path.iter().map(String::as_str).collect();
            let why = match path.as_slice() {
                ["data", "lib", ..] | ["future", ..] => continue,
                ["input", ..] => "cannot import input",
                _ => "bad import: only `data.lib` and `future.keywords` can be imported",
            };
            findings.push(self.finding(&import.span, format!("invalid import: {why}: {}", path.join("."))));
        }
    }
}

/// The parts of a reference that are known before it is evaluated, and whether those are all.
fn parts(expression: &Expr) -> (Vec<String>, bool) {
    let mut reversed = Vec::new();
    let mut known = true;
    let mut rest = expression;
    loop {
        match rest {
            Expr::RefDot { refr, field, .. } => {
                reversed.push(field.1.as_string().ok().map(|text| text.to_string()));
                rest = refr;
            }
            Expr::RefBrack { refr, index, .. } => {
                reversed.push(match index.as_ref() {
                    Expr::String { value, .. } | Expr::RawString { value, .. } => value.as_string().ok().map(|text| text.to_string()),
                    _ => None,
                });
                rest = refr;
            }
            Expr::Var { value, .. } => {
                reversed.push(value.as_string().ok().map(|text| text.to_string()));
                break;
            }
            _ => return (Vec::new(), false),
        }
    }
    let mut parts = Vec::new();
    for part in reversed.into_iter().rev() {
        match part {
            Some(part) if known => parts.push(part),
            _ => known = false,
        }
    }
    (parts, known)
}

/// A rule by its module's place and its name.
type Node = (usize, String);

/// Walks one rule: what it refers to, and what of that it may not.
struct Walk<'a> {
    units: &'a [Unit<'a>],
    unit: &'a Unit<'a>,
    /// Names that the rule declares, which hide rules of the same name.
    declared: BTreeSet<String>,
    reached: BTreeSet<Node>,
    findings: Vec<Finding>,
    depth: usize,
    deepest: usize,
}

impl<'a> Walk<'a> {
    fn new(units: &'a [Unit<'a>], unit: &'a Unit<'a>, rule: &'a Rule) -> Self {
        let mut declared = BTreeSet::new();
        declare_rule(rule, &mut declared);
        Self { units, unit, declared, reached: BTreeSet::new(), findings: Vec::new(), depth: 0, deepest: 0 }
    }

    fn rule(&mut self, rule: &Rule) {
        match rule {
            Rule::Spec { head, bodies, .. } => {
                match head {
                    RuleHead::Compr { refr, assign, .. } => {
                        self.head(refr);
                        assign.iter().for_each(|assign| self.expression(&assign.value));
                    }
                    RuleHead::Set { refr, key, .. } => {
                        self.head(refr);
                        key.iter().for_each(|key| self.expression(key));
                    }
                    RuleHead::Func { args, assign, .. } => {
                        args.iter().for_each(|argument| self.expression(argument));
                        assign.iter().for_each(|assign| self.expression(&assign.value));
                    }
                }
                for body in bodies {
                    body.assign.iter().for_each(|assign| self.expression(&assign.value));
                    self.query(&body.query);
                }
            }
            Rule::Default { value, .. } => self.expression(value),
        }
    }

    /// The name of a rule is no reference, what stands in its brackets is one.
    fn head(&mut self, mut refr: &Expr) {
        loop {
            match refr {
                Expr::RefBrack { refr: inner, index, .. } => {
                    self.expression(index);
                    refr = inner;
                }
                Expr::RefDot { refr: inner, .. } => refr = inner,
                _ => return,
            }
        }
    }

    fn query(&mut self, query: &Query) {
        for statement in &query.stmts {
            match &statement.literal {
                Literal::SomeVars { .. } => {}
                Literal::SomeIn { key, value, collection, .. } => {
                    key.iter().chain([value, collection]).for_each(|part| self.expression(part));
                }
                Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => self.expression(expr),
                Literal::Every { domain, query, .. } => {
                    self.expression(domain);
                    self.query(query);
                }
            }
            for with in &statement.with_mods {
                self.expression(&with.refr);
                self.expression(&with.r#as);
            }
        }
    }

    fn expression(&mut self, expression: &Expr) {
        self.depth += 1;
        self.deepest = self.deepest.max(self.depth);
        match expression {
            Expr::String { .. } | Expr::RawString { .. } | Expr::Number { .. } | Expr::Bool { .. } | Expr::Null { .. } => {}
            Expr::Var { .. } => self.reference(expression),
            Expr::Array { items, .. } | Expr::Set { items, .. } => items.iter().for_each(|item| self.expression(item)),
            Expr::Object { fields, .. } => fields.iter().for_each(|(_, key, value)| {
                self.expression(key);
                self.expression(value);
            }),
            Expr::ArrayCompr { term, query, .. } | Expr::SetCompr { term, query, .. } => {
                self.expression(term);
                self.query(query);
            }
            Expr::ObjectCompr { key, value, query, .. } => {
                self.expression(key);
                self.expression(value);
                self.query(query);
            }
            Expr::Call { fcn, params, span, .. } => {
                self.call(fcn, params.len(), span);
                params.iter().for_each(|parameter| self.expression(parameter));
            }
            Expr::UnaryExpr { expr, .. } => self.expression(expr),
            Expr::RefDot { .. } | Expr::RefBrack { .. } => {
                self.reference(expression);
                let mut rest = expression;
                loop {
                    match rest {
                        Expr::RefDot { refr, .. } => rest = refr,
                        Expr::RefBrack { refr, index, .. } => {
                            self.expression(index);
                            rest = refr;
                        }
                        Expr::Var { .. } => break,
                        other => {
                            self.expression(other);
                            break;
                        }
                    }
                }
            }
            Expr::BinExpr { lhs, rhs, .. }
            | Expr::BoolExpr { lhs, rhs, .. }
            | Expr::ArithExpr { lhs, rhs, .. }
            | Expr::AssignExpr { lhs, rhs, .. } => {
                self.expression(lhs);
                self.expression(rhs);
            }
            Expr::Membership { key, value, collection, .. } => {
                key.iter().chain([value, collection]).for_each(|part| self.expression(part));
            }
        }
        self.depth -= 1;
    }

    fn reference(&mut self, expression: &Expr) {
        let (path, _) = parts(expression);
        let Some(root) = path.first() else { return };
        if root == "data" && !matches!(path.get(1).map(String::as_str), Some("inventory" | "lib")) {
            let message = format!("disallowed ref {}: templates see `data.inventory` and `data.lib` only", expression.span().text());
            self.findings.push(self.unit.finding(expression.span(), message));
        }
        let reached = self.resolve(&path);
        self.reached.extend(reached);
    }

    /// The rules that a path reaches.
    fn resolve(&self, path: &[String]) -> Vec<Node> {
        let Some(root) = path.first() else { return Vec::new() };
        if self.declared.contains(root) {
            return Vec::new();
        }
        let full: Vec<String> = if root == "data" {
            path.to_vec()
        } else if let Some(imported) = self.unit.aliases.get(root) {
            imported.iter().chain(&path[1..]).cloned().collect()
        } else {
            self.unit.package.iter().chain(path).cloned().collect()
        };
        let mut reached = Vec::new();
        for (index, unit) in self.units.iter().enumerate() {
            let common = unit.package.iter().zip(&full).take_while(|(a, b)| a == b).count();
            if common == unit.package.len() && common < full.len() {
                if unit.rules.contains_key(&full[common]) {
                    reached.push((index, full[common].clone()));
                }
            } else if common == full.len() {
                // A whole package, with all that is in it.
                reached.extend(unit.rules.keys().map(|name| (index, name.clone())));
            }
        }
        reached
    }

    fn call(&mut self, function: &Expr, given: usize, span: &Span) {
        let (path, _) = parts(function);
        let name = path.join(".");
        if path.first().is_some_and(|root| root == "data") {
            self.reference(function);
        }
        let reached = self.resolve(&path);
        if !reached.is_empty() {
            self.reached.extend(reached);
            return;
        }
        match builtins::arity(&name) {
            // One more is a variable that takes the result.
            Some(Some(wanted)) if given != wanted && given != wanted + 1 => {
                let message = format!("rego_type_error: {name}: arity mismatch: it takes {wanted}, here are {given}");
                self.findings.push(self.unit.finding(span, message));
            }
            Some(_) => {}
            None => {
                let what = match builtins::refused(&name) {
                    Some(why) => format!("{name} is not available: {why}"),
                    None => format!("rego_type_error: undefined function {name}"),
                };
                self.findings.push(self.unit.finding(span, what));
            }
        }
    }
}

fn declare_rule(rule: &Rule, declared: &mut BTreeSet<String>) {
    let Rule::Spec { head, bodies, .. } = rule else { return };
    if let RuleHead::Func { args, .. } = head {
        args.iter().for_each(|argument| declare_pattern(argument, declared));
    }
    bodies.iter().for_each(|body| declare_query(&body.query, declared));
}

fn declare_query(query: &Query, declared: &mut BTreeSet<String>) {
    for statement in &query.stmts {
        match &statement.literal {
            Literal::SomeVars { vars, .. } => declared.extend(vars.iter().map(|name| name.text().to_owned())),
            Literal::SomeIn { key, value, collection, .. } => {
                key.iter().chain([value]).for_each(|part| declare_pattern(part, declared));
                declare(collection, declared);
            }
            Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => declare(expr, declared),
            Literal::Every { key, value, domain, query, .. } => {
                declared.extend(key.iter().chain([value]).map(|name| name.text().to_owned()));
                declare(domain, declared);
                declare_query(query, declared);
            }
        }
    }
}

/// The names that `:=` declares within an expression.
fn declare(expression: &Expr, declared: &mut BTreeSet<String>) {
    match expression {
        Expr::AssignExpr { op, lhs, rhs, .. } => {
            if matches!(op, AssignOp::ColEq) {
                declare_pattern(lhs, declared);
            }
            declare(rhs, declared);
        }
        Expr::ArrayCompr { query, .. } | Expr::SetCompr { query, .. } | Expr::ObjectCompr { query, .. } => declare_query(query, declared),
        Expr::Array { items, .. } | Expr::Set { items, .. } => items.iter().for_each(|item| declare(item, declared)),
        Expr::Call { params, .. } => params.iter().for_each(|parameter| declare(parameter, declared)),
        Expr::BinExpr { lhs, rhs, .. } | Expr::BoolExpr { lhs, rhs, .. } | Expr::ArithExpr { lhs, rhs, .. } => {
            declare(lhs, declared);
            declare(rhs, declared);
        }
        _ => {}
    }
}

fn declare_pattern(pattern: &Expr, declared: &mut BTreeSet<String>) {
    match pattern {
        Expr::Var { value, .. } => declared.extend(value.as_string().ok().map(|name| name.to_string())),
        Expr::Array { items, .. } => items.iter().for_each(|item| declare_pattern(item, declared)),
        Expr::Object { fields, .. } => fields.iter().for_each(|(_, _, value)| declare_pattern(value, declared)),
        _ => {}
    }
}

/// Rules that call themselves, and rules that call each other too deep.
fn calls(units: &[Unit]) -> Vec<Finding> {
    let mut graph = BTreeMap::<Node, (BTreeSet<Node>, usize)>::new();
    for (index, unit) in units.iter().enumerate() {
        for (name, rules) in &unit.rules {
            let held = graph.entry((index, name.clone())).or_default();
            for rule in rules {
                let mut walk = Walk::new(units, unit, rule);
                walk.rule(rule);
                held.0.extend(walk.reached);
                held.1 = held.1.max(walk.deepest);
            }
        }
    }
    let mut depths = BTreeMap::new();
    for node in graph.keys() {
        let mut open = Vec::new();
        if let Err((node, message)) = depth(node, &graph, &mut open, &mut depths) {
            let unit = &units[node.0];
            let line = unit.rules.get(&node.1).and_then(|rules| rules.first()).map(|rule| rule.span());
            let finding = Finding::new(unit.field, message);
            return vec![match line {
                Some(span) => finding.at_line(Some(span.line.into())),
                None => finding,
            }];
        }
    }
    Vec::new()
}

fn depth(
    node: &Node,
    graph: &BTreeMap<Node, (BTreeSet<Node>, usize)>,
    open: &mut Vec<Node>,
    done: &mut BTreeMap<Node, usize>,
) -> Result<usize, (Node, String)> {
    if let Some(known) = done.get(node) {
        return Ok(*known);
    }
    if let Some(begin) = open.iter().position(|held| held == node) {
        let names: Vec<_> = open[begin..].iter().chain([node]).map(|(_, name)| name.as_str()).collect();
        return Err((node.clone(), format!("rego_recursion_error: rule {} is recursive: {}", node.1, names.join(" -> "))));
    }
    let too_deep = || Err((node.clone(), format!("rules call each other too deep, at {}", node.1)));
    if open.len() > DEEPEST_CALLS {
        return too_deep();
    }
    let Some((reached, own)) = graph.get(node) else { return Ok(0) };
    open.push(node.clone());
    let mut below = 0;
    for next in reached {
        below = below.max(depth(next, graph, open, done)?);
    }
    open.pop();
    let total = below + own;
    if total > DEEPEST_CALLS {
        return too_deep();
    }
    done.insert(node.clone(), total);
    Ok(total)
}
