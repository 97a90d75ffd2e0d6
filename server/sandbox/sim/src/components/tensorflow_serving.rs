//! TensorFlow Serving in a simulated pod; what it answers and logs is `images::behaviour::tensorflow_serving`.

use super::{handle_signals, http, listen, serve};
use crate::{
    network::{Bound, Handler, Listener, Protocol, Request, Response},
    shell::{filesystem::Errno, process::Process},
};
use futures::future::BoxFuture;
use images::behaviour::tensorflow_serving::{FAILED, Found, LOOKS_EVERY, Line, Model, Options, cannot_listen, listens};
use jiff::SignedDuration;

#[derive(Debug)]
struct Site(Model);

impl Handler for Site {
    fn handle(&self, request: Request) -> BoxFuture<'_, Response> {
        let response = self.0.answer(&request.method, request.path_only(), &request.body).into();
        Box::pin(async move { response })
    }
}

pub async fn run(process: &Process, arguments: &[String]) -> i32 {
    handle_signals(process);
    let options = Options::read(arguments, |name| process.environment.get(name).cloned());
    let log = async |line: &Line| {
        let stamp = process.now().strftime("%Y-%m-%d %H:%M:%S.000000").to_string();
        process.err(line.at(&stamp)).await;
    };
    match options.opening(process.machine.facts.gpus.first()) {
        Ok(lines) => {
            for line in &lines {
                log(line).await;
            }
        }
        Err(line) => {
            log(&line).await;
            return FAILED;
        }
    }
    // It waits for a version to appear, as the real server does, and listens only then.
    let mut last = None;
    let version = loop {
        let folder =
            process.list(&options.base).map_err(|reason| if reason == Errno::NotFound { String::new() } else { reason.to_string() });
        let is_model = |version: u64| {
            let file = |name: &str| process.read(&format!("{}/{version}/{name}", options.base)).is_ok();
            file("saved_model.pb") || file("saved_model.pbtxt")
        };
        match options.look(folder, is_model) {
            Found::Model { version, says } => {
                for line in &says {
                    log(line).await;
                }
                break version;
            }
            Found::Broken(lines) => {
                for line in &lines {
                    log(line).await;
                }
                return FAILED;
            }
            Found::Nothing(line) => {
                if last.as_ref() != Some(&line) {
                    log(&line).await;
                    last = Some(line);
                }
            }
        }
        process.sleep(SignedDuration::try_from(LOOKS_EVERY).unwrap_or_default()).await;
        if let Some(signal) = process.control.pending() {
            return if signal == 9 { 137 } else { 0 };
        }
    };
    let mut held: Vec<Bound> = Vec::new();
    let model = Model { name: options.name, versions: vec![version] };
    let listeners = [(options.grpc, false, Listener::Silent), (options.rest, true, http(Site(model)))];
    for (port, rest, listener) in listeners.into_iter().filter(|(port, ..)| *port != 0) {
        match listen(process, Protocol::Tcp, port, listener) {
            Ok(bound) => {
                held.push(bound);
                log(&listens(port, rest)).await;
            }
            Err((_, reason)) => {
                log(&cannot_listen(port, &reason)).await;
                return FAILED;
            }
        }
    }
    serve(process).await
}
