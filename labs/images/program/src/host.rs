//! What this process finds around it: the image's description, the environment, the GPUs that it was given, the clock.

use images::{
    description::{DESCRIPTION, Description},
    gpu::{self, Gpu},
};
use std::{collections::BTreeMap, os::unix::process::CommandExt};

#[derive(Debug, Clone, Default)]
pub struct Host {
    pub description: Description,
    pub environment: BTreeMap<String, String>,
}

impl Host {
    /// Outside an image the description is empty: every name is a tool's.
    pub fn of_this_process() -> Self {
        let lossy = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
        let environment: BTreeMap<String, String> = std::env::vars_os().map(|(name, value)| (lossy(name), lossy(value))).collect();
        let description = std::fs::read(DESCRIPTION).ok().and_then(|json| serde_json::from_slice(&json).ok()).unwrap_or_default();
        Self { description, environment }
    }

    pub fn variable(&self, name: &str) -> Option<String> {
        self.environment.get(name).cloned()
    }

    /// As a container toolkit would show them: what the device plugin gave, narrowed by `NVIDIA_VISIBLE_DEVICES`.
    pub fn gpus(&self) -> Vec<Gpu> {
        let given: Vec<Gpu> = self.variable(gpu::GIVEN).and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default();
        gpu::visible(&given, &self.variable("NVIDIA_VISIBLE_DEVICES").unwrap_or_default())
    }
}

/// The time, for logs.
#[expect(clippy::disallowed_methods, reason = "a program of its own is an edge")]
pub fn now() -> jiff::Zoned {
    jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC)
}

/// The last part of a path.
pub fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

pub fn uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Becomes another program, found as the shell finds it, in this program's own file where it is one of its tools; returns only where
/// there is none.
pub fn become_program(arguments: &[String]) -> i32 {
    let Some(name) = arguments.first() else { return 0 };
    let own = if name.contains('/') || !images::description::TOOLS.contains(&name.as_str()) { None } else { std::env::current_exe().ok() };
    let mut command = match own {
        Some(path) => std::process::Command::new(path),
        None => std::process::Command::new(name),
    };
    let error = command.arg0(name).args(&arguments[1..]).exec();
    let code = if error.kind() == std::io::ErrorKind::NotFound { 127 } else { 126 };
    eprintln!("exec: {name}: {}", words(&error));
    code
}

/// An error as programs print it, without Rust's `(os error 2)`.
pub fn words(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

/// Runs a future on a runtime of its own.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime needs no more than threads").block_on(future)
}
