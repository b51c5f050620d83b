//! The names of bands in headers, and the selection of planes by them.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::{roles::HduName, zero_point::OneOrMany};
use crate::fits::Header;

/// Keys that name the band of a plane. The wheel with the narrower filter comes first (JWST: `FILTER` and `PUPIL`).
const KEYS: [&str; 6] = ["BAND", "PUPIL", "FILTER", "FILTER1", "FILTER2", "FILTNAM1"];
/// What a filter wheel says where it has no filter.
const NO_FILTER: [&str; 8] = ["CLEAR", "CLEAR1L", "CLEAR2L", "CLEAR1S", "CLEAR2S", "OPEN", "EMPTY", "NONE"];

/// Bands to read, in this order: `[g, r, i]`, or with the names that files have for them: `{ g: HSC-G, r: [HSC-R, HSC-R2] }`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "BandsForm", into = "BandsForm")]
pub struct Bands(Vec<NamedBand>);

/// A band, and the names that files have for it.
#[derive(Debug, Clone, PartialEq)]
struct NamedBand {
    name: String,
    /// Empty where the band has its own name in files.
    spellings: Vec<String>,
}

/// How `bands` is written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum BandsForm {
    Names(Vec<String>),
    Spellings(serde_json::Map<String, serde_json::Value>),
}

/// The same, for its schema.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "a type for its schema")]
enum BandsSchema {
    /// The names of the bands.
    Names(Vec<String>),
    /// The names of the bands, each with the names that files have for it.
    Spellings(std::collections::BTreeMap<String, OneOrMany>),
}

impl TryFrom<BandsForm> for Bands {
    type Error = serde_json::Error;

    fn try_from(form: BandsForm) -> Result<Self, Self::Error> {
        match form {
            BandsForm::Names(names) => Ok(names.into()),
            BandsForm::Spellings(bands) => bands
                .into_iter()
                .map(|(name, spellings)| {
                    let spellings: OneOrMany = serde_json::from_value(spellings)?;
                    Ok(NamedBand { name, spellings: spellings.names().to_vec() })
                })
                .collect::<Result<Vec<_>, _>>()
                .map(Self),
        }
    }
}

impl From<Bands> for BandsForm {
    fn from(Bands(bands): Bands) -> Self {
        if bands.iter().all(|band| band.spellings.is_empty()) {
            return Self::Names(bands.into_iter().map(|band| band.name).collect());
        }
        let written = |band: NamedBand| match <[String; 1]>::try_from(band.spellings) {
            Ok([only]) => (band.name, only.into()),
            Err(several) => (band.name, several.into()),
        };
        Self::Spellings(bands.into_iter().map(written).collect())
    }
}

impl From<Vec<String>> for Bands {
    fn from(names: Vec<String>) -> Self {
        Self(names.into_iter().map(|name| NamedBand { name, spellings: Vec::new() }).collect())
    }
}

impl<const N: usize> From<[&str; N]> for Bands {
    fn from(names: [&str; N]) -> Self {
        names.map(str::to_owned).to_vec().into()
    }
}

impl JsonSchema for Bands {
    fn schema_name() -> Cow<'static, str> {
        "Bands".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        BandsSchema::json_schema(generator)
    }
}

impl Bands {
    /// The names of the bands, in order.
    pub fn names(&self) -> Vec<String> {
        self.0.iter().map(|band| band.name.clone()).collect()
    }

    /// The number of bands.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no bands.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The number of the band that a file names, also as a word of a longer name.
    pub(in crate::source) fn index_of(&self, found: &str) -> Option<usize> {
        self.index_named(found).or_else(|| self.0.iter().position(|band| band.is_named(found)))
    }

    /// The number of the band with a name in files.
    pub(super) fn index_named(&self, name: &str) -> Option<usize> {
        let is_own = |band: &NamedBand| band.names().iter().any(|own| own.eq_ignore_ascii_case(name));
        self.0.iter().position(is_own)
    }

    /// Whether a header names another band than one of these, by its number.
    pub(super) fn contradicts(&self, band: usize, found: &str) -> bool {
        !self.0[band].is_named(found)
    }

