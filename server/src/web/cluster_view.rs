//! What a learner sees of their cluster at a glance: pods, events, and who can reach whom.

use super::Site;
use crate::app::{AppError, EventLine, Matrix, MatrixCell, Overview, PodLine, User};
use askama::Template;
use jiff::Timestamp;

#[derive(Debug, Default, Template)]
#[template(path = "partials/cluster.html")]
pub struct ClusterPanel {
    pub problem: Option<String>,
    pub pods: Vec<PodRow>,
    /// Names over the matrix's columns.
    pub columns: Vec<String>,
    pub matrix: Vec<MatrixRow>,
    /// Pods that the matrix has no room for.
    pub left_out: usize,
    pub events: Vec<EventRow>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct PodRow {
    pub namespace: String,
    pub name: String,
    pub ready: String,
    pub status: String,
    pub tone: &'static str,
    pub restarts: i64,
    pub gpus: String,
}

#[derive(Debug, PartialEq, Eq)]
pub struct MatrixRow {
    pub from: String,
    pub cells: Vec<Cell>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Cell {
    pub class: &'static str,
    pub sign: &'static str,
    pub why: String,
}

#[derive(Debug, PartialEq, Eq)]
pub struct EventRow {
    pub when: String,
    pub warning: bool,
    pub object: String,
    pub reason: String,
    pub message: String,
}

/// The panel of an attempt as it is now. A cluster that does not answer is a sentence on the panel, not an error of the page.
pub async fn of(site: &Site, user: &User, attempt: &str) -> Result<ClusterPanel, AppError> {
    let (overview, matrix) = tokio::join!(site.app.overview(user, attempt), site.app.matrix(user, attempt));
    let problem = |error: AppError| match error {
        AppError::NotFound("attempt") => Err(error),
        error => Ok(Overview { problem: Some(error.to_string()), ..Overview::default() }),
    };
    let overview = overview.or_else(problem)?;
    Ok(panel(overview, matrix.unwrap_or_default(), site.app.now()))
}

fn panel(overview: Overview, matrix: Matrix, now: Timestamp) -> ClusterPanel {
    let mut pods: Vec<PodRow> = overview.pods.into_iter().map(pod).collect();
    // The learner's own namespaces first.
    pods.sort_by_key(|pod| (pod.namespace.starts_with("kube-"), pod.namespace.clone(), pod.name.clone()));
    let rows = matrix.pods.iter().zip(&matrix.cells).map(|(from, cells)| MatrixRow {
        from: from.clone(),
        cells: cells.iter().zip(&matrix.pods).map(|(cell, to)| draw(from, to, cell.as_ref())).collect(),
    });
    ClusterPanel {
        matrix: rows.collect(),
        columns: matrix.pods,
        left_out: matrix.left_out,
        events: overview.events.into_iter().map(|line| event(line, now)).collect(),
        problem: overview.problem,
        pods,
    }
}

fn pod(line: PodLine) -> PodRow {
    let complete = line.ready.split_once('/').is_some_and(|(ready, all)| ready == all);
    let tone = match line.status.as_str() {
        "Running" if complete => "good",
        "Succeeded" | "Completed" => "good",
        "Running" | "Pending" | "ContainerCreating" | "PodInitializing" | "Terminating" => "warn",
        _ => "bad",
    };
    PodRow {
        namespace: line.namespace,
        name: line.name,
        ready: line.ready,
        status: line.status,
        tone,
        restarts: line.restarts,
        gpus: if line.gpus > 0 { line.gpus.to_string() } else { String::new() },
    }
}

fn event(line: EventLine, now: Timestamp) -> EventRow {
    EventRow {
        when: line.last_seen.parse().map(|at| ago(at, now)).unwrap_or_default(),
        warning: line.warning,
        object: if line.namespace.is_empty() { line.object } else { format!("{} in {}", line.object, line.namespace) },
        reason: line.reason,
        message: if line.count > 1 { format!("{} (×{})", line.message, line.count) } else { line.message },
    }
}

fn draw(from: &str, to: &str, cell: Option<&MatrixCell>) -> Cell {
    let Some(cell) = cell else { return Cell { class: "self", sign: "·", why: "a pod always reaches itself".to_owned() } };
    let (class, sign, word) = match (cell.open.is_empty(), cell.closed.is_empty()) {
        (_, true) => ("yes", "✓", "allowed"),
        (true, false) => ("no", "✗", "denied"),
        (false, false) => ("some", "±", "allowed on some ports"),
    };
    Cell { class, sign, why: format!("{from} to {to}: {word}. {}", cell.why) }
}

/// `just now`, `40 s ago`, `3 min ago`, `2 h ago`, `5 d ago`. Coarse below a minute, so that a page does not change all the time.
pub fn ago(at: Timestamp, now: Timestamp) -> String {
    match now.as_second().saturating_sub(at.as_second()) {
        ..=9 => "just now".to_owned(),
        seconds @ ..=59 => format!("{} s ago", seconds / 10 * 10),
        seconds @ ..=3599 => format!("{} min ago", seconds / 60),
        seconds @ ..=172_799 => format!("{} h ago", seconds / 3600),
        seconds => format!("{} d ago", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::pages::sample::{AWKWARD, judge};

    #[test]
    fn draws_what_the_application_says() {
        let line = |namespace: &str, status: &str, ready: &str| PodLine {
            namespace: namespace.to_owned(),
            name: AWKWARD.to_owned(),
            ready: ready.to_owned(),
            status: status.to_owned(),
            restarts: 2,
            gpus: 1,
            node: String::new(),
        };
        let event = EventLine {
            last_seen: "2026-01-01T00:00:00Z".to_owned(),
            warning: true,
            object: "Pod/a".to_owned(),
            namespace: "ml".to_owned(),
            reason: AWKWARD.to_owned(),
            message: "m".to_owned(),
            count: 3,
        };
        let cell =
            |open: &[u16], closed: &[u16]| Some(MatrixCell { open: open.to_vec(), closed: closed.to_vec(), why: AWKWARD.to_owned() });
        let matrix = Matrix {
            pods: vec!["ml/a".to_owned(), "ml/b".to_owned()],
            cells: vec![vec![None, cell(&[80], &[])], vec![cell(&[1], &[2]), cell(&[], &[9])]],
            left_out: 3,
        };
        let overview = Overview {
            pods: vec![line("kube-system", "Running", "1/1"), line("ml", "Running", "0/1"), line("ml", "CrashLoopBackOff", "0/1")],
            events: vec![event],
            problem: None,
        };
        let panel = panel(overview, matrix, "2026-01-01T00:05:00Z".parse().unwrap());
        assert_eq!(panel.pods.iter().map(|pod| pod.tone).collect::<Vec<_>>(), ["warn", "bad", "good"]);
        let drawn: Vec<String> = panel.matrix.iter().map(|row| row.cells.iter().map(|cell| cell.sign).collect()).collect();
        assert_eq!(drawn, ["·✓", "±✗"]);
        assert_eq!((panel.events[0].when.as_str(), panel.events[0].message.as_str()), ("5 min ago", "m (×3)"));
        judge(&panel.render().unwrap());
    }

    #[test]
    fn words_for_times() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        for (seconds, expected) in
            [(0, "just now"), (-5, "just now"), (45, "40 s ago"), (61, "1 min ago"), (7300, "2 h ago"), (400_000, "4 d ago")]
        {
            assert_eq!(ago(Timestamp::from_second(1_000_000 - seconds).unwrap(), now), expected);
        }
    }
}
