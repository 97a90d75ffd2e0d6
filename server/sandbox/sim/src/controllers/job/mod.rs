//! Jobs: pods that run to an end (k8s.io/kubernetes/pkg/controller/job).

mod indexes;
mod policy;

use super::common::{self, Backoff, claim, concerns, int, items, later, text, time};
use crate::{
    events::{self, Event},
    step::{Context, Controller},
};
use apiserver::Change;
use jiff::Timestamp;
use machinery::{clock, gvr, object};
use serde_json::{Value, json};
use std::{collections::BTreeSet, sync::Arc};

const COMPONENT: &str = "job-controller";
const INDEX: &str = "batch.kubernetes.io/job-completion-index";

#[derive(Debug, Default)]
pub struct JobController {
    create_backoff: Backoff,
}

impl Controller for JobController {
    fn name(&self) -> &'static str {
        COMPONENT
    }

    fn interested(&self, change: &Change) -> bool {
        concerns(change, &[gvr::JOBS, gvr::PODS])
    }

    fn reconcile(&mut self, context: &mut Context<'_>) {
        let jobs = context.client.list(gvr::JOBS, None);
        if jobs.is_empty() {
            return;
        }
        let pods = common::pods_by_namespace(context.client);
        let none = Vec::new();
        for job in &jobs {
            self.sync(context, job, pods.get(object::namespace(job)).unwrap_or(&none));
        }
        self.create_backoff.keep(|uid| jobs.iter().any(|job| object::uid(job) == uid));
    }
}

/// Whether the Job has come to its end, well or not.
pub fn is_finished(job: &Value) -> bool {
    ["Complete", "Failed"].iter().any(|kind| common::condition(job, kind).is_some_and(|condition| condition["status"] == "True"))
}

/// How a Job ended.
#[derive(Debug, Clone)]
struct End {
    complete: bool,
    reason: &'static str,
    message: String,
}

impl End {
    fn failed(reason: &'static str, message: impl Into<String>) -> Self {
        Self { complete: false, reason, message: message.into() }
    }

    fn complete(reason: &'static str, message: impl Into<String>) -> Self {
        Self { complete: true, reason, message: message.into() }
    }
}

/// Counts that follow from the pods that there are.
#[derive(Debug)]
struct Counts {
    succeeded: i64,
    failed: i64,
    /// Indexes that succeeded, of an Indexed Job.
    completed: BTreeSet<i64>,
    failed_indexes: BTreeSet<i64>,
}

impl JobController {
    fn sync(&mut self, context: &mut Context<'_>, job: &Arc<Value>, candidates: &[Arc<Value>]) {
        if is_finished(job)
            || object::is_terminating(job)
            || text(&job["spec"]["managedBy"]).contains('/') && job["spec"]["managedBy"] != "kubernetes.io/job-controller"
        {
            return;
        }
        let pods = claim(context.client, gvr::PODS, job, candidates);
        let suspended = job["spec"]["suspend"] == true;
        let started = time(&job["status"]["startTime"]).or((!suspended).then_some(context.now));
        let counts = count(job, &pods);
        let active: Vec<_> = pods.iter().filter(|pod| common::is_pod_active(pod)).cloned().collect();
        let end = judge(context, job, &pods, &counts, started);
        if let Some(end) = end {
            for pod in &active {
                self.remove(context, job, pod);
            }
            finish(context, job, &counts, &end, started);
            return;
        }
        let active = if suspended {
            for pod in &active {
                self.remove(context, job, pod);
            }
            Vec::new()
        } else {
            self.manage(context, job, &pods, active, &counts)
        };
        report(context, job, &pods, &active, &counts, if suspended { None } else { started });
    }

