//! `cordon doctor`: what this machine can run, and why not.

use crate::cli::{print, serve::Place};
use crate::config::{Config, Engine};
use crate::state::{SystemClock, programs, server::jail_config};
use clap::{Args, ValueEnum};
use machinery::Clock;
use provision::{Capabilities, SandboxProvisioner, kind::preflight};
use serde::Serialize;
use std::process::ExitCode;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    place: Place,
    /// Whether so many learners fit on this machine, each with a real cluster, and what runs out first.
    #[arg(long)]
    learners: Option<u64>,
    /// Lines for people, or JSON for machines.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Line {
    what: String,
    /// `None`: neither good nor bad, only so.
    good: Option<bool>,
    says: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    help: String,
}

#[derive(Debug, Serialize)]
struct Section {
    title: &'static str,
    lines: Vec<Line>,
}

fn line(what: &str, good: impl Into<Option<bool>>, says: impl Into<String>, help: impl Into<String>) -> Line {
    Line { what: what.to_owned(), good: good.into(), says: says.into(), help: help.into() }
}

/// Exit code 1 where labs cannot be done at all.
pub async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let config = arguments.place.read_config()?;
    let (engine, docker) = kind(&config).await;
    let gpus = gpus(&config).await;
    let mut sections = tokio::task::spawn_blocking(|| vec![engines(engine), docker, gpus, shell(), tools(), hardware()]).await?;
    if let Some(learners) = arguments.learners {
        let verdicts = match provision::kind::will_fit(&config.kind, learners, SystemClock.now()).await {
            Ok(verdicts) => verdicts,
            Err(error) => vec![preflight::Verdict::fatal("learners", crate::app::error::chain(&error), "")],
        };
        sections.push(section("Room for learners", verdicts));
    }
    match arguments.format {
        Format::Json => print(serde_json::to_string_pretty(&sections)?),
        Format::Text => show(&sections),
    }
    let usable = sections.first().is_some_and(|engines| engines.lines.iter().any(|line| line.good == Some(true)));
    Ok(if usable { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn show(sections: &[Section]) {
    for section in sections {
        print(section.title);
        for line in &section.lines {
            let mark = match line.good {
                Some(true) => "ok",
                Some(false) => "no",
                None => "--",
            };
            print(format_args!("  {mark}  {}: {}", line.what, line.says));
            for help in line.help.lines() {
                print(format_args!("        {help}"));
            }
        }
    }
}

/// Whether real clusters can run here, in one line for the engines and with everything that was looked at.
async fn kind(config: &Config) -> (Line, Section) {
    let settings = &config.kind;
    let verdicts = match provision::kind::examine(settings, SystemClock.now()).await {
        Ok(verdicts) => verdicts,
        Err(error) => vec![preflight::Verdict::fatal("Docker", crate::app::error::chain(&error), "")],
    };
    let (good, says) = match preflight::fatal(&verdicts) {
        Some(why) => (false, why),
        None if config.engine == Engine::Kind => (true, format!("real clusters of {}", settings.image)),
        None => (true, format!("real clusters of {}, where the configuration says engine = \"kind\"", settings.image)),
    };
    (line("kind", good, says, ""), section("Real clusters (kind)", verdicts))
}

/// GPUs of this machine, for real clusters; the sandbox simulates its own.
async fn gpus(config: &Config) -> Section {
    section("GPUs", provision::kind::examine_gpus(&config.kind).await)
}

fn section(title: &'static str, verdicts: Vec<preflight::Verdict>) -> Section {
    let lines = verdicts.into_iter().map(|verdict| {
        let good = match verdict.grade {
            preflight::Grade::Fine => Some(true),
            preflight::Grade::Narrow => None,
            preflight::Grade::Fatal => Some(false),
        };
        line(verdict.what, good, verdict.says, verdict.remedy)
    });
    Section { title, lines: lines.collect() }
}

fn engines(kind: Line) -> Section {
    let engine = |name: &str, capabilities: Capabilities| {
        let says = match &capabilities.unavailable {
            Some(why) => why.clone(),
            None if capabilities.simulated => "an embedded Kubernetes; nodes, GPUs and containers are simulated".to_owned(),
            None => "available".to_owned(),
        };
        line(name, capabilities.unavailable.is_none(), says, "")
    };
    let lines = vec![engine("sandbox", SandboxProvisioner::offers()), kind, engine("host", provision::host::offers())];
    Section { title: "Engines", lines }
}

fn shell() -> Section {
    let title = "Shell in the browser";
    let lacking = |why: String| Section {
        title,
        lines: vec![line("jail", false, why, "Without it labs are done in the editor, or with kubectl on one's own machine.")],
    };
    let Ok(folder) = tempfile::Builder::new().prefix("cordon-doctor-").tempdir() else {
        return lacking("no temporary folder can be made".to_owned());
    };
    let jails = match jail::Jails::open(jail_config(folder.path())) {
        Ok(jails) => jails,
        Err(error) => return lacking(crate::app::error::chain(&error)),
    };
    let report = jails.report();
    let mut lines = vec![if report.available {
        line("jail", true, format!("works ({})", report.bubblewrap.trim()), "")
    } else {
        line("jail", false, report.problem.clone(), report.hint.clone())
    }];
    if report.available {
        let says = if report.own_uid {
            "each learner has one of their own"
        } else {
            "all learners share this user's; run the server as root to separate them"
        };
        lines.push(line("uid", report.own_uid, says, ""));
        lines.extend(report.limits.iter().map(|limit| line(&format!("limit on {}", limit.name), limit.holds, limit.how.clone(), "")));
        lines.extend(
            report.programs.iter().map(|(name, there)| line(name, *there, if *there { "in the shell" } else { "not in the shell" }, "")),
        );
    }
    Section { title, lines }
}

fn tools() -> Section {
    let kubectl = match programs::kubectl() {
        Some(path) => line("kubectl", true, format!("1.{} ({})", programs::kubectl_minor(&path).unwrap_or(0), path.display()), ""),
        None => match programs::find("kubectl") {
            Some(path) => line("kubectl", false, format!("{} is older than 1.31", path.display()), "`make run` fetches one of its own."),
            None => line("kubectl", false, "not found", "`make run` fetches one; or see https://kubernetes.io/docs/tasks/tools/"),
        },
    };
    let docker = match programs::find("docker") {
        None => line("Docker", None, "not installed; only real clusters need it", ""),
        Some(path) => match programs::output(&path, &["version", "--format", "{{.Server.Version}}"]) {
            Some(version) => line("Docker", None, format!("{}; only real clusters need it", version.trim()), ""),
            None => line("Docker", None, "installed, but its daemon does not answer; only real clusters need it", ""),
        },
    };
    let bwrap = match programs::find("bwrap").and_then(|path| programs::output(&path, &["--version"])) {
        Some(version) => line("bubblewrap", true, version.trim().to_owned(), ""),
        None => line("bubblewrap", false, "not found", "apt-get install bubblewrap"),
    };
    Section { title: "Programs", lines: vec![kubectl, bwrap, docker] }
}

fn hardware() -> Section {
    let restricts = std::fs::read_to_string("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").ok();
    let apparmor = match (restricts.as_deref().map(str::trim), jail::apparmor_profile()) {
        (Some("1"), Some(profile)) => {
            line("AppArmor", true, format!("restricts user namespaces; bubblewrap has the profile {profile}"), "")
        }
        (Some("1"), None) => line(
            "AppArmor",
            false,
            "restricts user namespaces (as Ubuntu 24.04 does); bubblewrap needs a profile: bwrap-userns-restrict of the package apparmor-profiles",
            "The jail's line above says how to load it, where the jail does not work.",
        ),
        _ => line("AppArmor", None, "does not restrict user namespaces", ""),
    };
    Section { title: "Machine", lines: vec![apparmor] }
}
