//! The plan: all tiles, the objects of the catalogue, and the schema of the rows.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::{
    Tiles,
    band_tiles::BandTiles,
    catalogue_pieces::CataloguePieces,
    companion_files::{CompanionFile, CompanionKind},
    open_files::LIMITS,
    settings::CompanionSetting,
    tile::{Tile, TilePsf, UnusableTile},
};
use crate::{
    batch::{self, ImageLayout, Unit, WorldCoordinates},
    error::{Code, Diagnostic, Error},
    fits::{FitsFile, SectionGrain},
    io::{digest, paths::Expansion},
    source::fits::{
        Companion, Fits, RULES,
        description::unit_in_words,
        reader::digest_of,
        schema::{IMAGE, MASK, PSF, VARIANCE, WCS},
    },
};

/// Largest relative difference between the pixel scales of tiles.
const SCALE_TOLERANCE: f64 = 0.01;
/// The setting with the files of images.
const IMAGES: &str = "images";
/// The most tiles whose mistakes are reported.
const MOST_MISTAKES: usize = 8;

/// The size of a file and when it was written; `None` if the system does not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileStamp(Option<(u64, SystemTime)>);

impl FileStamp {
    fn of(path: &Path) -> Self {
        Self(fs::metadata(path).ok().and_then(|metadata| Some((metadata.len(), metadata.modified().ok()?))))
    }
}

/// A file with tiles.
pub(super) struct TileFile {
    pub(super) path: PathBuf,
    /// A digest of its headers.
    pub(super) headers: u128,
    /// Its size and time when the source was bound.
    stamp: FileStamp,
    /// Its HDUs with a cube.
    cubes: Vec<usize>,
    /// Of each HDU that is an image.
    grains: Vec<Option<SectionGrain>>,
}

impl TileFile {
    /// Whether it has been written since the source was bound, or is gone.
    pub(super) fn has_changed(&self) -> bool {
        FileStamp::of(&self.path) != self.stamp
    }

    /// The error of a file that has changed. It is not a bad one: somebody writes it, and its rows are read when the run is resumed.
    pub(super) fn changed(&self) -> Error {
        let path = self.path.display();
        Error::environment(format!("`{path}` has changed since the run began: resume when it is complete"))
    }

    /// How the pixels of an HDU are stored.
    pub(super) fn grain(&self, hdu: usize) -> Option<SectionGrain> {
        self.grains.get(hdu).copied().flatten()
    }

    /// Whether an HDU has several planes.
    pub(super) fn is_cube(&self, hdu: usize) -> bool {
        self.cubes.contains(&hdu)
    }
}

/// Everything that rows are read by.
pub(super) struct TilesPlan {
    pub(super) settings: Tiles,
    pub(super) catalogue: CataloguePieces,
    pub(super) files: Vec<TileFile>,
    /// In the order of the planes of a cutout.
    pub(super) bands: Vec<BandTiles>,
    pub(super) layout: ImageLayout,
    /// The layout of the PSFs, if they are read.
    pub(super) psf: Option<ImageLayout>,
    /// A digest of the headers of all tiles, and of the files of a HATS catalogue.
    pub(super) contents: u128,
    pub(super) schema: SchemaRef,
}

impl TilesPlan {
    /// Reads the catalogue and the headers of all tiles.
    pub(super) fn new(settings: Tiles) -> Result<Self, Vec<Diagnostic>> {
        let mut reading = TilesReading::of(&settings);
        for (band, name) in settings.bands.names().into_iter().enumerate() {
            reading.read_band(band, name);
        }
        let TilesReading { files, bands, mut mistakes, .. } = reading;
        let catalogue = CataloguePieces::open(&settings.catalogue).map_err(|found| mistakes.extend(found));
        let layout = layout(&settings, &files, &bands).map_err(|found| mistakes.extend(found));
        let (Ok(catalogue), Ok(layout), true) = (catalogue, layout, mistakes.is_empty()) else { return Err(mistakes) };
        let psf = settings.wants(Companion::Psf).then(|| psf_layout(&files, &bands, &layout)).transpose()?;
        let schema = schema(&settings, &layout, psf.as_ref(), &catalogue);
        let contents = files.iter().fold(catalogue.files_digest.unwrap_or(0), |contents, file| {
            let name = file.path.display().to_string();
            digest::wide_number_of(&[&contents.to_le_bytes(), name.as_bytes(), &file.headers.to_le_bytes()])
        });
        Ok(Self { settings, catalogue, files, bands, layout, psf, contents, schema })
    }
}

