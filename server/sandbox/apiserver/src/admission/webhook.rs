//! Admission webhooks: which of them a request meets, what they are asked, and what comes of their answers.
//!
//! ```text
//! MutatingWebhookConfigurations ──► one after another: AdmissionReview ──NodeRuntime::review──► patch, warnings, denial
//! ValidatingWebhookConfigurations ──► all of them ─────────────────────────────────────────────► warnings, denial
//! ```
//!
//! A cluster without configurations pays for two look-ups of a count per write. Connections (`exec`, `proxy`) are not asked about.

use super::request::{Request, names_operation, names_resource};
use crate::{
    call::{Call, Operation},
    convert, crd,
    node::WebhookCall,
    store::Transaction,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use machinery::{
    ApiError, object, patch,
    strict::{self, FieldValidation},
};
use serde_json::{Value, json};
use std::sync::Arc;

const GROUP: &str = "admissionregistration.k8s.io";
const MUTATING: &str = "mutatingwebhookconfigurations";
const VALIDATING: &str = "validatingwebhookconfigurations";
const TIMEOUT: i64 = 10;

/// One webhook of a configuration.
#[derive(Debug)]
struct Webhook {
    configuration: Arc<Value>,
    index: usize,
}

/// What a webhook says of a request.
#[derive(Debug, Default)]
struct Verdict {
    denial: Option<ApiError>,
    warnings: Vec<String>,
    patch: Option<Value>,
}

impl Webhook {
    fn spec(&self) -> &Value {
        &self.configuration["webhooks"][self.index]
    }

    fn name(&self) -> &str {
        self.spec()["name"].as_str().unwrap_or_default()
    }

    /// Whether it can be about the request at all, asked before anything is copied for it.
    fn may_meet(&self, call: &Call, operation: Operation) -> bool {
        let covers = |rule| names_operation(rule, operation) && names_resource(rule, &call.resource.plural, &call.subresource);
        self.spec()["rules"].as_array().into_iter().flatten().any(covers)
    }
}

/// One webhook after another may change the object; one that asks for it sees again what others changed after it.
pub(super) fn mutate(
    call: &mut Call,
    transaction: &Transaction,
    operation: Operation,
    new: &mut Value,
    old: Option<&Value>,
) -> Result<(), ApiError> {
    let Some(mut round) = webhooks(call, transaction, MUTATING) else { return Ok(()) };
    for is_first in [true, false] {
        let mut again = Vec::new();
        for (index, webhook) in round.iter().enumerate() {
            if !webhook.may_meet(call, operation) {
                continue;
            }
            let request = Request::new(call, &transaction.state, operation, Some(&*new), old);
            let Some(verdict) = ask(call, transaction, &request, webhook)? else { continue };
            call.warn(verdict.warnings);
            if let Some(denial) = verdict.denial {
                return Err(denial);
            }
            let Some(patch) = verdict.patch.filter(|_| call.subresource != "scale") else { continue };
            let before = new.clone();
            *new = patched(call, webhook, new, &patch)?;
            if is_first && *new != before {
                again = (0..index).filter(|earlier| round[*earlier].spec()["reinvocationPolicy"] == "IfNeeded").collect();
            }
        }
        round = round.into_iter().enumerate().filter(|(index, _)| again.contains(index)).map(|(_, webhook)| webhook).collect();
    }
    Ok(())
}

/// All webhooks are asked; the first that denies is the one that the client hears of.
pub(super) fn validate(
    call: &mut Call,
    transaction: &Transaction,
    operation: Operation,
    new: Option<&Value>,
    old: Option<&Value>,
) -> Result<(), ApiError> {
    let Some(webhooks) = webhooks(call, transaction, VALIDATING) else { return Ok(()) };
    let webhooks: Vec<_> = webhooks.into_iter().filter(|webhook| webhook.may_meet(call, operation)).collect();
    if webhooks.is_empty() {
        return Ok(());
    }
    let request = Request::new(call, &transaction.state, operation, new, old);
    let (mut denied, mut warnings) = (None, Vec::new());
    for webhook in webhooks {
        match ask(call, transaction, &request, &webhook) {
            Ok(None) => {}
            Ok(Some(verdict)) => {
                warnings.extend(verdict.warnings);
                denied = denied.or(verdict.denial);
            }
            Err(error) => denied = denied.or(Some(error)),
        }
    }
    call.warn(warnings);
    denied.map_or(Ok(()), Err)
}

/// The webhooks of all configurations of a kind, by name of their configuration; `None` where there are none.
fn webhooks(call: &Call, transaction: &Transaction, plural: &str) -> Option<Vec<Webhook>> {
    // Configurations and policies are never judged by webhooks: they could not be mended.
    if transaction.state.count(GROUP, plural) == 0 || call.resource.group == GROUP {
        return None;
    }
    let configurations = transaction.state.list(GROUP, plural, None);
    let of = |configuration: Arc<Value>| {
        let count = configuration["webhooks"].as_array().map_or(0, Vec::len);
        (0..count).map(move |index| Webhook { configuration: configuration.clone(), index })
    };
    Some(configurations.flat_map(of).collect())
}

/// `None`: it is not about this request, or it could not be asked and need not be.
fn ask(call: &Call, transaction: &Transaction, request: &Request<'_>, webhook: &Webhook) -> Result<Option<Verdict>, ApiError> {
    let (spec, name) = (webhook.spec(), webhook.name());
    if !request.meets_rules(spec, &spec["rules"]) || !request.meets_selectors(spec) {
        return Ok(None);
    }
    let fails = |why: String| {
        if spec["failurePolicy"] == "Ignore" {
            tracing::info!(webhook = name, %why, "a webhook that could not be asked is passed over");
            return Ok(None);
        }
        let message = format!("failed calling webhook {name:?}: {why}");
        let mut error = ApiError::internal(format!("Internal error occurred: {message}"));
        error.details = json!({"causes": [{"message": message}]});
        Err(error)
    };
    match meets_conditions(call, transaction, request, webhook) {
        Ok(true) => {}
        Ok(false) => return Ok(None),
        Err(why) => return Err(call.forbidden(request.object().map_or(&call.name, object::name), &why)),
    }
    let review = review(call, request);
    match send(call, spec, &review).and_then(|answer| read(name, &review, &answer)) {
        Ok(verdict) => Ok(Some(verdict)),
        Err(why) => fails(why),
    }
}

/// Whether the `matchConditions` hold, which are those of a policy that denies everything.
fn meets_conditions(call: &Call, transaction: &Transaction, request: &Request<'_>, webhook: &Webhook) -> Result<bool, String> {
    let conditions = &webhook.spec()["matchConditions"];
    if conditions.as_array().is_none_or(Vec::is_empty) {
        return Ok(true);
    }
    const MET: &str = "met";
    let metadata = json!({
        "uid": format!("{}/{}", object::uid(&webhook.configuration), webhook.name()),
        "generation": webhook.configuration["metadata"]["generation"],
    });
    let spec = json!({
        "matchConditions": conditions, "failurePolicy": webhook.spec()["failurePolicy"],
        "validations": [{"expression": "false", "message": MET}],
    });
    let known = transaction.state.count(GROUP, MUTATING) + transaction.state.count(GROUP, VALIDATING);
    let compiled = call.server.policies().get(&json!({"metadata": metadata, "spec": spec}), known);
    match compiled.evaluate(&request.inputs(None)).denials.into_iter().next() {
        None => Ok(false),
        Some(denial) if denial.message == MET => Ok(true),
        Some(denial) => Err(denial.message),
    }
}

fn review(call: &Call, request: &Request<'_>) -> Value {
    let mut asked = request.attributes();
    asked["uid"] = call.server.new_uid().into();
    asked["object"] = request.new.clone().unwrap_or_default();
    asked["oldObject"] = request.old.clone().unwrap_or_default();
    for field in ["namespace", "subResource", "requestSubResource"] {
        if let (true, Some(asked)) = (asked[field] == "", asked.as_object_mut()) {
            asked.remove(field);
        }
    }
    json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": asked})
}

/// The answer of a webhook, or why there is none.
fn send(call: &Call, webhook: &Value, review: &Value) -> Result<Value, String> {
    let client = &webhook["clientConfig"];
    let seconds = webhook["timeoutSeconds"].as_i64().unwrap_or(TIMEOUT);
    let authority = client["caBundle"].as_str().and_then(|text| BASE64_STANDARD.decode(text).ok()).unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let of = |field: &str| text(&client["service"][field]);
    let (namespace, service, path) = (of("namespace"), of("name"), of("path"));
    let path = format!("/{}?timeout={seconds}s", path.trim_start_matches('/'));
    let port = client["service"]["port"].as_u64().and_then(|port| u16::try_from(port).ok()).unwrap_or(443);
    let (url, answer) = match client["url"].as_str() {
        Some(url) => {
            let host = url.split("://").nth(1).unwrap_or_default().split(['/', '?']).next().unwrap_or_default();
            let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
            // Nothing leaves the cluster: no name server outside answers.
            (format!("{url}?timeout={seconds}s"), Err(format!("dial tcp: lookup {host}: no such host")))
        }
        None => {
            let url = format!("https://{service}.{namespace}.svc:{port}{path}");
            let Some(runtime) = call.server.node_runtime() else { return Err(format!("failed to call webhook: Post {url:?}: EOF")) };
            let body = review.to_string().into();
            (url, runtime.review(WebhookCall { namespace, service, port, path, authority, body }))
        }
    };
    let answer = answer.map_err(|why| format!("failed to call webhook: Post {url:?}: {why}"))?;
    match answer.status().as_u16() {
        200 => serde_json::from_slice(answer.body())
            .map_err(|error| format!("failed to call webhook: could not get REST client: unexpected response: {error}")),
        404 => Err("failed to call webhook: the server could not find the requested resource".to_owned()),
        _ => {
            let said = String::from_utf8_lossy(answer.body()).trim().to_owned();
            Err(format!("failed to call webhook: an error on the server ({said:?}) has prevented the request from succeeding"))
        }
    }
}

fn read(name: &str, review: &Value, answer: &Value) -> Result<Verdict, String> {
    let response = &answer["response"];
    if !response.is_object() {
        return Err("webhook response is not valid: response is required".to_owned());
    }
    if response["uid"] != review["request"]["uid"] {
        let (wanted, got) = (review["request"]["uid"].as_str().unwrap_or_default(), response["uid"].as_str().unwrap_or_default());
        return Err(format!("expected response.uid={wanted:?}, got {got:?}"));
    }
    let warnings = response["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
    let mut verdict = Verdict { warnings, ..Verdict::default() };
    if response["allowed"] != true {
        verdict.denial = Some(denial(name, &response["status"]));
        return Ok(verdict);
    }
    if let Some(patch) = response["patch"].as_str().filter(|patch| !patch.is_empty()) {
        if response["patchType"] != "JSONPatch" {
            return Err("response.patchType must be JSONPatch where there is a patch".to_owned());
        }
        let decoded = BASE64_STANDARD.decode(patch).map_err(|error| format!("response.patch: {error}"))?;
        verdict.patch = Some(serde_json::from_slice(&decoded).map_err(|error| format!("response.patch: {error}"))?);
    }
    Ok(verdict)
}

/// What the client is told: never less than a 400.
fn denial(name: &str, status: &Value) -> ApiError {
    let text = |field: &str| status[field].as_str().filter(|text| !text.is_empty());
    let denied = format!("admission webhook {name:?} denied the request");
    let message = match text("message").or(text("reason")) {
        Some(why) => format!("{denied}: {why}"),
        None => format!("{denied} without explanation"),
    };
    let reason = REASONS.iter().find(|known| text("reason") == Some(**known)).copied().unwrap_or_default();
    let code = status["code"].as_u64().and_then(|code| u16::try_from(code).ok()).filter(|code| (400..600).contains(code));
    ApiError::new(code.unwrap_or(400), reason, message)
}

/// Reasons of a Status that a webhook may give.
const REASONS: &[&str] = &[
    "BadRequest",
    "Conflict",
    "Expired",
    "Forbidden",
    "Gone",
    "InternalError",
    "Invalid",
    "MethodNotAllowed",
    "NotFound",
    "ServiceUnavailable",
    "TooManyRequests",
    "Unauthorized",
];

/// The object with a webhook's patch, defaulted anew.
fn patched(call: &Call, webhook: &Webhook, stored: &Value, patch: &Value) -> Result<Value, ApiError> {
    let served = convert::served(&call.resource, Arc::new(stored.clone()));
    let failed = |error: ApiError| {
        let name = webhook.name();
        ApiError::internal(format!("Internal error occurred: the patch of admission webhook {name:?} does not fit: {}", error.message))
    };
    let mut new = patch::json(&served, patch).map_err(failed)?;
    strict::check(&call.resource, &mut new, FieldValidation::Ignore).map_err(failed)?;
    let mut new = convert::to_storage(&call.resource, new)?;
    crd::set_defaults(&call.resource, &mut new);
    Ok(new)
}
