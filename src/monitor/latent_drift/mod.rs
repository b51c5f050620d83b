//! The monitor kind `latent_drift`: whether the stream has left the domain that a model knows.
//!
//! Windows of the stream are compared with the latents of one domain of a reference table by their
//! [maximum mean discrepancy](crate::stats::mmd). Its p-value is that of a permutation test, (k + 1)/(B + 1): it is never zero,
//! and below alpha in a fraction alpha of the windows without drift. Beside it the table has, with p-values of the same
//! permutations, the [Jensen-Shannon](crate::stats::jensen_shannon) distance of the mean class probabilities, and the
//! [largest one over all latent dimensions](crate::stats::marginals). `is_drift` is the outcome of the MMD test.
//!
//! **False alarms.** Over independent pairs of a reference and a window of one distribution, a fraction alpha is called drift.
//! A stream is compared with *one* reference repeatedly: given that reference, the fraction is larger or smaller than alpha
//! (less so for larger references; `benches/README.md` has figures), and windows are no longer independent of each other.
//! Rows that are correlated within a window (by a visit, for example) look like drift; `block` names the column within whose
//! values rows are exchangeable, which the reference must have too. The galaxies of the reference must not be in the stream: rows
//! that are in both are counted (`n_in_reference`), and are a warning and a finding.
//!
//! **Scale.** The 19 kernels of the paper are blind to latents whose squared distances are far above 1e6 or far below 1e-6: every
//! discrepancy would be 0, and every p-value 1. So the scale of the reference is measured when the run starts
//! ([`PairDistances`](crate::stats::mmd::PairDistances)): by default a kernel of the median distance takes over where the paper's are
//! blind, and kernels that the settings name are refused where they are. Pairs within the reference are part of every test, so a
//! window that is far away, or much wider or narrower, differs from it visibly. A test of the permutations whose kernel values are
//! all equal has no result but a reason.
//!
//! **Images.** The latents of a score say what images they are of ([`LatentLayout`](crate::batch::LatentLayout)). Those of other bands, units or
//! pixel scales are refused: what differs would be how images are made, not what they show. Another domain or exposure is what a
//! study of drift may measure, so it is warned of and recorded.
//!
//! An endless stream has alpha false alarms per window: `expected_false_alarms` is their sum. `control: lord` gives each window
//! its own level instead, so that of all windows called drift at most a fraction alpha is false ([`Lord`]). These
//! levels fall while nothing is found; below 1/(B + 1) no permutation test can be significant, so it needs more
//! `permutations`.
//!
//! With `method: random_features` the discrepancy is that of [sums of random features](crate::stats::mmd::random_features):
//! memory does not depend on the size of a window, and time is linear in it. It does not compare classes and dimensions, and
//! its windows cannot overlap.

mod kernel_choice;
mod members;
mod open_window;
mod permutation_test;
mod random_feature_test;
mod reference;
mod sample;
mod settings;
mod state;
mod table;
mod windows;

use std::path::PathBuf;

use arrow::{
    array::RecordBatch,
    datatypes::{Schema, SchemaRef},
};
use serde_json::{Value, json};

pub use self::settings::{Control, KernelChoice, KernelName, LatentDrift, TestMethod};

use self::{
    kernel_choice::ChosenKernel,
    members::ReferenceMembers,
    open_window::{OpenWindow, WindowTest, unless_stopped},
    permutation_test::{PermutationTest, PermutationTestOptions},
    random_feature_test::{RandomFeatureOptions, RandomFeatureTest, SegmentHeader},
    reference::{ReferenceTable, StreamLatents},
    sample::{LatentSample, SampleColumns},
    state::{DriftProgress, DriftSettings, LatentDriftState},
    table::{BLIND, DriftRow, TestResult, WindowContext, table},
    windows::{StreamWindow, WindowCutter, WindowRule, WindowStep},
};
use super::kit::{
    grace::GracefulStop,
    latents::no_latents,
    score::{latent_column, latent_size, probabilities_of, probability_column, text},
    snapshot::damaged,
};
use crate::{
    batch::{OBJECT_ID, column_of, list_values, object_id},
    error::{Code, Diagnostic, Error, Result},
    run::snapshot::{decode, encode},
    stage::{ColumnRef, Finding, Monitor, MonitorOutput, RunContext, Scorers, Settings, UpstreamSchemas},
    stats::multiplicity::{Lord, holm},
};