/// Tiles being read.
struct TilesReading<'a> {
    settings: &'a Tiles,
    files: Vec<TileFile>,
    /// The number of each file.
    numbers: HashMap<PathBuf, usize>,
    bands: Vec<BandTiles>,
    mistakes: Vec<Diagnostic>,
}

impl<'a> TilesReading<'a> {
    fn of(settings: &'a Tiles) -> Self {
        Self { settings, files: Vec::new(), numbers: HashMap::new(), bands: Vec::new(), mistakes: Vec::new() }
    }

    fn read_band(&mut self, band: usize, name: String) {
        let Ok(paths) = self.paths_of_band(&name).map_err(|mistakes| self.mistakes.extend(mistakes)) else { return };
        let images = self.settings.of_band(band);
        let mut tiles = Vec::new();
        for paths in paths {
            match self.read_file(&paths, &images) {
                Ok(found) => tiles.extend(found),
                Err(UnusableFile { setting, path, hdu, reason }) => {
                    let hdu = hdu.map(|hdu| format!("[{hdu}]")).unwrap_or_default();
                    let message = format!("`{}{hdu}` {reason}", path.display());
                    self.mistakes.push(Diagnostic::at(&format!("{setting}.{name}"), Code::MissingFile, message));
                }
            }
            if self.mistakes.len() >= MOST_MISTAKES {
                break;
            }
        }
        self.bands.push(BandTiles::new(name, tiles));
    }

    /// The files of a band, each with those of its companions.
    fn paths_of_band(&self, name: &str) -> Result<Vec<TilePaths>, Vec<Diagnostic>> {
        let expand = |setting: &str, files: &BTreeMap<String, Vec<String>>| {
            let paths = files.get(name).map(Vec::as_slice).unwrap_or_default();
            let Expansion { files, left_out } = RULES.expand_named(&format!("{setting}.{name}"), paths)?;
            left_out.iter().for_each(|left_out| tracing::warn!("source `tiles`: left out of {left_out}"));
            Ok::<Vec<PathBuf>, Vec<Diagnostic>>(files.into_iter().map(|file| file.path).collect())
        };
        let images = expand(IMAGES, &self.settings.images)?;
        let mut tiles: Vec<TilePaths> =
            images.into_iter().map(|image| TilePaths { image, companions: Vec::new() }).collect();
        for CompanionSetting { kind, name: setting, files } in self.settings.companion_files() {
            if files.is_empty() {
                continue;
            }
            let paths = expand(setting, files)?;
            if paths.len() != tiles.len() {
                let (found, expected) = (paths.len(), tiles.len());
                let message =
                    format!("`{setting}` names {found} files for the band `{name}`, `images` names {expected}");
                let help = "name one for each file of `images`, in the same order";
                return Err(vec![Diagnostic::at(&format!("{setting}.{name}"), Code::Conflict, message).help(help)]);
            }
            tiles
                .iter_mut()
                .zip(paths)
                .for_each(|(tile, path)| tile.companions.push(CompanionPath { kind, setting, path }));
        }
        Ok(tiles)
    }

