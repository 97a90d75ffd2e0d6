//! What the variables of a rule are answered from: one JSON document, and entries that join it when they are first asked for.

mod entry;
mod images;

pub use images::{Image, images_of, images_value};

use crate::{
    evidence::Evidence,
    trigger::{Operation, UserInfo},
};
use kyverno_jmespath::{Env, Error, Expression};
use serde_json::{Map, Value, json};
use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, HashMap},
    rc::Rc,
};

/// Why a query has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// A key that is not there: what `||` answers, and what a list of `foreach` may be.
    #[error("JMESPath query failed: {0}")]
    NotFound(String),
    #[error("{0}")]
    Failed(String),
}

/// What all rules of one run share: the evidence, compiled expressions, and how much may still be done.
#[derive(Debug)]
pub struct Runtime<'a> {
    pub evidence: &'a Evidence,
    env: Env,
    expressions: RefCell<HashMap<String, Rc<Result<Expression, Error>>>>,
    /// Queries and elements that may still be looked at.
    steps: Cell<u64>,
}

/// Queries, patches and elements of one object under all policies.
const MOST_STEPS: u64 = 200_000;
/// Longest text that substitution may grow to.
pub const LONGEST_TEXT: usize = 4 << 20;

impl<'a> Runtime<'a> {
    pub fn new(evidence: &'a Evidence) -> Self {
        let env = Env::new(evidence.now, evidence.seed);
        Self { evidence, env, expressions: RefCell::default(), steps: Cell::new(MOST_STEPS) }
    }

    /// Begins with another object.
    pub fn refill(&self) {
        self.steps.set(MOST_STEPS);
    }

    /// Counts one step.
    pub fn step(&self) -> Result<(), QueryError> {
        match self.steps.get().checked_sub(1) {
            Some(left) => {
                self.steps.set(left);
                Ok(())
            }
            None => Err(QueryError::Failed("the policies ask for more than may be computed for one object".to_owned())),
        }
    }

    /// A JMESPath query on any document.
    pub fn search(&self, query: &str, data: &Value) -> Result<Value, QueryError> {
        self.step()?;
        let query = query.trim();
        if query.is_empty() {
            return Err(QueryError::Failed("invalid query (nil)".to_owned()));
        }
        let known = self.expressions.borrow().get(query).cloned();
        let expression = known.unwrap_or_else(|| {
            let compiled = Rc::new(kyverno_jmespath::compile(query));
            self.expressions.borrow_mut().insert(query.to_owned(), Rc::clone(&compiled));
            compiled
        });
        let expression = expression.as_ref().as_ref().map_err(|error| QueryError::Failed(format!("incorrect query {query}: {error}")))?;
        expression.search(data, &self.env).map_err(|error| match error {
            Error::NotFound(_) => QueryError::NotFound(error.to_string()),
            other => QueryError::Failed(format!("JMESPath query failed: {other}")),
        })
    }
}

/// An entry that waits to be asked for.
#[derive(Debug, Clone)]
struct Loader {
    name: String,
    level: usize,
    loaded: bool,
    matched: bool,
    source: Source,
}

#[derive(Debug, Clone)]
enum Source {
    /// An entry of a `context`.
    Entry(Rc<Value>),
    /// `images` of the object.
    Images(Rc<Value>),
}

/// The document of one policy on one object.
#[derive(Debug)]
pub struct Context<'a> {
    pub runtime: &'a Runtime<'a>,
    root: Value,
    /// Per checkpoint: the top-level entries that have changed since, as they were.
    undo: Vec<BTreeMap<String, Option<Value>>>,
    loaders: Vec<Loader>,
    /// While an entry loads: the level and the place that it may look back from.
    window: Option<(usize, usize)>,
    pub operation: Operation,
}

impl<'a> Context<'a> {
    pub fn new(runtime: &'a Runtime<'a>, operation: Operation) -> Self {
        let root = json!({ "request": { "operation": operation.to_string() } });
        Self { runtime, root, undo: Vec::new(), loaders: Vec::new(), window: None, operation }
    }

    pub fn document(&self) -> &Value {
        &self.root
    }

    pub fn set_operation(&mut self, operation: Operation) {
        self.operation = operation;
        self.put(&["request", "operation"], Value::String(operation.to_string()));
    }

    pub fn set_object(&mut self, object: &Value) {
        self.replace(&["request", "object"], object.clone());
    }

    pub fn set_old_object(&mut self, object: &Value) {
        self.replace(&["request", "oldObject"], object.clone());
    }

