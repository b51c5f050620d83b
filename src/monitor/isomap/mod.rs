//! The monitor kind `isomap`: latents of a sample of objects, drawn in two or three dimensions.
//!
//! The objects with the smallest hashes of their ids are drawn, by their latents under one or several scores of one model: the same
//! galaxies as two surveys see them, say. All latents are points of one [embedding](crate::stats::isomap), which keeps their distances
//! along the graph of nearest neighbours. It is made when the stream has ended.
//!
//! With a `one_pixel` monitor above there are triplets too, as in arXiv 2112.14299: for objects that it flipped, the latent under the
//! first score (`origin`), that of the attacked image (`one_pixel`), and that under the second score (`noisy`). They are points of the
//! same embedding, whether or not the object is in the sample.
//!
//! Points of the role `placed` are not part of the embedding: each is where its distances to the others put it.

mod kept;
mod table;

use arrow::{
    array::{Array, RecordBatch},
    datatypes::{Schema, SchemaRef},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::{
    kept::{Kept, Object, Place},
    table::{Drawing, Drawn, Point, rows, schema},
};
use super::{
    columns::{class_column, latent_column, needs_text, text},
    labels::Labels,
    latents::{Named, Verdict},
};
use crate::{
    batch::{column_of, list_values, object_id, origin},
    error::{Code, Diagnostic, Error, Result},
    random::rank,
    stage::{ColumnRef, Monitor, MonitorOutput, RowsOut, RunContext, Scorers, Settings, UpstreamSchemas},
    stats::{isomap::Isomap as Embedding, points::Points},
};

/// Draws the latents of a sample of objects in two or three dimensions.
///
/// Its table has a row for every point: one for every object and score, those of triplets, and those that are placed afterwards. It is
/// written when the stream has ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Isomap {
    /// The label of a score, or a list of them, all of one model: each gives every object a point.
    pub score: Labels,
    /// How many objects are drawn, those with the smallest hashes of their ids: for two monitors the same.
    #[serde(default = "two_hundred_and_fifty")]
    #[schemars(range(min = 4, max = 5000))]
    pub n: usize,
    /// How many nearest points each is joined to.
    #[serde(default = "five")]
    #[schemars(range(min = 1, max = 1000))]
    pub neighbours: usize,
    /// The dimensions of the drawing. The first two are the same with and without the third.
    #[serde(default = "three")]
    #[schemars(range(min = 2, max = 3))]
    pub components: usize,
    /// The label of a `one_pixel` monitor above: objects that it flipped are drawn as triplets.
    #[serde(default)]
    pub attacked: Option<String>,
    /// How many objects are drawn as triplets, those with the smallest hashes of their ids.
    #[serde(default = "ten")]
    #[schemars(range(min = 1, max = 1000))]
    pub triplets: usize,
    /// The text column with the true class.
    #[serde(default)]
    pub truth: Option<String>,
    /// So many further objects are placed among the others, without a say in where those are.
    #[serde(default)]
    #[schemars(range(min = 0, max = 10_000))]
    pub place: usize,
}

const fn two_hundred_and_fifty() -> usize {
    250
}

const fn five() -> usize {
    5
}

const fn three() -> usize {
    3
}

const fn ten() -> usize {
    10
}

/// The most points of an embedding: their distances are some 100 MiB, and about a second of work.
const MOST: usize = 5000;
/// Bytes of the names of an object, as far as they can be guessed.
const NAMES: usize = 1024;

impl Isomap {
    /// The drawing of 250 objects under some scores.
    pub fn of(scores: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            score: scores.into_iter().collect(),
            n: two_hundred_and_fifty(),
            neighbours: five(),
            components: three(),
            attacked: None,
            triplets: ten(),
            truth: None,
            place: 0,
        }
    }
}

impl Settings<dyn Monitor> for Isomap {
    const NAME: &'static str = "isomap";

