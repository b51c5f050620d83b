//! The status of a running run, shared between the run and the server.

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

/// How many of the last findings a snapshot has.
const LAST_FINDINGS: usize = 20;
/// The window over which the rate is measured.
const RATE_WINDOW: Duration = Duration::from_secs(10);
/// The time between samples of the row count.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(250);

/// The state of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// It is running.
    Running,
    /// It finished.
    Finished,
    /// It was stopped on request, and can be resumed.
    Interrupted,
    /// It ended with an error.
    Failed,
}

impl RunState {
    /// All states.
    pub const ALL: [Self; 4] = [Self::Running, Self::Finished, Self::Interrupted, Self::Failed];

    /// The name in JSON and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Interrupted => "interrupted",
            Self::Failed => "failed",
        }
    }
}

/// The status of a run at one moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StatusSnapshot {
    /// The name of the run.
    pub run: String,
    /// The version of Lucarne.
    pub version: &'static str,
    /// The state.
    pub state: RunState,
    /// The error that ended it.
    pub error: Option<String>,
    /// Rows so far, by result.
    pub counts: Counts,
    /// The rows of the source, if known.
    pub total: Option<u64>,
    /// Source rows per second over the last ten seconds.
    pub rows_per_second: f64,
    /// Seconds until the source is exhausted, at this rate.
    pub seconds_left: Option<f64>,
    /// Commits so far.
    pub commits: u64,
    /// The number of findings.
    pub findings: usize,
    /// The last findings, newest first.
    pub last_findings: Vec<Finding>,
    /// The work of each stage, in order.
    pub stages: Vec<StageWork>,
    /// The queues between the threads.
    pub queues: Queues,
    /// Objects that monitors have accepted and not finished.
    pub waiting: Vec<PendingObjects>,
    /// How far the splits of a live source are behind.
    pub source_lag: Vec<SplitLag>,
    /// When this status was created.
    pub started_unix_seconds: f64,
    /// When the run last updated it.
    pub updated_unix_seconds: f64,
}

/// How far a split is behind what has arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SplitLag {
    /// The id of the split: `topic/partition`.
    pub split: String,
    /// In messages.
    pub messages: u64,
}

/// Objects that a monitor has accepted and not finished.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PendingObjects {
    /// The label of the monitor.
    pub monitor: String,
    /// The number of objects.
    pub objects: usize,
}

/// The shared status: the run writes it and a server reads it. Clones share one status.
#[derive(Debug, Clone)]
pub struct LiveStatus(Arc<Mutex<SharedStatus>>);

#[derive(Debug)]
struct SharedStatus {
    snapshot: StatusSnapshot,
    /// Row counts of the rate window, oldest first.
    samples: VecDeque<RowSample>,
}

#[derive(Debug, Clone, Copy)]
struct RowSample {
    time: Instant,
    rows: u64,
}

impl LiveStatus {
    /// The status of a run that has not reported anything yet.
    pub fn new(run: impl Into<String>) -> Self {
        let now = unix_seconds();
        let snapshot = StatusSnapshot {
            run: run.into(),
            version: env!("CARGO_PKG_VERSION"),
            state: RunState::Running,
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
            source_lag: Vec::new(),
            started_unix_seconds: now,
            updated_unix_seconds: now,
        };
        Self(Arc::new(Mutex::new(SharedStatus { snapshot, samples: VecDeque::new() })))
    }

    /// Stores what a run passes to its progress function.
    pub fn update(&self, status: &Status<'_>) {
        let mut shared = self.lock();
        let rate = shared.rate(Instant::now(), status);
        let snapshot = &mut shared.snapshot;
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
        let waiting =
            status.waiting.iter().map(|&(monitor, objects)| PendingObjects { monitor: monitor.into(), objects });
        snapshot.waiting = waiting.collect();
        let lag = status.source_lag.iter().map(|(split, lag)| SplitLag { split: split.clone(), messages: *lag });
        snapshot.source_lag = lag.collect();
        snapshot.updated_unix_seconds = unix_seconds();
    }

    /// Stores the end of the run: `None` if it finished.
    pub fn end(&self, error: Option<&Error>) {
        let snapshot = &mut self.lock().snapshot;
        snapshot.state = match error {
            None => RunState::Finished,
            Some(Error::Interrupted) => RunState::Interrupted,
            Some(_) => RunState::Failed,
        };
        snapshot.error = error.filter(|error| !matches!(error, Error::Interrupted)).map(Error::report);
        snapshot.seconds_left = None;
        snapshot.queues = Queues::default();
        snapshot.waiting.clear();
        snapshot.source_lag.clear();
        snapshot.updated_unix_seconds = unix_seconds();
    }

