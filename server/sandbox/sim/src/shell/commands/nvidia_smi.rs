//! nvidia-smi. Simulated, and it says so.

use crate::shell::process::Process;

pub async fn run(process: &Process, arguments: &[String]) -> i32 {
    let (code, text) = images::behaviour::nvidia_smi::run(&process.machine.facts.gpus, arguments);
    process.out(text).await;
    code
}
