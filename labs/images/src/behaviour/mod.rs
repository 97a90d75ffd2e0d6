//! What the programs of well-known images answer, log and refuse, without the process around them.
//!
//! The components of the embedded cluster and the program in real containers both speak with these words, so that a lab finds the
//! same on either. Whatever is computed here is simulated, and says so.

pub mod cuda_vectoradd;
pub mod device_plugin;
pub mod nginx;
pub mod nvidia_smi;
pub mod scraper;
pub mod tensorflow_serving;

use crate::catalogue::HttpAnswer;

/// What `behaviour:` of an image may name.
const NAMES: &[&str] = &[
    "coredns",
    "cuda-vectoradd",
    "gatekeeper",
    "kube-apiserver",
    "kyverno",
    "nginx",
    "nvidia-device-plugin",
    "prometheus",
    "scraper",
    "tensorflow-serving",
];

/// Whether a `behaviour:` of the catalogue names a component.
pub fn is_known(name: &str) -> bool {
    NAMES.contains(&name)
}

/// An answer over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub content_type: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { status, content_type: content_type.to_owned(), body: body.into() }
    }

    pub fn text(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::new(status, "text/plain; charset=utf-8", body)
    }

    pub fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::new(status, "application/json", body.to_string())
    }
}

/// What a port answers whose file lists its answers.
pub fn listed(answers: &[HttpAnswer], path: &str) -> Answer {
    match answers.iter().find(|answer| answer.path == path) {
        Some(answer) => Answer::new(answer.status, &answer.content_type, answer.body.clone()),
        None => Answer::text(404, "404 page not found\n"),
    }
}

/// Value of `--name=value` or `--name value`.
pub fn flag<'a>(arguments: &'a [String], name: &str) -> Option<&'a str> {
    let long = format!("--{name}");
    arguments.iter().enumerate().find_map(|(i, argument)| match argument.strip_prefix(long.as_str()) {
        Some("") => arguments.get(i + 1).map(String::as_str),
        Some(rest) => rest.strip_prefix('='),
        None => None,
    })
}