    fn build(self, label: &str) -> Result<Box<dyn Monitor>, Vec<Diagnostic>> {
        let scores = self.score.scores()?;
        let attacked = self.attacked.as_ref().map(|label| Named::monitor("attacked", label));
        let points = self.n * scores.len();
        let all = points + if attacked.is_some() { self.triplets * triplet(scores.len()) } else { 0 };
        let mut mistakes = Vec::new();
        if self.neighbours >= points {
            let message = format!("{points} points cannot each have {} neighbours", self.neighbours);
            let help = "draw more objects, or join each point to fewer";
            mistakes.push(Diagnostic::at("neighbours", Code::OutOfRange, message).help(help));
        }
        if all > MOST {
            let message = format!("{all} points are too many to draw: {MOST} at most");
            let help = "every object has a point for every score; further objects can be placed by `place`";
            mistakes.push(Diagnostic::at("n", Code::OutOfRange, message).help(help));
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        Ok(Box::new(IsomapMonitor {
            label: label.to_owned(),
            scores: scores.iter().map(|label| Named::score("score", label)).collect(),
            attacked,
            size: 0,
            schema: Schema::empty().into(),
            seed: 0,
            seen: 0,
            heard: 0,
            objects: Kept::new(self.n + self.place),
            triplets: Kept::new(self.triplets),
            settings: self,
        }))
    }
}

/// How many points a triplet has with so many scores.
const fn triplet(scores: usize) -> usize {
    if scores > 1 { 3 } else { 2 }
}

/// The monitor of the kind `isomap`.
struct IsomapMonitor {
    label: String,
    settings: Isomap,
    scores: Vec<Named>,
    attacked: Option<Named>,
    /// Numbers of a latent.
    size: usize,
    schema: SchemaRef,
    seed: u64,
    /// Rows of the stream so far, and objects that the monitor above has spoken of.
    seen: u64,
    heard: u64,
    /// Those drawn, then those placed: a latent for every score.
    objects: Kept,
    /// The latents of origin, attacked image and second score.
    triplets: Kept,
}

#[derive(Serialize, Deserialize)]
struct Head {
    seen: u64,
    heard: u64,
    objects: Vec<(Place, Object)>,
    triplets: Vec<(Place, Object)>,
}

impl IsomapMonitor {
    /// The place of an object that comes as number `number`.
    fn place(&self, object_id: &str, number: u64) -> Place {
        // Ranks are not negative, so their bits are in the order of the numbers.
        (rank(self.seed, object_id).to_bits(), number)
    }

    /// Objects of some rows of the stream, with their latents under all scores.
    fn objects(&self, batch: &RecordBatch, rows: impl Iterator<Item = usize>) -> Result<Vec<Object>> {
        let truth = self.settings.truth.as_ref().map(|truth| text(column_of(batch, truth)?)).transpose()?;
        let mut scores = Vec::with_capacity(self.scores.len());
        for score in &self.scores {
            let class = text(column_of(batch, &class_column(&score.label))?)?;
            scores.push((class, list_values(batch, &latent_column(&score.label))?));
        }
        rows.map(|row| {
            let mut object = Object {
                object_id: object_id(batch, row)?.to_owned(),
                origin: origin(batch, row)?.to_owned(),
                truth: truth.iter().filter(|truth| truth.is_valid(row)).map(|truth| truth.value(row).to_owned()).next(),
                classes: Vec::with_capacity(scores.len()),
                latents: Vec::with_capacity(scores.len() * self.size),
            };
            for (class, (latents, length)) in &scores {
                object.classes.push(class.is_valid(row).then(|| class.value(row).to_owned()));
                object.latents.extend(&latents[row * length..][..*length]);
            }
            Ok(object)
        })
        .collect()
    }

    /// Adds points: the latents of an object, under scores and in roles.
    fn add<'a>(&self, object: &'a Object, names: &[(&'a str, &'static str)], points: &mut Vec<Point<'a>>) {
        let classes = object.classes.iter().map(Option::as_deref);
        for ((latent, class), (score, role)) in object.latents.chunks_exact(self.size.max(1)).zip(classes).zip(names) {
            points.push(Point { object, score, role, class, latent });
        }
    }

