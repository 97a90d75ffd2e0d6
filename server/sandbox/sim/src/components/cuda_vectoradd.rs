//! CUDA's vectorAdd sample: it passes where the container was given a GPU. Simulated.

use crate::shell::process::Process;

pub async fn run(process: &Process) -> i32 {
    process.out("[Vector addition of 50000 elements]\n").await;
    if process.machine.facts.gpus.is_empty() {
        process.err("Failed to allocate device vector A (error code no CUDA-capable device is detected)!\n").await;
        return 1;
    }
    process
        .out("Copy input data from the host memory to the CUDA device\nCUDA kernel launch with 196 blocks of 256 threads\nCopy output data from the CUDA device to the host memory\nTest PASSED\nDone (simulated by Cordon, cordon.dev/simulated)\n")
        .await;
    0
}