    /// Creates and removes pods until as many run as shall run now.
    fn manage(
        &mut self,
        context: &mut Context<'_>,
        job: &Arc<Value>,
        pods: &[Arc<Value>],
        mut active: Vec<Arc<Value>>,
        counts: &Counts,
    ) -> Vec<Arc<Value>> {
        let parallelism = int(&job["spec"]["parallelism"], 1).max(0);
        let wanted = match job["spec"]["completions"].as_i64() {
            Some(completions) => (completions - counts.succeeded).max(0).min(parallelism),
            // A work queue: once one has succeeded, no new ones start.
            None if counts.succeeded > 0 => parallelism.min(active.len() as i64),
            None => parallelism,
        };
        let present = active.len() as i64;
        if present > wanted {
            let surplus = usize::try_from(present - wanted).unwrap_or(0);
            let gone: Vec<_> = super::replicas::first_to_go(&active).into_iter().take(surplus).cloned().collect();
            for pod in &gone {
                self.remove(context, job, pod);
            }
            active.retain(|pod| !gone.iter().any(|other| object::uid(other) == object::uid(pod)));
            return active;
        }
        let terminating = pods.iter().filter(|pod| object::is_terminating(pod) && !common::is_pod_finished(pod)).count() as i64;
        let replaced_when_gone = job["spec"]["podReplacementPolicy"] == "Failed";
        let missing = wanted - present - if replaced_when_gone { terminating } else { 0 };
        if missing <= 0 || !self.create_backoff.ready(context, object::uid(job)) {
            return active;
        }
        if let Some(at) = retry_at(pods).filter(|at| *at > context.now) {
            context.wake_at(at);
            return active;
        }
        let indexes = (job["spec"]["completionMode"] == "Indexed").then(|| indexes::free(job, &active, counts, missing));
        for number in 0..missing {
            let index = match &indexes {
                Some(free) => match usize::try_from(number).ok().and_then(|number| free.get(number)) {
                    Some(index) => Some(*index),
                    None => break,
                },
                None => None,
            };
            match context.client.create(gvr::PODS, pod_for(job, index)) {
                Ok(pod) => {
                    let message = format!("Created pod: {}", object::name(&pod));
                    events::record(context, job, &Event::normal(COMPONENT, "SuccessfulCreate", message));
                    active.push(pod);
                }
                Err(error) => {
                    if text(&error.details["causes"][0]["reason"]) != "NamespaceTerminating" {
                        let message = format!("Error creating: {error}");
                        events::record(context, job, &Event::warning(COMPONENT, "FailedCreate", message));
                        self.create_backoff.failed(context, object::uid(job));
                    }
                    return active;
                }
            }
        }
        self.create_backoff.succeeded(object::uid(job));
        active
    }

    fn remove(&self, context: &Context<'_>, job: &Value, pod: &Value) {
        if object::is_terminating(pod) {
            return;
        }
        if common::tolerate("deleting a pod of a Job", common::delete(context.client, gvr::PODS, pod)).is_some() {
            let message = format!("Deleted pod: {}", object::name(pod));
            events::record(context, job, &Event::normal(COMPONENT, "SuccessfulDelete", message));
        }
    }
}

/// After failures in a row the next pod waits 10, 20, 40, … up to 600 seconds from the last end.
fn retry_at(pods: &[Arc<Value>]) -> Option<Timestamp> {
    let mut ends: Vec<_> = pods
        .iter()
        .filter(|pod| common::is_pod_finished(pod))
        .filter_map(|pod| Some((finished_at(pod)?, pod["status"]["phase"] == "Failed")))
        .collect();
    ends.sort();
    let failures = ends.iter().rev().take_while(|(_, failed)| *failed).count();
    let last = ends.last().filter(|(_, failed)| *failed)?.0;
    let seconds = 10_i64.saturating_mul(1 << u32::try_from(failures - 1).unwrap_or(16).min(16)).min(600);
    Some(later(last, seconds))
}

fn finished_at(pod: &Value) -> Option<Timestamp> {
    let ends = items(&pod["status"]["containerStatuses"]).iter().filter_map(|status| time(&status["state"]["terminated"]["finishedAt"]));
    ends.max()
        .or_else(|| time(&common::condition(pod, "Ready")?["lastTransitionTime"]))
        .or_else(|| time(&pod["metadata"]["deletionTimestamp"]))
        .or_else(|| common::created_at(pod))
}

