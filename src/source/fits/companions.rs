//! The HDUs beside an image: variance, mask and PSF, found by their roles and paired with their image.

pub(in crate::source) use super::roles::VarianceForm;
use super::{
    Companion, Fits,
    axes::{Axes, PlaneSet},
    objects::ObjectPlanes,
    roles::{HduName, HduRole},
};
use std::ops::Range;

use crate::fits::{FitsFile, Hdu};

/// The most HDUs of a mask whose planes are told apart by their bits: a column has 64 of them.
const MAX_MASKS: usize = 2;

/// An HDU that holds a companion.
#[derive(Debug, Clone)]
struct CompanionHdu {
    hdu: usize,
    name: HduName,
}

/// The HDUs of a file that hold companions.
#[derive(Debug, Default)]
pub(super) struct CompanionHdus {
    variance: Vec<CompanionHdu>,
    mask: Vec<CompanionHdu>,
    psf: Vec<CompanionHdu>,
    /// The names of the image HDUs, in their order.
    images: Vec<HduName>,
    /// The HDUs of the file of each image, where they are in several files.
    files: Vec<Range<usize>>,
}

impl CompanionHdus {
    /// Those of a file with some images.
    pub(super) fn of(hdus: &[Hdu], images: &[usize], settings: &Fits) -> Self {
        let mut found = Self::default();
        if ![Companion::Variance, Companion::Mask, Companion::Psf].iter().any(|companion| settings.needs(*companion)) {
            return found;
        }
        let mut weights = Vec::new();
        for hdu in hdus.iter().filter(|hdu| hdu.has_pixels() && !images.contains(&hdu.index)) {
            let name = HduName::of(&hdu.header);
            let role = name.role;
            let own = CompanionHdu { hdu: hdu.index, name };
            match role {
                Some(HduRole::Variance(VarianceForm::Inverse)) => weights.push(own),
                Some(HduRole::Variance(_)) => found.variance.push(own),
                Some(HduRole::Mask) => found.mask.push(own),
                Some(HduRole::Psf) => found.psf.push(own),
                Some(HduRole::Image | HduRole::Other) | None => {}
            }
        }
        // A variance is preferred to its square root, and either to a weight, which may be only an exposure time.
        let is_variance = |own: &CompanionHdu| own.name.role == Some(HduRole::Variance(VarianceForm::Variance));
        if found.variance.iter().any(is_variance) {
            found.variance.retain(is_variance);
        }
        if found.variance.is_empty() {
            found.variance = weights;
        }
        found.images = images.iter().filter_map(|image| hdus.get(*image)).map(|hdu| HduName::of(&hdu.header)).collect();
        found
    }

    /// Those of files that are the bands of an object: a companion belongs to the image of its file.
    pub(super) fn of_files(file: &FitsFile, images: &[usize], settings: &Fits) -> Self {
        let hdus = |image: &usize| {
            let hdus = file.file_of(*image);
            let first = hdus.first().map_or(0, |first| first.index);
            first..first + hdus.len()
        };
        Self { files: images.iter().map(hdus).collect(), ..Self::of(file.hdus(), images, settings) }
    }

    fn holding(&self, companion: Companion) -> &[CompanionHdu] {
        match companion {
            Companion::Variance => &self.variance,
            Companion::Mask => &self.mask,
            Companion::Psf => &self.psf,
        }
    }

