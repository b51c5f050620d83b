//! The reference: a Parquet table with the latents of one domain.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::{DataType, Field, Float32Type, Schema},
};
use parquet::arrow::{ProjectionMask, arrow_reader::ParquetRecordBatchReaderBuilder};

use super::{members::ReferenceMembers, sample::LatentSample, settings::LatentDrift};
use crate::{
    batch::{IDENTITY_HELP, LatentDifferences, LatentLayout, OBJECT_ID, identity_mistake, metadata_names},
    error::{Code, Diagnostic, Error, Result, quoted_list},
    io::parquet::{Batches, open},
    monitor::kit::{
        bottom_k::{BottomK, SampleKey},
        score::{latent_column, list_length, probability_column, text},
    },
    stats::points::Points,
};

/// The column with the domain of a row.
const DOMAIN: &str = "domain";
/// The metadata key with the digest of the model that computed the latents.
const MODEL_SHA256: &str = "model_sha256";
/// The metadata key with the classes of probabilities.
const CLASSES: &str = "classes";
/// The most domains that a message lists.
const MAX_LISTED: usize = 16;

/// A reference table whose columns were checked.
#[derive(Debug, Clone)]
pub(super) struct ReferenceTable {
    files: Vec<PathBuf>,
    name: String,
    domain: Option<String>,
    latent: String,
    /// Numbers of a latent.
    pub(super) dimension: usize,
    /// The column with class probabilities and their number, if there is one.
    probability: Option<(String, usize)>,
    block: Option<String>,
    /// How the images of the reference differ from those of the stream, where latents can be compared; `None` if that is not known.
    pub(super) shifts: Option<Vec<String>>,
}

/// What is known of the latents and probabilities of the stream.
#[derive(Debug, Clone, Default)]
pub(super) struct StreamLatents {
    score: String,
    model_sha256: Option<String>,
    layout: Option<LatentLayout>,
    classes: Option<Vec<String>>,
}

impl StreamLatents {
    /// Those of a score.
    pub(super) fn of(input: &Schema, score: &str) -> Self {
        let latents = input.field_with_name(&latent_column(score)).ok();
        let probabilities = input.field_with_name(&probability_column(score)).ok();
        Self {
            score: score.to_owned(),
            model_sha256: latents.and_then(|field| field.metadata().get(MODEL_SHA256)).cloned(),
            layout: latents.and_then(LatentLayout::of),
            classes: probabilities.and_then(classes),
        }
    }
}

/// A row of the reference.
struct ReferenceRow {
    /// Its id, if it has one: text, or a whole number.
    id: Option<String>,
    latent: Vec<f32>,
    probability: Vec<f32>,
    block: String,
}

impl ReferenceTable {
    /// Its files.
    pub(super) fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Finds the table that settings name, and compares it with the stream. Reads footers and the column of domains.
    pub(super) fn find(settings: &LatentDrift, stream: &StreamLatents) -> Result<Self, Diagnostic> {
        let name = settings.reference.display().to_string();
        let missing = |why: String| {
            let message = format!("the reference `{name}` cannot be read: {why}");
            Diagnostic::at("reference", Code::MissingFile, message).help("name a Parquet file, or a folder of them")
        };
        let files = files(&settings.reference).map_err(|error| missing(error.to_string()))?;
        let first = files.first().ok_or_else(|| missing("it is a folder without `*.parquet`".into()))?;
        let (_, footer) = open(first).map_err(|error| missing(error.report()))?;
        let schema = footer.schema();
        let column = |key: &str, column: &str| -> Result<Field, Diagnostic> {
            let columns = schema.fields().iter().map(|field| field.name().as_str());
            schema.field_with_name(column).cloned().map_err(|_| {
                let message = format!("the reference `{name}` does not have a column `{column}`");
                Diagnostic::at(key, Code::UnknownColumn, message).suggest(column, columns, "columns")
            })
        };
        let latent = column("reference_latent", &settings.reference_latent)?;
        let dimension = list_length(schema, latent.name()).ok_or_else(|| {
            let (column, found) = (latent.name(), latent.data_type());
            let message = format!("the column `{column}` of `{name}` does not hold latents: its type is {found}");
            Diagnostic::at("reference_latent", Code::WrongColumn, message)
        })?;
        let ids = schema.field_with_name(OBJECT_ID).ok();
        if let Some(mistake) = ids.and_then(|ids| identity_mistake(OBJECT_ID, ids.data_type())) {
            let message = format!("the reference `{name}` cannot be used: {mistake}");
            return Err(Diagnostic::at("reference", Code::WrongColumn, message).help(IDENTITY_HELP));
        }
        let shifts = compare_files(&files, settings, stream)?;
        let probability = settings.reference_probability.clone();
        let probability = list_length(schema, &probability).map(|classes| (probability, classes));
        settings.block.as_ref().map(|block| column("block", block)).transpose()?;
        settings.domain.as_ref().map(|_| column("domain", DOMAIN)).transpose()?;
        let table = Self {
            domain: settings.domain.clone(),
            latent: settings.reference_latent.clone(),
            dimension,
            probability,
            block: settings.block.clone(),
            files,
            name,
            shifts,
        };
        table.check_domain()?;
        Ok(table)
    }

