//! The learner's shell: real bash in a bubblewrap jail, with limits, a workspace and one door to the gateway.
//!
//! ```text
//! server ── Jails ──┬── Workspace   the learner's files, read and written beneath their folder, never through a link
//!                   │      └── Images   as root: a file system of its own for each, of fixed size
//!                   └── Shell       a pseudo-terminal, its scrollback, its viewers
//!                         │ spawns
//!                    jail-launch    cgroup, private mounts, own uid ──exec──► bwrap: user, mount, pid, network, ipc, uts namespaces
//!                                                                               │ exec, as pid 1
//!                                                                           jail-init   reaps; relay 127.0.0.1:PORT ─► gateway.sock
//!                                                                               │ spawns
//!                                                                           jail-shell  session, terminal, limits ──exec──► bash
//! ```
//!
//! What this crate must never do: run a program on learners' files outside the jail, follow a link in a workspace, or open any
//! connection for a jail but the one to the gateway. It contains no `unsafe`; the launcher is a process of its own so that
//! nothing has to run between fork and exec.

pub mod cgroup;
pub mod command;
mod door;
mod etc;
mod image;
mod init;
mod jails;
mod launch;
pub mod limits;
mod probe;
pub mod report;
mod scrollback;
mod seccomp;
mod shell;
pub mod workspace;

pub use jails::{JailConfig, Jails, ShellSpec};
pub use limits::Limits;
pub use report::{JailReport, LimitReport, apparmor_profile};
pub use shell::{Attachment, Shell, ShellEvent};
pub use workspace::{Entry, Usage, Workspace, WorkspaceError};

/// Why a shell could not be had.
#[derive(Debug, thiserror::Error)]
pub enum JailError {
    /// The jail cannot run on this machine; the text says why and what helps.
    #[error("the shell cannot run here: {0}")]
    Unavailable(String),
    /// An id that is no plain name, so that it could leave its folder.
    #[error("{0:?} is no valid workspace name")]
    BadName(String),
    #[error("{operation} failed")]
    Io {
        operation: &'static str,
        #[source]
        source: std::io::Error,
    },
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
}

impl JailError {
    pub(crate) fn io(operation: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { operation, source }
    }
}
