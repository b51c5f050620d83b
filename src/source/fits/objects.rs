//! The objects of a file: which planes of which HDUs make each.

use std::collections::HashSet;

use super::{
    Companion, Fits, Layout,
    bands::{band_of, parse_bands, planes_word, select},
    companions::{
        CompanionHdus, CompanionPlanes, HduRole, VarianceForm, companion_planes, role, with_companions, wrong_number,
    },
};
use crate::fits::{self, Hdu, HduKind};

/// The most bands of an object, more than spectral cubes have. Each takes a name, whatever the size of its plane, and names are compared
/// with each other.
const MAX_BANDS: usize = 1 << 14;

/// A plane of an HDU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PlaneIndex {
    pub hdu: usize,
    /// Its number among the planes of the HDU.
    pub plane: usize,
}

/// The planes of one image, one per band.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PlaneSet {
    pub planes: Vec<PlaneIndex>,
    /// Rows and columns of a plane, pixels.
    pub shape: [usize; 2],
}

impl PlaneSet {
    fn select(&self, planes: &[usize]) -> Self {
        Self { planes: planes.iter().map(|plane| self.planes[*plane]).collect(), shape: self.shape }
    }
}

/// The planes of an object.
#[derive(Debug, Clone)]
pub(super) struct ObjectPlanes {
    pub image: PlaneSet,
    pub bands: Vec<String>,
    pub variance: Option<(PlaneSet, VarianceForm)>,
    pub mask: Option<PlaneSet>,
    pub psf: Option<PlaneSet>,
}

/// A row of a file.
pub(super) struct FileRow {
    /// The HDUs of its image.
    pub hdus: Vec<usize>,
    /// Its entry in a cube with four axes.
    pub entry: Option<usize>,
    /// Whether the file has other objects, which the keys of the primary header then describe too.
    pub shares_file: bool,
    /// Its planes, or the reason why it is rejected.
    pub object: Result<ObjectPlanes, String>,
}

/// The rows of a file, in order. They are found one by one: the header of a cube of some bytes may promise millions.
pub(super) struct FileRows {
    layout: Layout,
    /// The image HDUs.
    images: Vec<usize>,
    /// The HDUs of companions, by what they hold.
    companions: CompanionHdus,
    /// The next row: its image HDU among these, and its entry.
    at: usize,
    entry: usize,
}

impl FileRows {
    /// The rows of a file; an error when they cannot be identified, which makes the file one rejected row.
    pub(super) fn of(file: &fits::FitsFile, settings: &Fits, bands: Option<&[String]>) -> Result<Self, String> {
        let images = image_hdus(file.hdus(), settings)?;
        let layout = match settings.layout {
            Layout::Auto if images.len() == 1 => Layout::Cube,
            Layout::Auto if is_hdu_per_band(&images, bands) => Layout::HduPerBand,
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
        } else if images.iter().all(|hdu| entries(hdu) == Some(0)) {
            let shapes: Vec<String> = images.iter().map(|hdu| format!("{:?}", hdu.shape)).collect();
            return Err(format!("has no object: its images have the shapes {}", shapes.join(", ")));
        }
        let images = images.into_iter().map(|hdu| hdu.index).collect();
        Ok(Self { layout, images, companions: CompanionHdus::of(file.hdus()), at: 0, entry: 0 })
    }

    /// The next row of the file that these are the rows of.
    pub(super) fn next(&mut self, file: &fits::FitsFile, settings: &Fits, bands: Option<&[String]>) -> Option<FileRow> {
        let hdus = file.hdus();
        let context = FileContext { hdus, companions: &self.companions, settings, bands };
        if self.layout == Layout::HduPerBand {
            let images: Vec<&Hdu> = self.images.iter().filter_map(|index| hdus.get(*index)).collect();
            let only = std::mem::replace(&mut self.at, 1) == 0;
            return only.then(|| FileRow {
                object: context.object_of_hdus(&images),
                hdus: self.images.clone(),
                entry: None,
                shares_file: false,
            });
        }
        loop {
            let hdu = hdus.get(*self.images.get(self.at)?)?;
            let entries = entries(hdu);
            if self.entry >= entries.unwrap_or(1) {
                (self.at, self.entry) = (self.at + 1, 0);
                continue;
            }
            let entry = self.entry;
            self.entry += 1;
            let shares_file = self.images.len() > 1 || entries.is_some();
            let place = ImageHdu { hdu, number: self.at, of: self.images.len(), entry, entries };
            let object = context.object_of_cube(&place, shares_file);
            return Some(FileRow { hdus: vec![hdu.index], entry: entries.map(|_| entry), shares_file, object });
        }
    }
}