/// The monitor of the kind `latent_drift`.
struct LatentDriftMonitor {
    label: String,
    settings: LatentDrift,
    rule: WindowRule,
    /// Set by `bind`.
    binding: Option<DriftBinding>,
    /// Set by `start`, as are the fields up to the seed.
    test: Option<DriftTest>,
    kernel: Option<ChosenKernel>,
    members: ReferenceMembers,
    stop: GracefulStop,
    seed: u64,
    /// Whether the warning that no window can be significant was logged.
    has_warned: bool,
    /// Whether the warning that rows are in the reference was logged.
    has_warned_of_members: bool,
    progress: DriftProgress,
    open: OpenWindow,
}

/// The reference and the columns that it is compared with.
struct DriftBinding {
    reference: ReferenceTable,
    columns: SampleColumns,
    /// The number of compared classes; 0 if classes are not compared.
    classes: usize,
}

/// The reference, ready to test windows.
enum DriftTest {
    Permutation(PermutationTest),
    RandomFeatures(RandomFeatureTest),
}

impl DriftTest {
    /// Rows of the reference.
    fn reference_rows(&self) -> u64 {
        match self {
            Self::Permutation(test) => test.len() as u64,
            Self::RandomFeatures(test) => test.len(),
        }
    }
}

impl LatentDriftMonitor {
    fn new(label: &str, settings: LatentDrift) -> Self {
        let lord = Lord::new(settings.alpha);
        Self {
            label: label.to_owned(),
            rule: settings.rule(),
            binding: None,
            test: None,
            kernel: None,
            members: ReferenceMembers::default(),
            stop: GracefulStop::default(),
            seed: 0,
            has_warned: false,
            has_warned_of_members: false,
            progress: DriftProgress {
                cutter: WindowCutter::new(),
                tested: 0,
                lord,
                is_drifting: false,
                blind: 0,
                looked_up: 0,
                in_reference: 0,
            },
            open: OpenWindow::new(settings.method),
            settings,
        }
    }

    fn binding(&self) -> Result<&DriftBinding> {
        self.binding.as_ref().ok_or_else(|| Error::bug(format!("the monitor `{}` was not bound", self.label)))
    }

    fn test(&self) -> Result<&DriftTest> {
        self.test.as_ref().ok_or_else(|| self.not_started())
    }

    fn kernel(&self) -> Result<&ChosenKernel> {
        self.kernel.as_ref().ok_or_else(|| self.not_started())
    }

    fn not_started(&self) -> Error {
        Error::bug(format!("the monitor `{}` was not started", self.label))
    }

    /// The columns of the stream that are held, without duplicates, each with the setting that names it.
    fn held_columns(&self) -> Vec<(&'static str, String)> {
        let score = &self.settings.score;
        let mut columns = vec![("score", latent_column(score))];
        if self.settings.reads_classes() {
            columns.push(("score", probability_column(score)));
        }
        let named = [
            ("window_by", &self.settings.window_by),
            ("segment", &self.settings.segment),
            ("block", &self.settings.block),
        ];
        columns.extend(named.into_iter().filter_map(|(key, column)| Some((key, column.clone()?))));
        columns
    }

    fn state_settings(&self) -> Result<DriftSettings> {
        Ok(DriftSettings {
            columns: self.held_columns().into_iter().map(|(_, column)| column).collect(),
            dimension: self.binding()?.reference.dimension,
            rule: self.rule,
            method: self.settings.method,
            alpha: self.settings.alpha,
            variances: self.kernel()?.variances().to_vec(),
        })
    }