    pub fn set_target(&mut self, object: &Value) {
        self.replace(&["target"], object.clone());
    }

    pub fn set_namespace(&mut self, namespace: &str) {
        self.put(&["request", "namespace"], Value::String(namespace.to_owned()));
    }

    pub fn set_user(&mut self, user: &UserInfo) {
        self.put(&["request"], json!({ "roles": user.roles, "clusterRoles": user.cluster_roles, "userInfo": user.user_info }));
        let account = user.username().strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'));
        let (namespace, name) = account.unwrap_or(("", ""));
        let name = name.split(':').next().unwrap_or_default();
        self.put(&[], json!({ "serviceAccountName": name, "serviceAccountNamespace": namespace }));
    }

    /// A value by a path such as `request.object.metadata.annotations."a.b/c"`.
    pub fn set_variable(&mut self, path: &str, value: &Value) {
        let steps = dotted(path);
        let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
        self.put(&steps, value.clone());
    }

    pub fn set_element(&mut self, element: &Value, index: usize, nesting: usize) {
        for (name, value) in [("element", element.clone()), ("elementIndex", Value::from(index))] {
            self.save(name);
            self.save(&format!("{name}{nesting}"));
            if let Some(root) = self.root.as_object_mut() {
                root.insert(format!("{name}{nesting}"), value.clone());
                root.insert(name.to_owned(), value);
            }
        }
    }

    /// The image that is verified: `image`.
    pub fn set_image(&mut self, image: &Image) {
        self.put(&["image"], image.value());
    }

    /// Merges fields into the document, as the statement of an attestation joins it.
    pub fn set_fields(&mut self, fields: &Value) {
        self.put(&[], fields.clone());
    }

    pub fn add_images(&mut self, object: Rc<Value>) {
        self.add_loader("images", Source::Images(object));
    }

    /// An entry of a `context`, which is looked up when something asks for it.
    pub fn add_entry(&mut self, entry: &Value) {
        let name = entry.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        self.add_loader(&name, Source::Entry(Rc::new(entry.clone())));
    }

    fn add_loader(&mut self, name: &str, source: Source) {
        self.loaders.push(Loader { name: name.to_owned(), level: self.undo.len(), loaded: false, matched: false, source });
    }

    pub fn checkpoint(&mut self) {
        self.undo.push(BTreeMap::new());
    }

    /// Back to the last checkpoint, which stays.
    pub fn reset(&mut self) {
        if self.undo.is_empty() {
            return;
        }
        self.rewind();
        let level = self.undo.len();
        self.undo.push(BTreeMap::new());
        self.forget(level);
    }

    /// Back to the last checkpoint, which goes.
    pub fn restore(&mut self) {
        if self.undo.is_empty() {
            return;
        }
        self.rewind();
        self.forget(self.undo.len());
    }

    fn rewind(&mut self) {
        let Some(saved) = self.undo.pop() else { return };
        let Some(root) = self.root.as_object_mut() else { return };
        for (name, value) in saved {
            match value {
                Some(value) => root.insert(name, value),
                None => root.remove(&name),
            };
        }
    }

    /// Entries that came after the checkpoint are gone, and the others are looked up again when they are asked for.
    fn forget(&mut self, level: usize) {
        self.loaders.retain(|loader| loader.level <= level);
        for loader in &mut self.loaders {
            loader.loaded = false;
            loader.matched = false;
        }
    }

    /// Remembers a top-level entry, so that the last checkpoint can be returned to.
    fn save(&mut self, name: &str) {
        if let Some(saved) = self.undo.last_mut()
            && !saved.contains_key(name)
        {
            saved.insert(name.to_owned(), self.root.get(name).cloned());
        }
    }

    /// Merges: maps into maps, everything else is overwritten.
    fn put(&mut self, path: &[&str], value: Value) {
        let document = path.iter().rev().fold(value, |value, step| json!({ *step: value }));
        let Value::Object(fields) = document else { return };
        for name in fields.keys() {
            self.save(name);
        }
        if let Some(root) = self.root.as_object_mut() {
            merge(fields, root);
        }
    }

    fn replace(&mut self, path: &[&str], value: Value) {
        let Some((last, way)) = path.split_last() else { return };
        self.save(path[0]);
        let mut place = &mut self.root;
        for step in way {
            place = entry(place, step);
        }
        *entry(place, last) = value;
    }

