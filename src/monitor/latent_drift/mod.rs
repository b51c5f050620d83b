//! The monitor kind `latent_drift`: whether the stream has left the domain that a model knows.
//!
//! Windows of the stream are compared with the latents of one domain of a reference table by their
//! [maximum mean discrepancy](crate::stats::mmd). Its p-value is that of a permutation test, (k + 1)/(B + 1): it is never zero, and
//! of windows without drift a part alpha has one below alpha. Beside it stand, with p-values of the same permutations, the
//! [Jensen-Shannon](crate::stats::jensen_shannon) distance of the mean class probabilities, and the
//! [greatest one of all latent dimensions](crate::stats::marginals). `is_drift` goes by MMD.
//!
//! **What is promised.** Over independent pairs of a reference and a window of one distribution, a part alpha is called drift. A stream
//! meets *one* reference again and again: given that one, the part is larger or smaller than alpha, the less so the larger the
//! reference (`benches/README.md` has figures), and windows are no longer independent of each other. Rows that are correlated within a
//! window (by a visit, say) look like drift; `block` names the column within whose values rows are exchangeable, which the reference
//! must have too. The galaxies of the reference must not be in the stream again.
//!
//! An endless stream has alpha false alarms a window: `expected_false_alarms` adds them up. `control: lord` gives each window a level
//! of its own instead, such that of all windows called drift a part alpha at most is called so falsely ([`Lord`]). These levels
//! fall while nothing is found; below 1/(B + 1) no permutation test can be significant, so it needs more `permutations`.
//!
//! With `method: random_features` the discrepancy is that of [sums of random features](crate::stats::mmd::random_features): time and
//! memory do not depend on the size of a window. It compares no classes and dimensions, and has no sliding windows.

mod exact;
mod linear;
mod reference;
mod sample;
mod settings;
mod table;
mod windows;

use arrow::{
    array::RecordBatch,
    datatypes::{Schema, SchemaRef},
    ipc::{reader::StreamReader, writer::StreamWriter},
};
use serde::{Deserialize, Serialize};

pub use self::settings::{Control, KernelChoice, KernelName, LatentDrift, Method};

use self::{
    exact::{Comparison, Exact, median_kernel},
    linear::{Linear, Segments},
    reference::{Table, Wanted},
    sample::Columns,
    table::{Frame, Judged, Row, rows, schema},
    windows::{Rule, Step, Window, Windows},
};
use super::columns::{latent_column, latent_size, probabilities_of, probability_column, text};
use crate::{
    batch::{OBJECT_ID, column_of},
    error::{Code, Diagnostic, Error, Result},
    random::Stream,
    stage::{ColumnRef, Finding, Monitor, MonitorOutput, RunContext, Scorers, UpstreamSchemas},
    stats::{
        mmd::GaussianKernelSum,
        multiplicity::{Lord, holm},
    },
};

/// The monitor of the kind `latent_drift`.
struct LatentDriftMonitor {
    label: String,
    settings: LatentDrift,
    rule: Rule,
    /// What binding found.
    bound: Option<Bound>,
    /// What the start loaded.
    judge: Option<Judge>,
    /// Whether it was said that no window can be drift any more.
    warned: bool,
    seed: u64,
    state: State,
    held: Held,
}

struct Bound {
    table: Table,
    columns: Columns,
    /// Classes that are compared; 0 where none are.
    classes: usize,
    schema: SchemaRef,
}

/// The reference, ready to judge windows.
enum Judge {
    Exact(Exact),
    Linear(Linear),
}

/// All that is remembered besides the rows of the window under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct State {
    windows: Windows,
    /// Windows that were tested.
    tested: u64,
    lord: Lord,
    /// Whether the last tested window was drift.
    drifting: bool,
}

/// The window under way.
enum Held {
    Rows(Vec<RecordBatch>),
    Sums(Segments),
}

