//! `fits`: cutouts from FITS files.
//!
//! A file holds one object or several: a cube `[band, y, x]` in one HDU, a two-dimensional HDU per band, or an object per HDU. A
//! cube with four axes `[object, band, y, x]` holds one object per entry of the slowest axis. The schema follows from the settings
//! and from the first file whose headers fit them, never from pixels. Later objects that differ (a missing image or band, another
//! shape or pixel scale) are rejected rows; a file that cannot be read is one rejected row.
//!
//! Images in counts become nJy by value * 10^(0.4 * (31.4 - zero point)), other images by their `BUNIT`. What headers say and
//! settings contradict, or what can be read in two ways, is refused with the keys that say it.
//!
//! A split is a group of files. Its id has the number of the group, a digest of the names of its files, and the first name. Files
//! that are renamed, removed or inserted are noticed on a resume; files may be appended, which changes the id of the last group
//! unless it was full. A file that is replaced by one with other headers is noticed too; other pixels under the same headers are not.

mod angle;
pub(super) mod axes;
mod bands;
pub(super) mod catalogue;
pub(super) mod check;
pub(super) mod companions;
pub(super) mod cutout;
pub(super) mod description;
mod header_columns;
mod identity;
mod image_hdus;
mod inputs;
mod lookup;
pub(super) mod mask_planes;
pub(super) mod objects;
pub(super) mod pixel_planes;
mod pixel_scale;
mod plan;
mod psf_pixels;
pub(super) mod reader;
mod roles;
mod row_keys;
pub(super) mod row_pixels;
mod rows;
pub(super) mod schema;
pub(super) mod settings;
pub(super) mod sky_place;
mod taken_ids;
pub(super) mod tile_image;
mod units;
mod zero_point;

use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow::datatypes::SchemaRef;

pub use self::{
    bands::Bands,
    catalogue::Catalogue,
    header_columns::{HeaderKey, HeaderType, TypedKey},
    mask_planes::MaskPlane,
    settings::{Companion, EmptyBand, Fits, Layout, Policy},
    zero_point::{NumberKey, NumbersOrKey, OneOrMany},
};
use self::{inputs::Inputs, plan::FitsPlan, reader::FitsReader};
pub use super::axis::Axis;
use super::file_split;
use crate::{
    error::{Diagnostic, Error, Result},
    io::paths::{Expansion, PathRules, PatternRules},
    stage::{Reader, Source, Split},
};

/// How `paths` are expanded.
pub(in crate::source) const RULES: PathRules = PathRules {
    format: "FITS",
    accepts: is_fits,
    accepted: "its files that end in .fits, .fit, .fts or .fz, and the first three with .gz, .bz2 or .xz, subfolders included",
    recursive: true,
    indexed: |_| Ok(None),
    lists: true,
    patterns: PatternRules::Shell,
    resolve_links: false,
};

/// Whether a name ends as those of FITS files do, in any case. `._a.fits` is what macOS writes beside `a.fits`.
fn is_fits(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let plain = [".gz", ".bz2", ".xz"].iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(&name);
    !name.starts_with("._") && ([".fits", ".fit", ".fts"].iter().any(|e| plain.ends_with(e)) || name.ends_with(".fz"))
}

struct FitsSource {
    settings: Fits,
    plan: Option<Arc<FitsPlan>>,
}

impl FitsSource {
    fn new(settings: Fits) -> Self {
        Self { settings, plan: None }
    }

    fn plan(&self) -> Result<&Arc<FitsPlan>> {
        self.plan.as_ref().ok_or_else(|| Error::bug("the source `fits` is read before it is bound"))
    }
}

impl Source for FitsSource {
    fn bind(&mut self) -> Result<SchemaRef, Vec<Diagnostic>> {
        let Expansion { files, left_out } = RULES.expand_named("paths", &self.settings.paths)?;
        left_out.iter().for_each(|left_out| tracing::warn!("source `fits`: left out of {left_out}"));
        let plan = FitsPlan::new(self.settings.clone(), Inputs::of(&self.settings, &files)?)?;
        let schema = plan.schema.clone();
        self.plan = Some(Arc::new(plan));
        Ok(schema)
    }

    fn input_files(&self) -> Vec<PathBuf> {
        self.settings.catalogue.iter().map(|catalogue| PathBuf::from(&catalogue.path)).collect()
    }

    fn lookup_table(&self) -> Option<String> {
        self.settings.catalogue.as_ref().map(Catalogue::in_words)
    }

    fn splits(&self) -> Result<Vec<Split>> {
        let one_row_each = matches!(self.settings.layout, Layout::Cube | Layout::HduPerBand | Layout::FilePerBand);
        let inputs = &self.plan()?.inputs;
        let split = |index| {
            let inputs_of_split = range_of(index, inputs);
            Split::new(split_id(index, inputs), one_row_each.then_some(inputs_of_split.len() as u64))
        };
        Ok((0..inputs.len().div_ceil(file_split::FILES_PER_SPLIT)).map(split).collect())
    }

    fn open(&self, split: &Split, offset: u64) -> Result<Box<dyn Reader>> {
        let plan = self.plan()?;
        let index = file_split::index(split, plan.inputs.len(), |index| split_id(index, &plan.inputs))?;
        let range = range_of(index, &plan.inputs);
        Ok(Box::new(FitsReader::open(plan.clone(), range, offset)?))
    }
}

/// The id of a split.
fn split_id(index: usize, inputs: &Inputs) -> String {
    let files: Vec<&PathBuf> = range_of(index, inputs).flat_map(|input| inputs.paths(input)).collect();
    file_split::id(index, &files)
}

/// The files, or groups of files, of a split.
fn range_of(index: usize, inputs: &Inputs) -> Range<usize> {
    file_split::range(index, inputs.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_files_by_their_endings() {
        for name in ["a.fits", "a.FIT", "a.fts.gz", "a.fits.fz", "a.fits.bz2", "a.fits.xz", ".a.fits"] {
            assert!(is_fits(Path::new(name)), "{name}");
        }
        for name in ["._a.fits", "a.fits.Z", "a.fits.tmp", "a.gz", "fits", "a.ftz"] {
            assert!(!is_fits(Path::new(name)), "{name}");
        }
    }
}