    /// A JMESPath query on the document.
    pub fn query(&mut self, query: &str) -> Result<Value, QueryError> {
        self.load_for(query)?;
        self.runtime.search(query, &self.root)
    }

    /// Loads the entries that the query names, first come first.
    fn load_for(&mut self, query: &str) -> Result<(), QueryError> {
        let (level, before) = self.window.unwrap_or((self.undo.len(), usize::MAX));
        loop {
            let waiting = self
                .loaders
                .iter()
                .take(before)
                .position(|loader| !loader.matched && !loader.loaded && loader.level <= level && names(query, &loader.name));
            let Some(index) = waiting else { return Ok(()) };
            self.loaders[index].matched = true;
            let loader = self.loaders[index].clone();
            let outer = self.window.replace((loader.level, index));
            let result = match &loader.source {
                Source::Entry(entry) => self.load_entry(entry),
                Source::Images(object) => images_of(object, None).map(|images| {
                    if !images.is_empty() {
                        self.put(&["images"], images_value(&images));
                    }
                }),
            };
            self.window = outer;
            if let Err(error) = result {
                self.loaders[index].matched = false;
                return Err(error);
            }
            self.loaders[index].loaded = true;
        }
    }
}

/// The entry of an object; what is no object becomes one.
fn entry<'v>(value: &'v mut Value, name: &str) -> &'v mut Value {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    &mut value[name]
}

/// Whether a query has the name in it as a word that is no part of a longer path: `x` in `x.y`, not in `y.x`.
fn names(query: &str, name: &str) -> bool {
    if name.is_empty() {
        return false;
    }
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    query.match_indices(name).any(|(at, _)| {
        let before = query[..at].chars().next_back();
        let after = query[at + name.len()..].chars().next();
        before.is_none_or(|c| c != '.' && !c.is_ascii_alphanumeric()) && (after.is_none_or(|c| !word(c)) || !name.ends_with(word))
    })
}

fn merge(from: Map<String, Value>, into: &mut Map<String, Value>) {
    for (key, value) in from {
        match (value, into.get_mut(&key)) {
            (Value::Object(from), Some(Value::Object(into))) => merge(from, into),
            (value, _) => {
                into.insert(key, value);
            }
        }
    }
}

/// The steps of a dotted path; a step may stand in double quotes.
fn dotted(path: &str) -> Vec<String> {
    let mut steps = Vec::new();
    let mut rest = path;
    loop {
        let (step, after) = match rest.strip_prefix('"').and_then(|inner| inner.split_once('"')) {
            Some((step, after)) => (step, after),
            None => rest.split_at(rest.find('.').unwrap_or(rest.len())),
        };
        steps.push(step.to_owned());
        match after.strip_prefix('.') {
            Some(after) => rest = after,
            None => return steps,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoints_and_entries() {
        let evidence = Evidence::default();
        let runtime = Runtime::new(&evidence);
        let mut context = Context::new(&runtime, Operation::Create);
        context.set_object(&json!({"metadata": {"name": "a"}}));
        context.add_entry(&json!({"name": "name", "variable": {"jmesPath": "request.object.metadata.name"}}));
        assert_eq!(context.query("name"), Ok(json!("a")));
        context.checkpoint();
        context.add_entry(&json!({"name": "both", "variable": {"value": "{{ name }}-{{ element }}"}}));
        for (index, element) in [json!("x"), json!("y")].iter().enumerate() {
            context.reset();
            context.add_entry(&json!({"name": "both", "variable": {"value": "{{ name }}-{{ element }}"}}));
            context.set_element(element, index, 0);
            assert_eq!(context.query("both"), Ok(json!(format!("a-{}", element.as_str().unwrap()))));
        }
        context.set_object(&json!({"metadata": {"name": "b"}}));
        context.restore();
        assert_eq!(context.query("request.object.metadata.name"), Ok(json!("a")));
        assert!(matches!(context.query("both"), Err(QueryError::NotFound(_))));
    }

    #[test]
    fn paths() {
        for (path, want) in [("a", vec!["a"]), ("a.b.c", vec!["a", "b", "c"]), (r#"a."b.c/d".e"#, vec!["a", "b.c/d", "e"])] {
            assert_eq!(dotted(path), want, "{path}");
        }
        for (query, name, want) in
            [("x.y", "x", true), ("y.x", "x", false), ("max", "x", false), ("xx", "x", false), ("length(x)", "x", true), ("[x]", "x", true)]
        {
            assert_eq!(names(query, name), want, "{name} in {query}");
        }
    }
}
