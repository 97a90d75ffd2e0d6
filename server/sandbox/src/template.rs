//! What all clusters of one shape begin from: bootstrapped once in a process, then shared.

use crate::{
    files::Description,
    options::{Options, SandboxError},
};
use apiserver::{Server, Snapshot};
use machinery::{Clock, clock::ManualClock};
use parking_lot::Mutex;
use sim::bootstrap::{self, ClusterSpec};
use std::sync::Arc;

/// Shapes that are remembered. A class uses one; a lab test a few.
const REMEMBERED: usize = 16;

#[derive(Debug)]
struct Template {
    spec: ClusterSpec,
    certificate_authority: String,
    snapshot: Snapshot,
}

static TEMPLATES: Mutex<Vec<Arc<Template>>> = Mutex::new(Vec::new());

/// The first state of a cluster. All its objects carry the time at which the shape was first asked for.
pub fn of(options: &Options, description: &Description) -> Result<Snapshot, SandboxError> {
    let matches =
        |template: &Arc<Template>| template.spec == description.spec && template.certificate_authority == options.certificate_authority;
    if let Some(template) = TEMPLATES.lock().iter().find(|template| matches(template)) {
        return Ok(template.snapshot.clone());
    }
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(description.created_at));
    let server = Server::open(apiserver::Options {
        clock,
        seed: description.seed,
        journal: None,
        issuer: options.issuer.clone(),
        certificate_authority: options.certificate_authority.clone(),
    })
    .map_err(SandboxError::disk("making a template"))?;
    bootstrap::bootstrap(&server, &description.spec).map_err(|source| SandboxError::Bootstrap { id: description.id.clone(), source })?;
    let template = Arc::new(Template {
        spec: description.spec.clone(),
        certificate_authority: options.certificate_authority.clone(),
        snapshot: server.snapshot(),
    });
    let mut templates = TEMPLATES.lock();
    if templates.len() >= REMEMBERED {
        templates.remove(0);
    }
    templates.push(Arc::clone(&template));
    Ok(template.snapshot.clone())
}
