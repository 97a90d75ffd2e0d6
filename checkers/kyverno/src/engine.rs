//! Policies on one object after another, in the order in which Kyverno's own programs apply them.

use crate::{
    autogen, cel, cleanup, condition,
    context::{Context, Runtime},
    evidence::Evidence,
    generate,
    matching::rule_matches,
    mutate,
    policy::{KyvernoPolicy, Policies},
    result::{RuleResult, RuleType, Status},
    subject::Subject,
    text::join_non_empty,
    trigger::{Operation, Trigger},
    validate, verify_images,
};
use serde_json::{Map, Value};
use std::rc::Rc;

/// What a rule says, before it is known of which policy and object.
#[derive(Debug, Clone)]
pub struct Response {
    pub status: Status,
    pub message: String,
    pub exceptions: Vec<String>,
    /// The object that this is about, where it is another than the request's.
    pub about: Option<Value>,
    /// That object as the rule leaves it.
    pub target: Option<Value>,
    pub generated: Vec<Value>,
}

impl Response {
    pub fn new(status: Status, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), exceptions: Vec::new(), about: None, target: None, generated: Vec::new() }
    }

    pub fn pass(message: impl Into<String>) -> Self {
        Self::new(Status::Pass, message)
    }

    pub fn fail(message: impl Into<String>) -> Self {
        Self::new(Status::Fail, message)
    }

    pub fn error(message: impl Into<String>) -> Self {
        Self::new(Status::Error, message)
    }

    pub fn skip(message: impl Into<String>) -> Self {
        Self::new(Status::Skip, message)
    }

    pub fn excepted(exceptions: &[&Value]) -> Self {
        let keys: Vec<String> = exceptions.iter().map(|exception| crate::exceptions::key(exception)).collect();
        let mut response = Self::skip(format!("rule is skipped due to policy exceptions {}", keys.join(", ")));
        response.exceptions = keys;
        response
    }
}

pub fn apply(policies: &Policies, resources: &[Value], evidence: &Evidence) -> Vec<RuleResult> {
    let runtime = Runtime::new(evidence);
    let mut results = Vec::new();
    for resource in resources {
        runtime.refill();
        one(policies, resource, &runtime, &mut results);
    }
    results
}

fn one(policies: &Policies, resource: &Value, runtime: &Runtime<'_>, results: &mut Vec<RuleResult>) {
    let trigger = Trigger::of(resource, runtime.evidence);
    let mut object = resource.clone();
    for policy in policies.kyverno.iter().filter(|policy| has(policy, "mutate")) {
        let mut run = Run::begin(policy, &trigger, &object, runtime);
        object = run.mutate(results).unwrap_or(object);
    }
    for policy in policies.kyverno.iter().filter(|policy| has(policy, "verifyImages")) {
        let mut run = Run::begin(policy, &trigger, &object, runtime);
        object = run.verify_images(results).unwrap_or(object);
    }
    for policy in policies.kyverno.iter().filter(|p| has(p, "validate") || p.rules().any(verify_images::has_checks)) {
        let mut run = Run::begin(policy, &trigger, &object, runtime);
        run.validate(results);
    }
    results.extend(cel::apply(&policies.cel, &trigger, &mut object, runtime.evidence));
    for policy in policies.kyverno.iter().filter(|policy| has(policy, "generate")) {
        let mut run = Run::begin(policy, &trigger, &object, runtime);
        run.generate(results);
    }
    for policy in &policies.cleanup {
        let mut run = Run::begin(policy, &trigger, &object, runtime);
        run.clean_up(results);
    }
}

fn has(policy: &KyvernoPolicy, name: &str) -> bool {
    policy.rules().any(|rule| has_part(rule, name))
}

pub fn has_part(rule: &Value, name: &str) -> bool {
    match rule.get(name) {
        None | Some(Value::Null) => false,
        Some(Value::Object(map)) => !map.is_empty(),
        Some(Value::Array(items)) => !items.is_empty(),
        Some(_) => true,
    }
}

/// One policy on one object.
struct Run<'a> {
    policy: &'a KyvernoPolicy,
    subject: Subject<'a>,
    context: Context<'a>,
    /// The object that results are about.
    original: Value,
}