    /// The tiles of a file, complete with their companions.
    fn read_file(&mut self, paths: &TilePaths, images: &Fits) -> Result<Vec<Tile>, UnusableFile> {
        let settings = self.settings;
        let path = &paths.image;
        let (file, number) = self.open(path, IMAGES)?;
        let mut tiles = Tile::all_of(&file, number, settings, images).map_err(|UnusableTile { hdu, reason }| {
            UnusableFile { setting: IMAGES, path: path.clone(), hdu, reason }
        })?;
        for CompanionPath { kind, setting, path } in &paths.companions {
            let (own, number) = self.open(path, setting)?;
            let companion = CompanionFile { file: &own, number, kind: *kind };
            let complete = companion.complete_all(&mut tiles, &file, settings);
            complete.map_err(|reason| UnusableFile { setting, path: path.clone(), hdu: None, reason })?;
        }
        Ok(tiles)
    }

    /// Opens a file, which becomes one of those of the source, and returns its number.
    fn open(&mut self, path: &Path, setting: &'static str) -> Result<(FitsFile, usize), UnusableFile> {
        let unusable = |reason: String| UnusableFile { setting, path: path.to_owned(), hdu: None, reason };
        let compression = FitsFile::compression_of(path).map_err(|error| unusable(error.reason()))?;
        if let Some(compression) = compression {
            return Err(unusable(format!(
                "is compressed with {compression} as a whole, expected a file of which sections can be read: decompress it, or \
                 compress it by tiles (`fpack`)"
            )));
        }
        let stamp = FileStamp::of(path);
        let file = FitsFile::open_headers(path, &LIMITS).map_err(|error| unusable(error.reason()))?;
        if let Some(number) = self.numbers.get(path) {
            return Ok((file, *number));
        }
        let number = self.files.len();
        self.numbers.insert(path.to_owned(), number);
        let cubes = file.hdus().iter().filter(|hdu| hdu.shape.len() > 2).map(|hdu| hdu.index).collect();
        let grains = file.hdus().iter().map(|hdu| file.section_grain(hdu.index).ok()).collect();
        self.files.push(TileFile { path: path.to_owned(), headers: digest_of(&file), stamp, cubes, grains });
        Ok((file, number))
    }
}

/// A file of images, and those of their companions.
struct TilePaths {
    image: PathBuf,
    companions: Vec<CompanionPath>,
}

/// A file of companions, and the setting that names it.
struct CompanionPath {
    kind: CompanionKind,
    setting: &'static str,
    path: PathBuf,
}

/// A file that cannot be used, or one of its HDUs.
struct UnusableFile {
    /// The setting that names it.
    setting: &'static str,
    path: PathBuf,
    hdu: Option<usize>,
    /// Found and expected, with the keys.
    reason: String,
}

/// The layout that all tiles have.
fn layout(settings: &Tiles, files: &[TileFile], bands: &[BandTiles]) -> Result<ImageLayout, Vec<Diagnostic>> {
    let all = || bands.iter().flat_map(|band| band.tiles().iter().map(move |tile| (band, tile)));
    // Without tiles there are other mistakes.
    let Some(first) = bands.first().and_then(BandTiles::first) else { return Err(Vec::new()) };
    let name = |tile: &Tile| format!("`{}[{}]`", files[tile.file].path.display(), tile.image.image.hdu);
    let mut mistakes = Vec::new();
    for (band, tile) in all() {
        let key = format!("images.{}", band.name);
        let mut refuse = |message: String, help: &str| {
            mistakes.push(Diagnostic::at(&key, Code::Conflict, message).help(help));
        };
        if (tile.image.unit, &tile.image.raw_unit) != (first.image.unit, &first.image.raw_unit) {
            let [found, expected] =
                [tile, first].map(|tile| unit_in_words(tile.image.unit, tile.image.raw_unit.as_deref()));
            let message = format!("{} has {found}, expected {expected} as in {}", name(tile), name(first));
            refuse(message, "set `unit` or `zero_point`");
        }
        let [found, expected] = [tile, first].map(|tile| tile.pixel_scale_arcsec);
        // False for NaN too.
        let agrees = (found / expected - 1.0).abs() <= SCALE_TOLERANCE;
        if !agrees {
            let (tile, first) = (name(tile), name(first));
            let message = format!("{tile} has pixels of {found} arcsec, expected {expected} arcsec as in {first}");
            refuse(message, "name tiles of one pixel scale, or resample them");
        }
        if mistakes.len() >= MOST_MISTAKES {
            break;
        }
    }
    let names = bands.iter().map(|band| band.name.clone());
    let size = settings.size;
    let layout = ImageLayout::new(names, size, size, first.image.unit).with_pixel_scale(first.pixel_scale_arcsec);
    let layout = layout.with_wcs(settings.wcs.then(|| WCS.to_owned()));
    if i32::try_from(layout.pixels()).is_err() {
        let message = format!("cutouts of {} bands, {size} by {size} pixels are too large for a column", bands.len());
        mistakes.push(Diagnostic::at("size", Code::OutOfRange, message).help("set a smaller `size`"));
    }
    if mistakes.is_empty() { Ok(layout) } else { Err(mistakes) }
}