    /// Where a text last has one of the names of a band as a word, by the number of the band.
    pub(super) fn last_in(&self, band: usize, text: &str) -> Option<std::ops::Range<usize>> {
        let lower = text.to_ascii_lowercase();
        let is_edge = |letter: Option<char>| letter.is_none_or(|letter| !letter.is_alphanumeric());
        let words = self.0[band].names().iter().flat_map(|name| {
            let name = name.to_ascii_lowercase();
            let found = lower.match_indices(&name).map(|(at, word)| at..at + word.len());
            found.collect::<Vec<_>>()
        });
        words
            .filter(|word| is_edge(text[..word.start].chars().next_back()) && is_edge(text[word.end..].chars().next()))
            // Of `HSC-G` and `G` the longer.
            .max_by_key(|word| (word.end, std::cmp::Reverse(word.start)))
    }

    /// One of them alone.
    pub(in crate::source) fn single(&self, band: usize) -> Self {
        Self(self.0.get(band).cloned().into_iter().collect())
    }

    /// Whether one of the bands has this name in a file.
    pub(super) fn contain(&self, found: &str) -> bool {
        self.0.iter().any(|band| band.is_named(found))
    }

    /// The plane of each band among named planes.
    fn planes(&self, named: &[String]) -> Result<Vec<usize>, BandMismatch> {
        self.0.iter().map(|band| band.plane(named)).collect()
    }
}

/// Why a band has no plane.
enum BandMismatch {
    Missing,
    /// Several planes have its name.
    Several(String),
}

impl NamedBand {
    /// Its names in files.
    fn names(&self) -> &[String] {
        if self.spellings.is_empty() { std::slice::from_ref(&self.name) } else { &self.spellings }
    }

    /// Whether a name in a file is that of the band: equal but for case, or a word of it (`g DECam SDSS c0001`, `r_03`, `HSC-G`).
    fn is_named(&self, found: &str) -> bool {
        if !self.spellings.is_empty() {
            return self.spellings.iter().any(|spelling| spelling.eq_ignore_ascii_case(found));
        }
        found.eq_ignore_ascii_case(&self.name) || words(found).any(|word| word.eq_ignore_ascii_case(&self.name))
    }

    /// The plane of the band: the one with just its name, else the only one that has it as a word.
    fn plane(&self, named: &[String]) -> Result<usize, BandMismatch> {
        let is_exact = |found: &String| match self.spellings.as_slice() {
            [] => *found == self.name,
            spellings => spellings.contains(found),
        };
        let has_exact = named.iter().any(is_exact);
        let is_own = |found: &String| if has_exact { is_exact(found) } else { self.is_named(found) };
        let mut planes = (0..).zip(named).filter(|(_, found)| is_own(found)).map(|(plane, _)| plane);
        match (planes.next(), planes.next()) {
            (Some(plane), None) => Ok(plane),
            (Some(_), Some(_)) => Err(BandMismatch::Several(self.name.clone())),
            _ => Err(BandMismatch::Missing),
        }
    }
}

fn words(name: &str) -> impl Iterator<Item = &str> {
    name.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty())
}

/// Whether a name is that of a band, by itself: a letter, a filter of HST or JWST, or a channel of a known survey.
pub(super) fn is_band(name: &str) -> bool {
    const KNOWN: [&str; 9] = ["KS", "VIS", "NUV", "FUV", "W1", "W2", "W3", "W4", "W149"];
    const LETTERS: &str = "UGRIZYJHKBVFNQ";
    let upper = name.to_ascii_uppercase();
    let bytes = upper.as_bytes();
    let is_space = matches!(bytes, [b'F', rest @ .., last] if (2..=4).contains(&rest.len())
        && last.is_ascii_alphabetic() && rest.iter().all(u8::is_ascii_digit));
    let is_roman = matches!(bytes, [b'F', rest @ ..] if rest.len() == 3 && rest.iter().all(u8::is_ascii_digit));
    (upper.len() == 1 && LETTERS.contains(&upper)) || KNOWN.contains(&upper.as_str()) || is_space || is_roman
}

/// The band of an HDU with one plane, by its keys, or by what its name has beside its role. The name itself is a band only where
/// bands are expected, since it is often a name like `SCI`.
pub(super) fn band_of(header: &Header, by_name: bool) -> Option<String> {
    let in_use = |text: &String| !NO_FILTER.iter().any(|none| text.to_ascii_uppercase().starts_with(none));
    let by_key = KEYS.iter().filter_map(|key| header.text(key)).find_map(|text| {
        // An image of one band with two wheels: `CLEAR1L,F814W`.
        let wheels: Vec<String> = text.split([',', ';']).map(|wheel| wheel.trim().to_owned()).filter(in_use).collect();
        (!wheels.is_empty()).then(|| wheels.join("+"))
    });
    by_key.or_else(|| {
        let HduName { name, role, rest, .. } = HduName::of(header);
        match role {
            // A number tells images apart; it is not a band.
            Some(_) if is_band(&rest) || (by_name && rest.contains(char::is_alphabetic)) => Some(rest),
            None if by_name => name,
            None => name.filter(|name| is_band(name)),
            Some(_) => None,
        }
    })
}

