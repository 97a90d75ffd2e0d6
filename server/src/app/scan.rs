//! `cordon scan IMAGE`: what is known about an image's packages, remembered with who asked and when. The answer has the shape of
//! Trivy's JSON report (`trivy image --format json`, schema version 2) and says that it is simulated.

use crate::app::{App, AppError, LiveEvent};
use crate::state::edge;
use provision::{ImageOrigin, ProvisionError, Provisioner};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use store::{Attempt, Scan, User};

/// One known vulnerability of one package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vulnerable {
    pub id: String,
    pub package: String,
    pub installed: String,
    /// Empty where there is no fix.
    pub fixed: String,
    /// `CRITICAL`, `HIGH`, `MEDIUM`, `LOW`, `UNKNOWN`.
    pub severity: String,
    pub title: String,
    /// As `debian`, `python-pkg`.
    pub kind: String,
}

/// What a scanner found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scanned {
    /// In full: `docker.io/tensorflow/serving:2.14.0`.
    pub image: String,
    /// `sha256:…`
    pub digest: String,
    pub os: String,
    pub simulated: bool,
    pub vulnerabilities: Vec<Vulnerable>,
}

/// Knows images. `Err`: why it does not know this one, in words for the learner.
pub trait Scanner: Send + Sync + Debug {
    fn scan(&self, image: &str) -> Result<Scanned, String>;
}

impl App {
    /// Scans and remembers. The newest 500 scans of an attempt count.
    pub async fn scan(&self, user: &User, attempt: &str, image: &str) -> Result<Value, AppError> {
        let attempt = self.running_attempt(user, attempt).await?;
        self.scan_for(&attempt, "learner", image).await
    }

    /// For whoever came through the gateway with the attempt's own token.
    pub(crate) async fn scan_in_cluster(&self, cluster: &str, image: &str) -> Result<Value, AppError> {
        let attempt = self.store.attempt(cluster).await?.ok_or(AppError::NotFound("attempt"))?;
        self.scan_for(&attempt, "learner", image).await
    }

    async fn scan_for(&self, attempt: &Attempt, by: &str, image: &str) -> Result<Value, AppError> {
        if image.is_empty() || image.len() > 512 {
            return Err(AppError::invalid("image", "an image reference of at most 512 characters"));
        }
        let scanned = scan_on(&*self.engine, &*self.scanner, image).await?.map_err(|why| AppError::invalid("image", why))?;
        let at = self.clock.now();
        let findings: BTreeMap<String, String> =
            scanned.vulnerabilities.iter().map(|found| (found.id.clone(), found.severity.clone())).collect();
        let critical = findings.values().filter(|severity| *severity == "CRITICAL").count();
        let row = Scan {
            id: edge::id(&*self.random),
            attempt_id: attempt.id.clone(),
            image: scanned.image.clone(),
            digest: scanned.digest.clone(),
            at,
            scanned_by: by.to_owned(),
            findings,
            simulated: scanned.simulated,
        };
        self.store.create_scan(&row).await?;
        self.tell(&attempt.id, LiveEvent::Scanned { image: scanned.image.clone(), digest: scanned.digest.clone(), critical }).await;
        Ok(report(&scanned, &machinery::clock::rfc3339(at)))
    }
}

/// Scans what an engine's nodes run under a name. `Err` of the inner result: why nothing can be said of it.
pub(crate) async fn scan_on(
    engine: &dyn Provisioner,
    scanner: &dyn Scanner,
    image: &str,
) -> Result<Result<Scanned, String>, ProvisionError> {
    Ok(match engine.image(image).await? {
        ImageOrigin::Catalogue => scanner.scan(image),
        ImageOrigin::Built { name, digest } => scanner.scan(&name).map(|scanned| Scanned { digest, ..scanned }),
        // A name that nobody knows is told as everywhere.
        ImageOrigin::Registry => scanner.scan(image).and_then(|known| {
            let image = known.image;
            Err(format!(
                "the nodes of this cluster pull {image} from its registry, and what is in that is not known here: ask a scanner of your own"
            ))
        }),
    })
}

