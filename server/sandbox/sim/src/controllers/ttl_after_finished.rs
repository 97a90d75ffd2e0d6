//! Finished Jobs go `ttlSecondsAfterFinished` later.

use super::{
    common::{self, concerns, items, later, time},
    job,
};
use crate::step::{Context, Controller};
use apiserver::{
    Change,
    client::{DeleteOptions, Propagation},
};
use machinery::{gvr, object};

#[derive(Debug, Default)]
pub struct TtlAfterFinishedController {}

impl Controller for TtlAfterFinishedController {
    fn name(&self) -> &'static str {
        "ttl-after-finished-controller"
    }

    fn interested(&self, change: &Change) -> bool {
        concerns(change, &[gvr::JOBS]) && change.object["spec"]["ttlSecondsAfterFinished"].is_i64()
    }

    fn reconcile(&mut self, context: &mut Context<'_>) {
        for finished in context.client.list(gvr::JOBS, None) {
            let Some(seconds) = finished["spec"]["ttlSecondsAfterFinished"].as_i64() else { continue };
            if object::is_terminating(&finished) || !job::is_finished(&finished) {
                continue;
            }
            let ended = items(&finished["status"]["conditions"])
                .iter()
                .filter(|condition| condition["type"] == "Complete" || condition["type"] == "Failed")
                .find_map(|condition| time(&condition["lastTransitionTime"]));
            let Some(at) = ended.map(|ended| later(ended, seconds)) else { continue };
            if at > context.now {
                context.wake_at(at);
                continue;
            }
            let options = DeleteOptions {
                propagation: Some(Propagation::Foreground),
                uid: Some(object::uid(&finished).to_owned()),
                ..DeleteOptions::default()
            };
            let deleted = context.client.delete(gvr::JOBS, object::namespace(&finished), object::name(&finished), &options);
            common::tolerate("deleting a Job whose time is over", deleted);
        }
    }
}
