//! What an HDU is for, by its keys and its name: one table for all surveys.

use crate::fits::Header;

/// What an HDU is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HduRole {
    Image,
    Variance(VarianceForm),
    Mask,
    Psf,
    /// Known not to be one of the others: a segmentation map, an exposure map, a model.
    Other,
}

/// The form in which an HDU gives the variance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::source) enum VarianceForm {
    Variance,
    /// The square root of the variance.
    Sigma,
    /// One over the variance: a weight.
    Inverse,
    /// `UNCERT` of `CCDData` without the key `UTYPE`, which says which of the others it is.
    Unsaid,
}

const VARIANCE: HduRole = HduRole::Variance(VarianceForm::Variance);
const SIGMA: HduRole = HduRole::Variance(VarianceForm::Sigma);
const INVERSE: HduRole = HduRole::Variance(VarianceForm::Inverse);

/// Names and their roles: SCI/ERR/DQ/WHT (HST, JWST), MSK/WGT (DES), INVVAR/MASKBITS (Legacy Surveys), IMAGE/VARIANCE/MASK (LSST,
/// HSC), RMS/FLG (Euclid), UNCERT (astropy), FLUX/IVAR (DESI), FOOTPRINT (reproject).
const NAMES: &[(&str, HduRole)] = &[
    ("IMAGE", HduRole::Image),
    ("IMG", HduRole::Image),
    ("SCI", HduRole::Image),
    ("SCIENCE", HduRole::Image),
    ("FLUX", HduRole::Image),
    ("DATA", HduRole::Image),
    ("SIGNAL", HduRole::Image),
    ("CUTOUT", HduRole::Image),
    ("PRIMARY", HduRole::Image),
    ("VARIANCE", VARIANCE),
    ("VAR", VARIANCE),
    ("UNCERT", HduRole::Variance(VarianceForm::Unsaid)),
    ("ERR", SIGMA),
    ("ERROR", SIGMA),
    ("ERRORS", SIGMA),
    ("SIGMA", SIGMA),
    ("RMS", SIGMA),
    ("STD", SIGMA),
    ("STDDEV", SIGMA),
    ("STDEV", SIGMA),
    ("UNC", SIGMA),
    ("UNCERTAINTY", SIGMA),
    ("WEIGHT", INVERSE),
    ("WEIGHTS", INVERSE),
    ("WGT", INVERSE),
    ("WHT", INVERSE),
    ("WT", INVERSE),
    ("IVAR", INVERSE),
    ("INVVAR", INVERSE),
    ("INVERSE_VARIANCE", INVERSE),
    ("MASK", HduRole::Mask),
    ("MSK", HduRole::Mask),
    ("MASKBITS", HduRole::Mask),
    ("DQ", HduRole::Mask),
    ("FLAG", HduRole::Mask),
    ("FLAGS", HduRole::Mask),
    ("FLG", HduRole::Mask),
    ("QFLAG", HduRole::Mask),
    ("BADPIX", HduRole::Mask),
    ("BPM", HduRole::Mask),
    ("BAD_PIXEL_MASK", HduRole::Mask),
    ("PSF", HduRole::Psf),
    ("PSFIMAGE", HduRole::Psf),
    ("KERNEL", HduRole::Psf),
    // Parts of a variance, and what only sounds like one of the above.
    ("VAR_POISSON", HduRole::Other),
    ("VAR_RNOISE", HduRole::Other),
    ("VAR_FLAT", HduRole::Other),
    ("MASK_FRACTIONS", HduRole::Other),
    ("NOISE_REALIZATION", HduRole::Other),
    ("NOISE_REALIZATIONS", HduRole::Other),
    ("NOISE", HduRole::Other),
    ("SEG", HduRole::Other),
    ("SEGM", HduRole::Other),
    ("SEGMAP", HduRole::Other),
    ("SEGMENTATION", HduRole::Other),
    ("BKG", HduRole::Other),
    ("BACKGROUND", HduRole::Other),
    ("SKY", HduRole::Other),
    ("MODEL", HduRole::Other),
    ("RESID", HduRole::Other),
    ("RESIDUAL", HduRole::Other),
    ("RESIDUALS", HduRole::Other),
    ("CHI", HduRole::Other),
    ("CHI2", HduRole::Other),
    ("CONTAM", HduRole::Other),
    ("CON", HduRole::Other),
    ("CTX", HduRole::Other),
    ("CONTEXT", HduRole::Other),
    ("EXPOSURE", HduRole::Other),
    ("EXPTIME", HduRole::Other),
    ("EXPMAP", HduRole::Other),
    ("EXP", HduRole::Other),
    ("NEXP", HduRole::Other),
    ("NIMAGES", HduRole::Other),
    ("DEPTH", HduRole::Other),
    ("GALDEPTH", HduRole::Other),
    ("PSFDEPTH", HduRole::Other),
    ("PSFSIZE", HduRole::Other),
    ("COVERAGE", HduRole::Other),
    ("COV", HduRole::Other),
    ("FOOTPRINT", HduRole::Other),
    ("AREA", HduRole::Other),
    ("QUALITY", HduRole::Other),
    ("GAIN", HduRole::Other),
    ("FLAT", HduRole::Other),
    ("BIAS", HduRole::Other),
    ("DARK", HduRole::Other),
    ("WAVELENGTH", HduRole::Other),
    ("APCORR", HduRole::Other),
    ("D2IMARR", HduRole::Other),
    ("WCSDVARR", HduRole::Other),
];
/// The name that compression gives to an HDU without one.
const UNNAMED: &str = "COMPRESSED_IMAGE";

