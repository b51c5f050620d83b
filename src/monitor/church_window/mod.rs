//! The monitor kind `church_window`: which class the head gives around an object's latent, on the plane through two others.
//!
//! The plane is z0 + x (z_across - z0) + y (z_up - z0), x and y from -extent to extent (Warde-Farley and Goodfellow 2016). For an
//! affine head, logits = W z + b, the logits over the plane are l0 + x W d1 + y W d2 exactly, and so are the
//! [window](crate::stats::church_window) and the distances to its boundaries; another head is asked at every point, and a boundary is at
//! the first point of another class.
//!
//! `window` is `[y, x]`: row 0 is y = -extent (down), column 0 is x = -extent, the object itself in the middle, the other two at
//! x = 1 and at y = 1; its numbers are places in the list of classes in the field's metadata. Areas are fractions of the window.
//! Boundaries are distances in latent space along +x, -x, +y and -y to the nearest point of another class, null where there is none
//! up to the extent.

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
    score::{class_column, classes_of, latent_column},
    snapshot::expect_same,
};
use crate::{
    batch::{list_values, object_id, origin},
    error::{Code, Diagnostic, Error, Result},
    run::snapshot::{decode, encode},
    stage::{
        ColumnRef, Model, Monitor, MonitorOutput, RowsOut, RunContext, Scorer, Scorers, Settings, UpstreamSchemas,
    },
    stats::{
        church_window::{Grid, LogitPlane, angle_deg, areas},
        distance::l2,
        softmax::argmax,
    },
};

/// Draws the classes on the plane through an object's latent and two others.
///
/// Its table has a row for every object, or for every object that the monitors named look at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChurchWindow {
    /// The label of the score whose latent is the origin, and whose head gives the classes.
    pub score: String,
    /// What is at x = 1: the label of a `one_pixel` monitor above (the latent of the first row that it flipped), or of a score.
    pub across: String,
    /// What is at y = 1: the label of a score, or of a `one_pixel` monitor above.
    pub up: String,
    /// How far the window goes, in units of the two axes.
    #[serde(default = "extent")]
    #[schemars(range(min = 0.001, max = 1000))]
    pub extent: f64,
    /// From a point of the window to the next, in the same units.
    #[serde(default = "step")]
    #[schemars(range(min = 0.0001, max = 1000))]
    pub step: f64,
}

const fn extent() -> f64 {
    1.1
}

const fn step() -> f64 {
    0.01
}

/// The most points along an axis.
const MOST: usize = 2001;

impl ChurchWindow {
    /// The window of the paper, 221 x 221 points.
    pub fn of(score: impl Into<String>, across: impl Into<String>, up: impl Into<String>) -> Self {
        Self { score: score.into(), across: across.into(), up: up.into(), extent: extent(), step: step() }
    }
}

impl Settings<dyn Monitor> for ChurchWindow {
    const NAME: &'static str = "church_window";

    fn build(self, label: &str) -> Result<Box<dyn Monitor>, Vec<Diagnostic>> {
        let Some(grid) = Grid::over(self.extent, self.step).filter(|grid| grid.side() <= MOST) else {
            let message = format!(
                "an extent of {} is no whole number of steps of {}, or of more than 1000",
                self.extent, self.step
            );
            return Err(vec![
                Diagnostic::at("step", Code::OutOfRange, message)
                    .help("for example an extent of 1.1 and a step of 0.01"),
            ]);
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
    join: Join<Part>,
}

/// What one monitor adds to what is known of an object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Part {
    truth: Option<String>,
    /// Latents of origin, across and up, as far as this monitor's row of the stream and its own row tell.
    latents: [Option<Vec<f32>>; 3],
    /// Why there is nothing to draw.
    reason: Option<String>,
}

/// The state in a snapshot.
#[derive(Serialize, Deserialize)]
struct ChurchWindowState {
    score: String,
    join: Join<Part>,
}

/// What a head says of a plane.
struct Classes {
    at_origin: usize,
    /// `[y, x]`.
    window: Vec<u8>,
    /// +across, -across, +up, -up, in units of the axes.
    boundaries: [Option<f64>; 4],
    /// How many classes there are.
    count: usize,
}

impl ChurchWindowMonitor {
    fn unready(&self) -> Error {
        Error::bug(format!("the monitor `{}` was not bound and started", self.label))
    }

    /// The latents of a row of the stream: of the origin, and of both ends that are scores.
    fn latents(&self, rows: &RecordBatch, row: usize) -> Result<[Option<Vec<f32>>; 3]> {
        let of = |named: &LatentRef| -> Result<Option<Vec<f32>>> {
            if named.is_monitor {
                return Ok(None);
            }
            let (values, length) = list_values(rows, &latent_column(&named.label))?;
            Ok(Some(values[row * length..][..length].to_vec()))
        };
        Ok([of(&self.origin)?, of(&self.across)?, of(&self.up)?])
    }

