//! Which planes of which units make an object.

use super::{Companion, Fits, Layout};
use crate::fits::{self, Hdu, HduKind, Header};

/// A plane of a unit: its number among the planes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Plane {
    pub hdu: usize,
    pub index: usize,
}

/// Where the planes of one image lie, one per band.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Planes {
    pub planes: Vec<Plane>,
    /// Rows and columns of a plane.
    pub side: [usize; 2],
}

/// What a variance unit holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spread {
    Variance,
    Sigma,
    Inverse,
}

/// An object of a file.
#[derive(Debug, Clone)]
pub(super) struct Object {
    pub image: Planes,
    pub bands: Vec<String>,
    pub variance: Option<(Planes, Spread)>,
    pub mask: Option<Planes>,
    pub psf: Option<Planes>,
}

/// A row of a file: its units, its place in a stack, and the object or why it is none.
pub(super) struct Found {
    pub hdus: Vec<usize>,
    pub entry: Option<usize>,
    /// Whether other objects share the file, and so the keys of its primary header.
    pub shares_file: bool,
    pub object: Result<Object, String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Image,
    Variance(Spread),
    Mask,
    Psf,
    Other,
}

/// The rows of a file, in order: an error when no row can be told apart.
pub(super) fn objects(file: &fits::FitsFile, settings: &Fits, bands: Option<&[String]>) -> Result<Vec<Found>, String> {
    let hdus = file.hdus();
    let images = images(hdus, settings)?;
    let layout = match settings.layout {
        Layout::Auto if images.len() == 1 => Layout::Cube,
        Layout::Auto if is_unit_per_band(&images, bands) => Layout::HduPerBand,
        Layout::Auto => Layout::HduPerObject,
        Layout::Cube if images.len() > 1 => {
            return Err(format!(
                "has {} image units, expected one cube: `hdu` names the one to read, `layout: hdu_per_object` reads all",
                images.len()
            ));
        }
        layout => layout,
    };
    if layout == Layout::HduPerBand {
        if let Some(damaged) = images.iter().find_map(|hdu| damage(hdu).err()) {
            return Err(damaged);
        }
        let object = unit_per_band(file, settings, &images, bands);
        let hdus = images.iter().map(|hdu| hdu.index).collect();
        return Ok(vec![Found { hdus, entry: None, shares_file: false, object }]);
    }
    let mut found = Vec::new();
    for (number, hdu) in images.iter().enumerate() {
        let entries = match squeezed(&hdu.shape) {
            [entries, _, _, _] => Some(*entries),
            _ => None,
        };
        for entry in 0..entries.unwrap_or(1) {
            let shares_file = images.len() > 1 || entries.is_some();
            let place = Place { hdu, number, of: images.len(), entry, entries };
            let object = cube(file, settings, &place, bands, shares_file);
            found.push(Found { hdus: vec![hdu.index], entry: entries.map(|_| entry), shares_file, object });
        }
    }
    Ok(found)
}

/// The units that hold images: those that `hdu` names, or those that look like it.
fn images<'a>(hdus: &'a [Hdu], settings: &Fits) -> Result<Vec<&'a Hdu>, String> {
    let Some(names) = &settings.hdu else {
        let candidate =
            |hdu: &&Hdu| hdu.kind == HduKind::Damaged || (hdu.has_pixels() && role(&hdu.header) == Role::Image);
        let images: Vec<&Hdu> = hdus.iter().filter(candidate).collect();
        // A lone damaged unit says more than that there is no image.
        return match images.as_slice() {
            [] => Err(format!("has no image: it holds {}", inventory(hdus))),
            [hdu] if hdu.kind == HduKind::Damaged => Err(damage(hdu).err().unwrap_or_default()),
            _ => Ok(images),
        };
    };
    let mut images = Vec::new();
    for name in names {
        let before = images.len();
        if let Ok(number) = name.parse::<usize>() {
            images.extend(hdus.get(number));
        } else {
            let named = |hdu: &&Hdu| hdu.header.text("EXTNAME").is_some_and(|found| found.eq_ignore_ascii_case(name));
            images.extend(hdus.iter().filter(named));
        }
        if images.len() == before {
            return Err(format!("has no unit `{name}`: it holds {}", inventory(hdus)));
        }
    }
    Ok(images)
}

