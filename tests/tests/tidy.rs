//! Tier: source text. The invariants of ARCHITECTURE.md, held by reading the tree.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};
use tests::{root, tracked_files};

fn text(path: &Path) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_default()
}

fn has_extension(path: &Path, wanted: &[&str]) -> bool {
    path.extension().and_then(|e| e.to_str()).is_some_and(|e| wanted.contains(&e))
}

/// Rust sources with their text, tests and benches included.
fn rust_sources() -> Vec<(String, String)> {
    tracked_files().iter().filter(|p| has_extension(p, &["rs"])).map(|p| (p.to_string_lossy().into_owned(), text(p))).collect()
}

fn report(rule: &str, mut offenders: Vec<String>) {
    offenders.sort();
    assert!(offenders.is_empty(), "{rule}\n  {}", offenders.join("\n  "));
}

/// The code of a source: comments and string literals' lines are left in, but everything from `#[cfg(test)]` on is cut.
fn production(source: &str) -> &str {
    source.split("#[cfg(test)]").next().unwrap_or(source)
}

#[test]
fn no_file_is_longer_than_800_lines() {
    let measured = ["rs", "html", "css", "js", "ts", "sh"];
    let offenders = tracked_files()
        .iter()
        .filter(|p| has_extension(p, &measured))
        .map(|p| (p, text(p).lines().count()))
        .filter(|(_, lines)| *lines > 800)
        .map(|(p, lines)| format!("{}: {lines} lines", p.display()))
        .collect();
    report("one thing, one file: split what has grown beyond 800 lines", offenders);
}

#[test]
fn every_room_opens_with_what_it_is() {
    let offenders = rust_sources()
        .iter()
        .filter(|(p, _)| p.ends_with("/lib.rs") || p.ends_with("/mod.rs"))
        .filter(|(_, source)| !source.starts_with("//!"))
        .map(|(p, _)| p.clone())
        .collect();
    report("lib.rs and mod.rs open with `//!`", offenders);
}

/// Invariant 2: who may use which dependency.
#[test]
fn dependencies_stay_in_their_rooms() {
    let rules: &[(&str, &[&str])] = &[
        ("sqlx", &["server/store/"]),
        ("bollard", &["server/provision/"]),
        ("nvml-wrapper", &["server/provision/"]),
        ("askama", &["server/"]),
        ("axum", &["server/", "server/sandbox/apiserver/"]),
        ("rcgen", &["server/"]),
    ];
    let mut offenders = Vec::new();
    for manifest in tracked_files().iter().filter(|p| p.ends_with("Cargo.toml") && p.components().count() > 1) {
        let room = format!("{}/", manifest.parent().unwrap_or(Path::new("")).display());
        let source = text(manifest);
        let normal = source.split("[dev-dependencies]").next().unwrap_or_default();
        for (dependency, rooms) in rules {
            let named =
                normal.lines().any(|line| line.starts_with(&format!("{dependency}.")) || line.starts_with(&format!("{dependency} =")));
            if named && !rooms.contains(&room.as_str()) {
                offenders.push(format!("{}: {dependency} belongs to {rooms:?}", manifest.display()));
            }
        }
    }
    report("a dependency has left its room", offenders);
}

/// Dependencies between our own crates point one way. A new one is an architecture change: write it in ARCHITECTURE.md first.
#[test]
fn rooms_depend_one_way() {
    let allowed: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("pod-security", &[][..]),
        ("network-policy", &[]),
        ("rbac", &[]),
        ("go-regexp", &[]),
        ("images", &[]),
        ("prometheus", &["go-regexp"]),
        ("falco", &[]),
        ("gatekeeper", &["machinery"]),
        ("kyverno", &["go-regexp", "kyverno-jmespath", "machinery", "pod-security"]),
        ("kyverno-jmespath", &["go-regexp", "machinery"]),
        ("machinery", &["go-regexp"]),
        ("jail", &[]),
        ("store", &[]),
        ("checkers", &["pod-security", "network-policy"]),
        ("labs", &["checkers"]),
        ("apiserver", &["machinery", "pod-security", "rbac"]),
        ("sim", &["apiserver", "gatekeeper", "images", "kyverno", "machinery", "network-policy"]),
        ("sandbox", &["sim", "apiserver", "machinery"]),
        ("provision", &["images", "sandbox"]),
        (
            "server",
            &[
                "images",
                "store",
                "provision",
                "labs",
                "checkers",
                "jail",
                "sandbox",
                "sim",
                "machinery",
                "pod-security",
                "network-policy",
                "rbac",
                "prometheus",
                "falco",
                "gatekeeper",
                "kyverno",
            ],
        ),
    ]);
    let ours: BTreeSet<&str> = allowed.keys().copied().collect();
    let mut offenders = Vec::new();
    for manifest in tracked_files().iter().filter(|p| p.ends_with("Cargo.toml") && p.components().count() > 1) {
        let source = text(manifest);
        let Some(name) = source.lines().find_map(|l| l.strip_prefix("name = ")).map(|n| n.trim_matches('"').to_owned()) else { continue };
        let Some(may) = allowed.get(name.as_str()) else { continue };
        let normal = source.split("[dev-dependencies]").next().unwrap_or_default();
        for line in normal.lines() {
            let dependency = line.split(['.', ' ']).next().unwrap_or_default();
            if ours.contains(dependency) && !may.contains(&dependency) {
                offenders.push(format!("{name} depends on {dependency}"));
            }
        }
    }
    report("a room depends on one that it must not know", offenders);
}

