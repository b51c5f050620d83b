//! Windows judged in linear time, by sums of random features.

use arrow::array::RecordBatch;

use super::{super::columns::latent_column, sample::Columns, table::Judged};
use crate::{
    batch::{list_values, object_id},
    error::Result,
    random::Stream,
    stats::{
        mmd::{
            GaussianKernelSum,
            random_features::{Features, Sums, test},
        },
        points::Points,
    },
};

/// A reference that windows are compared with.
pub(super) struct Linear {
    features: Features,
    reference: Sums,
    tosses: usize,
    seed: u64,
    label: String,
}

impl Linear {
    pub(super) fn new(
        reference: &Points,
        kernel: &GaussianKernelSum,
        (frequencies, tosses): (usize, usize),
        seed: u64,
        label: &str,
    ) -> Self {
        let mut draw = Stream::new(seed, "", "random_features");
        let features = Features::draw(kernel, frequencies, reference.dimension(), &mut || draw.normal());
        let mut sums = Sums::new(&features, tosses);
        let coins = |row: usize| coins(seed, label, tosses, &format!("reference[{row}]"));
        for first in (0..reference.len()).step_by(ROWS) {
            let rows = first..(first + ROWS).min(reference.len());
            sums.add(&features, &reference.select(rows.clone()), &rows.flat_map(coins).collect::<Vec<_>>());
        }
        Self { features, reference: sums, tosses, seed, label: label.to_owned() }
    }

    /// Rows of the reference.
    pub(super) fn len(&self) -> u64 {
        self.reference.count()
    }

    /// No rows yet.
    pub(super) fn begin(&self) -> Sums {
        Sums::new(&self.features, self.tosses)
    }

    /// Adds the rows of a batch to the sums of their segments, of which there are at most so many; the others count as one, unsummed.
    pub(super) fn add(&self, columns: &Columns, batch: &RecordBatch, most: usize, sums: &mut Segments) -> Result<()> {
        let (latents, dimension) = list_values(batch, &latent_column(&columns.score))?;
        let segments = columns.segments(batch)?;
        let mut names: Vec<&Option<String>> = Vec::new();
        segments.iter().for_each(|name| {
            if !names.contains(&name) {
                names.push(name);
            }
        });
        for name in names {
            let rows = || segments.iter().enumerate().filter(|(_, segment)| *segment == name).map(|(row, _)| row);
            let place = sums.0.iter().position(|(known, _)| known == name);
            if place.is_none() && sums.0.len() >= most {
                sums.1 += rows().count() as u64;
                continue;
            }
            let place = place.unwrap_or_else(|| {
                sums.0.push((name.clone(), self.begin()));
                sums.0.len() - 1
            });
            let (mut points, mut coins) = (Points::of_dimension(dimension), Vec::new());
            for row in rows() {
                points.push(&latents[row * dimension..][..dimension]);
                coins.extend(self::coins(self.seed, &self.label, self.tosses, object_id(batch, row)?));
            }
            sums.0[place].1.add(&self.features, &points, &coins);
        }
        Ok(())
    }

    /// Judges a sample.
    pub(super) fn judge(&self, sums: &Sums) -> Judged {
        let judged = Judged { n: sums.count(), ..Judged::default() };
        match test(&self.features, &self.reference, sums) {
            None => Judged { reason: Some("fewer than 2 rows"), ..judged },
            Some((discrepancy, p_value)) => Judged { discrepancy: Some(discrepancy), p_value: Some(p_value), ..judged },
        }
    }

    /// Sums of a snapshot.
    pub(super) fn read(&self, bytes: &[u8]) -> Option<Sums> {
        Sums::from_bytes(&self.features, self.tosses, bytes)
    }

    /// Bytes of one sum.
    pub(super) const fn sum_bytes(frequencies: usize, tosses: usize) -> usize {
        8 * (tosses + 1) * (2 * frequencies + 1)
    }
}

/// The tosses of a row, by its name.
fn coins(seed: u64, label: &str, tosses: usize, name: &str) -> Vec<u64> {
    let mut stream = Stream::new(seed, name, &format!("{label}/coins"));
    (0..tosses.div_ceil(64)).map(|_| stream.next_u64()).collect()
}

/// Rows of the reference that are summed at once.
const ROWS: usize = 64;

/// The sums of a window by segment, in the order of their appearance, and the rows of segments beyond the last.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Segments(pub(super) Vec<(Option<String>, Sums)>, pub(super) u64);
