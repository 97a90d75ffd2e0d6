//! One running shell: its pseudo-terminal, scrollback, viewers and supervisor.

use crate::{JailError, Limits, cgroup::Group, command::LaunchPlan, scrollback::Scrollback, workspace::Workspace};
use bytes::Bytes;
use parking_lot::Mutex;
use rustix::{
    fd::OwnedFd,
    process::{Pid, PidfdFlags, Signal},
    pty::OpenptFlags,
    termios::Winsize,
};
use std::{
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::unix::AsyncFd,
    sync::{broadcast, mpsc, watch},
    task::JoinHandle,
};

/// How long a full-screen program may take to notice a changed size.
const REDRAW: Duration = Duration::from_millis(500);

/// Something that a viewer is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShellEvent {
    Output(Bytes),
    /// The shell is gone; the text says why, for the learner.
    Ended(String),
}

/// A viewer's place: what was printed before, then what comes.
#[derive(Debug)]
pub struct Attachment {
    pub replay: Bytes,
    /// A viewer that is too slow gets `Lagged` and should attach again.
    pub events: broadcast::Receiver<ShellEvent>,
}

/// A running shell. It lives until its bash ends, a limit stops it, or it is stopped; viewers come and go.
#[derive(Debug)]
pub struct Shell {
    shared: Arc<Shared>,
    input: mpsc::Sender<Bytes>,
    master: Arc<AsyncFd<OwnedFd>>,
    ended: watch::Receiver<Option<String>>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    events: broadcast::Sender<ShellEvent>,
}

#[derive(Debug)]
struct State {
    scrollback: Scrollback,
    size: (u16, u16),
    /// Why it is being stopped, until it has ended.
    reason: Option<String>,
    process: Option<Arc<OwnedFd>>,
}

impl Shell {
    /// Starts the jail of `plan`. `guards` live exactly as long as the shell.
    pub(crate) fn start(
        plan: &LaunchPlan,
        workspace: Workspace,
        door: JoinHandle<()>,
        group: Group,
        size: (u16, u16),
    ) -> Result<Self, JailError> {
        let limits = plan.limits.clone();
        let (master, terminal) = terminal(size)?;
        let text = serde_json::to_string(plan).map_err(|error| JailError::Io { operation: "write the plan", source: error.into() })?;
        let mut command = Command::new(&plan.tool);
        command.args(["jail-launch", &text]).env_clear().current_dir("/");
        let copy = || terminal.try_clone().map(Stdio::from).map_err(JailError::io("copy the terminal"));
        command.stdin(copy()?).stdout(copy()?).stderr(copy()?);

        #[expect(deprecated, reason = "sound for an OwnedFd, which nobody else closes; the newer constructor is unsafe code")]
        let watched = AsyncFd::new(master).map_err(JailError::io("watch the terminal"))?;
        let master = Arc::new(watched);
        let (events, _) = broadcast::channel(256);
        let state = State { scrollback: Scrollback::new(limits.scrollback_bytes), size, reason: None, process: None };
        let shared = Arc::new(Shared { state: Mutex::new(state), events });
        let (input, keys) = mpsc::channel(256);
        let (ended_sender, ended) = watch::channel(None);

        let (started, start) = std::sync::mpsc::channel();
        let (exit_sender, exit) = tokio::sync::oneshot::channel();
        // A thread that lives exactly as long as the process: the death signal of a child is tied to the thread that made it.
        std::thread::Builder::new()
            .name("jail".to_owned())
            .stack_size(256 << 10)
            .spawn(move || {
                let spawned = command.spawn();
                drop(command);
                drop(terminal);
                match spawned {
                    Err(error) => drop(started.send(Err(error))),
                    Ok(mut child) => {
                        let handle = i32::try_from(child.id())
                            .ok()
                            .and_then(Pid::from_raw)
                            .map(|pid| rustix::process::pidfd_open(pid, PidfdFlags::empty()));
                        match handle {
                            Some(Ok(handle)) => {
                                let _ = started.send(Ok(handle));
                                let _ = exit_sender.send(child.wait().ok().and_then(|status| status.code()));
                            }
                            other => {
                                let _ = child.kill();
                                let _ = child.wait();
                                let error = other
                                    .and_then(Result::err)
                                    .map_or_else(|| std::io::Error::other("no process id"), std::io::Error::from);
                                let _ = started.send(Err(error));
                            }
                        }
                    }
                }
            })
            .map_err(JailError::io("start a thread"))?;
        let process =
            start.recv().map_err(|_| JailError::Io { operation: "start the shell", source: std::io::Error::other("its thread ended") })?;
        let process = Arc::new(process.map_err(JailError::io("start the shell"))?);
        shared.state.lock().process = Some(process);

        let reader = tokio::spawn(read(Arc::clone(&master), Arc::clone(&shared), limits.clone()));
        tokio::spawn(write(Arc::clone(&master), keys));
        let workspace = Arc::new(workspace);
        // A file system of its own holds the limits by itself.
        let counted = workspace.device().is_none();
        let supervisor = counted.then(|| tokio::spawn(supervise(Arc::clone(&workspace), Arc::clone(&shared), limits)));
        let finished = Arc::clone(&shared);
        tokio::spawn(async move {
            let code = exit.await.ok().flatten();
            if let Some(supervisor) = &supervisor {
                supervisor.abort();
            }
            // What the shell printed last is still in the terminal.
            let _ = tokio::time::timeout(Duration::from_secs(2), reader).await;
            // A supervisor that was already at work finishes its count and only then gives the workspace back.
            if let Some(supervisor) = supervisor {
                let _ = supervisor.await;
            }
            door.abort();
            drop(group);
            // Until here, so that its device could not become another workspace's while the launcher was on its way to it.
            drop(workspace);
            let reason = {
                let mut state = finished.state.lock();
                state.process = None;
                state.reason.clone().unwrap_or_else(|| match code {
                    Some(126) => "The shell could not be set up.".to_owned(),
                    _ => "The shell has ended.".to_owned(),
                })
            };
            let _ = finished.events.send(ShellEvent::Ended(reason.clone()));
            let _ = ended_sender.send(Some(reason));
        });
        Ok(Self { shared, input, master, ended })
    }

