//! The test in linear time, from sums of random features.

use std::ops::ControlFlow;

use arrow::array::RecordBatch;

use super::{
    members::ReferenceMembers,
    sample::SampleColumns,
    table::{BLIND, TOO_FEW_ROWS, TestResult},
};
use crate::{
    batch::{list_values, object_id},
    error::{Error, Result},
    monitor::kit::{grace::GracefulStop, score::latent_column},
    random::Stream,
    stats::{
        mmd::{
            GaussianKernelSum,
            random_features::{Features, Sums, is_saturated, test},
        },
        points::Points,
    },
};

/// Rows of the reference that are added at once.
const ROWS_AT_ONCE: usize = 64;
/// Numbers that are added between two looks at the stop flag: a fraction of a second.
const ADDED_AT_ONCE: usize = 1 << 27;

/// A reference, ready to test windows.
pub(super) struct RandomFeatureTest {
    features: Features,
    reference: Sums,
    options: RandomFeatureOptions,
}

/// The size of the test, and what its draws depend on.
#[derive(Debug, Clone)]
pub(super) struct RandomFeatureOptions {
    pub(super) frequencies: usize,
    /// Random groups: coin tosses per row.
    pub(super) tosses: usize,
    pub(super) seed: u64,
    /// The label of the monitor.
    pub(super) label: String,
}

/// What is known of a segment of a window besides its sums.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub(super) name: Option<String>,
    /// How many of its rows are rows of the reference; `None` if some were not looked at.
    pub(super) in_reference: Option<u64>,
}

/// The sums of one segment of a window.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SegmentSum {
    pub(super) header: SegmentHeader,
    pub(super) sums: Sums,
}

/// The sums of a window by segment.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct SegmentSums {
    /// The sums of each segment, in the order in which segments appear.
    pub(super) sums: Vec<SegmentSum>,
    /// Rows of further segments, which are not tested.
    pub(super) untested_rows: u64,
}

impl RandomFeatureTest {
    /// Breaks off once `stopped` returns true.
    pub(super) fn new(
        reference: &Points,
        kernel: &GaussianKernelSum,
        options: RandomFeatureOptions,
        stopped: &dyn Fn() -> bool,
    ) -> ControlFlow<(), Self> {
        let mut draw = Stream::new(options.seed, "", "random_features");
        let features = Features::draw(kernel, options.frequencies, reference.dimension(), &mut || draw.normal());
        let mut sums = Sums::new(&features, options.tosses);
        let coins = |row: usize| options.coins(&format!("reference[{row}]"));
        for first in (0..reference.len()).step_by(ROWS_AT_ONCE) {
            if stopped() {
                return ControlFlow::Break(());
            }
            let rows = first..(first + ROWS_AT_ONCE).min(reference.len());
            sums.add(&features, &reference.select(rows.clone()), &rows.flat_map(coins).collect::<Vec<_>>());
        }
        ControlFlow::Continue(Self { features, reference: sums, options })
    }

    /// Rows of the reference.
    pub(super) fn len(&self) -> u64 {
        self.reference.count()
    }

    /// The sums of no rows.
    pub(super) fn no_rows(&self) -> Sums {
        Sums::new(&self.features, self.options.tosses)
    }

    /// Adds the rows of a batch to the sums of their segments. Rows beyond the first `max_segments` segments are only counted.
    ///
    /// # Errors
    /// [`Error::Interrupted`]: then the sums are incomplete.
    pub(super) fn add(
        &self,
        columns: &SampleColumns,
        batch: &RecordBatch,
        max_segments: usize,
        (members, stop): (&ReferenceMembers, &GracefulStop),
        window: &mut SegmentSums,
    ) -> Result<()> {
        let at_once = (ADDED_AT_ONCE / ((self.options.tosses + 1) * self.features.len()).max(1)).max(1);
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
            let known = window.sums.iter().position(|known| known.header.name == *name);
            if known.is_none() && window.sums.len() >= max_segments {
                window.untested_rows += rows().count() as u64;
                continue;
            }
            let index = known.unwrap_or_else(|| {
                let header = SegmentHeader { name: name.clone(), in_reference: Some(0) };
                window.sums.push(SegmentSum { header, sums: self.no_rows() });
                window.sums.len() - 1
            });
            let segment = &mut window.sums[index];
            for rows in rows().collect::<Vec<_>>().chunks(at_once) {
                if stop.is_due() {
                    return Err(Error::Interrupted);
                }
                let (mut points, mut coins) = (Points::of_dimension(dimension), Vec::new());
                for row in rows {
                    let (id, latent) = (object_id(batch, *row)?, &latents[row * dimension..][..dimension]);
                    let is_member = members.contain(id, latent);
                    let in_reference = &mut segment.header.in_reference;
                    *in_reference = in_reference.map(|rows| rows + u64::from(is_member));
                    points.push(latent);
                    coins.extend(self.options.coins(id));
                }
                segment.sums.add(&self.features, &points, &coins);
            }
        }
        Ok(())
    }

    /// Tests a sample.
    pub(super) fn test(&self, SegmentSum { header, sums }: &SegmentSum) -> TestResult {
        let tested = test(&self.features, &self.reference, sums);
        let result = match tested {
            None => TestResult::untested(sums.count(), TOO_FEW_ROWS),
            Some(_) if is_saturated(&self.features, &self.reference, sums) => TestResult::untested(sums.count(), BLIND),
            Some((discrepancy, p_value)) => TestResult {
                n: sums.count(),
                discrepancy: Some(discrepancy),
                p_value: Some(p_value),
                ..TestResult::default()
            },
        };
        TestResult { in_reference: header.in_reference, ..result }
    }

    /// The sums of some segments from the body of a snapshot; `None` if it is of other segments or of another test.
    pub(super) fn read(&self, segments: Vec<SegmentHeader>, body: &[u8]) -> Option<Vec<SegmentSum>> {
        let length = body.len() / segments.len().max(1);
        let read = |bytes| Sums::from_bytes(&self.features, self.options.tosses, bytes);
        let sums = body.chunks_exact(length.max(1)).map(read).collect::<Option<Vec<Sums>>>()?;
        let segment = |(header, sums)| SegmentSum { header, sums };
        (sums.len() == segments.len()).then(|| segments.into_iter().zip(sums).map(segment).collect())
    }

    /// Bytes of the sums of one segment.
    pub(super) const fn sum_bytes(frequencies: usize, tosses: usize) -> usize {
        8 * (tosses + 1) * (2 * frequencies + 1)
    }
}

impl RandomFeatureOptions {
    /// The coin tosses of the row of a name, 64 in a word.
    fn coins(&self, name: &str) -> Vec<u64> {
        let mut stream = Stream::new(self.seed, name, &format!("{}/coins", self.label));
        (0..self.tosses.div_ceil(64)).map(|_| stream.next_u64()).collect()
    }
}

impl SegmentSums {
    /// Rows of the window.
    pub(super) fn rows(&self) -> u64 {
        self.sums.iter().map(|segment| segment.sums.count()).sum::<u64>() + self.untested_rows
    }
}
