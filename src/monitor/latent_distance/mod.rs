//! The monitor kind `latent_distance`: how far objects move in latent space.
//!
//! d = |z(from) - z(to)|_2 for every object, and over all: median, mean, standard error s/sqrt n, quantiles. `to` is another score
//! of the same object, or a `one_pixel` monitor above: then z(to) is the latent of the attacked image, of the first row (in the order
//! of its table) in which the object was flipped. With a second pair, `versus`, the two distributions of d are compared by their
//! [Jensen-Shannon distance](crate::stats::jensen_shannon), over equal bins of the pooled range. That is far from 0 without any
//! difference when objects are few (about 0.23 for 136 objects in 20 bins), so its permutation null stands beside it: both distances
//! belong to one object, so the null swaps the two of every object or not, by coins.
//!
//! Where monitors are named (`to`, `versus.to`, `flipped_by`) there is a row for every object that all of them speak of, and the
//! statistics are over those that all of them flipped: both distributions over the same objects.
//!
//! Mean and standard error are of all objects. Medians, quantiles and the Jensen-Shannon distance are exact up to 2^20 objects, 24 MiB;
//! of more they are those of 2^20 objects chosen at random, by the hash of their ids.

mod kept;
mod table;

use arrow::{
    array::RecordBatch,
    datatypes::{Schema, SchemaRef},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::{
    kept::{BYTES, Kept},
    table::{Divergence, Object, Summary, Total, object_rows, schema, total_row},
};
use super::{
    columns::latent_column,
    heard::{Heard, MOST_AHEAD},
    labels::Labels,
    latents::{Named, Verdict, speakers},
};
use crate::{
    batch::{list_values, object_id, origin},
    error::{Code, Diagnostic, Error, Result},
    random::{Stream, rank},
    stage::{ColumnRef, Finding, Monitor, MonitorOutput, RowsOut, RunContext, Scorers, Settings, UpstreamSchemas},
    stats::{
        distance::l2,
        jensen_shannon::{Pairs, in_base_2},
        moments::Moments,
        permutation::p_value,
        quantile,
    },
};

/// Measures how far objects move in latent space, from one score to another or under attack.
///
/// Its table has a row of the scope `object` for every object, and one of the scope `total`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LatentDistance {
    /// The label of the score that distances are measured from.
    pub from: String,
    /// The label of another score of the same model, or of a `one_pixel` monitor above.
    pub to: String,
    /// A second pair, whose distances are compared with those of the first: of another model, say.
    #[serde(default)]
    pub versus: Option<Versus>,
    /// `one_pixel` monitors above, a label or a list of them: the statistics are over objects that all of them flipped.
    #[serde(default)]
    pub flipped_by: Option<Labels>,
    /// The bins of the histograms that are compared: equal ones, over the range of both.
    #[serde(default = "twenty")]
    #[schemars(range(min = 2, max = 1000))]
    pub bins: usize,
    /// How many permutations the null of the Jensen-Shannon distance has. 0 leaves it out.
    #[serde(default = "permutations")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub permutations: usize,
    /// The quantiles of the distances that are given.
    #[serde(default = "quantiles")]
    #[schemars(length(min = 1, max = 1000))]
    pub quantiles: Vec<f64>,
    /// Makes a finding (exit code 1) of a median distance above this.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub maximum_median: Option<f64>,
    /// Makes a finding (exit code 1) of a Jensen-Shannon distance (natural logarithm) above this.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1))]
    pub maximum_js_distance: Option<f64>,
}

/// A pair that another is compared with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Versus {
    /// The label of a score.
    pub from: String,
    /// The label of another score of the same model, or of a `one_pixel` monitor above.
    pub to: String,
}

const fn twenty() -> usize {
    20
}

const fn permutations() -> usize {
    999
}

fn quantiles() -> Vec<f64> {
    vec![0.05, 0.25, 0.75, 0.95]
}

impl LatentDistance {
    /// The distances between two scores, or a score and a `one_pixel` monitor.
    pub fn of(from: impl Into<String>, to: impl Into<String>) -> Self {
        Self {
            from: from.into(),
            to: to.into(),
            versus: None,
            flipped_by: None,
            bins: twenty(),
            permutations: permutations(),
            quantiles: quantiles(),
            maximum_median: None,
            maximum_js_distance: None,
        }
    }
}

