//! ValidatingAdmissionPolicies: their expressions, compiled, and what they decide about one request.
//!
//! ```text
//! policy ──Policy::compile──► expressions ──evaluate, with Inputs──► Decisions and audit annotations
//! ```
//!
//! Which policies a request meets, with which parameters, is the admission plug-in's business.

use crate::{
    Scheme,
    cel::{
        self, Expression, Inputs, Kubernetes, Run, Value as Cel, Variables,
        cost::{BUDGET, BUDGET_OF_CONDITIONS, OUT_OF_BUDGET},
        kind::{self, BOOL, Kind, NULL, Object, STRING},
    },
    types,
};
use serde_json::Value;
use std::{collections::BTreeMap, sync::Arc};

/// Longest message of a `messageExpression`, in bytes.
const LONGEST_MESSAGE: usize = 5 * 1024;
/// Kinds that one resource rule is checked against.
const MOST_KINDS: usize = 10;

/// An expression that may not have compiled, which fails when it is asked for.
type Maybe = Result<Expression, String>;

#[derive(Debug)]
struct Validation {
    expression: Maybe,
    source: String,
    message: String,
    message_expression: Option<Maybe>,
    reason: String,
}

/// The compiled expressions of one policy.
#[derive(Debug)]
pub struct Policy {
    /// `failurePolicy: Ignore`: what cannot be judged is admitted.
    pub ignore_failures: bool,
    conditions: Vec<(String, Maybe)>,
    variables: Arc<Variables>,
    validations: Vec<Validation>,
    annotations: Vec<(String, String, Maybe)>,
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// The validation's place in the policy.
    pub index: usize,
    pub message: String,
    /// `Invalid` or what the policy says; empty where the policy failed.
    pub reason: String,
}

/// What a policy says about a request.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    pub denials: Vec<Denial>,
    /// Annotations for the audit log: key, value.
    pub annotations: Vec<(String, String)>,
    /// Annotations that could not be made; they refuse whatever the binding says.
    pub failures: Vec<String>,
}

/// What expressions of policies see, with `object` and `params` of the given kinds.
#[derive(Debug)]
struct Environment {
    variables: BTreeMap<String, Kind>,
    composed: BTreeMap<String, Kind>,
}

