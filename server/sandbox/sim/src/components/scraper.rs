//! A monitoring agent: it scrapes the URLs of `TARGETS` (or its arguments) every `INTERVAL` seconds, logs what came of it, and
//! shows it at `/metrics` on port 9090.

use super::{handle_signals, http, listen};
use crate::{
    network::{Handler, Protocol, Request, Response, fetch},
    shell::process::Process,
};
use futures::future::BoxFuture;
use images::behaviour::scraper::{Outcomes, Plan, answer, place, said};
use jiff::SignedDuration;
use parking_lot::Mutex;
use std::sync::Arc;

#[derive(Debug)]
struct Metrics(Arc<Mutex<Outcomes>>);

impl Handler for Metrics {
    fn handle(&self, request: Request) -> BoxFuture<'_, Response> {
        let response = answer(request.path_only(), &self.0.lock()).into();
        Box::pin(async move { response })
    }
}

/// One scrape of a URL: the status, or why there is none.
pub async fn scrape(process: &Process, url: &str) -> Result<u16, String> {
    let (host, port, path) = place(url);
    let address = match process.machine.network.resolve(host) {
        Ok((_, addresses)) => addresses.first().copied(),
        Err(_) => None,
    };
    let Some(address) = address else { return Err(format!("lookup {host}: no such host")) };
    let authority = if port == 80 { host.to_owned() } else { format!("{host}:{port}") };
    let request = Request::get(&authority, path);
    fetch(&process.machine, address, port, request, None, SignedDuration::from_secs(10))
        .await
        .map(|r| r.status)
        .map_err(|f| f.to_string().to_lowercase())
}

pub async fn run(process: &Process, arguments: &[String]) -> i32 {
    handle_signals(process);
    let plan = Plan::read(arguments, |name| process.environment.get(name).cloned());
    let outcomes: Arc<Mutex<Outcomes>> = Arc::default();
    let _bound = match listen(process, Protocol::Tcp, plan.port, http(Metrics(Arc::clone(&outcomes)))) {
        Ok(bound) => bound,
        Err((_, error)) => {
            process.err(format!("listen :{}: {error}\n", plan.port)).await;
            return 1;
        }
    };
    process.out(plan.opening()).await;
    loop {
        for target in &plan.targets {
            let outcome = scrape(process, target).await;
            process.out(said(target, &outcome)).await;
            outcomes.lock().insert(target.clone(), outcome);
        }
        process.sleep(SignedDuration::from_secs(i64::from(plan.interval))).await;
        if let Some(signal) = process.control.pending() {
            return if signal == 9 { 137 } else { 0 };
        }
    }
}