/// The beginning of a snapshot; what is held follows.
#[derive(Serialize, Deserialize)]
struct Head {
    state: State,
    /// Segments whose sums follow.
    segments: Vec<Option<String>>,
    beyond: u64,
}

impl LatentDriftMonitor {
    fn new(label: &str, settings: LatentDrift) -> Self {
        let lord = Lord::new(settings.alpha);
        let held = match settings.method {
            Method::Permutation => Held::Rows(Vec::new()),
            Method::RandomFeatures => Held::Sums(Segments::default()),
        };
        let state = State { windows: Windows::new(), tested: 0, lord, drifting: false };
        Self {
            label: label.to_owned(),
            rule: settings.rule(),
            settings,
            bound: None,
            judge: None,
            warned: false,
            seed: 0,
            state,
            held,
        }
    }

    fn bound(&self) -> Result<&Bound> {
        self.bound.as_ref().ok_or_else(|| Error::bug(format!("the monitor `{}` was not bound", self.label)))
    }

    fn judge(&self) -> Result<&Judge> {
        self.judge.as_ref().ok_or_else(|| Error::bug(format!("the monitor `{}` was not started", self.label)))
    }

    /// The columns of the stream that are held, each once.
    fn read_columns(&self) -> Vec<(&'static str, String)> {
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

    /// Keeps rows of the window under way.
    fn hold(&mut self, batch: &RecordBatch) -> Result<()> {
        let bound = self.bound.as_ref().ok_or_else(|| Error::bug("a monitor was not bound"))?;
        match (&mut self.held, &self.judge) {
            (Held::Rows(held), _) => held.push(batch.clone()),
            (Held::Sums(sums), Some(Judge::Linear(linear))) => {
                linear.add(&bound.columns, batch, self.settings.most_segments(), sums)?;
            }
            (Held::Sums(_), _) => return Err(Error::bug(format!("the monitor `{}` was not started", self.label))),
        }
        Ok(())
    }

    /// Lets go of the first rows that are held.
    fn let_go(&mut self, mut rows: u64) {
        match &mut self.held {
            Held::Sums(sums) => *sums = Segments::default(),
            Held::Rows(held) => {
                while let Some(first) = held.first_mut().filter(|_| rows > 0) {
                    let count = first.num_rows() as u64;
                    if count > rows {
                        *first = first.slice(rows as usize, (count - rows) as usize);
                        return;
                    }
                    rows -= count;
                    held.remove(0);
                }
            }
        }
    }

    /// What is said of a window that has ended, of whose rows so many are then let go of.
    fn close(&mut self, window: &Window, let_go: u64) -> Result<MonitorOutput> {
        let threshold = match self.settings.control {
            Control::None => self.settings.alpha,
            Control::Lord => self.state.lord.level(),
        };
        if !self.settings.can_be_significant(threshold) && !std::mem::replace(&mut self.warned, true) {
            let LatentDrift { permutations, .. } = self.settings;
            tracing::warn!(
                monitor = self.label,
                window = window.number,
                level = threshold,
                permutations,
                "from here on no window can be drift: its level is below the smallest p-value of so few permutations"
            );
        }
        let judged = self.judged(window, let_go, threshold)?;
        let p_values: Vec<f64> = judged.iter().filter_map(|(_, judged)| judged.p_value).collect();
        let mut adjusted = holm(&p_values).into_iter();
        let said: Vec<Row> = judged
            .into_iter()
            .map(|(segment, judged)| {
                let adjusted = judged.p_value.and_then(|_| adjusted.next());
                Row { segment, judged, adjusted, is_drift: adjusted.map(|p| p <= threshold) }
            })
            .collect();
        let drifted: Vec<&Row> = said.iter().filter(|row| row.is_drift == Some(true)).collect();
        if !p_values.is_empty() {
            self.state.tested += 1;
            self.state.lord.take(!drifted.is_empty());
        }
        let reference = match self.judge()? {
            Judge::Exact(exact) => exact.len() as u64,
            Judge::Linear(linear) => linear.len(),
        };
        let expected =
            (self.settings.control == Control::None).then_some(self.settings.alpha * self.state.tested as f64);
        let frame = Frame { window, reference, threshold, expected_false_alarms: expected };
        let mut out =
            MonitorOutput { rows: vec![rows(&self.bound()?.schema, &frame, &said)?.into()], findings: Vec::new() };
        if !drifted.is_empty() && !self.state.drifting {
            out.findings.push(self.finding(&frame, &drifted));
        }
        if !p_values.is_empty() {
            self.state.drifting = !drifted.is_empty();
        }
        Ok(out)
    }

    /// What is found of every segment of a window, in the order of their appearance.
    fn judged(&mut self, window: &Window, let_go: u64, level: f64) -> Result<Vec<(Option<String>, Judged)>> {
        let most = self.settings.most_segments();
        let rows = match &mut self.held {
            Held::Rows(held) if let_go > window.last - window.first => std::mem::take(held),
            Held::Rows(held) => held.clone(),
            Held::Sums(_) => Vec::new(),
        };
        match (&self.held, self.judge()?) {
            (Held::Rows(_), Judge::Exact(exact)) => {
                let samples = self.bound()?.columns.samples(rows)?;
                let each = samples.into_iter().enumerate().map(|(i, (segment, sample))| {
                    if i >= most {
                        return (
                            segment,
                            Judged { n: sample.latents.len() as u64, reason: Some(BEYOND), ..Judged::default() },
                        );
                    }
                    let name = segment.as_deref().unwrap_or_default();
                    let mut stream = Stream::new(self.seed, name, &format!("{}/window {}", self.label, window.number));
                    let judged = exact.judge(&sample, level, &mut || stream.next_u64());
                    (segment, judged)
                });
                Ok(each.collect())
            }
            (Held::Sums(Segments(sums, beyond)), Judge::Linear(linear)) => {
                let beyond =
                    (*beyond > 0).then(|| (None, Judged { n: *beyond, reason: Some(BEYOND), ..Judged::default() }));
                Ok(sums.iter().map(|(segment, sums)| (segment.clone(), linear.judge(sums))).chain(beyond).collect())
            }
            _ => Err(Error::bug(format!("the monitor `{}` holds what it cannot judge", self.label))),
        }
    }

    fn finding(&self, frame: &Frame<'_>, drifted: &[&Row]) -> Finding {
        let LatentDrift { score, domain, reference, .. } = &self.settings;
        let Window { number, first, last, value } = frame.window;
        let by = self.settings.window_by.as_ref().zip(value.as_ref());
        let by = by.map_or_else(String::new, |(column, value)| format!(", `{column}` {value}"));
        let domain = domain.as_ref().map_or_else(|| "the reference".into(), |domain| format!("domain `{domain}`"));
        let segments: Vec<&str> = drifted.iter().filter_map(|row| row.segment.as_deref()).collect();
        let of = if segments.is_empty() { String::new() } else { format!(" in segments `{}`", segments.join("`, `")) };
        let least = drifted.iter().filter_map(|row| row.adjusted).fold(1.0, f64::min);
        let expected = frame.expected_false_alarms.map_or_else(String::new, |expected| {
            format!("; of {} windows tested so far {expected:.2} would be called drift without any", self.state.tested)
        });
        let message = format!(
            "`{score}` has drifted from {domain} of `{}`{of} in window {number} (rows {first} to {last}{by}): p = {least:.4} at level \
             {:.4}{expected}",
            reference.display(),
            frame.threshold,
        );
        Finding { monitor: self.label.clone(), message }
    }

    fn step(&mut self, batch: &RecordBatch, step: Step, out: &mut MonitorOutput) -> Result<()> {
        match step {
            Step::Hold(rows) if rows.is_empty() => Ok(()),
            Step::Hold(rows) => self.hold(&batch.slice(rows.start, rows.len())),
            Step::Close { window, let_go } => {
                out.append(self.close(&window, let_go)?);
                self.let_go(let_go);
                Ok(())
            }
        }
    }
}

/// Why the last segments of a window are not tested.
const BEYOND: &str = "more segments than `segments`";

impl Monitor for LatentDriftMonitor {
    fn required_columns(&self) -> Vec<ColumnRef> {
        self.read_columns().into_iter().map(|(key, column)| ColumnRef::new(key, column)).collect()
    }

