//! Nodes to text.

use super::{
    functions::{self, Context},
    parse::{Node, Pipeline, Template, Term, parse},
    value::Val,
};
use crate::{engine::Sample, labels::Labels};
use std::{collections::BTreeMap, sync::Arc};

/// Bytes that a template may write.
const MAX_OUTPUT: usize = 256 << 10;
/// Nodes that it may visit.
const MAX_STEPS: usize = 200_000;

/// Why a template has no result, in Go's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TemplateError(pub String);

/// What a template can look at.
pub struct Data<'a> {
    pub labels: &'a Labels,
    pub value: Val,
    pub external_labels: &'a Labels,
    pub external_url: &'a str,
    /// Runs a query at the time of the rule.
    pub query: &'a dyn Fn(&str) -> Result<Vec<Sample>, String>,
}

impl std::fmt::Debug for Data<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Data").field("labels", self.labels).field("value", &self.value).finish_non_exhaustive()
    }
}

/// Variables that are there from the start.
pub const VARIABLES: [&str; 5] = ["$", "$labels", "$externalLabels", "$externalURL", "$value"];

/// Expands a template of this name.
pub fn expand(name: &str, text: &str, data: &Data<'_>) -> Result<String, TemplateError> {
    let template = parse(name, text, &VARIABLES).map_err(|error| TemplateError(format!("error parsing template {name}: {error}")))?;
    let fields = BTreeMap::from([
        ("Labels", Val::Labels(data.labels.clone())),
        ("ExternalLabels", Val::Labels(data.external_labels.clone())),
        ("ExternalURL", Val::Text(data.external_url.to_owned())),
        ("Value", data.value.clone()),
    ]);
    let root = Val::Root(Arc::new(fields.clone()));
    let mut variables = vec![("$".to_owned(), root.clone())];
    for (variable, field) in
        [("$labels", "Labels"), ("$externalLabels", "ExternalLabels"), ("$externalURL", "ExternalURL"), ("$value", "Value")]
    {
        variables.push((variable.to_owned(), fields[field].clone()));
    }
    let context = Context { query: data.query, external_url: data.external_url };
    let mut expander = Expander { name, template: &template, context, variables, out: String::new(), steps: 0, depth: 0 };
    match expander.nodes(&template.nodes, &root) {
        Ok(_) => Ok(expander.out),
        Err(error) => Err(TemplateError(format!("error executing template {name}: template: {name}:{error}"))),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Flow {
    On,
    Break,
    Continue,
}

struct Expander<'e> {
    name: &'e str,
    template: &'e Template,
    context: Context<'e>,
    variables: Vec<(String, Val)>,
    out: String,
    steps: usize,
    depth: usize,
}

impl<'e> Expander<'e> {
    fn nodes(&mut self, nodes: &'e [Node], dot: &Val) -> Result<Flow, String> {
        for node in nodes {
            self.steps += 1;
            if self.steps > MAX_STEPS || self.out.len() > MAX_OUTPUT {
                return Err(format!("1: executing {:?}: the template does too much", self.name));
            }
            match self.node(node, dot)? {
                Flow::On => {}
                flow => return Ok(flow),
            }
        }
        Ok(Flow::On)
    }

    fn node(&mut self, node: &'e Node, dot: &Val) -> Result<Flow, String> {
        let scope = self.variables.len();
        match node {
            Node::Text(text) => self.out += text,
            Node::Action(pipeline) => {
                let value = self.pipeline(pipeline, dot)?;
                if pipeline.variables.is_empty() {
                    self.out += &value.text();
                }
            }
            Node::If { arms, otherwise } | Node::With { arms, otherwise } => {
                let rebinds = matches!(node, Node::With { .. });
                for (condition, body) in arms {
                    let value = self.pipeline(condition, dot)?;
                    if value.is_true() {
                        let flow = self.nodes(body, if rebinds { &value } else { dot });
                        self.variables.truncate(scope);
                        return flow;
                    }
                }
                let flow = self.nodes(otherwise, dot);
                self.variables.truncate(scope);
                return flow;
            }
            Node::Range { over, body, otherwise } => {
                self.range(over, body, otherwise, dot)?;
                self.variables.truncate(scope);
            }
            Node::Template { name, data } => {
                let value = match data {
                    Some(data) => self.pipeline(data, dot)?,
                    None => Val::Nil,
                };
                let template = self.template;
                let Some((_, body)) = template.defined.iter().find(|defined| defined.0 == *name) else {
                    return Err(format!("1: executing {:?}: template {name:?} not defined", self.name));
                };
                self.depth += 1;
                if self.depth > 50 {
                    return Err(format!("1: executing {:?}: exceeded maximum template depth", self.name));
                }
                let outer = std::mem::replace(&mut self.variables, vec![("$".to_owned(), value.clone())]);
                self.nodes(body, &value)?;
                self.variables = outer;
                self.depth -= 1;
            }
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::On)
    }

    fn range(&mut self, over: &'e Pipeline, body: &'e [Node], otherwise: &'e [Node], dot: &Val) -> Result<(), String> {
        let scope = self.variables.len();
        let value = self.pipeline(over, dot)?;
        self.variables.truncate(scope);
        let entries: Vec<(Val, Val)> = match value {
            Val::List(list) => list.into_iter().enumerate().map(|(index, value)| (Val::Int(index as i64), value)).collect(),
            Val::Labels(labels) => labels.iter().map(|(name, value)| (Val::Text(name.to_owned()), Val::Text(value.to_owned()))).collect(),
            Val::Map(map) => map.into_iter().map(|(name, value)| (Val::Text(name), value)).collect(),
            Val::Int(count) => (0..count.clamp(0, MAX_STEPS as i64)).map(|index| (Val::Int(index), Val::Int(index))).collect(),
            Val::Nil => vec![],
            other => return Err(self.explain(over, &format!("range can't iterate over {}", other.text()))),
        };
        if entries.is_empty() {
            self.nodes(otherwise, dot)?;
            return Ok(());
        }
        for (key, value) in entries {
            match over.variables.as_slice() {
                [only] => self.variables.push((only.clone(), value.clone())),
                [first, second] => {
                    self.variables.push((first.clone(), key));
                    self.variables.push((second.clone(), value.clone()));
                }
                _ => {}
            }
            let flow = self.nodes(body, &value)?;
            self.variables.truncate(scope);
            if flow == Flow::Break {
                break;
            }
        }
        Ok(())
    }

    fn pipeline(&mut self, pipeline: &Pipeline, dot: &Val) -> Result<Val, String> {
        let mut value: Option<Val> = None;
        for command in &pipeline.commands {
            value = Some(self.command(command, value, pipeline, dot)?);
        }
        let value = value.unwrap_or(Val::Nil);
        for variable in &pipeline.variables {
            let known = self.variables.iter_mut().rev().find(|known| known.0 == *variable);
            match known {
                Some(known) if pipeline.assigns => known.1 = value.clone(),
                _ => self.variables.push((variable.clone(), value.clone())),
            }
        }
        Ok(value)
    }

    fn command(&mut self, command: &[Term], last: Option<Val>, pipeline: &Pipeline, dot: &Val) -> Result<Val, String> {
        let Some((first, rest)) = command.split_first() else { return Ok(Val::Nil) };
        let Term::Function(name) = first else {
            if !rest.is_empty() || last.is_some() {
                return Err(self.explain(pipeline, "can't give argument to non-function"));
            }
            return self.term(first, pipeline, dot);
        };
        // Of `and` and `or` only as much is evaluated as decides.
        if matches!(name.as_str(), "and" | "or") {
            let stops_at = name == "or";
            let mut value = Val::Nil;
            for term in rest {
                value = self.term(term, pipeline, dot)?;
                if value.is_true() == stops_at {
                    return Ok(value);
                }
            }
            return Ok(last.unwrap_or(value));
        }
        let mut args = Vec::with_capacity(rest.len() + 1);
        for term in rest {
            args.push(self.term(term, pipeline, dot)?);
        }
        args.extend(last);
        self.steps += 10;
        functions::call(name, &args, &self.context).map_err(|error| {
            let error = if error.starts_with("wrong ") { error } else { format!("error calling {name}: {error}") };
            self.explain(pipeline, &error)
        })
    }

    fn term(&mut self, term: &Term, pipeline: &Pipeline, dot: &Val) -> Result<Val, String> {
        Ok(match term {
            Term::Dot => dot.clone(),
            Term::Nil => Val::Nil,
            Term::Bool(value) => Val::Bool(*value),
            Term::Int(value) => Val::Int(*value),
            Term::Float(value) => Val::Float(*value),
            Term::Text(text) => Val::Text(text.clone()),
            Term::Variable(name) => self.variables.iter().rev().find(|known| known.0 == *name).map_or(Val::Nil, |known| known.1.clone()),
            Term::Function(_) => self.command(std::slice::from_ref(term), None, pipeline, dot)?,
            Term::Pipeline(inner) => {
                let scope = self.variables.len();
                let value = self.pipeline(inner, dot)?;
                self.variables.truncate(scope);
                value
            }
            Term::Field(of, names) => {
                let mut value = self.term(of, pipeline, dot)?;
                for name in names {
                    value = value.field(name).map_err(|error| self.explain(pipeline, &error))?;
                }
                value
            }
        })
    }

    fn explain(&self, pipeline: &Pipeline, error: &str) -> String {
        format!("{}: executing {:?} at <{}>: {error}", pipeline.line, self.name, pipeline.text)
    }
}
