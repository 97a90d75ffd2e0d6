//! CronJobs: Jobs at given times (k8s.io/kubernetes/pkg/controller/cronjob).

pub(crate) mod schedule;

use super::{
    common::{self, concerns, int, items, later, text, time},
    job,
};
use crate::{
    events::{self, Event},
    step::{Context, Controller},
};
use apiserver::Change;
use jiff::{Timestamp, tz::TimeZone};
use machinery::{clock, gvr, object};
use schedule::Schedule;
use serde_json::{Value, json};
use std::sync::Arc;

const COMPONENT: &str = "cronjob-controller";
const SCHEDULED_AT: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";
/// Beyond so many missed times the clock is blamed, and only the last one counts.
const MANY_MISSED: usize = 100;

#[derive(Debug, Default)]
pub struct CronJobController {}

impl Controller for CronJobController {
    fn name(&self) -> &'static str {
        COMPONENT
    }

    fn interested(&self, change: &Change) -> bool {
        concerns(change, &[gvr::CRON_JOBS, gvr::JOBS])
    }

    fn reconcile(&mut self, context: &mut Context<'_>) {
        let crons = context.client.list(gvr::CRON_JOBS, None);
        if crons.is_empty() {
            return;
        }
        let jobs = context.client.list(gvr::JOBS, None);
        for cron in crons {
            if !object::is_terminating(&cron) {
                let own: Vec<_> = jobs.iter().filter(|job| common::is_controlled_by(job, &cron)).cloned().collect();
                sync(context, &cron, &own);
            }
        }
    }
}

fn sync(context: &mut Context<'_>, cron: &Arc<Value>, jobs: &[Arc<Value>]) {
    let mut status = if cron["status"].is_object() { cron["status"].clone() } else { json!({}) };
    let mut active = note_finished(context, cron, jobs, &mut status);
    clean_up(context, cron, jobs);
    if cron["spec"]["suspend"] != true {
        start_due(context, cron, jobs, &mut active, &mut status);
    }
    match active.is_empty() {
        true => {
            if let Some(status) = status.as_object_mut() {
                status.remove("active");
            }
        }
        false => status["active"] = active.into(),
    }
    common::write_status(context.client, gvr::CRON_JOBS, cron, &status);
}

/// References to the Jobs that still run; says once of each that ended.
fn note_finished(context: &Context<'_>, cron: &Value, jobs: &[Arc<Value>], status: &mut Value) -> Vec<Value> {
    let mut active = Vec::new();
    for reference in items(&cron["status"]["active"]) {
        let job = jobs.iter().find(|job| object::uid(job) == text(&reference["uid"]));
        match job {
            None => {
                let message = format!("Active job went missing: {}", text(&reference["name"]));
                events::record(context, cron, &Event::normal(COMPONENT, "MissingJob", message));
            }
            Some(job) if job::is_finished(job) => {
                let complete = common::condition(job, "Complete").is_some_and(|condition| condition["status"] == "True");
                let end = if complete { "Complete" } else { "Failed" };
                let message = format!("Saw completed job: {}, condition: {end}", object::name(job));
                events::record(context, cron, &Event::normal(COMPONENT, "SawCompletedJob", message));
                if complete && job["status"]["completionTime"].is_string() {
                    status["lastSuccessfulTime"] = job["status"]["completionTime"].clone();
                }
            }
            Some(_) => active.push(reference.clone()),
        }
    }
    active
}

fn clean_up(context: &Context<'_>, cron: &Value, jobs: &[Arc<Value>]) {
    for (kind, key, default) in [("Complete", "successfulJobsHistoryLimit", 3), ("Failed", "failedJobsHistoryLimit", 1)] {
        let mut ended: Vec<_> = jobs
            .iter()
            .filter(|job| common::condition(job, kind).is_some_and(|condition| condition["status"] == "True"))
            .filter(|job| !object::is_terminating(job))
            .collect();
        let limit = usize::try_from(int(&cron["spec"][key], default)).unwrap_or(0);
        ended.sort_by_key(|job| (time(&job["status"]["startTime"]), common::key(job)));
        for job in ended.iter().take(ended.len().saturating_sub(limit)) {
            remove(context, cron, job);
        }
    }
}

fn remove(context: &Context<'_>, cron: &Value, job: &Value) {
    let options = apiserver::client::DeleteOptions {
        propagation: Some(apiserver::client::Propagation::Background),
        uid: Some(object::uid(job).to_owned()),
        ..Default::default()
    };
    let deleted = context.client.delete(gvr::JOBS, object::namespace(job), object::name(job), &options);
    if common::tolerate("deleting a Job", deleted).is_some() {
        let message = format!("Deleted job {}", object::name(job));
        events::record(context, cron, &Event::normal(COMPONENT, "SuccessfulDelete", message));
    }
}