fn count(job: &Value, pods: &[Arc<Value>]) -> Counts {
    // Pods that were counted once and are gone since stay counted.
    let status = &job["status"];
    let is_indexed = job["spec"]["completionMode"] == "Indexed";
    let with = |phase: &'static str| pods.iter().filter(move |pod| pod["status"]["phase"] == phase);
    let failures = with("Failed").filter(|pod| policy::counts_as_failure(job, pod)).count() as i64;
    let mut completed = indexes::parse(text(&status["completedIndexes"]));
    if is_indexed {
        completed.extend(with("Succeeded").filter_map(|pod| indexes::of(pod)).filter(|index| *index < int(&job["spec"]["completions"], 0)));
    }
    let succeeded = if is_indexed { completed.len() as i64 } else { (with("Succeeded").count() as i64).max(int(&status["succeeded"], 0)) };
    let mut failed_indexes = indexes::parse(text(&status["failedIndexes"]));
    if is_indexed && let Some(limit) = job["spec"]["backoffLimitPerIndex"].as_i64() {
        failed_indexes.extend(indexes::exhausted(job, pods, limit));
    }
    Counts { succeeded, failed: failures.max(int(&status["failed"], 0)), completed, failed_indexes }
}

/// Whether the Job is over, and how.
fn judge(context: &mut Context<'_>, job: &Value, pods: &[Arc<Value>], counts: &Counts, started: Option<Timestamp>) -> Option<End> {
    if let Some(end) = policy::failed_job(job, pods) {
        return Some(end);
    }
    let suspended = job["spec"]["suspend"] == true;
    let limit = int(&job["spec"]["backoffLimit"], 6);
    let restarts: i64 = if job["spec"]["template"]["spec"]["restartPolicy"] == "OnFailure" {
        pods.iter()
            .filter(|pod| matches!(text(&pod["status"]["phase"]), "Running" | "Pending"))
            .flat_map(|pod| items(&pod["status"]["containerStatuses"]))
            .map(|status| int(&status["restartCount"], 0))
            .sum()
    } else {
        0
    };
    if counts.failed > limit || (limit > 0 && restarts >= limit) || (limit == 0 && restarts > 0) {
        return Some(End::failed("BackoffLimitExceeded", "Job has reached the specified backoff limit"));
    }
    if let (Some(seconds), Some(started), false) = (job["spec"]["activeDeadlineSeconds"].as_i64(), started, suspended) {
        let deadline = later(started, seconds);
        if deadline <= context.now {
            return Some(End::failed("DeadlineExceeded", "Job was active longer than specified deadline"));
        }
        context.wake_at(deadline);
    }
    if let Some(end) = policy::success_policy(job, counts) {
        return Some(end);
    }
    if !counts.failed_indexes.is_empty() {
        if job["spec"]["maxFailedIndexes"].as_i64().is_some_and(|most| counts.failed_indexes.len() as i64 > most) {
            return Some(End::failed("MaxFailedIndexesExceeded", "Job has exceeded the specified maximal number of failed indexes"));
        }
        if (counts.failed_indexes.len() + counts.completed.len()) as i64 >= int(&job["spec"]["completions"], 1) {
            return Some(End::failed("FailedIndexes", "Job has failed indexes"));
        }
    }
    let done = match job["spec"]["completions"].as_i64() {
        Some(completions) => counts.succeeded >= completions && !suspended,
        None => counts.succeeded > 0 && !pods.iter().any(|pod| common::is_pod_active(pod)),
    };
    done.then(|| End::complete("CompletionsReached", "Reached expected number of succeeded pods"))
}

fn condition(now: Timestamp, kind: &str, reason: &str, message: &str) -> Value {
    let at = clock::rfc3339(now);
    json!({"type": kind, "status": "True", "reason": reason, "message": message, "lastProbeTime": at, "lastTransitionTime": at})
}

