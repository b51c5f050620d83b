//! Masks, variances and PSFs in files of their own, and the HDU that belongs to a tile.
//!
//! The file of a companion is the one at the place of the image in the list of its band. That it belongs to the image is checked by
//! what both headers have: the name of the HDU, the shape, the world coordinates, and what identifies the exposure.

use super::{
    Tiles,
    psfex::PsfexTable,
    tile::{Tile, TilePlane, TilePsf, TileVariance},
};
use crate::{
    fits::{FitsFile, Hdu},
    source::fits::{
        companions::VarianceForm,
        description::{check_psf_in, variance_factor_in},
        mask_planes::bad_bits,
        tile_image::{PlaneNumber, headers_of_hdu},
    },
    wcs::{PixelPosition, Wcs},
};

/// Keys that differ between exposures, whatever their place on the sky.
const EXPOSURE_KEYS: [&str; 4] = ["EXPNUM", "EXPID", "OBSID", "DATE-OBS"];
/// The most pixels by which the world coordinates of a companion may be off those of its image.
const TOLERANCE_PIXELS: f64 = 0.1;

/// What a file beside images has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CompanionKind {
    Mask,
    Variance(VarianceForm),
    Psf,
}

/// A file with companions, and its number among the files of the source.
pub(super) struct CompanionFile<'a> {
    pub(super) file: &'a FitsFile,
    pub(super) number: usize,
    pub(super) kind: CompanionKind,
}

