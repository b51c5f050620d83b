//! The monitor kind `church_window`: the classes that the head gives to the neighbourhood of an object's latent, on a plane.
//!
//! The plane is z0 + x (z_across - z0) + y (z_up - z0) with x and y from -extent to extent (Warde-Farley and Goodfellow 2016). For
//! an affine head, logits = W z + b, the logits on the plane are exactly l0 + x W d1 + y W d2 with d1 = z_across - z0 and
//! d2 = z_up - z0, and so the [window](crate::stats::church_window) and the distances to its boundaries are exact. Any other head is
//! evaluated at every grid point, and a boundary is the first grid point of another class.
//!
//! `window` is `[y, x]`: row 0 is y = -extent (down), column 0 is x = -extent (left), the object is in the middle, the other two
//! latents are at x = 1 and at y = 1. Its numbers are indices into the list of classes in the field's metadata. Areas are
//! fractions of the window. Boundaries are distances in latent space along +x, -x, +y and -y to the nearest point of another
//! class; null if there is none within the extent.

mod table;

use std::sync::Arc;

use arrow::{
    array::RecordBatch,
    datatypes::{Schema, SchemaRef},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::table::{ChurchWindowRow, DrawnWindow, table};
use super::kit::{
    join::{Join, MAX_AHEAD},
    latents::{AttackedObject, LatentRef, described_row, upstream_monitors},
    score::{class_column, classes_of, latent_column, no_head},
    snapshot::expect_same,
};
use crate::{
    batch::{list_values, object_id, origin},
    error::{Code, Diagnostic, Error, Result},
    run::snapshot::{decode, encode},
    stage::{
        AffineHead, ColumnRef, Model, Monitor, MonitorOutput, RowsOut, RunContext, Scorer, Scorers, Settings,
        UpstreamSchemas,
    },
    stats::{
        church_window::{Grid, LogitPlane, angle_deg, areas},
        distance::l2,
    },
};

/// Draws the classes on the plane through an object's latent and two others.
///
/// Its table has a row for every object of the stream, or for every object that all of the named monitors emit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChurchWindow {
    /// The label of the score whose latent is the origin, and whose head gives the classes.
    pub score: String,
    /// The latent at x = 1: the label of an earlier `one_pixel` monitor (the latent of the first row that flips the object), or
    /// of a score.
    pub across: String,
    /// The latent at y = 1: the label of a score, or of an earlier `one_pixel` monitor.
    pub up: String,
    /// The window covers -extent to extent, in units of the two axes.
    #[serde(default = "extent")]
    #[schemars(range(min = 0.001, max = 1000))]
    pub extent: f64,
    /// Distance between grid points, in the same units.
    #[serde(default = "step")]
    #[schemars(range(min = 0.0001, max = 1000))]
    pub step: f64,
}

impl ChurchWindow {
    /// Settings with the required keys; all others have their defaults.
    pub fn new(score: impl Into<String>, across: impl Into<String>, up: impl Into<String>) -> Self {
        Self { score: score.into(), across: across.into(), up: up.into(), extent: extent(), step: step() }
    }
}

const fn extent() -> f64 {
    1.1
}

const fn step() -> f64 {
    0.01
}

/// The most grid points along an axis.
const MAX_SIDE: usize = 2001;
/// Bytes of an object that waits for other monitors: three latents of a few hundred numbers, as JSON.
const WAITING_OBJECT_BYTES: usize = 16_384;

impl Settings<dyn Monitor> for ChurchWindow {
    const NAME: &'static str = "church_window";

    fn examples() -> &'static [&'static str] {
        &[
            "{ score: da_y10, across: attack, up: da_y1 }",
            "{ score: da_y10, across: da_y1, up: attack, extent: 2, step: 0.02 }",
            "{ score: da_y10, across: attack, up: second_attack }",
        ]
    }

    fn build(self, label: &str) -> Result<Box<dyn Monitor>, Vec<Diagnostic>> {
        let Some(grid) = Grid::over(self.extent, self.step).filter(|grid| grid.side() <= MAX_SIDE) else {
            let Self { extent, step, .. } = self;
            let message = format!("an extent of {extent} is not 1 to 1000 complete steps of {step}");
            let help = "for example an extent of 1.1 and a step of 0.01";
            return Err(vec![Diagnostic::at("step", Code::OutOfRange, message).help(help)]);
        };
        Ok(Box::new(ChurchWindowMonitor {
            label: label.to_owned(),
            origin: LatentRef::score("score", &self.score),
            across: LatentRef::score_or_monitor("across", &self.across),
            up: LatentRef::score_or_monitor("up", &self.up),
            grid,
            classes: Vec::new(),
            scorer: None,
            join: Join::new(Vec::new()),
            settings: self,
        }))
    }
}