    /// All points: those of the embedding, then those that are placed.
    fn points(&self) -> Vec<Point<'_>> {
        let under = |role| self.scores.iter().map(|score| (score.label.as_str(), role)).collect::<Vec<_>>();
        let of_triplet: Vec<(&str, &'static str)> = [(0, "origin"), (0, "one_pixel"), (1, "noisy")]
            .into_iter()
            .filter_map(|(score, role)| Some((self.scores.get(score)?.label.as_str(), role)))
            .collect();
        let mut points = Vec::new();
        for object in self.objects.iter().take(self.settings.n) {
            self.add(object, &under("sample"), &mut points);
        }
        for object in self.triplets.iter() {
            self.add(object, &of_triplet, &mut points);
        }
        for object in self.objects.iter().skip(self.settings.n) {
            self.add(object, &under(PLACED), &mut points);
        }
        points
    }

    fn draw(&self, points: &[Point<'_>]) -> (Vec<Drawn>, Drawing) {
        let is_finite = |point: &Point<'_>| point.latent.iter().all(|x| x.is_finite());
        let gather = |is_placed: bool| {
            let wanted = points.iter().filter(|point| (point.role == PLACED) == is_placed && is_finite(point));
            Points::new(&wanted.flat_map(|point| point.latent).copied().collect::<Vec<f32>>(), self.size)
        };
        let fitted = gather(false);
        let components = self.settings.components;
        let embedding = Embedding::fit(&fitted, self.settings.neighbours, components);
        let n = fitted.len();
        if embedding.is_none() && !points.is_empty() {
            tracing::warn!(monitor = self.label, points = n, "there are too few points to draw");
        }
        let placed = embedding.as_ref().map(|embedding| embedding.place(&gather(true))).unwrap_or_default();
        let coordinates = embedding.iter().flat_map(Embedding::coordinates).copied().collect::<Vec<f64>>();
        let mut places = coordinates.chunks_exact(components).chain(placed.chunks_exact(components));
        let drawn = points.iter().map(|point| {
            let place = if is_finite(point) { places.next().map(<[f64]>::to_vec) } else { return Err("not_finite") };
            place.ok_or("too_few_points")
        });
        (
            drawn.collect(),
            Drawing { parts: embedding.as_ref().map(|embedding| embedding.components() as u64), n: n as u64 },
        )
    }

    /// Numbers that are kept of an object and of a triplet.
    fn lengths(&self) -> [usize; 2] {
        [self.scores.len(), triplet(self.scores.len())].map(|latents| latents * self.size)
    }
}

/// The role of points that are not part of the embedding.
const PLACED: &str = "placed";

impl Monitor for IsomapMonitor {
    fn required_columns(&self) -> Vec<ColumnRef> {
        let latents = self.scores.iter().filter_map(Named::need);
        let classes = self.scores.iter().map(|score| ColumnRef::new("score", class_column(&score.label)));
        let truth = self.settings.truth.iter().map(|truth| ColumnRef::new("truth", truth));
        latents.chain(classes).chain(truth).collect()
    }

    fn upstream(&self) -> Vec<ColumnRef> {
        self.attacked.iter().filter_map(Named::upstream).collect()
    }

    fn bind(&mut self, input: &Schema, above: &UpstreamSchemas) -> Result<SchemaRef, Vec<Diagnostic>> {
        let mut mistakes = Vec::new();
        let truth = self.settings.truth.as_ref();
        mistakes.extend(truth.and_then(|truth| needs_text(input, "truth", truth)));
        let first = self.scores[0].space(input, above);
        for other in self.scores.iter().skip(1).chain(&self.attacked) {
            match (&first, other.space(input, above)) {
                (Ok(first), Ok(space)) => mistakes.extend(self.scores[0].together(first, other, &space).err()),
                (_, space) => mistakes.extend(space.err()),
            }
        }
        match first {
            Ok(first) if mistakes.is_empty() => {
                self.size = first.size;
                self.schema = schema();
                Ok(self.schema.clone())
            }
            first => {
                mistakes.extend(first.err());
                Err(mistakes)
            }
        }
    }

