//! What the API server and the sandbox ask of running pods: logs, exec, attach, port-forward, proxy, probes.

use super::{
    live::{Instance, Live},
    runtime::Runtime,
    start,
};
use crate::{
    network::{self, Connection, Failure, Protocol, Request, Response},
    shell::{
        commands,
        machine::{Control, ProcessEntry},
        process::Process,
        streams::{Input, Output},
        terminal,
    },
};
use apiserver::{
    NodeRuntime,
    node::{ExecOptions, ExecStatus, ExecStreams, LogOptions, WebhookCall},
};
use async_trait::async_trait;
use bytes::Bytes;
use machinery::{ApiError, gvr, object};
use serde_json::Value;
use std::{net::Ipv4Addr, sync::Arc};
use tokio::sync::mpsc;

pub struct Api {
    pub runtime: Arc<Runtime>,
}

impl Api {
    fn live(&self, pod: &Value) -> Option<Arc<Live>> {
        self.runtime.pods.lock().get(object::uid(pod)).cloned()
    }

    fn instance(&self, pod: &Value, container: &str) -> Result<(Arc<Live>, Instance), String> {
        let missing = || format!("Internal error occurred: unable to upgrade connection: container not found (\"{container}\")");
        let live = self.live(pod).ok_or_else(missing)?;
        let instance = live.instance(container).filter(|i| i.exit.lock().is_none()).ok_or_else(missing)?;
        Ok((live, instance))
    }
}

/// The container's status in the stored pod.
fn status<'a>(pod: &'a Value, container: &str) -> &'a Value {
    ["containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"]
        .into_iter()
        .flat_map(|list| pod["status"][list].as_array().into_iter().flatten())
        .find(|s| s["name"] == container)
        .unwrap_or(&Value::Null)
}

#[async_trait]
impl NodeRuntime for Api {
    async fn logs(&self, pod: Arc<Value>, options: LogOptions) -> Result<mpsc::Receiver<Bytes>, ApiError> {
        let pod = self.runtime.client.get(gvr::PODS, object::namespace(&pod), object::name(&pod)).unwrap_or(pod);
        let (container, name) = (options.container.clone(), object::name(&pod).to_owned());
        let status = status(&pod, &container);
        let bad = |why: String| Err(ApiError::bad_request(why));
        let held = self.live(&pod).and_then(|live| live.containers.lock().get(&container).cloned()).unwrap_or_default();
        if options.previous && status["lastState"]["terminated"].is_null() {
            return bad(format!("previous terminated container {container:?} in pod {name:?} not found"));
        }
        if !options.previous
            && let Some(reason) = status["state"]["waiting"]["reason"].as_str()
            && (held.log.is_none() || status["lastState"]["terminated"].is_null())
        {
            return bad(match reason {
                "ErrImagePull" => format!("container {container:?} in pod {name:?} is waiting to start: image can't be pulled"),
                "ImagePullBackOff" => {
                    format!("container {container:?} in pod {name:?} is waiting to start: trying and failing to pull image")
                }
                other => format!("container {container:?} in pod {name:?} is waiting to start: {other}"),
            });
        }
        if status.is_null() {
            return bad(format!("container {container:?} in pod {name:?} is not available"));
        }
        // While nothing runs, what ran last is what was before.
        let between = !status["state"]["waiting"].is_null();
        let log = if options.previous && !between { held.previous } else { held.log };
        let (sender, receiver) = mpsc::channel(64);
        match log {
            Some(log) => {
                tokio::spawn(log.send(options, sender));
            }
            None if options.previous => {
                let id = status["lastState"]["terminated"]["containerID"].as_str().unwrap_or_default();
                sender.try_send(Bytes::from(format!("unable to retrieve container logs for {id}"))).ok();
            }
            None => {}
        }
        Ok(receiver)
    }