    /// The HDUs that belong to an image (by its number among the images): several for a mask in parts, one for all else. The error
    /// is the reason why they are not known.
    fn of_image(&self, wanted: Companion, number: usize) -> Result<Vec<&CompanionHdu>, String> {
        let is_in_file = |own: &&CompanionHdu| self.files.get(number).is_none_or(|file| file.contains(&own.hdu));
        let all: Vec<&CompanionHdu> = self.holding(wanted).iter().filter(is_in_file).collect();
        let what = word(wanted);
        // Of several files, each has one image.
        let images = if self.files.is_empty() { self.images.len() } else { 1 };
        let image = &self.images[number];
        let in_words = || self.image_in_words(number);
        if all.is_empty() {
            return Err(format!("has no {what} HDU"));
        }
        // By what the names have beside the role: `VAR_G` belongs to `SCI_G`.
        let same: Vec<&CompanionHdu> = all.iter().copied().filter(|own| own.name.rest == image.rest).collect();
        let candidates = match (same.is_empty(), image.rest.is_empty()) {
            (false, _) => same,
            (true, true) => all,
            (true, false) => {
                let shared: Vec<_> = all.iter().copied().filter(|own| own.name.rest.is_empty()).collect();
                if shared.is_empty() && images > 1 {
                    return Err(format!("has no {what} HDU for {}: it has {}", in_words(), named(&all)));
                }
                if shared.is_empty() { all } else { shared }
            }
        };
        // By `EXTVER`, which is 1 where it is missing (FITS 4.0, section 4.4.2.6).
        let has_versions = candidates.iter().any(|own| own.name.version.is_some())
            || self.images.iter().any(|image| image.version.is_some());
        let candidates = if images > 1 && has_versions && candidates.len() > 1 {
            let version = image.version.unwrap_or(1);
            let own: Vec<_> =
                candidates.iter().copied().filter(|own| own.name.version.unwrap_or(1) == version).collect();
            if own.is_empty() {
                return Err(format!("has no {what} HDU of `EXTVER` {version}, that of {}", in_words()));
            }
            own
        } else {
            candidates
        };
        match candidates.len() {
            1 => Ok(candidates),
            // In the order of the file, where nothing else tells.
            count if count == images => Ok(vec![candidates[number]]),
            count if wanted == Companion::Mask && count <= MAX_MASKS => Ok(candidates),
            count => {
                let expected = if images == 1 { "1".to_owned() } else { format!("1 or {images}") };
                Err(format!("has {count} {what} HDUs, expected {expected}: {}", named(&candidates)))
            }
        }
    }

    fn image_in_words(&self, number: usize) -> String {
        let image = &self.images[number];
        let name =
            image.name.as_ref().map_or_else(|| format!("image {number}"), |name| format!("`{}`", name.escape_debug()));
        image.version.map_or(name.clone(), |version| format!("{name},{version}"))
    }
}

fn named(hdus: &[&CompanionHdu]) -> String {
    let one = |own: &&CompanionHdu| {
        let name = own.name.name.as_deref().unwrap_or("unnamed").escape_debug().to_string();
        let version = own.name.version.map(|version| format!(",{version}")).unwrap_or_default();
        format!("`{name}`{version} (HDU {})", own.hdu)
    };
    let more = if hdus.len() > 8 { ", ..." } else { "" };
    hdus.iter().take(8).map(one).collect::<Vec<_>>().join(", ") + more
}

fn word(companion: Companion) -> &'static str {
    match companion {
        Companion::Variance => "variance",
        Companion::Mask => "mask",
        Companion::Psf => "PSF",
    }
}

/// An object whose companions are to be found.
pub(super) struct BareObject<'a> {
    pub hdus: &'a [Hdu],
    pub image: PlaneSet,
    pub bands: Vec<String>,
    /// The planes of the image among those of its HDUs, and how many these have.
    pub selected: Vec<usize>,
    pub all_planes: usize,
    /// The numbers of its HDUs among the images: one, or one for each plane.
    pub numbers: Vec<usize>,
    /// Its entry in a cube with an axis of objects, and the length of that axis.
    pub entry: Option<(usize, usize)>,
}

impl CompanionHdus {
    /// An object with the companions that the settings need; the error is the reason why it is rejected.
    pub(super) fn complete(&self, settings: &Fits, object: BareObject<'_>) -> Result<ObjectPlanes, String> {
        let find = |companion: Companion| {
            settings.needs(companion).then(|| self.planes(settings, &object, companion)).transpose()
        };
        let check_shape = |planes: &PlaneSet, what: &str| {
            let expected = object.image.shape;
            if planes.shape == expected {
                return Ok(());
            }
            Err(format!("has a {what} of {:?} pixels, expected {expected:?} as in the image", planes.shape))
        };
        let variance = match find(Companion::Variance)? {
            None => None,
            Some((mut parts, form)) => {
                let planes = parts.swap_remove(0);
                check_shape(&planes, "variance")?;
                Some((planes, form))
            }
        };
        let mask = find(Companion::Mask)?.map(|(parts, _)| parts).unwrap_or_default();
        mask.iter().try_for_each(|planes| check_shape(planes, "mask"))?;
        let psf = find(Companion::Psf)?.map(|(mut parts, _)| parts.swap_remove(0));
        Ok(ObjectPlanes { variance, mask, psf, image: object.image, bands: object.bands })
    }

