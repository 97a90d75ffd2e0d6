//! How containers and pods end: hooks, SIGTERM, SIGKILL, and what is freed.

use super::{
    container::{Killing, Phase, Role},
    pod::{Step, Worker, after},
    runtime::Runtime,
    start,
};
use crate::shell::commands;
use jiff::Timestamp;
use machinery::object;

impl Worker {
    fn grace(&self) -> i64 {
        let own = self.pod["metadata"]["deletionGracePeriodSeconds"].as_i64().filter(|_| object::is_terminating(&self.pod));
        own.or_else(|| self.pod["spec"]["terminationGracePeriodSeconds"].as_i64()).unwrap_or(30).max(0)
    }

    /// Begins to end a container: hook, SIGTERM, and SIGKILL when the grace is over.
    pub(super) fn kill(&mut self, index: usize, step: &Step<'_, '_>, grace: Option<i64>) {
        let Some(instance) = self.live.as_ref().and_then(|l| l.instance(&self.containers[index].name)) else { return };
        let grace = grace.unwrap_or_else(|| self.grace());
        let deadline = after(step.now, grace.saturating_mul(1000));
        let hook = &self.containers[index].spec["lifecycle"]["preStop"];
        let mut term_at = step.now;
        if let Some(seconds) = hook["sleep"]["seconds"].as_i64() {
            term_at = after(step.now, seconds.saturating_mul(1000)).min(deadline);
        } else if let Some(command) = hook["exec"]["command"].as_array() {
            let command: Vec<String> = command.iter().filter_map(|a| a.as_str().map(str::to_owned)).collect();
            // SIGTERM follows the hook: it wakes the pod by signalling when it is through.
            let entry = instance.machine.processes.get(instance.pid);
            start::spawn_inside(&instance, command, move |_, _| {
                if let Some(entry) = entry {
                    commands::kill::deliver(&entry, 15);
                }
            });
            term_at = deadline;
        }
        self.containers[index].killing = Some(Killing { term_at, deadline, sent: false });
    }

    pub(super) fn kill_due(&mut self, step: &Step<'_, '_>) {
        let Some(live) = self.live.clone() else { return };
        let mut again = None;
        for container in &mut self.containers {
            let (Some(killing), true) = (container.killing.as_mut(), matches!(container.phase, Phase::Running { .. })) else { continue };
            let Some(instance) = live.instance(&container.name) else { continue };
            if killing.deadline <= step.now {
                start::kill(step.runtime, &instance, 137);
                again = Some(step.now);
                continue;
            }
            if !killing.sent && killing.term_at <= step.now {
                killing.sent = true;
                if let Some(entry) = instance.machine.processes.get(instance.pid) {
                    commands::kill::deliver(&entry, 15);
                }
            }
            let next = if killing.sent { killing.deadline } else { killing.term_at };
            again = Some(again.map_or(next, |a: Timestamp| a.min(next)));
        }
        if let Some(at) = again {
            self.wake_at(at);
        }
    }

    pub(super) fn begin_end(&mut self, step: &Step<'_, '_>) {
        self.ending = Some(step.now);
        for index in 0..self.containers.len() {
            if self.containers[index].is_running() {
                if self.containers[index].adopted {
                    self.containers[index].phase = Phase::Idle;
                    continue;
                }
                let name = self.containers[index].name.clone();
                self.event(step, Some(index), false, "Killing", format!("Stopping container {name}"));
                self.kill(index, step, None);
            }
        }
    }

    /// The main containers are through: sidecars end with them.
    pub(super) fn stop_sidecars(&mut self, step: &Step<'_, '_>) {
        for index in 0..self.containers.len() {
            if self.containers[index].is_running()
                && self.containers[index].role != Role::Regular
                && self.containers[index].killing.is_none()
            {
                self.kill(index, step, None);
                self.wake_at(step.now);
            }
        }
        self.kill_due(step);
    }

    /// Frees what the pod held. Its log stays readable until the object goes.
    pub(super) fn tear_down(&mut self, runtime: &Runtime) {
        if let (Some(live), Some(sandbox)) = (&self.live, &self.sandbox) {
            let pod = format!("{}/{}", object::namespace(&self.pod), object::name(&self.pod));
            runtime.fabric.remove(sandbox.address, &pod);
            let instances: Vec<_> = live.containers.lock().values_mut().filter_map(|c| c.instance.take()).collect();
            for instance in instances {
                start::kill(runtime, &instance, 137);
            }
        }
        runtime.release_gpus(object::uid(&self.pod));
    }

    /// The object is gone: everything ends at once.
    pub fn remove(&mut self, runtime: &Runtime) {
        self.deleted = true;
        self.tear_down(runtime);
        runtime.pods.lock().remove(object::uid(&self.pod));
        runtime.forget(object::uid(&self.pod));
    }
}
