//! Which HDUs of a file hold the images of objects: only those that surely do.

use super::{
    Fits,
    bands::{Bands, is_band},
    roles::{HduName, HduRole},
};
use crate::fits::{Hdu, HduKind};

/// The most HDUs that a message names.
const NAMED: usize = 8;

/// The HDUs with the images of a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ImageHdus {
    pub images: Vec<usize>,
    /// HDUs with pixels that are neither images nor companions of images.
    pub left_out: Vec<usize>,
}

impl ImageHdus {
    /// Those of a file. The error says why the file has no image, or which of its HDUs may be images.
    pub(super) fn of(hdus: &[Hdu], settings: &Fits, bands: Option<&Bands>) -> Result<Self, String> {
        match &settings.hdu {
            Some(names) => Ok(Self { images: by_name(hdus, names)?, left_out: Vec::new() }),
            None => by_role(hdus, bands),
        }
    }

    /// The HDUs that are left out, in words.
    pub(super) fn left_out_in_words(&self, hdus: &[Hdu]) -> String {
        let left_out: Vec<&Hdu> = self.left_out.iter().filter_map(|index| hdus.get(*index)).collect();
        in_words(&left_out)
    }
}

/// The HDUs that the setting `hdu` names, in its order.
fn by_name(hdus: &[Hdu], names: &[String]) -> Result<Vec<usize>, String> {
    let mut images = Vec::new();
    for name in names {
        let before = images.len();
        if let Ok(number) = name.parse::<usize>() {
            images.extend(hdus.get(number).map(|hdu| hdu.index));
        } else {
            let is_named =
                |hdu: &&Hdu| hdu.header.text("EXTNAME").is_some_and(|found| found.eq_ignore_ascii_case(name));
            images.extend(hdus.iter().filter(is_named).map(|hdu| hdu.index));
        }
        if images.len() == before {
            return Err(format!("has no HDU `{}`: it holds {}", name.escape_debug(), inventory(hdus)));
        }
    }
    let mut seen = std::collections::HashSet::new();
    if let Some(twice) = images.iter().find(|index| !seen.insert(**index)) {
        return Err(format!("has HDU {twice} twice by the names in `hdu`"));
    }
    Ok(images)
}

/// How sure it is that an HDU is an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Sureness {
    /// A companion of an image.
    Companion,
    /// Another plane that is known: a segmentation map.
    Not,
    /// It has a name, and the name says nothing.
    Unknown,
    /// It has no name, or is the primary HDU.
    Unnamed,
    /// Its name is an image's, or that of a band.
    Image,
}

fn sureness(hdu: &Hdu, bands: Option<&Bands>) -> Sureness {
    let HduName { name, role, .. } = HduName::of(&hdu.header);
    match (role, name) {
        (Some(HduRole::Image), _) => Sureness::Image,
        (Some(HduRole::Other), _) => Sureness::Not,
        (Some(_), _) => Sureness::Companion,
        (None, None) => Sureness::Unnamed,
        (None, Some(name)) if is_band(&name) || bands.is_some_and(|bands| bands.contain(&name)) => Sureness::Image,
        (None, Some(_)) if hdu.index == 0 => Sureness::Unnamed,
        (None, Some(_)) => Sureness::Unknown,
    }
}

fn by_role(hdus: &[Hdu], bands: Option<&Bands>) -> Result<ImageHdus, String> {
    let planes: Vec<(&Hdu, Sureness)> = hdus
        .iter()
        .filter(|hdu| hdu.kind == HduKind::Damaged || hdu.has_pixels())
        .map(|hdu| (hdu, if hdu.kind == HduKind::Damaged { Sureness::Unnamed } else { sureness(hdu, bands) }))
        .collect();
    let with = |sureness: Sureness| planes.iter().filter(move |(_, own)| *own == sureness).map(|(hdu, _)| *hdu);
    let surest = planes.iter().map(|(_, own)| *own).max().filter(|own| *own > Sureness::Not);
    let Some(surest) = surest else { return Err(format!("has no image: it holds {}", inventory(hdus))) };
    // A primary HDU with a name like those of extensions is one of them: `GAL_1`, `GAL_2`.
    let unknown: Vec<&Hdu> = with(Sureness::Unknown).collect();
    let is_one_of_many = |hdu: &Hdu| {
        let names = std::iter::once(hdu).chain(unknown.iter().copied());
        !unknown.is_empty() && hdu.header.text("EXTNAME").is_some() && are_alike(names)
    };
    let unnamed: Vec<&Hdu> = with(Sureness::Unnamed).collect();
    let surest = match unnamed.as_slice() {
        [primary] if surest == Sureness::Unnamed && is_one_of_many(primary) => Sureness::Unknown,
        _ => surest,
    };
    // Damage hides what an HDU was: it stays among the objects, as a reject.
    let is_image = |(hdu, own): &&(&Hdu, Sureness)| {
        *own == surest || hdu.kind == HduKind::Damaged || (*own == Sureness::Unnamed && hdu.index == 0)
    };
    let images: Vec<&Hdu> = planes.iter().filter(is_image).map(|(hdu, _)| *hdu).collect();
    if let [only] = images.as_slice()
        && only.kind == HduKind::Damaged
    {
        // The damage explains more than "no image".
        return Err(format!("HDU {} {}", only.index, only.damage.as_deref().unwrap_or("is damaged")));
    }
    if surest == Sureness::Unknown && !are_alike(unknown.iter().copied()) {
        return Err(format!("has images of unknown roles: {}; name those of the objects in `hdu`", in_words(&unknown)));
    }
    let is_left_out = |(hdu, own): &&(&Hdu, Sureness)| {
        *own != Sureness::Companion
            && hdu.kind != HduKind::Damaged
            && !images.iter().any(|image| image.index == hdu.index)
    };
    let left_out = planes.iter().filter(is_left_out).map(|(hdu, _)| hdu.index).collect();
    Ok(ImageHdus { images: images.iter().map(|hdu| hdu.index).collect(), left_out })
}

