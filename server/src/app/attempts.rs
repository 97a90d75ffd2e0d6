//! Attempts: start, resume, start again, finish.

use crate::app::checking::Which;
use crate::app::live::LiveEvent;
use crate::app::{App, AppError};
use crate::state::edge;
use std::sync::Arc;
use store::{Attempt, AttemptState, StoreError, User};

impl App {
    /// The user's own attempt; an instructor or admin may look at anybody's. `NotFound` for everybody else.
    pub async fn attempt(&self, user: &User, id: &str) -> Result<Attempt, AppError> {
        use store::Role::{Admin, Instructor};
        let attempt = self.store.attempt(id).await?.ok_or(AppError::NotFound("attempt"))?;
        let theirs = attempt.user_id == user.id || matches!(user.role, Instructor | Admin);
        if theirs { Ok(attempt) } else { Err(AppError::NotFound("attempt")) }
    }

    /// The user's own attempt, not over, its cluster ready. Everything that changes something asks this.
    pub(crate) async fn running_attempt(&self, user: &User, id: &str) -> Result<Attempt, AppError> {
        let attempt = self.store.attempt(id).await?.filter(|attempt| attempt.user_id == user.id).ok_or(AppError::NotFound("attempt"))?;
        match attempt.state {
            AttemptState::Running | AttemptState::Sleeping if attempt.expires_at.is_some_and(|end| end <= self.clock.now()) => {
                Err(AppError::Conflict("the time is over".to_owned()))
            }
            AttemptState::Running => Ok(attempt),
            AttemptState::Sleeping => {
                self.wake(&attempt).await?;
                Ok(Attempt { state: AttemptState::Running, ..attempt })
            }
            AttemptState::Preparing => Err(AppError::Conflict("the cluster is being prepared".to_owned())),
            AttemptState::Failed => Err(AppError::Conflict("the cluster could not be prepared; start again".to_owned())),
            AttemptState::Finished => Err(AppError::Conflict("this attempt is finished".to_owned())),
        }
    }

    /// Newest first.
    pub async fn attempts(&self, user: &User) -> Result<Vec<Attempt>, AppError> {
        Ok(self.store.attempts_of(&user.id).await?)
    }

    pub async fn latest_attempt(&self, user: &User, lab: &str) -> Result<Option<Attempt>, AppError> {
        Ok(self.store.latest_attempt(&user.id, lab).await?)
    }

    /// Starts a lab, or returns the attempt that is under way (two tabs, a reload). One that is finished is returned as well: a
    /// second attempt is asked for with [`App::start_again`]. The cluster is made in the background; its stages come as events.
    pub async fn start(self: &Arc<Self>, user: &User, lab: &str) -> Result<Attempt, AppError> {
        match self.store.latest_attempt(&user.id, lab).await? {
            Some(latest) if latest.state != AttemptState::Failed => Ok(latest),
            latest => self.create(user, lab, latest.map_or(0, |latest| latest.number)).await,
        }
    }

    /// A new attempt after number `after`; one that is still open is finished first, as it stands. Pressed twice, it starts one.
    pub async fn start_again(self: &Arc<Self>, user: &User, lab: &str, after: i64) -> Result<Attempt, AppError> {
        match self.store.latest_attempt(&user.id, lab).await? {
            Some(latest) if latest.number > after => Ok(latest),
            Some(latest) => {
                if matches!(latest.state, AttemptState::Running | AttemptState::Sleeping) {
                    self.finish_attempt(&latest).await?;
                } else if latest.state == AttemptState::Preparing {
                    return Ok(latest);
                }
                self.create(user, lab, latest.number).await
            }
            None => self.create(user, lab, 0).await,
        }
    }