/// Invariants 1 and 3: the pure rooms do no I/O, have no async and read no clock.
#[test]
fn pure_rooms_are_pure() {
    let rooms = ["server/sandbox/machinery/src/", "checkers/", "labs/src/", "labs/images/src/"];
    let forbidden = [
        "std::fs",
        "std::net",
        "std::os",
        "std::process",
        "tokio",
        "async fn",
        "Instant::now",
        "SystemTime",
        "Timestamp::now",
        "std::env::",
        "rand::rng",
    ];
    // Types of addresses open nothing.
    let addresses = ["std::net::IpAddr", "std::net::Ipv4Addr", "std::net::Ipv6Addr", "std::net::{IpAddr, Ipv4Addr, Ipv6Addr}"];
    let mut offenders = Vec::new();
    for (path, source) in rust_sources() {
        if !rooms.iter().any(|room| path.starts_with(room))
            || path.contains("/tests/")
            || path.ends_with("/tests.rs")
            || path.contains("/benches/")
            || path.contains("/fuzz/")
        {
            continue;
        }
        for (number, line) in production(&source).lines().enumerate() {
            let code = line.trim_start();
            if code.starts_with("//") {
                continue;
            }
            let code = addresses.iter().fold(code.to_owned(), |code, address| code.replace(address, ""));
            for word in forbidden {
                if code.contains(word) {
                    offenders.push(format!("{path}:{}: {word}", number + 1));
                }
            }
        }
    }
    report("engines, machinery, checkers and labs do no I/O, have no async and read no clock", offenders);
}

#[test]
fn tests_neither_sleep_nor_hide() {
    let ignore = concat!("#[", "ignore");
    let allow = concat!("#[", "allow(");
    let allow_all = concat!("#![", "allow(");
    let mut offenders = Vec::new();
    for (path, source) in rust_sources() {
        if path.ends_with("tidy.rs") {
            continue;
        }
        for (number, line) in source.lines().enumerate() {
            if line.contains(ignore) {
                offenders.push(format!("{path}:{}: ignored test; let it run, or print why it did not", number + 1));
            }
            if line.contains(allow) || line.contains(allow_all) {
                offenders.push(format!("{path}:{}: allow; say expect with a reason", number + 1));
            }
            let simulator = path.starts_with("server/sandbox/sim/src/") && (line.contains("thread::sleep") || line.contains("time::sleep"));
            if simulator {
                offenders.push(format!("{path}:{}: the simulator never sleeps", number + 1));
            }
        }
    }
    report("tests and lints", offenders);
}

/// Nothing that is committed names where or with what it was made.
#[test]
fn no_file_names_the_machine_it_was_written_on() {
    let words = [
        concat!("/wo", "rk/"),
        concat!("/ro", "ot/"),
        concat!("crates", ".io/api"),
        concat!("static.crates", ".io"),
        concat!("index.crates", ".io"),
        concat!("registry.npm", "js.org"),
        concat!("proxy.gol", "ang.org"),
        concat!("files.python", "hosted.org"),
    ];
    let mut offenders = Vec::new();
    for path in tracked_files() {
        if path == Path::new("Cargo.lock") {
            continue;
        }
        let Ok(source) = fs::read_to_string(root().join(&path)) else { continue };
        for (number, line) in source.lines().enumerate() {
            for word in words {
                // A path begins where no name stands before it: `/proc/1` has a folder of root's name too.
                let begins = |at: usize| !word.starts_with('/') || !line[..at].ends_with(|c: char| c.is_alphanumeric());
                if line.match_indices(word).any(|(at, _)| begins(at)) {
                    offenders.push(format!("{}:{}: {word}", path.display(), number + 1));
                }
            }
        }
    }
    report("a path of a machine or a registry's host is named", offenders);
}

#[test]
fn no_third_party_script_is_committed() {
    let offenders = tracked_files()
        .iter()
        .filter(|p| p.starts_with("web/node_modules") || p.starts_with("web/dist") || p.to_string_lossy().ends_with(".min.js"))
        .map(|p| p.display().to_string())
        .collect();
    report("third-party JavaScript comes from npm at build time", offenders);
}

/// Every name in a Markdown link that points into the tree exists.
#[test]
fn links_of_the_documentation_hold() {
    let mut offenders = Vec::new();
    for path in tracked_files().iter().filter(|p| has_extension(p, &["md"]) && !p.starts_with("labs/content")) {
        let folder = root().join(path.parent().unwrap_or(Path::new("")));
        for piece in text(path).split("](").skip(1) {
            let target = piece.split([')', '#', ' ']).next().unwrap_or_default();
            if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            if !folder.join(target).exists() {
                offenders.push(format!("{}: {target}", path.display()));
            }
        }
    }
    report("a link of the documentation leads nowhere", offenders);
}

/// What a merge left for a person to decide was decided.
#[test]
fn no_file_holds_a_conflict() {
    let (ours, theirs) = ("<".repeat(7) + " ", ">".repeat(7) + " ");
    let marked = |p: &&std::path::PathBuf| text(p).lines().any(|line| line.starts_with(&ours) || line.starts_with(&theirs));
    let offenders = tracked_files().iter().filter(marked).map(|p| p.display().to_string()).collect();
    report("files hold the marks of a conflict", offenders);
}
