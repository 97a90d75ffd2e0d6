//! `cordon check network-policy`.

use super::{FINDINGS, Format, Object, UNREADABLE, complain, print, read};
use anyhow::Result;
use network_policy::{AdminKind, AdminPolicy, Cluster, EndpointKind, Protocol, from_resource, validate};
use serde_json::{Value, json};
use std::{collections::BTreeSet, path::PathBuf, process::ExitCode};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Only say what the API server would say about each policy, and which administrators' policies leave their order open.
    #[arg(long, conflicts_with_all = ["from", "to", "port"])]
    validate: bool,
    /// TCP, UDP or SCTP; with --port the matrix of that port alone.
    #[arg(long, default_value = "TCP", ignore_case = true)]
    protocol: Protocol,
    /// The destination pod's port. Without it: one matrix for every port that any pod declares.
    #[arg(long)]
    port: Option<u16>,
    /// Ask for one connection (`namespace/pod`, or an external address): exit 0 allowed, 1 denied, with the rule that decided.
    #[arg(long, requires = "to", requires = "port", value_name = "POD")]
    from: Option<String>,
    /// The other end of the connection.
    #[arg(long, requires = "from", value_name = "POD")]
    to: Option<String>,
    /// Add to JSON why each denied cell is denied, or with `--why=all` what decides each cell.
    #[arg(long, value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "denied", value_name = "CELLS")]
    why: Option<Why>,
    /// A drawn matrix, or JSON with its rows.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// YAML or JSON files with Namespaces, Pods, Nodes, NetworkPolicies, AdminNetworkPolicies, BaselineAdminNetworkPolicies,
    /// ClusterNetworkPolicies (and ExternalEndpoints: `spec.ip`, `spec.domainNames`); `-` reads the standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Why {
    Denied,
    All,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let Some(objects) = read(&arguments.files) else { return Ok(UNREADABLE.into()) };
    if arguments.validate {
        return run_validate(arguments, &objects);
    }
    let mut cluster = Cluster::default();
    let mut whole = true;
    for object in &objects {
        match from_resource(&object.manifest.value) {
            Ok(resource) => resource.into_iter().for_each(|resource| cluster.add(resource)),
            Err(error) => {
                complain(format_args!("{} {}", object.at(&error.field), error.message));
                whole = false;
            }
        }
    }
    if !whole {
        return Ok(UNREADABLE.into());
    }
    if let (Some(from), Some(to), Some(port)) = (&arguments.from, &arguments.to, arguments.port) {
        return one_connection(arguments, &cluster, from, to, port);
    }
    let ports = match arguments.port {
        Some(port) => vec![(arguments.protocol, port)],
        None => declared_ports(&cluster),
    };
    match arguments.format {
        Format::Text => print(&text(&cluster, &ports)),
        Format::Json => {
            let matrices: Vec<Value> = ports.iter().map(|(protocol, port)| matrix_json(arguments, &cluster, *protocol, *port)).collect();
            let whole = match (arguments.port, matrices.as_slice()) {
                (Some(_), [one]) => one.to_string(),
                _ => json!({"matrices": matrices}).to_string(),
            };
            print(&whole);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn run_validate(arguments: &Arguments, objects: &[Object]) -> Result<ExitCode> {
    let mut lines = Vec::new();
    let mut problems = Vec::new();
    let mut policies = 0;
    let is_policy = |object: &&Object| object.manifest.value["kind"] == "NetworkPolicy" || AdminKind::of(&object.manifest.value).is_some();
    let mut cluster = Cluster::default();
    for object in objects {
        if is_policy(&object) {
            policies += 1;
            for problem in validate(&object.manifest.value) {
                let line = object.manifest.line(&problem.field);
                lines.push(format!("{} {}", object.at(&problem.field), problem.message));
                problems.push(json!({"file": object.file, "line": line, "object": object.manifest.id(), "field": problem.field, "message": problem.message}));
            }
        }
        // What cannot be read has its problem above, or is no policy.
        from_resource(&object.manifest.value).ok().flatten().into_iter().for_each(|resource| cluster.add(resource));
    }
    let tie = |(first, second): (&AdminPolicy, &AdminPolicy)| {
        format!("{} and {} share priority {} and pods: which one is asked first is not defined", first.name, second.name, first.priority)
    };
    let warnings: Vec<String> = cluster.ties().into_iter().map(tie).collect();
    match arguments.format {
        Format::Json => {
            print(&serde_json::to_string_pretty(&json!({"policies": policies, "problems": problems, "warnings": warnings}))?);
        }
        Format::Text => {
            if lines.is_empty() {
                lines.push(format!("{policies} valid"));
            }
            lines.extend(warnings.iter().map(|warning| format!("warning: {warning}")));
            print(&lines.join("\n"));
        }
    }
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { FINDINGS.into() })
}

fn one_connection(arguments: &Arguments, cluster: &Cluster, from: &str, to: &str, port: u16) -> Result<ExitCode> {
    let find = |id: &str| {
        let found = cluster.find(id);
        if found.is_none() {
            complain(format_args!("no pod {id} in these files"));
        }
        found
    };
    let (Some(source), Some(destination)) = (find(from), find(to)) else { return Ok(UNREADABLE.into()) };
    let decision = cluster.decide(source, destination, arguments.protocol, port);
    match arguments.format {
        Format::Text => {
            let word = if decision.allowed() { "allowed" } else { "denied" };
            print(&format!(
                "{from} → {to} {}/{port}: {word}\n  egress: {}\n  ingress: {}",
                arguments.protocol, decision.egress, decision.ingress
            ));
        }
        Format::Json => {
            let (egress, ingress) = (decision.egress.to_string(), decision.ingress.to_string());
            let port = json!({"protocol": arguments.protocol.as_str(), "port": port});
            print(
                &json!({"from": from, "to": to, "on": port, "allowed": decision.allowed(), "egress": egress, "ingress": ingress})
                    .to_string(),
            );
        }
    }
    Ok(if decision.allowed() { ExitCode::SUCCESS } else { FINDINGS.into() })
}

fn declared_ports(cluster: &Cluster) -> Vec<(Protocol, u16)> {
    let ports: BTreeSet<_> = cluster.endpoints().iter().flat_map(|endpoint| &endpoint.ports).map(|p| (p.protocol, p.number)).collect();
    ports.into_iter().collect()
}

fn matrix_json(arguments: &Arguments, cluster: &Cluster, protocol: Protocol, port: u16) -> Value {
    let matrix = cluster.matrix(protocol, port);
    let order: Vec<String> = cluster.endpoints().iter().map(network_policy::Endpoint::id).collect();
    let mut out = json!({"protocol": protocol.as_str(), "port": port, "order": order, "rows": matrix.rows()});
    if let Some(why) = arguments.why {
        let count = order.len();
        let cells = (0..count).flat_map(|from| (0..count).map(move |to| (from, to)));
        let explained = |allowed: bool| -> Vec<Value> {
            let cells = cells.clone().filter(|(from, to)| matrix.allowed(*from, *to) == allowed);
            cells
                .map(
                    |(from, to)| json!({"from": order[from], "to": order[to], "why": cluster.decide(from, to, protocol, port).to_string()}),
                )
                .collect()
        };
        out["denied"] = explained(false).into();
        if why == Why::All {
            out["allowed"] = explained(true).into();
        }
    }
    out
}

fn text(cluster: &Cluster, ports: &[(Protocol, u16)]) -> String {
    let endpoints = cluster.endpoints();
    if endpoints.is_empty() {
        return "no pods in these files".to_owned();
    }
    if ports.is_empty() {
        return "no pod declares a port; ask for one with --port".to_owned();
    }
    let width = endpoints.iter().map(|endpoint| endpoint.id().chars().count()).max().unwrap_or(0);
    let digits = endpoints.len().to_string().len();
    let mut out = String::from("rows: from, columns: to; . reachable, X not\n");
    for (protocol, port) in ports {
        out += &format!("\n{protocol}/{port}\n{:>digits$} {:width$}", "", "");
        (1..=endpoints.len()).for_each(|column| out += &format!(" {column:>digits$}"));
        out.push('\n');
        for (index, (endpoint, row)) in endpoints.iter().zip(cluster.matrix(*protocol, *port).rows()).enumerate() {
            out += &format!("{:>digits$} {:width$}", index + 1, endpoint.id());
            row.chars().for_each(|cell| out += &format!(" {cell:>digits$}"));
            if endpoint.kind == EndpointKind::External {
                out += "  (outside)";
            }
            out.push('\n');
        }
    }
    out
}