/// What the keys of an HDU say of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HduName {
    /// `EXTNAME`, if it has one.
    pub name: Option<String>,
    /// Its role, where the keys say it.
    pub role: Option<HduRole>,
    /// What the name has beside the role, in capitals: the band `G` of `SCI_G`, the number `0` of `VAR_0`.
    pub rest: String,
    /// `EXTVER`, if it has one.
    pub version: Option<i64>,
}

impl HduName {
    pub(super) fn of(header: &Header) -> Self {
        let name = header.text("EXTNAME").filter(|name| !name.eq_ignore_ascii_case(UNNAMED));
        let (by_name, rest) = name.as_deref().map_or((None, String::new()), role_in);
        let by_key = ["EXTTYPE", "IMAGETYP"].iter().find_map(|key| exact(&header.text(key)?.to_ascii_uppercase()));
        let role = by_key.or(by_name).map(|role| match role {
            HduRole::Variance(VarianceForm::Unsaid) => HduRole::Variance(form(header.text("UTYPE").as_deref())),
            role => role,
        });
        Self { name, role, rest, version: header.integer("EXTVER").ok().flatten() }
    }
}

/// The role of a name that is in the table.
fn exact(name: &str) -> Option<HduRole> {
    NAMES.iter().find(|(known, _)| *known == name).map(|(_, role)| *role)
}

/// The form that `UTYPE` names, in the spellings of astropy.
fn form(utype: Option<&str>) -> VarianceForm {
    match utype.map(str::to_ascii_lowercase).as_deref() {
        Some("std" | "stddevuncertainty") => VarianceForm::Sigma,
        Some("var" | "varianceuncertainty") => VarianceForm::Variance,
        Some("ivar" | "inversevariance" | "inversevarianceuncertainty") => VarianceForm::Inverse,
        _ => VarianceForm::Unsaid,
    }
}

