//! The names of the metrics of a stage, in `run.json` and for Prometheus.

use super::StageWork;

/// A metric of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StageMetric {
    /// Rows that the stage received.
    Rows,
    /// Rows that it rejected.
    RejectedRows,
    /// Rows that it filtered out.
    FilteredRows,
    /// Seconds that it worked, summed over threads.
    Seconds,
}

impl StageMetric {
    /// All metrics, in the order in which they are written.
    pub const ALL: [Self; 4] = [Self::Rows, Self::RejectedRows, Self::FilteredRows, Self::Seconds];

    /// The name without the prefix `lucarne_`, the unit and the suffix `_total`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rows => "stage_rows",
            Self::RejectedRows => "stage_rejected_rows",
            Self::FilteredRows => "stage_filtered_rows",
            Self::Seconds => "stage",
        }
    }

    /// What it counts.
    pub const fn help(self) -> &'static str {
        match self {
            Self::Rows => "Rows received by a stage",
            Self::RejectedRows => "Rows rejected by a stage",
            Self::FilteredRows => "Rows filtered out by a stage",
            Self::Seconds => "Seconds of work of a stage, summed over threads",
        }
    }

    /// The full name under which Prometheus knows it.
    pub fn full_name(self) -> String {
        let unit = if self == Self::Seconds { "_seconds" } else { "" };
        format!("lucarne_{}{unit}_total", self.name())
    }

    /// Its value for a stage.
    pub fn value(self, work: &StageWork) -> serde_json::Number {
        match self {
            Self::Rows => work.rows.into(),
            Self::RejectedRows => work.rejected.into(),
            Self::FilteredRows => work.filtered.into(),
            Self::Seconds => serde_json::Number::from_f64(work.seconds).unwrap_or_else(|| 0.into()),
        }
    }
}
