use super::layer;
use crate::{
    SIMULATED,
    catalogue::{Image, Reference, ReferenceError},
};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use std::{
    collections::BTreeMap,
    io::{self, Write},
};

const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// No clock: images are as old as can be.
const CREATED: &str = "1970-01-01T00:00:00Z";

/// Blobs by their digests without `sha256:`.
#[derive(Debug, Default)]
struct Blobs(BTreeMap<String, Vec<u8>>);

impl Blobs {
    /// Its descriptor.
    fn put(&mut self, kind: &str, bytes: Vec<u8>) -> Value {
        let digest = hex::encode(Sha256::digest(&bytes));
        let descriptor = json!({"mediaType": kind, "digest": format!("sha256:{digest}"), "size": bytes.len()});
        self.0.insert(digest, bytes);
        descriptor
    }
}

/// Writes the archive of these images, with all their tags under all their names. `program` is the one that runs in them.
pub fn write(out: impl Write, program: &[u8], images: &[&Image]) -> io::Result<()> {
    let mut blobs = Blobs::default();
    let shared = blobs.put(LAYER, layer::program(program)?);
    let (mut manifests, mut docker) = (Vec::new(), Vec::new());
    for image in images {
        let repositories = image.repositories().map(|name| Reference::parse(name).map(|name| name.repository()));
        let repositories: Vec<String> =
            repositories.collect::<Result<_, ReferenceError>>().map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let own = blobs.put(LAYER, layer::of_image(image)?);
        let layers = [&shared, &own];
        for tag in &image.tags {
            let config = blobs.put(CONFIG, configuration(image, &tag.name, layers).to_string().into_bytes());
            let manifest =
                json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers, "annotations": {SIMULATED: "true"}});
            let manifest = blobs.put(MANIFEST, manifest.to_string().into_bytes());
            let mut names = Vec::new();
            for name in std::iter::once(&tag.name).chain(&tag.aliases) {
                names.extend(repositories.iter().map(|repository| format!("{repository}:{name}")));
            }
            // By its digest too: containers then tell their image as one that was pulled, and a pod may name it so.
            let digest = manifest["digest"].as_str().unwrap_or_default();
            for name in names.iter().cloned().chain(repositories.iter().map(|repository| format!("{repository}@{digest}"))) {
                let mut named = manifest.clone();
                // The first is containerd's, the second the layout's own.
                named["annotations"] =
                    json!({"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name, SIMULATED: "true"});
                named["platform"] = json!({"architecture": "amd64", "os": "linux"});
                manifests.push(named);
            }
            docker.push(json!({"Config": blob(&config), "RepoTags": names, "Layers": layers.map(blob)}));
        }
    }
    let mut archive = tar::Builder::new(out);
    append(&mut archive, "index.json", json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}).to_string().as_bytes())?;
    append(&mut archive, "manifest.json", Value::Array(docker).to_string().as_bytes())?;
    append(&mut archive, "oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    for (digest, bytes) in &blobs.0 {
        append(&mut archive, &format!("blobs/sha256/{digest}"), bytes)?;
    }
    archive.into_inner()?.flush()
}

/// One file of an archive.
pub fn append(archive: &mut tar::Builder<impl Write>, path: &str, bytes: &[u8]) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_size(bytes.len() as u64);
    archive.append_data(&mut header, path, bytes)
}

/// Where a descriptor's blob lies in the archive.
fn blob(descriptor: &Value) -> Value {
    json!(descriptor["digest"].as_str().unwrap_or_default().replace("sha256:", "blobs/sha256/"))
}

/// The image's configuration (github.com/opencontainers/image-spec, config.md). Its layers are not compressed, so that their digests
/// are their ids too.
fn configuration(image: &Image, tag: &str, layers: [&Value; 2]) -> Value {
    let mut env: Vec<String> = image.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    if !image.env.iter().any(|(name, _)| name == "PATH") {
        env.insert(0, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned());
    }
    let ports: Map<String, Value> =
        image.ports.iter().map(|port| (format!("{}/{}", port.port, port.protocol.to_lowercase()), json!({}))).collect();
    let labels = json!({
        SIMULATED: "true",
        "org.opencontainers.image.title": format!("{} (simulated by Cordon)", image.name),
        "org.opencontainers.image.description": image.description,
        "org.opencontainers.image.version": tag,
    });
    let mut config = json!({"Env": env, "Labels": labels, "WorkingDir": image.workdir});
    if !image.run_as.user.is_empty() {
        config["User"] = json!(image.run_as.user);
    }
    if !image.entrypoint.is_empty() {
        config["Entrypoint"] = json!(image.entrypoint);
    }
    if !image.cmd.is_empty() {
        config["Cmd"] = json!(image.cmd);
    }
    if !ports.is_empty() {
        config["ExposedPorts"] = json!(ports);
    }
    let history = ["the program that runs in all of Cordon's lab images", "the image's own files"];
    json!({
        "created": CREATED, "architecture": "amd64", "os": "linux", "config": config,
        "rootfs": {"type": "layers", "diff_ids": layers.map(|layer| &layer["digest"])},
        "history": history.map(|made| json!({"created": CREATED, "created_by": made})),
    })
}