    /// A place for one more viewer.
    pub fn attach(&self) -> Attachment {
        let state = self.shared.state.lock();
        let attachment = Attachment { replay: state.scrollback.replay().into(), events: self.shared.events.subscribe() };
        let (redraw, size) = (state.scrollback.alternate(), state.size);
        drop(state);
        if redraw {
            // A full-screen program draws itself again when the size changes; so it changes until the program has drawn.
            set_size(&self.master, (size.0, size.1.saturating_sub(1).max(1)));
            let (shared, master, mut drawn) = (Arc::clone(&self.shared), Arc::clone(&self.master), self.shared.events.subscribe());
            tokio::spawn(async move {
                let _ = tokio::time::timeout(REDRAW, drawn.recv()).await;
                let size = shared.state.lock().size;
                set_size(&master, size);
            });
        }
        attachment
    }

    /// Types. Waits while the shell does not read; an error means that it has ended.
    pub async fn input(&self, keys: Bytes) -> Result<(), JailError> {
        self.input.send(keys).await.map_err(|_| JailError::Unavailable("the shell has ended".to_owned()))
    }

    /// Columns and rows; the last viewer's word counts.
    pub fn resize(&self, columns: u16, rows: u16) {
        let size = (columns.clamp(2, 500), rows.clamp(1, 300));
        let mut state = self.shared.state.lock();
        if state.size != size {
            state.size = size;
            drop(state);
            set_size(&self.master, size);
        }
    }

    /// True until bash is gone.
    pub fn is_running(&self) -> bool {
        self.ended.borrow().is_none()
    }

    /// Viewers at this moment.
    pub fn viewers(&self) -> usize {
        self.shared.events.receiver_count()
    }

    /// Kills everything in the jail; viewers are told `reason`. Returns when it is gone.
    pub async fn stop(&self, reason: &str) {
        self.shared.stop(reason);
        self.ended().await;
    }

    /// Waits for the end and says why.
    pub async fn ended(&self) -> String {
        let mut ended = self.ended.clone();
        match ended.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or_default(),
            Err(_) => String::new(),
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        self.shared.stop("The shell was put away.");
    }
}

impl Shared {
    fn stop(&self, reason: &str) {
        let mut state = self.state.lock();
        let Some(process) = state.process.clone() else { return };
        state.reason.get_or_insert_with(|| reason.to_owned());
        // A process descriptor never means another process, however late this comes.
        let _ = rustix::process::pidfd_send_signal(&*process, Signal::KILL);
    }

    fn print(&self, output: Bytes) {
        let mut state = self.state.lock();
        state.scrollback.push(&output);
        // Sent under the lock, so that a viewer that attaches sees every byte once.
        let _ = self.events.send(ShellEvent::Output(output));
    }
}

