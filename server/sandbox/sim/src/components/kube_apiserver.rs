//! kube-apiserver's static pod: while it runs, port 6443 of the control plane answers. What answers is the embedded API server itself.

use super::{handle_signals, serve};
use crate::{
    network::{Bound, Protocol},
    shell::process::Process,
};

const PORT: u16 = 6443;

pub async fn run(process: &Process) -> i32 {
    handle_signals(process);
    let Some(listener) = process.machine.announce.api_server() else {
        process.err("Error: this node has no control plane (simulated by Cordon)\n").await;
        return 1;
    };
    let Some(_bound) = Bound::new(&process.machine.network.sockets(), Protocol::Tcp, PORT, "kube-apiserver", listener) else {
        process.err(format!("Error: failed to create listener: failed to listen on 0.0.0.0:{PORT}: bind: address already in use\n")).await;
        return 1;
    };
    serve(process).await
}
