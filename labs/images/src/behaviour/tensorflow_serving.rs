//! TensorFlow Serving: it serves the model that it finds in a volume (tensorflow.org/tfx/serving/api_rest). Predictions are numbers
//! made from the input.

use super::{Answer, flag};
use crate::gpu::Gpu;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

const SERVER: &str = "tensorflow_serving/model_servers/server.cc";
const SOURCE: &str = "tensorflow_serving/sources/storage_path/file_system_storage_path_source.cc";

/// How often it looks for a model that is not there yet.
pub const LOOKS_EVERY: std::time::Duration = std::time::Duration::from_secs(5);
/// What it exits with where it cannot start.
pub const FAILED: i32 = 255;

/// One line of its log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    level: char,
    place: &'static str,
    text: String,
}

impl Line {
    fn new(level: char, place: &'static str, text: impl Into<String>) -> Self {
        Self { level, place, text: text.into() }
    }

    /// `stamp` as `2026-01-02 03:04:05.678901`.
    pub fn at(&self, stamp: &str) -> String {
        let Self { level, place, text } = self;
        format!("{stamp}: {level} {place}] {text}\n")
    }
}

/// By its command line, and by its environment where the image's script starts it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    pub name: String,
    pub base: String,
    /// 0: it does not listen.
    pub grpc: u16,
    pub rest: u16,
}

impl Options {
    /// `arguments` with the program first.
    pub fn read(arguments: &[String], variable: impl Fn(&str) -> Option<String>) -> Self {
        let from_script = arguments.first().is_some_and(|a| a.ends_with("tf_serving_entrypoint.sh"));
        let mut options = Self { name: "default".to_owned(), base: String::new(), grpc: 8500, rest: 0 };
        if from_script {
            options.name = variable("MODEL_NAME").unwrap_or_else(|| "model".to_owned());
            let folder = variable("MODEL_BASE_PATH").unwrap_or_else(|| "/models".to_owned());
            options.base = format!("{}/{}", folder.trim_end_matches('/'), options.name);
            options.rest = 8501;
        }
        let given = |name: &str| flag(arguments, name).map(str::to_owned);
        options.name = given("model_name").unwrap_or(options.name);
        options.base = given("model_base_path").unwrap_or(options.base);
        options.grpc = given("port").and_then(|port| port.parse().ok()).unwrap_or(options.grpc);
        options.rest = given("rest_api_port").and_then(|port| port.parse().ok()).unwrap_or(options.rest);
        options
    }

    /// What it says first; `Err`: it ends with [`FAILED`].
    pub fn opening(&self, gpu: Option<&Gpu>) -> Result<Vec<Line>, Line> {
        if self.base.is_empty() {
            let text = "Both server_options.model_base_path and server_options.model_config_file are empty!";
            return Err(Line::new('E', "tensorflow_serving/model_servers/main.cc", text));
        }
        let device = match gpu {
            Some(gpu) => Line::new(
                'I',
                "tensorflow/core/common_runtime/gpu/gpu_device.cc",
                format!(
                    "Created device /job:localhost/replica:0/task:0/device:GPU:0 with {} MB memory: -> device: 0, name: {} (simulated)",
                    gpu.memory_mib, gpu.product
                ),
            ),
            None => Line::new(
                'I',
                "tensorflow/core/platform/cpu_feature_guard.cc",
                "No GPU was given to this container: running on the CPU (simulated)",
            ),
        };
        let building = "Building single TensorFlow model file config: (simulated by Cordon, cordon.dev/simulated)";
        let named = format!(" model_name: {} model_base_path: {}", self.name, self.base);
        Ok(vec![Line::new('I', SERVER, building), Line::new('I', SERVER, named), device])
    }

    /// What it makes of its folder: names in it, or why it cannot be read (empty: there is none). `is_model` says whether a version's
    /// folder holds a SavedModel.
    pub fn look(&self, folder: Result<Vec<String>, String>, is_model: impl Fn(u64) -> bool) -> Found {
        let Self { name, base, .. } = self;
        let names = match folder {
            Ok(names) => names,
            Err(reason) => {
                let reason = if reason.is_empty() { "NOT_FOUND" } else { &reason };
                let text = format!(
                    "FileSystemStoragePathSource encountered a filesystem access error: Could not find base path {base} for servable {name} with error {reason}: {base} not found"
                );
                return Found::Nothing(Line::new('E', SOURCE, text));
            }
        };
        let numbers: Vec<u64> = names.iter().filter_map(|name| name.parse().ok()).collect();
        // Of several versions the server loads the newest.
        if let Some(version) = numbers.iter().copied().filter(|version| is_model(*version)).max() {
            return Found::Model {
                version,
                says: vec![
                    Line::new(
                        'I',
                        "external/org_tensorflow/tensorflow/cc/saved_model/reader.cc",
                        format!("Reading SavedModel from: {base}/{version}"),
                    ),
                    Line::new(
                        'I',
                        "tensorflow_serving/core/loader_harness.cc",
                        format!("Successfully loaded servable version {{name: {name} version: {version}}}"),
                    ),
                ],
            };
        }
        if let Some(version) = numbers.last() {
            let text = format!(
                "Loading servable: {{name: {name} version: {version}}} failed: NOT_FOUND: Could not find SavedModel .pb or .pbtxt at supplied export directory path: {base}/{version}"
            );
            let ends = "Failed to start server. Error: Unknown: 1 servable(s) did not become available";
            return Found::Broken(vec![Line::new('E', "tensorflow_serving/util/retrier.cc", text), Line::new('E', SERVER, ends)]);
        }
        let text = format!(
            "No versions of servable {name} found under base path {base}. Did you forget to name your leaf directory as a number (eg. '/1/')?"
        );
        Found::Nothing(Line::new('W', SOURCE, text))
    }
}

