//! OPA's functions that regorus lacks, and those of regorus' whose results can be much larger than what they are given.
//!
//! <https://www.openpolicyagent.org/docs/latest/policy-reference/#built-in-functions>. As in OPA, a function that is given what it does
//! not take has no value; only what is too big ends an evaluation.

mod bounded;
mod external;
mod hashes;
mod networks;
mod sprintf;
mod times;
mod values;

pub(super) use bounded::weigh;
pub use external::Providers;

use super::Data;
use anyhow::Result;
use regorus::{Engine, Value, unstable::BUILTINS};
use std::sync::Arc;

/// A function of fixed arity; `Undefined` where it has no value.
type Function = fn(&[Value]) -> Result<Value>;
type Entry = (&'static str, u8, Function);

const SPRINTF: &[Entry] = &[("sprintf", 2, sprintf::sprintf)];

/// Functions that are answered from evidence, which is known when a program runs.
const OF_EVIDENCE: [(&str, usize); 2] = [("external_data", 1), ("time.now_ns", 0)];

fn entries() -> impl Iterator<Item = &'static Entry> {
    let tables = [values::FUNCTIONS, hashes::FUNCTIONS, networks::FUNCTIONS, times::FUNCTIONS, bounded::FUNCTIONS, SPRINTF];
    tables.into_iter().flatten()
}

/// Makes the functions known to an engine.
pub(super) fn add(engine: &mut Engine) {
    for (name, arity, function) in entries() {
        let function = *function;
        // Each name stands in the tables once.
        let added = engine.add_extension((*name).to_owned(), *arity, Box::new(move |arguments: Vec<Value>| function(&arguments)));
        debug_assert!(added.is_ok(), "{name} is there twice");
    }
}

/// Makes the functions that are answered from evidence known to an engine.
pub(super) fn add_evidence(engine: &mut Engine, data: &Data) -> Result<()> {
    let providers = Arc::new(data.providers.clone());
    engine.add_extension(
        "external_data".to_owned(),
        1,
        Box::new(move |arguments: Vec<Value>| -> Result<Value> { Ok(providers.answer(&arguments[0])) }),
    )?;
    let now = data.now.map_or(Value::Undefined, Value::from);
    engine.add_extension("time.now_ns".to_owned(), 0, Box::new(move |_: Vec<Value>| -> Result<Value> { Ok(now.clone()) }))
}

/// The number of arguments of a known function; `Some(None)` where any number will do.
pub(super) fn arity(name: &str) -> Option<Option<usize>> {
    if name == "print" {
        return Some(None);
    }
    let own = entries().find(|(known, ..)| *known == name).map(|(_, arity, _)| usize::from(*arity));
    let evident = OF_EVIDENCE.iter().find(|(known, _)| *known == name).map(|(_, arity)| *arity);
    own.or(evident).or_else(|| BUILTINS.get(name).map(|(_, arity)| usize::from(*arity))).map(Some)
}

/// Why a function of OPA's is not there.
pub(super) fn refused(name: &str) -> Option<&'static str> {
    let family = |prefix: &str| name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('.'));
    Some(match name {
        "http.send" | "net.lookup_ip_addr" => "programs cannot reach a network here; Gatekeeper's way to other systems is external_data",
        "opa.runtime" => "there is no OPA configuration in Gatekeeper",
        "json.match_schema" | "json.verify_schema" | "strings.render_template" | "regex.globs_match" => "Cordon does not know it",
        "time.parse_ns" | "uuid.parse" | "uri.parse" | "uri.is_valid" => "Cordon does not know it",
        _ if ["io.jwt", "crypto.x509", "graphql", "rego", "providers.aws"].iter().any(|prefix| family(prefix)) => {
            "Cordon does not know this family of functions"
        }
        _ => return None,
    })
}

/// The text of a value.
fn text(value: &Value) -> Option<&str> {
    value.as_string().ok().map(|text| text.as_ref())
}

/// A value, or none.
fn or_undefined(value: Option<Value>) -> Result<Value> {
    Ok(value.unwrap_or(Value::Undefined))
}
