//! The outer end of the relay: a Unix socket per jail, behind which there is the gateway and nothing else.

use crate::JailError;
use std::{
    fs,
    net::SocketAddr,
    os::{fd::AsRawFd, unix::fs::PermissionsExt},
    path::Path,
    sync::Arc,
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpStream, UnixListener},
    sync::Semaphore,
    task::JoinHandle,
};

/// Listens at `folder/gateway.sock` and carries every connection to `gateway`. Ends, with all its connections, when the task is aborted.
pub(crate) fn open(folder: &Path, gateway: SocketAddr, owner: Option<u32>, connections: usize) -> Result<JoinHandle<()>, JailError> {
    let socket = folder.join("gateway.sock");
    match fs::remove_file(&socket) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(JailError::io("remove the old socket")(error)),
        _ => {}
    }
    // A socket's address holds 108 bytes; the way through an open folder is always short enough.
    let held = fs::File::open(folder).map_err(JailError::io("open the jail's folder"))?;
    let listener =
        UnixListener::bind(format!("/proc/self/fd/{}/gateway.sock", held.as_raw_fd())).map_err(JailError::io("listen for the jail"))?;
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o600)).map_err(JailError::io("protect the socket"))?;
    if let Some(uid) = owner {
        std::os::unix::fs::chown(&socket, Some(uid), Some(uid)).map_err(JailError::io("hand over the socket"))?;
    }
    Ok(tokio::spawn(async move {
        let seats = Arc::new(Semaphore::new(connections));
        let mut open = tokio::task::JoinSet::new();
        loop {
            while open.try_join_next().is_some() {}
            let Ok((mut inside, _)) = listener.accept().await else {
                // Out of file descriptors, most likely: wait for some to come back.
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                continue;
            };
            let Ok(seat) = Arc::clone(&seats).try_acquire_owned() else { continue };
            open.spawn(async move {
                let _seat = seat;
                if let Ok(mut outside) = TcpStream::connect(gateway).await {
                    let _ = outside.set_nodelay(true);
                    let _ = copy_bidirectional(&mut inside, &mut outside).await;
                }
            });
        }
    }))
}
