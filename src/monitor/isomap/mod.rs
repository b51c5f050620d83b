//! The monitor kind `isomap`: latents of a sample of objects, drawn in two or three dimensions.
//!
//! The sample is the objects with the smallest hashes of their ids, drawn by their latents under one or several scores of one
//! model: the same galaxies as two surveys see them, for example. All latents are points of one
//! [embedding](crate::stats::isomap), which preserves their distances along the graph of nearest neighbours. It is computed
//! when the stream has ended.
//!
//! With an earlier `one_pixel` monitor there are triplets too, as in arXiv 2112.14299: for objects that it flipped, the latent
//! under the first score (`origin`), that of the attacked image (`one_pixel`), and that under the second score (`noisy`). They
//! are points of the same embedding, whether or not the object is in the sample.
//!
//! `class` is null for a score without classes, that of an encoder.
//!
//! Points of the role `placed` are not part of the embedding: their coordinates follow from their distances to its points.

mod drawing;
mod sampled_object;
mod settings;
mod table;

use arrow::{
    array::{Array, RecordBatch},
    datatypes::{Schema, SchemaRef},
};
use serde::{Deserialize, Serialize};

pub use self::settings::Isomap;
use self::{
    drawing::{PointSources, draw},
    sampled_object::{ObjectSample, SampledObject, latents_of, with_latents, without_latents},
    settings::triplet_latents,
    table::{IsomapRow, table},
};
use super::kit::{
    bottom_k::{BottomK, SampleKey},
    latents::{AttackedObject, LatentRef, described_row},
    score::{TruthColumn, class_column, common_classes, latent_column, text},
    snapshot::{damaged, expect_same},
};
use crate::{
    batch::{column_of, list_values, object_id, origin},
    error::{Diagnostic, Result},
    run::snapshot::{decode, encode},
    stage::{ColumnRef, Monitor, MonitorOutput, RowsOut, RunContext, Scorers, Settings, UpstreamSchemas},
};

/// Bytes of the names of an object: an estimate.
const NAME_BYTES: usize = 1024;

/// The monitor of the kind `isomap`.
struct IsomapMonitor {
    label: String,
    settings: Isomap,
    truth: Option<TruthColumn>,
    scores: Vec<LatentRef>,
    /// Whether each score has a class: an encoder has none. Set by `bind`.
    have_classes: Vec<bool>,
    attacked: Option<LatentRef>,
    /// Numbers of a latent.
    size: usize,
    seed: u64,
    /// Rows of the stream so far.
    seen: u64,
    /// Objects of the upstream attack so far.
    seen_attacked: u64,
    /// The objects to embed, then those to place: a latent for every score.
    objects: ObjectSample,
    /// The latents of the object, of the attacked image, and under the second score.
    triplets: ObjectSample,
}

/// The state in a snapshot; the latents of objects and triplets follow as bytes.
#[derive(Serialize, Deserialize)]
struct IsomapState {
    scores: Vec<String>,
    attacked: Option<String>,
    seen: u64,
    seen_attacked: u64,
    objects: Vec<(SampleKey, SampledObject)>,
    triplets: Vec<(SampleKey, SampledObject)>,
}

impl IsomapMonitor {
    fn new(label: &str, settings: Isomap, scores: Vec<LatentRef>) -> Self {
        Self {
            label: label.to_owned(),
            truth: settings.truth.as_ref().map(|truth| TruthColumn::new(truth, settings.truth_classes.as_deref())),
            have_classes: vec![false; scores.len()],
            scores,
            attacked: settings.attacked.as_ref().map(|label| LatentRef::monitor("attacked", label)),
            size: 0,
            seed: 0,
            seen: 0,
            seen_attacked: 0,
            objects: BottomK::new(settings.n + settings.place),
            triplets: BottomK::new(settings.triplets),
            settings,
        }
    }

    fn score_labels(&self) -> Vec<String> {
        self.scores.iter().map(|score| score.label.clone()).collect()
    }

    /// The objects of some rows of the stream, with their latents under all scores.
    fn objects(&self, batch: &RecordBatch, rows: impl Iterator<Item = usize>) -> Result<Vec<SampledObject>> {
        let truth = self.truth.as_ref().map(|truth| truth.read(batch)).transpose()?;
        let mut scores = Vec::with_capacity(self.scores.len());
        for (score, has_class) in self.scores.iter().zip(&self.have_classes) {
            let class = if *has_class { Some(text(column_of(batch, &class_column(&score.label))?)?) } else { None };
            scores.push((class, list_values(batch, &latent_column(&score.label))?));
        }
        rows.map(|row| {
            let mut object = SampledObject {
                object_id: object_id(batch, row)?.to_owned(),
                origin: origin(batch, row)?.to_owned(),
                truth: truth.as_ref().and_then(|truth| truth.row(row).1).map(str::to_owned),
                classes: Vec::with_capacity(scores.len()),
                latents: Vec::with_capacity(scores.len() * self.size),
            };
            for (class, (latents, length)) in &scores {
                let class = class.as_ref().filter(|class| class.is_valid(row));
                object.classes.push(class.map(|class| class.value(row).to_owned()));
                object.latents.extend(&latents[row * length..][..*length]);
            }
            Ok(object)
        })
        .collect()
    }

    /// Numbers of an object and of a triplet.
    fn lengths(&self) -> [usize; 2] {
        [self.scores.len(), triplet_latents(self.scores.len())].map(|latents| latents * self.size)
    }
}

impl Monitor for IsomapMonitor {
    fn required_columns(&self) -> Vec<ColumnRef> {
        // The classes come with the latents where a score has them.
        let latents = self.scores.iter().filter_map(LatentRef::required_column);
        let truth = self.truth.iter().map(|truth| ColumnRef::new("truth", truth.name()));
        latents.chain(truth).collect()
    }

