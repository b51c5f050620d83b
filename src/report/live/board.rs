//! What a run says of itself while it goes on, kept for whoever asks.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde::Serialize;

use crate::{
    engine::{Counts, Queues, StageWork, Status},
    error::Error,
    stage::Finding,
};

/// How many findings are shown.
const LAST_FINDINGS: usize = 20;
/// The rate is that of so long a time.
const RECENT: Duration = Duration::from_secs(10);
/// How often a point of the rate is kept.
const STEP: Duration = Duration::from_millis(250);

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It goes on.
    Running,
    /// It came to its end.
    Finished,
    /// It was asked to stop, and can be resumed.
    Interrupted,
    /// An error ended it.
    Failed,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Running, Self::Finished, Self::Interrupted, Self::Failed];

    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Interrupted => "interrupted",
            Self::Failed => "failed",
        }
    }
}

/// What is known of a run at one moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Snapshot {
    /// The name of the run.
    pub run: String,
    /// The version of Lucarne.
    pub version: &'static str,
    /// How it stands.
    pub state: State,
    /// The error that ended it.
    pub error: Option<String>,
    /// Rows so far.
    pub counts: Counts,
    /// All rows of the source, where known.
    pub total: Option<u64>,
    /// Source rows per second, of the last ten seconds.
    pub rows_per_second: f64,
    /// Seconds until the source has given all its rows, at this rate.
    pub seconds_left: Option<f64>,
    /// Commits so far.
    pub commits: u64,
    /// How many findings there are.
    pub findings: usize,
    /// The last of them, the newest first.
    pub last_findings: Vec<Finding>,
    /// Work of every stage, in order.
    pub stages: Vec<StageWork>,
    /// What waits between the threads.
    pub queues: Queues,
    /// Objects that wait in the studies of monitors.
    pub waiting: Vec<Waiting>,
    /// When the board was made.
    pub started_unix_seconds: f64,
    /// When the run was last heard of.
    pub updated_unix_seconds: f64,
}

/// Objects that wait in the study of a monitor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Waiting {
    /// The label of the monitor.
    pub monitor: String,
    /// How many.
    pub objects: usize,
}

/// The shared snapshot: the run writes it, a server reads it. Clones are one board.
#[derive(Debug, Clone)]
pub struct Board(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    snapshot: Snapshot,
    /// When there were how many rows, of late.
    rows: VecDeque<(Instant, u64)>,
}

impl Board {
    /// The board of a run that has said nothing yet.
    pub fn new(run: impl Into<String>) -> Self {
        let now = unix_seconds();
        let snapshot = Snapshot {
            run: run.into(),
            version: env!("CARGO_PKG_VERSION"),
            state: State::Running,
            error: None,
            counts: Counts::default(),
            total: None,
            rows_per_second: 0.0,
            seconds_left: None,
            commits: 0,
            findings: 0,
            last_findings: Vec::new(),
            stages: Vec::new(),
            queues: Queues::default(),
            waiting: Vec::new(),
            started_unix_seconds: now,
            updated_unix_seconds: now,
        };
        Self(Arc::new(Mutex::new(Inner { snapshot, rows: VecDeque::new() })))
    }

    /// Writes down what the progress function of a run was told.
    pub fn update(&self, status: &Status<'_>) {
        let mut inner = self.lock();
        let rate = inner.rate(Instant::now(), status);
        let snapshot = &mut inner.snapshot;
        snapshot.counts = status.counts;
        snapshot.total = status.total;
        snapshot.rows_per_second = rate;
        let left = status.total.map(|total| total.saturating_sub(status.counts.source) as f64);
        snapshot.seconds_left = left.filter(|_| rate > 0.0).map(|left| left / rate);
        snapshot.commits = status.commits;
        if snapshot.findings != status.findings {
            snapshot.findings = status.findings;
            snapshot.last_findings = status.last_findings(LAST_FINDINGS).cloned().collect();
        }
        snapshot.stages.clear();
        snapshot.stages.extend_from_slice(status.stages);
        snapshot.queues = status.queues;
        let waiting = status.waiting.iter().map(|&(monitor, objects)| Waiting { monitor: monitor.into(), objects });
        snapshot.waiting = waiting.collect();
        snapshot.updated_unix_seconds = unix_seconds();
    }

    /// Writes down how the run ended.
    pub fn end(&self, error: Option<&Error>) {
        let snapshot = &mut self.lock().snapshot;
        snapshot.state = match error {
            None => State::Finished,
            Some(Error::Interrupted) => State::Interrupted,
            Some(_) => State::Failed,
        };
        snapshot.error = error.filter(|error| !matches!(error, Error::Interrupted)).map(ToString::to_string);
        snapshot.seconds_left = None;
        snapshot.queues = Queues::default();
        snapshot.waiting.clear();
        snapshot.updated_unix_seconds = unix_seconds();
    }

