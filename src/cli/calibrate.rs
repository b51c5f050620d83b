//! `lucarne calibrate`: measures the stretch constants of image columns over a data set.

use std::{fs, path::PathBuf};

use clap::Args;

use super::{Exit, path_argument::path, pipeline::PipelineArgs, terminal};
use crate::{
    batch::{ImageLayout, Images},
    error::{Error, Result},
    stats::quantile_sketch::QuantileSketch,
    transform::asinh_stretch::{DomainConstants, HIGH_PERCENT, LOW_PERCENT, StretchConstants},
};

/// Measure the stretch constants of image columns: percentiles of their pixels over all bands and rows
///
/// Only the steps that make these columns are run. `asinh_stretch` reads the result with `constants: { file: FILE, domain:
/// COLUMN }`.
#[derive(Args)]
pub(super) struct Calibrate {
    #[command(flatten)]
    pipeline: PipelineArgs,
    /// Measure this image column, as a domain of another name if DOMAIN is set. If missing, measure the images that the
    /// `asinh_stretch` steps of the pipeline read
    #[arg(long = "image", value_name = "COLUMN[=DOMAIN]")]
    images: Vec<String>,
    /// Set the percentile of the lower clip
    #[arg(long, value_name = "PERCENT", default_value_t = LOW_PERCENT)]
    low: f64,
    /// Set the percentile of the upper clip
    #[arg(long, value_name = "PERCENT", default_value_t = HIGH_PERCENT)]
    high: f64,
    /// Write the constants to this file instead of standard output; other domains in it are kept
    #[arg(short, long, value_name = "FILE", value_parser = path())]
    output: Option<PathBuf>,
    /// Read at most N rows from the source
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
}

/// An image column that is being measured.
struct Measured {
    column: String,
    domain: String,
    layout: ImageLayout,
    pixels: QuantileSketch,
    images: u64,
}

impl Calibrate {
    pub(super) fn run(&self) -> Result<Exit> {
        let requested: Vec<(&str, &str)> =
            self.images.iter().map(|image| image.split_once('=').unwrap_or((image, image))).collect();
        let columns: Vec<String> = requested.iter().map(|(column, _)| (*column).to_owned()).collect();
        let pipeline = self.pipeline.pipeline()?;
        let pipeline = if let Some(limit) = self.limit { pipeline.limit(limit) } else { pipeline };
        let measured = measure(pipeline.images(&columns)?, &requested)?;
        let mut constants = match &self.output {
            Some(file) if file.exists() => StretchConstants::read(file)?,
            _ => StretchConstants::default(),
        };
        for one in measured {
            let (domain, found) = self.domain(one)?;
            constants.domains.insert(domain, found);
        }
        let json = constants.to_json();
        match &self.output {
            Some(file) => fs::write(file, json).map_err(|error| Error::io("write", file, error))?,
            None => terminal::result(&format!("{}\n", json.trim_end()))?,
        }
        Ok(Exit::Done)
    }

    fn domain(&self, one: Measured) -> Result<(String, DomainConstants)> {
        let Measured { column, domain, layout, pixels, images } = one;
        let found = DomainConstants::of(&pixels, self.low, self.high).ok_or_else(|| {
            let message =
                format!("cannot measure stretch constants of `{column}`: its {images} images have no positive pixels");
            Error::data(message)
        })?;
        let measured_on = format!("{} of {}", column, self.pipeline.path.display());
        let found = DomainConstants {
            unit: Some(layout.unit.name().to_owned()),
            electrons_per_njy: layout.electrons_per_njy,
            images: Some(images),
            bands: Some(layout.bands),
            measured_on: Some(measured_on),
            ..found
        };
        Ok((domain, found))
    }
}

/// Sketches the distribution of pixels of every image column of a stream.
fn measure(mut stream: crate::engine::Stream, requested: &[(&str, &str)]) -> Result<Vec<Measured>> {
    use arrow::array::RecordBatchReader;
    let schema = stream.schema();
    let mut all: Vec<Measured> = schema
        .fields()
        .iter()
        .filter_map(|field| {
            let column = field.name().clone();
            let domain = requested.iter().find(|(name, _)| *name == column).map_or(&*column, |(_, domain)| *domain);
            let (layout, domain) = (ImageLayout::of(field)?, domain.to_owned());
            Some(Measured { column, domain, layout, pixels: QuantileSketch::default(), images: 0 })
        })
        .collect();
    while let Some(batch) = stream.next_batch()? {
        for one in &mut all {
            let images = Images::of(&batch, &one.column)?;
            one.pixels.add(images.pixels);
            one.images += batch.num_rows() as u64;
        }
    }
    Ok(all)
}