    async fn exec(&self, pod: Arc<Value>, options: ExecOptions, streams: ExecStreams) -> ExecStatus {
        let instance = match self.instance(&pod, &options.container) {
            Ok((_, instance)) => instance,
            Err(message) => return ExecStatus::Failed(message),
        };
        let control = Arc::new(Control::default());
        let ExecStreams { stdin, stdout, stderr, resize } = streams;
        // The client's terminal may change its size as it likes: nothing here is drawn.
        drop(resize);
        let mut process = Process { control: Arc::clone(&control), ..instance.template.clone() };
        process.stdout = Output::Channel { sender: stdout.clone(), terminal: options.tty };
        process.stderr = Output::Channel { sender: if options.tty { stdout.clone() } else { stderr }, terminal: options.tty };
        let mut keyboard = None;
        process.stdin = match (options.stdin, options.tty) {
            (false, _) => Input::empty(),
            (true, false) => Input::channel(stdin),
            (true, true) => {
                let (lines, receiver) = mpsc::channel(16);
                keyboard = Some(tokio::spawn(terminal::discipline(stdin, lines, stdout, Arc::clone(&control))));
                let mut input = Input::channel(receiver);
                input.terminal = true;
                input
            }
        };
        if options.tty {
            process.environment.insert("TERM".to_owned(), "xterm".to_owned());
        }
        let program = options.command.first().cloned().unwrap_or_default();
        if let Some(why) = start::cannot_execute(&process, &program) {
            let id = hex::encode(sha2::Digest::finalize(<sha2::Sha256 as sha2::Digest>::new_with_prefix(format!(
                "{program}{}",
                self.runtime.now()
            ))));
            return ExecStatus::Failed(format!(
                "Internal error occurred: Internal error occurred: error executing command in container: failed to exec in container: failed to start exec {id:?}: OCI runtime exec failed: exec failed: unable to start container process: {why}: unknown"
            ));
        }
        let pid = instance.machine.processes.add(ProcessEntry {
            pid: 0,
            parent: 0,
            arguments: options.command.clone(),
            who: process.who.clone(),
            environment: Arc::new(process.environment.iter().map(|(n, v)| (n.clone(), v.clone())).collect()),
            started: self.runtime.now(),
            control: Arc::clone(&control),
            init: false,
            container: options.container.clone(),
            root: Some(Arc::clone(&instance.machine.view)),
            from_outside: false,
        });
        process.pid = pid;
        {
            let mut sessions = instance.sessions.lock();
            sessions.retain(|s| s.strong_count() > 0);
            sessions.push(Arc::downgrade(&control));
        }
        let code = commands::run(&mut process, &options.command).await;
        instance.machine.processes.remove(pid);
        if let Some(keyboard) = keyboard {
            keyboard.abort();
        }
        // It may have written files.
        self.runtime.activity.notify_one();
        ExecStatus::Exited(code & 255)
    }

    async fn attach(&self, pod: Arc<Value>, options: ExecOptions, streams: ExecStreams) -> ExecStatus {
        let instance = match self.instance(&pod, &options.container) {
            Ok((_, instance)) => instance,
            Err(message) => return ExecStatus::Failed(message),
        };
        let spec = ["containers", "initContainers", "ephemeralContainers"]
            .into_iter()
            .flat_map(|list| pod["spec"][list].as_array().into_iter().flatten())
            .find(|c| c["name"] == options.container)
            .unwrap_or(&Value::Null);
        let (terminal, once) = (spec["tty"] == true, spec["stdinOnce"] == true);
        let mut output = instance.log.attach();
        let ExecStreams { mut stdin, stdout, stderr, resize } = streams;
        drop(resize);
        let keyboard = instance.stdin.lock().clone().filter(|_| options.stdin);
        let held = Arc::clone(&instance.stdin);
        let screen = stdout.clone();
        let control = Arc::clone(&instance.template.control);
        let typing = async move {
            let Some(keyboard) = keyboard else { return std::future::pending().await };
            if terminal {
                terminal::discipline(stdin, keyboard, screen, control).await;
            } else {
                while let Some(bytes) = stdin.recv().await {
                    if keyboard.send(bytes).await.is_err() {
                        break;
                    }
                }
                drop(keyboard);
            }
            if once {
                // Its first visitor has gone: the process reads the end of its input.
                held.lock().take();
            }
            std::future::pending::<()>().await;
        };
        let showing = async {
            while let Some((error, bytes)) = output.recv().await {
                let bytes = if terminal { Output::with_carriage_returns(&bytes).into() } else { bytes };
                let to = if error && !terminal { &stderr } else { &stdout };
                if to.send(bytes).await.is_err() {
                    return;
                }
            }
        };
        tokio::select! {
            () = typing => {}
            () = showing => {}
        }
        // What came of the process is the container's affair, not the session's.
        ExecStatus::Exited(0)
    }

