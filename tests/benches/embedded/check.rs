//! From the click on Check to the last verdict, through the whole application: an attempt in its database, its evidence, its events.

use crate::{
    lab::{Beginner, LAB},
    world::now,
};
use checkers::Outcome;
use labs::Action;
use server::{
    app::{AttemptState, LiveEvent, Which},
    config::{Config, Overrides},
    state::Server,
};
use std::path::Path;
use std::time::Duration;
use tests::measure::Distribution;

const ROLLOUT: Duration = Duration::from_secs(60);

/// One guest solves the lab; then everything is checked `count` times.
pub async fn measure(lab: &Beginner, folder: &Path, count: usize) -> anyhow::Result<Distribution> {
    let loopback = Some(([127, 0, 0, 1], 0).into());
    let overrides = Overrides { data: Some(folder.join("server")), web_listen: loopback, gateway_listen: loopback, ..Overrides::default() };
    let server = Server::start(&Config::read(None, overrides)?).await?;
    let app = server.app.clone();
    let user = app.guest().await?.user;
    let attempt = app.start(&user, LAB).await?;
    let mut live = app.subscribe(&user, &attempt.id).await?;
    while app.attempt(&user, &attempt.id).await?.state == AttemptState::Preparing {
        live.recv().await?;
    }
    let started = app.attempt(&user, &attempt.id).await?;
    anyhow::ensure!(started.state == AttemptState::Running, "{:?}", started.failure);

    let values = lab.attempt_with(started.params.clone());
    let solution = &values.lab.solutions[0];
    for action in &solution.actions {
        match action {
            Action::Apply(file) => {
                let objects = values.solution_objects(solution, file, &[]).map_err(|problem| anyhow::anyhow!("{problem}"))?;
                let yaml = objects.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n---\n");
                for applied in app.apply(&user, &attempt.id, &yaml, false).await? {
                    anyhow::ensure!(applied.problem.is_none(), "{applied:?}");
                }
            }
            Action::Scan(image) => drop(app.scan(&user, &attempt.id, image).await?),
            Action::Wait(seconds) => tokio::time::sleep(Duration::from_secs(u64::from(*seconds))).await,
            other => anyhow::bail!("the solution has an action that nothing here does: {other:?}"),
        }
    }

    // A learner waits for the rollout; the model takes some seconds to be served.
    let deadline = now() + ROLLOUT;
    let mut tasks = loop {
        let verdicts = app.check(&user, &attempt.id, &Which::All).await?;
        if verdicts.iter().all(|verdict| verdict.outcome == Outcome::Passed) {
            break verdicts.len();
        }
        anyhow::ensure!(now() < deadline, "the solution has not passed after {ROLLOUT:?}: {verdicts:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    // What was told until now is of no interest.
    let mut live = app.subscribe(&user, &attempt.id).await?;
    let mut score = 0;
    let mut took = Vec::new();
    for _ in 0..count {
        let began = now();
        let (checked, told) = tokio::join!(app.check(&user, &attempt.id, &Which::All), async {
            let mut last = 0;
            for _ in 0..tasks {
                loop {
                    if let LiveEvent::Verdict { score, .. } = live.recv().await?.event {
                        last = score;
                        break;
                    }
                }
            }
            anyhow::Ok(last)
        });
        took.push(began.elapsed());
        (tasks, score) = (checked?.len(), told?);
    }
    anyhow::ensure!(score == 100, "the solution scores {score}");
    drop(app);
    server.stop().await;
    Ok(Distribution::of(took))
}
