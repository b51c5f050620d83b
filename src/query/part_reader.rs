//! Reads parts for DataFusion: only those that the records name, and every block against its checksum.

use std::{
    collections::HashMap,
    ops::Range,
    path::PathBuf,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use datafusion::{
    common::DataFusionError,
    datasource::{
        listing::PartitionedFile,
        physical_plan::{ParquetFileReaderFactory, parquet::ParquetFileMetrics},
    },
    object_store::path::Path as ObjectPath,
    parquet::{
        arrow::{arrow_reader::ArrowReaderOptions, async_reader::AsyncFileReader},
        errors::{ParquetError, Result as ParquetResult},
        file::metadata::{ParquetMetaData, ParquetMetaDataReader},
    },
    physical_plan::metrics::ExecutionPlanMetricsSet,
};

use crate::{error::Error, io::checked::CheckedFile};

/// Why parts could not be read, as DataFusion keeps of an error little but its text.
#[derive(Debug, Clone, Default)]
pub(super) struct ReadErrors(Arc<Mutex<Option<Error>>>);

impl ReadErrors {
    /// Keeps the first error; returns one for DataFusion.
    pub(super) fn note(&self, error: Error) -> DataFusionError {
        let text = error.report();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        DataFusionError::Execution(text)
    }

    /// The first error since the last call.
    pub(super) fn take(&self) -> Option<Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The parts of a scan, by the names that DataFusion has for them.
#[derive(Debug)]
pub(super) struct PartReaders {
    parts: HashMap<ObjectPath, (PathBuf, String)>,
    errors: ReadErrors,
}

impl PartReaders {
    pub(super) fn new(errors: ReadErrors) -> Self {
        Self { parts: HashMap::new(), errors }
    }

    /// Adds a part; returns its name.
    pub(super) fn add(&mut self, path: PathBuf, checksums: &str) -> ObjectPath {
        let name = ObjectPath::from(format!("{:08}.parquet", self.parts.len()));
        self.parts.insert(name.clone(), (path, checksums.to_owned()));
        name
    }
}

impl ParquetFileReaderFactory for PartReaders {
    fn create_reader(
        &self,
        partition_index: usize,
        file: PartitionedFile,
        _metadata_size_hint: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Box<dyn AsyncFileReader + Send>, DataFusionError> {
        let name = &file.object_meta.location;
        let part = self.parts.get(name);
        let (path, checksums) = part.ok_or_else(|| DataFusionError::Internal(format!("no part `{name}`")))?;
        let file = CheckedFile::open(path, checksums).map_err(|error| self.errors.note(error))?;
        let metrics = ParquetFileMetrics::new(partition_index, name.as_ref(), metrics);
        Ok(Box::new(PartReader { file, metrics, errors: self.errors.clone() }))
    }
}

/// Reads one part. There is nothing to wait for: the files are local, and queries block.
struct PartReader {
    file: CheckedFile,
    /// `explain analyze` shows how many bytes were read.
    metrics: ParquetFileMetrics,
    errors: ReadErrors,
}

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

impl PartReader {
    fn read(&self, range: &Range<u64>) -> ParquetResult<Bytes> {
        let length = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
        let bytes = self.file.read(range.start, length);
        self.metrics.bytes_scanned.add(length);
        bytes.map(Into::into).map_err(|error| ParquetError::External(self.errors.note(error).into()))
    }
}

impl AsyncFileReader for PartReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        Box::pin(std::future::ready(self.read(&range)))
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        Box::pin(std::future::ready(ranges.iter().map(|range| self.read(range)).collect()))
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        let mut reader = ParquetMetaDataReader::new();
        if let Some(options) = options {
            reader = reader
                .with_metadata_options(Some(options.metadata_options().clone()))
                .with_column_index_policy(options.column_index_policy())
                .with_offset_index_policy(options.offset_index_policy());
        }
        // Names the file of a damaged footer, which errors of Parquet do not.
        let metadata = self.file.check_end().map_err(|error| ParquetError::External(self.errors.note(error).into()));
        let metadata = metadata.and_then(|()| reader.parse_and_finish(&self.file)).map(Arc::new);
        Box::pin(std::future::ready(metadata))
    }
}
