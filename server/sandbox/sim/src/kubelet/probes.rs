//! Startup, liveness and readiness probes.

use super::{
    live::Instance,
    start::{self, Ran},
};
use crate::network::{Failure, Listener, Protocol, Request, TlsClient, exchange_over};
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use serde_json::Value;
use std::{net::Ipv4Addr, sync::Arc};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeKind {
    Startup,
    Liveness,
    Readiness,
}

impl ProbeKind {
    pub fn title(self) -> &'static str {
        match self {
            Self::Startup => "Startup",
            Self::Liveness => "Liveness",
            Self::Readiness => "Readiness",
        }
    }
}

/// What is not well: the probe failed, or it could not be run, which counts neither for nor against the container.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Unwell {
    Failed(String),
    Errored(String),
}

type Outcome = Arc<Mutex<Option<Result<(), Unwell>>>>;

#[derive(Debug)]
struct Probe {
    kind: ProbeKind,
    spec: Value,
    next_at: Option<Timestamp>,
    successes: i64,
    failures: i64,
    flying: Option<(Outcome, Timestamp)>,
}

/// What a probe has to say now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    pub kind: ProbeKind,
    /// `failed: …` or `errored and resulted in unknown state: …`.
    pub message: String,
    /// The threshold is reached: the container is to be restarted.
    pub fatal: bool,
    /// The probe's own `terminationGracePeriodSeconds`.
    pub grace: Option<i64>,
}

#[derive(Debug)]
pub struct Probes {
    all: Vec<Probe>,
    pub started: bool,
    pub ready: bool,
}

impl Probes {
    pub fn new(container: &Value) -> Self {
        let kinds =
            [(ProbeKind::Startup, "startupProbe"), (ProbeKind::Liveness, "livenessProbe"), (ProbeKind::Readiness, "readinessProbe")];
        let all = kinds.into_iter().filter(|(_, name)| container[*name].is_object()).map(|(kind, name)| Probe {
            kind,
            spec: container[name].clone(),
            next_at: None,
            successes: 0,
            failures: 0,
            flying: None,
        });
        Self { all: all.collect(), started: false, ready: false }
    }

    fn has(&self, kind: ProbeKind) -> bool {
        self.all.iter().any(|p| p.kind == kind)
    }

    /// The container runs from now on. `keep`: it ran before, and was as it was.
    pub fn begin(&mut self, now: Timestamp, keep: bool) {
        if !keep {
            self.started = !self.has(ProbeKind::Startup);
            self.ready = self.started && !self.has(ProbeKind::Readiness);
        }
        for probe in &mut self.all {
            let delay = SignedDuration::from_secs(probe.spec["initialDelaySeconds"].as_i64().unwrap_or(0));
            probe.next_at = now.saturating_add(delay).ok();
            (probe.successes, probe.failures, probe.flying) = (0, 0, None);
        }
    }

    pub fn end(&mut self) {
        self.started = false;
        self.ready = false;
        for probe in &mut self.all {
            (probe.next_at, probe.flying) = (None, None);
        }
    }

