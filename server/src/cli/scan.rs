//! `cordon scan`: asks the cluster's server what it knows about an image.

use crate::cli::print;
use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use std::process::ExitCode;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Json,
    Table,
}

#[derive(Debug, Args)]
pub struct Arguments {
    /// As a pod names it: tensorflow/serving:2.14.0
    #[arg(value_name = "IMAGE")]
    image: String,
    /// `json`: as `trivy image --format json` writes it, marked as simulated where it is. `table`: one line for each finding.
    #[arg(long, short, value_enum, default_value = "json")]
    format: Format,
    /// Exit with 1 where there is a finding of this severity or a higher one.
    #[arg(long, value_name = "SEVERITY", value_parser = ["LOW", "MEDIUM", "HIGH", "CRITICAL"])]
    fail_on: Option<String>,
}

const SEVERITIES: [&str; 4] = ["LOW", "MEDIUM", "HIGH", "CRITICAL"];

pub async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    // Where a build holds two providers (the whole workspace's does), one has to be named; a second naming is no fault.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = kube::Config::from_kubeconfig(&kube::config::KubeConfigOptions::default()).await;
    let config = config.context("cordon scan asks your lab's server; KUBECONFIG must lead to your lab's cluster")?;
    let base = config.cluster_url.path().trim_end_matches('/').to_owned();
    if !base.contains("/clusters/") {
        bail!("KUBECONFIG does not lead to a lab's cluster");
    }
    let client = kube::Client::try_from(config).context("cannot use this kubeconfig")?;
    let request = http::Request::post("/cordon/v1/scan")
        .header("content-type", "application/json")
        .body(serde_json::to_vec(&json!({"image": arguments.image}))?)?;
    let report: Value = match client.request(request).await {
        Ok(report) => report,
        Err(kube::Error::Api(status)) => bail!("{}", status.message),
        Err(error) => return Err(error).context("the server could not be asked"),
    };
    let found = vulnerabilities(&report);
    match arguments.format {
        Format::Json => print(serde_json::to_string_pretty(&report)?),
        Format::Table => print_table(&report, &found),
    }
    // Creation times are whole seconds: what is deployed after this command must be seen to come after the scan.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let rank = |severity: &str| SEVERITIES.iter().position(|known| *known == severity);
    let failed =
        arguments.fail_on.as_deref().and_then(rank).is_some_and(|least| {
            found.iter().any(|entry| entry["Severity"].as_str().and_then(rank).is_some_and(|severity| severity >= least))
        });
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn vulnerabilities(report: &Value) -> Vec<&Value> {
    let results = report["Results"].as_array().map(Vec::as_slice).unwrap_or_default();
    results.iter().flat_map(|result| result["Vulnerabilities"].as_array().map(Vec::as_slice).unwrap_or_default()).collect()
}

fn print_table(report: &Value, found: &[&Value]) {
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    print(format_args!("{}{}", text(report, "ArtifactName"), if report["CordonSimulated"] == true { " (simulated)" } else { "" }));
    print(report["Metadata"]["RepoDigests"][0].as_str().unwrap_or_default());
    if found.is_empty() {
        print("no known vulnerabilities");
    }
    for entry in found {
        let fixed =
            if text(entry, "FixedVersion").is_empty() { "no fix".to_owned() } else { format!("fixed in {}", text(entry, "FixedVersion")) };
        print(format_args!(
            "{:<9} {:<18} {} {} ({fixed}) {}",
            text(entry, "Severity"),
            text(entry, "VulnerabilityID"),
            text(entry, "PkgName"),
            text(entry, "InstalledVersion"),
            text(entry, "Title")
        ));
    }
}
