//! The monitor kind `latent_distance`: how far objects move in latent space.
//!
//! d = |z(from) - z(to)|_2 for every object, and over all objects: median, mean, standard error s/sqrt n, quantiles. `to` is
//! another score of the same object, or an earlier `one_pixel` monitor: then z(to) is the latent of the attacked image, of the
//! first row (in the order of its table) in which the object was flipped. With a second pair, `versus`, the two distributions
//! of d are compared by their [Jensen-Shannon distance](crate::stats::jensen_shannon), over equal bins of the pooled range.
//! For few objects this distance is far from 0 even if the distributions are equal (about 0.23 for 136 objects in 20 bins), so
//! the table also has its distribution under the null: both distances belong to one object, so a permutation swaps the two of
//! every object or not, by coins.
//!
//! If monitors are named (`to`, `versus.to`, `flipped_by`) there is a row for every object that all of them emit, and the
//! statistics are over those that all of them flipped: both distributions cover the same objects.
//!
//! Mean and standard error cover all objects. Medians, quantiles and the Jensen-Shannon distance are exact up to 2^20 objects,
//! 24 MiB; beyond they are those of 2^20 objects chosen at random, by the hash of their ids.

mod distance_sample;
mod settings;
mod table;
mod tally;

use arrow::{
    array::RecordBatch,
    datatypes::{Schema, SchemaRef},
};
use serde::{Deserialize, Serialize};

pub use self::settings::{LatentDistance, Versus};
use self::{
    distance_sample::{DistanceSample, PAIR_BYTES},
    table::{DistanceRow, DistanceTotal, ObjectDistance, table},
    tally::{DistanceTally, Distances, MAX_SAMPLED},
};
use super::kit::{
    join::{Join, MAX_AHEAD},
    latents::{AttackedObject, LatentRef, described_row, upstream_monitors},
    score::latent_column,
    snapshot::expect_same,
};
use crate::{
    batch::{list_values, object_id, origin},
    error::{Diagnostic, Result},
    run::snapshot::{decode, encode},
    stage::{ColumnRef, Finding, Monitor, MonitorOutput, RowsOut, RunContext, Scorers, Settings, UpstreamSchemas},
    stats::distance::l2,
};

/// The monitor of the kind `latent_distance`.
struct LatentDistanceMonitor {
    label: String,
    settings: LatentDistance,
    /// The pair, and the one it is compared with.
    pairs: Vec<ScorePair>,
    flipped_by: Vec<LatentRef>,
    seed: u64,
    distances: Distances,
    join: Join<ObjectParts>,
}

/// The two ends of a distance.
struct ScorePair {
    from: LatentRef,
    to: LatentRef,
}

/// What one upstream monitor contributes to an object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct ObjectParts {
    flipped: bool,
    /// The distance of each pair, if it can be computed from this monitor's rows.
    distances: [Option<f64>; 2],
}

/// The state in a snapshot; the sampled distances follow as bytes.
#[derive(Serialize, Deserialize)]
struct LatentDistanceState {
    /// The labels of both ends of every pair.
    pairs: Vec<[String; 2]>,
    tally: DistanceTally,
    join: Join<ObjectParts>,
    /// The number of sampled distances.
    sampled: usize,
}

impl LatentDistanceMonitor {
    fn new(label: &str, settings: LatentDistance, pairs: Vec<ScorePair>, flipped_by: Vec<LatentRef>) -> Self {
        Self {
            label: label.to_owned(),
            settings,
            distances: Distances::new(pairs.len() > 1),
            pairs,
            flipped_by,
            seed: 0,
            join: Join::new(Vec::new()),
        }
    }

    fn labels(&self) -> Vec<[String; 2]> {
        self.pairs.iter().map(|pair| [pair.from.label.clone(), pair.to.label.clone()]).collect()
    }