    /// Whether there is something to look at.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.all.iter().any(|p| match &p.flying {
            Some((outcome, deadline)) => outcome.lock().is_some() || *deadline <= now,
            None => self.may_run(p) && p.next_at.is_some_and(|at| at <= now),
        })
    }

    fn may_run(&self, probe: &Probe) -> bool {
        if probe.kind == ProbeKind::Startup { !self.started } else { self.started }
    }

    pub fn next_at(&self) -> Option<Timestamp> {
        self.all.iter().filter_map(|p| p.flying.as_ref().map(|(_, deadline)| *deadline).or(p.next_at.filter(|_| self.may_run(p)))).min()
    }

    /// The same while an outcome may change something: the container is not ready yet, or a probe has failed.
    pub fn next_change(&self) -> Option<Timestamp> {
        let well = self.started && self.ready && self.all.iter().all(|probe| probe.failures == 0);
        self.next_at().filter(|_| !well)
    }

    /// Collects outcomes and starts what is due.
    pub fn step(&mut self, instance: &Instance, container: &Value, address: Ipv4Addr, now: Timestamp) -> Vec<Failed> {
        let mut failed = Vec::new();
        let started = self.started;
        let (mut becomes_started, mut ready) = (self.started, self.ready);
        for probe in &mut self.all {
            if let Some((outcome, deadline)) = &probe.flying {
                let late = || (*deadline <= now).then(|| Err(Unwell::Failed(timed_out(probe, container, address))));
                let result = outcome.lock().take().or_else(late);
                let Some(result) = result else { continue };
                probe.flying = None;
                let threshold = |name: &str, default: i64| probe.spec[name].as_i64().unwrap_or(default).max(1);
                match result {
                    Ok(()) => {
                        (probe.successes, probe.failures) = (probe.successes + 1, 0);
                        if probe.successes >= threshold("successThreshold", 1) {
                            match probe.kind {
                                ProbeKind::Startup => becomes_started = true,
                                ProbeKind::Readiness => ready = true,
                                ProbeKind::Liveness => {}
                            }
                        }
                    }
                    Err(Unwell::Errored(message)) => failed.push(Failed {
                        kind: probe.kind,
                        message: format!("errored and resulted in unknown state: {message}"),
                        fatal: false,
                        grace: None,
                    }),
                    Err(Unwell::Failed(message)) => {
                        (probe.successes, probe.failures) = (0, probe.failures + 1);
                        let over = probe.failures >= threshold("failureThreshold", 3);
                        if over && probe.kind == ProbeKind::Readiness {
                            ready = false;
                        }
                        failed.push(Failed {
                            kind: probe.kind,
                            message: format!("failed: {message}"),
                            fatal: over && probe.kind != ProbeKind::Readiness,
                            grace: probe.spec["terminationGracePeriodSeconds"].as_i64(),
                        });
                    }
                }
            }
            let runs = if probe.kind == ProbeKind::Startup { !started } else { started };
            if runs && probe.flying.is_none() && probe.next_at.is_some_and(|at| at <= now) {
                let period = SignedDuration::from_secs(probe.spec["periodSeconds"].as_i64().unwrap_or(10).max(1));
                let timeout = SignedDuration::from_secs(probe.spec["timeoutSeconds"].as_i64().unwrap_or(1).max(1));
                probe.next_at = now.saturating_add(period).ok();
                let outcome: Outcome = Arc::default();
                launch(probe, instance, container, address, Arc::clone(&outcome));
                probe.flying = Some((outcome, now.saturating_add(timeout).unwrap_or(Timestamp::MAX)));
            }
        }
        if becomes_started && !started {
            self.started = true;
            let wait: Vec<_> = self.all.iter_mut().filter(|p| p.kind != ProbeKind::Startup).collect();
            for probe in wait {
                probe.next_at = probe.next_at.map(|at| at.max(now));
            }
            ready = !self.has(ProbeKind::Readiness);
        }
        self.ready = ready;
        failed
    }
}

/// A port by number or by the container's name for it; 0 where there is none.
pub fn port_of(value: &Value, container: &Value) -> u16 {
    let number = value.as_u64().or_else(|| value.as_str()?.parse().ok());
    let named =
        || container["ports"].as_array().into_iter().flatten().find(|p| p["name"] == *value).and_then(|p| p["containerPort"].as_u64());
    number.or_else(named).and_then(|n| u16::try_from(n).ok()).unwrap_or(0)
}

fn url(spec: &Value, container: &Value, address: Ipv4Addr) -> (String, u16, String) {
    let port = port_of(&spec["httpGet"]["port"], container);
    let path = spec["httpGet"]["path"].as_str().unwrap_or("/");
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let scheme = spec["httpGet"]["scheme"].as_str().unwrap_or("HTTP").to_lowercase();
    (format!("{scheme}://{address}:{port}{path}"), port, path)
}