    /// The row of an object of which everything is known.
    fn row(&self, id: &str, origin: &str, parts: &[Part]) -> Result<RecordBatch> {
        let truth = parts.iter().find_map(|part| part.truth.as_deref());
        let reason = parts.iter().find_map(|part| part.reason.as_deref());
        let latent = |i: usize| parts.iter().find_map(|part| part.latents[i].as_deref());
        let drawn = match (reason, latent(0), latent(1), latent(2)) {
            (None, Some(origin), Some(across), Some(up)) => Ok(self.draw(origin, across, up)?),
            (reason, ..) => Err(reason.unwrap_or("no_latent")),
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

    fn draw(&self, z0: &[f32], z1: &[f32], z2: &[f32]) -> Result<DrawnWindow> {
        let model = self.scorer.as_ref().and_then(|scorer| scorer.model()).ok_or_else(|| self.unready())?;
        let lengths = [l2(z0, z1), l2(z0, z2)];
        let angle_deg = angle_deg(z0, z1, z2);
        let Classes { at_origin: class, window, boundaries, count } = match model.affine_head() {
            Some(head) => {
                let plane = LogitPlane::of(&head.weights, &head.bias, z0, z1, z2);
                let extent = self.grid.extent();
                let boundary = |x: f64, y: f64| plane.boundary(x, y).filter(|crossing| *crossing <= extent);
                let boundaries = [boundary(1.0, 0.0), boundary(-1.0, 0.0), boundary(0.0, 1.0), boundary(0.0, -1.0)];
                let (at_origin, window) = (plane.class(0.0, 0.0), plane.window(&self.grid));
                Classes { at_origin, window, boundaries, count: plane.classes() }
            }
            None => self.asked(model, z0, z1, z2)?,
        };
        let boundaries = boundaries.map(|boundary| boundary.unwrap_or(f64::NAN));
        let areas = areas(&window, count);
        let at = |i: usize| Some(boundaries[i] * lengths[i / 2]).filter(|distance| distance.is_finite());
        Ok(DrawnWindow { class, lengths, angle_deg, areas, boundaries: [at(0), at(1), at(2), at(3)], window })
    }

    /// The same of a head that is not affine: point by point, a row of the window at once.
    fn asked(&self, model: &dyn Model, z0: &[f32], z1: &[f32], z2: &[f32]) -> Result<Classes> {
        let (side, half) = (self.grid.side(), self.grid.half);
        let mut window = Vec::with_capacity(side * side);
        let mut classes = 0;
        for j in 0..side {
            let y = self.grid.at(j);
            let mut latents = Vec::with_capacity(side * z0.len());
            for i in 0..side {
                let x = self.grid.at(i);
                let ends = z0.iter().zip(z1).zip(z2).map(|((a, b), c)| (f64::from(*a), f64::from(*b), f64::from(*c)));
                latents.extend(ends.map(|(a, b, c)| (a + x * (b - a) + y * (c - a)) as f32));
            }
            let logits = model.head(&latents)?;
            classes = logits.len() / side;
            window.extend(logits.chunks_exact(classes.max(1)).map(|logits| argmax(logits) as u8));
        }
        let class = window[half * side + half];
        let first = |at: &dyn Fn(usize) -> usize| {
            (1..=half).find(|i| window[at(*i)] != class).map(|i| i as f64 * self.grid.step)
        };
        let boundaries = [
            first(&|i| half * side + half + i),
            first(&|i| half * side + half - i),
            first(&|i| (half + i) * side + half),
            first(&|i| (half - i) * side + half),
        ];
        Ok(Classes { at_origin: usize::from(class), window, boundaries, count: classes })
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

    fn bind(&mut self, input: &Schema, above: &UpstreamSchemas) -> Result<SchemaRef, Vec<Diagnostic>> {
        let mut mistakes = Vec::new();
        let origin = self.origin.space(input, above);
        for end in [&self.across, &self.up] {
            match (&origin, end.space(input, above)) {
                (Ok(origin), Ok(space)) => mistakes.extend(self.origin.check_same_space(origin, end, &space).err()),
                (_, space) => mistakes.extend(space.err()),
            }
        }
        mistakes.extend(origin.err());
        let classes = classes_of(input, &self.settings.score).unwrap_or_default();
        if classes.len() > usize::from(u8::MAX) {
            mistakes.push(Diagnostic::at(
                "score",
                Code::OutOfRange,
                format!("{} classes are too many to draw", classes.len()),
            ));
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
        Err(Error::data(format!("the model of `{}` cannot be asked for its head", self.settings.score)))
    }

    fn observe(&mut self, batch: &RecordBatch) -> Result<MonitorOutput> {
        let mut out = MonitorOutput::default();
        if !self.join.monitors().is_empty() {
            return Ok(out);
        }
        for row in 0..batch.num_rows() {
            let part = Part { truth: None, latents: self.latents(batch, row)?, reason: None };
            out.rows.push(self.row(object_id(batch, row)?, origin(batch, row)?, &[part])?.into());
        }
        Ok(out)
    }

    fn observe_upstream(&mut self, label: &str, said: &RowsOut) -> Result<MonitorOutput> {
        let about = described_row(label, said)?;
        let verdict = AttackedObject::from_rows(said)?;
        let monitor = self.join.index_of(label)?;
        let mut latents = self.latents(about, 0)?;
        if verdict.unflipped.is_none() {
            for (end, latent) in [&self.across, &self.up].into_iter().zip(&mut latents[1..]) {
                if end.is_monitor && end.label == label {
                    *latent = Some(verdict.latent.clone());
                }
            }
        }
        let part = Part { truth: verdict.truth, latents, reason: verdict.unflipped };
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
        // Three latents of some hundred numbers for every object that one monitor may be ahead of another.
        if self.join.monitors().len() > 1 { MAX_AHEAD * 16_384 } else { 1024 }
    }
}

#[cfg(test)]
mod tests;
