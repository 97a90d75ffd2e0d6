//! Kyverno's admission controller (<https://kyverno.io/docs/installation/>): it registers its webhooks for the policies that there are,
//! and answers them with the engine of the checkers. Simulated.
//!
//! ```text
//! policies ──registration──► Validating-, MutatingWebhookConfigurations ──► API server ──AdmissionReview──► webhook ──► kyverno::apply
//! ```
//!
//! Without its pods requests fail or pass as the policies' `failurePolicy` says. What Kyverno does behind a request its other controllers
//! do: [`background`] generates and changes what exists, [`reports`] judges what exists, [`cleanup`] deletes by schedule.

mod action;
mod background;
mod cleanup;
mod message;
mod policies;
mod reach;
mod registration;
mod reports;
mod webhook;

use super::{
    handle_signals,
    in_cluster::{InCluster, Refused},
    listen,
    review::Authority,
};
use crate::{network::Protocol, shell::process::Process};
use apiserver::Client;
use machinery::{Gvr, object};
use policies::GROUPS;
use registration::Registration;
use serde_json::{Value, json};

const PORT: u16 = 9443;

pub async fn run(process: &Process) -> i32 {
    handle_signals(process);
    let name = process.machine.image.repository.rsplit('/').next().unwrap_or_default();
    let log = async |level: &str, text: &str| process.err(format!("{} {level} {text}\n", process.now())).await;
    log("INF", &format!("starting {name} (simulated by Cordon, cordon.dev/simulated)")).await;
    // An init container: what it would clean up is never there.
    if name == "kyvernopre" {
        return 0;
    }
    let outcome = match InCluster::new(process) {
        Ok(api) => control(process, &api, name).await,
        Err(why) => Err(why),
    };
    match outcome {
        Ok(code) => code,
        Err(why) => {
            log("ERR", &why).await;
            1
        }
    }
}

/// The namespace that the pod is in, as the manifests say it.
fn variable(process: &Process, name: &str, default: &str) -> String {
    process.environment.get(name).filter(|value| !value.is_empty()).map_or_else(|| default.to_owned(), String::clone)
}

/// What its images run.
async fn control(process: &Process, api: &InCluster<'_>, image: &str) -> Result<i32, String> {
    let Some(client) = process.machine.announce.cluster() else { return Err("there is no cluster here".to_owned()) };
    let namespace = variable(process, "KYVERNO_NAMESPACE", "kyverno");
    match image {
        "background-controller" => Ok(background::run(process, api, &client, &namespace).await),
        "cleanup-controller" => Ok(cleanup::run(process, api, &client, &namespace).await),
        "reports-controller" => reports::run(process, api, &client, &namespace).await,
        _ => serve(process, api, client, namespace).await,
    }
}

async fn serve(process: &Process, api: &InCluster<'_>, client: Client, namespace: String) -> Result<i32, String> {
    let service = variable(process, "KYVERNO_SVC", "kyverno-svc");
    for plural in ["clusterpolicies", "policies"] {
        let asked = api.get(&format!("/apis/kyverno.io/v1/{plural}?limit=1")).await;
        asked.map_err(|refused| match refused.code {
            404 => format!("failed to run sanity checks: CRD {plural}.kyverno.io is not installed"),
            _ => format!("failed to list {plural}.kyverno.io: {}", refused.message),
        })?;
    }
    let authority = Authority::of(&format!("{service}.{namespace}.svc"));
    let handler = webhook::Webhook::new(client.clone(), process.machine.timer.clone(), &namespace);
    let _bound = listen(process, Protocol::Tcp, PORT, authority.listener(&service, &namespace, handler))
        .map_err(|(_, error)| format!("listen tcp :{PORT}: bind: {}", error.to_lowercase()))?;
    let changed = process.machine.announce.changes(GROUPS);
    let registration = Registration { namespace, service, authority };
    loop {
        register(api, &client, &registration).await.map_err(|refused| format!("failed to register webhooks: {}", refused.message))?;
        tokio::select! {
            biased;
            signal = process.control.signalled() => {
                if signal != 9 {
                    unregister(process, api, &registration).await;
                }
                return Ok(if signal == 9 { 137 } else { 0 });
            }
            () = changed.notified() => {}
        }
    }
}

/// Brings webhook configurations and the policies' statuses up to date.
async fn register(api: &InCluster<'_>, client: &Client, registration: &Registration) -> Result<(), Refused> {
    for (gvr, wanted) in registration.configurations(client) {
        let held = client.get(gvr, "", object::name(&wanted));
        if held.is_none_or(|held| held["webhooks"] != wanted["webhooks"]) {
            api.put(&format!("/apis/{}/{}/{}", gvr.group, gvr.version, gvr.resource), &wanted).await?;
        }
    }
    for (gvr, policy) in policies::with_resources(client) {
        say_ready(api, gvr, &policy).await;
    }
    Ok(())
}

/// A policy that the webhooks enforce is ready.
async fn say_ready(api: &InCluster<'_>, gvr: Gvr, policy: &Value) {
    let status = &policy["status"];
    if status["ready"] == true || status["conditionStatus"]["ready"] == true {
        return;
    }
    let at = &policy["metadata"]["creationTimestamp"];
    let condition = |kind: &str, message: &str| json!({"type": kind, "status": "True", "reason": "Succeeded", "message": message, "lastTransitionTime": at});
    let status = if gvr.group == "kyverno.io" {
        json!({"ready": true, "conditions": [condition("Ready", "Ready")]})
    } else {
        json!({"conditionStatus": {"ready": true, "conditions": [condition("WebhookConfigured", "Webhook configured.")]}})
    };
    let namespace = object::namespace(policy);
    let within = if namespace.is_empty() { String::new() } else { format!("namespaces/{namespace}/") };
    let path = format!("/apis/{}/{}/{within}{}/{}/status", gvr.group, gvr.version, gvr.resource, object::name(policy));
    if let Err(refused) = api.call("PATCH", &path, Some(&json!({"status": status}))).await {
        tracing::debug!(path, message = refused.message, "the status of a policy was not written");
    }
}

/// Kyverno takes its webhooks away where its Deployment goes or is scaled to nothing; a pod that only ends leaves them.
async fn unregister(process: &Process, api: &InCluster<'_>, registration: &Registration) {
    let deployment = variable(process, "KYVERNO_DEPLOYMENT", "kyverno-admission-controller");
    let path = format!("/apis/apps/v1/namespaces/{}/deployments/{deployment}", registration.namespace);
    let stays = match api.get(&path).await {
        Ok(deployment) => deployment["metadata"]["deletionTimestamp"].is_null() && deployment["spec"]["replicas"] != 0,
        Err(refused) => refused.code != 404,
    };
    if stays {
        return;
    }
    for (gvr, name) in registration::NAMES {
        let path = format!("/apis/{}/{}/{}/{name}", gvr.group, gvr.version, gvr.resource);
        if let Err(refused) = api.call("DELETE", &path, None).await
            && refused.code != 404
        {
            process.err(format!("{} ERR failed to delete {path}: {}\n", process.now(), refused.message)).await;
        }
    }
}
