//! Gatekeeper's controller manager (<https://open-policy-agent.github.io/gatekeeper/website/docs/operations/>): it makes definitions of
//! templates, puts its certificate into the webhook configurations that its manifest brings, and answers them with the engine of the
//! checkers. Simulated.
//!
//! ```text
//! ConstraintTemplate ──controller──► CustomResourceDefinition, status
//! API server ──AdmissionReview──► webhook ──► gatekeeper::Engine, gatekeeper::mutation::System
//! what exists ──audit, by the clock──► gatekeeper::Engine ──► statuses of constraints
//! ```

mod audit;
mod controller;
mod known;
mod webhook;

use super::{cached::Cached, flag, handle_signals, http, in_cluster::InCluster, listen, review::Authority};
use crate::{
    network::{Handler, Protocol, Request, Response},
    shell::process::Process,
};
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use known::{GROUPS, Known};

const SERVICE: &str = "gatekeeper-webhook-service";
const HEALTH: u16 = 9090;

#[derive(Debug)]
struct Healthy;

impl Handler for Healthy {
    fn handle(&self, request: Request) -> BoxFuture<'_, Response> {
        let known = matches!(request.path_only(), "/healthz" | "/readyz");
        Box::pin(std::future::ready(if known { Response::text(200, "ok") } else { Response::text(404, "404 page not found\n") }))
    }
}

/// What the command line says.
struct Settings {
    namespace: String,
    port: u16,
    webhook: bool,
    mutation: bool,
    /// How often what exists is judged; never, where it is none.
    audit: Option<SignedDuration>,
    /// How many violations a status names.
    limit: usize,
    exempt: Vec<String>,
}

impl Settings {
    fn of(process: &Process, arguments: &[String]) -> Self {
        let values = |name: &str| -> Vec<String> {
            let long = format!("--{name}=");
            arguments.iter().filter_map(|argument| argument.strip_prefix(long.as_str())).map(str::to_owned).collect()
        };
        let operations = values("operation");
        let assigned = |operation: &str| operations.is_empty() || operations.iter().any(|held| held == operation);
        let seconds = flag(arguments, "audit-interval").and_then(|seconds| seconds.parse().ok()).unwrap_or(60);
        let namespace = process.environment.get("POD_NAMESPACE").filter(|value| !value.is_empty());
        Self {
            namespace: namespace.map_or_else(|| "gatekeeper-system".to_owned(), String::clone),
            port: flag(arguments, "port").and_then(|port| port.parse().ok()).unwrap_or(443),
            webhook: assigned("webhook"),
            mutation: assigned("mutation-webhook"),
            audit: Some(SignedDuration::from_secs(seconds)).filter(|interval| assigned("audit") && interval.is_positive()),
            limit: flag(arguments, "constraint-violations-limit").and_then(|limit| limit.parse().ok()).unwrap_or(20),
            exempt: values("exempt-namespace"),
        }
    }
}

pub async fn run(process: &Process, arguments: &[String]) -> i32 {
    handle_signals(process);
    let log =
        async |level: &str, text: &str| process.err(format!("{{\"level\":\"{level}\",\"logger\":\"setup\",\"msg\":{text:?}}}\n")).await;
    log("info", "starting manager (simulated by Cordon, cordon.dev/simulated)").await;
    let outcome = match InCluster::new(process) {
        Ok(api) => serve(process, &api, &Settings::of(process, arguments)).await,
        Err(why) => Err(why),
    };
    match outcome {
        Ok(code) => code,
        Err(why) => {
            log("error", &why).await;
            1
        }
    }
}

async fn serve(process: &Process, api: &InCluster<'_>, settings: &Settings) -> Result<i32, String> {
    let Some(client) = process.machine.announce.cluster() else { return Err("there is no cluster here".to_owned()) };
    let bind = |port: u16, error: &str| format!("listen tcp :{port}: bind: {}", error.to_lowercase());
    let _health = listen(process, Protocol::Tcp, HEALTH, http(Healthy)).map_err(|(_, error)| bind(HEALTH, &error))?;
    let asked = api.get("/apis/templates.gatekeeper.sh/v1/constrainttemplates?limit=1").await;
    asked.map_err(|refused| match refused.code {
        404 => "no matches for kind \"ConstraintTemplate\" in version \"templates.gatekeeper.sh/v1\"".to_owned(),
        _ => format!("failed to list constrainttemplates: {}", refused.message),
    })?;
    let authority = Authority::of(&format!("{SERVICE}.{}.svc", settings.namespace));
    let mut bound = None;
    if settings.webhook || settings.mutation {
        let handler = webhook::Webhook::new(client.clone(), process.machine.timer.clone(), &settings.namespace, settings.exempt.clone());
        let listener = authority.listener(SERVICE, &settings.namespace, handler);
        bound = Some(listen(process, Protocol::Tcp, settings.port, listener).map_err(|(_, error)| bind(settings.port, &error))?);
    }
    let changed = process.machine.announce.changes(GROUPS);
    let judges = Cached::new(known::JUDGES);
    let mut next = settings.audit.and_then(|interval| process.now().checked_add(interval).ok());
    loop {
        // A pod that only audits leaves the rest to the others.
        if bound.is_some() {
            let reconciled = controller::reconcile(api, &client, &authority, &process.machine.facts.hostname).await;
            reconciled.map_err(|refused| refused.message)?;
        }
        tokio::select! {
            biased;
            signal = process.control.signalled() => return Ok(if signal == 9 { 137 } else { 0 }),
            () = changed.notified() => {}
            () = until(process, next) => {
                let known = judges.get(&client, || Known::read(&client));
                for why in audit::round(api, &client, &known, process.now(), settings.limit).await {
                    process.err(format!("{{\"level\":\"error\",\"logger\":\"controller\",\"process\":\"audit\",\"msg\":{why:?}}}\n")).await;
                }
                next = settings.audit.and_then(|interval| process.now().checked_add(interval).ok());
            }
        }
    }
}

/// Sleeps until then, or for ever.
async fn until(process: &Process, then: Option<Timestamp>) {
    match then {
        Some(then) => process.machine.timer.sleep(then.duration_since(process.now()).max(SignedDuration::ZERO)).await,
        None => std::future::pending().await,
    }
}