fn text_fields(name: &str, fields: &[&'static str]) -> Kind {
    Object::listed(name, fields.iter().map(|field| (*field, STRING)))
}

fn list(of: Kind) -> Kind {
    Kind::List(Box::new(of))
}

fn map(of: Kind) -> Kind {
    Kind::Map(Box::new(STRING), Box::new(of))
}

impl Environment {
    fn new(object: Kind, params: Option<Kind>) -> Self {
        let kind = text_fields("kubernetes.GroupVersionKind", &["group", "version", "kind"]);
        let resource = text_fields("kubernetes.GroupVersionResource", &["group", "version", "resource"]);
        let user = Object::listed(
            "kubernetes.UserInfo",
            [("username", STRING), ("uid", STRING), ("groups", list(STRING)), ("extra", map(list(STRING)))],
        );
        let request = Object::listed(
            "kubernetes.AdmissionRequest",
            [
                ("kind", kind.clone()),
                ("resource", resource.clone()),
                ("subResource", STRING),
                ("requestKind", kind),
                ("requestResource", resource),
                ("requestSubResource", STRING),
                ("name", STRING),
                ("namespace", STRING),
                ("operation", STRING),
                ("userInfo", user),
                ("dryRun", BOOL),
                ("options", Kind::Dyn),
            ],
        );
        let metadata = Object::listed(
            "kubernetes.NamespaceMetadata",
            [
                ("name", STRING),
                ("generateName", STRING),
                ("namespace", STRING),
                ("labels", map(STRING)),
                ("annotations", map(STRING)),
                ("UID", STRING),
                ("creationTimestamp", Kind::Named("timestamp")),
                ("deletionGracePeriodSeconds", kind::INT),
                ("deletionTimestamp", Kind::Named("timestamp")),
                ("generation", kind::INT),
                ("resourceVersion", STRING),
                ("finalizers", list(STRING)),
            ],
        );
        let namespace = Object::listed(
            "kubernetes.Namespace",
            [
                ("metadata", metadata),
                ("spec", Object::listed("kubernetes.NamespaceSpec", [("finalizers", list(STRING))])),
                ("status", Object::listed("kubernetes.NamespaceStatus", [("phase", STRING)])),
            ],
        );
        let mut variables: BTreeMap<String, Kind> = [
            ("object", object.clone()),
            ("oldObject", object),
            ("request", request),
            ("namespaceObject", namespace),
            ("authorizer", Kind::Named("kubernetes.authorization.Authorizer")),
            ("authorizer.requestResource", Kind::Named("kubernetes.authorization.ResourceCheck")),
        ]
        .into_iter()
        .map(|(name, kind)| (name.to_owned(), kind))
        .collect();
        if let Some(params) = params {
            variables.insert("params".to_owned(), params);
        }
        Self { variables, composed: BTreeMap::new() }
    }

    /// Makes `variables.NAME` known to what is compiled from now on.
    fn compose(&mut self, name: &str, kind: Kind) {
        self.composed.insert(name.to_owned(), kind);
        self.variables.insert("variables".to_owned(), Object::of_names("kubernetes.variables", self.composed.clone()));
    }

    fn of(policy: &Value) -> Self {
        Self::new(Kind::Dyn, policy["spec"]["paramKind"].is_object().then_some(Kind::Dyn))
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Compiles the variables in order; `failed` hears of those that do not compile.
fn variables(environment: &mut Environment, spec: &Value, mut failed: impl FnMut(usize, &str, String)) -> Variables {
    let mut compiled = Variables::new();
    for (index, variable) in items(&spec["variables"]).iter().enumerate() {
        let (name, source) = (text(&variable["name"]), text(&variable["expression"]));
        if source.trim().is_empty() {
            continue;
        }
        match cel::compile_to(source, &environment.variables, &[Kind::Dyn]) {
            Ok(expression) => {
                environment.compose(name, expression.kind);
                compiled.insert(name.to_owned(), expression.program);
            }
            Err(error) => {
                failed(index, source, error);
                environment.compose(name, Kind::Dyn);
            }
        }
    }
    compiled
}

/// What is wrong with the expressions of a policy: field, expression, message.
pub fn errors(policy: &Value) -> Vec<(String, String, String)> {
    errors_where(policy, false)
}

/// The same for a policy whose conditions see the variables, as those of Gatekeeper's templates do.
pub fn errors_of_template(policy: &Value) -> Vec<(String, String, String)> {
    errors_where(policy, true)
}

fn errors_where(policy: &Value, conditions_see_variables: bool) -> Vec<(String, String, String)> {
    let spec = &policy["spec"];
    let without_variables = Environment::of(policy);
    let mut environment = Environment::of(policy);
    let mut of_variables = Vec::new();
    variables(&mut environment, spec, |index, source, error| {
        of_variables.push((format!("spec.variables[{index}].expression"), source.to_owned(), error));
    });
    let mut found = Vec::new();
    let compile = |found: &mut Vec<_>, environment: &Environment, path: String, source: &str, wanted: &[Kind]| {
        if source.trim().is_empty() {
            return;
        }
        if let Err(error) = cel::compile_to(source, &environment.variables, wanted) {
            found.push((path, source.to_owned(), error));
        }
    };
    let seen = if conditions_see_variables { &environment } else { &without_variables };
    for (index, condition) in items(&spec["matchConditions"]).iter().enumerate() {
        let path = format!("spec.matchConditions[{index}].expression");
        compile(&mut found, seen, path, text(&condition["expression"]), &[BOOL]);
    }
    found.extend(of_variables);
    for (index, validation) in items(&spec["validations"]).iter().enumerate() {
        for (field, wanted) in [("expression", BOOL), ("messageExpression", STRING)] {
            compile(&mut found, &environment, format!("spec.validations[{index}].{field}"), text(&validation[field]), &[wanted]);
        }
    }
    for (index, annotation) in items(&spec["auditAnnotations"]).iter().enumerate() {
        let path = format!("spec.auditAnnotations[{index}].valueExpression");
        compile(&mut found, &environment, path, text(&annotation["valueExpression"]).trim(), &[STRING, NULL]);
    }
    found
}

/// What the status of a policy warns of: expressions that the schemas of the matched kinds contradict. Field and warning.
pub fn type_warnings(policy: &Value, scheme: &Scheme) -> Vec<(String, String)> {
    let spec = &policy["spec"];
    let kinds = kinds_to_check(spec, scheme);
    let param = &spec["paramKind"];
    let params = scheme.for_kind(text(&param["apiVersion"]), text(&param["kind"])).map(|resource| kind_of(resource));
    let mut warnings = Vec::new();
    for (index, validation) in items(&spec["validations"]).iter().enumerate() {
        for field in ["expression", "messageExpression"] {
            let source = text(&validation[field]);
            if source.is_empty() {
                continue;
            }
            let mut said = Vec::new();
            for (name, kind) in &kinds {
                let mut environment = Environment::new(kind.clone(), params.clone());
                variables(&mut environment, spec, |_, _, _| {});
                if let Err(errors) = cel::compile(source, &environment.variables) {
                    said.push(format!("{name}: {errors}\n"));
                }
            }
            if !said.is_empty() {
                warnings.push((format!("spec.validations[{index}].{field}"), said.join("\n")));
            }
        }
    }
    warnings
}

/// The kinds that the rules of a policy name without wildcards, in order.
fn kinds_to_check(spec: &Value, scheme: &Scheme) -> Vec<(String, Kind)> {
    let mut kinds = BTreeMap::new();
    for rule in items(&spec["matchConstraints"]["resourceRules"]) {
        let names = |field: &str| items(&rule[field]).iter().map(text).collect::<Vec<_>>();
        let (groups, versions) = (names("apiGroups"), names("apiVersions"));
        if groups.iter().chain(&versions).any(|name| name.contains('*')) {
            continue;
        }
        for resource in scheme.resources() {
            let listed = |names: &[&str], name: &str| names.contains(&name);
            let matched = listed(&groups, &resource.group)
                && listed(&versions, &resource.version)
                && names("resources").iter().any(|name| *name == resource.plural);
            if matched && kinds.len() < MOST_KINDS {
                let key = (resource.group.to_string(), resource.version.to_string(), resource.kind.to_string());
                kinds.insert(key, kind_of(resource));
            }
        }
    }
    let name = |(group, version, kind): (String, String, String)| {
        if group.is_empty() { format!("/{version}, Kind={kind}") } else { format!("{group}/{version}, Kind={kind}") }
    };
    kinds.into_iter().map(|(key, kind)| (name(key), kind)).collect()
}

fn kind_of(resource: &crate::Resource) -> Kind {
    match &resource.custom {
        Some(definition) => kind::of_schema(&definition.schema, true),
        None => types::of_kind(&resource.group, &resource.version, &resource.kind).map_or(Kind::Dyn, kind::of_built_in),
    }
}

impl Policy {
    pub fn compile(policy: &Value) -> Self {
        Self::compile_where(policy, false)
    }

    /// A policy whose conditions see the variables, as those of Gatekeeper's templates do.
    pub fn compile_template(policy: &Value) -> Self {
        Self::compile_where(policy, true)
    }

    fn compile_where(policy: &Value, conditions_see_variables: bool) -> Self {
        let spec = &policy["spec"];
        let without_variables = Environment::of(policy);
        let mut environment = Environment::of(policy);
        let variables = Arc::new(variables(&mut environment, spec, |_, _, _| {}));
        let compile = |environment: &Environment, source: &Value, wanted: &[Kind]| {
            cel::compile_to(text(source), &environment.variables, wanted).map_err(|error| format!("compilation error: {error}"))
        };
        let conditions = items(&spec["matchConditions"]).iter();
        let seen = if conditions_see_variables { &environment } else { &without_variables };
        let conditions = conditions.map(|c| (text(&c["name"]).to_owned(), compile(seen, &c["expression"], &[BOOL]))).collect();
        let validations = items(&spec["validations"]).iter().map(|validation| Validation {
            expression: compile(&environment, &validation["expression"], &[BOOL]),
            source: text(&validation["expression"]).trim().to_owned(),
            message: text(&validation["message"]).trim().to_owned(),
            message_expression: validation["messageExpression"]
                .as_str()
                .filter(|source| !source.is_empty())
                .map(|_| compile(&environment, &validation["messageExpression"], &[STRING])),
            reason: validation["reason"].as_str().unwrap_or("Invalid").to_owned(),
        });
        let validations = validations.collect();
        let annotations = items(&spec["auditAnnotations"]).iter();
        let annotations = annotations
            .map(|a| {
                let compiled = compile(&environment, &a["valueExpression"], &[STRING, NULL]);
                (text(&a["key"]).to_owned(), text(&a["valueExpression"]).to_owned(), compiled)
            })
            .collect();
        Self { ignore_failures: spec["failurePolicy"] == "Ignore", conditions, variables, validations, annotations }
    }

    /// Runs the expressions over one request.
    pub fn evaluate(&self, inputs: &Inputs) -> Verdict {
        let mut verdict = Verdict::default();
        let mut run = Run::new(&Kubernetes, self.variables.clone(), BUDGET_OF_CONDITIONS).with_inputs(inputs);
        match self.matches(&mut run) {
            Ok(true) => {}
            Ok(false) => return verdict,
            Err(message) => {
                self.fail(&mut verdict, 0, message);
                return verdict;
            }
        }
        run.renew(BUDGET);
        let mut refused = Vec::new();
        for (index, validation) in self.validations.iter().enumerate() {
            match judged(&mut run, &validation.expression) {
                Ok(Cel::Bool(true)) => {}
                Ok(_) => refused.push((index, Ok(validation))),
                Err(message) if message == OUT_OF_BUDGET => {
                    self.fail(&mut verdict, 0, message);
                    return verdict;
                }
                Err(message) => refused.push((index, Err(message))),
            }
        }
        for (index, outcome) in refused {
            match outcome.and_then(|validation| Ok((message(&mut run, validation)?, validation))) {
                Ok((message, validation)) => verdict.denials.push(Denial { index, message, reason: validation.reason.clone() }),
                Err(message) => self.fail(&mut verdict, index, message),
            }
        }
        run.renew(BUDGET);
        for (key, source, expression) in &self.annotations {
            match judged(&mut run, expression) {
                Ok(Cel::String(value)) if value.trim().is_empty() => {}
                Ok(Cel::String(value)) => verdict.annotations.push((key.clone(), value.trim().to_owned())),
                Ok(Cel::Null) => {}
                Ok(_) => verdict.failures.push(format!(
                    "valueExpression '{source}' resulted in unsupported return type. Return type must be either string or null."
                )),
                Err(message) if !self.ignore_failures => verdict.failures.push(message),
                Err(_) => {}
            }
        }
        verdict
    }

    fn fail(&self, verdict: &mut Verdict, index: usize, message: String) {
        if !self.ignore_failures {
            verdict.denials.push(Denial { index, message, reason: String::new() });
        }
    }

    /// Whether all conditions hold; one that does not hold outweighs those that fail.
    fn matches(&self, run: &mut Run<'_>) -> Result<bool, String> {
        let mut failures = Vec::new();
        for (_, condition) in &self.conditions {
            match judged(run, condition) {
                Ok(Cel::Bool(true)) => {}
                Ok(_) => return Ok(false),
                Err(message) => failures.push(message),
            }
        }
        match failures.as_slice() {
            [] => Ok(true),
            _ if self.ignore_failures => Ok(false),
            [one] => Err(one.clone()),
            several => Err(format!("[{}]", several.join(", "))),
        }
    }
}

fn judged(run: &mut Run<'_>, expression: &Maybe) -> Result<Cel, String> {
    let expression = expression.as_ref().map_err(Clone::clone)?;
    run.run(&expression.program).map_err(|error| {
        if error == OUT_OF_BUDGET { error } else { format!("expression '{}' resulted in error: {error}", expression.source) }
    })
}

/// Why a validation refuses; an error where no budget is left to say it.
fn message(run: &mut Run<'_>, validation: &Validation) -> Result<String, String> {
    let said = match validation.message_expression.as_ref().map(|expression| judged(run, expression)) {
        Some(Ok(Cel::String(said))) => said.trim().to_owned(),
        Some(Err(error)) if error == OUT_OF_BUDGET => return Err(format!("failed messageExpression: {error}")),
        _ => String::new(),
    };
    let fits = !said.is_empty() && said.len() <= LONGEST_MESSAGE && !said.contains('\n');
    Ok(match validation.message.as_str() {
        _ if fits => said,
        "" => format!("failed expression: {}", validation.source),
        message => message.to_owned(),
    })
}
