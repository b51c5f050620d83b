//! The state of the monitor in a snapshot.

use serde::{Deserialize, Serialize};

use super::{
    settings::TestMethod,
    windows::{WindowCutter, WindowRule},
};
use crate::{error::Result, monitor::kit::snapshot::expect_same, stats::multiplicity::Lord};

/// All state besides the open window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct DriftProgress {
    pub(super) cutter: WindowCutter,
    /// Windows that were tested.
    pub(super) tested: u64,
    pub(super) lord: Lord,
    /// Whether the last tested window was drift.
    pub(super) is_drifting: bool,
    /// Windows with a test whose kernel values were all equal.
    pub(super) blind: u64,
    /// Rows that were looked up in the reference.
    pub(super) looked_up: u64,
    /// Those that are in it.
    pub(super) in_reference: u64,
}

/// The state in a snapshot; the open window follows as rows or sums.
#[derive(Serialize, Deserialize)]
pub(super) struct LatentDriftState {
    pub(super) settings: DriftSettings,
    pub(super) progress: DriftProgress,
    /// The segments whose sums follow.
    pub(super) segments: Vec<Option<String>>,
    /// Rows of further segments.
    pub(super) untested_rows: u64,
    /// The rows of each segment that are in the reference.
    pub(super) in_reference: Vec<Option<u64>>,
}

/// The settings that state depends on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct DriftSettings {
    /// The columns of the stream that are held.
    pub(super) columns: Vec<String>,
    /// Numbers of a latent.
    pub(super) dimension: usize,
    pub(super) rule: WindowRule,
    pub(super) method: TestMethod,
    pub(super) alpha: f64,
    /// Those of the kernels.
    pub(super) variances: Vec<f64>,
}

impl DriftSettings {
    /// Refuses a snapshot of other settings than the monitor's own.
    pub(super) fn expect(&self, label: &str, own: &Self) -> Result<()> {
        expect_same(label, "the list of columns", &self.columns, &own.columns)?;
        expect_same(label, "the length of latents", &self.dimension, &own.dimension)?;
        expect_same(label, "the rule of windows", &self.rule, &own.rule)?;
        expect_same(label, "`method`", &self.method, &own.method)?;
        expect_same(label, "`alpha`", &self.alpha, &own.alpha)?;
        expect_same(label, "the list of variances of the kernels", &self.variances, &own.variances)
    }
}