    fn upstream(&self) -> Vec<ColumnRef> {
        self.attacked.iter().filter_map(LatentRef::upstream).collect()
    }

    fn bind(&mut self, input: &Schema, upstream: &UpstreamSchemas) -> Result<SchemaRef, Vec<Diagnostic>> {
        let (scores, mut mistakes) = (self.score_labels(), Vec::new());
        let has_class = |score: &String| input.field_with_name(&class_column(score)).is_ok();
        self.have_classes = scores.iter().map(has_class).collect();
        if let Some(truth) = &mut self.truth {
            // Text does not need them, and scores of one model have the same.
            let classes = common_classes(input, &scores, Isomap::NAME);
            mistakes.extend(truth.bind(input, Some(&classes.unwrap_or_default())));
        }
        let first = self.scores[0].space(input, upstream);
        for other in self.scores.iter().skip(1).chain(&self.attacked) {
            match (&first, other.space(input, upstream)) {
                (Ok(first), Ok(space)) => mistakes.extend(self.scores[0].check_same_space(first, other, &space).err()),
                (_, space) => mistakes.extend(space.err()),
            }
        }
        match first {
            Ok(first) if mistakes.is_empty() => {
                self.size = first.size;
                Ok(table().schema())
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
        let mut accepted = Vec::new();
        for row in 0..batch.num_rows() {
            let key = SampleKey::new(self.seed, object_id(batch, row)?, self.seen);
            self.seen += 1;
            if self.objects.accepts(&key) {
                accepted.push((key, row));
            }
        }
        if !accepted.is_empty() {
            let objects = self.objects(batch, accepted.iter().map(|(_, row)| *row))?;
            accepted.iter().zip(objects).for_each(|((key, _), object)| self.objects.insert(*key, object));
        }
        Ok(MonitorOutput::default())
    }

    fn observe_upstream(&mut self, label: &str, rows: &RowsOut) -> Result<MonitorOutput> {
        let about = described_row(label, rows)?;
        let attacked = AttackedObject::from_rows(rows)?;
        let key = SampleKey::new(self.seed, &attacked.object_id, self.seen_attacked);
        self.seen_attacked += 1;
        if attacked.unflipped.is_some() || attacked.latent.len() != self.size || !self.triplets.accepts(&key) {
            return Ok(MonitorOutput::default());
        }
        for mut object in self.objects(about, std::iter::once(0))? {
            object.truth = object.truth.or_else(|| attacked.truth.clone());
            object.latents.truncate(2 * self.size);
            object.latents.splice(self.size..self.size, attacked.latent.iter().copied());
            object.classes.truncate(2);
            object.classes.insert(1, attacked.target.clone());
            self.triplets.insert(key, object);
        }
        Ok(MonitorOutput::default())
    }

    fn finish(&mut self) -> Result<MonitorOutput> {
        let Isomap { n, neighbours, components, .. } = self.settings;
        let scores = self.scores.iter().map(|score| score.label.as_str()).collect();
        let sources = PointSources { scores, size: self.size, objects: &self.objects, n, triplets: &self.triplets };
        let points = sources.points();
        if points.is_empty() {
            return Ok(MonitorOutput::default());
        }
        let (results, embedding) = draw(&points, self.size, neighbours, components);
        if embedding.parts.is_none() {
            tracing::warn!(monitor = self.label, points = embedding.n, "too few points for an embedding");
        }
        let rows = points.into_iter().zip(&results).map(|(point, result)| IsomapRow { point, result, embedding });
        let rows = table().batch(&rows.collect::<Vec<_>>())?;
        Ok(MonitorOutput { rows: vec![rows.into()], ..MonitorOutput::default() })
    }

    fn snapshot(&self) -> Result<Vec<u8>> {
        let state = IsomapState {
            scores: self.score_labels(),
            attacked: self.settings.attacked.clone(),
            seen: self.seen,
            seen_attacked: self.seen_attacked,
            objects: without_latents(&self.objects),
            triplets: without_latents(&self.triplets),
        };
        let latents = latents_of(&self.objects).chain(latents_of(&self.triplets));
        encode(Isomap::NAME, &state, &latents.flat_map(f32::to_le_bytes).collect::<Vec<u8>>())
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<()> {
        let (state, body) = decode::<IsomapState>(Isomap::NAME, snapshot)?;
        expect_same(&self.label, "the list of scores", &state.scores, &self.score_labels())?;
        expect_same(&self.label, "`attacked`", &state.attacked, &self.settings.attacked)?;
        let damaged = || damaged(&self.label);
        let (numbers, rest) = body.as_chunks::<4>();
        let numbers: Vec<f32> = numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        let [own, triplet] = self.lengths();
        let (first, second) = numbers.split_at_checked(state.objects.len() * own).ok_or_else(damaged)?;
        let k = self.settings.n + self.settings.place;
        let objects = with_latents(k, state.objects, first, own).filter(|_| rest.is_empty()).ok_or_else(damaged)?;
        self.triplets = with_latents(self.settings.triplets, state.triplets, second, triplet).ok_or_else(damaged)?;
        (self.objects, self.seen, self.seen_attacked) = (objects, state.seen, state.seen_attacked);
        Ok(())
    }

    fn state_bound_bytes(&self) -> usize {
        let [own, triplet] = self.lengths().map(|numbers| 4 * numbers + NAME_BYTES);
        let triplets = if self.attacked.is_some() { self.settings.triplets } else { 0 };
        // The distances of the embedding, of every two points once.
        let points = self.settings.n * self.scores.len() + triplets * 3;
        (self.settings.n + self.settings.place) * own + triplets * triplet + 4 * points * points + NAME_BYTES
    }
}

#[cfg(test)]
mod tests;