    /// A diagnostic if no row is of the domain.
    fn check_domain(&self) -> Result<(), Diagnostic> {
        let Some(domain) = &self.domain else { return Ok(()) };
        let mut others: Vec<String> = Vec::new();
        let mut found = false;
        let read = self.for_each_batch(&[DOMAIN], &mut |batch| {
            for other in text(&batch[DOMAIN])?.iter().flatten() {
                found |= other == domain;
                if others.len() < MAX_LISTED && !others.iter().any(|known| known == other) {
                    others.push(other.to_owned());
                }
            }
            Ok(())
        });
        read.map_err(|error| Diagnostic::at("reference", Code::MissingFile, error.report()))?;
        if found {
            return Ok(());
        }
        let message = format!("the reference `{}` does not have the domain `{domain}`", self.name);
        let help = format!("its domains are {}", quoted_list(&others));
        Err(Diagnostic::at("domain", Code::OutOfRange, message).help(help))
    }

    /// The number of classes that the reference has probabilities of.
    pub(super) fn classes(&self) -> Option<usize> {
        self.probability.as_ref().map(|(_, classes)| *classes)
    }

    /// The rows of the domain in their order, or of more than `limit` rows those with the smallest ranks.
    pub(super) fn read(&self, seed: u64, limit: usize) -> Result<(LatentSample, ReferenceMembers)> {
        let mut columns = vec![self.latent.as_str()];
        columns.extend(self.probability.iter().map(|(column, _)| column.as_str()));
        columns.extend(self.block.as_deref());
        columns.extend(self.domain.iter().map(|_| DOMAIN));
        let has_ids = open(&self.files[0])?.1.schema().field_with_name(OBJECT_ID).is_ok();
        columns.extend(has_ids.then_some(OBJECT_ID));
        let mut sample: BottomK<SampleKey, ReferenceRow> = BottomK::new(limit);
        let mut number = 0_u64;
        self.for_each_batch(&columns, &mut |batch| {
            let domains = self.domain.as_ref().map(|_| text(&batch[DOMAIN])).transpose()?;
            let ids = batch.column_by_name(OBJECT_ID).map(text).transpose()?;
            let are_names = batch.column_by_name(OBJECT_ID).is_some_and(|ids| names_rows(ids.data_type()));
            let blocks = self.block.as_ref().map(|block| text(&batch[block.as_str()])).transpose()?;
            for row in 0..batch.num_rows() {
                number += 1;
                if domains.as_ref().is_some_and(|domains| Some(domains.value(row)) != self.domain.as_deref()) {
                    continue;
                }
                let id = ids.as_ref().map_or_else(|| number.to_string(), |ids| ids.value(row).to_owned());
                let key = SampleKey::new(seed, &id, number);
                if !sample.accepts(&key) {
                    continue;
                }
                let numbers = |column: &str| self.numbers(batch, column, row, number - 1);
                let has_name = are_names && ids.as_ref().is_some_and(|ids| ids.is_valid(row));
                sample.insert(
                    key,
                    ReferenceRow {
                        id: has_name.then_some(id),
                        latent: numbers(&self.latent)?,
                        probability: self.probability.as_ref().map_or(Ok(Vec::new()), |(column, _)| numbers(column))?,
                        block: blocks.as_ref().map_or_else(String::new, |blocks| blocks.value(row).to_owned()),
                    },
                );
            }
            Ok(())
        })?;
        Ok(self.in_table_order(sample))
    }

    fn in_table_order(&self, mut sample: BottomK<SampleKey, ReferenceRow>) -> (LatentSample, ReferenceMembers) {
        let mut rows: Vec<(SampleKey, ReferenceRow)> = sample.drain().collect();
        rows.sort_unstable_by_key(|(key, _)| key.number());
        let mut sample = LatentSample { latents: Points::of_dimension(self.dimension), ..LatentSample::default() };
        let mut members = ReferenceMembers::default();
        for (_, ReferenceRow { id, latent, probability, block }) in rows {
            members.add(id.as_deref(), &latent);
            sample.latents.push(&latent);
            sample.probabilities.extend(probability);
            if self.block.is_some() {
                sample.blocks.push(block);
            }
        }
        (sample, members)
    }

    /// The list of a row; `number` is its number in the table, for the message.
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

