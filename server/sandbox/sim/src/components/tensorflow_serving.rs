//! TensorFlow Serving: it serves the model that it finds in a volume (tensorflow.org/tfx/serving/api_rest). Simulated: predictions
//! are numbers made from the input.

use super::{flag, handle_signals, http, listen, serve};
use crate::{
    network::{Bound, Handler, Listener, Protocol, Request, Response},
    shell::process::Process,
};
use futures::future::BoxFuture;
use jiff::SignedDuration;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

#[derive(Debug)]
struct Model {
    name: String,
    versions: Vec<u64>,
}

impl Handler for Model {
    fn handle(&self, request: Request) -> BoxFuture<'_, Response> {
        let response = self.answer(&request);
        Box::pin(async move { response })
    }
}

fn error(status: u16, message: impl Into<String>) -> Response {
    Response::json(status, &json!({"error": message.into()}))
}

impl Model {
    fn answer(&self, request: &Request) -> Response {
        let path = request.path_only();
        let Some(rest) = path.strip_prefix("/v1/models/") else {
            return error(404, format!("Malformed request: {} {path}", request.method));
        };
        let (target, verb) = rest.split_once(':').map_or((rest, ""), |(t, v)| (t, v));
        let mut parts = target.split('/');
        let name = parts.next().unwrap_or_default();
        let mut version = None;
        let mut metadata = false;
        while let Some(part) = parts.next() {
            match part {
                "versions" => match parts.next().and_then(|v| v.parse().ok()) {
                    Some(number) => version = Some(number),
                    None => return error(400, format!("Malformed request: {} {path}", request.method)),
                },
                "metadata" => metadata = true,
                _ => return error(400, format!("Malformed request: {} {path}", request.method)),
            }
        }
        let known = name == self.name && version.is_none_or(|v| self.versions.contains(&v));
        let post = request.method == "POST";
        match (verb, post) {
            ("", false) if !known => error(404, format!("Could not find any versions of model {name}")),
            ("", false) if metadata => self.metadata(),
            ("", false) => {
                let status =
                    |v: &u64| json!({"version": v.to_string(), "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}});
                let wanted = self.versions.iter().filter(|v| version.is_none_or(|wanted| wanted == **v));
                Response::json(200, &json!({"model_version_status": wanted.map(status).collect::<Vec<_>>()}))
            }
            ("predict" | "classify" | "regress", true) if !known => {
                let which = version.map_or_else(|| format!("Latest({name})"), |v| format!("Specific({name}, {v})"));
                error(404, format!("Servable not found for request: {which}"))
            }
            ("predict", true) => self.predict(&request.body),
            _ => error(400, format!("Malformed request: {} {path}", request.method)),
        }
    }

    fn metadata(&self) -> Response {
        let tensor = |name: &str, kind: &str, size: &str| json!({"dtype": kind, "name": name, "tensor_shape": {"dim": [{"size": "-1", "name": ""}, {"size": size, "name": ""}], "unknown_rank": false}});
        let signature = json!({"inputs": {"inputs": tensor("serving_default_inputs:0", "DT_FLOAT", "-1")},
            "outputs": {"outputs": tensor("StatefulPartitionedCall:0", "DT_FLOAT", "3")}, "method_name": "tensorflow/serving/predict"});
        let version = self.versions.last().map_or_else(|| "0".to_owned(), ToString::to_string);
        Response::json(
            200,
            &json!({"model_spec": {"name": self.name, "signature_name": "", "version": version},
            "metadata": {"signature_def": {"signature_def": {"serving_default": signature}}, "simulated": "cordon.dev/simulated"}}),
        )
    }

    fn predict(&self, body: &[u8]) -> Response {
        let Ok(document) = serde_json::from_slice::<Value>(body) else {
            return error(400, format!("JSON Parse error: Invalid value at offset: 0 in {} bytes", body.len()));
        };
        if let Some(instances) = document["instances"].as_array() {
            return Response::json(200, &json!({"predictions": instances.iter().map(|i| self.scores(i)).collect::<Vec<_>>()}));
        }
        if document["inputs"].is_null() {
            return error(400, "JSON Value: missing 'inputs' or 'instances' key");
        }
        Response::json(200, &json!({"outputs": [self.scores(&document["inputs"])]}))
    }

    /// Three numbers that add up to one and depend on the input alone.
    fn scores(&self, input: &Value) -> Vec<f64> {
        let digest = Sha256::digest(format!("{}\0{input}", self.name));
        let weights: Vec<f64> = digest.iter().take(3).map(|b| f64::from(*b) + 1.0).collect();
        let total: f64 = weights.iter().sum();
        weights.iter().map(|w| (w / total * 1e6).round() / 1e6).collect()
    }
}

pub async fn run(process: &Process, arguments: &[String]) -> i32 {
    handle_signals(process);
    let from_script = arguments.first().is_some_and(|a| a.ends_with("tf_serving_entrypoint.sh"));
    let variable = |name: &str, default: &str| process.environment.get(name).cloned().unwrap_or_else(|| default.to_owned());
    let (mut name, mut base) = ("default".to_owned(), String::new());
    let (mut grpc, mut rest) = (8500, 0);
    if from_script {
        name = variable("MODEL_NAME", "model");
        base = format!("{}/{name}", variable("MODEL_BASE_PATH", "/models").trim_end_matches('/'));
        rest = 8501;
    }
    if let Some(given) = flag(arguments, "model_name") {
        name = given.to_owned();
    }
    if let Some(given) = flag(arguments, "model_base_path") {
        base = given.to_owned();
    }
    grpc = flag(arguments, "port").and_then(|p| p.parse().ok()).unwrap_or(grpc);
    rest = flag(arguments, "rest_api_port").and_then(|p| p.parse().ok()).unwrap_or(rest);
    let log = async |level: char, place: &str, text: &str| {
        let stamp = process.now().strftime("%Y-%m-%d %H:%M:%S.000000");
        process.err(format!("{stamp}: {level} {place}] {text}\n")).await;
    };
    if base.is_empty() {
        log(
            'E',
            "tensorflow_serving/model_servers/main.cc",
            "Both server_options.model_base_path and server_options.model_config_file are empty!",
        )
        .await;
        return 255;
    }
    log(
        'I',
        "tensorflow_serving/model_servers/server.cc",
        "Building single TensorFlow model file config: (simulated by Cordon, cordon.dev/simulated)",
    )
    .await;
    log('I', "tensorflow_serving/model_servers/server.cc", &format!(" model_name: {name} model_base_path: {base}")).await;
    match process.machine.facts.gpus.first() {
        Some(gpu) => {
            log(
                'I',
                "tensorflow/core/common_runtime/gpu/gpu_device.cc",
                &format!(
                    "Created device /job:localhost/replica:0/task:0/device:GPU:0 with {} MB memory: -> device: 0, name: {} (simulated)",
                    gpu.memory_mib, gpu.product
                ),
            )
            .await
        }
        None => {
            log('I', "tensorflow/core/platform/cpu_feature_guard.cc", "No GPU was given to this container: running on the CPU (simulated)")
                .await
        }
    }
    // It waits for a version to appear, as the real server does, and listens only then.
    let mut last = String::new();
    let versions = loop {
        match process.list(&base) {
            Ok(names) => {
                let mut found = Vec::new();
                let mut broken = None;
                for version in names.iter().filter_map(|n| n.parse::<u64>().ok()) {
                    let file = |name: &str| process.read(&format!("{base}/{version}/{name}"));
                    match file("saved_model.pb").or_else(|_| file("saved_model.pbtxt")) {
                        Ok(_) => found.push(version),
                        Err(_) => broken = Some(version),
                    }
                }
                found.sort_unstable();
                if !found.is_empty() {
                    break found;
                }
                if let Some(version) = broken {
                    let text = format!(
                        "Loading servable: {{name: {name} version: {version}}} failed: NOT_FOUND: Could not find SavedModel .pb or .pbtxt at supplied export directory path: {base}/{version}"
                    );
                    log('E', "tensorflow_serving/util/retrier.cc", &text).await;
                    log(
                        'E',
                        "tensorflow_serving/model_servers/server.cc",
                        "Failed to start server. Error: Unknown: 1 servable(s) did not become available",
                    )
                    .await;
                    return 255;
                }
                let text = format!(
                    "No versions of servable {name} found under base path {base}. Did you forget to name your leaf directory as a number (eg. '/1/')?"
                );
                if last != text {
                    log('W', "tensorflow_serving/sources/storage_path/file_system_storage_path_source.cc", &text).await;
                    last = text;
                }
            }
            Err(reason) => {
                let text = format!(
                    "FileSystemStoragePathSource encountered a filesystem access error: Could not find base path {base} for servable {name} with error {}: {base} not found",
                    if reason == crate::shell::filesystem::Errno::NotFound { "NOT_FOUND".to_owned() } else { reason.to_string() }
                );
                if last != text {
                    log('E', "tensorflow_serving/sources/storage_path/file_system_storage_path_source.cc", &text).await;
                    last = text;
                }
            }
        }
        process.sleep(SignedDuration::from_secs(5)).await;
        if let Some(signal) = process.control.pending() {
            return if signal == 9 { 137 } else { 0 };
        }
    };
    let newest: Vec<u64> = versions.last().copied().into_iter().collect();
    log('I', "external/org_tensorflow/tensorflow/cc/saved_model/reader.cc", &format!("Reading SavedModel from: {base}/{}", newest[0]))
        .await;
    log(
        'I',
        "tensorflow_serving/core/loader_harness.cc",
        &format!("Successfully loaded servable version {{name: {name} version: {}}}", newest[0]),
    )
    .await;
    let mut held: Vec<Bound> = Vec::new();
    let listeners = [
        (grpc, Listener::Silent, "Running gRPC ModelServer at 0.0.0.0:"),
        (rest, http(Model { name: name.clone(), versions: newest }), "Exporting HTTP/REST API at:localhost:"),
    ];
    for (port, listener, said) in listeners.into_iter().filter(|(port, ..)| *port != 0) {
        match listen(process, Protocol::Tcp, port, listener) {
            Ok(bound) => {
                held.push(bound);
                log('I', "tensorflow_serving/model_servers/server.cc", &format!("{said}{port} ...")).await;
            }
            Err((_, reason)) => {
                log('E', "tensorflow_serving/model_servers/server.cc", &format!("Failed to start server on port {port}: {reason}")).await;
                return 255;
            }
        }
    }
    serve(process).await
}