    /// The test of windows against a reference.
    fn test_against(&self, reference: LatentSample, kernel: &ChosenKernel) -> Result<DriftTest> {
        let stopped = || self.stop.is_due();
        let LatentDrift { method, permutations, features, bins, .. } = &self.settings;
        let DriftBinding { columns, classes, .. } = self.binding()?;
        Ok(match method {
            TestMethod::Permutation => {
                let classes = if columns.with_probabilities { *classes } else { 0 };
                let bins = (*bins > 0).then_some(*bins);
                let options = PermutationTestOptions { classes, bins, permutations: *permutations };
                let test = PermutationTest::new(reference, kernel.kernel.clone(), options, &stopped);
                DriftTest::Permutation(unless_stopped(test)?)
            }
            TestMethod::RandomFeatures => {
                let options = RandomFeatureOptions {
                    frequencies: *features,
                    tosses: *permutations,
                    seed: self.seed,
                    label: self.label.clone(),
                };
                let test = RandomFeatureTest::new(&reference.latents, &kernel.kernel, options, &stopped);
                DriftTest::RandomFeatures(unless_stopped(test)?)
            }
        })
    }

    /// Logs which kernels are used: a warning where they are not the paper's though the settings do not say so.
    fn log_kernel(&self, kernel: &ChosenKernel) {
        let (monitor, name, median) = (&self.label, kernel.name, kernel.median_squared_distance);
        if self.settings.kernel == KernelChoice::default() && name != "paper" {
            tracing::warn!(
                monitor,
                "the 19 kernels of the paper are blind to the reference: its median squared distance is {median:.1e}, their variances are \
                 1e-6 to 1e6; `kernel: {name}` is used instead"
            );
        } else {
            tracing::info!(monitor, kernel = name, "the median squared distance of the reference is {median:.1e}");
        }
    }

    /// Logs how the images of the reference differ from those of the stream: a shift that the distances include.
    fn log_shifts(&self) -> Result<()> {
        let LatentDrift { score, reference, .. } = &self.settings;
        let (monitor, reference) = (&self.label, reference.display());
        match &self.binding()?.reference.shifts {
            None => tracing::info!(
                monitor,
                "what images the latents of the reference `{reference}` are of is not known: they are not compared with those of `{score}`"
            ),
            Some(shifts) if shifts.is_empty() => {}
            Some(shifts) => tracing::warn!(
                monitor,
                "the images of the reference `{reference}` are not like those of `{score}`, and drift includes the difference: {}",
                shifts.join("; ")
            ),
        }
        Ok(())
    }

    /// Counts the rows of a batch that are in the reference.
    fn look_up(&mut self, batch: &RecordBatch) -> Result<()> {
        let (latents, dimension) = list_values(batch, &latent_column(&self.settings.score))?;
        for row in 0..batch.num_rows() {
            let is_member = self.members.contain(object_id(batch, row)?, &latents[row * dimension..][..dimension]);
            self.progress.in_reference += u64::from(is_member);
        }
        self.progress.looked_up += batch.num_rows() as u64;
        Ok(())
    }

    fn follow(&mut self, batch: &RecordBatch, step: WindowStep, out: &mut MonitorOutput) -> Result<()> {
        match step {
            WindowStep::Hold(rows) if rows.is_empty() => Ok(()),
            WindowStep::Hold(rows) => {
                let (Some(binding), Some(test)) = (&self.binding, &self.test) else { return Err(self.not_started()) };
                let (batch, seen) = (batch.slice(rows.start, rows.len()), (&self.members, &self.stop));
                self.open.add(batch, test, &binding.columns, &self.settings, seen)
            }
            WindowStep::Close { window, release } => self.close(&window, release, out),
        }
    }

