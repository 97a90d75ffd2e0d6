//! An image without a component: it listens where its file says, answers what its file says, or ends.

use super::{handle_signals, http, listen, serve};
use crate::{
    catalogue::HttpAnswer,
    network::{Handler, Listener, Protocol, Request, Response},
    shell::process::Process,
};
use futures::future::BoxFuture;

#[derive(Debug)]
struct Answers(Vec<HttpAnswer>);

impl Handler for Answers {
    fn handle(&self, request: Request) -> BoxFuture<'_, Response> {
        let response = images::behaviour::listed(&self.0, request.path_only()).into();
        Box::pin(async move { response })
    }
}

pub async fn run(process: &Process) -> i32 {
    let image = process.machine.image.clone();
    handle_signals(process);
    if image.needs.root && process.who.uid != 0 {
        process.err(format!("{}: must be run as root (uid is {})\n", image.name, process.who.uid)).await;
        return 1;
    }
    for path in &image.writes {
        let probe = format!("{}/.cordon-write-test", path.trim_end_matches('/'));
        if let Err(error) = process.write(&probe, Vec::new()) {
            let said = if image.write_error.is_empty() {
                format!("{}: cannot write {path}: {error}", image.name)
            } else {
                image.write_error.clone()
            };
            process.err(format!("{said}\n")).await;
            return 1;
        }
        let _ = process.remove(&probe, false);
    }
    if let Some((code, log)) = &image.exit {
        process.out(log).await;
        return *code;
    }
    process.out(&image.log).await;
    let mut held = Vec::new();
    for port in &image.ports {
        let protocol = if port.protocol == "UDP" { Protocol::Udp } else { Protocol::Tcp };
        let listener = if port.http.is_empty() { Listener::Silent } else { http(Answers(port.http.clone())) };
        match listen(process, protocol, port.port, listener) {
            Ok(bound) => held.push(bound),
            Err((_, error)) => {
                process.err(format!("{}: listen 0.0.0.0:{}: bind: {}\n", image.name, port.port, error.to_lowercase())).await;
                return 1;
            }
        }
    }
    serve(process).await
}
