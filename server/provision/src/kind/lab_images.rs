//! The labs' images, made by `cordon images build`: put into nodes as `kind load image-archive` does, with the simulated GPUs that
//! their device plugin offers.

use crate::{
    contract::{ImageOrigin, NodeSpec},
    gpu::GpuChoice,
    kind::{
        docker::{DockerError, Engine},
        settings::{KindSettings, LabImages},
        stage::{self, StageError},
    },
};
use futures::future::try_join_all;
use images::{
    SIMULATED,
    archive::{self, Named},
    catalogue::Reference,
    gpu::{self, Gpu, INVENTORY},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::Path,
};

/// Where it is real, it finds no simulated GPU.
const DEVICE_PLUGIN: &str = "nvcr.io/nvidia/k8s-device-plugin";

/// Reads an archive from its standard input. Without unpacking: the runtime unpacks an image when its first container is made, and
/// most are never used.
const IMPORT: &[&str] = &["ctr", "--namespace=k8s.io", "images", "import", "--all-platforms", "--no-unpack", "-"];

impl LabImages {
    fn present(&self) -> Option<&Path> {
        self.archive.as_deref().filter(|path| path.is_file())
    }

    fn is_real(&self, repository: &str) -> bool {
        self.real.iter().any(|real| real == repository)
    }

    /// Whether the device plugin that offers simulated GPUs is one of the images.
    fn has_device_plugin(&self) -> bool {
        self.present().is_some() && !self.is_real(DEVICE_PLUGIN)
    }
}

/// Whether nodes get simulated GPUs: not where this machine lends its own, or the operator wants none.
pub fn simulates_gpus(settings: &KindSettings, lends: bool) -> bool {
    !lends && settings.gpus != GpuChoice::None && settings.lab_images.has_device_plugin()
}

/// The stage that a start has for them; `None` where nobody wants any.
pub fn stage(settings: &LabImages) -> Option<&'static str> {
    settings.archive.as_ref().map(|_| if settings.present().is_some() { stage::IMAGES } else { stage::NO_IMAGES })
}

/// The simulated GPUs of a node, which are not in its capacity until a device plugin says so.
pub fn gpus(spec: &NodeSpec, name: &str) -> Vec<Gpu> {
    gpu::of_node(name, spec.gpus, &spec.gpu_product)
}

