//! `cordon check rbac`.

use super::{FINDINGS, Format, Object, UNREADABLE, print, read};
use ::rbac::{Attributes, Policy, Subject, User};
use anyhow::Result;
use clap::Subcommand;
use machinery::{Resource, Scheme, selector::LabelSelector};
use serde_json::{Value, json};
use std::{path::PathBuf, process::ExitCode, sync::Arc};

/// The verbs that a matrix shows where none are named.
const VERBS: [&str; 8] = ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"];

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    question: Question,
}

#[derive(Debug, Subcommand)]
enum Question {
    /// May a user do this? Exit 0 yes, 1 no, with the binding that says so.
    CanI(CanI),
    /// Who may? A row for each subject that a binding names, a column for each verb.
    WhoCan(WhoCan),
    /// May a user grant the roles of these files, given the roles and bindings of others? Exit 0 yes, 1 no, with what is missing.
    MayGrant(MayGrant),
    /// Bindings that lead nowhere, rules that say nothing, and powers that are more than they look.
    Lint(Files),
}

#[derive(Debug, clap::Args)]
struct Files {
    /// Lines for people, or JSON for programs.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// YAML or JSON files with Roles, ClusterRoles and their bindings; `-` reads the standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct Asker {
    /// The user's name; `system:serviceaccount:NAMESPACE:NAME` for a service account.
    #[arg(long = "as", value_name = "USER")]
    user: String,
    /// A group of the user, again and again; without it `system:authenticated` and, for service accounts, theirs.
    #[arg(long = "as-group", value_name = "GROUP")]
    groups: Vec<String>,
}

#[derive(Debug, clap::Args)]
struct CanI {
    /// As `get`, `list`, `impersonate`.
    verb: String,
    /// `RESOURCE`, `RESOURCE.GROUP`, `RESOURCE/NAME` or a URL's path that begins with `/`.
    #[arg(value_name = "RESOURCE")]
    what: String,
    #[command(flatten)]
    asker: Asker,
    /// Without it the question is for the whole cluster.
    #[arg(long, short)]
    namespace: Option<String>,
    /// As `log`, `exec`, `status`, `scale`.
    #[arg(long)]
    subresource: Option<String>,
    #[command(flatten)]
    files: Files,
}

#[derive(Debug, clap::Args)]
struct WhoCan {
    /// `RESOURCE`, `RESOURCE.GROUP`, `RESOURCE/NAME` or a URL's path that begins with `/`.
    #[arg(value_name = "RESOURCE")]
    what: String,
    /// A verb to show, again and again; without it the eight of a resource.
    #[arg(long = "verb", value_name = "VERB")]
    verbs: Vec<String>,
    /// Without it the question is for the whole cluster.
    #[arg(long, short)]
    namespace: Option<String>,
    /// As `log`, `exec`, `status`, `scale`.
    #[arg(long)]
    subresource: Option<String>,
    #[command(flatten)]
    files: Files,
}

#[derive(Debug, clap::Args)]
struct MayGrant {
    #[command(flatten)]
    asker: Asker,
    /// What holds already: roles and bindings.
    #[arg(long = "given", value_name = "FILE", required = true)]
    given: Vec<PathBuf>,
    #[command(flatten)]
    files: Files,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    match &arguments.question {
        Question::CanI(asked) => can_i(asked),
        Question::WhoCan(asked) => who_can(asked),
        Question::MayGrant(asked) => may_grant(asked),
        Question::Lint(files) => lint(files),
    }
}

fn policy<'a>(objects: impl IntoIterator<Item = &'a Object>) -> Policy {
    Policy::new(objects.into_iter().map(|object| &object.manifest.value), |selector, labels| {
        LabelSelector::from_object(selector).is_ok_and(|selector| selector.matches(labels.as_object()))
    })
}

impl Asker {
    fn groups(&self) -> Vec<String> {
        if !self.groups.is_empty() {
            return self.groups.clone();
        }
        let account = self.user.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'));
        match account {
            Some((namespace, name)) => Subject::ServiceAccount { namespace: namespace.to_owned(), name: name.to_owned() },
            None => Subject::User(self.user.clone()),
        }
        .groups()
    }
}

/// `deployments.apps/serving` with its group; a resource without a group is looked up among the built-in ones, as kubectl does.
fn attributes(verb: &str, what: &str, namespace: Option<&str>, subresource: Option<&str>) -> Attributes {
    if what.starts_with('/') {
        return Attributes { verb: verb.to_owned(), path: what.to_owned(), ..Attributes::default() };
    }
    let (kind, name) = what.split_once('/').unwrap_or((what, ""));
    let (resource, group) = match kind.split_once('.') {
        Some((resource, group)) => (resource.to_owned(), group.to_owned()),
        None => {
            let named = |known: &&Arc<Resource>| {
                known.plural == kind || known.singular == kind || known.short_names.iter().any(|short| short == kind)
            };
            let known = Scheme::builtin().iter().find(named);
            known.map_or_else(|| (kind.to_owned(), String::new()), |known| (known.plural.to_string(), known.group.to_string()))
        }
    };
    Attributes {
        verb: verb.to_owned(),
        is_resource: true,
        group,
        resource,
        subresource: subresource.unwrap_or_default().to_owned(),
        namespace: namespace.unwrap_or_default().to_owned(),
        name: name.to_owned(),
        ..Attributes::default()
    }
}

