//! What one learner's shell may use.

use serde::{Deserialize, Serialize};

/// Limits of one jail. Processes, memory per process, file size, open files and CPU seconds are resource limits of the kernel;
/// memory in total and CPU share need a cgroup; the workspace is bounded by a file system of its own, or else counted by a supervisor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Limits {
    /// Processes and threads at one time.
    pub processes: u64,
    /// Bytes of writable memory that one process may have (`RLIMIT_DATA`).
    pub process_memory_bytes: u64,
    /// Bytes of memory of the whole jail; needs a cgroup.
    pub memory_bytes: u64,
    /// Bytes of one file (`RLIMIT_FSIZE`).
    pub file_bytes: u64,
    /// Open files of one process.
    pub open_files: u64,
    /// Seconds of CPU that one process may burn.
    pub cpu_seconds: u64,
    /// Bytes of `/tmp`.
    pub tmp_bytes: u64,
    /// Files of `/tmp`; only where the launcher is root.
    pub tmp_files: u64,
    /// Bytes of all files of the workspace together.
    pub workspace_bytes: u64,
    /// Files, folders and links of the workspace together.
    pub workspace_files: u64,
    /// Bytes per second that the terminal may print; what is faster waits.
    pub output_bytes_per_second: u64,
    /// Bytes of output that are replayed to a new viewer.
    pub scrollback_bytes: usize,
    /// Connections to the gateway at one time.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            processes: 96,
            process_memory_bytes: 1 << 30,
            memory_bytes: 768 << 20,
            file_bytes: 16 << 20,
            open_files: 1024,
            cpu_seconds: 900,
            tmp_bytes: 64 << 20,
            tmp_files: 8192,
            workspace_bytes: 64 << 20,
            workspace_files: 4096,
            output_bytes_per_second: 1 << 20,
            scrollback_bytes: 256 << 10,
            connections: 64,
        }
    }
}