/// The layout of the PSFs, which all tiles have in one shape.
fn psf_layout(files: &[TileFile], bands: &[BandTiles], image: &ImageLayout) -> Result<ImageLayout, Vec<Diagnostic>> {
    let name = |tile: &Tile| format!("`{}[{}]`", files[tile.file].path.display(), tile.image.image.hdu);
    let refuse = |band: &BandTiles, message: String| {
        let help = "name PSFs of one shape: crop or pad images, set one `PSF_SAMPLING` and `PSF_SIZE` for PSFEx";
        vec![Diagnostic::at(&format!("images.{}", band.name), Code::Conflict, message).help(help)]
    };
    let reference = bands.iter().find_map(BandTiles::first);
    let first = reference.and_then(|tile| tile.psf).map(|psf| psf.shape());
    for (band, tile) in bands.iter().flat_map(|band| band.tiles().iter().map(move |tile| (band, tile))) {
        let psf = tile.psf.ok_or_else(|| refuse(band, format!("{} has no PSF", name(tile))))?;
        let found = psf.shape();
        if let (Some(expected), Some(reference)) = (first, reference)
            && found != expected
        {
            let by_keys = match psf {
                TilePsf::Image { .. } => String::new(),
                TilePsf::Psfex { file, table } => {
                    let path = files[file].path.display();
                    format!(" (keys `PSFAXIS1`, `PSFAXIS2` and `PSF_SAMP` of `{path}[{}]`)", table.hdu)
                }
            };
            let (tile, of) = (name(tile), name(reference));
            let message = format!("{tile} has a PSF of {found:?} pixels{by_keys}, expected {expected:?} as in {of}");
            return Err(refuse(band, message));
        }
    }
    let [height, width] = first.unwrap_or([1, 1]);
    let layout = ImageLayout::new(image.bands.clone(), height, width, Unit::Unknown);
    Ok(image.pixel_scale_arcsec.map_or(layout.clone(), |scale| layout.with_pixel_scale(scale)))
}

/// The schema of the rows.
fn schema(settings: &Tiles, layout: &ImageLayout, psf: Option<&ImageLayout>, catalogue: &CataloguePieces) -> SchemaRef {
    let mut fields = batch::identity_fields();
    fields.extend([batch::RA, batch::DEC].map(|name| Field::new(name, DataType::Float64, true)));
    fields.extend(catalogue.fields().cloned());
    fields.push(layout.field(IMAGE));
    if settings.wants(Companion::Variance) {
        let unit: Unit = layout.unit.squared();
        fields.push(ImageLayout { unit, ..layout.clone() }.field(VARIANCE));
    }
    if settings.marks_pixels() {
        fields.push(layout.mask_field(MASK));
    }
    fields.extend(psf.map(|psf| psf.field(PSF)));
    fields.extend(settings.wcs.then(|| WorldCoordinates::field(WCS)));
    Arc::new(Schema::new(fields))
}