/// Labels of a node with simulated GPUs, as the embedded cluster's nodes have them.
pub fn labels(gpus: &[Gpu], spec: &NodeSpec) -> BTreeMap<String, String> {
    if gpus.is_empty() {
        return BTreeMap::new();
    }
    let mut labels = vec![(SIMULATED, "true".to_owned()), ("feature.node.kubernetes.io/pci-10de.present", "true".to_owned())];
    if spec.gpus_in_capacity {
        labels.push(("nvidia.com/gpu.present", "true".to_owned()));
        labels.push(("nvidia.com/gpu.product", spec.gpu_product.clone()));
        labels.push(("nvidia.com/gpu.count", gpus.len().to_string()));
    }
    labels.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The file by which the device plugin learns of them, for [`Engine::upload`].
pub fn inventory(gpus: &[Gpu]) -> BTreeMap<String, (String, u32)> {
    let text = serde_json::json!(gpus).to_string();
    BTreeMap::from([(INVENTORY.to_owned(), (text, 0o644))])
}

/// Which image nodes run under a name.
pub async fn origin(settings: &LabImages, reference: &str) -> Result<ImageOrigin, StageError> {
    let (Some(path), Ok(reference)) = (settings.present(), Reference::parse(reference)) else { return Ok(ImageOrigin::Registry) };
    let owned = path.to_owned();
    let read = tokio::task::spawn_blocking(move || archive::contents(std::fs::File::open(owned)?)).await;
    let held = read.map_err(io::Error::from).flatten().map_err(|error| unreadable(path, &error))?;
    Ok(built(settings, &held.images, &reference))
}

fn built(settings: &LabImages, held: &[Named], reference: &Reference) -> ImageOrigin {
    let repository = reference.repository();
    let name = format!("{repository}:{}", reference.tag.as_deref().unwrap_or("latest"));
    let found = held.iter().filter(|image| image.has_tag()).find(|image| match &reference.digest {
        Some(digest) => image.digest == *digest && image.repository() == repository,
        None => image.name == name,
    });
    match found {
        Some(image) if !settings.is_real(&repository) => ImageOrigin::Built { name: image.name.clone(), digest: image.digest.clone() },
        _ => ImageOrigin::Registry,
    }
}

/// Puts into each node what it has not yet.
pub async fn load(engine: &Engine, settings: &LabImages, nodes: Vec<&str>) -> Result<(), StageError> {
    let Some(path) = settings.present() else { return Ok(()) };
    let read = tokio::fs::read(path).await.map_err(|error| unreadable(path, &error))?;
    let read = &read;
    try_join_all(nodes.into_iter().map(async |node| {
        let listed = engine.run(node, &["ctr", "--namespace=k8s.io", "images", "ls", "-q"], b"").await?;
        let known: BTreeSet<&str> = listed.lines().map(str::trim).collect();
        let is_wanted = |image: &Named| !known.contains(image.name.as_str()) && !settings.is_real(image.repository());
        let contents = archive::contents(read.as_slice()).map_err(|error| unreadable(path, &error))?;
        let wanted = contents.images.iter().filter(|image| is_wanted(image)).count();
        if wanted == contents.images.len() {
            engine.run(node, IMPORT, read).await?;
        } else if wanted > 0 {
            let some = archive::select(read, is_wanted).map_err(|error| unreadable(path, &error))?;
            engine.run(node, IMPORT, &some).await?;
        }
        tracing::info!(node, images = wanted, "lab images are in the node");
        Ok::<_, StageError>(())
    }))
    .await?;
    Ok(())
}

fn unreadable(path: &Path, error: &io::Error) -> StageError {
    let why = format!("the archive of lab images {} cannot be read: {error}", path.display());
    DockerError::known(why, "build it anew: cordon images build").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_have_simulated_gpus_where_the_plugin_is_an_image_of_ours() {
        let folder = tempfile::tempdir().unwrap();
        let archive = folder.path().join("images.tar");
        std::fs::write(&archive, "").unwrap();
        let spec = NodeSpec::with_gpus("gpu-node", 2);
        let discovered = NodeSpec { gpus_in_capacity: true, ..spec.clone() };
        let with = |archive: Option<&Path>, real: &[&str]| LabImages {
            archive: archive.map(Path::to_owned),
            real: real.iter().map(|name| (*name).to_owned()).collect(),
        };
        let missing = folder.path().join("none.tar");
        let rows = [
            (with(None, &[]), None, false),
            (with(Some(&missing), &[]), Some(stage::NO_IMAGES), false),
            (with(Some(&archive), &[]), Some(stage::IMAGES), true),
            (with(Some(&archive), &["docker.io/tensorflow/serving"]), Some(stage::IMAGES), true),
            (with(Some(&archive), &[DEVICE_PLUGIN]), Some(stage::IMAGES), false),
        ];
        for (lab_images, name, simulated) in rows {
            assert_eq!(stage(&lab_images), name);
            let settings = KindSettings { lab_images, ..KindSettings::default() };
            assert_eq!(simulates_gpus(&settings, false), simulated, "{settings:?}");
            assert!(!simulates_gpus(&settings, true), "this machine lends its own");
            assert!(!simulates_gpus(&KindSettings { gpus: GpuChoice::None, ..settings }, false), "the operator wants none");
        }
        let found = gpus(&spec, "gpu-node");
        assert_eq!(labels(&found, &spec).len(), 2);
        assert_eq!(labels(&found, &discovered).len(), 5);
        assert_eq!(labels(&[], &spec).len(), 0);
        assert_eq!(found[0].product, "NVIDIA H100 80GB HBM3");
        let (text, mode) = &inventory(&found)[INVENTORY];
        assert_eq!(*mode, 0o644);
        assert_eq!(serde_json::from_str::<Vec<Gpu>>(text).unwrap(), found);
    }

    #[test]
    fn what_a_name_means() {
        let named = |name: &str, digest: &str| Named { name: name.to_owned(), digest: digest.to_owned() };
        let digest = format!("sha256:{}", "a".repeat(64));
        let held = [
            named(&format!("docker.io/library/busybox@{digest}"), &digest),
            named("docker.io/library/busybox:1.37", &digest),
            named("nvcr.io/nvidia/cuda:12", "sha256:b"),
        ];
        let settings = LabImages { archive: None, real: vec!["nvcr.io/nvidia/cuda".to_owned()] };
        let busybox = ImageOrigin::Built { name: "docker.io/library/busybox:1.37".to_owned(), digest: digest.clone() };
        let rows = [
            ("busybox:1.37".to_owned(), busybox.clone()),
            (format!("busybox@{digest}"), busybox),
            (format!("other@{digest}"), ImageOrigin::Registry),
            ("busybox".to_owned(), ImageOrigin::Registry),
            ("nvcr.io/nvidia/cuda:12".to_owned(), ImageOrigin::Registry),
        ];
        for (reference, expected) in rows {
            assert_eq!(built(&settings, &held, &Reference::parse(&reference).unwrap()), expected, "{reference}");
        }
    }
}