impl Settings<dyn Monitor> for LatentDistance {
    const NAME: &'static str = "latent_distance";

    fn build(self, label: &str) -> Result<Box<dyn Monitor>, Vec<Diagnostic>> {
        let mut mistakes = Vec::new();
        if let Some(q) = self.quantiles.iter().find(|q| !(0.0..=1.0).contains(*q)) {
            let message = format!("{q} is no quantile");
            let help = "a quantile is between 0 and 1";
            mistakes.push(Diagnostic::at("quantiles", Code::OutOfRange, message).help(help));
        }
        if self.maximum_js_distance.is_some() && self.versus.is_none() {
            let message = "there is no `versus` whose distances could be too far from these";
            mistakes.push(Diagnostic::at("maximum_js_distance", Code::Conflict, message));
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let mut pairs = vec![Pair { from: Named::score("from", &self.from), to: Named::either("to", &self.to) }];
        pairs.extend(self.versus.as_ref().map(|versus| Pair {
            from: Named::score("versus.from", &versus.from),
            to: Named::either("versus.to", &versus.to),
        }));
        let flipped_by = self.flipped_by.iter().flat_map(Labels::list);
        let flipped_by = flipped_by.map(|label| Named::monitor("flipped_by", label)).collect();
        Ok(Box::new(LatentDistanceMonitor {
            label: label.to_owned(),
            settings: self,
            pairs,
            flipped_by,
            schema: Schema::empty().into(),
            seed: 0,
            tally: Tally::default(),
            kept: Kept::new(MOST),
            heard: Heard::new(0),
        }))
    }
}

/// The most distances that are kept.
const MOST: usize = 1 << 20;

/// The monitor of the kind `latent_distance`.
struct LatentDistanceMonitor {
    label: String,
    settings: LatentDistance,
    /// The pair, and the one that it is compared with.
    pairs: Vec<Pair>,
    flipped_by: Vec<Named>,
    schema: SchemaRef,
    seed: u64,
    tally: Tally,
    kept: Kept,
    heard: Heard<Part>,
}

struct Pair {
    from: Named,
    to: Named,
}

/// What one monitor adds to what is known of an object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Part {
    flipped: bool,
    distances: [Option<f64>; 2],
}

/// What is counted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Tally {
    /// Rows about objects.
    objects: u64,
    /// Distances of each pair.
    moments: [Moments; 2],
}

#[derive(Serialize, Deserialize)]
struct Head {
    tally: Tally,
    heard: Heard<Part>,
}

impl LatentDistanceMonitor {
    fn speakers(&self) -> Vec<ColumnRef> {
        speakers(self.pairs.iter().map(|pair| &pair.to).chain(&self.flipped_by))
    }

    /// The distances of all rows between the scores of a pair.
    fn between(pair: &Pair, batch: &RecordBatch) -> Result<Vec<f64>> {
        let (from, length) = list_values(batch, &latent_column(&pair.from.label))?;
        let (to, _) = list_values(batch, &latent_column(&pair.to.label))?;
        Ok(from.chunks_exact(length).zip(to.chunks_exact(length)).map(|(from, to)| l2(from, to)).collect())
    }

    /// Counts an object and gives its row.
    fn count(&mut self, object: Object) -> Object {
        self.tally.objects += 1;
        let wanted = object.flipped != Some(false) && object.versus.is_some() == (self.pairs.len() > 1);
        if let Some(distance) = object.distance.filter(|_| wanted) {
            self.tally.moments[0].add(distance);
            object.versus.iter().for_each(|versus| self.tally.moments[1].add(*versus));
            self.kept.add(rank(self.seed, &object.object_id), distance, object.versus.unwrap_or(0.0));
        }
        object
    }

