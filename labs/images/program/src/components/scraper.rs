//! The monitoring agent.

use super::told_to_end;
use crate::{
    host::{self, Host},
    net::{
        client::{self, Call, Failure, Url},
        server,
    },
};
use images::behaviour::scraper::{Outcomes, Plan, answer, place, said};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

pub async fn run(host: &Host, arguments: &[String]) -> i32 {
    let plan = Plan::read(arguments, |name| host.variable(name));
    let outcomes: Arc<Mutex<Outcomes>> = Arc::default();
    let listener = match server::bind(plan.port).await {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("listen :{}: {}", plan.port, host::words(&error));
            return 1;
        }
    };
    let shown = Arc::clone(&outcomes);
    let handler = Arc::new(move |asked: server::Asked| answer(asked.path(), &shown.lock().unwrap_or_else(PoisonError::into_inner)));
    print!("{}", plan.opening());
    let scrapes = async {
        loop {
            for target in &plan.targets {
                let outcome = scrape(target).await;
                print!("{}", said(target, &outcome));
                outcomes.lock().unwrap_or_else(PoisonError::into_inner).insert(target.clone(), outcome);
            }
            tokio::time::sleep(Duration::from_secs(u64::from(plan.interval))).await;
        }
    };
    tokio::select! {
        code = told_to_end() => code,
        () = server::serve(listener, handler, None) => 0,
        () = scrapes => 0,
    }
}

async fn scrape(target: &str) -> Result<u16, String> {
    let (host, port, path) = place(target);
    let url = Url { scheme: "http".to_owned(), host: host.to_owned(), port, path: path.to_owned() };
    let call = Call { limit: Some(Duration::from_secs(10)), ..Call::get(url) };
    client::call(&call, |_| {}).await.map(|answer| answer.status).map_err(|failure| match failure {
        Failure::Resolve => format!("lookup {host}: no such host"),
        Failure::Connect(error) => host::words(&error).to_lowercase(),
        Failure::TimedOut { .. } => "connection timed out".to_owned(),
        Failure::NoAnswer | Failure::Tls(_) => "no answer over http".to_owned(),
    })
}
