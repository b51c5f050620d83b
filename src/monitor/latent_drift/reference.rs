//! The sample that windows are compared with: latents of one domain of a reference table.

use std::{
    collections::BinaryHeap,
    fs::{self, File},
    path::{Path, PathBuf},
};

use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::{DataType, Float32Type, Schema, SchemaRef},
};
use parquet::arrow::{
    ProjectionMask,
    arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder},
};

use super::{
    super::columns::{list_length, text},
    sample::Sample,
};
use crate::{
    batch::OBJECT_ID,
    error::{Code, Diagnostic, Error, Result},
    random::rank,
    stats::points::Points,
};

/// The column that tells domains apart.
const DOMAIN: &str = "domain";
/// The entry of a footer with the digest of the model that latents are of.
const MODEL_SHA256: &str = "model_sha256";

/// A reference table, found and looked at.
#[derive(Debug, Clone)]
pub(super) struct Table {
    files: Vec<PathBuf>,
    name: String,
    domain: Option<String>,
    latent: String,
    /// Numbers of a latent.
    pub(super) dimension: usize,
    /// The column with class probabilities and their number, where there is one.
    probability: Option<(String, usize)>,
    block: Option<String>,
}

/// What is asked of a reference table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) path: &'a Path,
    pub(super) domain: Option<&'a str>,
    pub(super) latent: &'a str,
    pub(super) probability: &'a str,
    pub(super) block: Option<&'a str>,
    /// The digest of the model of the stream, where it is known.
    pub(super) model_sha256: Option<&'a str>,
}

impl Table {
    /// Reads footers, and the column of domains.
    pub(super) fn find(wanted: &Wanted<'_>) -> Result<Self, Diagnostic> {
        let name = wanted.path.display().to_string();
        let missing = |error: &dyn std::fmt::Display| {
            let message = format!("the reference `{name}` cannot be read: {error}");
            Diagnostic::at("reference", Code::MissingFile, message).help("name a Parquet file, or a folder of them")
        };
        let files = files(wanted.path).map_err(|error| missing(&error))?;
        let first = files.first().ok_or_else(|| missing(&"it is a folder without `*.parquet`"))?;
        let footer = footer(first).map_err(|error| missing(&error))?;
        let schema = footer.schema();
        let column = |key: &str, column: &str| {
            let columns = schema.fields().iter().map(|field| field.name().as_str());
            schema.field_with_name(column).map_err(|_| {
                Diagnostic::at(key, Code::UnknownColumn, format!("the reference `{name}` has no column `{column}`"))
                    .suggest(column, columns, "columns")
            })
        };
        let latent = column("reference_latent", wanted.latent)?;
        let dimension = list_length(schema, wanted.latent).ok_or_else(|| {
            let message =
                format!("the column `{}` of `{name}` holds no latents: it is {}", wanted.latent, latent.data_type());
            Diagnostic::at("reference_latent", Code::WrongColumn, message)
        })?;
        let digest = latent.metadata().get(MODEL_SHA256).or_else(|| schema.metadata().get(MODEL_SHA256));
        if let (Some(own), Some(other)) = (wanted.model_sha256, digest)
            && own != other
        {
            let message = format!(
                "the latents of `{name}` are of another model (sha256 {}) than the score's ({})",
                cut(other),
                cut(own)
            );
            let help = "latents of two models have nothing in common: name a reference of this model";
            return Err(Diagnostic::at("reference", Code::ModelMismatch, message).help(help));
        }
        let probability =
            list_length(schema, wanted.probability).map(|classes| (wanted.probability.to_owned(), classes));
        wanted.block.map(|block| column("block", block)).transpose()?;
        if wanted.domain.is_some() {
            column("domain", DOMAIN)?;
        }
        let table = Self {
            files,
            name,
            domain: wanted.domain.map(str::to_owned),
            latent: wanted.latent.to_owned(),
            dimension,
            probability,
            block: wanted.block.map(str::to_owned),
        };
        table.check_domain()?;
        Ok(table)
    }

    /// A mistake when no row is of the domain.
    fn check_domain(&self) -> Result<(), Diagnostic> {
        let Some(domain) = &self.domain else { return Ok(()) };
        let mut others: Vec<String> = Vec::new();
        let mut found = false;
        let read = self.each_batch(&[DOMAIN], &mut |batch| {
            for other in text(&batch[DOMAIN])?.iter().flatten() {
                found |= other == domain;
                if others.len() < 16 && !others.iter().any(|known| known == other) {
                    others.push(other.to_owned());
                }
            }
            Ok(())
        });
        read.map_err(|error| Diagnostic::at("reference", Code::MissingFile, error.to_string()))?;
        if found {
            return Ok(());
        }
        let name = &self.name;
        let message = format!("the reference `{name}` has no domain `{domain}`; it has `{}`", others.join("`, `"));
        Err(Diagnostic::at("domain", Code::OutOfRange, message))
    }

    /// How many classes the probabilities tell apart.
    pub(super) fn classes(&self) -> Option<usize> {
        self.probability.as_ref().map(|(_, classes)| *classes)
    }

