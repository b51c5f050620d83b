//! The open window: its rows, or their sums.

use std::ops::ControlFlow;

use arrow::array::RecordBatch;

use super::{
    DriftTest,
    members::ReferenceMembers,
    random_feature_test::{SegmentHeader, SegmentSums},
    sample::SampleColumns,
    settings::{LatentDrift, TestMethod},
    table::TestResult,
    windows::StreamWindow,
};
use crate::{
    error::{Error, Result},
    monitor::kit::grace::GracefulStop,
    random::Stream,
    run::snapshot::{decode_rows, encode_rows},
};

/// Why the last segments of a window are not tested.
const TOO_MANY_SEGMENTS: &str = "more segments than `segments`";

/// What is held of the open window.
#[derive(Debug)]
pub(super) enum OpenWindow {
    Rows(Vec<RecordBatch>),
    Sums(SegmentSums),
}

/// What the tests of a closed window depend on, besides its rows.
pub(super) struct WindowTest<'a> {
    pub(super) window: &'a StreamWindow,
    /// The level of the test.
    pub(super) level: f64,
    pub(super) max_segments: usize,
    pub(super) columns: &'a SampleColumns,
    pub(super) members: &'a ReferenceMembers,
    pub(super) stop: &'a GracefulStop,
    pub(super) seed: u64,
    /// The label of the monitor.
    pub(super) label: &'a str,
}

impl OpenWindow {
    /// A window without rows.
    pub(super) fn new(method: TestMethod) -> Self {
        match method {
            TestMethod::Permutation => Self::Rows(Vec::new()),
            TestMethod::RandomFeatures => Self::Sums(SegmentSums::default()),
        }
    }

    /// Adds rows.
    ///
    /// # Errors
    /// [`Error::Interrupted`]: then the window is incomplete.
    pub(super) fn add(
        &mut self,
        batch: RecordBatch,
        test: &DriftTest,
        columns: &SampleColumns,
        settings: &LatentDrift,
        seen: (&ReferenceMembers, &GracefulStop),
    ) -> Result<()> {
        match (self, test) {
            (Self::Rows(held), DriftTest::Permutation(_)) => held.push(batch),
            (Self::Sums(sums), DriftTest::RandomFeatures(test)) => {
                test.add(columns, &batch, settings.max_segments(), seen, sums)?;
            }
            _ => return Err(mismatch()),
        }
        Ok(())
    }

    /// Releases the first rows; sums are released as a whole.
    pub(super) fn release(&mut self, mut rows: u64) {
        match self {
            Self::Sums(sums) => *sums = SegmentSums::default(),
            Self::Rows(held) => {
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

    /// Tests every segment, in the order in which segments appear. If `is_last_use`, the rows are no longer needed and their
    /// memory is freed as they are read.
    ///
    /// # Errors
    /// [`Error::Interrupted`]: then the rows may be gone.
    pub(super) fn test(
        &mut self,
        test: &DriftTest,
        of: &WindowTest<'_>,
        is_last_use: bool,
    ) -> Result<Vec<(Option<String>, TestResult)>> {
        match (self, test) {
            (Self::Rows(held), DriftTest::Permutation(test)) => {
                let rows = if is_last_use { std::mem::take(held) } else { held.clone() };
                let samples = of.columns.samples(rows, of.members, of.stop)?.into_iter().enumerate();
                let each = samples.map(|(i, (segment, sample))| {
                    let result = if i < of.max_segments {
                        let name = segment.as_deref().unwrap_or_default();
                        let label = format!("{}/window {}", of.label, of.window.number);
                        let mut stream = Stream::new(of.seed, name, &label);
                        unless_stopped(test.test(&sample, of.level, &mut || stream.next_u64(), &|| of.stop.is_due()))?
                    } else {
                        TestResult::untested(sample.latents.len() as u64, TOO_MANY_SEGMENTS)
                    };
                    Ok((segment, TestResult { in_reference: Some(sample.in_reference), ..result }))
                });
                each.collect()
            }
            (Self::Sums(SegmentSums { sums, untested_rows }), DriftTest::RandomFeatures(test)) => {
                let untested = (*untested_rows > 0).then(|| TestResult::untested(*untested_rows, TOO_MANY_SEGMENTS));
                let tested = sums.iter().map(|segment| {
                    if of.stop.is_due() {
                        Err(Error::Interrupted)
                    } else {
                        Ok((segment.header.name.clone(), test.test(segment)))
                    }
                });
                tested.chain(untested.map(|result| Ok((None, result)))).collect()
            }
            _ => Err(mismatch()),
        }
    }

    /// The segments whose sums are held, for the header of a snapshot, and the number of untested rows.
    pub(super) fn segments(&self) -> (Vec<SegmentHeader>, u64) {
        match self {
            Self::Rows(_) => (Vec::new(), 0),
            Self::Sums(SegmentSums { sums, untested_rows }) => {
                (sums.iter().map(|segment| segment.header.clone()).collect(), *untested_rows)
            }
        }
    }

    /// The body of a snapshot.
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>> {
        match self {
            Self::Rows(held) => encode_rows(held),
            Self::Sums(SegmentSums { sums, .. }) => {
                Ok(sums.iter().flat_map(|segment| segment.sums.to_bytes()).collect())
            }
        }
    }

    /// The window of a snapshot; `None` if the body is not that of `rows` rows and these segments.
    pub(super) fn from_bytes(
        test: &DriftTest,
        (segments, untested_rows): (Vec<SegmentHeader>, u64),
        rows: u64,
        body: &[u8],
    ) -> Result<Option<Self>> {
        let window = match test {
            DriftTest::Permutation(_) => Some(Self::Rows(decode_rows(body)?)),
            DriftTest::RandomFeatures(test) => {
                test.read(segments, body).map(|sums| Self::Sums(SegmentSums { sums, untested_rows }))
            }
        };
        Ok(window.filter(|window| window.rows() == rows))
    }

    fn rows(&self) -> u64 {
        match self {
            Self::Rows(held) => held.iter().map(|batch| batch.num_rows() as u64).sum(),
            Self::Sums(sums) => sums.rows(),
        }
    }
}

/// The outcome of work that a stop breaks off.
///
/// # Errors
/// [`Error::Interrupted`] if it was broken off.
pub(super) fn unless_stopped<T>(outcome: ControlFlow<(), T>) -> Result<T> {
    match outcome {
        ControlFlow::Continue(outcome) => Ok(outcome),
        ControlFlow::Break(()) => Err(Error::Interrupted),
    }
}

fn mismatch() -> Error {
    Error::bug("the open window does not hold what its test needs")
}
