//! What all clusters of one shape begin from: bootstrapped once in a process, then shared.

use crate::{
    files::Description,
    options::{Options, SandboxError},
};
use apiserver::{Server, Snapshot};
use jiff::{SignedDuration, Timestamp};
use machinery::{Clock, clock::ManualClock};
use parking_lot::Mutex;
use sim::bootstrap::{self, ClusterSpec};
use std::sync::Arc;

/// Shapes that are remembered. A class uses one; a lab test a few.
const REMEMBERED: usize = 16;
/// How old a cluster may look at its beginning.
const FRESH: SignedDuration = SignedDuration::from_mins(30);

#[derive(Debug)]
struct Template {
    spec: ClusterSpec,
    certificate_authority: String,
    issuer: String,
    made_at: Timestamp,
    snapshot: Snapshot,
}

static TEMPLATES: Mutex<Vec<Arc<Template>>> = Mutex::new(Vec::new());

/// The first state of a cluster. Its objects carry the time at which the shape was last made, which is never in the future and not
/// long past, as with a cluster out of a warm pool.
pub fn of(options: &Options, description: &Description) -> Result<Snapshot, SandboxError> {
    let now = description.created_at;
    let matches = |template: &Arc<Template>| {
        template.spec == description.spec
            && template.certificate_authority == options.certificate_authority
            && template.issuer == options.issuer
            && template.made_at <= now
            && now.duration_since(template.made_at) <= FRESH
    };
    if let Some(template) = TEMPLATES.lock().iter().find(|template| matches(template)) {
        return Ok(template.snapshot.clone());
    }
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(now));
    let server = Server::open(apiserver::Options {
        clock,
        // Not the cluster's own: both would draw the same uids, one after another, and owners would be mistaken for others.
        seed: !description.seed,
        token_secret: description.token_secret(),
        journal: None,
        issuer: options.issuer.clone(),
        certificate_authority: options.certificate_authority.clone(),
    })
    .map_err(SandboxError::disk("making a template"))?;
    bootstrap::bootstrap(&server, &description.spec).map_err(|source| SandboxError::Bootstrap { id: description.id.clone(), source })?;
    let template = Arc::new(Template {
        spec: description.spec.clone(),
        certificate_authority: options.certificate_authority.clone(),
        issuer: options.issuer.clone(),
        made_at: now,
        snapshot: server.snapshot().shared(),
    });
    let mut templates = TEMPLATES.lock();
    templates.retain(|other| other.spec != template.spec || other.certificate_authority != template.certificate_authority);
    if templates.len() >= REMEMBERED {
        templates.remove(0);
    }
    templates.push(Arc::clone(&template));
    Ok(template.snapshot.clone())
}
