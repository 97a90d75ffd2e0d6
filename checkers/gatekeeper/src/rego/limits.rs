//! How long an evaluation may take, counted in steps.
//!
//! regorus asks a clock whether its time is up. Here its clock is a count that each question moves on by one, so that the same program
//! stops at the same place on every machine.

use regorus::utils::limits::{ExecutionTimerConfig, TimeSource, set_time_source};
use std::{cell::Cell, num::NonZeroU32, sync::Once, time::Duration};

/// Steps of one evaluation; a rule of the Gatekeeper library takes some hundreds.
const MOST_STEPS: u64 = 500_000;
/// Bytes that the functions of one evaluation may make.
const MOST_BYTES: usize = 32 << 20;

/// Stack of an evaluation.
const ROOM: usize = 256 << 20;

thread_local! {
    static STEPS: Cell<u64> = const { Cell::new(0) };
    static BYTES: Cell<usize> = const { Cell::new(0) };
}

struct Steps;

impl TimeSource for Steps {
    fn now(&self) -> Option<Duration> {
        STEPS.with(|steps| {
            steps.set(steps.get().wrapping_add(1));
            Some(Duration::from_nanos(steps.get()))
        })
    }
}

static STEPS_OF_THREAD: Steps = Steps;

/// Gives regorus the count of steps for a clock.
pub(super) fn count_steps() {
    static ONCE: Once = Once::new();
    // Another clock can only be there where somebody else has set one, who then answers for the bound.
    ONCE.call_once(|| {
        let _ = set_time_source(&STEPS_OF_THREAD);
    });
}

/// The bounds of one evaluation.
pub(super) struct Budget;

impl Budget {
    pub fn begin(engine: &mut regorus::Engine) -> Self {
        BYTES.with(|bytes| bytes.set(0));
        let limit = Duration::from_nanos(MOST_STEPS);
        engine.set_execution_timer_config(ExecutionTimerConfig { limit, check_interval: NonZeroU32::MIN });
        Self
    }

    /// A function that gave up for its size may have been taken for one without a value: the evaluation has failed all the same.
    pub fn end<T>(self, result: Result<T, String>) -> Result<T, String> {
        if BYTES.with(Cell::get) > MOST_BYTES { Err(too_big()) } else { result }
    }
}

/// Counts what a function is about to make; an error where that is too much.
pub(super) fn grow(bytes: usize) -> anyhow::Result<()> {
    let total = BYTES.with(|held| {
        held.set(held.get().saturating_add(bytes));
        held.get()
    });
    if total > MOST_BYTES { Err(anyhow::anyhow!(too_big())) } else { Ok(()) }
}

fn too_big() -> String {
    format!("the program makes values of more than {} MiB", MOST_BYTES >> 20)
}

/// The words for an evaluation that has come to its bound.
pub(super) fn explain(error: &anyhow::Error) -> Option<String> {
    match error.downcast_ref::<regorus::LimitError>()? {
        regorus::LimitError::TimeLimitExceeded { .. } => Some(format!("the program takes more than {MOST_STEPS} steps")),
        other => Some(other.to_string()),
    }
}

/// Runs an evaluation where there is room for values and rules that lie deep in one another: most of it is never touched, and costs
/// nothing. [`super::check`] bounds how deep rules may call each other. The error says why nothing was run.
pub(super) fn with_room<T: Send>(run: impl FnOnce() -> T + Send) -> Result<T, String> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(ROOM).spawn_scoped(scope, run);
        let thread = thread.map_err(|error| format!("there is no room to run the program: {error}"))?;
        thread.join().map_err(|_| "the interpreter gave up".to_owned())
    })
}