    fn bind(&mut self, input: &Schema, _above: &UpstreamSchemas) -> Result<SchemaRef, Vec<Diagnostic>> {
        let LatentDrift { score, reference, domain, block, segment, .. } = &self.settings;
        let column = latent_column(score);
        let size = latent_size(input, score).ok_or_else(|| {
            let message = format!("the column `{column}` holds no latents");
            Diagnostic::at("score", Code::WrongColumn, message).help("name a score of a model with latents")
        });
        let model = input.field_with_name(&column).ok().and_then(|field| field.metadata().get("model_sha256"));
        let table = Table::find(&Wanted {
            path: reference,
            domain: domain.as_deref(),
            latent: &self.settings.reference_latent,
            probability: &self.settings.reference_probability,
            block: block.as_deref(),
            model_sha256: model.map(String::as_str),
        });
        let table = match (size, table) {
            (Ok(size), Ok(table)) if size != table.dimension => {
                let message =
                    format!("latents of the reference have {} numbers, those of `{score}` {size}", table.dimension);
                return Err(vec![Diagnostic::at("reference", Code::Conflict, message)]);
            }
            (Ok(_), Ok(table)) => table,
            (size, table) => return Err(size.err().into_iter().chain(table.err()).collect()),
        };
        let classes = probabilities_of(input, score).filter(|classes| table.classes() == Some(*classes)).unwrap_or(0);
        let columns = Columns {
            score: score.clone(),
            with_probabilities: self.settings.reads_classes() && classes > 0,
            block: block.clone(),
            segment: segment.clone(),
        };
        let schema = schema(&reference.display().to_string(), domain.as_deref());
        self.bound = Some(Bound { table, columns, classes, schema: schema.clone() });
        Ok(schema)
    }

