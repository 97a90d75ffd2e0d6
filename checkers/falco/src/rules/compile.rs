//! From items to rules: exceptions and lists are put into the text, macros into the tree, and every condition and output is tried.

use super::{
    Loaded, Rule,
    collect::Collection,
    exceptions,
    expand::{self, List, Macro, MacroError},
    item::RuleItem,
    report::{Context, ErrorCode, Failure, Report, WarningCode, failure},
};
use crate::{
    event::Schema,
    fields::Source,
    filter,
    output::Format,
    syntax::{self, Expr, Operand, Operator},
};
use rustc_hash::{FxHashMap, FxHashSet};
use std::{collections::BTreeSet, sync::Arc};

/// Fields that Falco still knows and no longer fills.
const DEPRECATED_FIELDS: &[&str] = &["evt.dir", "evt.latency", "evt.latency.s", "evt.latency.ns", "evt.latency.human", "evt.wait_latency"];
const DIRECTION_IS_DEPRECATED: &str = "due to the drop of enter events, 'evt.dir = <' always evaluates to true, and 'evt.dir = >' always \
                                       evaluates to false. The rule expression can be simplified by removing the condition on 'evt.dir'";
const LATENCY_IS_DEPRECATED: &str = "field is not available due to the drop of enter events.";
const CONTAINER_INFO: &str = "%container.info";
const CONTAINER_INFO_IS_DEPRECATED: &str = "%container.info is deprecated and no more useful, and will be dropped by Falco 1.0.0. The \
                                            container plugin will automatically add required fields to the output message.";
const TOO_MANY_EVENT_TYPES: &str = "Rule matches too many evt.type values. This has a significant performance penalty.";
const UNUSED_MACRO: &str = "Macro not referred to by any other rule/macro";
const UNUSED_LIST: &str = "List not referred to by any other rule/macro";

/// Compiles everything that was read. What is wrong stands in the report, and then there are no rules.
pub fn compile(collection: &Collection, report: &mut Report) -> Option<Loaded> {
    let mut compiler = Compiler {
        lists: expand::lists(&collection.lists),
        macros: FxHashMap::default(),
        used_macros: FxHashSet::default(),
        schema: Schema::default(),
        report,
    };
    let rules = match compiler.macros(collection).and_then(|()| compiler.rules(collection)) {
        Ok(rules) => rules,
        Err(failure) => {
            compiler.report.errors.push(*failure);
            return None;
        }
    };
    for item in collection.macros.iter().filter(|item| !compiler.used_macros.contains(&item.name)) {
        compiler.report.warn(WarningCode::UnusedMacro, UNUSED_MACRO, &item.context);
    }
    for (list, item) in compiler.lists.iter().zip(&collection.lists).filter(|(list, _)| !list.used) {
        debug_assert_eq!(list.name, item.name);
        compiler.report.warn(WarningCode::UnusedList, UNUSED_LIST, &item.context);
    }
    Some(Loaded {
        rules,
        macros: collection.macros.len(),
        lists: collection.lists.len(),
        required_engine_version: collection.required_engine_version,
        required_plugins: collection.required_plugins.clone(),
    })
}

struct Compiler<'a> {
    lists: Vec<List>,
    macros: FxHashMap<String, Macro>,
    used_macros: FxHashSet<String>,
    schema: Schema,
    report: &'a mut Report,
}