fn inventory(hdus: &[Hdu]) -> String {
    let one = |hdu: &Hdu| {
        let kind = if hdu.kind == HduKind::Image && !hdu.has_pixels() { "no pixels" } else { hdu.kind.name() };
        hdu.header.text("EXTNAME").map_or(kind.to_owned(), |name| format!("{kind} `{}`", name.escape_debug()))
    };
    let more = if hdus.len() > 8 { format!(" and {} more", hdus.len() - 8) } else { String::new() };
    hdus.iter().take(8).map(one).collect::<Vec<_>>().join(", ") + &more
}

fn damage(hdu: &Hdu) -> Result<(), String> {
    match &hdu.damage {
        Some(damage) => Err(format!("unit {} {damage}", hdu.index)),
        None if !hdu.has_pixels() => {
            Err(format!("unit {} is {}, expected an image with pixels", hdu.index, hdu.kind.name()))
        }
        None => Ok(()),
    }
}

/// What a unit is for, by its `EXTTYPE` or `EXTNAME`.
fn role(header: &Header) -> Role {
    let of = |name: &str| match name.to_ascii_uppercase().as_str() {
        "VARIANCE" | "VAR" | "UNCERT" => Some(Role::Variance(Spread::Variance)),
        "ERR" | "ERROR" | "SIGMA" | "RMS" | "STDDEV" => Some(Role::Variance(Spread::Sigma)),
        "WEIGHT" | "WHT" | "IVAR" | "INVVAR" => Some(Role::Variance(Spread::Inverse)),
        "MASK" | "DQ" | "FLAGS" => Some(Role::Mask),
        "PSF" | "PSFIMAGE" | "KERNEL" => Some(Role::Psf),
        "SEGM" | "SEGMENTATION" | "SEGMAP" | "BKG" | "BACKGROUND" | "EXPOSURE" => Some(Role::Other),
        _ => None,
    };
    ["EXTTYPE", "EXTNAME"].iter().filter_map(|key| header.text(key)).find_map(|name| of(&name)).unwrap_or(Role::Image)
}

/// The axes without leading ones of length one, at least two.
fn squeezed(shape: &[usize]) -> &[usize] {
    let mut shape = shape;
    while shape.len() > 2 && shape[0] == 1 {
        shape = &shape[1..];
    }
    shape
}

fn is_unit_per_band(images: &[&Hdu], bands: Option<&[String]>) -> bool {
    let flat = images.iter().all(|hdu| squeezed(&hdu.shape).len() == 2);
    let named: Vec<Option<String>> = images.iter().map(|hdu| band_of(&hdu.header, bands.is_some())).collect();
    let distinct = named.iter().all(Option::is_some) && (1..named.len()).all(|at| !named[..at].contains(&named[at]));
    let wanted = bands.is_some_and(|bands| {
        let found = |band: &String| named.iter().filter(|name| name.as_ref() == Some(band)).count() == 1;
        bands.len() > 1 && (bands.len() == images.len() || bands.iter().all(found))
    });
    flat && (wanted || (bands.is_none() && distinct))
}

/// The band of a unit with one plane. A name like `SCI` is none, so `EXTNAME` counts only where bands are expected.
fn band_of(header: &Header, by_name: bool) -> Option<String> {
    let keys: &[&str] = if by_name { &["BAND", "FILTER", "EXTNAME"] } else { &["BAND", "FILTER"] };
    keys.iter().find_map(|key| header.text(key))
}

/// The bands that `BANDS` names: `gri`, `g,r,i` or `g r i`.
fn listed(text: &str, count: usize) -> Option<Vec<String>> {
    let parts: Vec<String> = text
        .split(|letter: char| letter.is_whitespace() || ",;|".contains(letter))
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect();
    if parts.len() == count {
        return Some(parts);
    }
    (parts.len() == 1 && text.chars().count() == count).then(|| text.chars().map(String::from).collect())
}

