//! ConstraintTemplates: a kind of constraint, the schema of its parameters, and the program that finds violations.

use crate::{
    Finding, group_version, items,
    native::Native,
    rego::Program,
    schema::{Definition, preserve_unknown},
    text,
};
use machinery::object;
use serde_json::{Value, json};

/// The only target that Gatekeeper knows.
pub const TARGET: &str = "admission.k8s.gatekeeper.sh";
const GROUP: &str = "templates.gatekeeper.sh";
/// The field of the program that is judged.
const CODE: &str = "spec.targets[0]";

/// The program of a template.
#[derive(Debug)]
pub(crate) enum Source {
    Rego(Box<Program>),
    Native(Box<Native>),
}

/// A template that can be used.
#[derive(Debug)]
pub struct Template {
    pub name: String,
    pub kind: String,
    /// What is accepted and will not do what was meant.
    pub advice: Vec<Finding>,
    pub(crate) definition: Definition,
    pub(crate) source: Source,
    operations: Vec<String>,
}

impl Template {
    /// Reads and compiles a template of `templates.gatekeeper.sh` v1, v1beta1 or v1alpha1; or says what is wrong with it.
    pub fn read(given: &Value) -> Result<Self, Vec<Finding>> {
        let one = |field: &str, message: String| Err(vec![Finding::new(field, message)]);
        let (group, version) = group_version(text(&given["apiVersion"]));
        if group != GROUP || !matches!(version, "v1" | "v1beta1" | "v1alpha1") || given["kind"] != "ConstraintTemplate" {
            return one("apiVersion", format!("not a ConstraintTemplate of {GROUP}/v1, v1beta1 or v1alpha1"));
        }
        let targets = items(&given["spec"]["targets"]);
        let [target] = targets else {
            return one("spec.targets", format!("a template has exactly one target, not {}", targets.len()));
        };
        let name = object::name(given);
        let crd = &given["spec"]["crd"]["spec"];
        let kind = text(&crd["names"]["kind"]);
        if kind.is_empty() {
            return one("spec.crd.spec.names.kind", "the template does not say which kind of constraint it makes".to_owned());
        }
        if !name.eq_ignore_ascii_case(kind) {
            let message = format!("the name {name:?} must be the kind in lower case: {:?}", kind.to_lowercase());
            return one("metadata.name", message);
        }
        match text(&target["target"]) {
            TARGET => {}
            other => return one("spec.targets[0].target", format!("target {other:?} is not known; it is {TARGET:?}")),
        }
        let mut findings = Vec::new();
        let definition = Definition::new(kind, &crd["names"], parameters(crd, version));
        let mut advice = Vec::new();
        let source = source(target, &mut advice);
        match (definition, source) {
            (Ok(definition), Ok(source)) => {
                let operations = items(&target["operations"]).iter().map(|operation| text(operation).to_owned()).collect();
                return Ok(Self { name: name.to_owned(), kind: kind.to_owned(), advice, definition, source, operations });
            }
            (definition, source) => {
                findings.extend(definition.err().into_iter().flatten());
                findings.extend(source.err().into_iter().flatten());
            }
        }
        Err(findings)
    }

    /// The CustomResourceDefinition of its constraints.
    pub fn custom_resource_definition(&self) -> &Value {
        &self.definition.object
    }

    /// Whether the webhook asks this template about an operation.
    pub(crate) fn is_about(&self, operation: &str) -> bool {
        self.operations.is_empty() || self.operations.iter().any(|listed| listed == "*" || listed == operation)
    }
}

/// The schema of the parameters. `legacySchema` holds unless v1 leaves it out.
fn parameters(crd: &Value, version: &str) -> Option<Value> {
    let validation = &crd["validation"];
    let legacy = validation["legacySchema"].as_bool().unwrap_or(version != "v1");
    let mut schema = match &validation["openAPIV3Schema"] {
        Value::Null if legacy => json!({}),
        Value::Null => return None,
        schema => schema.clone(),
    };
    if legacy {
        preserve_unknown(&mut schema, 0);
    }
    Some(schema)
}

/// The program that Gatekeeper would run: CEL where there is some, else Rego.
fn source(target: &Value, advice: &mut Vec<Finding>) -> Result<Source, Vec<Finding>> {
    let coded = |engine: &str| items(&target["code"]).iter().position(|code| code["engine"] == engine);
    if let Some(index) = coded("K8sNativeValidation") {
        let field = format!("{CODE}.code[{index}].source");
        return Native::read(&field, &target["code"][index]["source"], advice).map(|native| Source::Native(Box::new(native)));
    }
    let given = text(&target["rego"]);
    let (field, source) = match coded("Rego") {
        _ if !given.is_empty() => (CODE.to_owned(), target.clone()),
        Some(index) => (format!("{CODE}.code[{index}].source"), target["code"][index]["source"].clone()),
        None => {
            let message = "no program: give `rego`, or `code` for the engine Rego or K8sNativeValidation";
            return Err(vec![Finding::new(format!("{CODE}.code"), message)]);
        }
    };
    let Some(rego) = source["rego"].as_str() else {
        return Err(vec![Finding::new(format!("{field}.rego"), "the source has no rego")]);
    };
    // `version` belongs to a source; beside `rego` of a target there is none.
    let is_v1 = given.is_empty() && source["version"] == "v1";
    let libs: Vec<_> = items(&source["libs"]).iter().map(text).collect();
    Program::compile(&field, rego, &libs, is_v1).map(|program| Source::Rego(Box::new(program)))
}
