//! How Docker hands a GPU to a container: by CDI, where it lists the device, else by the mounts that NVIDIA's container runtime
//! reads. Privileged containers get device nodes anyway; it is the driver's libraries and programs that they get by this.

use std::collections::BTreeSet;

/// NVIDIA's container runtime as Docker knows it.
pub const RUNTIME: &str = "nvidia";
/// Where that runtime may be told to read mounts.
pub const RUNTIME_CONFIG: &str = "/etc/nvidia-container-runtime/config.toml";

const CDI_REMEDY: &str = "nvidia-ctk runtime configure --runtime=docker --set-as-default --cdi.enabled && \
     nvidia-ctk cdi generate --device-name-strategy=uuid --output=/etc/cdi/nvidia.yaml && systemctl restart docker";
const MOUNTS_REMEDY: &str =
    "nvidia-ctk config --set accept-nvidia-visible-devices-as-volume-mounts=true --in-place && systemctl restart docker";

/// What Docker and the machine say of GPUs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// Folders with CDI specifications; none where Docker knows no CDI, or it is not switched on.
    pub cdi_folders: Vec<String>,
    /// Names of devices: `nvidia.com/gpu=GPU-…`.
    pub cdi_devices: BTreeSet<String>,
    pub runtimes: BTreeSet<String>,
    pub default_runtime: String,
    /// `accept-nvidia-visible-devices-as-volume-mounts`; `None` where that is not known.
    pub accepts_mounts: Option<bool>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Passage {
    Cdi,
    /// Under this runtime, where it is not Docker's default.
    Mounts(Option<String>),
}

/// Why Docker cannot hand over a GPU, and what mends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    pub cause: String,
    pub remedy: String,
}

/// Docker's name for a GPU or a MIG instance.
pub fn cdi_name(uuid: &str) -> String {
    format!("nvidia.com/gpu={uuid}")
}

/// The mount by which NVIDIA's runtime is asked for a GPU.
pub fn mount(uuid: &str) -> String {
    format!("/dev/null:/var/run/nvidia-container-devices/{uuid}")
}

/// How all of these devices come into one container.
pub fn passage<'a>(facts: &Facts, uuids: impl Iterator<Item = &'a str>) -> Result<Passage, Closed> {
    let unlisted: Vec<&str> = uuids.filter(|uuid| !facts.cdi_devices.contains(&cdi_name(uuid))).collect();
    if !facts.cdi_folders.is_empty() && unlisted.is_empty() {
        return Ok(Passage::Cdi);
    }
    let by_cdi = match (facts.cdi_folders.as_slice(), unlisted.as_slice()) {
        ([], _) => "Docker has no CDI, or it is not switched on".to_owned(),
        (folders, lacking) => format!("no CDI specification in {} names {}", folders.join(", "), lacking.join(", ")),
    };
    let closed = |cause: &str, remedy: String| Err(Closed { cause: format!("{by_cdi}, and {cause}"), remedy });
    if !facts.runtimes.contains(RUNTIME) {
        return closed("NVIDIA's container runtime is not in Docker", CDI_REMEDY.to_owned());
    }
    // Where Docker has CDI, a specification is all that is lacking.
    let remedy = if facts.cdi_folders.is_empty() { MOUNTS_REMEDY.to_owned() } else { format!("{CDI_REMEDY}; or {MOUNTS_REMEDY}") };
    match facts.accepts_mounts {
        Some(true) => Ok(Passage::Mounts((facts.default_runtime != RUNTIME).then(|| RUNTIME.to_owned()))),
        Some(false) => closed("NVIDIA's container runtime does not accept devices as volume mounts", remedy),
        None => closed(&format!("{RUNTIME_CONFIG} cannot be read"), remedy),
    }
}

