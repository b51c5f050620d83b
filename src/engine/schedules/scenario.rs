//! What happens in a schedule of the worker pool: a source of numbers, a step that filters and rejects some, and a fault.

use std::{
    sync::{Arc, Mutex},
    time::Instant,
};

use arrow::{
    array::{Array, AsArray, BooleanArray, RecordBatch, UInt64Array},
    compute::filter_record_batch,
    datatypes::{DataType, Field, Schema, SchemaRef, UInt64Type},
};

use crate::{
    engine::{JobStage, Step, StepStage},
    error::{Diagnostic, Error, Result},
    stage::{ColumnRef, Read, Reader, Reject, Rejects, Source, Split, Transform},
    sync::{
        schedules::{below, one_in, panic_quietly},
        thread::yield_now,
    },
};

/// Bytes of a row.
pub(super) const ROW_BYTES: usize = 8;

/// What goes wrong, and at which row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Step { row: u64, panics: bool },
    Source { row: u64, panics: bool },
    Open { split: usize },
}

/// What the source read, in its order: the rows of a batch and how many were unreadable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SourceRead {
    pub(super) rows: Vec<u64>,
    pub(super) unreadable: Vec<u64>,
}

/// A source and steps, drawn for a schedule. Copies share what the source has read.
#[derive(Debug, Clone)]
pub(super) struct Scenario {
    /// Rows of each split.
    pub(super) splits: Vec<u64>,
    pub(super) live: bool,
    /// Whether a live source waits for more rows after its last.
    pub(super) endless: bool,
    pub(super) fault: Option<Fault>,
    /// Whether the step makes batches larger.
    pub(super) grows: bool,
    pub(super) threads: usize,
    pub(super) batch_rows: usize,
    pub(super) read: Arc<Mutex<Vec<SourceRead>>>,
    /// Held by everything that runs: it is alone when all threads have ended.
    pub(super) token: Arc<()>,
}

impl Scenario {
    pub(super) fn draw() -> Self {
        let splits: Vec<u64> = (0..1 + below(2)).map(|_| below(6) as u64).collect();
        let split = below(splits.len());
        let (row, panics) = (number(split, below(5) as u64), one_in(2));
        let fault = match below(8) {
            0 | 1 => Some(Fault::Step { row, panics }),
            2 | 3 => Some(Fault::Source { row, panics }),
            4 => Some(Fault::Open { split }),
            _ => None,
        };
        let live = one_in(3);
        Self {
            splits,
            live,
            endless: live && one_in(2),
            fault,
            grows: one_in(2),
            threads: 1 + below(3),
            batch_rows: 1 + below(2),
            read: Arc::default(),
            token: Arc::default(),
        }
    }

    pub(super) fn source(&self) -> JobStage<dyn Source> {
        let stage = Box::new(Numbers { scenario: self.clone() });
        JobStage { label: "source".into(), kind: "numbers".into(), custom: true, stage }
    }

    pub(super) fn steps(&self) -> Vec<Step> {
        let stage = StepStage::Transform(Box::new(Sieve { scenario: self.clone() }));
        vec![Step { label: "sieve".into(), kind: "sieve".into(), custom: true, stage, drop_after: Vec::new() }]
    }

    pub(super) fn list(&self) -> Arc<[Split]> {
        let split = |(index, rows): (usize, &u64)| Split::new(index.to_string(), *rows);
        self.splits.iter().enumerate().map(split).collect()
    }

    /// What the source reads of sequential splits, up to a fault.
    pub(super) fn expected_reads(&self, limit: u64) -> Vec<SourceRead> {
        let mut left = limit;
        let mut reads = Vec::new();
        for (split, rows) in self.splits.iter().enumerate() {
            if self.fault == Some(Fault::Open { split }) {
                break;
            }
            let mut from = 0;
            while from < *rows && left > 0 {
                let to = (*rows).min(from + left.min(self.batch_rows as u64));
                let numbers: Vec<u64> = (from..to).map(|offset| number(split, offset)).collect();
                if matches!(self.fault, Some(Fault::Source { row, .. }) if numbers.contains(&row)) {
                    return reads;
                }
                reads.push(SourceRead::of(&numbers));
                left -= to - from;
                from = to;
            }
        }
        reads
    }

    /// Whether the step fails at what was read.
    pub(super) fn fails_at(&self, read: &SourceRead) -> bool {
        matches!(self.fault, Some(Fault::Step { row, .. }) if read.rows.contains(&row))
    }
}

/// A row of a split.
fn number(split: usize, offset: u64) -> u64 {
    100 * split as u64 + offset
}

impl SourceRead {
    fn of(numbers: &[u64]) -> Self {
        let (unreadable, rows) = numbers.iter().partition(|number| *number % 5 == 4);
        Self { rows, unreadable }
    }

