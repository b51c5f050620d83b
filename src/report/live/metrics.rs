//! A snapshot as Prometheus reads it: its text format, version 0.0.4.
//!
//! The stages have the names that `metrics` of `run.json` has.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeMetric, prometheus_text},
    metrics::{counter::ConstCounter, gauge::ConstGauge, info::Info},
    registry::{Registry, Unit},
};

use super::{Snapshot, State};
use crate::{
    engine::StageWork,
    error::{Error, Result},
};

/// The content type of [`text`].
pub(super) const CONTENT_TYPE: &str = prometheus_text::CONTENT_TYPE;

/// The metrics of a snapshot.
pub(super) fn text(snapshot: Snapshot) -> Result<String> {
    let mut registry = Registry::with_prefix("lucarne");
    registry.register_collector(Box::new(Scrape(snapshot)));
    let mut out = String::new();
    prometheus_text::encode(&mut out, &registry).map_err(|_| Error::bug("metrics that cannot be written"))?;
    Ok(out)
}

#[derive(Debug)]
struct Scrape(Snapshot);

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Snapshot { counts, queues, .. } = &self.0;
        let seconds = Some(&Unit::Seconds);
        let mut out = Families(encoder);
        let info = vec![("version", self.0.version.to_owned()), ("run", self.0.run.clone())];
        out.family("run", "What runs", None, [(NONE, Info::new(info))])?;
        let states = State::ALL.map(|state| ([("state", state.name())], gauge(u64::from(state == self.0.state))));
        out.family("run_state", "How the run stands: 1 for what is so", None, states)?;
        let started = gauge(self.0.started_unix_seconds);
        out.family("run_started_timestamp", "When this process began with the run", seconds, [(NONE, started)])?;
        let updated = gauge(self.0.updated_unix_seconds);
        out.family("run_updated_timestamp", "When the run was last heard of", seconds, [(NONE, updated)])?;
        let rows = [
            ("read", counts.source),
            ("kept", counts.written),
            ("filtered", counts.filtered),
            ("rejected", counts.rejected),
        ];
        let rows = rows.map(|(result, rows)| ([("result", result)], counter(rows)));
        out.family("rows", "Rows by what became of them; those read are the sum of the others", None, rows)?;
        let total = self.0.total.map(|total| (NONE, gauge(total)));
        out.family("source_rows", "All rows of the source, where known", None, total)?;
        out.family("commits", "Commits", None, [(NONE, counter(self.0.commits))])?;
        out.family("findings", "Findings of monitors", None, [(NONE, counter(self.0.findings as u64))])?;
        self.stages(&mut out)?;
        let depths = [("unworked", queues.unworked), ("early", queues.early), ("batches", queues.batches)];
        let depths = depths.map(|(queue, depth)| ([("queue", queue)], gauge(depth as u64)));
        let help = "Batches that wait for a worker (unworked), for their turn (early), and all under way (batches)";
        out.family("queue_depth", help, None, depths)?;
        let bounds = [("unworked", queues.unworked_bound), ("batches", queues.batches_bound)];
        let bounds = bounds.map(|(queue, bound)| ([("queue", queue)], gauge(bound as u64)));
        out.family("queue_limit", "The most batches of a queue", None, bounds)?;
        let bytes = [(NONE, gauge(queues.bytes as u64))];
        out.family("memory", "Bytes of the batches under way", Some(&Unit::Bytes), bytes)?;
        let bound = [(NONE, gauge(queues.bytes_bound as u64))];
        out.family("memory_limit", "The most bytes of the batches under way", Some(&Unit::Bytes), bound)?;
        let waiting = &self.0.waiting;
        let waiting = waiting.iter().map(|study| ([("monitor", study.monitor.as_str())], gauge(study.objects as u64)));
        out.family("study_waiting_objects", "Objects that wait in the study of a monitor", None, waiting)
    }
}

impl Scrape {
    fn stages(&self, out: &mut Families<'_>) -> fmt::Result {
        let rows: [Counted; 3] = [
            ("stage_rows", "Rows that a stage was given", |stage| stage.rows),
            ("stage_rejected_rows", "Rows that a stage refused", |stage| stage.rejected),
            ("stage_filtered_rows", "Rows that a stage filtered out", |stage| stage.filtered),
        ];
        for (name, help, rows) in rows {
            let each = self.0.stages.iter().map(|stage| (labels(stage), counter(rows(stage))));
            out.family(name, help, None, each)?;
        }
        let seconds = self.0.stages.iter().map(|stage| (labels(stage), counter(stage.seconds)));
        out.family("stage", "Seconds that a stage worked, summed over threads", Some(&Unit::Seconds), seconds)
    }
}

/// A name, what it is, and where a stage keeps it.
type Counted = (&'static str, &'static str, fn(&StageWork) -> u64);

/// No labels.
const NONE: [(&str, &str); 0] = [];

fn labels(stage: &StageWork) -> [(&str, &str); 2] {
    [("family", &stage.family), ("stage", &stage.label)]
}

fn counter<N: EncodeCounterValue>(value: N) -> ConstCounter<N> {
    ConstCounter::new(value)
}

fn gauge<N: EncodeGaugeValue>(value: N) -> ConstGauge<N> {
    ConstGauge::new(value)
}

/// Writes metrics with one name after the other.
struct Families<'a>(DescriptorEncoder<'a>);

impl Families<'_> {
    /// All metrics of a name, each with its labels; nothing where there is none.
    fn family<'l, M: EncodeMetric, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        metrics: impl IntoIterator<Item = ([(&'l str, &'l str); N], M)>,
    ) -> fmt::Result {
        let mut metrics = metrics.into_iter().peekable();
        let Some((_, first)) = metrics.peek() else { return Ok(()) };
        let kind = first.metric_type();
        let mut family = self.0.encode_descriptor(name, help, unit, kind)?;
        metrics.try_for_each(|(labels, metric)| metric.encode(family.encode_family(&labels)?))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::board::tests::told, *};
    use crate::report::live::Board;

    #[test]
    fn a_snapshot_is_told_in_the_format_of_prometheus() {
        let board = Board::new("a \"run\" \\ of\nlines");
        told(&board, 500, &[]);
        let mut snapshot = board.snapshot();
        (snapshot.version, snapshot.started_unix_seconds, snapshot.updated_unix_seconds) = ("0.1.0", 1.5, 2.25);
        assert_eq!(text(snapshot).expect("text"), include_str!("../../../tests/golden/live/metrics.txt"));
    }

    #[test]
    fn a_run_that_has_said_nothing_has_metrics_too() {
        let text = text(Board::new("run").snapshot()).expect("text");
        assert!(text.contains("\nlucarne_rows_total{result=\"read\"} 0\n"), "{text}");
        assert!(!text.contains("source_rows") && !text.contains("stage"), "{text}");
    }
}