fn set_size(master: &AsyncFd<OwnedFd>, (columns, rows): (u16, u16)) {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    if let Err(error) = rustix::termios::tcsetwinsize(master.get_ref(), size) {
        tracing::debug!(%error, "terminal size not taken");
    }
}

fn terminal((columns, rows): (u16, u16)) -> Result<(OwnedFd, OwnedFd), JailError> {
    let failed = |operation: &'static str| move |error: rustix::io::Errno| JailError::Io { operation, source: error.into() };
    let master = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).map_err(failed("open a terminal"))?;
    rustix::pty::grantpt(&master).map_err(failed("grant the terminal"))?;
    rustix::pty::unlockpt(&master).map_err(failed("unlock the terminal"))?;
    let name = rustix::pty::ptsname(&master, Vec::new()).map_err(failed("name the terminal"))?;
    let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::CLOEXEC;
    let terminal = rustix::fs::open(name.as_c_str(), flags, rustix::fs::Mode::empty()).map_err(failed("open the terminal's other end"))?;
    let size = Winsize { ws_row: rows.clamp(1, 300), ws_col: columns.clamp(2, 500), ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(&master, size).map_err(failed("size the terminal"))?;
    let flags = rustix::fs::fcntl_getfl(&master).map_err(failed("look at the terminal"))?;
    rustix::fs::fcntl_setfl(&master, flags | rustix::fs::OFlags::NONBLOCK).map_err(failed("set up the terminal"))?;
    Ok((master, terminal))
}

async fn read(master: Arc<AsyncFd<OwnedFd>>, shared: Arc<Shared>, limits: Limits) {
    let mut buffer = vec![0_u8; 16 << 10];
    loop {
        let Ok(mut ready) = master.readable().await else { return };
        match ready.try_io(|master| rustix::io::read(master.get_ref(), &mut buffer[..]).map_err(Into::into)) {
            Err(_would_block) => {}
            // The terminal's other end is closed by everybody: nothing runs in the jail any more.
            Ok(Err(_)) | Ok(Ok(0)) => return,
            Ok(Ok(count)) => {
                shared.print(Bytes::copy_from_slice(&buffer[..count]));
                // What prints faster than allowed waits in its own write, as on a slow line.
                let pause = Duration::from_secs_f64(count as f64 / limits.output_bytes_per_second.max(1) as f64);
                if pause > Duration::from_millis(1) {
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }
}

/// What the terminal does not take now, it takes once a program has read from it.
async fn write(master: Arc<AsyncFd<OwnedFd>>, mut keys: mpsc::Receiver<Bytes>) {
    while let Some(mut bytes) = keys.recv().await {
        while !bytes.is_empty() {
            let Ok(mut ready) = master.writable().await else { return };
            match ready.try_io(|master| rustix::io::write(master.get_ref(), &bytes).map_err(Into::into)) {
                Ok(Ok(count)) => drop(bytes.split_to(count)),
                Ok(Err(error)) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Ok(Err(_)) => return,
                Err(_would_block) => {}
            }
        }
    }
}

/// Counts a workspace in a plain folder again and again, and stops the shell when it has outgrown its limits (or what it held when
/// the shell began, where that was more). Between two counts a learner can write no more than the disk takes in that time. Nothing
/// is ever removed: which of their files a learner can do without, only they know.
async fn supervise(workspace: Arc<Workspace>, shared: Arc<Shared>, mut limits: Limits) {
    if let Ok(before) = workspace.usage() {
        limits.workspace_bytes = limits.workspace_bytes.max(before.bytes);
        limits.workspace_files = limits.workspace_files.max(before.files);
    }
    let mut pause = Duration::from_millis(200);
    loop {
        tokio::time::sleep(pause).await;
        let counted = Arc::clone(&workspace);
        #[expect(clippy::disallowed_methods, reason = "the supervisor measures its own cost, to stay below a twentieth of one core")]
        let task = tokio::task::spawn_blocking(move || {
            let before = std::time::Instant::now();
            (counted.usage(), before.elapsed())
        });
        let Ok((Ok(usage), cost)) = task.await else { continue };
        pause = (cost * 20).clamp(Duration::from_millis(200), Duration::from_secs(5));
        if let Some(broken) = usage.broken(&limits) {
            shared.stop(&format!("Stopped: {broken}. Every file is kept; start the shell again to remove some."));
            return;
        }
    }
}