fn timed_out(probe: &Probe, container: &Value, address: Ipv4Addr) -> String {
    let seconds = probe.spec["timeoutSeconds"].as_i64().unwrap_or(1).max(1);
    if probe.spec["exec"].is_object() {
        let command: Vec<&str> = probe.spec["exec"]["command"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        return format!("command timed out: {:?} timed out after {seconds}s", command.join(" "));
    }
    if probe.spec["httpGet"].is_object() {
        return format!(
            "Get {:?}: context deadline exceeded (Client.Timeout exceeded while awaiting headers)",
            url(&probe.spec, container, address).0
        );
    }
    format!("dial tcp {address}: i/o timeout")
}

fn launch(probe: &Probe, instance: &Instance, container: &Value, address: Ipv4Addr, outcome: Outcome) {
    let spec = &probe.spec;
    let sockets = instance.machine.network.sockets();
    for kind in ["httpGet", "tcpSocket"] {
        let port = &spec[kind]["port"];
        if port.is_string() && port_of(port, container) == 0 {
            let name = port.as_str().unwrap_or_default();
            *outcome.lock() = Some(Err(Unwell::Errored(format!("couldn't find port: {name} in {name}"))));
            return;
        }
    }
    if spec["exec"].is_object() {
        let command = spec["exec"]["command"].as_array().into_iter().flatten().filter_map(|a| a.as_str().map(str::to_owned)).collect();
        start::spawn_inside(instance, command, move |ran| {
            *outcome.lock() = Some(match ran {
                Ran::Exited(0, ..) => Ok(()),
                Ran::Exited(_, text, _) => Err(Unwell::Failed(text)),
                Ran::Failed(error) => Err(Unwell::Errored(error)),
            });
        });
    } else if spec["httpGet"].is_object() {
        let (url, port, path) = url(spec, container, address);
        let refused = move |failure: Failure| match failure {
            Failure::NotHttp => format!("Get {url:?}: EOF"),
            Failure::NotTls => format!("Get {url:?}: http: server gave HTTP response to HTTPS client"),
            other => format!("Get {url:?}: dial tcp {address}:{port}: connect: {}", other.to_string().to_lowercase()),
        };
        match sockets.find(Protocol::Tcp, port) {
            None => *outcome.lock() = Some(Err(Unwell::Failed(refused(Failure::Refused)))),
            // TLS: what is said behind it is not simulated, only that somebody listens.
            Some(Listener::Silent) if spec["httpGet"]["scheme"] == "HTTPS" => *outcome.lock() = Some(Ok(())),
            Some(listener) => {
                let mut request = Request::get(&format!("{address}:{port}"), &path);
                request.headers.push(("User-Agent".to_owned(), "kube-probe/1.34".to_owned()));
                for header in spec["httpGet"]["httpHeaders"].as_array().into_iter().flatten() {
                    request.headers.push((
                        header["name"].as_str().unwrap_or_default().to_owned(),
                        header["value"].as_str().unwrap_or_default().to_owned(),
                    ));
                }
                let peer = address;
                // The kubelet looks at no certificate.
                let tls = (spec["httpGet"]["scheme"] == "HTTPS").then(|| TlsClient { host: address.to_string(), trusts: None });
                crate::shell::machine::Spawner::spawn(
                    instance.tasks.as_ref(),
                    Box::pin(async move {
                        let result = match exchange_over(&listener, request, tls.as_ref(), peer).await {
                            Ok(response) if (200..400).contains(&response.status) => Ok(()),
                            Ok(response) => Err(Unwell::Failed(format!("HTTP probe failed with statuscode: {}", response.status))),
                            Err(failure) => Err(Unwell::Failed(refused(failure))),
                        };
                        *outcome.lock() = Some(result);
                    }),
                );
            }
        }
    } else {
        let (field, grpc) = if spec["grpc"].is_object() { (&spec["grpc"]["port"], true) } else { (&spec["tcpSocket"]["port"], false) };
        let port = port_of(field, container);
        let result = match sockets.find(Protocol::Tcp, port) {
            Some(Listener::Silent) => Ok(()),
            // Nobody else speaks HTTP/2: the client waits for its preface until its time is over.
            _ if grpc => {
                let seconds = spec["timeoutSeconds"].as_i64().unwrap_or(1).max(1);
                let why = format!("timeout: failed to connect service \"{address}:{port}\" within {seconds}s: context deadline exceeded");
                Err(Unwell::Failed(why))
            }
            Some(_) => Ok(()),
            None => Err(Unwell::Failed(format!("dial tcp {address}:{port}: connect: connection refused"))),
        };
        *outcome.lock() = Some(result);
    }
}
