//! CUDA's vectorAdd sample. Simulated.

use crate::shell::process::Process;

pub async fn run(process: &Process) -> i32 {
    let (code, out, err) = images::behaviour::cuda_vectoradd::run(!process.machine.facts.gpus.is_empty());
    process.out(out).await;
    process.err(err).await;
    code
}