    /// The current status.
    pub fn snapshot(&self) -> StatusSnapshot {
        self.lock().snapshot.clone()
    }

    /// The revision of the page: it changes with commits and with the state.
    pub(super) fn page_revision(&self) -> PageRevision {
        let snapshot = &self.lock().snapshot;
        PageRevision { commits: snapshot.commits, state: snapshot.state }
    }

    fn lock(&self) -> MutexGuard<'_, SharedStatus> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the page below the strip depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PageRevision {
    pub(super) commits: u64,
    pub(super) state: RunState,
}

impl SharedStatus {
    /// Rows per second over the rate window; in the first second of a run, its own average.
    fn rate(&mut self, now: Instant, status: &Status<'_>) -> f64 {
        let rows = status.counts.source;
        if self.samples.back().is_none_or(|last| now.duration_since(last.time) >= SAMPLE_INTERVAL) {
            self.samples.push_back(RowSample { time: now, rows });
        }
        while self.samples.get(1).is_some_and(|second| now.duration_since(second.time) >= RATE_WINDOW) {
            self.samples.pop_front();
        }
        match self.samples.front() {
            Some(first) if now.duration_since(first.time) >= Duration::from_secs(1) => {
                (rows - first.rows) as f64 / now.duration_since(first.time).as_secs_f64()
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

    /// Updates with a status of `source` rows out of 1000.
    pub(in crate::report::live) fn update(live: &LiveStatus, source: u64, findings: &[Finding]) {
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
        live.update(&Status {
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
            source_lag: &[("alerts/0".to_owned(), 12), ("alerts/1".to_owned(), 0)],
        });
    }

    #[test]
    fn keeps_the_last_update() {
        let live = LiveStatus::new("first_light");
        assert_eq!(live.page_revision(), PageRevision { commits: 0, state: RunState::Running });
        let findings: Vec<Finding> =
            (0..30).map(|i| Finding { monitor: "drift".into(), message: format!("window {i}") }).collect();
        update(&live, 200, &findings[..1]);
        update(&live.clone(), 500, &findings);
        let found = live.snapshot();
        assert_eq!((found.counts.source, found.total, found.commits, found.findings), (500, Some(1000), 5, 30));
        // In its first second a run has its average rate.
        assert_eq!((found.rows_per_second, found.seconds_left), (50.0, Some(10.0)));
        assert_eq!((found.last_findings.len(), found.last_findings[0].message.as_str()), (LAST_FINDINGS, "window 29"));
        assert_eq!((found.stages.len(), found.waiting[0].objects), (2, 7));
        assert_eq!((found.source_lag.len(), found.source_lag[0].messages), (2, 12));
        assert_eq!(live.page_revision(), PageRevision { commits: 5, state: RunState::Running });
    }

    #[test]
    fn reports_how_the_run_ended() {
        for (error, state, text) in [
            (None, RunState::Finished, None),
            (Some(Error::Interrupted), RunState::Interrupted, None),
            (Some(Error::data("no rows")), RunState::Failed, Some("no rows")),
        ] {
            let live = LiveStatus::new("run");
            update(&live, 100, &[]);
            live.end(error.as_ref());
            let found = live.snapshot();
            assert_eq!((found.state, found.error.as_deref(), found.seconds_left), (state, text, None));
            assert_eq!((found.queues, found.waiting.len()), (Queues::default(), 0));
            assert_eq!(serde_json::to_value(found).expect("json")["state"], state.name());
        }
    }

    #[test]
    fn measures_the_rate_over_the_last_ten_seconds() {
        let live = LiveStatus::new("run");
        update(&live, 10, &[]);
        let mut shared = live.lock();
        let started = shared.samples[0].time;
        shared.samples.clear();
        let mut rate = 0.0;
        // 100 rows per second for 20 seconds, then 10.
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
                source_lag: &[],
            };
            rate = shared.rate(started + Duration::from_secs(second), &status);
            if second == 19 {
                assert_eq!(rate, 100.0);
            }
        }
        assert_eq!(rate, 10.0);
        assert!(shared.samples.len() <= 12);
    }
}
