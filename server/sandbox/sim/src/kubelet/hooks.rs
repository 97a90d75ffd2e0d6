//! What is run in a container beside its program: lifecycle hooks, and the way back of their outcome.

use super::{live::Instance, probes::port_of, start};
use crate::{
    network::{Protocol, Request, exchange},
    shell::machine::Spawner as _,
};
use jiff::SignedDuration;
use parking_lot::Mutex;
use serde_json::Value;
use std::{net::Ipv4Addr, sync::Arc};

/// `None` while it runs; an error in the kubelet's words.
pub type Outcome = Arc<Mutex<Option<Result<(), String>>>>;

/// Starts a `postStart` or `preStop` hook (pkg/kubelet/lifecycle/handlers.go).
pub fn run(instance: &Instance, container: &Value, hook: &Value, address: Ipv4Addr) -> Outcome {
    let outcome = Outcome::default();
    let done = Arc::clone(&outcome);
    if let Some(command) = hook["exec"]["command"].as_array() {
        let command: Vec<String> = command.iter().filter_map(|a| a.as_str().map(str::to_owned)).collect();
        let (line, shown) = (command.join(" "), format!("[{}]", command.join(" ")));
        start::spawn_inside(instance, command, move |ran| {
            let failed = |error: String, output: String| {
                Err(format!("Exec lifecycle hook ({shown}) WHERE failed - error: {error}, message: {output:?}"))
            };
            *done.lock() = Some(match ran {
                start::Ran::Exited(0, ..) => Ok(()),
                start::Ran::Exited(code, output, errors) => failed(format!("command '{line}' exited with {code}: {errors}"), output),
                start::Ran::Failed(error) => failed(error, String::new()),
            });
        });
    } else if hook["httpGet"].is_object() {
        let get = &hook["httpGet"];
        let (port, path) = (port_of(&get["port"], container), get["path"].as_str().unwrap_or("/").to_owned());
        let failed = move |path: &str, why: &str| {
            Some(Err(format!("HTTP lifecycle hook ({path}) WHERE failed - error: Get \"http://{address}:{port}{path}\": {why}")))
        };
        match instance.machine.network.sockets().find(Protocol::Tcp, port) {
            None => *done.lock() = failed(&path, &format!("dial tcp {address}:{port}: connect: connection refused")),
            Some(listener) => {
                let request = Request::get(&format!("{address}:{port}"), &path);
                instance.tasks.spawn(Box::pin(async move {
                    // Whatever it answers, it was asked.
                    let answer = exchange(&listener, request, address).await;
                    *done.lock() = if answer.is_ok() { Some(Ok(())) } else { failed(&path, "EOF") };
                }));
            }
        }
    } else if let Some(seconds) = hook["sleep"]["seconds"].as_i64() {
        let timer = Arc::clone(&instance.machine.timer);
        instance.tasks.spawn(Box::pin(async move {
            timer.sleep(SignedDuration::from_secs(seconds)).await;
            *done.lock() = Some(Ok(()));
        }));
    } else {
        *done.lock() = Some(Err("Cannot run handler: invalid handler".to_owned()));
    }
    outcome
}
