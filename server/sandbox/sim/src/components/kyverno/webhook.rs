//! What answers behind Kyverno's port: the probes, and the reviews of requests.

use super::{
    super::{cached::Cached, review::Answer},
    action, message,
    policies::{self, Asked, GROUPS, Known, Phase},
    registration::VALIDATE_POLICY,
};
use crate::{
    network::{Handler, Request, Response},
    shell::machine::Timer,
};
use apiserver::Client;
use futures::future::BoxFuture;
use kyverno::{Evidence, Policies, RuleResult, RuleType, Status, UserInfo};
use machinery::{Gvr, gvr, object};
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};

#[derive(Debug)]
pub struct Webhook {
    client: Client,
    timer: Arc<dyn Timer>,
    /// Kyverno's own, whose service accounts it does not judge.
    namespace: String,
    known: Cached<Known>,
}

impl Handler for Webhook {
    fn handle(&self, request: Request) -> BoxFuture<'_, Response> {
        let path = request.path_only();
        let response = if path.starts_with("/health/") {
            Response::text(200, "")
        } else {
            match serde_json::from_slice::<Value>(&request.body).ok().map(|mut review| review["request"].take()).filter(Value::is_object) {
                Some(asked) => match self.answer(path, &asked) {
                    Some(answer) => Response::json(200, &answer.to_review(&asked)),
                    None => Response::text(404, "404 page not found\n"),
                },
                None => Response::text(400, "failed to decode the admission review\n"),
            }
        };
        Box::pin(std::future::ready(response))
    }
}

impl Webhook {
    pub fn new(client: Client, timer: Arc<dyn Timer>, namespace: &str) -> Self {
        Self { client, timer, namespace: namespace.to_owned(), known: Cached::new(GROUPS) }
    }

    fn answer(&self, path: &str, request: &Value) -> Option<Answer> {
        if path == VALIDATE_POLICY {
            return Some(of_policy(&request["object"]));
        }
        let asked = Asked::of_path(path)?;
        let known = self.known.get(&self.client, || Known::read(&self.client));
        let (objects, policies) = known.of(asked)?;
        let own = format!("system:serviceaccount:{}:", self.namespace);
        let is_own = request["userInfo"]["username"].as_str().is_some_and(|name| name.starts_with(&own));
        let group = request["kind"]["group"].as_str().unwrap_or_default();
        if objects.is_empty() || is_own || group == policies::CLASSIC || group == policies::CEL {
            return Some(Answer::default());
        }
        let subject = if request["operation"] == "DELETE" { &request["oldObject"] } else { &request["object"] };
        let evidence = self.evidence(request, &known);
        let results = kyverno::apply(policies, std::slice::from_ref(subject), &evidence);
        Some(match (asked.phase, asked.cel) {
            (Phase::Mutate, _) => mutated(&results, objects, asked, subject),
            (Phase::Validate, true) => judged_by_expressions(&results, objects),
            (Phase::Validate, false) => {
                let namespace = evidence.namespaces.get(request["namespace"].as_str().unwrap_or_default());
                judged(&results, objects, asked, subject, namespace)
            }
        })
    }

    fn evidence(&self, request: &Value, known: &Known) -> Evidence {
        let mut evidence = Evidence {
            now: self.timer.now(),
            user: Some(self.user(request)),
            namespaces: policies::namespaces(&self.client),
            exceptions: known.exceptions.clone(),
            ..Evidence::default()
        };
        evidence.values.global.insert("request.operation".to_owned(), request["operation"].clone());
        for field in ["uid", "name", "subResource", "dryRun"] {
            if !request[field].is_null() {
                evidence.values.global.insert(format!("request.{field}"), request[field].clone());
            }
        }
        if request["operation"] == "UPDATE" {
            evidence.values.global.insert("request.oldObject".to_owned(), request["oldObject"].clone());
        }
        if known.asks_cluster {
            evidence.objects = self.client.everything().into_iter().map(|(_, _, object)| Value::clone(&object)).collect();
        }
        evidence
    }

    /// Who asks, with the roles that are bound to them.
    fn user(&self, request: &Value) -> UserInfo {
        let user = &request["userInfo"];
        let name = user["username"].as_str().unwrap_or_default();
        let groups: Vec<&str> = user["groups"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let is_bound = |binding: &Value| {
            binding["subjects"].as_array().into_iter().flatten().any(|subject| {
                let of = |field: &str| subject[field].as_str().unwrap_or_default();
                match of("kind") {
                    "User" => of("name") == name,
                    "Group" => groups.contains(&of("name")),
                    "ServiceAccount" => format!("system:serviceaccount:{}:{}", of("namespace"), of("name")) == name,
                    _ => false,
                }
            })
        };
        let bound = |gvr: Gvr| self.client.list(gvr, None).into_iter().filter(|binding| is_bound(binding));
        let mut info = UserInfo { user_info: user.clone(), ..UserInfo::default() };
        for binding in bound(gvr::ROLE_BINDINGS) {
            let role = binding["roleRef"]["name"].as_str().unwrap_or_default();
            match binding["roleRef"]["kind"].as_str() {
                Some("Role") => info.roles.push(format!("{}:{role}", object::namespace(&binding))),
                _ => info.cluster_roles.push(role.to_owned()),
            }
        }
        let of_cluster =
            bound(gvr::CLUSTER_ROLE_BINDINGS).map(|binding| binding["roleRef"]["name"].as_str().unwrap_or_default().to_owned());
        info.cluster_roles.extend(of_cluster);
        info
    }
}

fn failure(message: &str) -> Value {
    json!({"status": "Failure", "message": message})
}

fn policy_of<'a>(result: &RuleResult, policies: &'a [Arc<Value>]) -> Option<&'a Value> {
    policies.iter().find(|policy| policy["kind"] == result.kind && policies::key(policy) == result.policy).map(|policy| &**policy)
}