impl Compiler<'_> {
    fn macros(&mut self, collection: &Collection) -> Result<(), Failure> {
        // All of them are parsed before any of them is put into another.
        let parsed =
            collection.macros.iter().map(|item| self.parse(&item.condition, &item.condition_context)).collect::<Result<Vec<_>, _>>()?;
        for (item, expr) in collection.macros.iter().zip(&parsed) {
            let size = expand::size(expr);
            self.macros.insert(item.name.clone(), Macro { condition: Arc::new(expr.clone()), size, index: item.order.index });
        }
        for (item, mut expr) in collection.macros.iter().zip(parsed) {
            let used = expand::put_macros(&mut expr, &self.macros, item.order.visibility, Some(&item.name))
                .map_err(|error| macro_failure(&error, &item.condition, &item.context))?;
            self.used_macros.extend(used);
            let size = expand::size(&expr);
            self.macros.insert(item.name.clone(), Macro { condition: Arc::new(expr), size, index: item.order.index });
        }
        Ok(())
    }

    /// Puts the lists into a condition and parses it.
    fn parse(&mut self, condition: &str, context: &Context) -> Result<Expr, Failure> {
        let condition =
            expand::put_lists(condition, &mut self.lists).map_err(|message| failure(ErrorCode::CompileCondition, message, context))?;
        syntax::parse(&condition).map_err(|error| {
            let place = context.expression(&condition, error.position);
            failure(ErrorCode::CompileCondition, error.message, &place)
        })
    }

    fn rules(&mut self, collection: &Collection) -> Result<Vec<Rule>, Failure> {
        let mut rules = Vec::new();
        for item in &collection.rules {
            if let Some(source) = item.known_source {
                rules.extend(self.rule(item, source)?);
            }
        }
        Ok(rules)
    }

    /// None where the rule asks to be skipped because of what Falco does not know.
    fn rule(&mut self, item: &RuleItem, source: Source) -> Result<Option<Rule>, Failure> {
        let condition = exceptions::apply(&item.condition, &item.exceptions)?;
        let mut output = item.output.clone();
        if output.contains(CONTAINER_INFO) {
            self.report.warn(WarningCode::DeprecatedItem, CONTAINER_INFO_IS_DEPRECATED, &item.context);
            output = output.replace(CONTAINER_INFO, "");
        }
        if let Err(message) = Format::new(&output, source, &mut Schema::default()) {
            return self.skip_or_fail(item, ErrorCode::CompileOutput, message, &item.output_context);
        }
        for field in DEPRECATED_FIELDS.iter().filter(|field| output.contains(**field)) {
            let message = format!("usage of deprecated field '{field}' has been detected in the rule output");
            self.report.warn(WarningCode::DeprecatedItem, message, &item.output_context);
        }
        let mut expr = self.parse(&condition, &item.condition_context)?;
        let used = expand::put_macros(&mut expr, &self.macros, usize::MAX, None)
            .map_err(|error| macro_failure(&error, &condition, &item.context))?;
        self.used_macros.extend(used);
        self.warn_of_condition(&expr, &item.condition_context);
        match filter::compile(&expr, source, &mut self.schema) {
            Ok((_, warnings)) => {
                for warning in warnings {
                    let place = item.condition_context.expression(&condition, warning.position);
                    self.report.warn(WarningCode::CompileCondition, warning.message, &place);
                }
            }
            Err(error) => {
                let place = item.condition_context.expression(&condition, error.position);
                return self.skip_or_fail(item, ErrorCode::CompileCondition, error.message, &place);
            }
        }
        let event_types = filter::event_types(&expr);
        if source == Source::Syscall && item.warn_evttypes && event_types.is_too_wide() {
            self.report.warn(WarningCode::NoEvttype, TOO_MANY_EVENT_TYPES, &item.context);
        }
        Ok(Some(Rule {
            name: item.name.clone(),
            description: item.description.clone(),
            condition: expr,
            event_types,
            output,
            priority: item.priority,
            source,
            tags: item.tags.clone(),
            enabled: item.enabled,
            capture: item.capture,
            line: item.context.line(),
        }))
    }

    fn skip_or_fail(&mut self, item: &RuleItem, code: ErrorCode, message: String, place: &Context) -> Result<Option<Rule>, Failure> {
        let unknown = ["nonexistent field", "invalid formatting token", "unknown event type", "unknown filter:"];
        if item.skip_if_unknown_filter && unknown.iter().any(|words| message.contains(words)) {
            self.report.warn(WarningCode::UnknownFilter, message, place);
            return Ok(None);
        }
        Err(failure(code, message, place))
    }

    fn warn_of_condition(&mut self, expr: &Expr, context: &Context) {
        let mut found = Suspicions::default();
        found.visit(expr);
        if found.unsafe_na {
            self.report.warn(WarningCode::UnsafeNaCheck, "", context);
        }
        for field in DEPRECATED_FIELDS.iter().filter(|field| found.deprecated.contains(**field)) {
            let message = if *field == "evt.dir" { DIRECTION_IS_DEPRECATED } else { LATENCY_IS_DEPRECATED };
            self.report.warn(WarningCode::DeprecatedItem, message, context);
        }
    }
}

fn macro_failure(error: &MacroError, condition: &str, context: &Context) -> Failure {
    failure(ErrorCode::Validate, &error.message, &context.expression(condition, error.position))
}

/// What a condition does that Falco warns of.
#[derive(Default)]
struct Suspicions<'a> {
    deprecated: BTreeSet<&'a str>,
    unsafe_na: bool,
}

impl<'a> Suspicions<'a> {
    fn visit(&mut self, expr: &'a Expr) {
        match expr {
            Expr::And(children, _) | Expr::Or(children, _) => children.iter().for_each(|child| self.visit(child)),
            Expr::Not(child, _) => self.visit(child),
            Expr::Macro(..) => {}
            Expr::Check(check) => {
                self.operand(&check.left);
                if let Some(right) = &check.right {
                    self.operand(right);
                }
                let equality =
                    matches!(check.operator, Operator::Equal | Operator::NotEqual | Operator::In | Operator::Intersects | Operator::PMatch);
                let json = matches!(&check.left, Operand::Field(field) if field.name.starts_with("ka.") || field.name.starts_with("jevt."));
                let not_available = match &check.right {
                    Some(Operand::Value(value, _)) => value == "<NA>",
                    Some(Operand::List(values, _)) => values.iter().any(|value| value == "<NA>"),
                    _ => false,
                };
                self.unsafe_na |= equality && json && not_available;
            }
        }
    }

    fn operand(&mut self, operand: &'a Operand) {
        match operand {
            Operand::Field(field) => {
                self.deprecated.insert(&field.name);
            }
            Operand::Transformed(transformed) => transformed.arguments.iter().for_each(|argument| self.operand(argument)),
            Operand::Operands(operands, _) => operands.iter().for_each(|operand| self.operand(operand)),
            Operand::Value(..) | Operand::List(..) => {}
        }
    }
}