/// The monitor of the kind `church_window`.
struct ChurchWindowMonitor {
    label: String,
    settings: ChurchWindow,
    origin: LatentRef,
    across: LatentRef,
    up: LatentRef,
    grid: Grid,
    classes: Vec<String>,
    scorer: Option<Arc<dyn Scorer>>,
    join: Join<ObjectPart>,
}

/// What the rows of one upstream monitor contribute to an object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct ObjectPart {
    truth: Option<String>,
    /// The latents that this monitor's rows, or the row of the stream, contain.
    latents: PlaneLatents<Option<Vec<f32>>>,
    /// Why there is no window, if the monitor has no latent.
    reason: Option<String>,
}

/// The state in a snapshot.
#[derive(Serialize, Deserialize)]
struct ChurchWindowState {
    score: String,
    join: Join<ObjectPart>,
}

/// The three latents that span a plane.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct PlaneLatents<T> {
    /// At (0, 0).
    origin: T,
    /// At (1, 0).
    across: T,
    /// At (0, 1).
    up: T,
}

/// How far the class of the origin extends along the four half-axes, in units of the axes; `None` if it fills the window.
#[derive(Debug, Clone, Copy, PartialEq)]
struct HalfAxes {
    across: Option<f64>,
    across_back: Option<f64>,
    up: Option<f64>,
    up_back: Option<f64>,
}

/// The classes of a head on a plane.
struct PlaneClasses {
    origin: usize,
    /// `[y, x]`.
    window: Vec<u8>,
    boundaries: HalfAxes,
    /// How many classes the head has.
    count: usize,
}

impl<'a> PlaneLatents<&'a [f32]> {
    /// The three latents, each from the first part that has it; `None` if one is missing.
    fn of(parts: &'a [ObjectPart]) -> Option<Self> {
        Some(Self {
            origin: parts.iter().find_map(|part| part.latents.origin.as_deref())?,
            across: parts.iter().find_map(|part| part.latents.across.as_deref())?,
            up: parts.iter().find_map(|part| part.latents.up.as_deref())?,
        })
    }
}

impl HalfAxes {
    /// The boundary in each direction (x, y).
    fn measure(boundary: impl Fn(isize, isize) -> Option<f64>) -> Self {
        Self { across: boundary(1, 0), across_back: boundary(-1, 0), up: boundary(0, 1), up_back: boundary(0, -1) }
    }
}

impl ChurchWindowMonitor {
    fn unready(&self) -> Error {
        Error::bug(format!("the monitor `{}` was not bound and started", self.label))
    }

    /// The latents that a row of the stream contains: of the origin, and of the ends that are scores.
    fn latents(&self, rows: &RecordBatch, row: usize) -> Result<PlaneLatents<Option<Vec<f32>>>> {
        let latent = |named: &LatentRef| -> Result<Option<Vec<f32>>> {
            if named.is_monitor {
                return Ok(None);
            }
            let (values, length) = list_values(rows, &latent_column(&named.label))?;
            Ok(Some(values[row * length..][..length].to_vec()))
        };
        Ok(PlaneLatents { origin: latent(&self.origin)?, across: latent(&self.across)?, up: latent(&self.up)? })
    }

    /// The row of a complete object.
    fn row(&self, id: &str, origin: &str, parts: &[ObjectPart]) -> Result<RecordBatch> {
        let truth = parts.iter().find_map(|part| part.truth.as_deref());
        let reason = parts.iter().find_map(|part| part.reason.as_deref());
        let drawn = match (reason, PlaneLatents::of(parts)) {
            (None, Some(latents)) => Ok(self.draw(latents)?),
            (reason, _) => Err(reason.unwrap_or("no_latent")),
        };
        let row = ChurchWindowRow {
            id,
            origin,
            truth,
            classes: &self.classes,
            drawn: drawn.as_ref().map_err(|reason| *reason),
        };
        table(&self.classes, &self.grid).batch(&[row])
    }