fn finish(context: &Context<'_>, job: &Value, counts: &Counts, end: &End, started: Option<Timestamp>) {
    let mut status = base_status(job, counts, started);
    let mut conditions = items(&job["status"]["conditions"]).to_vec();
    let (criteria, last) = if end.complete { ("SuccessCriteriaMet", "Complete") } else { ("FailureTarget", "Failed") };
    for kind in [criteria, last] {
        conditions.retain(|condition| condition["type"] != kind);
        conditions.push(condition(context.now, kind, end.reason, &end.message));
    }
    status["conditions"] = conditions.into();
    status["ready"] = 0.into();
    status["terminating"] = 0.into();
    if end.complete {
        status["completionTime"] = clock::rfc3339(context.now).into();
    }
    common::write_status(context.client, gvr::JOBS, job, &status);
    let event = if end.complete {
        Event::normal(COMPONENT, "Completed", "Job completed")
    } else {
        Event::warning(COMPONENT, end.reason, end.message.clone())
    };
    events::record(context, job, &event);
}

fn base_status(job: &Value, counts: &Counts, started: Option<Timestamp>) -> Value {
    let mut status = json!({"uncountedTerminatedPods": {}});
    common::put_count(&mut status, "succeeded", counts.succeeded);
    common::put_count(&mut status, "failed", counts.failed);
    if let Some(started) = started {
        status["startTime"] = clock::rfc3339(started).into();
    }
    if job["spec"]["completionMode"] == "Indexed" {
        let completed = indexes::format(&counts.completed);
        if !completed.is_empty() {
            status["completedIndexes"] = completed.into();
        }
        if job["spec"]["backoffLimitPerIndex"].is_i64() {
            status["failedIndexes"] = indexes::format(&counts.failed_indexes).into();
        }
    }
    status
}

fn report(context: &Context<'_>, job: &Value, pods: &[Arc<Value>], active: &[Arc<Value>], counts: &Counts, started: Option<Timestamp>) {
    let mut status = base_status(job, counts, started);
    common::put_count(&mut status, "active", active.len() as i64);
    status["ready"] = active.iter().filter(|pod| common::is_pod_ready(pod)).count().into();
    let leaving = pods.iter().filter(|pod| object::is_terminating(pod) && !common::is_pod_finished(pod)).count();
    status["terminating"] = leaving.into();
    let mut conditions = items(&job["status"]["conditions"]).to_vec();
    let suspended = job["spec"]["suspend"] == true;
    let noted = conditions.iter().position(|condition| condition["type"] == "Suspended");
    let was = noted.is_some_and(|index| conditions[index]["status"] == "True");
    if suspended != was {
        let (word, reason, message) =
            if suspended { ("True", "JobSuspended", "Job suspended") } else { ("False", "JobResumed", "Job resumed") };
        let mut new = condition(context.now, "Suspended", reason, message);
        new["status"] = word.into();
        match noted {
            Some(index) => conditions[index] = new,
            None => conditions.push(new),
        }
        let (reason, message) = if suspended { ("Suspended", "Job suspended") } else { ("Resumed", "Job resumed") };
        events::record(context, job, &Event::normal(COMPONENT, reason, message));
    }
    if !conditions.is_empty() {
        status["conditions"] = conditions.into();
    }
    common::write_status(context.client, gvr::JOBS, job, &status);
}

fn pod_for(job: &Value, index: Option<i64>) -> Value {
    let mut pod = common::pod_from_template(job, &job["spec"]["template"]);
    let Some(index) = index else { return pod };
    let name = object::name(job);
    if !pod["metadata"]["annotations"].is_object() {
        pod["metadata"]["annotations"] = json!({});
    }
    pod["metadata"]["annotations"][INDEX] = index.to_string().into();
    pod["metadata"]["labels"][INDEX] = index.to_string().into();
    pod["metadata"]["generateName"] = format!("{name}-{index}-").into();
    pod["spec"]["hostname"] = format!("{name}-{index}").into();
    let variable = json!({"name": "JOB_COMPLETION_INDEX", "valueFrom": {"fieldRef": {"fieldPath": format!("metadata.labels['{INDEX}']")}}});
    for kind in ["initContainers", "containers"] {
        for container in pod["spec"][kind].as_array_mut().into_iter().flatten() {
            let mut environment = items(&container["env"]).to_vec();
            if !environment.iter().any(|other| other["name"] == "JOB_COMPLETION_INDEX") {
                environment.push(variable.clone());
            }
            container["env"] = environment.into();
        }
    }
    pod
}