/// As Trivy writes it, with `CordonSimulated` beside where it is.
fn report(scanned: &Scanned, at: &str) -> Value {
    let mut targets: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for found in &scanned.vulnerabilities {
        let mut entry = json!({
            "VulnerabilityID": found.id, "PkgName": found.package, "InstalledVersion": found.installed,
            "Severity": found.severity, "Title": found.title, "Status": if found.fixed.is_empty() { "affected" } else { "fixed" },
        });
        if !found.fixed.is_empty() {
            entry["FixedVersion"] = found.fixed.as_str().into();
        }
        targets.entry(&found.kind).or_default().push(entry);
    }
    let results: Vec<Value> = targets
        .into_iter()
        .map(|(kind, vulnerabilities)| {
            let system = matches!(kind, "debian" | "ubuntu" | "alpine" | "redhat" | "os-pkgs" | "deb" | "apk" | "rpm" | "");
            let class = if system { "os-pkgs" } else { "lang-pkgs" };
            json!({"Target": format!("{} ({kind})", scanned.image), "Class": class, "Type": kind, "Vulnerabilities": vulnerabilities})
        })
        .collect();
    let mut metadata = json!({"RepoDigests": [format!("{}@{}", repository(&scanned.image), scanned.digest)], "RepoTags": [scanned.image]});
    if !scanned.os.is_empty() {
        metadata["OS"] = json!({"Family": scanned.os});
    }
    json!({
        "SchemaVersion": 2, "CreatedAt": at, "ArtifactName": scanned.image, "ArtifactType": "container_image",
        "Metadata": metadata, "Results": results, "CordonSimulated": scanned.simulated,
    })
}

fn repository(image: &str) -> &str {
    let image = image.split('@').next().unwrap_or(image);
    match image.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => image,
    }
}

/// Scans by what the simulated clusters know about their images.
#[derive(Debug)]
pub struct CatalogueScanner(pub Arc<sandbox::ImageCatalogue>);

impl Scanner for CatalogueScanner {
    fn scan(&self, image: &str) -> Result<Scanned, String> {
        // Also where unknown images run: about one that nobody described there is nothing to say.
        let found = self.0.find(image, false).map_err(|error| error.to_string())?;
        let vulnerable = |package: &sim::catalogue::Package| {
            let (name, version, kind) = (package.name.clone(), package.version.clone(), package.kind.clone());
            let entries = package.vulnerabilities.iter().map(move |known| Vulnerable {
                id: known.id.clone(),
                package: name.clone(),
                installed: version.clone(),
                fixed: known.fixed_version.clone(),
                severity: known.severity.as_str().to_owned(),
                title: known.title.clone(),
                kind: kind.clone(),
            });
            entries.collect::<Vec<_>>()
        };
        let mut vulnerabilities: Vec<Vulnerable> = found.packages.iter().flat_map(vulnerable).collect();
        let rank = |severity: &str| ["CRITICAL", "HIGH", "MEDIUM", "LOW"].iter().position(|known| *known == severity).unwrap_or(4);
        vulnerabilities.sort_by(|a, b| rank(&a.severity).cmp(&rank(&b.severity)).then_with(|| a.id.cmp(&b.id)));
        Ok(Scanned {
            image: format!("{}:{}", found.reference.repository(), found.tag),
            digest: found.digest.clone(),
            os: found.image.os.clone(),
            simulated: true,
            vulnerabilities,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_reads_like_trivys_and_says_what_it_is() {
        let found = |id: &str, severity: &str, fixed: &str, kind: &str| Vulnerable {
            id: id.to_owned(),
            package: "openssl".to_owned(),
            installed: "1.0".to_owned(),
            fixed: fixed.to_owned(),
            severity: severity.to_owned(),
            title: "T".to_owned(),
            kind: kind.to_owned(),
        };
        let scanned = Scanned {
            image: "registry.example:5000/a/b:1".to_owned(),
            digest: "sha256:1".to_owned(),
            os: "debian".to_owned(),
            simulated: true,
            vulnerabilities: vec![found("CVE-1", "CRITICAL", "1.1", "debian"), found("CVE-2", "LOW", "", "python-pkg")],
        };
        let report = report(&scanned, "2026-01-01T00:00:00Z");
        assert_eq!(report["CordonSimulated"], true);
        assert_eq!(report["Metadata"]["RepoDigests"][0], "registry.example:5000/a/b@sha256:1");
        assert_eq!(report["Results"][0]["Vulnerabilities"][0]["FixedVersion"], "1.1");
        assert_eq!(report["Results"][1]["Class"], "lang-pkgs");
        assert_eq!(report["Results"][1]["Vulnerabilities"][0]["Status"], "affected");
    }
}