    async fn port_forward(
        &self,
        pod: Arc<Value>,
        port: u16,
        from_client: mpsc::Receiver<Bytes>,
        to_client: mpsc::Sender<Bytes>,
    ) -> Result<(), String> {
        let refused = || {
            let uid = object::uid(&pod);
            format!(
                "error forwarding port {port} to pod {uid}, uid : failed to execute portforward in network namespace: failed to connect to localhost:{port} inside namespace {uid}, IPv4: dial tcp4 127.0.0.1:{port}: connect: connection refused"
            )
        };
        let live = self.live(&pod).ok_or_else(refused)?;
        let listener = live.sockets.find(Protocol::Tcp, port).ok_or_else(refused)?;
        let closed = to_client.clone();
        network::serve(&listener, Connection { from_client, to_client, peer: Ipv4Addr::LOCALHOST }, self.runtime.tasks.as_ref()).await;
        closed.closed().await;
        Ok(())
    }

    async fn proxy(&self, pod: Arc<Value>, port: u16, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, ApiError> {
        let unavailable = |why: String| ApiError::new(503, "ServiceUnavailable", why);
        let address = pod["status"]["podIP"].as_str().unwrap_or_default().to_owned();
        let dial = |why: &str| format!("error trying to reach service: dial tcp {address}:{port}: {why}");
        let live = self.live(&pod).ok_or_else(|| unavailable(dial("i/o timeout")))?;
        let listener = live.sockets.find(Protocol::Tcp, port).ok_or_else(|| unavailable(dial("connect: connection refused")))?;
        let (parts, body) = request.into_parts();
        let path = parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str).to_owned();
        let headers = parts.headers.iter().map(|(n, v)| (n.to_string(), String::from_utf8_lossy(v.as_bytes()).into_owned())).collect();
        let request = Request { method: parts.method.to_string(), path, headers, body };
        let response = network::exchange(&listener, request, Ipv4Addr::LOCALHOST)
            .await
            .map_err(|f| unavailable(dial(&f.to_string().to_lowercase())))?;
        let mut answer = http::Response::builder().status(response.status);
        for (name, value) in &response.headers {
            answer = answer.header(name, value);
        }
        answer.body(response.body).map_err(|e| ApiError::internal(e.to_string()))
    }

    fn review(&self, call: WebhookCall) -> Result<http::Response<Bytes>, String> {
        network::review(&self.runtime.fabric, call)
    }
}

/// What came of a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// Connected; with the answer where one was asked for and given.
    Connected(Option<Response>),
    NoSuchHost,
    Refused,
    TimedOut,
    /// The pod does not run.
    Unknown(String),
}

/// Tries connections as a process in a pod would.
#[derive(Debug, Clone)]
pub struct Prober {
    runtime: Arc<Runtime>,
}

impl Prober {
    pub(super) fn new(runtime: Arc<Runtime>) -> Self {
        Self { runtime }
    }

    /// `path`: an HTTP GET; `None`: a bare TCP connection. Never waits for what times out.
    pub async fn reach(&self, namespace: &str, pod: &str, host: &str, port: u16, path: Option<&str>) -> Reach {
        let Some(found) = self.runtime.client.get(gvr::PODS, namespace, pod) else {
            return Reach::Unknown(format!("no pod {namespace}/{pod}"));
        };
        let live = self.runtime.pods.lock().get(object::uid(&found)).cloned();
        let instance =
            live.and_then(|live| live.containers.lock().values().find_map(|c| c.instance.clone().filter(|i| i.exit.lock().is_none())));
        let Some(instance) = instance else { return Reach::Unknown(format!("pod {namespace}/{pod} is not running")) };
        let net = &instance.machine.network;
        let address = match net.resolve(host) {
            Ok((_, addresses)) => match addresses.first() {
                Some(address) => *address,
                None => return Reach::NoSuchHost,
            },
            Err(_) => return Reach::NoSuchHost,
        };
        let listener = match net.dial(address, port, Protocol::Tcp) {
            Ok(listener) => listener,
            Err(Failure::Refused) => return Reach::Refused,
            Err(_) => return Reach::TimedOut,
        };
        match (path, &listener) {
            (Some(path), network::Listener::Http(_)) => {
                let request = Request::get(&format!("{host}:{port}"), path);
                Reach::Connected(network::exchange(&listener, request, net.address()).await.ok())
            }
            _ => Reach::Connected(None),
        }
    }
}
