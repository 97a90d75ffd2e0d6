//! CUDA's vectorAdd sample.

use crate::host::Host;

pub fn run(host: &Host) -> i32 {
    let (code, out, err) = images::behaviour::cuda_vectoradd::run(!host.gpus().is_empty());
    print!("{out}");
    eprint!("{err}");
    code
}
