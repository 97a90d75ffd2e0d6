//! A real kube-apiserver 1.34 with etcd and the real controllers, where the kit that builds them is there.

use std::{
    io::{BufRead, BufReader},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

#[derive(Debug)]
pub struct RealServer {
    process: Child,
    pub kubeconfig: String,
}

impl RealServer {
    /// `Err`: why there is none here.
    pub fn start(folder: &Path) -> Result<Self, String> {
        let kit = std::env::var_os("CORDON_KIT").map(PathBuf::from).ok_or("CORDON_KIT does not name the kit of a real Kubernetes")?;
        let cache = std::env::var_os("CORDON_REAL_KUBERNETES").map(PathBuf::from).or_else(|| {
            let home = std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
            let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or(home)?;
            Some(cache.join("cordon/real-kubernetes"))
        });
        let program = cache.map(|cache| cache.join("bin/kube-apiserver")).ok_or("there is no cache folder")?;
        if !program.is_file() {
            return Err("the kit's `build api` has not been run".to_owned());
        }
        std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
        let mut process = Command::new(kit.join("api-up"))
            .arg(folder)
            .arg(free_port()?.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // All of its programs end with it.
            .process_group(0)
            .spawn()
            .map_err(|error| format!("api-up: {error}"))?;
        let mut lines = BufReader::new(process.stdout.take().expect("stdout is piped")).lines();
        let ready = lines.by_ref().map_while(Result::ok).any(|line| line.starts_with("ready"));
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        let mut server = Self { process, kubeconfig: String::new() };
        if !ready {
            return Err("api-up did not become ready".to_owned());
        }
        server.kubeconfig = std::fs::read_to_string(folder.join("admin.kubeconfig")).map_err(|error| error.to_string())?;
        Ok(server)
    }
}

impl Drop for RealServer {
    fn drop(&mut self) {
        // The group, so that etcd and the controllers end too.
        let _ = Command::new("kill").args(["-TERM", "--", &format!("-{}", self.process.id())]).status();
        let _ = self.process.wait();
    }
}

/// A port with two free ones behind it, which etcd takes.
fn free_port() -> Result<u16, String> {
    for _ in 0..100 {
        let first =
            std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).map_err(|e| e.to_string())?.port();
        let free = |port: Option<u16>| port.is_some_and(|port| std::net::TcpListener::bind(("127.0.0.1", port)).is_ok());
        if free(first.checked_add(1)) && free(first.checked_add(2)) {
            return Ok(first);
        }
    }
    Err("no three free ports in a row".to_owned())
}
