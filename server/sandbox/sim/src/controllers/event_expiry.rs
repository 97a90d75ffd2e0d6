//! Events are forgotten after an hour, as etcd's lease does on a real cluster.

use super::common::{self, concerns};
use crate::{
    events,
    step::{Context, Controller},
};
use apiserver::{Change, ChangeKind};
use machinery::gvr;

#[derive(Debug, Default)]
pub struct EventExpiry {}

impl Controller for EventExpiry {
    fn name(&self) -> &'static str {
        "event-expiry"
    }

    fn interested(&self, change: &Change) -> bool {
        // A new event expires after all others; those that stand have asked to be woken.
        concerns(change, &[gvr::EVENTS]) && change.kind == ChangeKind::Added
    }

    fn reconcile(&mut self, context: &mut Context<'_>) {
        for event in context.client.list(gvr::EVENTS, None) {
            // A write renews the lease: an event that is counted again lives another hour.
            // One that somebody else wrote may tell of long ago.
            let made = event["metadata"]["creationTimestamp"].as_str().and_then(|time| time.parse().ok());
            let Some(at) = events::last_seen(&event).max(made).and_then(|seen| seen.checked_add(events::TIME_TO_LIVE).ok()) else {
                continue;
            };
            if at <= context.now {
                common::tolerate("forgetting an event", common::delete(context.client, gvr::EVENTS, &event));
            } else {
                context.routine_at(at);
            }
        }
    }
}