impl<'a> Run<'a> {
    fn begin(policy: &'a KyvernoPolicy, trigger: &Trigger, object: &Value, runtime: &'a Runtime<'a>) -> Self {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let evidence = runtime.evidence;
        let values: Map<String, Value> = evidence.values.of_resource(policy.name(), text("/metadata/name"));
        let operation = match values.get("request.operation").and_then(Value::as_str) {
            Some("DELETE") => Operation::Delete,
            Some("UPDATE") => Operation::Update,
            _ => Operation::Create,
        };
        let mut context = Context::new(runtime, operation);
        if operation != Operation::Delete {
            context.set_object(object);
        }
        if operation != Operation::Create {
            context.set_old_object(object);
        }
        context.set_namespace(text("/metadata/namespace"));
        context.add_images(Rc::new(object.clone()));
        if let Some(user) = &evidence.user {
            context.set_user(user);
        }
        for (name, value) in &values {
            context.set_variable(name, value);
        }
        // Values may have changed the objects of the request.
        let of_request = |name: &str| context.document().pointer(&format!("/request/{name}")).filter(|o| o.is_object()).cloned();
        let subject = Subject {
            policy,
            kind: trigger.kind.clone(),
            operation,
            user: evidence.user.clone(),
            namespace_labels: trigger.namespace_labels.clone(),
            new: if operation == Operation::Delete { None } else { of_request("object") },
            old: if operation == Operation::Create { None } else { of_request("oldObject") },
            element: None,
        };
        Self { policy, subject, context, original: object.clone() }
    }

    /// A Policy looks at its own namespace only.
    fn is_about(&self) -> bool {
        let Some(namespace) = self.policy.namespace() else { return true };
        let of = |object: &Value| object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default() == namespace;
        self.subject.new.iter().chain(&self.subject.old).all(of)
    }

    fn matches(&self, rule: &Value) -> bool {
        self.subject.object().is_some_and(|object| rule_matches(rule, object, &self.subject))
    }

    fn record(&self, results: &mut Vec<RuleResult>, rule: &Value, rule_type: RuleType, response: Response, patched: Option<&Value>) {
        let name = rule.get("name").and_then(Value::as_str).unwrap_or_default();
        let status = if response.status == Status::Fail && !self.policy.is_scored() { Status::Warn } else { response.status };
        let short = self.short_name(name);
        let mut result = RuleResult::new(
            self.policy.kind(),
            &self.policy.key(),
            &short,
            rule_type,
            response.about.as_ref().unwrap_or(&self.original),
            status,
            response.message,
        );
        result.generated_rule = (short != name).then(|| name.to_owned());
        result.patched = patched.cloned();
        result.targets.extend(response.target);
        result.generated = response.generated;
        result.exceptions = response.exceptions;
        results.push(result);
    }

    /// `autogen-X` for `autogen-cronjob-X`, where the policy has a rule X: all controllers of pods under one name.
    fn short_name(&self, name: &str) -> String {
        let names = || self.policy.rules().filter_map(|rule| rule.get("name").and_then(Value::as_str));
        if names().any(|of| of == name) {
            return name.to_owned();
        }
        let of = names().find(|of| autogen::prefixed("autogen-cronjob", of) == name);
        of.map_or_else(|| name.to_owned(), |of| autogen::prefixed("autogen", of))
    }

    /// Loads the context of the rule and asks its preconditions; the response that ends the rule, if one does.
    fn ends(&mut self, rule: &Value) -> Option<Response> {
        load_context(&mut self.context, &self.subject, rule, rule.get("context"));
        match condition::hold(&mut self.context, rule.get("preconditions")) {
            Err(error) => Some(Response::error(format!("failed to evaluate preconditions: {error}"))),
            Ok((true, _)) => None,
            Ok((false, message)) => Some(Response::skip(join_non_empty(&["preconditions not met", &message], "; "))),
        }
    }