/// Whether names differ only by numbers, or name bands or filters: `GAL_1`, `GAL_2`.
fn are_alike<'a>(hdus: impl Iterator<Item = &'a Hdu>) -> bool {
    let stem = |hdu: &Hdu| {
        let name = hdu.header.text("EXTNAME").unwrap_or_default().to_ascii_uppercase();
        name.chars().filter(|letter| !letter.is_ascii_digit()).collect::<String>()
    };
    let mut stems = hdus.map(|hdu| (stem(hdu), ["BAND", "FILTER"].iter().any(|key| hdu.header.text(key).is_some())));
    let Some((first, has_filter)) = stems.next() else { return true };
    stems.all(|(stem, filter)| stem == first || (filter && has_filter))
}

/// The HDUs of a file in words, the first few.
fn inventory(hdus: &[Hdu]) -> String {
    let one = |hdu: &Hdu| {
        let kind = if hdu.kind == HduKind::Image && !hdu.has_pixels() { "no pixels" } else { hdu.kind.name() };
        hdu.header.text("EXTNAME").map_or(kind.to_owned(), |name| format!("{kind} `{}`", name.escape_debug()))
    };
    let more = if hdus.len() > NAMED { format!(" and {} more", hdus.len() - NAMED) } else { String::new() };
    hdus.iter().take(NAMED).map(one).collect::<Vec<_>>().join(", ") + &more
}

/// Some HDUs by their names, the first few.
fn in_words(hdus: &[&Hdu]) -> String {
    let one = |hdu: &&Hdu| {
        let name = hdu.header.text("EXTNAME").or_else(|| hdu.header.text("IMAGETYP"));
        name.map_or(format!("HDU {}", hdu.index), |name| format!("`{}`", name.escape_debug()))
    };
    let more = if hdus.len() > NAMED { format!(" and {} more", hdus.len() - NAMED) } else { String::new() };
    hdus.iter().take(NAMED).map(one).collect::<Vec<_>>().join(", ") + &more
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fits::{CardValue, FitsFile, Limits, Writer};

    /// The names of the images and of what is left out in a file of named HDUs; an empty name is none.
    fn found(names: &[&str], hdu: Option<&[&str]>) -> Result<(Vec<usize>, Vec<usize>), String> {
        let mut file = Writer::new();
        for name in names {
            let cards = [("EXTNAME".to_owned(), CardValue::Text((*name).to_owned()))];
            file.image(&[2, 2], &[0.0; 4], if name.is_empty() { &[] } else { &cards });
        }
        let file = FitsFile::from_bytes("memory", file.into_bytes(), &Limits::default()).expect("a file");
        let mut settings = Fits::new(["x"]);
        settings.hdu = hdu.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
        ImageHdus::of(file.hdus(), &settings, None).map(|found| (found.images, found.left_out))
    }

    #[test]
    fn only_what_is_surely_an_image_is_an_object() {
        for (names, images, left_out) in [
            (&["", "NEXP", "CHI2", "WEIGHT_MAP", "WHATEVER"][..], vec![0], vec![1, 2, 4]),
            (&["", "FOOTPRINT"], vec![0], vec![1]),
            (&["", ""], vec![0, 1], vec![]),
            (&["SCI", "MSK", "WGT"], vec![0], vec![]),
            (&["IMAGE", "VARIANCE", "NOISE_REALIZATIONS/0"], vec![0], vec![2]),
            (&["SCI_0", "VAR_0", "SCI_1", "VAR_1"], vec![0, 2], vec![]),
            (&["G", "R", "SEG"], vec![0, 1], vec![2]),
            (&["GAL1", "GAL2", "SEG"], vec![0, 1], vec![2]),
            (&["ERR", "F814W"], vec![1], vec![]),
        ] {
            assert_eq!(found(names, None), Ok((images, left_out)), "{names:?}");
        }
    }

    #[test]
    fn images_of_unknown_roles_are_asked_for() {
        // The first is the primary HDU.
        assert_eq!(
            found(&["MASK", "REFERENCE", "SHAPE"], None),
            Err("has images of unknown roles: `REFERENCE`, `SHAPE`; name those of the objects in `hdu`".into())
        );
        assert_eq!(found(&["MASK", "REFERENCE", "SHAPE"], Some(&["shape"])), Ok((vec![2], vec![])));
        assert!(found(&["MASK", "SEG"], None).is_err_and(|reason| reason.starts_with("has no image")));
    }

    #[test]
    fn names_in_the_settings_give_the_order() {
        assert_eq!(found(&["SCI_G", "SCI_R", "SCI_I"], Some(&["2", "SCI_G"])), Ok((vec![2, 0], vec![])));
        assert!(found(&["SCI"], Some(&["0", "SCI"])).is_err_and(|reason| reason.contains("HDU 0 twice")));
    }
}