    /// The planes of a companion, part by part, and the form of a variance.
    fn planes(
        &self,
        settings: &Fits,
        object: &BareObject<'_>,
        wanted: Companion,
    ) -> Result<(Vec<PlaneSet>, VarianceForm), String> {
        if let [number] = object.numbers.as_slice() {
            let owned = self.of_image(wanted, *number)?;
            let form = form(&owned)?;
            let parts =
                owned.iter().map(|own| own.planes_of(settings, object, wanted)).collect::<Result<Vec<_>, _>>()?;
            return Ok((parts, form));
        }
        // Each band has an HDU, and so may its companion.
        let mut all: Vec<PlaneSet> = Vec::new();
        let mut forms = Vec::new();
        for plane in &object.selected {
            let owned = self.of_image(wanted, object.numbers[*plane])?;
            forms.push(form(&owned)?);
            for (part, own) in owned.iter().enumerate() {
                let found = Axes::of(&object.hdus[own.hdu], settings.axes.as_deref())?;
                if !found.is_flat() {
                    let planes = found.bands();
                    return Err(format!("HDU {} has {planes} planes, expected one for its band", own.hdu));
                }
                let planes = found.planes(own.hdu, 0);
                match all.get_mut(part) {
                    None => all.push(planes),
                    Some(set) if (set.shape, set.strides) == (planes.shape, planes.strides) => {
                        set.planes.extend(planes.planes);
                    }
                    Some(set) => {
                        let (found, expected) = (planes.shape, set.shape);
                        return Err(format!("HDU {} is {found:?} pixels, expected {expected:?}", own.hdu));
                    }
                }
            }
        }
        let bands = object.selected.len();
        if all.iter().any(|set| set.planes.len() != bands) {
            return Err(format!("has parts of a {} for some of its bands only", word(wanted)));
        }
        let form = forms.first().copied().unwrap_or(VarianceForm::Variance);
        if forms.iter().any(|other| *other != form) {
            return Err("has a variance for one band and a weight or a sigma for another".into());
        }
        Ok((all, form))
    }
}

impl CompanionHdu {
    /// The planes for the bands of an object that is in one HDU. A single plane serves all bands.
    fn planes_of(&self, settings: &Fits, object: &BareObject<'_>, wanted: Companion) -> Result<PlaneSet, String> {
        let hdu = &object.hdus[self.hdu];
        if let Some(damage) = &hdu.damage {
            return Err(format!("HDU {} {damage}", hdu.index));
        }
        let found = Axes::of(hdu, settings.axes.as_deref())?;
        let entry = match (found.objects(), object.entry) {
            (None, _) => 0,
            (Some(length), Some((entry, objects))) if length == objects => entry,
            (Some(_), _) => {
                let (what, shape) = (word(wanted), &hdu.shape);
                return Err(format!("has a {what} of the shape {shape:?}, expected [y, x] or [band, y, x]"));
            }
        };
        let all = found.planes(self.hdu, entry);
        let count = object.all_planes;
        match all.planes.len() {
            1 => Ok(all.select(&vec![0; object.selected.len()])),
            planes if planes == count => Ok(all.select(&object.selected)),
            planes => Err(format!("has {planes} {} planes, expected 1 or {count}", word(wanted))),
        }
    }
}

/// The form of the variance in HDUs.
fn form(hdus: &[&CompanionHdu]) -> Result<VarianceForm, String> {
    match hdus.first().and_then(|own| own.name.role) {
        Some(HduRole::Variance(VarianceForm::Unsaid)) => {
            Err("has an `UNCERT` HDU without key `UTYPE`, expected `std`, `var` or `ivar`".into())
        }
        Some(HduRole::Variance(form)) => Ok(form),
        _ => Ok(VarianceForm::Variance),
    }
}

impl Fits {
    /// Whether a companion must be read: for its column, or because a setting needs the mask.
    fn needs(&self, companion: Companion) -> bool {
        self.wants(companion) || (companion == Companion::Mask && self.reads_mask())
    }
}