    /// What is known now.
    pub fn snapshot(&self) -> Snapshot {
        self.lock().snapshot.clone()
    }

    /// What the page below the strip depends on: commits, and how the run stands.
    pub(super) fn edition(&self) -> (u64, State) {
        let snapshot = &self.lock().snapshot;
        (snapshot.commits, snapshot.state)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Rows per second of late; of the whole run as long as that is short.
    fn rate(&mut self, now: Instant, status: &Status<'_>) -> f64 {
        let rows = status.counts.source;
        if self.rows.back().is_none_or(|(last, _)| now.duration_since(*last) >= STEP) {
            self.rows.push_back((now, rows));
        }
        while self.rows.get(1).is_some_and(|(second, _)| now.duration_since(*second) >= RECENT) {
            self.rows.pop_front();
        }
        match self.rows.front() {
            Some((first, before)) if now.duration_since(*first) >= Duration::from_secs(1) => {
                (rows - before) as f64 / now.duration_since(*first).as_secs_f64()
            }
            _ => status.rows_per_second,
        }
    }
}

fn unix_seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A status of so many rows out of 1000.
    pub(in crate::report::live) fn told(board: &Board, source: u64, findings: &[Finding]) {
        let stages = [
            StageWork {
                family: "source".into(),
                label: "source".into(),
                rows: source,
                rejected: 2,
                ..StageWork::default()
            },
            StageWork {
                family: "score".into(),
                label: "da_\"y1\"".into(),
                rows: source - 2,
                seconds: 1.5,
                ..StageWork::default()
            },
        ];
        board.update(&Status {
            counts: Counts { source, written: source - 5, filtered: 3, rejected: 2 },
            total: Some(1000),
            rows_per_second: 50.0,
            commits: source / 100,
            findings: findings.len(),
            committed_findings: &findings[..findings.len() / 2],
            new_findings: &findings[findings.len() / 2..],
            stages: &stages,
            queues: Queues {
                unworked: 1,
                unworked_bound: 2,
                early: 3,
                batches: 5,
                batches_bound: 8,
                bytes: 4096,
                bytes_bound: 1 << 20,
            },
            waiting: &[("attack", 7)],
        });
    }

    #[test]
    fn a_board_keeps_what_it_was_told_last() {
        let board = Board::new("first_light");
        assert_eq!(board.edition(), (0, State::Running));
        let findings: Vec<Finding> =
            (0..30).map(|i| Finding { monitor: "drift".into(), message: format!("window {i}") }).collect();
        told(&board, 200, &findings[..1]);
        told(&board.clone(), 500, &findings);
        let seen = board.snapshot();
        assert_eq!((seen.counts.source, seen.total, seen.commits, seen.findings), (500, Some(1000), 5, 30));
        // A run of less than a second has the rate of its whole.
        assert_eq!((seen.rows_per_second, seen.seconds_left), (50.0, Some(10.0)));
        assert_eq!((seen.last_findings.len(), seen.last_findings[0].message.as_str()), (LAST_FINDINGS, "window 29"));
        assert_eq!((seen.stages.len(), seen.waiting[0].objects), (2, 7));
        assert_eq!(board.edition(), (5, State::Running));
    }

    #[test]
    fn a_board_says_how_the_run_ended() {
        for (error, state, text) in [
            (None, State::Finished, None),
            (Some(Error::Interrupted), State::Interrupted, None),
            (Some(Error::data("no rows")), State::Failed, Some("no rows")),
        ] {
            let board = Board::new("run");
            told(&board, 100, &[]);
            board.end(error.as_ref());
            let seen = board.snapshot();
            assert_eq!((seen.state, seen.error.as_deref(), seen.seconds_left), (state, text, None));
            assert_eq!((seen.queues, seen.waiting.len()), (Queues::default(), 0));
            assert_eq!(serde_json::to_value(seen).expect("json")["state"], state.name());
        }
    }

    #[test]
    fn the_rate_is_that_of_the_last_ten_seconds() {
        let board = Board::new("run");
        told(&board, 10, &[]);
        let mut inner = board.lock();
        let begun = inner.rows[0].0;
        inner.rows.clear();
        let mut rate = 0.0;
        // 100 rows a second for 20 seconds, then 10.
        for second in 0..60_u64 {
            let source = if second < 20 { 100 * second } else { 2000 + 10 * (second - 20) };
            let counts = Counts { source, ..Counts::default() };
            let status = Status {
                counts,
                total: None,
                rows_per_second: 1.0,
                commits: 0,
                findings: 0,
                committed_findings: &[],
                new_findings: &[],
                stages: &[],
                queues: Queues::default(),
                waiting: &[],
            };
            rate = inner.rate(begun + Duration::from_secs(second), &status);
            if second == 19 {
                assert_eq!(rate, 100.0);
            }
        }
        assert_eq!(rate, 10.0);
        assert!(inner.rows.len() <= 12);
    }
}
