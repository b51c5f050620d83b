//! The galaxies that both sides work on: simulated, without noise, in nJy, one FITS file each.

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

/// Rows of a batch: what the engine takes when nothing is said.
pub(crate) const BATCH: usize = 32;

/// The files and where to put what is made of them.
pub(crate) struct Inputs {
    /// All cutouts: 3x100x100 float32.
    pub(crate) folder: PathBuf,
    /// How many.
    pub(crate) objects: usize,
    /// How many of them the slow subjects take, from the first on.
    pub(crate) slow_objects: usize,
    /// For results.
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

    /// The source of the files, bound.
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

/// Reads all rows of a source; how many there were.
pub(crate) fn read(source: &dyn Source, mut take: impl FnMut(RecordBatch)) -> Result<usize> {
    let mut objects = 0;
    for split in source.splits()? {
        let mut reader = source.open(&split, 0)?;
        loop {
            match reader.next(BATCH, Instant::now() + Duration::from_secs(1))? {
                Read::Batch { rows, rejects } => {
                    if let Some(reject) = rejects.first() {
                        return Err(format!("`{}` was refused: {}", reject.origin, reject.reason).into());
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
