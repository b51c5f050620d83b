//! The contracts: what a source, a transform, a scorer, a monitor and a sink promise to the engine.
//!
//! The life of every stage is the same: it is *built* from its settings, *bound* to the schema before it (which reads
//! model cards, footers and one header, never pixels, so that `check` is exact), *started* once when a run begins
//! (models load, FFTs are planned), and then works on batches. Stages are synchronous; the engine owns the threads.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use arrow::{
    array::RecordBatch,
    datatypes::{Field, Schema, SchemaRef},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

pub use crate::table::Part;

use crate::error::{Mistake, Result};

/// A row of a literal table of kinds: the word in YAML and how a stage comes of its settings.
pub struct Kind<T: ?Sized> {
    /// The name in YAML, which is the name of the file.
    pub name: &'static str,
    /// The schema of the settings; its descriptions are the reference that `lucarne kinds` prints.
    pub schema: fn() -> schemars::Schema,
    /// Builds the stage of a label from settings that the schema has accepted.
    pub build: Build<T>,
}

/// Builds the stage of a label from its settings.
pub type Build<T> = fn(label: &str, settings: serde_json::Value) -> Result<Box<T>, Vec<Mistake>>;

/// The settings of a kind, and the stage they make.
pub trait Settings<T: ?Sized>: DeserializeOwned + JsonSchema {
    /// The name in YAML.
    const NAME: &'static str;
    /// The stage under a label. Errors are mistakes that no schema can express.
    fn build(self, label: &str) -> Result<Box<T>, Vec<Mistake>>;
}

impl<T: ?Sized> Kind<T> {
    /// The table row of a kind.
    pub const fn of<S: Settings<T>>() -> Self {
        Self {
            name: S::NAME,
            schema: || schemars::schema_for!(S),
            build: |label, settings| match serde_json::from_value::<S>(settings) {
                Ok(settings) => settings.build(label),
                Err(error) => Err(vec![Mistake::at("", crate::error::Code::WrongType, error.to_string())]),
            },
        }
    }
}

/// A column that a stage reads, and the setting that names it (for the caret; empty when no setting does).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// The key of the settings.
    pub key: String,
    /// The column.
    pub column: String,
    /// Whether the setting could name a monitor above instead, for a better help.
    pub or_monitor: bool,
}

impl Need {
    /// The column that a setting names.
    pub fn new(key: &str, column: impl Into<String>) -> Self {
        Self { key: key.to_owned(), column: column.into(), or_monitor: false }
    }

    /// The same of a setting that could name a monitor above instead.
    #[must_use]
    pub fn or_monitor(self) -> Self {
        Self { or_monitor: true, ..self }
    }
}

/// What a stage may know of its run when it starts.
#[derive(Debug, Clone, Default)]
pub struct RunContext {
    /// The seed of every draw of the run.
    pub seed: u64,
    /// Worker threads.
    pub threads: usize,
    /// The most rows of a batch.
    pub batch_rows: usize,
    /// Says when the run is to end: whoever waits or works for longer than a second looks at it.
    pub stop: Stop,
}