/// Names of the devices in a CDI specification, JSON or YAML. Empty for what is none.
pub fn cdi_names(text: &str) -> Vec<String> {
    let Ok(specification) = serde_saphyr::from_str::<serde_json::Value>(text) else { return Vec::new() };
    let kind = specification["kind"].as_str().unwrap_or_default();
    let names = specification["devices"].as_array().into_iter().flatten().filter_map(|device| device["name"].as_str());
    names.map(|name| format!("{kind}={name}")).collect()
}

/// The runtime's configuration is TOML, of which one key counts here.
pub fn accepts_mounts(config: &str) -> bool {
    config.lines().any(|line| {
        let line = line.split('#').next().unwrap_or_default();
        line.split_once('=')
            .is_some_and(|(key, value)| key.trim() == "accept-nvidia-visible-devices-as-volume-mounts" && value.trim() == "true")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn ways_through_docker() {
        let cdi = Facts { cdi_folders: vec!["/etc/cdi".to_owned()], cdi_devices: set(&["nvidia.com/gpu=GPU-a"]), ..Facts::default() };
        let runtime =
            Facts { runtimes: set(&["runc", RUNTIME]), default_runtime: "runc".to_owned(), accepts_mounts: Some(true), ..Facts::default() };
        let default = Facts { default_runtime: RUNTIME.to_owned(), ..runtime.clone() };
        let both = Facts { cdi_folders: cdi.cdi_folders.clone(), cdi_devices: cdi.cdi_devices.clone(), ..runtime.clone() };
        let named = Passage::Mounts(Some(RUNTIME.to_owned()));
        for (facts, uuid, expected) in [
            (&cdi, "GPU-a", Passage::Cdi),
            (&both, "GPU-a", Passage::Cdi),
            (&both, "GPU-b", named.clone()),
            (&runtime, "GPU-a", named),
            (&default, "GPU-a", Passage::Mounts(None)),
        ] {
            assert_eq!(passage(facts, [uuid].into_iter()), Ok(expected));
        }
        let refusing = Facts { accepts_mounts: Some(false), ..runtime.clone() };
        let blind = Facts { accepts_mounts: None, ..runtime };
        for (facts, cause, remedy) in [
            (
                &Facts::default(),
                "Docker has no CDI, or it is not switched on, and NVIDIA's container runtime is not in Docker",
                "--cdi.enabled",
            ),
            (&cdi, "no CDI specification in /etc/cdi names GPU-b, and", "nvidia-ctk cdi generate --device-name-strategy=uuid"),
            (&refusing, "does not accept devices as volume mounts", "accept-nvidia-visible-devices-as-volume-mounts=true"),
            (&blind, "cannot be read", "accept-nvidia-visible-devices-as-volume-mounts=true"),
        ] {
            let closed = passage(facts, ["GPU-b"].into_iter()).unwrap_err();
            assert!(closed.cause.contains(cause) && closed.remedy.contains(remedy), "{closed:?}");
        }
    }

    #[test]
    fn specifications_and_configurations() {
        let yaml = "cdiVersion: 0.5.0\nkind: nvidia.com/gpu\ndevices:\n- name: \"0\"\n- name: GPU-a\n";
        assert_eq!(cdi_names(yaml), ["nvidia.com/gpu=0", "nvidia.com/gpu=GPU-a"]);
        assert_eq!(cdi_names(r#"{"kind": "v/c", "devices": [{"name": "x"}]}"#), ["v/c=x"]);
        for text in ["", "devices: 1", "[", "kind: x"] {
            assert_eq!(cdi_names(text), [""; 0], "{text}");
        }
        for (text, expected) in [
            ("accept-nvidia-visible-devices-as-volume-mounts = true\n", true),
            ("accept-nvidia-visible-devices-as-volume-mounts=true # yes", true),
            ("#accept-nvidia-visible-devices-as-volume-mounts = true", false),
            ("accept-nvidia-visible-devices-as-volume-mounts = false", false),
            ("", false),
        ] {
            assert_eq!(accepts_mounts(text), expected, "{text}");
        }
    }
}