/// How many objects a cube with four axes has; `None` for another image, which is one.
fn entries(hdu: &Hdu) -> Option<usize> {
    match axes(&hdu.shape) {
        [entries, _, _, _] => Some(*entries),
        _ => None,
    }
}

/// The HDUs that hold images: those that `hdu` names, or those without another role.
fn image_hdus<'a>(hdus: &'a [Hdu], settings: &Fits) -> Result<Vec<&'a Hdu>, String> {
    let Some(names) = &settings.hdu else {
        let is_candidate =
            |hdu: &&Hdu| hdu.kind == HduKind::Damaged || (hdu.has_pixels() && role(&hdu.header) == HduRole::Image);
        let images: Vec<&Hdu> = hdus.iter().filter(is_candidate).collect();
        return match images.as_slice() {
            [] => Err(format!("has no image: it holds {}", inventory(hdus))),
            // The damage explains more than "no image".
            [hdu] if hdu.kind == HduKind::Damaged => Err(usable(hdu).err().unwrap_or_default()),
            _ => Ok(images),
        };
    };
    let mut images = Vec::new();
    for name in names {
        let before = images.len();
        if let Ok(number) = name.parse::<usize>() {
            images.extend(hdus.get(number));
        } else {
            let is_named =
                |hdu: &&Hdu| hdu.header.text("EXTNAME").is_some_and(|found| found.eq_ignore_ascii_case(name));
            images.extend(hdus.iter().filter(is_named));
        }
        if images.len() == before {
            return Err(format!("has no HDU `{name}`: it holds {}", inventory(hdus)));
        }
    }
    Ok(images)
}

/// The HDUs of a file in words, the first eight.
fn inventory(hdus: &[Hdu]) -> String {
    let one = |hdu: &Hdu| {
        let kind = if hdu.kind == HduKind::Image && !hdu.has_pixels() { "no pixels" } else { hdu.kind.name() };
        hdu.header.text("EXTNAME").map_or(kind.to_owned(), |name| format!("{kind} `{}`", name.escape_debug()))
    };
    let more = if hdus.len() > 8 { format!(" and {} more", hdus.len() - 8) } else { String::new() };
    hdus.iter().take(8).map(one).collect::<Vec<_>>().join(", ") + &more
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

/// The axes without leading ones of length one, at least two.
fn axes(shape: &[usize]) -> &[usize] {
    let mut shape = shape;
    while shape.len() > 2 && shape[0] == 1 {
        shape = &shape[1..];
    }
    shape
}

/// Refuses more bands than an object may have.
fn check_bands(found: usize) -> Result<(), String> {
    let few = found <= MAX_BANDS;
    few.then_some(()).ok_or_else(|| format!("has {found} bands, expected at most {MAX_BANDS}"))
}

/// Whether several image HDUs are the bands of one object, for `layout: auto`.
fn is_hdu_per_band(images: &[&Hdu], bands: Option<&[String]>) -> bool {
    if images.len() > MAX_BANDS {
        return false;
    }
    let are_flat = images.iter().all(|hdu| axes(&hdu.shape).len() == 2);
    let named: Vec<Option<String>> = images.iter().map(|hdu| band_of(&hdu.header, bands.is_some())).collect();
    let distinct: HashSet<&Option<String>> = named.iter().collect();
    let are_distinct = !distinct.contains(&None) && distinct.len() == named.len();
    let are_wanted = bands.is_some_and(|bands| {
        let found = |band: &String| named.iter().filter(|name| name.as_ref() == Some(band)).take(2).count() == 1;
        bands.len() > 1 && (bands.len() == images.len() || bands.iter().all(found))
    });
    are_flat && (are_wanted || (bands.is_none() && are_distinct))
}

/// Planes per object of an HDU, and their shape.
fn planes_of(hdu: &Hdu) -> Result<(usize, [usize; 2]), String> {
    usable(hdu)?;
    match *axes(&hdu.shape) {
        [height, width] => Ok((1, [height, width])),
        [planes, height, width] | [_, planes, height, width] => {
            check_bands(planes)?;
            Ok((planes, [height, width]))
        }
        _ => Err(format!("has the shape {:?}, expected [y, x] or [band, y, x]", hdu.shape)),
    }
}

/// The single plane of each of some HDUs, all of one shape.
fn plane_per_hdu(hdus: &[&Hdu]) -> Result<PlaneSet, String> {
    let plane = |hdu: &Hdu| match planes_of(hdu)? {
        (1, shape) => Ok((PlaneIndex { hdu: hdu.index, plane: 0 }, shape)),
        (count, _) => Err(format!("HDU {} has {count} planes, expected one for its band", hdu.index)),
    };
    let planes: Vec<(PlaneIndex, [usize; 2])> = hdus.iter().map(|hdu| plane(hdu)).collect::<Result<_, String>>()?;
    let shape = planes.first().map(|(_, shape)| *shape).unwrap_or_default();
    if let Some((other, found)) = planes.iter().find(|(_, found)| *found != shape) {
        return Err(format!("HDU {} is {found:?} pixels, expected {shape:?} as in the first band", other.hdu));
    }
    Ok(PlaneSet { planes: planes.into_iter().map(|(plane, _)| plane).collect(), shape })
}

/// An image HDU and the entry in it that is an object.
struct ImageHdu<'a> {
    hdu: &'a Hdu,
    /// Its number among the image HDUs.
    number: usize,
    /// How many image HDUs there are.
    of: usize,
    entry: usize,
    /// Length of the slowest of four axes.
    entries: Option<usize>,
}