/// What was in the model's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// It listens now.
    Model { version: u64, says: Vec<Line> },
    /// It ends with [`FAILED`].
    Broken(Vec<Line>),
    /// It looks again after [`LOOKS_EVERY`]; the line is said once.
    Nothing(Line),
}

pub fn listens(port: u16, rest: bool) -> Line {
    let what = if rest { "Exporting HTTP/REST API at:localhost:" } else { "Running gRPC ModelServer at 0.0.0.0:" };
    Line::new('I', SERVER, format!("{what}{port} ..."))
}

pub fn cannot_listen(port: u16, reason: &str) -> Line {
    Line::new('E', SERVER, format!("Failed to start server on port {port}: {reason}"))
}

/// The model that is served.
#[derive(Debug)]
pub struct Model {
    pub name: String,
    pub versions: Vec<u64>,
}

fn error(status: u16, message: impl Into<String>) -> Answer {
    Answer::json(status, &json!({"error": message.into()}))
}

impl Model {
    /// `path` without its query.
    pub fn answer(&self, method: &str, path: &str, body: &[u8]) -> Answer {
        let Some(rest) = path.strip_prefix("/v1/models/") else {
            return error(404, format!("Malformed request: {} {path}", method));
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
                    None => return error(400, format!("Malformed request: {} {path}", method)),
                },
                "metadata" => metadata = true,
                _ => return error(400, format!("Malformed request: {} {path}", method)),
            }
        }
        let known = name == self.name && version.is_none_or(|v| self.versions.contains(&v));
        let post = method == "POST";
        match (verb, post) {
            ("", false) if !known => error(404, format!("Could not find any versions of model {name}")),
            ("", false) if metadata => self.metadata(),
            ("", false) => {
                let status =
                    |v: &u64| json!({"version": v.to_string(), "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}});
                let wanted = self.versions.iter().filter(|v| version.is_none_or(|wanted| wanted == **v));
                Answer::json(200, &json!({"model_version_status": wanted.map(status).collect::<Vec<_>>()}))
            }
            ("predict" | "classify" | "regress", true) if !known => {
                let which = version.map_or_else(|| format!("Latest({name})"), |v| format!("Specific({name}, {v})"));
                error(404, format!("Servable not found for request: {which}"))
            }
            ("predict", true) => self.predict(body),
            _ => error(400, format!("Malformed request: {} {path}", method)),
        }
    }

    fn metadata(&self) -> Answer {
        let tensor = |name: &str, kind: &str, size: &str| json!({"dtype": kind, "name": name, "tensor_shape": {"dim": [{"size": "-1", "name": ""}, {"size": size, "name": ""}], "unknown_rank": false}});
        let signature = json!({"inputs": {"inputs": tensor("serving_default_inputs:0", "DT_FLOAT", "-1")},
            "outputs": {"outputs": tensor("StatefulPartitionedCall:0", "DT_FLOAT", "3")}, "method_name": "tensorflow/serving/predict"});
        let version = self.versions.last().map_or_else(|| "0".to_owned(), ToString::to_string);
        Answer::json(
            200,
            &json!({"model_spec": {"name": self.name, "signature_name": "", "version": version},
            "metadata": {"signature_def": {"signature_def": {"serving_default": signature}}, "simulated": "cordon.dev/simulated"}}),
        )
    }

    fn predict(&self, body: &[u8]) -> Answer {
        let Ok(document) = serde_json::from_slice::<Value>(body) else {
            return error(400, format!("JSON Parse error: Invalid value at offset: 0 in {} bytes", body.len()));
        };
        if let Some(instances) = document["instances"].as_array() {
            return Answer::json(200, &json!({"predictions": instances.iter().map(|i| self.scores(i)).collect::<Vec<_>>()}));
        }
        if document["inputs"].is_null() {
            return error(400, "JSON Value: missing 'inputs' or 'instances' key");
        }
        Answer::json(200, &json!({"outputs": [self.scores(&document["inputs"])]}))
    }

    /// Three numbers that add up to one and depend on the input alone.
    fn scores(&self, input: &Value) -> Vec<f64> {
        let digest = Sha256::digest(format!("{}\0{input}", self.name));
        let weights: Vec<f64> = digest.iter().take(3).map(|b| f64::from(*b) + 1.0).collect();
        let total: f64 = weights.iter().sum();
        weights.iter().map(|w| (w / total * 1e6).round() / 1e6).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn options(arguments: &[&str], variables: &[(&str, &str)]) -> Options {
        let arguments: Vec<String> = arguments.iter().map(|a| (*a).to_owned()).collect();
        Options::read(&arguments, |name| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn the_script_reads_the_environment_and_the_server_its_flags() {
        let script = "/usr/bin/tf_serving_entrypoint.sh";
        let read = |arguments: &[&str], variables: &[(&str, &str)]| {
            let Options { name, base, grpc, rest } = options(arguments, variables);
            format!("{name} {base} {grpc} {rest}")
        };
        assert_eq!(read(&[script], &[]), "model /models/model 8500 8501");
        assert_eq!(read(&[script], &[("MODEL_NAME", "resnet"), ("MODEL_BASE_PATH", "/srv/")]), "resnet /srv/resnet 8500 8501");
        assert_eq!(read(&[script, "--rest_api_port=0", "--port", "9000"], &[]), "model /models/model 9000 0");
        assert_eq!(read(&["tensorflow_model_server", "--model_base_path=/m"], &[("MODEL_NAME", "x")]), "default /m 8500 0");
        assert!(options(&["tensorflow_model_server"], &[]).opening(None).is_err());
    }

    #[test]
    fn it_looks_for_a_version_with_a_model() {
        let options = options(&["tf_serving_entrypoint.sh"], &[("MODEL_NAME", "resnet")]);
        let look = |names: Result<&[&str], &str>, models: &[u64]| {
            let names = names.map(|names| names.iter().map(|n| (*n).to_owned()).collect()).map_err(str::to_owned);
            match options.look(names, |version| models.contains(&version)) {
                Found::Model { version, .. } => format!("serves {version}"),
                Found::Broken(lines) => lines.iter().map(|line| line.at("T")).collect(),
                Found::Nothing(line) => line.at("T"),
            }
        };
        assert_eq!(look(Ok(&["1", "3", "2", "x"]), &[1, 3]), "serves 3");
        expect![[r"
            T: E tensorflow_serving/util/retrier.cc] Loading servable: {name: resnet version: 1} failed: NOT_FOUND: Could not find SavedModel .pb or .pbtxt at supplied export directory path: /models/resnet/1
            T: E tensorflow_serving/model_servers/server.cc] Failed to start server. Error: Unknown: 1 servable(s) did not become available
        "]]
        .assert_eq(&look(Ok(&["1"]), &[]));
        assert!(look(Ok(&["x"]), &[]).contains("No versions of servable resnet found under base path /models/resnet"));
        assert!(look(Err(""), &[]).contains("with error NOT_FOUND: /models/resnet not found"));
        assert!(look(Err("Permission denied"), &[]).contains("with error Permission denied"));
    }

    #[test]
    fn it_answers_as_the_rest_api() {
        let model = Model { name: "resnet".to_owned(), versions: vec![1] };
        let rows = [
            ("GET", "/v1/models/resnet", "", 200, "\"state\":\"AVAILABLE\""),
            ("GET", "/v1/models/resnet/versions/1", "", 200, "\"version\":\"1\""),
            ("GET", "/v1/models/resnet/versions/2", "", 404, "Could not find any versions of model resnet"),
            ("GET", "/v1/models/other", "", 404, "Could not find any versions of model other"),
            ("GET", "/v1/models/resnet/metadata", "", 200, "cordon.dev/simulated"),
            ("POST", "/v1/models/resnet:predict", "{\"instances\": [[1.0]]}", 200, "predictions"),
            ("POST", "/v1/models/resnet:predict", "{\"inputs\": [1.0]}", 200, "outputs"),
            ("POST", "/v1/models/resnet:predict", "{}", 400, "missing 'inputs' or 'instances' key"),
            ("POST", "/v1/models/resnet:predict", "nonsense", 400, "JSON Parse error"),
            ("POST", "/v1/models/other:predict", "{}", 404, "Servable not found for request: Latest(other)"),
            ("GET", "/", "", 404, "Malformed request: GET /"),
            ("GET", "/v1/models/resnet/versions/x", "", 400, "Malformed request"),
        ];
        for (method, path, body, status, words) in rows {
            let answer = model.answer(method, path, body.as_bytes());
            assert_eq!(answer.status, status, "{method} {path}");
            let body = String::from_utf8(answer.body).unwrap();
            assert!(body.contains(words), "{method} {path}: {body}");
        }
    }
}
