//! The objects of a file: which planes of which HDUs make each.

use std::collections::HashSet;

use super::{
    Fits, Layout,
    axes::{Axes, PlaneSet},
    bands::{Bands, SelectedBands, band_of, bands_of_cube, parse_bands, select},
    companions::{BareObject, CompanionHdus, VarianceForm},
    image_hdus::ImageHdus,
};
use crate::fits::{self, Hdu};

/// The planes of an object.
#[derive(Debug, Clone)]
pub(in crate::source) struct ObjectPlanes {
    pub image: PlaneSet,
    pub bands: Vec<String>,
    pub variance: Option<(PlaneSet, VarianceForm)>,
    /// The parts of the mask, whose bits follow each other; none without a mask.
    pub mask: Vec<PlaneSet>,
    pub psf: Option<PlaneSet>,
}

/// A row of a file.
pub(in crate::source) struct FileRow {
    /// The HDUs of its image.
    pub hdus: Vec<usize>,
    /// Its entry in a cube with an axis of objects.
    pub entry: Option<usize>,
    /// Whether the file has other objects, which the keys of the primary header then describe too.
    pub shares_file: bool,
    /// Whether its bands are in several files.
    pub is_of_several_files: bool,
    /// Its planes, or the reason why it is rejected.
    pub object: Result<ObjectPlanes, String>,
}

/// The rows of a file, in order. They are found one by one: the header of a cube of some bytes may promise millions.
pub(in crate::source) struct FileRows {
    layout: Layout,
    /// The image HDUs.
    images: Vec<usize>,
    /// HDUs with pixels that are not read, in words; empty without any.
    pub(super) left_out: String,
    companions: CompanionHdus,
    /// The bands of the images, where each has a file.
    named: Option<Vec<String>>,
    /// The next row: its image HDU among these, and its entry.
    at: usize,
    entry: usize,
}

impl FileRows {
    /// The rows of a file; an error when they cannot be identified, which makes the file one rejected row.
    pub(in crate::source) fn of(file: &fits::FitsFile, settings: &Fits, bands: Option<&Bands>) -> Result<Self, String> {
        let hdus = file.hdus();
        let found = ImageHdus::of(hdus, settings, bands)?;
        let images: Vec<&Hdu> = found.images.iter().filter_map(|index| hdus.get(*index)).collect();
        let layout = match settings.layout {
            Layout::Auto if images.len() == 1 => Layout::Cube,
            Layout::Auto if is_hdu_per_band(&images, settings, bands) => Layout::HduPerBand,
            Layout::Auto => Layout::HduPerObject,
            Layout::Cube if images.len() > 1 => {
                let found = images.len();
                return Err(format!(
                    "has {found} image HDUs, expected one cube: name one in `hdu`, or read all with `layout: hdu_per_object`"
                ));
            }
            layout => layout,
        };
        if layout == Layout::HduPerBand {
            images.iter().try_for_each(|hdu| usable(hdu))?;
        } else if images.iter().all(|hdu| entries(hdu, settings) == Some(0)) {
            let shapes: Vec<String> = images.iter().map(|hdu| format!("{:?}", hdu.shape)).collect();
            return Err(format!("has no object: its images have the shapes {}", shapes.join(", ")));
        }
        let companions = CompanionHdus::of(hdus, &found.images, settings);
        let left_out = found.left_out_in_words(hdus);
        Ok(Self { layout, images: found.images, left_out, companions, named: None, at: 0, entry: 0 })
    }

    /// The one row of files that are the bands of an object, in the order of the bands, and the files as one.
    pub(super) fn of_bands(
        files: Vec<fits::FitsFile>,
        settings: &Fits,
        bands: &Bands,
    ) -> Result<(fits::FitsFile, Self), String> {
        let (mut images, mut left_out, mut first) = (Vec::new(), String::new(), 0);
        for (band, file) in files.iter().enumerate() {
            let image = image_of_band(file, settings, bands, band);
            let (image, others) = image.map_err(|reason| format!("`{}` {reason}", file.place_of(0).0))?;
            images.push(first + image);
            left_out = if left_out.is_empty() { others } else { left_out };
            first += file.hdus().len();
        }
        let file = fits::FitsFile::joined(files);
        let companions = CompanionHdus::of_files(&file, &images, settings);
        let named = Some(bands.names());
        let rows = Self { layout: Layout::HduPerBand, images, left_out, companions, named, at: 0, entry: 0 };
        Ok((file, rows))
    }

