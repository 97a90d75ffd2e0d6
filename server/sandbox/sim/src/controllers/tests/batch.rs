//! Jobs and CronJobs.

use crate::{
    bootstrap::NodeSpec,
    controllers::common::{condition, text},
    testing::Lab,
};
use machinery::{gvr, object};
use serde_json::json;

fn lab() -> Lab {
    Lab::bare(&[NodeSpec::with_gpus("a", 0)])
}

fn job(name: &str, image: &str, spec: &str) -> String {
    format!(
        "{{apiVersion: batch/v1, kind: Job, metadata: {{name: {name}}}, spec: {{{spec} template: {{spec: {{restartPolicy: Never, \
         containers: [{{name: c, image: {image}}}]}}}}}}}}"
    )
}

#[test]
fn a_job_runs_to_its_end() {
    let mut lab = lab();
    lab.apply(gvr::JOBS, &job("j", "ends", "completions: 3, parallelism: 2,"));
    let done = lab.get(gvr::JOBS, "j");
    assert_eq!((&done["status"]["succeeded"], &done["status"]["ready"]), (&json!(3), &json!(0)));
    assert_eq!(condition(&done, "Complete").unwrap()["message"], "Reached expected number of succeeded pods");
    assert!(condition(&done, "SuccessCriteriaMet").is_some() && done["status"]["completionTime"].is_string());
    assert_eq!(lab.list(gvr::PODS).len(), 3);
    assert_eq!(lab.events("Job").last().unwrap(), "Completed Job completed");
}

#[test]
fn a_job_that_fails_backs_off_and_gives_up() {
    let mut lab = lab();
    lab.apply(gvr::JOBS, &job("j", "fails", "backoffLimit: 2,"));
    assert_eq!(lab.list(gvr::PODS).len(), 1);
    lab.pass(9);
    assert_eq!(lab.list(gvr::PODS).len(), 1, "the second try waits ten seconds");
    lab.pass(2);
    assert_eq!(lab.list(gvr::PODS).len(), 2);
    lab.pass(60);
    let failed = lab.get(gvr::JOBS, "j");
    assert_eq!(failed["status"]["failed"], 3);
    let condition = condition(&failed, "Failed").unwrap();
    assert_eq!(
        (text(&condition["reason"]), text(&condition["message"])),
        ("BackoffLimitExceeded", "Job has reached the specified backoff limit")
    );
    assert_eq!(lab.events("Job").last().unwrap(), "BackoffLimitExceeded Job has reached the specified backoff limit");
}

#[test]
fn deadlines_suspension_and_time_to_live() {
    let mut lab = lab();
    lab.apply(gvr::JOBS, &job("late", "runs", "activeDeadlineSeconds: 30, ttlSecondsAfterFinished: 60,"));
    lab.pass(29);
    assert!(condition(&lab.get(gvr::JOBS, "late"), "Failed").is_none());
    lab.pass(2);
    assert_eq!(condition(&lab.get(gvr::JOBS, "late"), "Failed").unwrap()["reason"], "DeadlineExceeded");
    assert_eq!(lab.list(gvr::PODS).len(), 0);
    lab.pass(60);
    assert!(lab.client.get(gvr::JOBS, "default", "late").is_none());
    lab.apply(gvr::JOBS, &job("held", "ends", "suspend: true,"));
    assert_eq!(condition(&lab.get(gvr::JOBS, "held"), "Suspended").unwrap()["reason"], "JobSuspended");
    assert!(lab.get(gvr::JOBS, "held")["status"]["startTime"].is_null());
    lab.edit(gvr::JOBS, "held", |job| job["spec"]["suspend"] = false.into());
    assert!(condition(&lab.get(gvr::JOBS, "held"), "Complete").is_some());
}

#[test]
fn an_indexed_job_counts_its_indexes() {
    let mut lab = lab();
    lab.apply(gvr::JOBS, &job("j", "ends", "completions: 4, parallelism: 4, completionMode: Indexed,"));
    let done = lab.get(gvr::JOBS, "j");
    assert_eq!(done["status"]["completedIndexes"], "0-3");
    let pods = lab.list(gvr::PODS);
    assert!(object::name(&pods[0]).starts_with("j-0-"));
    assert_eq!(pods[1]["spec"]["hostname"], "j-1");
    assert_eq!(pods[2]["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"], "2");
    assert_eq!(pods[3]["spec"]["containers"][0]["env"][0]["name"], "JOB_COMPLETION_INDEX");
}

#[test]
fn a_cron_job_starts_jobs_in_time_and_forgets_old_ones() {
    let mut lab = lab();
    lab.apply(
        gvr::CRON_JOBS,
        "{apiVersion: batch/v1, kind: CronJob, metadata: {name: tick}, spec: {schedule: '*/5 * * * *', jobTemplate: {spec: {template: {spec: \
         {restartPolicy: Never, containers: [{name: c, image: ends}]}}}}}}",
    );
    lab.pass(299);
    assert_eq!(lab.list(gvr::JOBS).len(), 0);
    lab.pass(2);
    let jobs = lab.list(gvr::JOBS);
    assert_eq!(jobs.len(), 1);
    assert_eq!(object::name(&jobs[0]), "tick-29453765");
    assert_eq!(object::annotation(&jobs[0], "batch.kubernetes.io/cronjob-scheduled-timestamp"), Some("2026-01-01T00:05:00Z"));
    assert_eq!(lab.get(gvr::CRON_JOBS, "tick")["status"]["lastScheduleTime"], "2026-01-01T00:05:00Z");
    lab.pass(1500);
    assert_eq!(lab.list(gvr::JOBS).len(), 3, "three good ones are remembered");
    let events = lab.events("CronJob");
    assert_eq!(events[0], "SuccessfulCreate Created job tick-29453765");
    assert_eq!(events[1], "SawCompletedJob Saw completed job: tick-29453765, condition: Complete");
}

#[test]
fn events_are_counted_and_forgotten_after_an_hour() {
    let mut lab = lab();
    lab.apply(gvr::JOBS, &job("j", "ends", ""));
    assert!(!lab.list(gvr::EVENTS).is_empty());
    lab.pass(3_601);
    assert_eq!(lab.list(gvr::EVENTS).len(), 0);
    assert_eq!(lab.step(), None, "nothing is left to wake up for");
}