impl ImageHdu<'_> {
    /// The planes of this entry in an HDU.
    fn planes(&self, hdu: &Hdu) -> Result<PlaneSet, String> {
        let (count, shape) = planes_of(hdu)?;
        let start = self.entry * count;
        let planes = (start..start + count).map(|plane| PlaneIndex { hdu: hdu.index, plane }).collect();
        Ok(PlaneSet { planes, shape })
    }

    /// Whether another HDU has an entry for each of this one.
    fn has_entries_of(&self, other: &Hdu) -> bool {
        let axes = axes(&other.shape);
        axes.len() == 4 && self.entries == axes.first().copied()
    }
}

/// The HDUs of a file, and what its objects are read with.
struct FileContext<'a> {
    hdus: &'a [Hdu],
    companions: &'a CompanionHdus,
    settings: &'a Fits,
    bands: Option<&'a [String]>,
}

impl FileContext<'_> {
    /// The object in a cube, or in one entry of it.
    fn object_of_cube(&self, image: &ImageHdu<'_>, shares_file: bool) -> Result<ObjectPlanes, String> {
        let Self { hdus, companions, settings, bands } = self;
        let header = &image.hdu.header;
        if settings.layout == Layout::Cube && image.entries.is_some() {
            return Err(format!("has the shape {:?}, expected [band, y, x]", image.hdu.shape));
        }
        let all = image.planes(image.hdu)?;
        let count = all.planes.len();
        let primary = hdus.first().map(|hdu| &hdu.header);
        let headers = || [Some(header), primary].into_iter().flatten();
        let named = match headers().find_map(|header| header.text("BANDS")) {
            Some(text) if count > 1 || !shares_file => Some(parse_bands(&text, count).ok_or_else(|| {
                let (text, planes) = (text.escape_debug(), planes_word(count));
                format!("key `BANDS` is `{text}`, expected the names of {count} {planes}")
            })?),
            _ if count == 1 => headers().find_map(|header| band_of(header, false)).map(|band| vec![band]),
            _ => None,
        };
        let selected = select(named, count, *bands)?;
        let companion = |wanted: Companion| {
            let found = companions.holding(wanted);
            let hdu = match found.len() {
                1 => &hdus[found[0]],
                number if number == image.of => &hdus[found[image.number]],
                number => return Err(wrong_number(wanted, (number, "HDUs"), image.of)),
            };
            let single = ImageHdu { hdu, number: 0, of: 1, entry: 0, entries: None };
            let all = if image.has_entries_of(hdu) { image.planes(hdu)? } else { single.planes(hdu)? };
            let planes = companion_planes(&all, count, &selected.planes, wanted)?;
            Ok(CompanionPlanes { planes, role: role(&hdu.header) })
        };
        with_companions(settings, all.select(&selected.planes), selected.names.clone(), companion)
    }

    /// The object whose bands are HDUs.
    fn object_of_hdus(&self, images: &[&Hdu]) -> Result<ObjectPlanes, String> {
        let Self { hdus, companions, settings, bands } = self;
        check_bands(images.len())?;
        let all = plane_per_hdu(images)?;
        let named: Option<Vec<String>> = images.iter().map(|hdu| band_of(&hdu.header, true)).collect();
        let primary = hdus.first().and_then(|hdu| hdu.header.text("BANDS"));
        let named = named.or_else(|| parse_bands(&primary?, images.len()));
        let selected = select(named, images.len(), *bands)?;
        let companion = |wanted: Companion| {
            let found: Vec<&Hdu> = companions.holding(wanted).iter().map(|index| &hdus[*index]).collect();
            if found.len() != 1 && found.len() != images.len() {
                return Err(wrong_number(wanted, (found.len(), "HDUs"), images.len()));
            }
            let role = found.first().map_or(HduRole::Other, |hdu| role(&hdu.header));
            let planes = companion_planes(&plane_per_hdu(&found)?, images.len(), &selected.planes, wanted)?;
            Ok(CompanionPlanes { planes, role })
        };
        with_companions(settings, all.select(&selected.planes), selected.names.clone(), companion)
    }
}