impl CompanionFile<'_> {
    /// Adds the companions of the tiles of a file of images. The error is the reason why the file does not have them.
    pub(super) fn complete_all(&self, tiles: &mut [Tile], images: &FitsFile, settings: &Tiles) -> Result<(), String> {
        if self.kind == CompanionKind::Psf {
            let tables = PsfexTable::all_in(self.file)?;
            if !tables.is_empty() {
                return self.complete_psfex(&tables, tiles);
            }
            if !self.file.hdus().iter().any(Hdu::has_pixels) {
                return Err(
                    "has neither an image of a PSF nor a table `PSF_DATA` of PSFEx, expected one of them".into()
                );
            }
        }
        tiles.iter_mut().try_for_each(|tile| self.complete(tile, images, settings))
    }

    /// Adds the companion of a tile.
    fn complete(&self, tile: &mut Tile, images: &FitsFile, settings: &Tiles) -> Result<(), String> {
        let image = tile.image.image.hdu;
        let hdu = self.hdu_of(images, image)?;
        if let Some(damage) = &hdu.damage {
            return Err(format!("HDU {} {damage}", hdu.index));
        }
        if self.kind == CompanionKind::Psf {
            return self.complete_psf(hdu, tile);
        }
        if hdu.shape != tile.image.shape {
            let (found, expected) = (&hdu.shape, tile.image.shape);
            return Err(format!("HDU {} has the shape {found:?}, expected {expected:?} as in its image", hdu.index));
        }
        self.check_sky(hdu, tile)?;
        for key in EXPOSURE_KEYS {
            let [own, of_image] = [(self.file, hdu.index), (images, image)]
                .map(|(file, hdu)| headers_of_hdu(file, hdu).find_map(|header| header.text(key)));
            if let (Some(own), Some(of_image)) = (own, of_image)
                && own != of_image
            {
                let (own, of_image) = (own.escape_debug(), of_image.escape_debug());
                return Err(format!("HDU {} key `{key}` is `{own}`, expected `{of_image}` as in its image", hdu.index));
            }
        }
        let plane = TilePlane { file: self.number, number: PlaneNumber { hdu: hdu.index, plane: 0 } };
        match self.kind {
            CompanionKind::Mask => {
                tile.bad = bad_bits(&settings.as_fits(), &[&hdu.header])?;
                tile.mask = vec![plane];
            }
            CompanionKind::Variance(form) => {
                let (unit, scale) = (&tile.image.plane_unit, Some(tile.pixel_scale_arcsec));
                let factor = variance_factor_in(self.file, (hdu.index, form), unit, scale)?;
                tile.variance = Some(TileVariance { plane, form, factor });
            }
            CompanionKind::Psf => {}
        }
        Ok(())
    }

    /// Adds the PSFs of tiles by tables of PSFEx, which has one for each image in the order of their file.
    fn complete_psfex(&self, tables: &[PsfexTable], tiles: &mut [Tile]) -> Result<(), String> {
        let mut hdus: Vec<usize> = tiles.iter().map(|tile| tile.image.image.hdu).collect();
        hdus.dedup();
        let (found, expected) = (tables.len(), hdus.len());
        if found != expected {
            return Err(format!(
                "has {found} `PSF_DATA` of PSFEx, expected {expected}: a table for each image of the file with the tiles, in their order"
            ));
        }
        for tile in tiles {
            // Planes of a cube have one header.
            let at = hdus.iter().position(|hdu| *hdu == tile.image.image.hdu).unwrap_or_default();
            tile.psf = Some(TilePsf::Psfex { file: self.number, table: tables[at] });
        }
        Ok(())
    }

    /// Adds the PSF of a tile, an image without a place on the sky.
    fn complete_psf(&self, hdu: &Hdu, tile: &mut Tile) -> Result<(), String> {
        let &[rows, columns] = &hdu.shape[..] else {
            return Err(format!("HDU {} has the shape {:?}, expected one image of a PSF", hdu.index, hdu.shape));
        };
        check_psf_in(self.file, hdu.index, tile.pixel_scale_arcsec)
            .map_err(|reason| format!("HDU {} {reason}", hdu.index))?;
        let plane = TilePlane { file: self.number, number: PlaneNumber { hdu: hdu.index, plane: 0 } };
        tile.psf = Some(TilePsf::Image { plane, shape: [rows, columns] });
        Ok(())
    }

    /// The HDU with the name of that of an image; without a name the only one with pixels, else the one at its place.
    fn hdu_of(&self, images: &FitsFile, image: usize) -> Result<&Hdu, String> {
        let name = |hdu: &Hdu| hdu.header.text("EXTNAME").filter(|name| name != "COMPRESSED_IMAGE");
        let wanted = images.hdus().get(image).and_then(name);
        let with_pixels: Vec<&Hdu> = self.file.hdus().iter().filter(|hdu| hdu.has_pixels()).collect();
        let are_named = with_pixels.iter().any(|hdu| name(hdu).is_some());
        let found = match (&wanted, &with_pixels[..]) {
            (_, [only]) => Some(*only),
            (Some(wanted), all) if are_named => all.iter().copied().find(|hdu| name(hdu).as_ref() == Some(wanted)),
            (_, all) => all.iter().copied().find(|hdu| hdu.index == image),
        };
        found.ok_or_else(|| match wanted {
            Some(wanted) => format!("has no HDU `{}`, the name of its image", wanted.escape_debug()),
            None => format!("has no HDU {image} with pixels, the place of its image"),
        })
    }

    /// Checks that an HDU shows the sky of a tile, pixel by pixel.
    fn check_sky(&self, hdu: &Hdu, tile: &Tile) -> Result<(), String> {
        let wcs = Wcs::from_header(&hdu.header).map_err(|reason| format!("HDU {} {reason}", hdu.index))?;
        let [rows, columns] = tile.image.shape;
        let (right, top) = (columns as f64 - 1.0, rows as f64 - 1.0);
        for (x, y) in [(0.0, 0.0), (right, 0.0), (0.0, top), (right, top), (right / 2.0, top / 2.0)] {
            let Ok(sky) = tile.wcs.pixel_to_sky(PixelPosition { x, y }) else { continue };
            let off = wcs.sky_to_pixel(sky).map_or(f64::INFINITY, |found| (found.x - x).hypot(found.y - y));
            if off > TOLERANCE_PIXELS {
                return Err(format!(
                    "HDU {} has other world coordinates than its image: they differ by {off:.1} pixels at y {y}, x {x}",
                    hdu.index
                ));
            }
        }
        Ok(())
    }
}