/// The names of the planes of a cube: `BANDS`, `BAND0` and so on, or a list in `FILTER`. The error is the reason why they do not
/// fit.
pub(super) fn bands_of_cube(header: &Header, count: usize) -> Result<Option<Vec<String>>, String> {
    if let Some(text) = header.text("BANDS") {
        return parse_bands(&text, count).map(Some).ok_or_else(|| {
            let (text, planes) = (text.escape_debug(), planes_word(count));
            format!("key `BANDS` is `{text}`, expected the names of {count} {planes}")
        });
    }
    for first in [0, 1] {
        let numbered: Option<Vec<String>> =
            (first..first + count).map(|number| header.text(&format!("BAND{number}"))).collect();
        if numbered.is_some() {
            return Ok(numbered);
        }
    }
    // `F814W` is one filter, `gri` are three.
    let is_list = |text: &String| {
        !is_band(text) && words(text).count() != 1 || text.chars().all(|letter| is_band(&letter.to_string()))
    };
    Ok(header.text("FILTER").filter(|text| count > 1 && is_list(text)).and_then(|text| parse_bands(&text, count)))
}

/// The bands in the value of `BANDS`, if there are `count`: `gri`, `g,r,i` or `g r i`.
pub(super) fn parse_bands(text: &str, count: usize) -> Option<Vec<String>> {
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

/// The planes to read, in order, and the names of their bands.
#[derive(Debug, PartialEq)]
pub(super) struct SelectedBands {
    pub planes: Vec<usize>,
    pub names: Vec<String>,
}

/// Selects from `count` planes those of `wanted` bands, given the names in the header, if it has them. The error is the reason why
/// the planes do not fit.
pub(super) fn select(
    named: Option<Vec<String>>,
    count: usize,
    wanted: Option<&Bands>,
) -> Result<SelectedBands, String> {
    let Some(wanted) = wanted else {
        let names = named.unwrap_or_else(|| (1..=count).map(|band| format!("band{band}")).collect());
        // The names of bands are kept in one text, between commas.
        let names = names.into_iter().map(|name| name.replace(',', "+")).collect();
        return Ok(SelectedBands { planes: (0..count).collect(), names });
    };
    if let Some(named) = &named {
        return match wanted.planes(named) {
            Ok(planes) => Ok(SelectedBands { planes, names: wanted.names() }),
            Err(BandMismatch::Missing) => {
                let (word, found, expected) = (bands_word(named.len()), quoted(named), quoted(&wanted.names()));
                let example = format!("bands: {{ {}: {} }}", wanted.names().join(", "), "NAME");
                let help = if count == wanted.len() && count == 1 {
                    format!(" (`{example}` if it has another name in files)")
                } else {
                    String::new()
                };
                Err(format!("has the {word} {found}, expected {expected}{help}"))
            }
            Err(BandMismatch::Several(band)) => {
                Err(format!("has several planes that can be `{}`: {}", band.escape_debug(), quoted(named)))
            }
        };
    }
    if count != wanted.len() {
        let (planes, bands) = (planes_word(count), quoted(&wanted.names()));
        return Err(format!("has {count} {planes}, expected {} for the bands {bands}", wanted.len()));
    }
    Ok(SelectedBands { planes: (0..count).collect(), names: wanted.names() })
}

pub(super) fn planes_word(count: usize) -> &'static str {
    if count == 1 { "plane" } else { "planes" }
}

fn bands_word(count: usize) -> &'static str {
    if count == 1 { "band" } else { "bands" }
}