    fn draw(&self, latents: PlaneLatents<&[f32]>) -> Result<DrawnWindow> {
        let model = self.scorer.as_ref().and_then(|scorer| scorer.model()).ok_or_else(|| self.unready())?;
        let PlaneLatents { origin, across, up } = latents;
        let PlaneClasses { origin: class, window, boundaries, count } = match model.affine_head() {
            Some(head) => self.classify_exactly(head, model.threshold_logit(), latents),
            None => self.classify_pointwise(model, latents)?,
        };
        let (across_length, up_length) = (l2(origin, across), l2(origin, up));
        let distance =
            |boundary: Option<f64>, length: f64| boundary.map(|b| b * length).filter(|distance| distance.is_finite());
        Ok(DrawnWindow {
            class,
            lengths: [across_length, up_length],
            angle_deg: angle_deg(origin, across, up),
            areas: areas(&window, count),
            boundaries: [
                distance(boundaries.across, across_length),
                distance(boundaries.across_back, across_length),
                distance(boundaries.up, up_length),
                distance(boundaries.up_back, up_length),
            ],
            window,
        })
    }

    /// The classes of an affine head, with exact boundaries.
    fn classify_exactly(&self, head: &AffineHead, threshold_logit: f32, latents: PlaneLatents<&[f32]>) -> PlaneClasses {
        let mut bias = head.bias.clone();
        if let [_, positive] = bias.as_mut_slice() {
            *positive -= threshold_logit;
        }
        let plane = LogitPlane::of(&head.weights, &bias, latents.origin, latents.across, latents.up);
        let extent = self.grid.extent();
        let boundary = |x: isize, y: isize| plane.boundary(x as f64, y as f64).filter(|distance| *distance <= extent);
        PlaneClasses {
            origin: plane.class(0.0, 0.0),
            window: plane.window(&self.grid),
            boundaries: HalfAxes::measure(boundary),
            count: plane.classes(),
        }
    }

    /// The classes of any other head, evaluated at every grid point, one row of the window at a time.
    fn classify_pointwise(&self, model: &dyn Model, latents: PlaneLatents<&[f32]>) -> Result<PlaneClasses> {
        let PlaneLatents { origin, across, up } = latents;
        let (side, half) = (self.grid.side(), self.grid.half);
        let mut window = Vec::with_capacity(side * side);
        let mut count = 0;
        for j in 0..side {
            let y = self.grid.at(j);
            let mut points = Vec::with_capacity(side * origin.len());
            for i in 0..side {
                let x = self.grid.at(i);
                let dimensions = origin.iter().zip(across).zip(up);
                points.extend(dimensions.map(|((origin, across), up)| {
                    let [origin, across, up] = [origin, across, up].map(|value| f64::from(*value));
                    (origin + x * (across - origin) + y * (up - origin)) as f32
                }));
            }
            let logits = model.head(&points)?;
            count = logits.len() / side;
            window.extend(logits.chunks_exact(count.max(1)).map(|logits| model.class_of(logits) as u8));
        }
        let class_at = |x: isize, y: isize| window[half.wrapping_add_signed(y) * side + half.wrapping_add_signed(x)];
        let class = class_at(0, 0);
        let boundary = |x: isize, y: isize| {
            let first = (1..=half).find(|i| class_at(x * *i as isize, y * *i as isize) != class);
            first.map(|i| i as f64 * self.grid.step)
        };
        let boundaries = HalfAxes::measure(boundary);
        Ok(PlaneClasses { origin: usize::from(class), window, boundaries, count })
    }
}

impl Monitor for ChurchWindowMonitor {
    fn resolve_labels(&mut self, monitors: &[String]) {
        self.across.resolve_labels(monitors);
        self.up.resolve_labels(monitors);
        self.join = Join::new(self.upstream().into_iter().map(|monitor| monitor.column).collect());
    }

    fn required_columns(&self) -> Vec<ColumnRef> {
        let latents = [&self.origin, &self.across, &self.up].into_iter().filter_map(LatentRef::required_column);
        latents.chain([ColumnRef::new("score", class_column(&self.settings.score))]).collect()
    }

