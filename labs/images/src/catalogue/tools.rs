//! Which programs an image has beside its own: what a shell in it can run.

use serde::Deserialize;

/// The family of small programs that an image brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ToolSet {
    /// No shell at all: a distroless or scratch image.
    #[default]
    None,
    /// Every applet of busybox.
    Busybox,
    /// A Debian or Ubuntu base: coreutils, grep, sed, dash and bash, but no network tools.
    Debian,
    /// Busybox's applets and the usual tools to look at a network.
    Network,
}

/// A set of tools and some more.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tools {
    pub set: ToolSet,
    pub extra: Vec<String>,
}

/// What busybox has that a Debian base has not.
const NOT_IN_DEBIAN: &[&str] = &[
    "wget",
    "nc",
    "nslookup",
    "ping",
    "ip",
    "ifconfig",
    "netstat",
    "ss",
    "ps",
    "free",
    "telnet",
    "vi",
    "httpd",
    "top",
    "uptime",
    "route",
    "arp",
    "traceroute",
    "killall",
    "pidof",
    "pgrep",
    "pkill",
    "less",
    "watch",
    "kill",
    "ash",
    "busybox",
    "xxd",
    "hexdump",
];

const NETWORK: &[&str] = &["curl", "dig", "host", "ss", "bash", "tcpdump", "jq"];

/// Programs that no base image brings: only `extra` names them.
const ONLY_EXTRA: &[&str] = &["curl", "dig", "host", "ss", "bash", "nvidia-smi", "python", "python3", "jq", "tcpdump"];

impl Tools {
    /// Whether the image has `name`, given that the shell could run it.
    pub fn has(&self, name: &str) -> bool {
        if self.extra.iter().any(|extra| extra == name) {
            return true;
        }
        match self.set {
            ToolSet::None => false,
            ToolSet::Busybox => !ONLY_EXTRA.contains(&name),
            ToolSet::Debian => name == "bash" || (!ONLY_EXTRA.contains(&name) && !NOT_IN_DEBIAN.contains(&name)),
            ToolSet::Network => NETWORK.contains(&name) || !ONLY_EXTRA.contains(&name),
        }
    }
}
