//! The galaxies for both sides: simulated, without noise, in nJy, one FITS file each.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use lucarne::{
    batch::{Images, object_id},
    fits::{CardValue, Writer},
    pipeline::Pipeline,
    source::{fits::Fits, simulated::Simulated},
    stage::{Read, RunContext, Settings, Source},
};

use super::Result;

/// Rows of a batch: the default of the engine.
pub(crate) const BATCH: usize = 32;

/// The input files, and a folder for results.
pub(crate) struct Inputs {
    /// All cutouts: 3x100x100 float32.
    pub(crate) folder: PathBuf,
    /// The number of cutouts.
    pub(crate) objects: usize,
    /// The number of cutouts for the slow subjects, which take the first ones.
    pub(crate) slow_objects: usize,
    /// A folder for results.
    pub(crate) scratch: PathBuf,
}

impl Inputs {
    pub(crate) fn make(root: &Path, objects: usize, slow_objects: usize) -> Result<Self> {
        let (folder, scratch) = (root.join("cutouts"), root.join("scratch"));
        fs::create_dir(&folder)?;
        fs::create_dir(&scratch)?;
        let source = Simulated { count: objects as u64, ..Simulated::default() };
        let mut stream = Pipeline::builder().source(source).seed(2021).build().stream()?;
        let mut number = 0;
        while let Some(batch) = stream.next_batch()? {
            let images = Images::of(&batch, "image")?;
            let shape = [images.layout.bands.len(), images.layout.height, images.layout.width];
            for (row, pixels) in images.rows().enumerate() {
                let keys = [
                    ("OBJECT".to_owned(), CardValue::Text(object_id(&batch, row)?.to_owned())),
                    ("BANDS".to_owned(), CardValue::Text(images.layout.bands.join(","))),
                    ("BUNIT".to_owned(), CardValue::Text("nJy".to_owned())),
                    ("PIXSCALE".to_owned(), CardValue::Real(0.2)),
                ];
                let mut file = Writer::new();
                file.image(&shape, pixels, &keys);
                fs::write(folder.join(format!("{number:06}.fits")), file.into_bytes())?;
                number += 1;
            }
        }
        Ok(Self { folder, objects, slow_objects, scratch })
    }

    /// The bound source of the files.
    pub(crate) fn source(&self) -> Result<(Box<dyn Source>, SchemaRef)> {
        let settings = Fits::new([self.folder.display().to_string()]);
        let mut source = settings.build("source").map_err(mistakes)?;
        let schema = source.bind().map_err(mistakes)?;
        source.start(&context())?;
        Ok((source, schema))
    }

    /// The first objects as batches.
    pub(crate) fn batches(&self, objects: usize) -> Result<(SchemaRef, Vec<RecordBatch>)> {
        let (source, schema) = self.source()?;
        let mut batches = Vec::new();
        let mut left = objects;
        read(source.as_ref(), |rows| {
            let taken = rows.slice(0, left.min(rows.num_rows()));
            left -= taken.num_rows();
            if taken.num_rows() > 0 {
                batches.push(taken);
            }
        })?;
        Ok((schema, batches))
    }
}

/// Reads all rows of a source. Returns their number.
pub(crate) fn read(source: &dyn Source, mut take: impl FnMut(RecordBatch)) -> Result<usize> {
    let mut objects = 0;
    for split in source.splits()? {
        let mut reader = source.open(&split, 0)?;
        loop {
            match reader.next(BATCH, Instant::now() + Duration::from_secs(1))? {
                Read::Batch { rows, rejects } => {
                    if let Some(reject) = rejects.first() {
                        return Err(format!("`{}` was rejected: {}", reject.origin, reject.reason).into());
                    }
                    objects += rows.num_rows();
                    take(rows);
                }
                Read::Idle => {}
                Read::End => break,
            }
        }
    }
    Ok(objects)
}

pub(crate) fn context() -> RunContext {
    RunContext { seed: 7, threads: 1, batch_rows: BATCH, ..RunContext::default() }
}

#[allow(clippy::needless_pass_by_value, reason = "the shape that `map_err` wants")]
pub(crate) fn mistakes(mistakes: Vec<lucarne::error::Diagnostic>) -> String {
    mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