fn can_i(asked: &CanI) -> Result<ExitCode> {
    let Some(objects) = read(&asked.files.files) else { return Ok(UNREADABLE.into()) };
    let attributes = attributes(&asked.verb, &asked.what, asked.namespace.as_deref(), asked.subresource.as_deref());
    let groups = asked.asker.groups();
    let reason = ::rbac::authorize(&policy(&objects), User { name: &asked.asker.user, groups: &groups }, &attributes);
    let why = reason.clone().unwrap_or_else(|| ::rbac::refusal(&asked.asker.user, &attributes));
    match asked.files.format {
        Format::Json => print(&json!({"allowed": reason.is_some(), "reason": why}).to_string()),
        Format::Text => print(&format!(
            "{}{}",
            if reason.is_some() { "yes" } else { "no" },
            if why.is_empty() { String::new() } else { format!(" - {why}") }
        )),
    }
    Ok(if reason.is_some() { ExitCode::SUCCESS } else { FINDINGS.into() })
}

fn who_can(asked: &WhoCan) -> Result<ExitCode> {
    let Some(objects) = read(&asked.files.files) else { return Ok(UNREADABLE.into()) };
    let policy = policy(&objects);
    let verbs: Vec<&str> = match asked.verbs.as_slice() {
        [] if asked.what.starts_with('/') => vec!["get"],
        [] => VERBS.to_vec(),
        named => named.iter().map(String::as_str).collect(),
    };
    let about = |verb: &str| attributes(verb, &asked.what, asked.namespace.as_deref(), asked.subresource.as_deref());
    let rows: Vec<(Subject, Vec<Option<String>>)> = ::rbac::subjects(&policy)
        .into_iter()
        .map(|subject| {
            let cells = verbs.iter().map(|verb| policy.allows(&subject, &about(verb))).collect();
            (subject, cells)
        })
        .collect();
    match asked.files.format {
        Format::Json => {
            let rows = rows.iter().map(|(subject, cells)| {
                let allowed: serde_json::Map<String, Value> =
                    verbs.iter().zip(cells).filter_map(|(verb, why)| Some(((*verb).to_owned(), why.clone()?.into()))).collect();
                json!({"subject": subject.to_string(), "allowed": allowed})
            });
            print(
                &json!({"resource": asked.what, "namespace": asked.namespace, "verbs": verbs, "subjects": rows.collect::<Vec<_>>()})
                    .to_string(),
            );
        }
        Format::Text => print(&table(&verbs, &rows)),
    }
    Ok(ExitCode::SUCCESS)
}

fn table(verbs: &[&str], rows: &[(Subject, Vec<Option<String>>)]) -> String {
    let width = rows.iter().map(|(subject, _)| subject.to_string().chars().count()).max().unwrap_or(0);
    let mut out = format!("{:width$}", "");
    verbs.iter().for_each(|verb| out += &format!("  {verb}"));
    for (subject, cells) in rows {
        out += &format!("\n{:width$}", subject.to_string());
        for (verb, cell) in verbs.iter().zip(cells) {
            out += &format!("  {:<wide$}", if cell.is_some() { "yes" } else { "-" }, wide = verb.len());
        }
        out.truncate(out.trim_end().len());
    }
    out
}

fn may_grant(asked: &MayGrant) -> Result<ExitCode> {
    let (Some(given), Some(objects)) = (read(&asked.given), read(&asked.files.files)) else { return Ok(UNREADABLE.into()) };
    let held = policy(&given);
    let all = policy(given.iter().chain(&objects));
    let groups = asked.asker.groups();
    let user = User { name: &asked.asker.user, groups: &groups };
    let mut refused = Vec::new();
    for object in &objects {
        if let Err(why) = ::rbac::escalation::check(&held, &all, user, &object.manifest.value, None) {
            refused.push((object.at(""), why));
        }
    }
    match asked.files.format {
        Format::Json => {
            let refused: Vec<Value> = refused.iter().map(|(at, why)| json!({"object": at, "message": why.to_string()})).collect();
            print(&json!({"allowed": refused.is_empty(), "refused": refused}).to_string());
        }
        Format::Text if refused.is_empty() => print("yes"),
        Format::Text => print(&refused.iter().map(|(at, why)| format!("{at}: {why}")).collect::<Vec<_>>().join("\n")),
    }
    Ok(if refused.is_empty() { ExitCode::SUCCESS } else { FINDINGS.into() })
}

fn lint(files: &Files) -> Result<ExitCode> {
    let Some(objects) = read(&files.files) else { return Ok(UNREADABLE.into()) };
    let found = ::rbac::findings(&policy(&objects));
    let place = |finding: &::rbac::Finding| {
        objects.iter().find(|object| {
            let (value, metadata) = (&object.manifest.value, &object.manifest.value["metadata"]);
            let home = metadata["namespace"].as_str().unwrap_or_default();
            value["kind"] == finding.kind
                && metadata["name"] == finding.name
                && (home == finding.namespace || (home.is_empty() && finding.namespace == "default"))
        })
    };
    match files.format {
        Format::Json => {
            let found: Vec<Value> = found
                .iter()
                .map(|finding| {
                    let (file, line) = place(finding)
                        .map_or((Value::Null, 0), |object| (object.file.as_str().into(), object.manifest.line(&finding.field)));
                    json!({"file": file, "line": line, "control": finding.control, "kind": finding.kind, "namespace": finding.namespace,
                        "name": finding.name, "field": finding.field, "message": finding.message})
                })
                .collect();
            print(&json!({"findings": found}).to_string());
        }
        Format::Text if found.is_empty() => print("nothing found"),
        Format::Text => {
            let lines = found.iter().map(|finding| {
                let at = place(finding).map_or_else(|| finding.field.clone(), |object| object.at(&finding.field));
                format!("{at} [{}] {}", finding.control, finding.message)
            });
            print(&lines.collect::<Vec<_>>().join("\n"));
        }
    }
    Ok(if found.is_empty() { ExitCode::SUCCESS } else { FINDINGS.into() })
}