    /// Tests a window that has ended, emits its rows, and releases its first `release` rows.
    fn close(&mut self, window: &StreamWindow, release: u64, out: &mut MonitorOutput) -> Result<()> {
        let threshold = match self.settings.control {
            Control::None => self.settings.alpha,
            Control::Lord => self.progress.lord.level(),
        };
        self.warn_if_hopeless(window, threshold);
        let results = self.results(window, release, threshold)?;
        self.warn_of_members(window, &results);
        self.progress.blind += u64::from(results.iter().any(|(_, result)| result.reason == Some(BLIND)));
        let p_values: Vec<f64> = results.iter().filter_map(|(_, result)| result.p_value).collect();
        let mut adjusted = holm(&p_values).into_iter();
        let mut decided = Vec::with_capacity(results.len());
        for (segment, result) in results {
            let adjusted = result.p_value.and_then(|_| adjusted.next());
            decided.push((segment, result, adjusted, adjusted.map(|p| p <= threshold)));
        }
        let is_drift = decided.iter().any(|(.., is_drift)| *is_drift == Some(true));
        if !p_values.is_empty() {
            self.progress.tested += 1;
            self.progress.lord.take(is_drift);
        }
        let expected_false_alarms =
            (self.settings.control == Control::None).then_some(self.settings.alpha * self.progress.tested as f64);
        let context = WindowContext {
            window,
            reference_rows: self.test()?.reference_rows(),
            kernel: self.kernel()?.name,
            threshold,
            expected_false_alarms,
        };
        let rows: Vec<DriftRow<'_>> = decided
            .into_iter()
            .map(|(segment, result, adjusted_p_value, is_drift)| DriftRow {
                context,
                segment,
                result,
                adjusted_p_value,
                is_drift,
            })
            .collect();
        out.rows.push(table(&self.settings).batch(&rows)?.into());
        if is_drift && !self.progress.is_drifting {
            out.findings.push(self.finding(&context, &rows));
        }
        if !p_values.is_empty() {
            self.progress.is_drifting = is_drift;
        }
        self.open.release(release);
        Ok(())
    }

    /// Logs once that the level has fallen below the smallest possible p-value.
    fn warn_if_hopeless(&mut self, window: &StreamWindow, level: f64) {
        if self.settings.can_be_significant(level) || std::mem::replace(&mut self.has_warned, true) {
            return;
        }
        let permutations = self.settings.permutations;
        tracing::warn!(
            monitor = self.label,
            window = window.number,
            "no further window can be significant: the level {level:.1e} is below 1/(B + 1) for B = {permutations} permutations"
        );
    }

    /// Logs once that rows of the stream are in the reference.
    fn warn_of_members(&mut self, window: &StreamWindow, results: &[(Option<String>, TestResult)]) {
        let rows: u64 = results.iter().filter_map(|(_, result)| result.in_reference).sum();
        if rows == 0 || std::mem::replace(&mut self.has_warned_of_members, true) {
            return;
        }
        let (n, reference) = (window.last + 1 - window.first, self.settings.reference.display());
        tracing::warn!(
            monitor = self.label,
            window = window.number,
            "{rows} of {n} rows are in the reference `{reference}` ({}): windows that share rows with it are too much like it",
            self.members.recognised_by()
        );
    }

    /// The findings about the stream as a whole.
    fn last_findings(&self) -> Vec<Finding> {
        let LatentDrift { score, reference, .. } = &self.settings;
        let DriftProgress { blind, looked_up, in_reference, .. } = self.progress;
        let mut messages = Vec::new();
        if in_reference > 0 {
            messages.push(format!(
                "{in_reference} of {looked_up} rows of `{score}` are in the reference `{}` ({}): windows that share rows with it are too \
                 much like it, so name a reference of other galaxies",
                reference.display(),
                self.members.recognised_by(),
            ));
        }
        if blind > 0 {
            let (windows, were) = if blind == 1 { ("window", "was") } else { ("windows", "were") };
            messages.push(format!(
                "{blind} {windows} of `{score}` {were} not tested, at least in part: {BLIND} (see the column `reason`)"
            ));
        }
        messages.into_iter().map(|message| Finding { monitor: self.label.clone(), message }).collect()
    }

    /// The tests of all segments of a window.
    fn results(
        &mut self,
        window: &StreamWindow,
        release: u64,
        level: f64,
    ) -> Result<Vec<(Option<String>, TestResult)>> {
        let (Some(binding), Some(test)) = (&self.binding, &self.test) else { return Err(self.not_started()) };
        let of = WindowTest {
            window,
            level,
            max_segments: self.settings.max_segments(),
            columns: &binding.columns,
            members: &self.members,
            stop: &self.stop,
            seed: self.seed,
            label: &self.label,
        };
        self.open.test(test, &of, release > window.last - window.first)
    }

