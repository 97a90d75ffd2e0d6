use super::*;
use crate::{
    catalogue::ImageCatalogue,
    description::{DESCRIPTION, Description, PROGRAM, TOOLS},
};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::{collections::BTreeMap, io::Read};

const PROGRAM_BYTES: &[u8] = b"\x7fELF not really";

fn catalogue() -> ImageCatalogue {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../content/images");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    ImageCatalogue::parse(files.map(|path| (path.display().to_string(), std::fs::read_to_string(&path).unwrap()))).unwrap()
}

fn archive(wanted: impl Fn(&str) -> bool) -> Vec<u8> {
    let catalogue = catalogue();
    let images: Vec<_> = catalogue.images().filter(|image| unsuitable(image).is_none() && wanted(&image.name)).map(AsRef::as_ref).collect();
    let mut out = Vec::new();
    write(&mut out, PROGRAM_BYTES, &images).unwrap();
    out
}

fn unpacked(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut archive = tar::Archive::new(archive);
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        (entry.path().unwrap().display().to_string(), bytes)
    });
    entries.collect()
}

/// What one name of an archive leads to.
struct Unpacked {
    config: Value,
    /// By path without the leading slash: mode, owner, content or target.
    files: BTreeMap<String, (u32, (u64, u64), String)>,
    layers: Vec<String>,
}

fn image(archive: &[u8], name: &str) -> Unpacked {
    let blobs = unpacked(archive);
    let blob = |descriptor: &Value| -> &Vec<u8> {
        let digest = descriptor["digest"].as_str().unwrap();
        let bytes = &blobs[&digest.replace("sha256:", "blobs/sha256/")];
        assert_eq!(digest, format!("sha256:{}", hex::encode(Sha256::digest(bytes))));
        assert_eq!(descriptor["size"], bytes.len());
        bytes
    };
    let index: Value = serde_json::from_slice(&blobs["index.json"]).unwrap();
    let named = |manifest: &&Value| manifest["annotations"]["io.containerd.image.name"] == name;
    let found = index["manifests"].as_array().unwrap().iter().find(named).unwrap_or_else(|| panic!("no {name}"));
    let manifest: Value = serde_json::from_slice(blob(found)).unwrap();
    let config: Value = serde_json::from_slice(blob(&manifest["config"])).unwrap();
    let mut files = BTreeMap::new();
    let mut layers = Vec::new();
    for layer in manifest["layers"].as_array().unwrap() {
        layers.push(layer["digest"].as_str().unwrap().to_owned());
        for entry in tar::Archive::new(blob(layer).as_slice()).entries().unwrap() {
            let mut entry = entry.unwrap();
            let header = entry.header().clone();
            let path = entry.path().unwrap().display().to_string().trim_end_matches('/').to_owned();
            let mut text = entry.link_name().unwrap().map(|target| target.display().to_string()).unwrap_or_default();
            entry.read_to_string(&mut text).unwrap();
            files.insert(path, (header.mode().unwrap(), (header.uid().unwrap(), header.gid().unwrap()), text));
        }
    }
    assert_eq!(config["rootfs"]["diff_ids"].as_array().unwrap().len(), layers.len());
    Unpacked { config, files, layers }
}

#[test]
fn the_same_input_makes_the_same_bytes() {
    let all = archive(|_| true);
    assert_eq!(all, archive(|_| true));
    assert!(all.len() > 100_000);
}

#[test]
fn an_image_is_what_the_catalogue_says() {
    let archive = archive(|_| true);
    let serving = image(&archive, "docker.io/tensorflow/serving:2.19.1-gpu");
    let config = &serving.config["config"];
    assert_eq!(config["Entrypoint"], serde_json::json!(["/usr/bin/tf_serving_entrypoint.sh"]));
    assert_eq!(config["Labels"]["cordon.dev/simulated"], "true");
    assert_eq!(config["ExposedPorts"], serde_json::json!({"8500/tcp": {}, "8501/tcp": {}}));
    assert!(config["Env"].as_array().unwrap().contains(&"MODEL_NAME=model".into()), "{config}");
    assert_eq!(config["User"], Value::Null);
    let (mode, owner, target) = &serving.files["usr/bin/tf_serving_entrypoint.sh"];
    assert_eq!((*mode, *owner, target.as_str()), (0o777, (0, 0), PROGRAM));
    assert_eq!(serving.files[&PROGRAM[1..]].0, 0o755);
    let description: Description = serde_json::from_str(&serving.files[&DESCRIPTION[1..]].2).unwrap();
    assert_eq!(description.behaviour, "tensorflow-serving");
    assert_eq!(serving.config["config"]["Labels"]["org.opencontainers.image.version"], "2.19.1-gpu");
    assert!(description.is_own_program("tensorflow_model_server") && !description.is_own_program("ls"));
    // Debian's tools without a network's.
    assert!(serving.files.contains_key("bin/nvidia-smi") && serving.files.contains_key("bin/sh"));
    assert!(!serving.files.contains_key("bin/wget") && !serving.files.contains_key("bin/curl"));

    let model = image(&archive, "registry.cordon.dev/models/resnet:1");
    assert_eq!(model.config["config"]["User"], "65532:65532");
    assert_eq!(model.files["models/resnet/1/saved_model.pb"].2, "cordon.dev/simulated SavedModel resnet\n");
    assert_eq!(model.layers[0], serving.layers[0], "all images share the program's layer");
    let curl = image(&archive, "quay.io/curl/curl:latest");
    assert_eq!(curl.config["config"]["User"], "curl_user");
    assert!(curl.files["etc/passwd"].2.contains("curl_user:x:100:101:curl_user:/home/curl_user:"));
    assert_eq!(curl.files["home/curl_user"].1, (100, 101));
    assert!(curl.files.contains_key("entrypoint.sh"));
    let description: Description = serde_json::from_str(&curl.files[&DESCRIPTION[1..]].2).unwrap();
    assert!(!description.is_own_program("/entrypoint.sh"), "an entrypoint that only hands over to curl");
    let scratch = image(&archive, "docker.io/library/hello-world:latest");
    assert!(!scratch.files.contains_key("bin/sh") && scratch.files.contains_key("hello"));
}