/// Asks a run to end: it commits and gives [`Error::Interrupted`](crate::error::Error::Interrupted). Clones are one flag.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Asks.
    pub fn request(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether it was asked.
    pub fn requested(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Where rows come from.
pub trait Source: Send {
    /// The schema of the rows: `_row`, `object_id`, `origin` and whatever else there is. May read one header or footer.
    fn bind(&mut self) -> Result<SchemaRef, Vec<Mistake>>;
    /// Prepares for reading.
    fn start(&mut self, _run: &RunContext) -> Result<()> {
        Ok(())
    }
    /// The units of work, in order; the same list every time.
    fn splits(&self) -> Result<Vec<Split>>;
    /// Opens a split at a position (0 is its beginning).
    fn open(&self, split: &Split, position: u64) -> Result<Box<dyn Reader>>;
    /// The stateless part of reading that workers may share: a transform of the label `image`.
    fn decoder(&self) -> Option<Box<dyn Transform>> {
        None
    }
}

/// A unit of work of a source: a file, a group of files, a partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    /// What it is, as the source knows it; stable over restarts.
    pub id: String,
    /// How many rows it has, when that is known without reading them.
    pub rows: Option<u64>,
}

/// A split being read.
pub trait Reader: Send {
    /// The next rows, at most `max_rows` of them, or [`Read::Idle`] when none came before the deadline.
    fn next(&mut self, max_rows: usize, deadline: Instant) -> Result<Read>;
    /// The position after all that `next` gave: rows of this split, bad ones included.
    fn position(&self) -> u64;
}

/// What a reader gives.
#[derive(Debug)]
pub enum Read {
    /// Rows, with those that could not be read. Each carries its number in the split (`_row`), rejects too.
    Batch {
        /// The readable rows.
        rows: RecordBatch,
        /// The others.
        rejects: Vec<Reject>,
    },
    /// Nothing yet: a live source waits.
    Idle,
    /// The split is done.
    End,
}

/// Makes columns of every row (its label, or names that begin with it), or removes rows. Depends on nothing but the row, the
/// settings and the seed.
pub trait Transform: Send {
    /// The columns it reads. Once bound it also names those that it found beside them: the variance, mask and PSF of an
    /// image.
    fn needs(&self) -> Vec<Need>;
    /// Steps to run before this one that equal steps can share. Each comes with a hidden label (`_...`) that tells its
    /// settings: the planner runs one step per label.
    fn shared(&self) -> Vec<(String, Box<dyn Transform>)> {
        Vec::new()
    }
    /// The columns it makes, given those before it (all its needs exist).
    fn bind(&mut self, input: &Schema) -> Result<Vec<Field>, Vec<Mistake>>;
    /// Prepares for the run.
    fn start(&mut self, _run: &RunContext) -> Result<()> {
        Ok(())
    }
    /// The batch with the new columns appended, without the rows that `rejects` was told of.
    fn apply(&mut self, batch: RecordBatch, rejects: &mut Rejects) -> Result<RecordBatch>;
    /// A copy for another thread (after `start`).
    fn fork(&self) -> Box<dyn Transform>;
}

/// Asks a model about images.
pub trait Scorer: Send + Sync {
    /// The columns it reads.
    fn needs(&self) -> Vec<Need>;
    /// The columns it makes: `<label>_class`, `<label>_probability`, and `<label>_latent` where the model has one.
    fn bind(&mut self, input: &Schema) -> Result<Vec<Field>, Vec<Mistake>>;
    /// Loads the model and tests that an image gets the same answer in any batch.
    fn start(&mut self, run: &RunContext) -> Result<()>;
    /// The batch with the new columns appended, without the rows that `rejects` was told of.
    fn score(&self, batch: RecordBatch, rejects: &mut Rejects) -> Result<RecordBatch>;
    /// What it runs on and with, for the run record: device, library version, digest of the model.
    fn provenance(&self) -> serde_json::Value;
    /// How many rows it is best asked about at once, once started, where it matters: a GPU wants many.
    fn rows_at_once(&self) -> Option<usize> {
        None
    }
    /// The model itself, once started, for monitors that ask it about images of their own.
    fn model(&self) -> Option<&dyn Model> {
        None
    }
}

/// A started model that can be asked about images that are in no column. An image gets the same bits whatever shares its
/// batch.
pub trait Model: Send + Sync {
    /// What it says of images `[n, band, y, x]`.
    fn ask(&self, images: &[f32]) -> Result<Outputs>;
    /// The images that differ from one `[band, y, x]` in a few pixels.
    fn around<'a>(&'a self, image: &[f32]) -> Result<Box<dyn Around + 'a>>;
    /// Logits `[n, class]` of latents `[n, D]`.
    fn head(&self, latents: &[f32]) -> Result<Vec<f32>>;
    /// The head as logits = weights latent + bias, where the graph says so.
    fn affine_head(&self) -> Option<&AffineHead>;
}

/// Images that differ from one in a few pixels, as a model sees them.
pub trait Around: Send {
    /// Logits `[n, class]` of n candidates, appended to `logits`. A candidate replaces `pixels` pixels of the image in all bands:
    /// `places` `[n, pixels]` are row * width + column, `values` `[n, pixels, band]` what is put there. Where a candidate names a
    /// place twice, the last holds.
    fn logits(&mut self, pixels: usize, places: &[u32], values: &[f32], logits: &mut Vec<f32>) -> Result<()>;
    /// Whether only what changed is worked out, instead of whole images.
    fn is_incremental(&self) -> bool;
    /// How many candidates to ask about at once: enough to fill a batch, few enough to be told to stop within a second.
    fn at_once(&self) -> usize;
}

/// What a model says of some images, one row after the other.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Outputs {
    /// Logits, `[n, class]`.
    pub logits: Vec<f32>,
    /// Latent vectors, `[n, D]`; empty when the model has none.
    pub latents: Vec<f32>,
}

/// An affine map from latents to logits.
#[derive(Debug, Clone, PartialEq)]
pub struct AffineHead {
    /// `[class, D]`.
    pub weights: Vec<f32>,
    /// `[class]`.
    pub bias: Vec<f32>,
}

/// The scores of a run by label, for the monitors that ask their models.
pub type Scorers = BTreeMap<String, Arc<dyn Scorer>>;

/// The tables of the monitors declared above one, by label.
pub type Tables = BTreeMap<String, SchemaRef>;