    fn finding(&self, context: &WindowContext<'_>, rows: &[DriftRow<'_>]) -> Finding {
        let LatentDrift { score, domain, reference, window_by, .. } = &self.settings;
        let StreamWindow { number, first, last, value } = context.window;
        let by = window_by.as_ref().zip(value.as_ref());
        let by = by.map_or_else(String::new, |(column, value)| format!(", `{column}` {value}"));
        let domain = domain.as_ref().map_or_else(|| "the reference".into(), |domain| format!("domain `{domain}`"));
        let drifted = || rows.iter().filter(|row| row.is_drift == Some(true));
        let segments: Vec<&str> = drifted().filter_map(|row| row.segment.as_deref()).collect();
        let of = if segments.is_empty() { String::new() } else { format!(" in segments `{}`", segments.join("`, `")) };
        let least = drifted().filter_map(|row| row.adjusted_p_value).fold(1.0, f64::min);
        let expected = context.expected_false_alarms.map_or_else(String::new, |expected| {
            let windows = if self.progress.tested == 1 { "window" } else { "windows" };
            format!("; expected false alarms so far: {expected:.2} in {} {windows}", self.progress.tested)
        });
        let message = format!(
            "`{score}` has drifted from {domain} of `{}`{of} in window {number} (rows {first} to {last}{by}): p = {least:.4} at level \
             {:.4}{expected}",
            reference.display(),
            context.threshold,
        );
        Finding { monitor: self.label.clone(), message }
    }
}

impl Monitor for LatentDriftMonitor {
    fn input_files(&self) -> Vec<PathBuf> {
        self.binding().map(|binding| binding.reference.files().to_vec()).unwrap_or_default()
    }

    fn required_columns(&self) -> Vec<ColumnRef> {
        self.held_columns().into_iter().map(|(key, column)| ColumnRef::new(key, column)).collect()
    }

    fn bind(&mut self, input: &Schema, _upstream: &UpstreamSchemas) -> Result<SchemaRef, Vec<Diagnostic>> {
        let LatentDrift { score, block, segment, .. } = &self.settings;
        let column = latent_column(score);
        let size = latent_size(input, score).ok_or_else(|| no_latents("score", &column));
        let reference = ReferenceTable::find(&self.settings, &StreamLatents::of(input, score));
        let reference = match (size, reference) {
            (Ok(size), Ok(reference)) if size != reference.dimension => {
                let found = reference.dimension;
                let message = format!("latents of the reference have {found} numbers, those of `{score}` {size}");
                return Err(vec![Diagnostic::at("reference", Code::Conflict, message)]);
            }
            (Ok(_), Ok(reference)) => reference,
            (size, reference) => return Err(size.err().into_iter().chain(reference.err()).collect()),
        };
        let classes =
            probabilities_of(input, score).filter(|classes| reference.classes() == Some(*classes)).unwrap_or(0);
        let columns = SampleColumns {
            score: score.clone(),
            with_probabilities: self.settings.reads_classes() && classes > 0,
            block: block.clone(),
            segment: segment.clone(),
        };
        self.binding = Some(DriftBinding { reference, columns, classes });
        Ok(table(&self.settings).schema())
    }

    fn start(&mut self, run: &RunContext, _scorers: &Scorers) -> Result<()> {
        self.seed = run.seed;
        self.stop = GracefulStop::new(&run.stop);
        let (sample, members) = self.binding()?.reference.read(run.seed, self.settings.reference_limit)?;
        let unusable = |why: &str| Error::data(format!("the reference `{}` {why}", self.settings.reference.display()));
        if sample.latents.len() < 2 {
            return Err(unusable("has fewer than 2 rows of its domain"));
        }
        let kernel =
            ChosenKernel::for_reference(&self.settings.kernel, &sample.latents).map_err(|why| unusable(&why))?;
        self.log_kernel(&kernel);
        self.log_shifts()?;
        self.test = Some(self.test_against(sample, &kernel)?);
        (self.kernel, self.members) = (Some(kernel), members);
        Ok(())
    }