    /// The rows after the step.
    pub(super) fn kept(&self) -> Vec<u64> {
        self.rows.iter().copied().filter(|number| number % 3 != 2 && number % 5 != 3).collect()
    }

    /// The rows that the step rejects.
    pub(super) fn rejected(&self) -> Vec<u64> {
        self.rows.iter().copied().filter(|number| number % 5 == 3).collect()
    }
}

pub(super) fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("number", DataType::UInt64, false)]))
}

pub(super) fn numbers(rows: &RecordBatch) -> Vec<u64> {
    rows.column(0).as_primitive::<UInt64Type>().values().to_vec()
}

fn reject(number: u64, stage: &str) -> Reject {
    let (origin, reason) = (String::new(), String::new());
    Reject { row: number, object_id: None, origin, stage: stage.into(), reason }
}

struct Numbers {
    scenario: Scenario,
}

impl Source for Numbers {
    fn bind(&mut self) -> Result<SchemaRef, Vec<Diagnostic>> {
        Ok(schema())
    }

    fn splits(&self) -> Result<Vec<Split>> {
        Ok(self.scenario.list().to_vec())
    }

    fn is_live(&self) -> bool {
        self.scenario.live
    }

    fn open(&self, split: &Split, offset: u64) -> Result<Box<dyn Reader>> {
        let split: usize = split.id.parse().expect("an index");
        if self.scenario.fault == Some(Fault::Open { split }) {
            return Err(Error::data("a fault of the source"));
        }
        Ok(Box::new(NumbersReader { scenario: self.scenario.clone(), split, offset }))
    }
}

struct NumbersReader {
    scenario: Scenario,
    split: usize,
    offset: u64,
}

impl Reader for NumbersReader {
    fn next(&mut self, max_rows: usize, _deadline: Instant) -> Result<Read> {
        let to = self.scenario.splits[self.split].min(self.offset + max_rows as u64);
        let at_end = to == self.offset;
        let idles = if at_end { self.scenario.endless } else { self.scenario.live && one_in(4) };
        if idles {
            yield_now();
            return Ok(Read::Idle);
        }
        if at_end {
            return Ok(Read::End);
        }
        let numbers: Vec<u64> = (self.offset..to).map(|offset| number(self.split, offset)).collect();
        match self.scenario.fault {
            Some(Fault::Source { row, panics: true }) if numbers.contains(&row) => {
                panic_quietly("a fault of the source")
            }
            Some(Fault::Source { row, .. }) if numbers.contains(&row) => {
                return Err(Error::data("a fault of the source"));
            }
            _ => {}
        }
        self.offset = to;
        let read = SourceRead::of(&numbers);
        let rows = RecordBatch::try_new(schema(), vec![Arc::new(UInt64Array::from(read.rows.clone()))])?;
        let rejects = read.unreadable.iter().map(|number| reject(*number, "source")).collect();
        self.scenario.read.lock().expect("no panic").push(read);
        Ok(Read::Batch { rows, rejects })
    }

    fn offset(&self) -> u64 {
        self.offset
    }
}

/// Filters every third number and rejects some of the others.
struct Sieve {
    scenario: Scenario,
}

impl Transform for Sieve {
    fn required_columns(&self) -> Vec<ColumnRef> {
        Vec::new()
    }

    fn bind(&mut self, _input: &Schema) -> Result<Vec<Field>, Vec<Diagnostic>> {
        Ok(Vec::new())
    }

    fn apply(&mut self, batch: RecordBatch, rejects: &mut Rejects) -> Result<RecordBatch> {
        let read = SourceRead { rows: numbers(&batch), unreadable: Vec::new() };
        yield_now();
        if self.scenario.fails_at(&read) {
            match self.scenario.fault {
                Some(Fault::Step { panics: true, .. }) => panic_quietly("a fault of the step"),
                _ => return Err(Error::data("a fault of the step")),
            }
        }
        let kept = read.kept();
        rejects.rejected.extend(read.rejected().into_iter().map(|number| reject(number, "sieve")));
        rejects.filtered += (batch.num_rows() - kept.len() - read.rejected().len()) as u64;
        let keep: BooleanArray = read.rows.iter().map(|number| Some(kept.contains(number))).collect();
        let rows = filter_record_batch(&batch, &keep)?;
        if !self.scenario.grows {
            return Ok(rows);
        }
        let fields = [Field::new("number", DataType::UInt64, false), Field::new("copy", DataType::UInt64, false)];
        let columns = vec![rows.column(0).clone(), rows.column(0).slice(0, rows.column(0).len())];
        Ok(RecordBatch::try_new(Arc::new(Schema::new(fields.to_vec())), columns)?)
    }

    fn fork(&self) -> Box<dyn Transform> {
        Box::new(Self { scenario: self.scenario.clone() })
    }
}
