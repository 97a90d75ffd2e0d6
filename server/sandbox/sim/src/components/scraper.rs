//! A monitoring agent: it scrapes the URLs of `TARGETS` (or its arguments) every `INTERVAL` seconds, logs what came of it, and
//! shows it at `/metrics` on port 9090.

use super::{handle_signals, http, listen};
use crate::{
    network::{Handler, Protocol, Request, Response, fetch},
    shell::process::Process,
};
use futures::future::BoxFuture;
use jiff::SignedDuration;
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc};

/// Status of the last scrape of each target; `Err` with the reason.
type Outcomes = Arc<Mutex<BTreeMap<String, Result<u16, String>>>>;

#[derive(Debug)]
struct Metrics(Outcomes);

impl Handler for Metrics {
    fn handle(&self, request: Request) -> BoxFuture<'_, Response> {
        let response = match request.path_only() {
            "/healthz" | "/-/ready" => Response::text(200, "ok\n"),
            "/metrics" => {
                let mut text = "# HELP up Whether the last scrape of the target was answered with 2xx.\n# TYPE up gauge\n".to_owned();
                for (target, outcome) in self.0.lock().iter() {
                    text.push_str(&format!("up{{target=\"{target}\"}} {}\n", u8::from(matches!(outcome, Ok(200..=299)))));
                }
                Response::new(200, "text/plain; version=0.0.4", text)
            }
            _ => Response::text(404, "not found\n"),
        };
        Box::pin(async move { response })
    }
}

/// One scrape of a URL: the status, or why there is none.
pub async fn scrape(process: &Process, url: &str) -> Result<u16, String> {
    let rest = url.strip_prefix("http://").unwrap_or(url);
    let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    let (host, port) = authority.rsplit_once(':').map_or((authority, 80), |(h, p)| (h, p.parse().unwrap_or(80)));
    let address = match process.machine.network.resolve(host) {
        Ok((_, addresses)) => addresses.first().copied(),
        Err(_) => None,
    };
    let Some(address) = address else { return Err(format!("lookup {host}: no such host")) };
    let request = Request::get(authority, path);
    fetch(&process.machine, address, port, request, None, SignedDuration::from_secs(10))
        .await
        .map(|r| r.status)
        .map_err(|f| f.to_string().to_lowercase())
}

pub async fn run(process: &Process, arguments: &[String]) -> i32 {
    handle_signals(process);
    let listed = process.environment.get("TARGETS").cloned().unwrap_or_default();
    let mut targets: Vec<String> = listed.split([',', ' ', '\n']).filter(|t| !t.is_empty()).map(str::to_owned).collect();
    targets.extend(arguments.iter().skip(1).filter(|a| !a.starts_with('-')).cloned());
    targets.truncate(50);
    let interval = process.environment.get("INTERVAL").and_then(|i| i.trim_end_matches('s').parse().ok()).unwrap_or(15_i64).clamp(1, 3600);
    let port = process.environment.get("PORT").and_then(|p| p.parse().ok()).unwrap_or(9090);
    let outcomes: Outcomes = Arc::default();
    let _bound = match listen(process, Protocol::Tcp, port, http(Metrics(Arc::clone(&outcomes)))) {
        Ok(bound) => bound,
        Err((_, error)) => {
            process.err(format!("listen :{port}: {error}\n")).await;
            return 1;
        }
    };
    process.out(format!("scraper (simulated by Cordon): {} targets every {interval}s, metrics on :{port}\n", targets.len())).await;
    loop {
        for target in &targets {
            let outcome = scrape(process, target).await;
            let said = match &outcome {
                Ok(status) => format!("target={target} up={} status={status}\n", u8::from((200..300).contains(status))),
                Err(error) => format!("target={target} up=0 error={error:?}\n"),
            };
            process.out(said).await;
            outcomes.lock().insert(target.clone(), outcome);
        }
        process.sleep(SignedDuration::from_secs(interval)).await;
        if let Some(signal) = process.control.pending() {
            return if signal == 9 { 137 } else { 0 };
        }
    }
}