    async fn create(self: &Arc<Self>, user: &User, lab: &str, after: i64) -> Result<Attempt, AppError> {
        let plan = self.course.lab(lab).ok_or(AppError::NotFound("lab"))?;
        let capabilities = self.engine.capabilities();
        if let Some(why) = capabilities.unavailable {
            return Err(AppError::Unavailable(why));
        }
        let open = self.store.open_attempts().await?;
        if open.iter().filter(|attempt| attempt.user_id == user.id).count() >= self.settings.clusters_per_user {
            let message = format!("{} labs are open already; finish one of them first", self.settings.clusters_per_user);
            return Err(AppError::Conflict(message));
        }
        if open.len() >= self.settings.clusters {
            return Err(AppError::Unavailable("all places of this server are taken; try again later".to_owned()));
        }
        let id = edge::id(&*self.random);
        let now = self.clock.now();
        let attempt = Attempt {
            params: self.course.params(lab, &self.keys.derive("params", &plan.digest), &id),
            id,
            user_id: user.id.clone(),
            lab: lab.to_owned(),
            lab_digest: plan.digest.clone(),
            number: after + 1,
            engine: engine_name(capabilities.engine).to_owned(),
            state: AttemptState::Preparing,
            created_at: now,
            started_at: None,
            expires_at: None,
            finished_at: None,
            active_at: now,
            score: None,
            failure: None,
            cluster_gone: false,
        };
        match self.store.create_attempt(&attempt).await {
            Ok(()) => {}
            Err(StoreError::Exists(_)) => {
                // Another tab was faster: its attempt is ours.
                return self.store.latest_attempt(&user.id, lab).await?.ok_or(AppError::NotFound("attempt"));
            }
            Err(error) => return Err(error.into()),
        }
        self.prepare_in_background(attempt.clone());
        Ok(attempt)
    }

    /// Judges everything once more on one evidence snapshot, signs the receipt, and closes the attempt. Again: the same result.
    pub async fn finish(&self, user: &User, id: &str) -> Result<Attempt, AppError> {
        let attempt = self.store.attempt(id).await?.filter(|attempt| attempt.user_id == user.id).ok_or(AppError::NotFound("attempt"))?;
        match attempt.state {
            AttemptState::Finished => Ok(attempt),
            AttemptState::Running | AttemptState::Sleeping => self.finish_attempt(&attempt).await,
            AttemptState::Preparing => Err(AppError::Conflict("the cluster is being prepared".to_owned())),
            AttemptState::Failed => Err(AppError::Conflict("this attempt never began; start again".to_owned())),
        }
    }

    /// Also what the timer does at zero.
    pub(crate) async fn finish_attempt(&self, attempt: &Attempt) -> Result<Attempt, AppError> {
        let lock = self.attempt_lock(&attempt.id);
        let _held = lock.lock().await;
        let present = self.store.attempt(&attempt.id).await?.ok_or(AppError::NotFound("attempt"))?;
        if present.state == AttemptState::Finished {
            return Ok(present);
        }
        if present.state == AttemptState::Sleeping {
            self.wake(&present).await?;
        }
        let judged = self.judge(&present, &Which::All, true).await?;
        let score = judged.verdicts.iter().map(|verdict| verdict.points).sum::<i64>();
        let now = self.clock.now();
        self.write_receipt(&present, &judged, score, now).await?;
        self.store.finish_attempt(&present.id, now, score).await?;
        self.close_doors(&present.id).await?;
        self.jails.stop(&present.id, "This attempt is finished.").await;
        self.tell(&present.id, LiveEvent::State { state: AttemptState::Finished, failure: None }).await;
        self.tell(&present.id, LiveEvent::Finished { score }).await;
        self.store.attempt(&present.id).await?.ok_or(AppError::NotFound("attempt"))
    }

    /// The learner is here: the cluster stays awake.
    pub(crate) async fn touch(&self, attempt: &Attempt) -> Result<(), AppError> {
        Ok(self.store.touch_attempt(&attempt.id, self.clock.now()).await?)
    }

    pub(crate) async fn wake(&self, attempt: &Attempt) -> Result<(), AppError> {
        self.engine.open(&attempt.id).await?;
        if self.store.change_state(&attempt.id, &[AttemptState::Sleeping], AttemptState::Running).await? {
            self.tell(&attempt.id, LiveEvent::State { state: AttemptState::Running, failure: None }).await;
        }
        self.touch(attempt).await
    }
}

pub(crate) fn engine_name(kind: provision::EngineKind) -> &'static str {
    match kind {
        provision::EngineKind::Sandbox => "sandbox",
        provision::EngineKind::Kind => "kind",
        provision::EngineKind::Host => "host",
    }
}
