//! The names of bands in headers, and the selection of planes by them.

use crate::fits::Header;

/// The band of an HDU with one plane. `EXTNAME` is a band only where bands are expected, since it is often a name like `SCI`.
pub(super) fn band_of(header: &Header, by_extname: bool) -> Option<String> {
    let keys: &[&str] = if by_extname { &["BAND", "FILTER", "EXTNAME"] } else { &["BAND", "FILTER"] };
    keys.iter().find_map(|key| header.text(key))
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
pub(super) struct SelectedBands {
    pub planes: Vec<usize>,
    pub names: Vec<String>,
}

/// Selects from `count` planes those of `wanted` bands, given the names in the header, if it has them. The error is the reason why
/// the planes do not fit.
pub(super) fn select(
    named: Option<Vec<String>>,
    count: usize,
    wanted: Option<&[String]>,
) -> Result<SelectedBands, String> {
    let Some(wanted) = wanted else {
        let names = named.unwrap_or_else(|| (1..=count).map(|band| format!("band{band}")).collect());
        return Ok(SelectedBands { planes: (0..count).collect(), names });
    };
    if let Some(named) = &named {
        let planes: Option<Vec<usize>> = wanted.iter().map(|band| named.iter().position(|name| name == band)).collect();
        match planes {
            Some(planes) => return Ok(SelectedBands { planes, names: wanted.to_vec() }),
            // A single plane is the single band, whatever its name: `r_03` for `r`.
            None if count == 1 && wanted.len() == 1 => {}
            None => return Err(format!("has the bands {}, expected {}", quoted(named), quoted(wanted))),
        }
    }
    if count != wanted.len() {
        let (planes, bands) = (planes_word(count), quoted(wanted));
        return Err(format!("has {count} {planes}, expected {} for the bands {bands}", wanted.len()));
    }
    Ok(SelectedBands { planes: (0..count).collect(), names: wanted.to_vec() })
}

pub(super) fn planes_word(count: usize) -> &'static str {
    if count == 1 { "plane" } else { "planes" }
}

/// Names from a header in backticks, control characters escaped.
pub(super) fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{}`", name.escape_debug())).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
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
            select(named.map(names), count, Some(&names(wanted))).map(|selected| selected.planes)
        };
        assert_eq!(planes(Some("i r g"), 3, "g r"), Ok(vec![2, 1]));
        assert_eq!(planes(None, 2, "g r"), Ok(vec![0, 1]));
        assert_eq!(planes(Some("r_03"), 1, "r"), Ok(vec![0]));
        assert!(planes(None, 3, "g r").is_err() && planes(Some("i z"), 2, "g r").is_err());
    }
}