/// Which of `count` planes to take, and what to call them, given what the header calls them.
fn pick(
    named: Option<Vec<String>>,
    count: usize,
    bands: Option<&[String]>,
) -> Result<(Vec<usize>, Vec<String>), String> {
    let Some(bands) = bands else {
        let names = named.unwrap_or_else(|| (1..=count).map(|band| format!("band{band}")).collect());
        return Ok(((0..count).collect(), names));
    };
    if let Some(named) = &named {
        let found: Option<Vec<usize>> = bands.iter().map(|band| named.iter().position(|name| name == band)).collect();
        match found {
            Some(found) => return Ok((found, bands.to_vec())),
            // One plane can be called anything: `r_03` is the `r` that the settings say.
            None if count == 1 && bands.len() == 1 => {}
            None => return Err(format!("has the bands {}, expected {}", quoted(named), quoted(bands))),
        }
    }
    if count != bands.len() {
        return Err(format!(
            "has {count} {}, expected {} for the bands {}",
            planes_word(count),
            bands.len(),
            quoted(bands)
        ));
    }
    Ok(((0..count).collect(), bands.to_vec()))
}

fn planes_word(count: usize) -> &'static str {
    if count == 1 { "plane" } else { "planes" }
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{}`", name.escape_debug())).collect::<Vec<_>>().join(", ")
}

/// An image unit among others.
struct Place<'a> {
    hdu: &'a Hdu,
    number: usize,
    of: usize,
    entry: usize,
    entries: Option<usize>,
}

impl Place<'_> {
    /// The planes of a unit that belong to this object, all of them.
    fn planes(&self, hdu: &Hdu) -> Result<Planes, String> {
        let (count, side) = flat(hdu)?;
        let start = self.entry * count;
        Ok(Planes { planes: (start..start + count).map(|index| Plane { hdu: hdu.index, index }).collect(), side })
    }
}

/// Planes of an object in a unit, and their sides.
fn flat(hdu: &Hdu) -> Result<(usize, [usize; 2]), String> {
    damage(hdu)?;
    match *squeezed(&hdu.shape) {
        [height, width] => Ok((1, [height, width])),
        [planes, height, width] | [_, planes, height, width] => Ok((planes, [height, width])),
        _ => Err(format!("has the shape {:?}, expected [y, x] or [band, y, x]", hdu.shape)),
    }
}

fn cube(
    file: &fits::FitsFile,
    settings: &Fits,
    place: &Place<'_>,
    bands: Option<&[String]>,
    shared: bool,
) -> Result<Object, String> {
    let header = &place.hdu.header;
    if settings.layout == Layout::Cube && place.entries.is_some() {
        return Err(format!("has the shape {:?}, expected [band, y, x]", place.hdu.shape));
    }
    let all = place.planes(place.hdu)?;
    let count = all.planes.len();
    let primary = file.hdus().first().map(|hdu| &hdu.header);
    let headers = || [Some(header), primary].into_iter().flatten();
    let named = match headers().find_map(|header| header.text("BANDS")) {
        Some(text) if count > 1 || !shared => Some(listed(&text, count).ok_or_else(|| {
            format!("key `BANDS` is `{}`, expected the names of {count} {}", text.escape_debug(), planes_word(count))
        })?),
        _ if count == 1 => headers().find_map(|header| band_of(header, false)).map(|band| vec![band]),
        _ => None,
    };
    let (picked, bands) = pick(named, count, bands)?;
    let companion = |wanted| -> Result<Option<(Planes, Role)>, String> {
        if !settings.required_columns(wanted) {
            return Ok(None);
        }
        let units = companions(file.hdus(), wanted);
        let unit = match units.len() {
            1 => units[0],
            found if found == place.of => units[place.number],
            found => return Err(counted(wanted, found, place.of)),
        };
        let one = Place { hdu: unit, number: 0, of: 1, entry: 0, entries: None };
        let of_stack = place.entries.is_some()
            && place.entries == squeezed(&unit.shape).first().copied()
            && squeezed(&unit.shape).len() == 4;
        let all = if of_stack { place.planes(unit)? } else { one.planes(unit)? };
        spread(&all, count, &picked, wanted).map(|planes| Some((planes, role(&unit.header))))
    };
    let image = Planes { planes: picked.iter().map(|plane| all.planes[*plane]).collect(), side: all.side };
    with_companions(image, bands, companion)
}

fn unit_per_band(
    file: &fits::FitsFile,
    settings: &Fits,
    images: &[&Hdu],
    bands: Option<&[String]>,
) -> Result<Object, String> {
    let plane = |hdu: &Hdu| match flat(hdu)? {
        (1, side) => Ok((Plane { hdu: hdu.index, index: 0 }, side)),
        (count, _) => Err(format!("unit {} has {count} planes, expected one for its band", hdu.index)),
    };
    let together = |units: &[&Hdu]| {
        let planes: Vec<(Plane, [usize; 2])> = units.iter().map(|hdu| plane(hdu)).collect::<Result<_, String>>()?;
        let side = planes.first().map(|(_, side)| *side).unwrap_or_default();
        if let Some((other, found)) = planes.iter().find(|(_, found)| *found != side) {
            return Err(format!("unit {} is {found:?} pixels, expected {side:?} as in the first band", other.hdu));
        }
        Ok(Planes { planes: planes.into_iter().map(|(plane, _)| plane).collect(), side })
    };
    let all = together(images)?;
    let named: Option<Vec<String>> = images.iter().map(|hdu| band_of(&hdu.header, true)).collect();
    let primary = file.hdus().first().and_then(|hdu| hdu.header.text("BANDS"));
    let (picked, bands) = pick(named.or_else(|| listed(&primary?, images.len())), images.len(), bands)?;
    let companion = |wanted| -> Result<Option<(Planes, Role)>, String> {
        if !settings.required_columns(wanted) {
            return Ok(None);
        }
        let units = companions(file.hdus(), wanted);
        if units.len() != 1 && units.len() != images.len() {
            return Err(counted(wanted, units.len(), images.len()));
        }
        let role = units.first().map_or(Role::Other, |hdu| role(&hdu.header));
        spread(&together(&units)?, images.len(), &picked, wanted).map(|planes| Some((planes, role)))
    };
    let image = Planes { planes: picked.iter().map(|plane| all.planes[*plane]).collect(), side: all.side };
    with_companions(image, bands, companion)
}

fn with_companions(
    image: Planes,
    bands: Vec<String>,
    companion: impl Fn(Companion) -> Result<Option<(Planes, Role)>, String>,
) -> Result<Object, String> {
    let same_side = |planes: &Planes, what: &str| {
        let same = planes.side == image.side;
        if same {
            Ok(())
        } else {
            Err(format!("has a {what} of {:?} pixels, expected {:?} as of the image", planes.side, image.side))
        }
    };
    let variance = companion(Companion::Variance)?.map(|(planes, role)| {
        let spread = if let Role::Variance(spread) = role { spread } else { Spread::Variance };
        same_side(&planes, "variance").map(|()| (planes, spread))
    });
    let mask = companion(Companion::Mask)?.map(|(planes, _)| same_side(&planes, "mask").map(|()| planes));
    let psf = companion(Companion::Psf)?.map(|(planes, _)| planes);
    Ok(Object { variance: variance.transpose()?, mask: mask.transpose()?, psf, image, bands })
}

fn companions(hdus: &[Hdu], wanted: Companion) -> Vec<&Hdu> {
    let is = |hdu: &&Hdu| {
        let role = role(&hdu.header);
        let same = match wanted {
            Companion::Variance => matches!(role, Role::Variance(_)),
            Companion::Mask => role == Role::Mask,
            Companion::Psf => role == Role::Psf,
        };
        same && hdu.has_pixels()
    };
    hdus.iter().filter(is).collect()
}

fn counted(wanted: Companion, found: usize, expected: usize) -> String {
    let what = match wanted {
        Companion::Variance => "variance",
        Companion::Mask => "mask",
        Companion::Psf => "PSF",
    };
    if found == 0 {
        format!("has no {what} unit")
    } else {
        format!("has {found} {what} units, expected 1 or {expected}")
    }
}

/// The picked planes of a companion; one plane serves all bands.
fn spread(all: &Planes, count: usize, picked: &[usize], wanted: Companion) -> Result<Planes, String> {
    let planes = match all.planes.len() {
        1 => picked.iter().map(|_| all.planes[0]).collect(),
        found if found == count => picked.iter().map(|plane| all.planes[*plane]).collect(),
        found => return Err(counted(wanted, found, count).replace("units", "planes")),
    };
    Ok(Planes { planes, side: all.side })
}

impl Fits {
    /// Whether a companion has to be read: as a column, or because the mask decides.
    fn required_columns(&self, companion: Companion) -> bool {
        self.wants(companion) || (companion == Companion::Mask && self.masked.is_some())
    }
}
