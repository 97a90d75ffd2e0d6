//! What answers behind Gatekeeper's port: constraints, mutators, and who may be left out.

use super::{
    super::{cached::Cached, review::Answer},
    known::{JUDGES, Known, glob},
};
use crate::{
    network::{Handler, Request, Response},
    shell::machine::Timer,
};
use apiserver::Client;
use futures::future::BoxFuture;
use gatekeeper::{Engine, Finding, Origin, Review, Template, Violation, mutation};
use machinery::{gvr, object};
use serde_json::{Value, json};
use std::sync::Arc;

const POINT: &str = "validation.gatekeeper.sh";
const IGNORE: &str = "admission.gatekeeper.sh/ignore";

#[derive(Debug)]
pub struct Webhook {
    client: Client,
    timer: Arc<dyn Timer>,
    /// Gatekeeper's own, whose service accounts it does not judge.
    namespace: String,
    /// Namespaces that may carry the label which keeps the webhooks away.
    exempt: Vec<String>,
    known: Cached<Known>,
}

impl Handler for Webhook {
    fn handle(&self, request: Request) -> BoxFuture<'_, Response> {
        let review: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let response = if review["request"].is_object() {
            match self.answer(request.path_only(), &review) {
                Some(answer) => Response::json(200, &answer.to_review(&review["request"])),
                None => Response::text(404, "404 page not found\n"),
            }
        } else {
            Response::text(400, "the body holds no admission review\n")
        };
        Box::pin(std::future::ready(response))
    }
}

fn denied(code: u16, reason: &str, message: impl Into<String>) -> Answer {
    Answer::denied(json!({"code": code, "reason": reason, "message": message.into()}))
}

/// How controller-runtime answers with an error.
fn errored(code: u16, message: impl Into<String>) -> Answer {
    Answer::denied(json!({"code": code, "message": message.into()}))
}

impl Webhook {
    pub fn new(client: Client, timer: Arc<dyn Timer>, namespace: &str, exempt: Vec<String>) -> Self {
        Self { client, timer, namespace: namespace.to_owned(), exempt, known: Cached::new(JUDGES) }
    }

    fn answer(&self, path: &str, review: &Value) -> Option<Answer> {
        let request = &review["request"];
        let own = format!("system:serviceaccount:{}:", self.namespace);
        let is_own = request["userInfo"]["username"].as_str().is_some_and(|name| name.starts_with(&own));
        match path {
            "/v1/admitlabel" => Some(self.label(request)),
            "/v1/admit" | "/v1/mutate" if is_own => Some(Answer::default()),
            "/v1/admit" => Some(self.admit(review)),
            "/v1/mutate" => Some(self.mutate(request)),
            _ => None,
        }
    }

    /// Only exempt namespaces may leave the webhooks out.
    fn label(&self, request: &Value) -> Answer {
        let namespace = &request["object"];
        let is_labelled = !namespace["metadata"]["labels"][IGNORE].is_null();
        if is_labelled && !self.exempt.iter().any(|pattern| glob(pattern, object::name(namespace))) {
            return denied(403, "Forbidden", format!("Only exempt namespace can have the {IGNORE} label"));
        }
        Answer::default()
    }

    fn namespace_of(&self, request: &Value) -> Option<Arc<Value>> {
        let name = request["namespace"].as_str().filter(|name| !name.is_empty())?;
        self.client.get(gvr::NAMESPACES, "", name)
    }

    fn admit(&self, review: &Value) -> Answer {
        let request = &review["request"];
        let known = self.known.get(&self.client, || Known::read(&self.client));
        let mut engine = known.engine.lock();
        if request["operation"] != "DELETE"
            && let Some(findings) = wrong(&engine, request)
        {
            let said: Vec<_> = findings.iter().map(|finding| format!("{}: {}", finding.field, finding.message)).collect();
            return errored(422, said.join("\n"));
        }
        if known.excludes("webhook", request["namespace"].as_str().unwrap_or_default()) {
            return Answer::default();
        }
        let asked = match Review::of_admission_review(review) {
            Ok(asked) => asked.in_namespace(self.namespace_of(request).map(|namespace| Value::clone(&namespace))),
            Err(error) => return errored(500, error.to_string()),
        };
        known.fill(&mut engine, &self.client, self.timer.now());
        match engine.review(&asked, POINT) {
            Ok(violations) => judged(&violations),
            Err(error) => errored(500, error.to_string()),
        }
    }

    fn mutate(&self, request: &Value) -> Answer {
        let known = self.known.get(&self.client, || Known::read(&self.client));
        let group = request["kind"]["group"].as_str().unwrap_or_default();
        let operation = request["operation"].as_str().unwrap_or_default();
        let excluded = known.excludes("mutation-webhook", request["namespace"].as_str().unwrap_or_default());
        if known.mutators.is_empty() || group.ends_with("gatekeeper.sh") || operation == "DELETE" || excluded {
            return Answer::default();
        }
        let namespace = self.namespace_of(request);
        let about = mutation::Mutable { namespace: namespace.as_deref(), origin: Origin::Original, operation };
        let mut mutated = request["object"].clone();
        match known.mutators.mutate(&mut mutated, &about) {
            Ok(_) => Answer { object: Some(mutated), ..Answer::default() },
            Err(error) => errored(500, error.to_string()),
        }
    }
}

/// What is wrong with an object of Gatekeeper's own kinds.
fn wrong(engine: &Engine, request: &Value) -> Option<Vec<Finding>> {
    let given = &request["object"];
    match (request["kind"]["group"].as_str().unwrap_or_default(), request["kind"]["kind"].as_str().unwrap_or_default()) {
        ("templates.gatekeeper.sh", "ConstraintTemplate") => Template::read(given).err(),
        ("constraints.gatekeeper.sh", _) => engine.check_constraint(given).err().map(|invalid| invalid.findings().to_vec()),
        ("mutations.gatekeeper.sh", _) => mutation::System::default().add(given).err().map(|finding| vec![finding]),
        ("config.gatekeeper.sh", "Config") if object::name(given) != "config" => Some(vec![Finding {
            field: "metadata.name".to_owned(),
            line: None,
            message: "config resource must have name 'config'".to_owned(),
        }]),
        _ => None,
    }
}

fn judged(violations: &[Violation]) -> Answer {
    let (mut refusals, mut warnings) = (Vec::new(), Vec::new());
    for violation in violations {
        let said = format!("[{}] {}", violation.name, violation.message);
        let actions = if violation.enforcement_action == "scoped" {
            violation.scoped_actions.iter().map(String::as_str).collect()
        } else {
            vec![violation.enforcement_action.as_str()]
        };
        if actions.contains(&"deny") {
            refusals.push(said.clone());
        }
        if actions.contains(&"warn") {
            warnings.push(said);
        }
    }
    let answer = if refusals.is_empty() { Answer::default() } else { denied(403, "Forbidden", refusals.join("\n")) };
    Answer { warnings, ..answer }
}
