//! The one program that runs in the labs' images on real clusters.
//!
//! ```text
//! argv[0] ──┬── the image's own program (image.json) ──► components   TensorFlow Serving, device plugin, scraper, nginx, …
//!           └── a tool ──► tools   shell (brush), coreutils, grep, sed, find (uutils), curl, wget, nc, nslookup, …
//! ```
//!
//! What components answer and log is the crate `images`, which the embedded cluster shares. It must never pretend to be the program
//! whose name it carries (`--version`, logs and `nvidia-smi` say that it is simulated), need a privilege that the real one does not
//! need, or need a file that a `FROM scratch` image has not: it is linked statically and resolves names by itself.

pub mod components;
pub mod device_api;
pub mod host;
mod net;
mod options;
pub mod tools;

use host::Host;

/// Runs what the first argument names; gives the exit code.
pub fn run(arguments: Vec<String>) -> i32 {
    // A reader that has gone ends a tool quietly.
    uucore::panic::mute_sigpipe_panic();
    let host = Host::of_this_process();
    let program = arguments.first().map_or("", String::as_str);
    if host.description.is_own_program(program) {
        return components::run(&host, &arguments);
    }
    let name = host::base(program);
    if name == "lab-image" {
        return by_name(&arguments);
    }
    if let Some(code) = tools::run(&host, name, &arguments) {
        return code;
    }
    eprintln!("{name}: this program is not in Cordon's lab images (cordon.dev/simulated)");
    127
}

/// Without a link: `lab-image TOOL …`, or what it is.
fn by_name(arguments: &[String]) -> i32 {
    match arguments.get(1).map(String::as_str) {
        Some("--list") => {
            println!("{}", images::description::TOOLS.join("\n"));
            0
        }
        Some(name) if images::description::TOOLS.contains(&name) => host::become_program(&arguments[1..]),
        _ => {
            println!("lab-image {} (simulated by Cordon, cordon.dev/simulated)", env!("CARGO_PKG_VERSION"));
            0
        }
    }
}