    fn upstream(&self) -> Vec<ColumnRef> {
        upstream_monitors([&self.across, &self.up])
    }

    fn bind(&mut self, input: &Schema, upstream: &UpstreamSchemas) -> Result<SchemaRef, Vec<Diagnostic>> {
        let mut mistakes = Vec::new();
        let origin = self.origin.space(input, upstream);
        for end in [&self.across, &self.up] {
            match (&origin, end.space(input, upstream)) {
                (Ok(origin), Ok(space)) => mistakes.extend(self.origin.check_same_space(origin, end, &space).err()),
                (_, space) => mistakes.extend(space.err()),
            }
        }
        mistakes.extend(origin.err());
        if let Some(reason) = no_head(input, &self.settings.score) {
            let message = format!("the head of `{}` cannot be used: {reason}", self.settings.score);
            let help = "name a model whose class depends on its latent vector alone";
            mistakes.push(Diagnostic::at("score", Code::ModelMismatch, message).help(help));
        }
        let classes = classes_of(input, &self.settings.score).unwrap_or_default();
        if classes.len() > usize::from(u8::MAX) {
            let message = format!("a window can show at most {} classes, found {}", u8::MAX, classes.len());
            mistakes.push(Diagnostic::at("score", Code::OutOfRange, message));
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        self.classes = classes;
        Ok(table(&self.classes, &self.grid).schema())
    }

    fn start(&mut self, _run: &RunContext, scorers: &Scorers) -> Result<()> {
        self.scorer = scorers.get(&self.settings.score).cloned();
        if self.scorer.as_ref().and_then(|scorer| scorer.model()).is_some() {
            return Ok(());
        }
        Err(Error::data(format!("the scorer of `{}` gives no access to the head of its model", self.settings.score)))
    }

    fn observe(&mut self, batch: &RecordBatch) -> Result<MonitorOutput> {
        let mut out = MonitorOutput::default();
        // With upstream monitors, their rows bring the row of the stream.
        if !self.join.monitors().is_empty() {
            return Ok(out);
        }
        for row in 0..batch.num_rows() {
            let part = ObjectPart { truth: None, latents: self.latents(batch, row)?, reason: None };
            out.rows.push(self.row(object_id(batch, row)?, origin(batch, row)?, &[part])?.into());
        }
        Ok(out)
    }

    fn observe_upstream(&mut self, label: &str, rows: &RowsOut) -> Result<MonitorOutput> {
        let about = described_row(label, rows)?;
        let verdict = AttackedObject::from_rows(rows)?;
        let monitor = self.join.index_of(label)?;
        let mut latents = self.latents(about, 0)?;
        if verdict.unflipped.is_none() {
            for (end, latent) in [(&self.across, &mut latents.across), (&self.up, &mut latents.up)] {
                if end.is_monitor && end.label == label {
                    *latent = Some(verdict.latent.clone());
                }
            }
        }
        let part = ObjectPart { truth: verdict.truth, latents, reason: verdict.unflipped };
        let mut out = MonitorOutput::default();
        if let Some(parts) = self.join.insert(monitor, &verdict.object_id, &verdict.origin, part)? {
            out.rows.push(self.row(&verdict.object_id, &verdict.origin, &parts)?.into());
        }
        Ok(out)
    }

    fn finish(&mut self) -> Result<MonitorOutput> {
        Ok(MonitorOutput::default())
    }

    fn snapshot(&self) -> Result<Vec<u8>> {
        encode(
            ChurchWindow::NAME,
            &ChurchWindowState { score: self.settings.score.clone(), join: self.join.clone() },
            b"",
        )
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<()> {
        let (ChurchWindowState { score, join }, _) = decode::<ChurchWindowState>(ChurchWindow::NAME, snapshot)?;
        expect_same(&self.label, "`score`", &score, &self.settings.score)?;
        self.join.restore(&self.label, join)
    }

    fn state_bound_bytes(&self) -> usize {
        // Only with two monitors can one be ahead of the other.
        if self.join.monitors().len() > 1 { MAX_AHEAD * WAITING_OBJECT_BYTES } else { 1024 }
    }
}

#[cfg(test)]
mod tests;
