//! `delete`: grace periods, preconditions, propagation by finalizers.

use crate::{
    admission,
    call::{Call, Operation},
    client::{DeleteOptions, Propagation},
    convert, effects,
    store::Transaction,
};
use jiff::SignedDuration;
use machinery::{ApiError, clock::rfc3339, object};
use serde_json::{Value, json};
use std::sync::Arc;

/// Kinds that answer with the deleted object instead of a Status (`ReturnDeletedObject` in their registries).
const RETURN_OBJECT: &[&str] =
    &["pods", "services", "serviceaccounts", "persistentvolumes", "persistentvolumeclaims", "podtemplates", "resourcequotas", "namespaces"];

const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";

/// What a delete came to.
#[derive(Debug)]
pub(crate) struct Deleted {
    /// As it is now, or as it last was.
    pub object: Arc<Value>,
    /// False where finalizers or a grace period keep it for now.
    pub gone: bool,
}

impl Deleted {
    /// The body and code of the HTTP answer.
    pub fn answer(&self, call: &Call, options: &DeleteOptions) -> (u16, Value) {
        if self.gone && !(call.resource.group.is_empty() && RETURN_OBJECT.contains(&&*call.resource.plural)) {
            let mut details = json!({"name": call.name, "kind": call.resource.plural, "uid": object::uid(&self.object)});
            if !call.resource.group.is_empty() {
                details["group"] = call.resource.group.as_ref().into();
            }
            return (200, json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}));
        }
        let code = if !self.gone && options.propagation == Some(Propagation::Foreground) { 202 } else { 200 };
        (code, Value::clone(&convert::served(&call.resource, self.object.clone())))
    }
}

pub(crate) fn delete(call: &mut Call, options: &DeleteOptions) -> Result<Deleted, ApiError> {
    let (server, dry_run) = (call.server.clone(), call.dry_run);
    server.write(dry_run, |transaction| remove(call, transaction, options))
}

