//! A status snapshot in the text format of Prometheus, version 0.0.4.
//!
//! The metrics of stages have the same names in `metrics` of `run.json`.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeMetric, prometheus_text},
    metrics::{counter::ConstCounter, gauge::ConstGauge, info::Info},
    registry::{Registry, Unit},
};

use super::{RunState, StatusSnapshot};
use crate::{
    engine::StageWork,
    error::{Error, Result},
};

/// The content type of [`text`].
pub(super) const CONTENT_TYPE: &str = prometheus_text::CONTENT_TYPE;

/// The metrics of a snapshot.
pub(super) fn text(snapshot: StatusSnapshot) -> Result<String> {
    let mut registry = Registry::with_prefix("lucarne");
    registry.register_collector(Box::new(Scrape(snapshot)));
    let mut out = String::new();
    prometheus_text::encode(&mut out, &registry)
        .map_err(|error| Error::bug("cannot encode metrics").caused_by(error))?;
    Ok(out)
}

#[derive(Debug)]
struct Scrape(StatusSnapshot);

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let StatusSnapshot { counts, queues, .. } = &self.0;
        let seconds = Some(&Unit::Seconds);
        let mut out = MetricFamilies(encoder);
        let info = vec![("version", self.0.version.to_owned()), ("run", self.0.run.clone())];
        out.family("run", "Version and name of the run", None, [(NONE, Info::new(info))])?;
        let states = RunState::ALL.map(|state| ([("state", state.name())], gauge(u64::from(state == self.0.state))));
        out.family("run_state", "State of the run: 1 for the current state, 0 for the others", None, states)?;
        let started = gauge(self.0.started_unix_seconds);
        out.family("run_started_timestamp", "Start of this process", seconds, [(NONE, started)])?;
        let updated = gauge(self.0.updated_unix_seconds);
        out.family("run_updated_timestamp", "Last update by the run", seconds, [(NONE, updated)])?;
        let rows = [
            ("read", counts.source),
            ("kept", counts.written),
            ("filtered", counts.filtered),
            ("rejected", counts.rejected),
        ];
        let rows = rows.map(|(result, rows)| ([("result", result)], counter(rows)));
        out.family("rows", "Rows by result; read is the sum of the others", None, rows)?;
        let total = self.0.total.map(|total| (NONE, gauge(total)));
        out.family("source_rows", "Rows of the source, if known", None, total)?;
        out.family("commits", "Commits of the run", None, [(NONE, counter(self.0.commits))])?;
        out.family("findings", "Findings of monitors", None, [(NONE, counter(self.0.findings as u64))])?;
        self.stages(&mut out)?;
        let depths = [("unworked", queues.unworked), ("early", queues.early), ("batches", queues.batches)];
        let depths = depths.map(|(queue, depth)| ([("queue", queue)], gauge(depth as u64)));
        let help =
            "Batches waiting for a worker (unworked), waiting for earlier batches (early), and all in flight (batches)";
        out.family("queue_depth", help, None, depths)?;
        let bounds = [("unworked", queues.unworked_bound), ("batches", queues.batches_bound)];
        let bounds = bounds.map(|(queue, bound)| ([("queue", queue)], gauge(bound as u64)));
        out.family("queue_limit", "Maximum number of batches in a queue", None, bounds)?;
        let bytes = [(NONE, gauge(queues.bytes as u64))];
        out.family("memory", "Bytes of the batches in flight", Some(&Unit::Bytes), bytes)?;
        let bound = [(NONE, gauge(queues.bytes_bound as u64))];
        out.family("memory_limit", "Maximum number of bytes of the batches in flight", Some(&Unit::Bytes), bound)?;
        let waiting = &self.0.waiting;
        let waiting =
            waiting.iter().map(|pending| ([("monitor", pending.monitor.as_str())], gauge(pending.objects as u64)));
        out.family("study_waiting_objects", "Objects that a monitor has accepted and not finished", None, waiting)?;
        let lag = &self.0.source_lag;
        let lag = lag.iter().map(|lag| ([("split", lag.split.as_str())], gauge(lag.messages)));
        out.family("source_lag_messages", "Messages of a split of a live source that were not read yet", None, lag)
    }
}

impl Scrape {
    fn stages(&self, out: &mut MetricFamilies<'_>) -> fmt::Result {
        let rows: [StageCounter; 3] = [
            ("stage_rows", "Rows received by a stage", |stage| stage.rows),
            ("stage_rejected_rows", "Rows rejected by a stage", |stage| stage.rejected),
            ("stage_filtered_rows", "Rows filtered out by a stage", |stage| stage.filtered),
        ];
        for (name, help, rows) in rows {
            let each = self.0.stages.iter().map(|stage| (labels(stage), counter(rows(stage))));
            out.family(name, help, None, each)?;
        }
        let seconds = self.0.stages.iter().map(|stage| (labels(stage), counter(stage.seconds)));
        out.family("stage", "Seconds of work of a stage, summed over threads", Some(&Unit::Seconds), seconds)
    }
}

/// Name, help and value of a counter of a stage.
type StageCounter = (&'static str, &'static str, fn(&StageWork) -> u64);

/// The labels of a metric without labels.
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

/// Writes metrics, grouped by name.
struct MetricFamilies<'a>(DescriptorEncoder<'a>);

impl MetricFamilies<'_> {
    /// Writes the metrics of one name, each with its labels. An empty list writes nothing, not even the help.
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
    use super::{super::status::tests::update, *};
    use crate::report::live::LiveStatus;

    #[test]
    fn encodes_a_snapshot_in_the_format_of_prometheus() {
        let live = LiveStatus::new("a \"run\" \\ of\nlines");
        update(&live, 500, &[]);
        let mut snapshot = live.snapshot();
        (snapshot.version, snapshot.started_unix_seconds, snapshot.updated_unix_seconds) = ("0.1.0", 1.5, 2.25);
        assert_eq!(text(snapshot).expect("text"), include_str!("../../../tests/golden/live/metrics.txt"));
    }

    #[test]
    fn encodes_the_status_of_a_run_without_updates() {
        let text = text(LiveStatus::new("run").snapshot()).expect("text");
        assert!(text.contains("\nlucarne_rows_total{result=\"read\"} 0\n"), "{text}");
        assert!(!text.contains("source_rows") && !text.contains("stage"), "{text}");
    }
}