    /// The next row of the file that these are the rows of.
    pub(in crate::source) fn next(
        &mut self,
        file: &fits::FitsFile,
        settings: &Fits,
        bands: Option<&Bands>,
    ) -> Option<FileRow> {
        let hdus = file.hdus();
        let context = FileContext { hdus, companions: &self.companions, settings, bands };
        if self.layout == Layout::HduPerBand {
            let images: Vec<&Hdu> = self.images.iter().filter_map(|index| hdus.get(*index)).collect();
            let only = std::mem::replace(&mut self.at, 1) == 0;
            return only.then(|| FileRow {
                object: context.object_of_hdus(&images, self.named.as_ref()),
                hdus: self.images.clone(),
                entry: None,
                shares_file: false,
                is_of_several_files: self.named.is_some(),
            });
        }
        loop {
            let hdu = hdus.get(*self.images.get(self.at)?)?;
            let entries = entries(hdu, settings);
            if self.entry >= entries.unwrap_or(1) {
                (self.at, self.entry) = (self.at + 1, 0);
                continue;
            }
            let entry = self.entry;
            self.entry += 1;
            let shares_file = self.images.len() > 1 || entries.is_some();
            let image = ImageHdu { hdu, number: self.at, entry, entries };
            let object = context.object_of_cube(&image, shares_file);
            return Some(FileRow {
                hdus: vec![hdu.index],
                entry: entries.map(|_| entry),
                shares_file,
                is_of_several_files: false,
                object,
            });
        }
    }
}

/// The image HDU of the file of a band, and the HDUs that are left out, in words.
fn image_of_band(
    file: &fits::FitsFile,
    settings: &Fits,
    bands: &Bands,
    band: usize,
) -> Result<(usize, String), String> {
    let hdus = file.hdus();
    let found = ImageHdus::of(hdus, settings, None)?;
    let [image] = found.images.as_slice() else {
        return Err(format!("has {} image HDUs, expected one for its band: name it in `hdu`", found.images.len()));
    };
    let hdu = &hdus[*image];
    usable(hdu)?;
    let headers = [&hdu.header, &hdus[0].header];
    if let Some(other) = headers.into_iter().find_map(|header| band_of(header, false))
        && bands.contradicts(band, &other)
    {
        let (expected, other) = (&bands.names()[band], other.escape_debug());
        return Err(format!("has the band `{other}`, expected `{expected}` by its name"));
    }
    Ok((*image, found.left_out_in_words(hdus)))
}

/// How many objects a cube with an axis of objects has; `None` for another image, which is one.
fn entries(hdu: &Hdu, settings: &Fits) -> Option<usize> {
    Axes::of(hdu, settings.axes.as_deref()).ok()?.objects()
}

/// Checks that an HDU is an undamaged image with pixels.
fn usable(hdu: &Hdu) -> Result<(), String> {
    match &hdu.damage {
        Some(damage) => Err(format!("HDU {} {damage}", hdu.index)),
        None if !hdu.has_pixels() => {
            Err(format!("HDU {} is {}, expected an image with pixels", hdu.index, hdu.kind.name()))
        }
        None => Ok(()),
    }
}

/// Whether several image HDUs are the bands of one object, for `layout: auto`.
fn is_hdu_per_band(images: &[&Hdu], settings: &Fits, bands: Option<&Bands>) -> bool {
    if images.len() > super::axes::MAX_BANDS {
        return false;
    }
    let are_flat = images.iter().all(|hdu| Axes::of(hdu, settings.axes.as_deref()).is_ok_and(|axes| axes.is_flat()));
    let named: Vec<Option<String>> = images.iter().map(|hdu| band_of(&hdu.header, bands.is_some())).collect();
    let distinct: HashSet<&Option<String>> = named.iter().collect();
    let are_distinct = !distinct.contains(&None) && distinct.len() == named.len();
    let is_chosen = |bands: &Bands| {
        let names: Option<Vec<String>> = named.iter().cloned().collect();
        bands.len() > 1 || names.is_some_and(|names| select(Some(names), images.len(), Some(bands)).is_ok())
    };
    // Bands without names are taken in the order of the file.
    let are_in_order =
        |bands: &Bands| bands.len() > 1 && bands.len() == images.len() && named.iter().all(Option::is_none);
    are_flat && ((are_distinct && bands.is_none_or(is_chosen)) || bands.is_some_and(are_in_order))
}