    /// Counts objects and returns their rows.
    fn emit(&mut self, objects: Vec<ObjectDistance>) -> Result<RecordBatch> {
        objects.iter().for_each(|object| self.distances.add(self.seed, object));
        table(&self.settings).batch(&objects.into_iter().map(DistanceRow::Object).collect::<Vec<_>>())
    }

    fn findings(&self, total: &DistanceTotal) -> Vec<Finding> {
        let mut messages = Vec::new();
        let above = |value: Option<f64>, limit: Option<f64>| value.zip(limit).filter(|(value, limit)| value > limit);
        if let Some((median, limit)) = above(total.own.median, self.settings.maximum_median) {
            let (pair, n) = (self.pairs[0].name(), total.n);
            messages.push(format!("the median distance of {pair} is {median:.4} ({n} objects), above {limit}"));
        }
        if let Some((distance, limit)) = above(total.divergence.distance, self.settings.maximum_js_distance) {
            let pairs: Vec<String> = self.pairs.iter().map(ScorePair::name).collect();
            let null = total.divergence.null_p95;
            let null = null.map_or_else(String::new, |p95| format!(", 95 % of the null are below {p95:.4}"));
            messages.push(format!(
                "the Jensen-Shannon distance between the distances of {} is {distance:.4} ({} objects{null}), above {limit}",
                pairs.join(" and those of "),
                total.n,
            ));
        }
        messages.into_iter().map(|message| Finding { monitor: self.label.clone(), message }).collect()
    }
}

impl ScorePair {
    fn name(&self) -> String {
        format!("`{}` and `{}`", self.from.label, self.to.label)
    }

    /// The distances between two scores, of all rows.
    fn distances(&self, batch: &RecordBatch) -> Result<Vec<f64>> {
        let (from, length) = list_values(batch, &latent_column(&self.from.label))?;
        let (to, _) = list_values(batch, &latent_column(&self.to.label))?;
        Ok(from.chunks_exact(length).zip(to.chunks_exact(length)).map(|(from, to)| l2(from, to)).collect())
    }
}

impl Monitor for LatentDistanceMonitor {
    fn resolve_labels(&mut self, monitors: &[String]) {
        self.pairs.iter_mut().for_each(|pair| pair.to.resolve_labels(monitors));
        self.join = Join::new(self.upstream().into_iter().map(|monitor| monitor.column).collect());
    }

    fn required_columns(&self) -> Vec<ColumnRef> {
        self.pairs.iter().flat_map(|pair| [pair.from.required_column(), pair.to.required_column()]).flatten().collect()
    }

    fn upstream(&self) -> Vec<ColumnRef> {
        upstream_monitors(self.pairs.iter().map(|pair| &pair.to).chain(&self.flipped_by))
    }

    fn bind(&mut self, input: &Schema, upstream: &UpstreamSchemas) -> Result<SchemaRef, Vec<Diagnostic>> {
        let mut mistakes = Vec::new();
        for pair in &self.pairs {
            match (pair.from.space(input, upstream), pair.to.space(input, upstream)) {
                (Ok(from), Ok(to)) => mistakes.extend(pair.from.check_same_space(&from, &pair.to, &to).err()),
                (from, to) => mistakes.extend(from.err().into_iter().chain(to.err())),
            }
        }
        mistakes.extend(self.flipped_by.iter().filter_map(|attack| attack.check_is_attack(upstream).err()));
        if mistakes.is_empty() { Ok(table(&self.settings).schema()) } else { Err(mistakes) }
    }

    fn start(&mut self, run: &RunContext, _scorers: &Scorers) -> Result<()> {
        self.seed = run.seed;
        Ok(())
    }