/// Names from a header in backticks, control characters escaped.
pub(super) fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{}`", name.escape_debug())).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fits::{CardValue, FitsFile, Limits, Writer};

    fn names(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    fn header(cards: &[(&str, &str)]) -> Header {
        let cards: Vec<_> =
            cards.iter().map(|(key, text)| ((*key).to_owned(), CardValue::Text((*text).to_owned()))).collect();
        let mut file = Writer::new();
        file.image(&[1, 1], &[0.0], &cards);
        FitsFile::from_bytes("memory", file.into_bytes(), &Limits::default()).expect("a file").hdus()[0].header.clone()
    }

    #[test]
    fn bands_are_letters_or_names() {
        assert_eq!(parse_bands("gri", 3), Some(names("g r i")));
        assert_eq!(parse_bands("F814W, F606W", 2), Some(names("F814W F606W")));
        assert_eq!(parse_bands("gr", 3), None);
    }

    #[test]
    fn selects_planes_by_name_or_by_number() {
        let planes = |named: Option<&str>, count, wanted: &str| {
            select(named.map(names), count, Some(&names(wanted).into())).map(|selected| selected.planes)
        };
        assert_eq!(planes(Some("i r g"), 3, "g r"), Ok(vec![2, 1]));
        assert_eq!(planes(Some("I R G"), 3, "g r"), Ok(vec![2, 1]));
        assert_eq!(planes(None, 2, "g r"), Ok(vec![0, 1]));
        assert_eq!(planes(Some("r_03"), 1, "r"), Ok(vec![0]));
        assert_eq!(planes(Some("HSC-G HSC-R"), 2, "r"), Ok(vec![1]));
        assert!(planes(None, 3, "g r").is_err() && planes(Some("i z"), 2, "g r").is_err());
    }

    #[test]
    fn a_plane_with_another_name_is_never_relabelled() {
        let error = |named: &str, wanted: &str| {
            select(Some(names(named)), 1, Some(&names(wanted).into())).expect_err("refused")
        };
        assert!(error("z", "g").starts_with("has the band `z`, expected `g`"), "{}", error("z", "g"));
        assert!(error("gz", "g").starts_with("has the band `gz`"));
        // `r` is a word of both.
        let several = select(Some(names("r_01 r_02")), 2, Some(&["r"].into())).expect_err("refused");
        assert_eq!(several, "has several planes that can be `r`: `r_01`, `r_02`");
    }

    #[test]
    fn spellings_of_files_are_settings_in_their_order() {
        let bands: Bands = serde_json::from_value(json!({ "r": ["HSC-R", "HSC-R2"], "g": "HSC-G" })).expect("bands");
        assert_eq!(bands.names(), ["r", "g"]);
        let planes = |named: &str| select(Some(names(named)), 2, Some(&bands)).map(|selected| selected.planes);
        assert_eq!(planes("HSC-G hsc-r2"), Ok(vec![1, 0]));
        // The name of the band itself is not among its spellings.
        assert!(planes("g r").is_err());
        assert_eq!(serde_json::to_value(&bands).expect("written"), json!({ "r": ["HSC-R", "HSC-R2"], "g": "HSC-G" }));
        assert_eq!(serde_json::to_value(Bands::from(["g", "r"])).expect("written"), json!(["g", "r"]));
    }

    #[test]
    fn keys_of_several_surveys_name_the_band() {
        for (cards, band) in [
            (&[("FILTER", "F444W"), ("PUPIL", "CLEAR")][..], Some("F444W")),
            (&[("FILTER", "F444W"), ("PUPIL", "F405N")], Some("F405N")),
            (&[("FILTER1", "CLEAR1L"), ("FILTER2", "F814W")], Some("F814W")),
            (&[("FILTER", "CLEAR1L,F814W")], Some("F814W")),
            (&[("EXTNAME", "SCI_G")], Some("G")),
            (&[("EXTNAME", "SCI_0")], None),
            (&[("EXTNAME", "g")], Some("g")),
            (&[("EXTNAME", "galaxy")], None),
            (&[("EXTNAME", "SCI")], None),
        ] {
            assert_eq!(band_of(&header(cards), false).as_deref(), band, "{cards:?}");
        }
    }

    #[test]
    fn keys_name_the_planes_of_a_cube() {
        let found = |cards: &[(&str, &str)]| bands_of_cube(&header(cards), 3);
        assert_eq!(found(&[("BANDS", "grz")]), Ok(Some(names("g r z"))));
        assert_eq!(found(&[("BAND0", "g"), ("BAND1", "r"), ("BAND2", "z")]), Ok(Some(names("g r z"))));
        assert_eq!(found(&[("BAND1", "g"), ("BAND2", "r"), ("BAND3", "z")]), Ok(Some(names("g r z"))));
        assert_eq!(found(&[("FILTER", "g,r,z")]), Ok(Some(names("g r z"))));
        assert_eq!(found(&[("FILTER", "grz")]), Ok(Some(names("g r z"))));
        assert_eq!(found(&[("FILTER", "g")]), Ok(None));
        assert_eq!(found(&[("FILTER", "Ks2")]), Ok(None), "one filter of three letters");
        assert!(found(&[("BANDS", "gr")]).is_err());
    }
}