    fn total(&self) -> Total {
        let pairs = self.kept.pairs();
        let summary = |moments: &Moments, of: fn(&(f64, f64)) -> f64| {
            let mut sorted: Vec<f64> = pairs.iter().map(of).collect();
            sorted.sort_unstable_by(f64::total_cmp);
            Summary {
                median: quantile::linear(&sorted, 0.5),
                mean: moments.mean(),
                standard_error: moments.standard_error(),
                quantiles: self.settings.quantiles.iter().filter_map(|q| quantile::linear(&sorted, *q)).collect(),
            }
        };
        let two = self.pairs.len() > 1;
        Total {
            objects: self.tally.objects,
            n: self.tally.moments[0].count(),
            own: summary(&self.tally.moments[0], |pair| pair.0),
            versus: if two { summary(&self.tally.moments[1], |pair| pair.1) } else { Summary::default() },
            divergence: if two { self.divergence(&pairs) } else { Divergence::default() },
        }
    }

    fn divergence(&self, pairs: &[(f64, f64)]) -> Divergence {
        let counted = Pairs::new(pairs, self.settings.bins);
        let Some((counted, distance)) = counted.and_then(|pairs| Some((pairs.distance()?, pairs))).map(|(d, p)| (p, d))
        else {
            return Divergence::default();
        };
        let mut stream = Stream::new(self.seed, "", &format!("{}/permutations", self.label));
        let mut null = counted.swapped(self.settings.permutations, &mut || stream.next_u64());
        null.sort_unstable_by(f64::total_cmp);
        Divergence {
            distance: Some(distance),
            base_2: Some(in_base_2(distance)),
            null_median: quantile::linear(&null, 0.5),
            null_p95: quantile::linear(&null, 0.95),
            p_value: (!null.is_empty()).then(|| p_value(distance, &null)),
        }
    }

    fn findings(&self, total: &Total) -> Vec<Finding> {
        let name = |pair: &Pair| format!("`{}` and `{}`", pair.from.label, pair.to.label);
        let mut messages = Vec::new();
        let is_above = |value: Option<f64>, most: Option<f64>| value.zip(most).filter(|(value, most)| value > most);
        if let Some((median, most)) = is_above(total.own.median, self.settings.maximum_median) {
            let (pair, n) = (name(&self.pairs[0]), total.n);
            messages.push(format!("the median distance of {pair} is {median:.4} ({n} objects), above {most}"));
        }
        if let Some((distance, most)) = is_above(total.divergence.distance, self.settings.maximum_js_distance) {
            let pairs: Vec<String> = self.pairs.iter().map(name).collect();
            let null =
                total.divergence.null_p95.map_or_else(String::new, |p95| format!(", null below {p95:.4} in 95 %"));
            messages.push(format!(
                "the distances of {} are {distance:.4} apart by Jensen-Shannon ({} objects{null}), above {most}",
                pairs.join(" and those of "),
                total.n,
            ));
        }
        messages.into_iter().map(|message| Finding { monitor: self.label.clone(), message }).collect()
    }
}

impl Monitor for LatentDistanceMonitor {
    fn resolve_labels(&mut self, monitors: &[String]) {
        self.pairs.iter_mut().for_each(|pair| pair.to.resolve_labels(monitors));
        self.heard = Heard::new(self.speakers().len());
    }

    fn required_columns(&self) -> Vec<ColumnRef> {
        self.pairs.iter().flat_map(|pair| [pair.from.need(), pair.to.need()]).flatten().collect()
    }

    fn upstream(&self) -> Vec<ColumnRef> {
        self.speakers()
    }

    fn bind(&mut self, input: &Schema, above: &UpstreamSchemas) -> Result<SchemaRef, Vec<Diagnostic>> {
        let mut mistakes = Vec::new();
        for pair in &self.pairs {
            let spaces = (pair.from.space(input, above), pair.to.space(input, above));
            match spaces {
                (Ok(from), Ok(to)) => mistakes.extend(pair.from.together(&from, &pair.to, &to).err()),
                (from, to) => mistakes.extend(from.err().into_iter().chain(to.err())),
            }
        }
        mistakes.extend(self.flipped_by.iter().filter_map(|named| named.flips(above).err()));
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let ends = |pair: &Pair| [pair.from.label.clone(), pair.to.label.clone()];
        self.schema = schema(ends(&self.pairs[0]), self.pairs.get(1).map(ends), &self.settings.quantiles);
        Ok(self.schema.clone())
    }

    fn start(&mut self, run: &RunContext, _scorers: &Scorers) -> Result<()> {
        self.seed = run.seed;
        Ok(())
    }

