//! How containers and pods end: hooks, SIGTERM, SIGKILL, and what is freed.

use super::{
    container::{Killing, Phase, Role},
    hooks, host_folders,
    pod::{Step, Worker, after},
    runtime::Runtime,
    start,
};
use crate::shell::commands;
use jiff::Timestamp;
use machinery::object;

/// Milliseconds that every container is given, however short the grace (minimumGracePeriodInSeconds).
const LEAST_GRACE: i64 = 2_000;

impl Worker {
    fn grace(&self) -> i64 {
        let own = self.pod["metadata"]["deletionGracePeriodSeconds"].as_i64().filter(|_| object::is_terminating(&self.pod));
        own.or_else(|| self.pod["spec"]["terminationGracePeriodSeconds"].as_i64()).unwrap_or(30).max(0)
    }

    /// Begins to end a container: hook, SIGTERM, and SIGKILL when the grace is over.
    pub(super) fn kill(&mut self, index: usize, step: &Step<'_, '_>, grace: Option<i64>) {
        let Some(live) = self.live.clone() else { return };
        let Some(instance) = live.instance(&self.containers[index].name) else { return };
        let grace = grace.filter(|_| !object::is_terminating(&self.pod)).unwrap_or_else(|| self.grace());
        let spec = &self.containers[index].spec;
        let hook = &spec["lifecycle"]["preStop"];
        let hook = (hook.is_object() && grace > 0).then(|| hooks::run(&instance, spec, hook, live.address));
        let waits_for_turn = (self.ending.is_some() || self.doom.is_some()) && self.containers[index].role == Role::Sidecar;
        self.containers[index].killing =
            Some(Killing { deadline: after(step.now, grace.saturating_mul(1000)), hook, waits_for_turn, kill_at: None });
    }

    /// Whether a sidecar may be told to end: the main containers are through, and the sidecars that were started after it.
    fn is_turn_of(&self, index: usize) -> bool {
        let running = |c: &super::container::Container| c.is_running() || c.phase == Phase::Idle && c.adopted;
        !self.containers.iter().any(|c| c.role == Role::Regular && running(c))
            && !self.containers[index + 1..].iter().any(|c| c.role == Role::Sidecar && running(c))
    }

    pub(super) fn kill_due(&mut self, step: &Step<'_, '_>) {
        let Some(live) = self.live.clone() else { return };
        // A second, more impatient request to delete shortens what is left.
        let most = self.ending.map(|since| after(since, self.grace().saturating_mul(1000)).max(since));
        let mut again: Option<Timestamp> = None;
        for index in 0..self.containers.len() {
            let turn = self.is_turn_of(index);
            let container = &mut self.containers[index];
            let (Some(killing), true) = (container.killing.as_mut(), matches!(container.phase, Phase::Running { .. })) else { continue };
            let Some(instance) = live.instance(&container.name) else { continue };
            if let Some(most) = most {
                killing.deadline = killing.deadline.min(most);
            }
            let mut hook_failed = false;
            let hook_done = killing.hook.as_ref().is_none_or(|hook| hook.lock().is_some());
            if hook_done {
                hook_failed = killing.hook.take().is_some_and(|hook| hook.lock().as_ref().is_some_and(Result::is_err));
            }
            let late = killing.deadline <= step.now;
            let ready = (hook_done && (turn || !killing.waits_for_turn)) || late;
            if killing.kill_at.is_none() && ready {
                killing.kill_at = Some(killing.deadline.max(after(step.now, LEAST_GRACE)));
                if let Some(entry) = instance.machine.processes.get(instance.pid) {
                    commands::kill::deliver(&entry, 15);
                }
            }
            let next = match killing.kill_at {
                Some(at) if at <= step.now => {
                    start::kill(step.runtime, &instance, 137);
                    step.now
                }
                Some(at) => at,
                None => killing.deadline,
            };
            again = Some(again.map_or(next, |a| a.min(next)));
            if hook_failed {
                self.event(step, Some(index), true, "FailedPreStopHook", "PreStopHook failed");
            }
        }
        if let Some(at) = again {
            self.wake_at(at);
        }
    }

    /// The event that the kubelet records as it begins to end a container.
    fn stopping(&self, index: usize, step: &Step<'_, '_>) {
        self.event(step, Some(index), false, "Killing", format!("Stopping container {}", self.containers[index].name));
    }

    pub(super) fn begin_end(&mut self, step: &Step<'_, '_>) {
        self.ending = Some(step.now);
        self.stop_all(step);
    }

    /// Ends every container that runs, each with its event.
    pub(super) fn stop_all(&mut self, step: &Step<'_, '_>) {
        for index in 0..self.containers.len() {
            if self.containers[index].is_running() {
                if self.containers[index].adopted {
                    self.containers[index].phase = Phase::Idle;
                    continue;
                }
                self.stopping(index, step);
                self.kill(index, step, None);
            }
        }
    }

    /// The main containers are through: sidecars end with them, the last that was started first.
    pub(super) fn stop_sidecars(&mut self, step: &Step<'_, '_>) {
        for index in (0..self.containers.len()).rev() {
            if self.containers[index].is_running()
                && self.containers[index].role != Role::Regular
                && self.containers[index].killing.is_none()
            {
                self.stopping(index, step);
                self.kill(index, step, None);
                if let Some(killing) = self.containers[index].killing.as_mut() {
                    killing.waits_for_turn = true;
                }
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
        if let Some(live) = &self.live {
            host_folders::disappear(runtime, live);
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