/// The part inside the transaction.
pub(crate) fn remove(call: &mut Call, transaction: &mut Transaction, options: &DeleteOptions) -> Result<Deleted, ApiError> {
    let (group, plural) = (call.storage_group().to_owned(), call.resource.plural.clone());
    let name = call.name.clone();
    let old = transaction.state.get(&group, &plural, &call.namespace, &name).ok_or_else(|| call.not_found())?;
    check_preconditions(call, options, &old)?;
    admission::validate(call, transaction, Operation::Delete, None, Some(&old))?;
    if call.is("", "namespaces") {
        return Ok(terminate_namespace(call, transaction, options, &old));
    }
    let mut new = Value::clone(&old);
    let terminating = object::is_terminating(&old);
    let grace = grace_period(call, options, &old);
    if let (true, Some(seconds)) = (terminating, grace) {
        let left = old["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0);
        if seconds >= left && seconds > 0 {
            return Ok(Deleted { object: old, gone: false });
        }
    }
    set_finalizers(call, options, &mut new);
    let seconds = grace.unwrap_or(0);
    let finalizers = new["metadata"]["finalizers"].as_array().is_some_and(|list| !list.is_empty());
    if seconds > 0 || finalizers {
        if !terminating {
            let at = call.now.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(call.now);
            mark(&mut new, &rfc3339(at), seconds);
        } else if grace.is_some() && old["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0) > seconds {
            let at = call.now.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(call.now);
            object::set_meta(&mut new, "deletionGracePeriodSeconds", seconds);
            object::set_meta(&mut new, "deletionTimestamp", rfc3339(at));
        }
        if new == *old {
            return Ok(Deleted { object: old, gone: false });
        }
        return Ok(Deleted { object: transaction.put(&group, &plural, new), gone: false });
    }
    effects::before_delete(call, transaction, &old);
    let object = transaction.remove(&group, &plural, &call.namespace, &name).unwrap_or(old);
    effects::after_write(call, transaction, &object);
    Ok(Deleted { object, gone: true })
}

fn mark(new: &mut Value, at: &str, grace: i64) {
    object::set_meta(new, "deletionTimestamp", at);
    object::set_meta(new, "deletionGracePeriodSeconds", grace);
    if let Some(generation) = new["metadata"]["generation"].as_i64().filter(|generation| *generation > 0) {
        object::set_meta(new, "generation", generation.saturating_add(1));
    }
}

fn check_preconditions(call: &Call, options: &DeleteOptions, old: &Value) -> Result<(), ApiError> {
    if let Some(uid) = options.uid.as_deref().filter(|uid| *uid != object::uid(old)) {
        let why = format!(
            "the UID in the precondition ({uid}) does not match the UID in record ({}). The object might have been deleted and then recreated",
            object::uid(old)
        );
        return Err(conflict(call, &why));
    }
    let stored = object::resource_version(old).to_string();
    if let Some(version) = options.resource_version.as_deref().filter(|version| *version != stored) {
        let why = format!(
            "the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record ({stored}). The object might have been modified"
        );
        return Err(conflict(call, &why));
    }
    Ok(())
}

/// Preconditions speak of the kind, where everything else speaks of the resource.
fn conflict(call: &Call, why: &str) -> ApiError {
    ApiError::conflict(&call.resource.group, &call.resource.kind, &call.name, why)
}

/// `None` for kinds that know no graceful deletion.
fn grace_period(call: &Call, options: &DeleteOptions, old: &Value) -> Option<i64> {
    if !call.is("", "pods") {
        return None;
    }
    let asked = options.grace_period_seconds.or_else(|| old["spec"]["terminationGracePeriodSeconds"].as_i64()).unwrap_or(30);
    let asked = if asked < 0 { 1 } else { asked };
    let unscheduled = old["spec"]["nodeName"].as_str().unwrap_or_default().is_empty();
    let finished = matches!(old["status"]["phase"].as_str(), Some("Failed" | "Succeeded"));
    Some(if unscheduled || finished { 0 } else { asked })
}

/// Propagation is carried by finalizers, which the garbage collector takes away again.
fn set_finalizers(call: &Call, options: &DeleteOptions, new: &mut Value) {
    let held: Vec<String> = new["metadata"]["finalizers"]
        .as_array()
        .map(|list| list.iter().filter_map(|f| f.as_str().map(str::to_owned)).collect())
        .unwrap_or_default();
    let (orphan, foreground) = match options.propagation {
        Some(Propagation::Orphan) => (true, false),
        Some(Propagation::Foreground) => (false, true),
        Some(Propagation::Background) => (false, false),
        // Without a word, finalizers that stand there already decide; then the kind's own default.
        None => {
            let orphan = held.iter().any(|f| f == ORPHAN) || (call.is("batch", "jobs") || call.is("", "replicationcontrollers"));
            (orphan && !held.iter().any(|f| f == FOREGROUND), held.iter().any(|f| f == FOREGROUND))
        }
    };
    let mut wanted: Vec<String> = held.iter().filter(|f| *f != ORPHAN && *f != FOREGROUND).cloned().collect();
    if orphan {
        wanted.push(ORPHAN.to_owned());
    }
    if foreground {
        wanted.push(FOREGROUND.to_owned());
    }
    if wanted == held {
        return;
    }
    if wanted.is_empty() {
        if let Some(metadata) = new["metadata"].as_object_mut() {
            metadata.remove("finalizers");
        }
    } else {
        object::set_meta(new, "finalizers", wanted);
    }
}

/// A namespace stays, terminating, until its controller has emptied it and called `finalize`.
fn terminate_namespace(call: &mut Call, transaction: &mut Transaction, options: &DeleteOptions, old: &Arc<Value>) -> Deleted {
    let mut new = Value::clone(old);
    set_finalizers(call, options, &mut new);
    if !object::is_terminating(old) {
        object::set_meta(&mut new, "deletionTimestamp", rfc3339(call.now));
        new["status"]["phase"] = "Terminating".into();
    }
    let spec = new["spec"]["finalizers"].as_array().is_some_and(|list| !list.is_empty());
    let metadata = new["metadata"]["finalizers"].as_array().is_some_and(|list| !list.is_empty());
    if !spec && !metadata {
        let object = transaction.remove("", "namespaces", "", &call.name).unwrap_or_else(|| old.clone());
        return Deleted { object, gone: true };
    }
    if new == **old {
        return Deleted { object: old.clone(), gone: false };
    }
    Deleted { object: transaction.put("", "namespaces", new), gone: false }
}

/// `DeleteOptions` of a request body and query.
pub(crate) fn options(body: &Value, query: impl Fn(&str) -> Option<String>) -> Result<(DeleteOptions, bool), ApiError> {
    let text = |field: &str| body[field].as_str().map(str::to_owned).or_else(|| query(field));
    let grace = match &body["gracePeriodSeconds"] {
        Value::Null => match query("gracePeriodSeconds") {
            None => None,
            Some(text) => {
                Some(text.parse().map_err(|_| ApiError::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax")))?)
            }
        },
        value => Some(value.as_i64().ok_or_else(|| ApiError::bad_request("gracePeriodSeconds must be an integer"))?),
    };
    let orphan = body["orphanDependents"].as_bool().or_else(|| query("orphanDependents").map(|text| text == "true"));
    let refuse = |error| ApiError::invalid("meta.k8s.io", "DeleteOptions", "", &[error]);
    if let (Some(policy), Some(_)) = (text("propagationPolicy"), orphan) {
        let message = "orphanDependents and deletionPropagation cannot be both set";
        return Err(refuse(machinery::FieldError::invalid("propagationPolicy", &json!(policy), message)));
    }
    let propagation = match text("propagationPolicy").as_deref() {
        None => orphan.map(|orphan| if orphan { Propagation::Orphan } else { Propagation::Background }),
        Some("Background") => Some(Propagation::Background),
        Some("Foreground") => Some(Propagation::Foreground),
        Some("Orphan") => Some(Propagation::Orphan),
        Some(other) => {
            let error =
                machinery::FieldError::not_supported("propagationPolicy", &json!(other), &["Foreground", "Background", "Orphan", "nil"]);
            return Err(refuse(error));
        }
    };
    let asked = query("dryRun").map(|text| json!([text]));
    let dry_run = match asked.as_ref().unwrap_or(&body["dryRun"]) {
        Value::Array(list) => {
            if let Some(other) = list.iter().find(|item| *item != "All") {
                let error = machinery::FieldError::not_supported("dryRun", &json!([other]), &["All"]);
                return Err(refuse(error));
            }
            !list.is_empty()
        }
        _ => false,
    };
    let precondition = |field: &str| body["preconditions"][field].as_str().map(str::to_owned);
    let options = DeleteOptions {
        grace_period_seconds: grace,
        propagation,
        uid: precondition("uid"),
        resource_version: precondition("resourceVersion"),
    };
    Ok((options, dry_run))
}