    fn start(&mut self, run: &RunContext, _scorers: &Scorers) -> Result<()> {
        self.seed = run.seed;
        let LatentDrift { reference, reference_limit, method, permutations, features, .. } = &self.settings;
        let bound = self.bound()?;
        let sample = bound.table.read(run.seed, *reference_limit)?;
        let few = |what: &str| Error::data(format!("the reference `{}` {what}", reference.display()));
        if sample.latents.len() < 2 {
            return Err(few("has fewer than 2 rows of its domain"));
        }
        let kernel = match &self.settings.kernel {
            KernelChoice::Named(KernelName::Paper) => Some(GaussianKernelSum::paper()),
            KernelChoice::Named(KernelName::Median) => median_kernel(&sample.latents),
            KernelChoice::Variances(variances) => GaussianKernelSum::new(variances),
        };
        let kernel = kernel.ok_or_else(|| few("has no two different latents, so no median distance"))?;
        self.judge = Some(match method {
            Method::Permutation => {
                let bins = (self.settings.bins > 0).then_some(self.settings.bins);
                let classes = if bound.columns.with_probabilities { bound.classes } else { 0 };
                let how = Comparison { classes, bins, permutations: *permutations };
                Judge::Exact(Exact::new(sample, kernel, &how))
            }
            Method::RandomFeatures => {
                Judge::Linear(Linear::new(&sample.latents, &kernel, (*features, *permutations), run.seed, &self.label))
            }
        });
        Ok(())
    }

