//! The HDUs beside an image: variance, mask and PSF, found by their names.

use super::{
    Companion, Fits,
    objects::{ObjectPlanes, PlaneSet},
};
use crate::fits::{Hdu, Header};

/// What an HDU is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HduRole {
    Image,
    Variance(VarianceForm),
    Mask,
    Psf,
    Other,
}

/// The form in which an HDU gives the variance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum VarianceForm {
    Variance,
    Sigma,
    Inverse,
}

/// The role of an HDU by its `EXTTYPE` or `EXTNAME`.
pub(super) fn role(header: &Header) -> HduRole {
    let of = |name: &str| match name.to_ascii_uppercase().as_str() {
        "VARIANCE" | "VAR" | "UNCERT" => Some(HduRole::Variance(VarianceForm::Variance)),
        "ERR" | "ERROR" | "SIGMA" | "RMS" | "STDDEV" => Some(HduRole::Variance(VarianceForm::Sigma)),
        "WEIGHT" | "WHT" | "IVAR" | "INVVAR" => Some(HduRole::Variance(VarianceForm::Inverse)),
        "MASK" | "DQ" | "FLAGS" => Some(HduRole::Mask),
        "PSF" | "PSFIMAGE" | "KERNEL" => Some(HduRole::Psf),
        "SEGM" | "SEGMENTATION" | "SEGMAP" | "BKG" | "BACKGROUND" | "EXPOSURE" => Some(HduRole::Other),
        _ => None,
    };
    let mut names = ["EXTTYPE", "EXTNAME"].into_iter().filter_map(|key| header.text(key));
    names.find_map(|name| of(&name)).unwrap_or(HduRole::Image)
}

/// The HDUs of a file that hold companions, by their indices.
#[derive(Debug, Default)]
pub(super) struct CompanionHdus {
    variance: Vec<usize>,
    mask: Vec<usize>,
    psf: Vec<usize>,
}

impl CompanionHdus {
    /// Those of a file.
    pub(super) fn of(hdus: &[Hdu]) -> Self {
        let mut found = Self::default();
        for hdu in hdus.iter().filter(|hdu| hdu.has_pixels()) {
            match role(&hdu.header) {
                HduRole::Variance(_) => found.variance.push(hdu.index),
                HduRole::Mask => found.mask.push(hdu.index),
                HduRole::Psf => found.psf.push(hdu.index),
                HduRole::Image | HduRole::Other => {}
            }
        }
        found
    }

    /// Those that hold one companion.
    pub(super) fn holding(&self, companion: Companion) -> &[usize] {
        match companion {
            Companion::Variance => &self.variance,
            Companion::Mask => &self.mask,
            Companion::Psf => &self.psf,
        }
    }
}

/// The planes of a companion, and the role of the first HDU that holds them.
pub(super) struct CompanionPlanes {
    pub planes: PlaneSet,
    pub role: HduRole,
}

/// An object with the companions that the settings need. `find` returns the planes of a companion, or the reason why the object is rejected.
pub(super) fn with_companions(
    settings: &Fits,
    image: PlaneSet,
    bands: Vec<String>,
    find: impl Fn(Companion) -> Result<CompanionPlanes, String>,
) -> Result<ObjectPlanes, String> {
    let find = |companion| settings.needs(companion).then(|| find(companion)).transpose();
    let check_shape = |planes: &PlaneSet, what: &str| {
        if planes.shape == image.shape {
            return Ok(());
        }
        Err(format!("has a {what} of {:?} pixels, expected {:?} as in the image", planes.shape, image.shape))
    };
    let variance = find(Companion::Variance)?.map(|CompanionPlanes { planes, role }| {
        let form = if let HduRole::Variance(form) = role { form } else { VarianceForm::Variance };
        check_shape(&planes, "variance").map(|()| (planes, form))
    });
    let mask =
        find(Companion::Mask)?.map(|CompanionPlanes { planes, .. }| check_shape(&planes, "mask").map(|()| planes));
    let psf = find(Companion::Psf)?.map(|found| found.planes);
    Ok(ObjectPlanes { variance: variance.transpose()?, mask: mask.transpose()?, psf, image, bands })
}

/// The planes of a companion for the selected of `count` bands. A single plane serves all bands.
pub(super) fn companion_planes(
    all: &PlaneSet,
    count: usize,
    selected: &[usize],
    wanted: Companion,
) -> Result<PlaneSet, String> {
    let planes = match all.planes.len() {
        1 => selected.iter().map(|_| all.planes[0]).collect(),
        found if found == count => selected.iter().map(|plane| all.planes[*plane]).collect(),
        found => return Err(wrong_number(wanted, (found, "planes"), count)),
    };
    Ok(PlaneSet { planes, shape: all.shape })
}

/// The message about a companion with another number of HDUs or planes than expected.
pub(super) fn wrong_number(wanted: Companion, (found, what): (usize, &str), expected: usize) -> String {
    let name = match wanted {
        Companion::Variance => "variance",
        Companion::Mask => "mask",
        Companion::Psf => "PSF",
    };
    match found {
        0 => format!("has no {name} HDU"),
        _ => format!("has {found} {name} {what}, expected 1 or {expected}"),
    }
}

impl Fits {
    /// Whether a companion must be read: for its column, or because `masked` needs the mask.
    fn needs(&self, companion: Companion) -> bool {
        self.wants(companion) || (companion == Companion::Mask && self.masked.is_some())
    }
}