    fn observe(&mut self, batch: &RecordBatch) -> Result<MonitorOutput> {
        let mut out = MonitorOutput::default();
        if self.heard.monitors() > 0 || batch.num_rows() == 0 {
            return Ok(out);
        }
        let distances = Self::between(&self.pairs[0], batch)?;
        let versus = self.pairs.get(1).map(|pair| Self::between(pair, batch)).transpose()?;
        let mut objects = Vec::with_capacity(distances.len());
        for (row, distance) in distances.into_iter().enumerate() {
            objects.push(self.count(Object {
                object_id: object_id(batch, row)?.to_owned(),
                origin: origin(batch, row)?.to_owned(),
                distance: Some(distance),
                versus: versus.as_ref().map(|versus| versus[row]),
                flipped: None,
            }));
        }
        out.rows.push(object_rows(&self.schema, &objects)?.into());
        Ok(out)
    }

    fn observe_upstream(&mut self, label: &str, said: &RowsOut) -> Result<MonitorOutput> {
        let silent = || Error::bug(format!("the monitor `{label}` does not say which row it speaks of"));
        let about = said.about.as_ref().ok_or_else(silent)?;
        let verdict = Verdict::of(said)?;
        let mut part = Part { flipped: verdict.unflipped.is_none(), distances: [None, None] };
        let speakers = self.speakers();
        let monitor = speakers.iter().position(|need| need.column == label).ok_or_else(silent)?;
        for (distance, pair) in part.distances.iter_mut().zip(&self.pairs) {
            if pair.to.is_monitor && pair.to.label == label {
                let (from, length) = list_values(about, &latent_column(&pair.from.label))?;
                *distance = (verdict.latent.len() == length).then(|| l2(from, &verdict.latent));
            } else if !pair.to.is_monitor && monitor == 0 {
                *distance = Self::between(pair, about)?.first().copied();
            }
        }
        let mut out = MonitorOutput::default();
        if let Some(parts) = self.heard.hear(monitor, &verdict.object_id, &verdict.origin, part)? {
            let distance = |pair: usize| parts.iter().find_map(|part| part.distances[pair]);
            let object = self.count(Object {
                distance: distance(0),
                versus: distance(1),
                flipped: Some(parts.iter().all(|part| part.flipped)),
                object_id: verdict.object_id,
                origin: verdict.origin,
            });
            out.rows.push(object_rows(&self.schema, &[object])?.into());
        }
        Ok(out)
    }

    fn finish(&mut self) -> Result<MonitorOutput> {
        let total = self.total();
        for (need, objects) in self.speakers().iter().zip(self.heard.in_vain()).filter(|(_, objects)| *objects > 0) {
            tracing::warn!(
                monitor = self.label,
                objects,
                "`{}` speaks of objects that others do not look at: they are left out",
                need.column
            );
        }
        let findings = self.findings(&total);
        Ok(MonitorOutput { rows: vec![total_row(&self.schema, &total)?.into()], findings })
    }

    fn snapshot(&self) -> Result<Vec<u8>> {
        let head = Head { tally: self.tally.clone(), heard: self.heard.clone() };
        let mut bytes = serde_json::to_vec(&head).map_err(|error| Error::bug(error.to_string()))?;
        bytes.push(b'\n');
        bytes.extend(self.kept.bytes());
        Ok(bytes)
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<()> {
        let broken = || Error::bug(format!("the snapshot of `{}` cannot be read", self.label));
        let end = snapshot.iter().position(|byte| *byte == b'\n').ok_or_else(broken)?;
        let Head { tally, heard } = serde_json::from_slice(&snapshot[..end]).map_err(|_| broken())?;
        if heard.monitors() != self.heard.monitors() {
            return Err(Error::bug(format!("the snapshot of `{}` is of other monitors", self.label)));
        }
        self.kept = Kept::read(MOST, &snapshot[end + 1..])?;
        (self.tally, self.heard) = (tally, heard);
        Ok(())
    }

    fn state_bound_bytes(&self) -> usize {
        // An object that waits for another monitor is two numbers, a flag and its names.
        let waits = if self.heard.monitors() > 1 { self.heard.monitors() * MOST_AHEAD * 512 } else { 0 };
        MOST * BYTES + waits + 1024
    }
}

#[cfg(test)]
mod tests;
