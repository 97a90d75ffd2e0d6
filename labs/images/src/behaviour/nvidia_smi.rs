//! nvidia-smi. It says that it is simulated: Cordon does not speak as NVIDIA.

use crate::gpu::Gpu;

/// Exit code and output.
pub fn run(gpus: &[Gpu], arguments: &[String]) -> (i32, String) {
    if gpus.is_empty() {
        return (255, "Failed to initialize NVML: Unknown Error (cordon.dev/simulated: this container was given no GPU)\n".to_owned());
    }
    if arguments.iter().any(|a| a == "-L" || a == "--list-gpus") {
        let lines: String = gpus.iter().enumerate().map(|(i, g)| format!("GPU {i}: {} (UUID: {})\n", g.product, g.uuid)).collect();
        return (0, lines);
    }
    if let Some(query) = arguments.iter().find_map(|a| a.strip_prefix("--query-gpu=")) {
        let format = arguments.iter().find_map(|a| a.strip_prefix("--format=")).unwrap_or("");
        if !format.contains("csv") {
            return (2, "\"--query-gpu=\" switch requires \"--format=csv\"\n".to_owned());
        }
        let units = !format.contains("nounits");
        let mebibytes = |n: u64| if units { format!("{n} MiB") } else { n.to_string() };
        let mut out = String::new();
        let fields: Vec<&str> = query.split(',').map(str::trim).collect();
        if !format.contains("noheader") {
            let titled = fields.iter().map(|f| {
                if units && f.starts_with("memory.") {
                    format!("{f} [MiB]")
                } else if units && f.starts_with("utilization.") {
                    format!("{f} [%]")
                } else {
                    (*f).to_owned()
                }
            });
            out.push_str(&format!("{}\n", titled.collect::<Vec<_>>().join(", ")));
        }
        for (i, gpu) in gpus.iter().enumerate() {
            let mut row = Vec::new();
            for field in &fields {
                row.push(match *field {
                    "index" => i.to_string(),
                    "name" | "gpu_name" => gpu.product.clone(),
                    "uuid" | "gpu_uuid" => gpu.uuid.clone(),
                    "count" => gpus.len().to_string(),
                    "memory.total" => mebibytes(gpu.memory_mib),
                    "memory.used" => mebibytes(0),
                    "memory.free" => mebibytes(gpu.memory_mib),
                    "utilization.gpu" | "utilization.memory" => {
                        if units {
                            "0 %".to_owned()
                        } else {
                            "0".to_owned()
                        }
                    }
                    "temperature.gpu" => "30".to_owned(),
                    "driver_version" => "simulated".to_owned(),
                    "pci.bus_id" | "gpu_bus_id" => format!("00000000:{:02X}:00.0", gpu.index + 1),
                    "mig.mode.current" => "Disabled".to_owned(),
                    other => {
                        return (2, format!("Field \"{other}\" is not a valid field to query.\n"));
                    }
                });
            }
            out.push_str(&format!("{}\n", row.join(", ")));
        }
        return (0, out);
    }
    let rule = "+-----------------------------------------------------------------------------------------+\n";
    let mut out = format!(
        "{rule}| {:<87} |\n{rule}| {:<40} {:<46} |\n{rule}",
        "NVIDIA-SMI as simulated by Cordon (cordon.dev/simulated): no real GPU is behind this",
        "GPU  Name",
        "Memory-Usage          GPU-Util"
    );
    for (i, gpu) in gpus.iter().enumerate() {
        out.push_str(&format!(
            "| {:<40} {:<46} |\n",
            format!("{i:>3}  {}", gpu.product),
            format!("0MiB / {}MiB          0%", gpu.memory_mib)
        ));
    }
    out.push_str(&format!("{rule}| {:<87} |\n{rule}", "Processes: no running processes found"));
    (0, out)
}