    /// The rows of the domain, in their order; of more than `limit` those with the smallest ranks.
    pub(super) fn read(&self, seed: u64, limit: usize) -> Result<Sample> {
        let mut columns = vec![self.latent.as_str()];
        columns.extend(self.probability.iter().map(|(column, _)| column.as_str()));
        columns.extend(self.block.as_deref());
        columns.extend(self.domain.iter().map(|_| DOMAIN));
        let schema = footer(&self.files[0])?.schema().clone();
        columns.extend(schema.field_with_name(OBJECT_ID).is_ok().then_some(OBJECT_ID));
        let mut kept: BinaryHeap<Kept> = BinaryHeap::new();
        let mut number = 0_u64;
        self.each_batch(&columns, &mut |batch| {
            let domains = self.domain.as_ref().map(|_| text(&batch[DOMAIN])).transpose()?;
            let ids = batch.column_by_name(OBJECT_ID).map(text).transpose()?;
            let blocks = self.block.as_ref().map(|block| text(&batch[block.as_str()])).transpose()?;
            for row in 0..batch.num_rows() {
                number += 1;
                if domains.as_ref().is_some_and(|domains| Some(domains.value(row)) != self.domain.as_deref()) {
                    continue;
                }
                let id = ids.as_ref().map_or_else(|| number.to_string(), |ids| ids.value(row).to_owned());
                let place = (rank(seed, &id).to_bits(), number);
                if kept.len() == limit && kept.peek().is_some_and(|last| last.place < place) {
                    continue;
                }
                let numbers = |column: &str| self.numbers(batch, column, row, number - 1);
                kept.push(Kept {
                    place,
                    latent: numbers(&self.latent)?,
                    probability: self.probability.as_ref().map_or(Ok(Vec::new()), |(column, _)| numbers(column))?,
                    block: blocks.as_ref().map_or_else(String::new, |blocks| blocks.value(row).to_owned()),
                });
                if kept.len() > limit {
                    kept.pop();
                }
            }
            Ok(())
        })?;
        let mut kept = kept.into_vec();
        kept.sort_unstable_by_key(|kept| kept.place.1);
        let mut sample = Sample { latents: Points::of_dimension(self.dimension), ..Sample::default() };
        for Kept { latent, probability, block, .. } in kept {
            sample.latents.push(&latent);
            sample.probabilities.extend(probability);
            if self.block.is_some() {
                sample.blocks.push(block);
            }
        }
        Ok(sample)
    }

    fn numbers(&self, batch: &RecordBatch, column: &str, row: usize, number: u64) -> Result<Vec<f32>> {
        let lists = batch[column].as_fixed_size_list();
        let list = lists.value(row);
        let values = list.as_primitive::<Float32Type>();
        if lists.is_null(row) || values.null_count() > 0 || !values.values().iter().all(|value| value.is_finite()) {
            let name = &self.name;
            return Err(Error::data(format!("row {number} of `{name}` has a `{column}` that is null or not finite")));
        }
        Ok(values.values().to_vec())
    }

    fn each_batch(&self, columns: &[&str], call: &mut dyn FnMut(&RecordBatch) -> Result<()>) -> Result<()> {
        let first = footer(&self.files[0])?.schema().clone();
        for path in &self.files {
            let footer = footer(path)?;
            self.check(path, &first, footer.schema(), columns)?;
            let file = File::open(path).map_err(|error| Error::io("open", path, error))?;
            let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, footer);
            let roots = columns.iter().filter_map(|column| builder.schema().index_of(column).ok());
            let mask = ProjectionMask::roots(builder.parquet_schema(), roots.collect::<Vec<_>>());
            let broken = |error: &dyn std::fmt::Display| {
                Error::data(format!("the reference `{}` cannot be read: {error}", path.display()))
            };
            let batches = builder.with_projection(mask).build().map_err(|error| broken(&error))?;
            for batch in batches {
                call(&batch.map_err(|error| broken(&error))?)?;
            }
        }
        Ok(())
    }

    /// An error unless a file has these columns as the first one has them.
    fn check(&self, path: &Path, first: &SchemaRef, schema: &Schema, columns: &[&str]) -> Result<()> {
        let kind =
            |schema: &Schema, column: &str| schema.field_with_name(column).map(|field| field.data_type().clone()).ok();
        let is_same = |column: &&&str| kind(first, column) == kind(schema, column);
        match columns.iter().find(|column| !is_same(column)) {
            None => Ok(()),
            Some(column) => {
                let found =
                    kind(schema, column).map_or_else(|| "nothing".to_owned(), |found: DataType| found.to_string());
                let path = path.display();
                Err(Error::data(format!(
                    "`{path}` has {found} as column `{column}`, unlike other files of `{}`",
                    self.name
                )))
            }
        }
    }
}

/// A row that may stay; the one with the greatest place goes first.
struct Kept {
    /// Its rank, and its number in the table.
    place: (u64, u64),
    latent: Vec<f32>,
    probability: Vec<f32>,
    block: String,
}

impl PartialEq for Kept {
    fn eq(&self, other: &Self) -> bool {
        self.place == other.place
    }
}

impl Eq for Kept {}

impl PartialOrd for Kept {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Kept {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.place.cmp(&other.place)
    }
}

/// The file, or the `*.parquet` of a folder by name.
fn files(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return File::open(path).map(|_| vec![path.to_owned()]);
    }
    let entries = fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    let mut files: Vec<PathBuf> =
        entries.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "parquet")).collect();
    files.sort();
    Ok(files)
}

fn footer(path: &Path) -> Result<ArrowReaderMetadata> {
    let file = File::open(path).map_err(|error| Error::io("open", path, error))?;
    let broken = |error| Error::data(format!("`{}` is no Parquet file: {error}", path.display()));
    ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()).map_err(broken)
}

/// The first digits of a digest.
fn cut(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}