    fn provenance(&self) -> Value {
        let (Some(kernel), Some(test)) = (&self.kernel, &self.test) else { return Value::Null };
        json!({
            "kernel": kernel.name,
            "variances": kernel.variances(),
            "median_squared_distance": kernel.median_squared_distance,
            "reference_rows": test.reference_rows(),
            "reference_images": self.binding.as_ref().map_or(&None, |binding| &binding.reference.shifts),
        })
    }

    fn observe(&mut self, batch: &RecordBatch) -> Result<MonitorOutput> {
        // Only compared columns are held, not the images beside them.
        let mut names: Vec<String> = vec![OBJECT_ID.to_owned()];
        names.extend(self.held_columns().into_iter().map(|(_, column)| column));
        let mut indices: Vec<usize> =
            names.iter().map(|name| Ok(batch.schema().index_of(name)?)).collect::<Result<_>>()?;
        indices.sort_unstable();
        indices.dedup();
        let batch = batch.project(&indices)?;
        self.look_up(&batch)?;
        let by = self.settings.window_by.as_ref().map(|column| text(column_of(&batch, column)?)).transpose()?;
        let value = |row: usize| by.as_ref().map(|by| by.value(row).to_owned());
        let mut out = MonitorOutput::default();
        for step in self.progress.cutter.take(self.rule, batch.num_rows(), value) {
            self.follow(&batch, step, &mut out)?;
        }
        Ok(out)
    }

    fn finish(&mut self) -> Result<MonitorOutput> {
        let mut out = MonitorOutput::default();
        if let Some(WindowStep::Close { window, release }) = self.progress.cutter.finish(self.rule) {
            self.close(&window, release, &mut out)?;
        }
        out.findings.extend(self.last_findings());
        Ok(out)
    }

    fn snapshot(&self) -> Result<Vec<u8>> {
        let (segments, untested_rows) = self.open.segments();
        let (segments, in_reference) =
            segments.into_iter().map(|SegmentHeader { name, in_reference }| (name, in_reference)).unzip();
        let (settings, progress) = (self.state_settings()?, self.progress.clone());
        let state = LatentDriftState { settings, progress, segments, untested_rows, in_reference };
        encode(LatentDrift::NAME, &state, &self.open.to_bytes()?)
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<()> {
        let (state, body) = decode::<LatentDriftState>(LatentDrift::NAME, snapshot)?;
        let LatentDriftState { settings, progress, segments, untested_rows, in_reference } = state;
        let own = self.state_settings()?;
        settings.expect(&self.label, &own)?;
        if in_reference.len() != segments.len() {
            return Err(damaged(&self.label));
        }
        let header = |(name, in_reference)| SegmentHeader { name, in_reference };
        let segments = segments.into_iter().zip(in_reference).map(header).collect();
        let open = OpenWindow::from_bytes(self.test()?, (segments, untested_rows), progress.cutter.open_rows(), body)?;
        self.open = open.ok_or_else(|| damaged(&self.label))?;
        self.progress = progress;
        Ok(())
    }

    fn state_bound_bytes(&self) -> usize {
        // 1 KiB per row for texts of at most 256 bytes, and 128 KiB for the discoveries of `Lord` and the header.
        let numbers = self.binding.as_ref().map_or(0, |binding| binding.reference.dimension + binding.classes);
        let held = match self.settings.method {
            TestMethod::Permutation => (4 * numbers + 1024).saturating_mul(self.settings.max_rows() as usize),
            TestMethod::RandomFeatures => {
                let sums = RandomFeatureTest::sum_bytes(self.settings.features, self.settings.permutations);
                (sums + 32).saturating_mul(self.settings.max_segments())
            }
        };
        let variances = self.kernel.as_ref().map_or(0, |kernel| 32 * kernel.variances().len());
        held.saturating_add(variances).saturating_add(128 << 10)
    }
}

#[cfg(test)]
mod scale_tests;
#[cfg(test)]
mod tests;
