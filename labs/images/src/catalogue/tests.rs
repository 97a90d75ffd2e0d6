use super::*;
use expect_test::{Expect, expect};

fn content() -> ImageCatalogue {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../content/images");
    let files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read_to_string(&path).unwrap()))
        .collect();
    ImageCatalogue::parse(files).unwrap()
}

#[test]
fn names_are_normalised_as_a_runtime_does() {
    let check = |text: &str, expected: Expect| {
        expected.assert_eq(&Reference::parse(text).map_or_else(|e| format!("error: {e}"), |r| r.to_string()));
    };
    check("nginx", expect!["docker.io/library/nginx:latest"]);
    check("nginx:1.27", expect!["docker.io/library/nginx:1.27"]);
    check("tensorflow/serving:2.19.1-gpu", expect!["docker.io/tensorflow/serving:2.19.1-gpu"]);
    check("index.docker.io/library/nginx", expect!["docker.io/library/nginx:latest"]);
    check("localhost:5000/a/b:c", expect!["localhost:5000/a/b:c"]);
    check("registry.k8s.io/pause:3.10", expect!["registry.k8s.io/pause:3.10"]);
    check("Bad_Image", expect!["error: invalid reference format: repository name (library/Bad_Image) must be lowercase"]);
    check("a:b:c", expect!["error: invalid reference format"]);
    check("", expect!["error: invalid reference format"]);
    check("a//b", expect!["error: invalid reference format"]);
    check("nginx@sha256:12", expect!["error: invalid reference format"]);
}

#[test]
fn a_bad_file_is_named_with_its_field() {
    let check = |text: &str, expected: Expect| {
        expected.assert_eq(ImageCatalogue::parse([("bad.yaml", text)]).unwrap_err().to_string().lines().next().unwrap_or_default())
    };
    let with = |spec: &str| format!("apiVersion: cordon.dev/v1alpha1\nkind: Image\nmetadata: {{name: a}}\nspec: {spec}\n");
    check(&with("{repository: a, tags: []}"), expect!["bad.yaml: spec.tags: at least one tag"]);
    check(
        &with("{repository: a, tags: [{name: x}, {name: y, aliases: [x]}]}"),
        expect![[r#"bad.yaml: spec.tags[1].name: "x" stands here twice"#]],
    );
    check(
        &with("{repository: A, tags: [{name: x}]}"),
        expect!["bad.yaml: spec.repository: invalid reference format: repository name (library/A) must be lowercase"],
    );
    check(&with("{repository: a, tags: [{name: x}], writes: [tmp]}"), expect![[r#"bad.yaml: spec.writes[0]: "tmp" is not absolute"#]]);
    check(
        &with("{repository: a, tags: [{name: x}], behaviour: nope}"),
        expect![[r#"bad.yaml: spec.behaviour: no component is called "nope""#]],
    );
    check(
        "apiVersion: v1\nkind: Image\nmetadata: {name: a}\nspec: {repository: a, tags: [{name: x}]}\n",
        expect![[r#"bad.yaml: apiVersion: "v1" is not cordon.dev/v1alpha1"#]],
    );
    assert!(
        ImageCatalogue::parse([("bad.yaml", with("{repository: a, tags: [{name: x}], colour: red}"))])
            .unwrap_err()
            .to_string()
            .contains("colour")
    );
}

#[test]
fn the_content_is_found_by_tag_alias_and_digest() {
    let catalogue = content();
    let by_tag = catalogue.lookup("busybox:1.37").unwrap();
    assert_eq!(by_tag.digest.len(), 71);
    let by_digest = catalogue.lookup(&by_tag.image_id()).unwrap();
    assert_eq!(by_digest.digest, by_tag.digest);
    assert_eq!(by_digest.tag, "1.37");
    assert_ne!(catalogue.lookup("busybox:1.36").unwrap().digest, by_tag.digest);
    assert!(catalogue.images().count() > 15);
}

#[test]
fn the_lab_has_a_critical_and_a_patched_tag() {
    let catalogue = content();
    let worst = |name: &str| catalogue.lookup(name).unwrap().packages.iter().flat_map(|p| &p.vulnerabilities).map(|v| v.severity).max();
    assert_eq!(worst("tensorflow/serving:2.11.0"), Some(Severity::Critical));
    assert_eq!(worst("tensorflow/serving:2.11.0-gpu"), Some(Severity::Critical));
    assert!(worst("tensorflow/serving:2.19.1") < Some(Severity::High));
    assert!(worst("tensorflow/serving:2.19.1-gpu") < Some(Severity::High));
}

#[test]
fn an_unknown_image_says_what_is_known() {
    let catalogue = content();
    let check = |name: &str, expected: Expect| expected.assert_eq(&catalogue.lookup(name).unwrap_err().to_string());
    check(
        "nope.invalid/x:1",
        expect![[r#"failed to do request: Head "https://nope.invalid/v2/x/manifests/1": dial tcp: lookup nope.invalid: no such host"#]],
    );
    check("example.com/nothing", expect![[r#"this simulated cluster knows no image "example.com/nothing""#]]);
    check(
        "quay.io/someone/busybox:1",
        expect![[r#"this simulated cluster knows no image "quay.io/someone/busybox"; it knows docker.io/library/busybox"#]],
    );
    check(
        "busybox:9",
        expect![[r#"this simulated cluster knows "docker.io/library/busybox", but not "9"; it knows 1.37, 1.36, 1.35, 1.28"#]],
    );
    let lenient = content().run_unknown(true);
    assert!(!lenient.lookup("example.com/nothing:2").unwrap().known);
    assert!(lenient.lookup("nope.invalid/x:1").is_err());
}
