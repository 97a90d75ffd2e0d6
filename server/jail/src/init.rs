//! Inside the jail: `jail-init`, its pid 1, and `jail-shell`, which becomes bash.
//!
//! Pid 1 holds the relay: whatever connects to `127.0.0.1:PORT` of the jail's own loopback is carried to the Unix socket behind
//! which the server connects to the gateway and to nothing else. A learner cannot signal or trace pid 1.

use crate::command::InitPlan;
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        resource::{Resource, setrlimit},
        wait::{WaitStatus, waitpid},
    },
    unistd::{Pid, setsid},
};
use std::{
    io,
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    os::{
        fd::AsFd,
        unix::{net::UnixStream, process::CommandExt},
    },
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

const SOCKET: &str = "/run/cordon/gateway.sock";

pub(crate) fn init(plan: &InitPlan) -> Result<u8, String> {
    // Nobody in the jail may read or trace this process.
    nix::sys::prctl::set_dumpable(false).map_err(|error| format!("cannot protect pid 1: {error}"))?;
    let listener =
        TcpListener::bind((Ipv4Addr::LOCALHOST, plan.relay_port)).map_err(|error| format!("cannot listen for the gateway: {error}"))?;
    let connections = plan.limits.connections;
    thread::spawn(move || relay(&listener, connections));
    thread::spawn(leave_with_the_terminal);
    let program = std::env::current_exe().map_err(|error| format!("cannot find myself: {error}"))?;
    let text = serde_json::to_string(plan).map_err(|error| error.to_string())?;
    let shell = Command::new(program).args(["jail-shell", &text]).spawn().map_err(|error| format!("cannot start the shell: {error}"))?;
    let shell = Pid::from_raw(i32::try_from(shell.id()).unwrap_or(0));
    loop {
        match waitpid(None::<Pid>, None) {
            Ok(WaitStatus::Exited(pid, code)) if pid == shell => return Ok(u8::try_from(code).unwrap_or(1)),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == shell => return Ok(128_u8.saturating_add(signal as i32 as u8)),
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(error) => return Err(format!("cannot wait for the shell: {error}")),
        }
    }
}

/// When the server dies, its end of the terminal closes, and the jail with it, whatever became of the parent's death signal.
fn leave_with_the_terminal() {
    let terminal = io::stdin();
    let mut watched = [PollFd::new(terminal.as_fd(), PollFlags::empty())];
    loop {
        match poll(&mut watched, PollTimeout::NONE) {
            Ok(_) if watched[0].revents().is_some_and(|events| events.intersects(PollFlags::POLLHUP | PollFlags::POLLERR)) => {
                std::process::exit(129)
            }
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(_) => return,
        }
    }
}

fn relay(listener: &TcpListener, limit: usize) {
    let open = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming() {
        let Ok(inside) = stream else { continue };
        if open.fetch_add(1, Ordering::SeqCst) >= limit {
            open.fetch_sub(1, Ordering::SeqCst);
            continue;
        }
        let counted = Arc::clone(&open);
        let carried = thread::Builder::new().stack_size(128 << 10).spawn(move || {
            let _ = carry(inside);
            counted.fetch_sub(1, Ordering::SeqCst);
        });
        if carried.is_err() {
            open.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

fn carry(inside: TcpStream) -> io::Result<()> {
    let outside = UnixStream::connect(SOCKET)?;
    let _ = inside.set_nodelay(true);
    let (mut from_inside, mut to_outside) = (inside.try_clone()?, outside.try_clone()?);
    let up = thread::Builder::new().stack_size(128 << 10).spawn(move || {
        let _ = io::copy(&mut from_inside, &mut to_outside);
        let _ = to_outside.shutdown(Shutdown::Write);
    })?;
    let (mut from_outside, mut to_inside) = (outside, inside);
    let _ = io::copy(&mut from_outside, &mut to_inside);
    let _ = to_inside.shutdown(Shutdown::Both);
    let _ = from_outside.shutdown(Shutdown::Both);
    let _ = up.join();
    Ok(())
}

/// A session of its own with the terminal as its controlling terminal (so that job control works), the limits, then bash.
///
/// The terminal is a private pair whose other end is the server: pushing characters into it (`TIOCSTI`) would reach nothing but
/// this very shell, and the filter forbids even that.
pub(crate) fn shell(plan: &InitPlan) -> Result<u8, String> {
    setsid().map_err(|error| format!("cannot make a session: {error}"))?;
    if rustix::termios::isatty(io::stdin()) {
        rustix::process::ioctl_tiocsctty(io::stdin()).map_err(|error| format!("cannot take the terminal: {error}"))?;
    }
    let limits = &plan.limits;
    for (resource, value) in [
        (Resource::RLIMIT_NPROC, limits.processes),
        (Resource::RLIMIT_DATA, limits.process_memory_bytes),
        (Resource::RLIMIT_FSIZE, limits.file_bytes),
        (Resource::RLIMIT_NOFILE, limits.open_files),
        (Resource::RLIMIT_CPU, limits.cpu_seconds),
        (Resource::RLIMIT_CORE, 0),
        (Resource::RLIMIT_MEMLOCK, 64 << 10),
        (Resource::RLIMIT_MSGQUEUE, 64 << 10),
        (Resource::RLIMIT_SIGPENDING, 256),
    ] {
        setrlimit(resource, value, value).map_err(|error| format!("cannot set {resource:?}: {error}"))?;
    }
    let [program, arguments @ ..] = plan.argv.as_slice() else { return Err("nothing to run".to_owned()) };
    // A server that was started in the background of a script ignores SIGINT and hands that down: Ctrl-C would do nothing.
    // Programs reset what they ignore only by a system call that is unsafe to make here; `env` makes it.
    let error = Command::new("/usr/bin/env").args(["--default-signal", program]).args(arguments).exec();
    Err(format!("cannot start {program}: {error}"))
}