/// The role in a name with a band or a number before or after it, and the rest of the name.
fn role_in(name: &str) -> (Option<HduRole>, String) {
    let upper = name.to_ascii_uppercase();
    let mut words: Vec<&str> = upper.split(|letter: char| !letter.is_ascii_alphanumeric()).collect();
    words.retain(|word| !word.is_empty());
    // The longest run of words that is in the table: `NOISE_REALIZATIONS/0` is not noise.
    for length in (2..=words.len().min(3)).rev() {
        for start in 0..=words.len() - length {
            if let Some(role) = exact(&words[start..start + length].join("_")) {
                words.drain(start..start + length);
                return (Some(role), words.join("_"));
            }
        }
    }
    let mut roles = Vec::new();
    let mut rest = Vec::new();
    for word in words {
        let stem = word.trim_end_matches(|letter: char| letter.is_ascii_digit());
        match (exact(word), exact(stem)) {
            (Some(role), _) => roles.push(role),
            (None, Some(role)) => {
                roles.push(role);
                rest.push(&word[stem.len()..]);
            }
            (None, None) => rest.push(word),
        }
    }
    let beside: Vec<HduRole> = roles.iter().copied().filter(|role| *role != HduRole::Image).collect();
    let role = match beside.as_slice() {
        [] => roles.first().copied(),
        [first, others @ ..] if others.iter().all(|other| other == first) => Some(*first),
        // The variance of a PSF, the mask of a model.
        _ => Some(HduRole::Other),
    };
    (role, rest.join("_"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fits::{CardValue, FitsFile, Limits, Writer};

    fn named(cards: &[(&str, &str)]) -> HduName {
        let cards: Vec<_> =
            cards.iter().map(|(key, text)| ((*key).to_owned(), CardValue::Text((*text).to_owned()))).collect();
        let mut file = Writer::new();
        file.image(&[1, 1], &[0.0], &cards);
        HduName::of(
            &FitsFile::from_bytes("memory", file.into_bytes(), &Limits::default()).expect("a file").hdus()[0].header,
        )
    }

    #[test]
    fn roles_are_found_in_names_with_bands_and_numbers() {
        for (name, role, rest) in [
            ("SCI", Some(HduRole::Image), ""),
            ("SCI_G", Some(HduRole::Image), "G"),
            ("VAR_0", Some(VARIANCE), "0"),
            ("MSK_12", Some(HduRole::Mask), "12"),
            ("PSF_3", Some(HduRole::Psf), "3"),
            ("B_FLUX", Some(HduRole::Image), "B"),
            ("B_IVAR", Some(INVERSE), "B"),
            ("3-4.E.SCI", Some(HduRole::Image), "3_4_E"),
            ("3-4.E.RMS", Some(SIGMA), "3_4_E"),
            ("3-4.E.FLG", Some(HduRole::Mask), "3_4_E"),
            ("var1", Some(VARIANCE), "1"),
            ("WEIGHT_MAP", Some(INVERSE), "MAP"),
            ("SCI_ERR", Some(SIGMA), ""),
            ("NOISE_REALIZATIONS/0", Some(HduRole::Other), "0"),
            ("MASK_FRACTIONS/REJECTED", Some(HduRole::Other), "REJECTED"),
            ("VAR_POISSON", Some(HduRole::Other), ""),
            ("PSF_VAR", Some(HduRole::Other), ""),
            ("CHI2", Some(HduRole::Other), ""),
            ("F814W", None, "F814W"),
            ("GALAXY_7", None, "GALAXY_7"),
        ] {
            let found = named(&[("EXTNAME", name)]);
            assert_eq!((found.role, found.rest.as_str()), (role, rest), "{name}");
        }
    }

    #[test]
    fn keys_say_the_role_before_names() {
        assert_eq!(named(&[("IMAGETYP", "INVVAR")]).role, Some(INVERSE));
        assert_eq!(named(&[("EXTTYPE", "IMAGE"), ("EXTNAME", "MASK")]).role, Some(HduRole::Image));
        assert_eq!(named(&[("IMAGETYP", "object")]).role, None);
        assert_eq!(named(&[("EXTNAME", "COMPRESSED_IMAGE")]).name, None);
    }

    #[test]
    fn the_uncertainty_of_astropy_is_what_its_key_says() {
        let form = |utype| named(&[&[("EXTNAME", "UNCERT")][..], utype].concat()).role;
        assert_eq!(form(&[("UTYPE", "std")]), Some(SIGMA));
        assert_eq!(form(&[("UTYPE", "ivar")]), Some(INVERSE));
        assert_eq!(form(&[("UTYPE", "VarianceUncertainty")]), Some(VARIANCE));
        assert_eq!(form(&[]), Some(HduRole::Variance(VarianceForm::Unsaid)));
    }
}