    fn start(&mut self, run: &RunContext, _scorers: &Scorers) -> Result<()> {
        self.seed = run.seed;
        Ok(())
    }

    fn observe(&mut self, batch: &RecordBatch) -> Result<MonitorOutput> {
        let mut wanted = Vec::new();
        for row in 0..batch.num_rows() {
            let place = self.place(object_id(batch, row)?, self.seen);
            self.seen += 1;
            if self.objects.wants(&place) {
                wanted.push((place, row));
            }
        }
        if !wanted.is_empty() {
            let objects = self.objects(batch, wanted.iter().map(|(_, row)| *row))?;
            wanted.iter().zip(objects).for_each(|((place, _), object)| self.objects.put(*place, object));
        }
        Ok(MonitorOutput::default())
    }

    fn observe_upstream(&mut self, label: &str, said: &RowsOut) -> Result<MonitorOutput> {
        let silent = || Error::bug(format!("the monitor `{label}` does not say which row it speaks of"));
        let about = said.about.as_ref().ok_or_else(silent)?;
        let verdict = Verdict::of(said)?;
        let place = self.place(&verdict.object_id, self.heard);
        self.heard += 1;
        if verdict.unflipped.is_some() || verdict.latent.len() != self.size || !self.triplets.wants(&place) {
            return Ok(MonitorOutput::default());
        }
        for mut object in self.objects(about, std::iter::once(0))? {
            object.truth = object.truth.or_else(|| verdict.truth.clone());
            object.latents.truncate(2 * self.size);
            object.latents.splice(self.size..self.size, verdict.latent.iter().copied());
            object.classes.truncate(2);
            object.classes.insert(1, verdict.target.clone());
            self.triplets.put(place, object);
        }
        Ok(MonitorOutput::default())
    }

    fn finish(&mut self) -> Result<MonitorOutput> {
        let points = self.points();
        if points.is_empty() {
            return Ok(MonitorOutput::default());
        }
        let (drawn, drawing) = self.draw(&points);
        Ok(MonitorOutput {
            rows: vec![rows(&self.schema, &points, &drawn, drawing)?.into()],
            ..MonitorOutput::default()
        })
    }

    fn snapshot(&self) -> Result<Vec<u8>> {
        let (objects, triplets) = (self.objects.named(), self.triplets.named());
        let head = Head { seen: self.seen, heard: self.heard, objects, triplets };
        let mut bytes = serde_json::to_vec(&head).map_err(|error| Error::bug(error.to_string()))?;
        bytes.push(b'\n');
        bytes.extend(self.objects.latents().chain(self.triplets.latents()).flat_map(f32::to_le_bytes));
        Ok(bytes)
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<()> {
        let broken = || Error::bug(format!("the snapshot of `{}` cannot be read", self.label));
        let end = snapshot.iter().position(|byte| *byte == b'\n').ok_or_else(broken)?;
        let head: Head = serde_json::from_slice(&snapshot[..end]).map_err(|_| broken())?;
        let (numbers, _) = snapshot[end + 1..].as_chunks::<4>();
        let numbers: Vec<f32> = numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        let [own, triplet] = self.lengths();
        let (first, second) = numbers.split_at_checked(head.objects.len() * own).ok_or_else(broken)?;
        let most = self.settings.n + self.settings.place;
        let objects = Kept::read(most, head.objects, first, own).ok_or_else(broken)?;
        self.triplets = Kept::read(self.settings.triplets, head.triplets, second, triplet).ok_or_else(broken)?;
        (self.objects, self.seen, self.heard) = (objects, head.seen, head.heard);
        Ok(())
    }

    fn state_bound_bytes(&self) -> usize {
        let [own, triplet] = self.lengths().map(|numbers| 4 * numbers + NAMES);
        let triplets = if self.attacked.is_some() { self.settings.triplets } else { 0 };
        // The distances of the embedding, every two points once.
        let points = self.settings.n * self.scores.len() + triplets * 3;
        (self.settings.n + self.settings.place) * own + triplets * triplet + 4 * points * points + NAMES
    }
}

#[cfg(test)]
mod tests;