fn rule_name(result: &RuleResult) -> &str {
    result.generated_rule.as_deref().unwrap_or(&result.rule)
}

/// A policy that does nothing as it stands is refused.
fn of_policy(policy: &Value) -> Answer {
    let findings = Policies::read(std::slice::from_ref(policy)).findings;
    let said = |finding: &kyverno::Finding| format!("{}: {}", finding.field, finding.message);
    let (warnings, errors): (Vec<_>, Vec<_>) = findings.iter().partition(|finding| finding.warning);
    let denial = (!errors.is_empty()).then(|| failure(&errors.into_iter().map(said).collect::<Vec<_>>().join("; ")));
    Answer { denial, warnings: warnings.into_iter().map(said).collect(), object: None }
}

/// The object as the policies leave it; a mutation that fails refuses the request where the policy says so.
fn mutated(results: &[RuleResult], policies: &[Arc<Value>], asked: Asked, subject: &Value) -> Answer {
    let failed = |result: &&RuleResult| {
        let enforced = match result.rule_type {
            RuleType::Mutation => true,
            // The validating webhook speaks of images that are only audited.
            _ => policy_of(result, policies).is_some_and(|policy| action::enforces(policy, rule_name(result), None)),
        };
        matches!(result.status, Status::Error | Status::Fail) && enforced && !asked.ignore
    };
    if let Some(result) = results.iter().find(failed) {
        let (policy, rule, why) = (&result.policy, rule_name(result), &result.message);
        let message = match (asked.cel, result.rule_type) {
            (true, _) => format!("Policy {policy} error: {why}"),
            (false, RuleType::Mutation) => format!("mutation policy {policy} error: failed to apply policy {policy} rules [{rule}: {why}]"),
            (false, _) => {
                let failures = BTreeMap::from([(policy.clone(), BTreeMap::from([(rule.to_owned(), why.clone())]))]);
                message::blocked(&called(subject), &failures)
            }
        };
        return Answer::denied(failure(&message));
    }
    let object = results.iter().rev().find_map(|result| result.patched.clone());
    Answer { object, ..Answer::default() }
}

/// `Kind/namespace/name`.
fn called(subject: &Value) -> String {
    format!("{}/{}/{}", object::kind(subject), object::namespace(subject), object::name(subject))
}

fn judged(results: &[RuleResult], policies: &[Arc<Value>], asked: Asked, subject: &Value, namespace: Option<&Value>) -> Answer {
    let mut failures: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let mut blocks = false;
    let mut warnings = Vec::new();
    for result in results.iter().filter(|result| matches!(result.status, Status::Fail | Status::Warn | Status::Error)) {
        let Some(policy) = policy_of(result, policies) else { continue };
        let rule = rule_name(result);
        if action::enforces(policy, rule, namespace) {
            blocks |= result.status == Status::Fail || (result.status == Status::Error && !asked.ignore);
            failures.entry(object::name(policy).to_owned()).or_default().insert(rule.to_owned(), result.message.clone());
        } else if policy["spec"]["emitWarning"] == true {
            warnings.push(format!("policy {}.{rule}: {}", object::name(policy), result.message));
        }
    }
    let denial = blocks.then(|| failure(&message::blocked(&called(subject), &failures)));
    Answer { denial, warnings, object: None }
}

fn judged_by_expressions(results: &[RuleResult], policies: &[Arc<Value>]) -> Answer {
    let (mut denied, mut warnings) = (Vec::new(), Vec::new());
    for result in results {
        let what = match result.status {
            Status::Fail => "failed",
            Status::Error => "error",
            _ => continue,
        };
        let Some(policy) = policy_of(result, policies) else { continue };
        let said = format!("Policy {} {what}: {}", object::name(policy), result.message);
        let actions = policy["spec"]["validationActions"].as_array().filter(|actions| !actions.is_empty());
        let acts = |action: &str| actions.map_or(action == "Deny", |actions| actions.iter().any(|held| held == action));
        if acts("Warn") {
            warnings.push(said.clone());
        }
        if acts("Deny") {
            denied.push(said);
        }
    }
    Answer { denial: (!denied.is_empty()).then(|| failure(&denied.join("; "))), warnings, object: None }
}