fn start_due(context: &mut Context<'_>, cron: &Arc<Value>, jobs: &[Arc<Value>], active: &mut Vec<Value>, status: &mut Value) {
    let zone = match cron["spec"]["timeZone"].as_str() {
        None => TimeZone::UTC,
        Some(name) => match TimeZone::get(name) {
            Ok(zone) => zone,
            Err(_) => {
                let message = format!("invalid timeZone: {name:?}: unknown time zone {name}");
                say_once(context, cron, &Event::warning(COMPONENT, "UnknownTimeZone", message));
                return;
            }
        },
    };
    let schedule = match Schedule::parse(text(&cron["spec"]["schedule"])) {
        Ok(schedule) => schedule,
        Err(error) => {
            let message = format!("unparseable schedule: {:?} : {error}", text(&cron["spec"]["schedule"]));
            say_once(context, cron, &Event::warning(COMPONENT, "UnParseableCronJobSchedule", message));
            return;
        }
    };
    let starting_deadline = cron["spec"]["startingDeadlineSeconds"].as_i64();
    let mut since = time(&status["lastScheduleTime"]).or_else(|| common::created_at(cron)).unwrap_or(context.now);
    if let Some(seconds) = starting_deadline {
        since = since.max(later(context.now, -seconds));
    }
    let mut due = None;
    let mut missed = 0;
    let mut at = since;
    while let Some(next) = schedule.next(at, &zone) {
        if next > context.now {
            context.wake_at(next);
            break;
        }
        due = Some(next);
        missed += 1;
        at = next;
        if missed > MANY_MISSED {
            // Too far behind to count: look from shortly before now.
            let message = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew";
            say_once(context, cron, &Event::warning(COMPONENT, "TooManyMissedTimes", message));
            let Some(latest) = latest_before(&schedule, &zone, context.now, next) else { break };
            due = Some(latest);
            if let Some(next) = schedule.next(latest, &zone) {
                context.wake_at(next);
            }
            break;
        }
    }
    let Some(due) = due else { return };
    if active.iter().any(|reference| text(&reference["name"]) == job_name(cron, due)) {
        return;
    }
    match text(&cron["spec"]["concurrencyPolicy"]) {
        "Forbid" if !active.is_empty() => {
            let message = "Not starting job because prior execution is running and concurrency policy is Forbid";
            say_once(context, cron, &Event::normal(COMPONENT, "JobAlreadyActive", message));
            return;
        }
        "Replace" => {
            for reference in active.drain(..) {
                if let Some(job) = jobs.iter().find(|job| object::uid(job) == text(&reference["uid"])) {
                    remove(context, cron, job);
                }
            }
        }
        _ => {}
    }
    create(context, cron, due, active, status);
}

/// The last time up to `now`, found by halving from `from`.
fn latest_before(schedule: &Schedule, zone: &TimeZone, now: Timestamp, from: Timestamp) -> Option<Timestamp> {
    let (mut early, mut late) = (from.as_second(), now.as_second());
    let mut best = schedule.next(Timestamp::from_second(early - 1).ok()?, zone).filter(|at| *at <= now)?;
    while early < late {
        let middle = early + (late - early + 1) / 2;
        match schedule.next(Timestamp::from_second(middle).ok()?, zone).filter(|at| *at <= now) {
            Some(at) => {
                best = at;
                early = at.as_second();
            }
            None => late = middle - 1,
        }
    }
    Some(best)
}

/// The same complaint only once: the same reconcile comes again and again.
fn say_once(context: &Context<'_>, cron: &Value, event: &Event<'_>) {
    let said = context.client.list(gvr::EVENTS, Some(object::namespace(cron))).iter().any(|other| {
        other["involvedObject"]["uid"] == cron["metadata"]["uid"] && other["reason"] == event.reason && other["message"] == event.message
    });
    if !said {
        events::record(context, cron, event);
    }
}

/// Unix minutes at the end, so that one time makes one Job only.
fn job_name(cron: &Value, at: Timestamp) -> String {
    format!("{}-{}", object::name(cron), at.as_second() / 60)
}

fn create(context: &Context<'_>, cron: &Value, at: Timestamp, active: &mut Vec<Value>, status: &mut Value) {
    let template = &cron["spec"]["jobTemplate"];
    let mut metadata = json!({
        "name": job_name(cron, at), "namespace": object::namespace(cron), "ownerReferences": [common::owner_reference(cron)],
        "annotations": template["metadata"]["annotations"].as_object().cloned().unwrap_or_default(),
    });
    metadata["annotations"][SCHEDULED_AT] = clock::rfc3339(at).into();
    if template["metadata"]["labels"].is_object() {
        metadata["labels"] = template["metadata"]["labels"].clone();
    }
    let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": template["spec"]});
    match context.client.create(gvr::JOBS, job) {
        Ok(job) => {
            let message = format!("Created job {}", object::name(&job));
            events::record(context, cron, &Event::normal(COMPONENT, "SuccessfulCreate", message));
            active.push(events::reference(&job));
            status["lastScheduleTime"] = clock::rfc3339(at).into();
        }
        Err(error) if error.reason == "AlreadyExists" => status["lastScheduleTime"] = clock::rfc3339(at).into(),
        Err(error) => {
            let message = format!("Error creating job: {error}");
            say_once(context, cron, &Event::warning(COMPONENT, "FailedCreate", message));
        }
    }
}