    fn observe(&mut self, batch: &RecordBatch) -> Result<MonitorOutput> {
        // Only what is compared is held, not the images beside it.
        let mut names: Vec<String> = vec![OBJECT_ID.to_owned()];
        names.extend(self.read_columns().into_iter().map(|(_, column)| column));
        let mut places: Vec<usize> =
            names.iter().map(|name| Ok(batch.schema().index_of(name)?)).collect::<Result<_>>()?;
        places.sort_unstable();
        places.dedup();
        let batch = batch.project(&places)?;
        let by = self.settings.window_by.as_ref().map(|column| text(column_of(&batch, column)?)).transpose()?;
        let value = |row: usize| by.as_ref().map(|by| by.value(row).to_owned());
        let mut out = MonitorOutput::default();
        for step in self.state.windows.take(self.rule, batch.num_rows(), value) {
            self.step(&batch, step, &mut out)?;
        }
        Ok(out)
    }

    fn finish(&mut self) -> Result<MonitorOutput> {
        let mut out = MonitorOutput::default();
        if let Some(Step::Close { window, let_go }) = self.state.windows.finish(self.rule) {
            out.append(self.close(&window, let_go)?);
            self.let_go(let_go);
        }
        Ok(out)
    }

    fn snapshot(&self) -> Result<Vec<u8>> {
        let (segments, beyond) = match &self.held {
            Held::Rows(_) => (Vec::new(), 0),
            Held::Sums(Segments(sums, beyond)) => (sums.iter().map(|(segment, _)| segment.clone()).collect(), *beyond),
        };
        let head = Head { state: self.state.clone(), segments, beyond };
        let mut bytes = serde_json::to_vec(&head).map_err(|error| Error::bug(error.to_string()))?;
        bytes.push(b'\n');
        match &self.held {
            Held::Sums(Segments(sums, _)) => sums.iter().for_each(|(_, sums)| bytes.extend(sums.to_bytes())),
            Held::Rows(held) => {
                if let Some(first) = held.first() {
                    // About what they take: a vector that grows is there twice.
                    let row = 4 * self.bound.as_ref().map_or(0, |bound| bound.table.dimension + bound.classes) + 64;
                    bytes.reserve(row * held.iter().map(RecordBatch::num_rows).sum::<usize>());
                    let mut writer = StreamWriter::try_new(&mut bytes, first.schema_ref())?;
                    held.iter().try_for_each(|rows| writer.write(rows))?;
                    writer.finish()?;
                }
            }
        }
        Ok(bytes)
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<()> {
        let broken = || Error::bug(format!("the snapshot of `{}` cannot be read", self.label));
        let end = snapshot.iter().position(|byte| *byte == b'\n').ok_or_else(broken)?;
        let Head { state, segments, beyond } = serde_json::from_slice(&snapshot[..end]).map_err(|_| broken())?;
        let rest = &snapshot[end + 1..];
        self.held = match self.judge()? {
            Judge::Exact(_) if rest.is_empty() => Held::Rows(Vec::new()),
            Judge::Exact(_) => Held::Rows(StreamReader::try_new(rest, None)?.collect::<Result<_, _>>()?),
            Judge::Linear(linear) => {
                let length = rest.len() / segments.len().max(1);
                let sums = rest.chunks_exact(length.max(1)).map(|bytes| linear.read(bytes).ok_or_else(broken));
                let sums = sums.collect::<Result<Vec<_>>>()?;
                if sums.len() != segments.len() {
                    return Err(broken());
                }
                Held::Sums(Segments(segments.into_iter().zip(sums).collect(), beyond))
            }
        };
        self.state = state;
        Ok(())
    }

    fn state_bound_bytes(&self) -> usize {
        // Names of at most 256 bytes beside the numbers of a row.
        let dimension = self.bound.as_ref().map_or(0, |bound| bound.table.dimension);
        let row = 4 * (dimension + self.bound.as_ref().map_or(0, |bound| bound.classes)) + 1024;
        let held = match self.settings.method {
            Method::Permutation => row.saturating_mul(self.settings.most_rows() as usize),
            Method::RandomFeatures => {
                let sum = Linear::sum_bytes(self.settings.features, self.settings.permutations);
                sum.saturating_mul(self.settings.most_segments())
            }
        };
        held.saturating_add(128 << 10)
    }
}

#[cfg(test)]
mod tests;