    /// One rule after another; `judge` says what comes of a rule that is ready.
    fn each_rule(
        &mut self,
        rules: &[Value],
        rule_type: impl Fn(&Value) -> RuleType,
        results: &mut Vec<RuleResult>,
        mut judge: impl FnMut(&mut Context<'a>, &mut Subject<'a>, &Value) -> Option<Vec<Response>>,
    ) {
        if !self.is_about() {
            return;
        }
        self.context.checkpoint();
        for rule in rules {
            if !self.matches(rule) {
                continue;
            }
            self.context.checkpoint();
            let responses = match self.ends(rule) {
                None => judge(&mut self.context, &mut self.subject, rule),
                Some(response) => Some(vec![response]),
            };
            self.context.restore();
            let Some(responses) = responses else { continue };
            if let Some(object) = &self.subject.new {
                self.context.set_object(object);
            }
            let applied = responses.iter().any(|r| matches!(r.status, Status::Pass | Status::Fail));
            for response in responses {
                let kind = rule_type(rule);
                let patched = matches!(kind, RuleType::Mutation | RuleType::ImageVerify).then(|| self.subject.new.clone()).flatten();
                self.record(results, rule, kind, response, patched.as_ref());
            }
            if applied && self.policy.applies_one() {
                break;
            }
        }
        self.context.restore();
    }

    fn validate(&mut self, results: &mut Vec<RuleResult>) {
        let rules: Vec<Value> = autogen::rules_for(&self.policy.object, Some(&self.subject.kind.kind.clone()))
            .into_iter()
            .filter(|rule| has_part(rule, "validate") || verify_images::has_checks(rule))
            .collect();
        let of = |rule: &Value| if has_part(rule, "validate") { RuleType::Validation } else { RuleType::ImageVerify };
        self.each_rule(&rules, of, results, |context, subject, rule| {
            let response = if has_part(rule, "validate") {
                validate::rule(context, subject, rule)
            } else {
                verify_images::check(context, subject, rule)
            };
            Some(response.into_iter().collect())
        });
    }

    /// The object as the rules leave it.
    fn mutate(&mut self, results: &mut Vec<RuleResult>) -> Option<Value> {
        let rules: Vec<Value> = autogen::rules_for(&self.policy.object, None).into_iter().filter(|r| has_part(r, "mutate")).collect();
        self.each_rule(&rules, |_| RuleType::Mutation, results, |context, subject, rule| Some(mutate::rule(context, subject, rule)));
        self.subject.new.clone()
    }

    fn verify_images(&mut self, results: &mut Vec<RuleResult>) -> Option<Value> {
        let rules: Vec<Value> = autogen::rules_for(&self.policy.object, None).into_iter().filter(|r| has_part(r, "verifyImages")).collect();
        self.each_rule(
            &rules,
            |_| RuleType::ImageVerify,
            results,
            |context, subject, rule| Some(verify_images::rule(context, subject, rule).into_iter().collect()),
        );
        self.subject.new.clone()
    }

    fn generate(&mut self, results: &mut Vec<RuleResult>) {
        let rules: Vec<Value> = autogen::rules_for(&self.policy.object, None).into_iter().filter(|r| has_part(r, "generate")).collect();
        if !self.is_about() {
            return;
        }
        for rule in rules {
            if !self.matches(&rule) {
                continue;
            }
            let name = rule.get("name").and_then(Value::as_str).unwrap_or_default();
            let exceptions = crate::exceptions::matching(&mut self.context, &self.subject, name);
            self.context.checkpoint();
            let response = match exceptions.as_slice() {
                [] => match self.ends(&rule) {
                    None => generate::rule(&mut self.context, &self.subject, &rule),
                    Some(response) => response,
                },
                exceptions => Response::excepted(exceptions),
            };
            self.context.restore();
            let applied = response.status != Status::Skip;
            self.record(results, &rule, RuleType::Generation, response, None);
            if applied && self.policy.applies_one() {
                break;
            }
        }
    }

    fn clean_up(&mut self, results: &mut Vec<RuleResult>) {
        if !self.is_about() {
            return;
        }
        if let Some(response) = cleanup::policy(&mut self.context, &self.subject) {
            let rule = serde_json::json!({ "name": "" });
            self.record(results, &rule, RuleType::Deletion, response, None);
        }
    }
}

/// Makes the entries of a context known, and the values that were given for the rule.
pub fn load_context(context: &mut Context<'_>, subject: &Subject<'_>, rule: &Value, entries: Option<&Value>) {
    let name = rule.get("name").and_then(Value::as_str).unwrap_or_default();
    let evidence = context.runtime.evidence;
    for (path, value) in evidence.values.of_rule(subject.policy.name(), name).into_iter().flatten() {
        context.set_variable(path, value);
    }
    for entry in entries.and_then(Value::as_array).into_iter().flatten() {
        context.add_entry(entry);
    }
}