/// Watches the stream, alters nothing, and writes a table of its own. Sees every row once, in order.
pub trait Monitor: Send {
    /// Hears the labels of all monitors of the pipeline, before anything is asked of it: so a setting can name a score or a monitor.
    fn meet(&mut self, _monitors: &[String]) {}
    /// The columns it reads.
    fn needs(&self) -> Vec<Need>;
    /// The scores whose models it asks, by label; their image columns then last until the monitors.
    fn asks(&self) -> Vec<Need> {
        Vec::new()
    }
    /// The monitors declared above it on whose rows it works, by label.
    fn follows(&self) -> Vec<Need> {
        Vec::new()
    }
    /// The schema of its table, given the columns of the stream and the tables of those it follows.
    fn bind(&mut self, input: &Schema, above: &Tables) -> Result<SchemaRef, Vec<Mistake>>;
    /// Prepares for the run.
    fn start(&mut self, _run: &RunContext, _scorers: &Scorers) -> Result<()> {
        Ok(())
    }
    /// Looks at rows.
    fn observe(&mut self, batch: &RecordBatch) -> Result<Emitted>;
    /// Looks at what a monitor that it follows has just said. When that comes depends on timing, its order does not.
    fn follow(&mut self, _label: &str, _said: &Said) -> Result<Emitted> {
        Ok(Emitted::default())
    }
    /// Works, until about `until`, on rows accepted but not yet done, when the stream has ended. Called until it says that nothing is
    /// left; commits come between.
    fn catch_up(&mut self, _until: Instant) -> Result<(Emitted, Left)> {
        Ok((Emitted::default(), Left::Nothing))
    }
    /// The last word, when all monitors have caught up.
    fn finish(&mut self) -> Result<Emitted>;
    /// All that it needs to go on after a restart, rows accepted but not yet done included.
    fn snapshot(&self) -> Result<Vec<u8>>;
    /// Goes on from a snapshot. Comes after `start`.
    fn restore(&mut self, snapshot: &[u8]) -> Result<()>;
    /// The most bytes that its state will ever take.
    fn state_bound_bytes(&self) -> usize;
    /// How many objects it has accepted and not yet worked on, where it works on objects beside the stream.
    fn waiting(&self) -> Option<usize> {
        None
    }
}

/// Whether a monitor has work left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// All is done.
    Nothing,
    /// There is more to do.
    Work,
}

/// What a monitor says.
#[derive(Debug, Default)]
pub struct Emitted {
    /// Rows of its table.
    pub rows: Vec<Said>,
    /// Thresholds crossed.
    pub findings: Vec<Finding>,
}

/// Rows of a monitor's table.
#[derive(Debug, Clone)]
pub struct Said {
    /// The rows.
    pub rows: RecordBatch,
    /// The one row of the stream that they are about, if it is one: monitors below find there what the table does not say.
    pub about: Option<RecordBatch>,
}

impl From<RecordBatch> for Said {
    fn from(rows: RecordBatch) -> Self {
        Self { rows, about: None }
    }
}

impl Emitted {
    /// What was said later, after this.
    pub fn append(&mut self, mut later: Self) {
        self.rows.append(&mut later.rows);
        self.findings.append(&mut later.findings);
    }
}

/// A threshold that was crossed: a run with findings exits 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The label of the monitor.
    pub monitor: String,
    /// What was found, in a sentence.
    pub message: String,
}

/// Keeps rows. What it has written becomes visible only when published, so that a killed run leaves nothing half done.
pub trait Sink: Send {
    /// The columns that it keeps, out of all that are made.
    fn bind(&mut self, input: &Schema) -> Result<Vec<Need>, Vec<Mistake>>;
    /// Begins to write, into `staging`; published files go to `table`. Both are folders of one file system.
    fn start(&mut self, run: &RunContext, staging: &Path, table: &Path) -> Result<()>;
    /// Takes rows.
    fn write(&mut self, batch: &RecordBatch) -> Result<()>;
    /// Closes what was written since the last call and makes it durable. The files, by name: each lies in `staging`.
    fn prepare(&mut self) -> Result<Vec<Part>>;
}

/// A row that could not be used, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// Its number in the split.
    pub row: u64,
    /// Its identity, if it got that far.
    pub object_id: Option<String>,
    /// Where it came from: file, HDU, row.
    pub origin: String,
    /// The label of the stage that refused it; `source` for the source.
    pub stage: String,
    /// Why: what was found, what was expected.
    pub reason: String,
}

/// Rows that a batch lost on its way.
#[derive(Debug, Default)]
pub struct Rejects {
    /// Bad rows.
    pub rejected: Vec<Reject>,
    /// Rows that a filter left out.
    pub filtered: u64,
}

impl Rejects {
    /// Takes bad rows (index and reason) out of a batch.
    pub fn take(&mut self, batch: RecordBatch, stage: &str, bad: &[(usize, String)]) -> Result<RecordBatch> {
        if bad.is_empty() {
            return Ok(batch);
        }
        let mut keep = vec![true; batch.num_rows()];
        for (row, reason) in bad {
            if !std::mem::replace(&mut keep[*row], false) {
                continue;
            }
            self.rejected.push(Reject {
                row: crate::batch::row_number(&batch, *row)?,
                object_id: Some(crate::batch::object_id(&batch, *row)?.to_owned()),
                origin: crate::batch::origin(&batch, *row)?.to_owned(),
                stage: stage.to_owned(),
                reason: reason.clone(),
            });
        }
        crate::batch::keep_rows(&batch, keep)
    }

    /// Leaves out the rows that a filter does not want; they are counted.
    pub fn filter(&mut self, batch: &RecordBatch, keep: Vec<bool>) -> Result<RecordBatch> {
        self.filtered += keep.iter().filter(|keep| !**keep).count() as u64;
        crate::batch::keep_rows(batch, keep)
    }
}