    fn observe(&mut self, batch: &RecordBatch) -> Result<MonitorOutput> {
        let mut out = MonitorOutput::default();
        if !self.join.monitors().is_empty() || batch.num_rows() == 0 {
            return Ok(out);
        }
        let distances = self.pairs[0].distances(batch)?;
        let versus = self.pairs.get(1).map(|pair| pair.distances(batch)).transpose()?;
        let mut objects = Vec::with_capacity(distances.len());
        for (row, distance) in distances.into_iter().enumerate() {
            objects.push(ObjectDistance {
                object_id: object_id(batch, row)?.to_owned(),
                origin: origin(batch, row)?.to_owned(),
                distance: Some(distance),
                versus: versus.as_ref().map(|versus| versus[row]),
                flipped: None,
            });
        }
        out.rows.push(self.emit(objects)?.into());
        Ok(out)
    }

    fn observe_upstream(&mut self, label: &str, rows: &RowsOut) -> Result<MonitorOutput> {
        let about = described_row(label, rows)?;
        let attacked = AttackedObject::from_rows(rows)?;
        let monitor = self.join.index_of(label)?;
        let mut parts = ObjectParts { flipped: attacked.unflipped.is_none(), distances: [None, None] };
        for (distance, pair) in parts.distances.iter_mut().zip(&self.pairs) {
            if pair.to.is_monitor && pair.to.label == label {
                let (from, length) = list_values(about, &latent_column(&pair.from.label))?;
                *distance = (attacked.latent.len() == length).then(|| l2(from, &attacked.latent));
            } else if !pair.to.is_monitor && monitor == 0 {
                *distance = pair.distances(about)?.first().copied();
            }
        }
        let mut out = MonitorOutput::default();
        if let Some(parts) = self.join.insert(monitor, &attacked.object_id, &attacked.origin, parts)? {
            let distance = |pair: usize| parts.iter().find_map(|part| part.distances[pair]);
            let object = ObjectDistance {
                distance: distance(0),
                versus: distance(1),
                flipped: Some(parts.iter().all(|part| part.flipped)),
                object_id: attacked.object_id,
                origin: attacked.origin,
            };
            out.rows.push(self.emit(vec![object])?.into());
        }
        Ok(out)
    }

    fn finish(&mut self) -> Result<MonitorOutput> {
        for (upstream, objects) in self.join.unmatched().filter(|(_, objects)| *objects > 0) {
            tracing::warn!(
                monitor = self.label,
                objects,
                "left out objects of `{upstream}` that another upstream monitor did not emit"
            );
        }
        let total = self.distances.total(&self.settings, self.seed, &self.label);
        let findings = self.findings(&total);
        let rows = table(&self.settings).batch(&[DistanceRow::Total(Box::new(total))])?;
        Ok(MonitorOutput { rows: vec![rows.into()], findings })
    }

    fn snapshot(&self) -> Result<Vec<u8>> {
        let state = LatentDistanceState {
            pairs: self.labels(),
            tally: self.distances.tally.clone(),
            join: self.join.clone(),
            sampled: self.distances.sample.len(),
        };
        encode(LatentDistance::NAME, &state, &self.distances.sample.to_bytes())
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<()> {
        let (state, body) = decode::<LatentDistanceState>(LatentDistance::NAME, snapshot)?;
        expect_same(&self.label, "the list of pairs", &state.pairs, &self.labels())?;
        let sample = DistanceSample::from_bytes(MAX_SAMPLED, state.sampled, body)?;
        self.join.restore(&self.label, state.join)?;
        (self.distances.tally, self.distances.sample) = (state.tally, sample);
        Ok(())
    }

    fn state_bound_bytes(&self) -> usize {
        let monitors = self.join.monitors().len();
        // An object that waits for another monitor is two numbers, a flag and its names.
        let waiting = if monitors > 1 { monitors * MAX_AHEAD * 512 } else { 0 };
        let labels: usize =
            self.labels().iter().flatten().chain(self.join.monitors()).map(|label| 6 * label.len()).sum();
        MAX_SAMPLED * PAIR_BYTES + waiting + labels + 1024
    }
}

#[cfg(test)]
mod tests;
