//! A tile: an image of the sky in one band, as its headers describe it.

use super::{
    Tiles,
    footprint::{Footprint, side_arcsec},
    psfex::PsfexTable,
};
use crate::{
    fits::FitsFile,
    source::fits::{
        Fits,
        companions::VarianceForm,
        tile_image::{HduImage, PlaneNumber, TileImage, headers_of_hdu, tile_images},
    },
    wcs::Wcs,
};

/// The largest relative difference of a nominal side of a pixel from that by the world coordinates, at the middle of the tile.
/// Distortions make pixels at the edge of a field smaller or larger than the nominal ones by a percent or two.
const NOMINAL_TOLERANCE: f64 = 0.03;

/// An image of the sky in one band.
pub(super) struct Tile {
    /// The number of its file among those of the source.
    pub(super) file: usize,
    pub(super) image: TileImage,
    pub(super) variance: Option<TileVariance>,
    /// The parts of the mask, whose bits follow each other; none without a mask.
    pub(super) mask: Vec<TilePlane>,
    /// The bits of the mask that say that a pixel does not count.
    pub(super) bad: u64,
    /// The PSF.
    pub(super) psf: Option<TilePsf>,
    pub(super) wcs: Wcs,
    pub(super) footprint: Footprint,
    /// Side of a pixel, arcsec.
    pub(super) pixel_scale_arcsec: f64,
    /// The number under the key of the depth, 0 where tiles are not chosen by it.
    pub(super) depth: f64,
}

/// A plane of a file of the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct TilePlane {
    pub(super) file: usize,
    pub(super) number: PlaneNumber,
}

/// The variance of a tile.
#[derive(Debug, Clone, Copy)]
pub(super) struct TileVariance {
    pub(super) plane: TilePlane,
    pub(super) form: VarianceForm,
    /// The factor that makes it (or its square root, or its inverse) that of the column.
    pub(super) factor: f64,
}

/// The PSF of a tile.
#[derive(Debug, Clone, Copy)]
pub(super) enum TilePsf {
    /// An image, for all positions of the tile, with its rows and columns.
    Image { plane: TilePlane, shape: [usize; 2] },
    /// A table of PSFEx, and the number of its file among those of the source.
    Psfex { file: usize, table: PsfexTable },
}

impl TilePsf {
    /// Rows and columns, pixels of the tile.
    pub(super) fn shape(&self) -> [usize; 2] {
        match self {
            Self::Image { shape, .. } => *shape,
            Self::Psfex { table, .. } => table.shape(),
        }
    }
}

/// An image that cannot be a tile.
pub(super) struct UnusableTile {
    /// Its HDU, if only one of the file is not usable.
    pub(super) hdu: Option<usize>,
    /// Found and expected, with the keys.
    pub(super) reason: String,
}

impl Tile {
    /// The plane of its image.
    pub(super) fn plane(&self) -> TilePlane {
        TilePlane { file: self.file, number: self.image.image }
    }

    /// The tiles of a file, whose number is `number`, for a band. `images` are the settings of the band.
    pub(super) fn all_of(
        file: &FitsFile,
        number: usize,
        settings: &Tiles,
        images: &Fits,
    ) -> Result<Vec<Self>, UnusableTile> {
        let found = tile_images(file, images).map_err(|reason| UnusableTile { hdu: None, reason })?;
        found
            .into_iter()
            .map(|HduImage { hdu, image }| {
                let tile = image.and_then(|image| Self::of(file, number, settings, image));
                tile.map_err(|reason| UnusableTile { hdu: Some(hdu), reason })
            })
            .collect()
    }

    fn of(file: &FitsFile, number: usize, settings: &Tiles, image: TileImage) -> Result<Self, String> {
        let hdu = image.image.hdu;
        let own = file.hdus().get(hdu).ok_or("is missing")?;
        let wcs = Wcs::from_header(&own.header)?;
        let footprint = Footprint::of(&wcs, image.shape)?;
        let side = side_arcsec(&wcs, image.shape)?;
        let pixel_scale_arcsec = image.pixel_scale_arcsec.unwrap_or(side);
        // False for NaN too.
        let agrees = (pixel_scale_arcsec / side - 1.0).abs() <= NOMINAL_TOLERANCE;
        if !agrees {
            let by = if settings.pixel_scale_arcsec.is_some() { "`pixel_scale_arcsec`" } else { "its keys" };
            return Err(format!(
                "has pixels of {side:.5} arcsec at its middle by its world coordinates, and of {pixel_scale_arcsec:.5} by {by}"
            ));
        }
        let depth = match settings.depth_key() {
            None => 0.0,
            Some(key) => {
                let number = headers_of_hdu(file, hdu).find_map(|header| header.number(key).transpose()).transpose()?;
                number.filter(|depth| depth.is_finite()).ok_or_else(|| {
                    format!("has no number under key `{}`, expected one for `overlap: deepest`", key.escape_debug())
                })?
            }
        };
        let plane = |plane: PlaneNumber| TilePlane { file: number, number: plane };
        let factor = image.variance_factor;
        Ok(Self {
            file: number,
            variance: image.variance.map(|(number, form)| TileVariance { plane: plane(number), form, factor }),
            mask: image.mask.iter().map(|number| plane(*number)).collect(),
            bad: image.bad,
            psf: image.psf.map(|(number, shape)| TilePsf::Image { plane: plane(number), shape }),
            image,
            wcs,
            footprint,
            pixel_scale_arcsec,
            depth,
        })
    }

    /// Whether a position in pixels is in the image, whose pixels reach half a pixel around their centres.
    pub(super) fn has(&self, x: f64, y: f64) -> bool {
        let [rows, columns] = self.image.shape;
        (-0.5..columns as f64 - 0.5).contains(&x) && (-0.5..rows as f64 - 0.5).contains(&y)
    }
}