    /// Reads some columns of all files.
    fn for_each_batch(&self, columns: &[&str], call: &mut dyn FnMut(&RecordBatch) -> Result<()>) -> Result<()> {
        let first = open(&self.files[0])?.1.schema().clone();
        for path in &self.files {
            let (file, footer) = open(path)?;
            self.check_columns(path, &first, footer.schema(), columns)?;
            let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, footer);
            let roots = columns.iter().filter_map(|column| builder.schema().index_of(column).ok());
            let mask = ProjectionMask::roots(builder.parquet_schema(), roots.collect::<Vec<_>>());
            for batch in Batches::of(path, builder.with_projection(mask))? {
                call(&batch?)?;
            }
        }
        Ok(())
    }

    /// An error unless a file has these columns with the types of the first file.
    fn check_columns(&self, path: &Path, first: &Schema, schema: &Schema, columns: &[&str]) -> Result<()> {
        let data_type =
            |schema: &Schema, column: &str| schema.field_with_name(column).map(|field| field.data_type().clone()).ok();
        let differs = |column: &&&str| data_type(first, column) != data_type(schema, column);
        let Some(column) = columns.iter().find(differs) else { return Ok(()) };
        let written =
            |found: Option<DataType>| found.map_or_else(|| "missing".to_owned(), |found| format!("of type {found}"));
        Err(Error::data(format!(
            "the column `{column}` of `{}` is {}, in the first file of `{}` it is {}",
            path.display(),
            written(data_type(schema, column)),
            self.name,
            written(data_type(first, column)),
        )))
    }
}

/// Whether values of a type name rows, as those of the stream do: text and whole numbers, also as dictionaries.
fn names_rows(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, value) => names_rows(value),
        other => other.is_integer(),
    }
}

/// The classes of a column of probabilities, if its metadata have them.
fn classes(field: &Field) -> Option<Vec<String>> {
    field.metadata().get(CLASSES).map(|classes| metadata_names(classes))
}

/// Compares models, images and classes of every file with those of the stream: a folder may hold files of several runs. Returns how
/// images differ where latents can be compared, or `None` if the stream or all files do not say what their images are.
fn compare_files(
    files: &[PathBuf],
    settings: &LatentDrift,
    stream: &StreamLatents,
) -> Result<Option<Vec<String>>, Diagnostic> {
    let (mut shifts, mut silent) = (Vec::new(), Vec::new());
    for path in files {
        let shown = path.display().to_string();
        let unreadable = |error: Error| Diagnostic::at("reference", Code::MissingFile, error.report());
        let footer = open(path).map_err(unreadable)?.1;
        let schema = footer.schema();
        let latent = schema.field_with_name(&settings.reference_latent).ok();
        let digest = latent.and_then(|latent| latent.metadata().get(MODEL_SHA256));
        let digest = digest.or_else(|| schema.metadata().get(MODEL_SHA256)).map(String::as_str);
        check_model(&shown, digest, stream.model_sha256.as_deref())?;
        let probability = schema.field_with_name(&settings.reference_probability).ok();
        if settings.reads_classes() {
            check_classes(&shown, settings, probability.and_then(classes), stream)?;
        }
        let layout = latent.and_then(LatentLayout::of);
        let (Some(layout), Some(expected)) = (&layout, &stream.layout) else {
            silent.push(format!("`{shown}` does not say what images its latents are of"));
            continue;
        };
        let LatentDifferences { conflicts, shifts: found } = layout.differences(expected);
        if !conflicts.is_empty() {
            let (score, conflicts) = (&stream.score, conflicts.join("; "));
            let message = format!("the latents of `{shown}` cannot be compared with those of `{score}`: {conflicts}");
            let help = "name a reference of images like those of the score, or score such images";
            return Err(Diagnostic::at("reference", Code::Conflict, message).help(help));
        }
        for line in found {
            if !shifts.contains(&line) {
                shifts.push(line);
            }
        }
    }
    let is_known = silent.len() < files.len();
    shifts.extend(silent);
    Ok(is_known.then_some(shifts))
}

/// A diagnostic if the classes of both probabilities are known and differ: numbers of two classes would be compared.
fn check_classes(
    reference: &str,
    settings: &LatentDrift,
    of_reference: Option<Vec<String>>,
    stream: &StreamLatents,
) -> Result<(), Diagnostic> {
    let (Some(found), Some(expected)) = (of_reference, &stream.classes) else { return Ok(()) };
    // Probabilities of another number of classes are not compared.
    if found.len() != expected.len() || found == *expected {
        return Ok(());
    }
    let (column, found, expected) = (&settings.reference_probability, quoted_list(&found), quoted_list(expected));
    let message = format!("`{column}` of `{reference}` has the classes {found}, `{}` has {expected}", stream.score);
    let help = "name the probabilities of the same score, or set `classes: false`";
    Err(Diagnostic::at("reference_probability", Code::Conflict, message).help(help))
}

/// A diagnostic if both digests are known and differ.
fn check_model(reference: &str, of_reference: Option<&str>, of_stream: Option<&str>) -> Result<(), Diagnostic> {
    let (Some(other), Some(own)) = (of_reference, of_stream) else { return Ok(()) };
    if own == other {
        return Ok(());
    }
    // Digests of models: the first digits identify them.
    let short = |digest: &str| digest.get(..12).unwrap_or(digest).to_owned();
    let (own, other) = (short(own), short(other));
    let message =
        format!("the latents of `{reference}` are of another model (sha256 {other}) than those of the score ({own})");
    let help = "latents of two models cannot be compared: name a reference of this model";
    Err(Diagnostic::at("reference", Code::ModelMismatch, message).help(help))
}

/// The file itself, or the `*.parquet` files of a folder by name.
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