/// An image HDU and the entry in it that is an object.
struct ImageHdu<'a> {
    hdu: &'a Hdu,
    /// Its number among the image HDUs.
    number: usize,
    entry: usize,
    /// Length of the axis of objects.
    entries: Option<usize>,
}

/// The HDUs of a file, and what its objects are read with.
struct FileContext<'a> {
    hdus: &'a [Hdu],
    companions: &'a CompanionHdus,
    settings: &'a Fits,
    bands: Option<&'a Bands>,
}

impl FileContext<'_> {
    /// The object in a cube, or in one entry of it.
    fn object_of_cube(&self, image: &ImageHdu<'_>, shares_file: bool) -> Result<ObjectPlanes, String> {
        let Self { hdus, companions, settings, bands } = self;
        usable(image.hdu)?;
        let axes = Axes::of(image.hdu, settings.axes.as_deref())?;
        if settings.layout == Layout::Cube && image.entries.is_some() {
            return Err(format!("has the shape {:?}, expected [band, y, x]", image.hdu.shape));
        }
        let all = axes.planes(image.hdu.index, image.entry);
        let count = all.planes.len();
        let primary = hdus.first().filter(|_| image.hdu.index > 0).map(|hdu| &hdu.header);
        let headers = || [Some(&image.hdu.header), primary].into_iter().flatten();
        // What the primary header says of several objects may be said of another one.
        let named = headers().take(if count > 1 || !shares_file { 2 } else { 1 });
        let mut named = named.map(|header| bands_of_cube(header, count)).find_map(Result::transpose).transpose()?;
        if named.is_none() && count == 1 {
            named = headers().find_map(|header| band_of(header, false)).map(|band| vec![band]);
        }
        if named.is_none() && bands.is_none_or(|bands| bands.len() != count) && settings.axes.is_none() {
            axes.check_unnamed_bands(image.hdu)?;
        }
        let selected = select(named, count, *bands)?;
        let object = BareObject {
            hdus,
            image: all.select(&selected.planes),
            bands: selected.names,
            selected: selected.planes,
            all_planes: count,
            numbers: vec![image.number],
            entry: image.entries.map(|entries| (image.entry, entries)),
        };
        companions.complete(settings, object)
    }

    /// The object whose bands are HDUs.
    fn object_of_hdus(&self, images: &[&Hdu], of_files: Option<&Vec<String>>) -> Result<ObjectPlanes, String> {
        let Self { hdus, companions, settings, bands } = self;
        let all = self.plane_per_hdu(images)?;
        let named: Option<Vec<String>> = images.iter().map(|hdu| band_of(&hdu.header, true)).collect();
        let primary = hdus.first().and_then(|hdu| hdu.header.text("BANDS"));
        let named = named.or_else(|| parse_bands(&primary?, images.len()));
        let selected = match of_files {
            None => select(named, images.len(), *bands)?,
            Some(names) => SelectedBands { planes: (0..images.len()).collect(), names: names.clone() },
        };
        let object = BareObject {
            hdus,
            image: all.select(&selected.planes),
            bands: selected.names,
            selected: selected.planes,
            all_planes: images.len(),
            numbers: (0..images.len()).collect(),
            entry: None,
        };
        companions.complete(settings, object)
    }

    /// The single plane of each of some HDUs, all of one shape.
    fn plane_per_hdu(&self, hdus: &[&Hdu]) -> Result<PlaneSet, String> {
        let mut all: Option<PlaneSet> = None;
        for hdu in hdus {
            let axes = Axes::of(hdu, self.settings.axes.as_deref())?;
            if !axes.is_flat() {
                let count = axes.objects().unwrap_or(1) * axes.bands();
                return Err(format!("HDU {} has {count} planes, expected one for its band", hdu.index));
            }
            let planes = axes.planes(hdu.index, 0);
            match &mut all {
                None => all = Some(planes),
                Some(set) if set.shape == planes.shape => set.planes.extend(planes.planes),
                Some(set) => {
                    let (found, expected) = (planes.shape, set.shape);
                    return Err(format!(
                        "HDU {} is {found:?} pixels, expected {expected:?} as in the first band",
                        hdu.index
                    ));
                }
            }
        }
        all.ok_or_else(|| "has no image".into())
    }
}
