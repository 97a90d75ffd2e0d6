//! `cordon check gatekeeper mutate` and `expand`: what becomes of objects.

use super::{Problem, code, read};
use crate::cli::check::{Object, UNREADABLE, print};
use crate::cli::complain;
use anyhow::Result;
use gatekeeper::{
    Inventory, Origin,
    expansion::{self, Expander},
    mutation::{self, Mutable, System},
};
use machinery::object;
use serde_json::Value;
use std::{path::PathBuf, process::ExitCode};

#[derive(Debug, clap::Args)]
struct Given {
    /// Files with mutators and ExpansionTemplates, again and again.
    #[arg(long = "policies", short = 'p', value_name = "FILE", required = true)]
    policies: Vec<PathBuf>,
    /// Files with Namespaces, which selectors ask for.
    #[arg(long = "inventory", short = 'i', value_name = "FILE")]
    inventory: Vec<PathBuf>,
    /// Files with objects; `-` reads the standard input. The answer is JSON, one object a line.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub struct Mutate {
    #[command(flatten)]
    given: Given,
    /// What is done to the objects: CREATE or UPDATE.
    #[arg(long, value_name = "OPERATION", default_value = "CREATE")]
    operation: String,
}

#[derive(Debug, clap::Args)]
pub struct Expand {
    #[command(flatten)]
    given: Given,
}

/// What files hold that objects are changed by.
struct Held {
    mutators: System,
    expander: Expander,
    inventory: Inventory,
    objects: Vec<Object>,
}

pub fn mutate(arguments: &Mutate) -> Result<ExitCode> {
    each(&arguments.given, |held, value, namespace| {
        let mut value = value.clone();
        let about = Mutable { namespace, origin: Origin::Original, operation: &arguments.operation };
        held.mutators.mutate(&mut value, &about).map_err(|error| error.to_string())?;
        Ok(vec![value])
    })
}

pub fn expand(arguments: &Expand) -> Result<ExitCode> {
    each(&arguments.given, |held, value, namespace| {
        let mut value = value.clone();
        let about = Mutable { namespace, origin: Origin::Original, operation: "" };
        held.mutators.mutate(&mut value, &about).map_err(|error| error.to_string())?;
        let made = held.expander.expand(&value, namespace, &held.mutators).map_err(|error| error.to_string())?;
        Ok(made.into_iter().map(|resultant| resultant.object).collect())
    })
}

/// Prints what `change` makes of each object.
fn each(given: &Given, change: impl Fn(&Held, &Value, Option<&Value>) -> Result<Vec<Value>, String>) -> Result<ExitCode> {
    let Some(held) = hold(given) else { return Ok(UNREADABLE.into()) };
    let mut failed = false;
    for object in &held.objects {
        let value = &object.manifest.value;
        match change(&held, value, held.inventory.namespace(object::namespace(value))) {
            Ok(changed) => {
                for one in changed {
                    print(&serde_json::to_string(&one)?);
                }
            }
            Err(why) => {
                complain(format_args!("{}: {why}", object.at("")));
                failed = true;
            }
        }
    }
    Ok(code(failed))
}

/// Reads all files; complaints go to stderr.
fn hold(given: &Given) -> Option<Held> {
    let (policies, inventory, objects) = (read(&given.policies)?, read(&given.inventory)?, read(&given.files)?);
    let mut held = Held { mutators: System::default(), expander: Expander::default(), inventory: Inventory::default(), objects };
    let mut whole = true;
    for object in &policies {
        let value = &object.manifest.value;
        let added = match value {
            value if mutation::is_mutator(value) => held.mutators.add(value),
            value if expansion::is_expansion_template(value) => held.expander.add(value),
            // Other objects of the same files are another command's business.
            _ => Ok(()),
        };
        if let Err(finding) = added {
            complain(Problem { object, finding }.text());
            whole = false;
        }
    }
    for object in &inventory {
        if let Err(why) = held.inventory.add(&object.manifest.value) {
            complain(format_args!("{}: {why}", object.at("")));
            whole = false;
        }
    }
    whole.then_some(held)
}
