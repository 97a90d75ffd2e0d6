//! CUDA's vectorAdd sample: it passes where the container was given a GPU.

/// Exit code, output and complaint.
pub fn run(has_gpu: bool) -> (i32, &'static str, &'static str) {
    if has_gpu {
        return (0, PASSED, "");
    }
    (1, BEGINS, "Failed to allocate device vector A (error code no CUDA-capable device is detected)!\n")
}

const BEGINS: &str = "[Vector addition of 50000 elements]\n";
const PASSED: &str = "[Vector addition of 50000 elements]
Copy input data from the host memory to the CUDA device
CUDA kernel launch with 196 blocks of 256 threads
Copy output data from the CUDA device to the host memory
Test PASSED
Done (simulated by Cordon, cordon.dev/simulated)
";