#[test]
fn every_tag_has_an_id_of_its_own_and_its_aliases_share_it() {
    let archive = archive(|name| name == "busybox");
    let Contents { images, .. } = contents(archive.as_slice()).unwrap();
    let digest = |tag: &str| &images.iter().find(|image| image.name == format!("docker.io/library/busybox:{tag}")).unwrap().digest;
    assert_eq!(digest("1.37"), digest("stable"));
    assert_ne!(digest("1.37"), digest("1.36"));
    assert!(images.iter().all(|image| image.repository() == "docker.io/library/busybox"));
    let by_digest = format!("docker.io/library/busybox@{}", digest("1.37"));
    assert!(images.iter().any(|image| image.name == by_digest && !image.has_tag()), "a pod may name it so");
}

#[test]
fn docker_finds_all_names_too() {
    let archive = archive(|name| name == "busybox" || name == "cuda");
    let blobs = unpacked(&archive);
    let docker: Value = serde_json::from_slice(&blobs["manifest.json"]).unwrap();
    let mut names = Vec::new();
    for image in docker.as_array().unwrap() {
        names.extend(image["RepoTags"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()));
        for path in image["Layers"].as_array().unwrap().iter().chain([&image["Config"]]) {
            assert!(blobs.contains_key(path.as_str().unwrap()), "{path}");
        }
    }
    let ours = contents(archive.as_slice()).unwrap().images.into_iter().filter(Named::has_tag).map(|image| image.name);
    assert_eq!(names, ours.collect::<Vec<_>>());
    assert!(names.contains(&"docker.io/nvidia/cuda:12.9.1-base-ubuntu22.04".to_owned()), "mirrors are names too");
}

#[test]
fn what_is_selected_is_whole_and_no_more() {
    let all = archive(|_| true);
    let some = select(&all, |image| image.repository() == "docker.io/curlimages/curl").unwrap();
    let names: Vec<String> = contents(some.as_slice()).unwrap().images.into_iter().map(|image| image.name).collect();
    assert!(!names.is_empty() && names.iter().all(|name| name.starts_with("docker.io/curlimages/curl")), "{names:?}");
    image(&some, "docker.io/curlimages/curl:8.17.0");
    let blobs = unpacked(&some).keys().filter(|path| path.starts_with("blobs/")).count();
    // The program's layer and the image's own, and for each of four tags a configuration and a manifest.
    assert_eq!(blobs, 2 + 4 * 2);
    let none = select(&all, |_| false).unwrap();
    assert!(contents(none.as_slice()).unwrap().images.is_empty());
    for bad in [&b""[..], b"nonsense", &[0; 2048]] {
        assert!(contents(bad).is_err());
    }
}

#[test]
fn what_cannot_be_made_says_why() {
    let catalogue = catalogue();
    let left_out: Vec<String> = catalogue.images().filter_map(|image| Some(format!("{}: {}", image.name, unsuitable(image)?))).collect();
    let names = |why: &str| left_out.iter().filter(|line| line.contains(why)).count();
    assert_eq!((names("the node image brings"), names("through the API server"), names("no time series")), (9, 6, 1), "{left_out:#?}");
}

/// A program that the catalogue names is one that ours can be.
#[test]
fn every_image_can_run_what_it_runs() {
    let catalogue = catalogue();
    for image in catalogue.images().filter(|image| unsuitable(image).is_none()) {
        let first = image.entrypoint.first().or(image.cmd.first()).unwrap();
        let known = image.is_own_program(first)
            || image.tools.extra.contains(first)
            || TOOLS.contains(&first.rsplit('/').next().unwrap()) && image.tools.has(first.rsplit('/').next().unwrap());
        assert!(known, "{}: {first}", image.name);
    }
}
