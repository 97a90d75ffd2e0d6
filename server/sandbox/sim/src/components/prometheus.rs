//! Prometheus, minimal: it reads `scrape_configs[].static_configs[].targets`, scrapes them, and answers `/-/ready`, `/metrics`
//! and `/api/v1/targets`. It holds no time series.

use super::{flag, handle_signals, http, listen, scraper::scrape};
use crate::{
    network::{Handler, Protocol, Request, Response},
    shell::process::Process,
};
use futures::future::BoxFuture;
use jiff::SignedDuration;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::Arc;

#[derive(Debug, Clone)]
struct Target {
    job: String,
    address: String,
    url: String,
    outcome: Option<Result<u16, String>>,
}

#[derive(Debug)]
struct Site(Arc<Mutex<Vec<Target>>>);

impl Handler for Site {
    fn handle(&self, request: Request) -> BoxFuture<'_, Response> {
        let response = match request.path_only() {
            "/-/ready" => Response::text(200, "Prometheus Server is Ready.\n"),
            "/-/healthy" => Response::text(200, "Prometheus Server is Healthy.\n"),
            "/metrics" => Response::new(200, "text/plain; version=0.0.4", "# TYPE prometheus_ready gauge\nprometheus_ready 1\n"),
            "/api/v1/targets" => {
                let active: Vec<Value> = self
                    .0
                    .lock()
                    .iter()
                    .map(|t| {
                        let (health, error) = match &t.outcome {
                            None => ("unknown", String::new()),
                            Some(Ok(200..=299)) => ("up", String::new()),
                            Some(Ok(status)) => ("down", format!("server returned HTTP status {status}")),
                            Some(Err(error)) => ("down", error.clone()),
                        };
                        json!({"labels": {"instance": t.address, "job": t.job}, "scrapePool": t.job, "scrapeUrl": t.url, "health": health, "lastError": error})
                    })
                    .collect();
                Response::json(200, &json!({"status": "success", "data": {"activeTargets": active, "droppedTargets": []}}))
            }
            _ => Response::text(404, "404 page not found\n"),
        };
        Box::pin(async move { response })
    }
}

fn targets(config: &Value) -> Vec<Target> {
    let mut out = Vec::new();
    for job in config["scrape_configs"].as_array().into_iter().flatten() {
        let path = job["metrics_path"].as_str().unwrap_or("/metrics");
        for group in job["static_configs"].as_array().into_iter().flatten() {
            for address in group["targets"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                let name = job["job_name"].as_str().unwrap_or_default().to_owned();
                out.push(Target { job: name, address: address.to_owned(), url: format!("http://{address}{path}"), outcome: None });
            }
        }
    }
    out.truncate(100);
    out
}

pub async fn run(process: &Process, arguments: &[String]) -> i32 {
    handle_signals(process);
    let file = flag(arguments, "config.file").unwrap_or("prometheus.yml");
    let store = flag(arguments, "storage.tsdb.path").unwrap_or("data/");
    let config: Value = match process.read(file).map(|c| serde_saphyr::from_str(&String::from_utf8_lossy(&c))) {
        Ok(Ok(config)) => config,
        Ok(Err(error)) => {
            process.err(format!("level=ERROR msg=\"Error loading config (--config.file={file})\" err={:?}\n", error.to_string())).await;
            return 2;
        }
        Err(error) => {
            process
                .err(format!(
                    "level=ERROR msg=\"Error loading config (--config.file={file})\" err=\"open {file}: {}\"\n",
                    error.to_string().to_lowercase()
                ))
                .await;
            return 2;
        }
    };
    if let Err(error) = process.write(&format!("{}/lock", store.trim_end_matches('/')), Vec::new()) {
        let error = error.to_string().to_lowercase();
        process.err(format!("level=ERROR msg=\"Error opening query log file\" err=\"open {store}/queries.active: {error}\"\npanic: Unable to create mmap-ed active query log\n")).await;
        return 2;
    }
    let targets = Arc::new(Mutex::new(targets(&config)));
    let _bound = match listen(process, Protocol::Tcp, 9090, http(Site(Arc::clone(&targets)))) {
        Ok(bound) => bound,
        Err((_, error)) => {
            process
                .err(format!(
                    "level=ERROR msg=\"Unable to start web listener\" err=\"listen tcp 0.0.0.0:9090: bind: {}\"\n",
                    error.to_lowercase()
                ))
                .await;
            return 1;
        }
    };
    process.err("level=INFO msg=\"Starting Prometheus Server (simulated by Cordon)\"\nlevel=INFO msg=\"Server is ready to receive web requests.\"\n").await;
    let interval =
        config["global"]["scrape_interval"].as_str().and_then(|i| i.trim_end_matches('s').parse().ok()).unwrap_or(15_i64).clamp(5, 3600);
    loop {
        let listed = targets.lock().clone();
        for (i, target) in listed.iter().enumerate() {
            let outcome = scrape(process, &target.url).await;
            if let Some(held) = targets.lock().get_mut(i) {
                held.outcome = Some(outcome);
            }
        }
        process.sleep(SignedDuration::from_secs(interval)).await;
        if let Some(signal) = process.control.pending() {
            return if signal == 9 { 137 } else { 0 };
        }
    }
}
