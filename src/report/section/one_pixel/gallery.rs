//! A picture of what an attack flips: every object before and after.

use super::{
    Context, Item,
    kept::{self, Kept, Key, Way},
    quoted,
};
use crate::{
    batch::{ImageLayout, Unit},
    error::Result,
    report::{
        answer::Answer,
        chart::{
            axis::clipped,
            cutout::{Cutout, Scale, Tone, channel_names},
            flips::{Changed, Flip, Headings, Picture, gallery},
            pixels::coloured,
        },
        numbers::short,
    },
};

/// Objects that are shown at most.
const SHOWN: usize = 12;
/// What the images of a gallery may take, bytes of its text: further objects are left out.
const MOST_BYTES: usize = 1_100_000;
/// Bands whose numbers are written out.
const BANDS: usize = 4;

/// The gallery of an attack; none where no images were kept, or nothing is flipped.
pub(super) fn figure(context: &Context<'_>, label: &str) -> Result<Option<Item>> {
    let Some((shown, other)) = kept::find(context, label)? else { return Ok(None) };
    let electrons = kept::has_electrons(context, label)?;
    let answer = context.ask(&sql(label, electrons))?;
    let flips = Flips::of(&answer, electrons)?;
    let before = shown.images(context, &flips.keys)?;
    let beside = match &other {
        Some(other) => other.images(context, &flips.keys)?,
        None => vec![None; flips.len()],
    };
    let said = match &other {
        Some(other) => kept::said(context, label, &other.column, &flips.keys)?,
        None => vec![None; flips.len()],
    };
    let cutouts: Vec<Option<Cutout>> =
        before.iter().map(|image| image.as_ref().map(|image| Cutout::of(&shown.layout, image))).collect();
    let weights = Tone::balance(cutouts.iter().flatten());
    let (mut rows, mut bytes) = (Vec::new(), 0);
    for i in 0..flips.len() {
        let (Some(image), Some(cutout)) = (&before[i], &cutouts[i]) else { continue };
        let places = flips.places(i, &shown.layout);
        if places.is_empty() {
            continue;
        }
        let tone = Tone::of(cutout, weights);
        let numbers = match shown.way {
            Way::Replaced => flips.values[i].as_deref(),
            Way::Added => flips.electrons[i].as_deref(),
            Way::Unknown => None,
        };
        let after = numbers.map(|numbers| after(image, &shown.layout, &places, numbers, shown.way));
        let colours = after.as_ref().map(|after| Cutout::of(&shown.layout, after));
        let changed = |(row, column): &(usize, usize)| Changed {
            row: *row,
            column: *column,
            colour: colours.as_ref().map(|after| after.colour(*row, *column, &tone)),
        };
        let beside = other.as_ref().zip(beside[i].as_ref()).map(|(other, image)| Cutout::of(&other.layout, image));
        let mut lines = flips.lines(i, &places);
        if let (Some(other), Some((class, probability))) = (&other, &said[i]) {
            lines.push(format!("{}: {} ({probability:.2})", other.column, clipped(class, 12)));
        }
        let flip = Flip {
            lines,
            before: picture(cutout, &tone)?,
            other: beside.map(|beside| picture(&beside, &tone)).transpose()?,
            pixels: places.iter().map(changed).collect(),
            values: values(
                &shown.layout,
                places[0],
                image,
                after.as_deref(),
                flips.electrons[i].as_deref(),
                places.len(),
            ),
        };
        bytes += flip.before.image.len() + flip.other.as_ref().map_or(0, |other| other.image.len());
        if bytes > MOST_BYTES && !rows.is_empty() {
            break;
        }
        rows.push(flip);
    }
    if rows.is_empty() {
        return Ok(None);
    }
    let headings = Headings {
        before: if shown.way == Way::Unknown { shown.column.clone() } else { format!("before: {}", shown.column) },
        other: other.as_ref().map(|other| other.column.clone()),
        has_after: shown.way != Way::Unknown,
    };
    let svg = gallery(&format!("flips.{}", safe(label)), &headings, &rows)?;
    let caption = caption(context, label, &shown, other.as_ref());
    let title = format!("What is flipped: {label}");
    Item::figure(format!("{label}-gallery"), title, &caption, &answer, svg).map(Some)
}

/// The flips that are shown: of every object the easiest, in turn from every class.
fn sql(label: &str, electrons: bool) -> String {
    let added = if electrons { "pixel_electrons, " } else { "" };
    format!(
        "with flips as (
            select object_id, origin, label_true, label_pred, label_target, p_before, p_after, pixel_row, pixel_column, pixel_values,
                {added}iterations, queries,
                row_number() over (partition by object_id, origin order by iterations, queries, label_target) as of_object
            from {}
            where flipped
        ),
        objects_flipped as (
            select *, row_number() over (partition by label_pred order by iterations, object_id, origin) as of_class
            from flips
            where of_object = 1
        )
        select object_id, origin, label_true, label_pred, label_target, p_before, p_after, pixel_row, pixel_column, pixel_values,
            {added}iterations, queries
        from objects_flipped
        order by of_class, iterations, object_id, origin
        limit {SHOWN}",
        quoted(label)
    )
}

/// The rows of the query.
struct Flips {
    keys: Vec<Key>,
    from: Vec<Option<String>>,
    into: Vec<Option<String>>,
    p_before: Vec<Option<f64>>,
    p_after: Vec<Option<f64>>,
    iterations: Vec<Option<f64>>,
    rows: Vec<Option<Vec<f64>>>,
    columns: Vec<Option<Vec<f64>>>,
    /// `[pixel, band]`.
    values: Vec<Option<Vec<f64>>>,
    electrons: Vec<Option<Vec<f64>>>,
}

impl Flips {
    fn of(answer: &Answer, electrons: bool) -> Result<Self> {
        let known = |name: &str| -> Result<Vec<String>> {
            Ok(answer.texts(name)?.into_iter().map(Option::unwrap_or_default).collect())
        };
        Ok(Self {
            keys: known("object_id")?.into_iter().zip(known("origin")?).collect(),
            from: answer.texts("label_pred")?,
            into: answer.texts("label_target")?,
            p_before: answer.numbers("p_before")?,
            p_after: answer.numbers("p_after")?,
            iterations: answer.numbers("iterations")?,
            rows: answer.lists("pixel_row")?,
            columns: answer.lists("pixel_column")?,
            values: answer.lists("pixel_values")?,
            electrons: if electrons { answer.lists("pixel_electrons")? } else { vec![None; answer.len()] },
        })
    }

    fn len(&self) -> usize {
        self.keys.len()
    }

    /// Rows and columns of the changed pixels; none where one lies outside the image.
    fn places(&self, i: usize, layout: &ImageLayout) -> Vec<(usize, usize)> {
        let (Some(rows), Some(columns)) = (&self.rows[i], &self.columns[i]) else { return Vec::new() };
        let places: Vec<(usize, usize)> =
            rows.iter().zip(columns).map(|(row, column)| (*row as usize, *column as usize)).collect();
        let inside = places.iter().all(|(row, column)| *row < layout.height && *column < layout.width);
        if inside { places } else { Vec::new() }
    }

    /// What is said of a flip.
    fn lines(&self, i: usize, places: &[(usize, usize)]) -> Vec<String> {
        let class = |class: &Option<String>, unknown: &str| clipped(class.as_deref().unwrap_or(unknown), 11);
        let number = |p: Option<f64>| p.map_or_else(|| "?".into(), |p| format!("{p:.3}"));
        let (from, into) = (class(&self.from[i], "?"), class(&self.into[i], "another"));
        let probabilities = format!("p {} → {}", number(self.p_before[i]), number(self.p_after[i]));
        let (row, column) = places[0];
        let pixel = match places.len() {
            1 => format!("row {row}, column {column}"),
            n => format!("{n} pixels, one at {row}, {column}"),
        };
        let generations = match self.iterations[i] {
            Some(n) if n < 0.5 => "in the first population".to_owned(),
            Some(n) if n < 1.5 => "after 1 generation".to_owned(),
            Some(n) => format!("after {n:.0} generations"),
            None => String::new(),
        };
        vec![self.keys[i].0.clone(), format!("{from} → {into}"), probabilities, pixel, generations]
    }
}

/// The image after an attack.
fn after(before: &[f64], layout: &ImageLayout, places: &[(usize, usize)], numbers: &[f64], way: Way) -> Vec<f64> {
    let mut image = before.to_vec();
    for ((row, column), numbers) in places.iter().zip(numbers.chunks_exact(layout.bands.len())) {
        for (band, number) in numbers.iter().enumerate() {
            let pixel = &mut image[band * layout.plane() + row * layout.width + column];
            *pixel = if way == Way::Added { *pixel + number } else { *number };
        }
    }
    image
}

fn picture(cutout: &Cutout, tone: &Tone) -> Result<Picture> {
    let image = coloured(cutout.width, &cutout.colours(tone))?;
    Ok(Picture { image, width: cutout.width, height: cutout.height })
}

/// The numbers of the first changed pixel, band by band.
fn values(
    layout: &ImageLayout,
    (row, column): (usize, usize),
    before: &[f64],
    after: Option<&[f64]>,
    electrons: Option<&[f64]>,
    pixels: usize,
) -> Vec<String> {
    let number = |value: f64| match (layout.unit, electrons) {
        (Unit::Stretched, None) => format!("{value:.3}"),
        (Unit::Stretched, Some(_)) => format!("{value:.2}"),
        _ => short(value),
    };
    let unit = if layout.unit == Unit::Electron { " e⁻" } else { "" };
    let line = |band: usize| {
        let at = band * layout.plane() + row * layout.width + column;
        let name = &layout.bands[band];
        let added = electrons.and_then(|electrons| electrons.get(band)).copied();
        let to = after.map_or_else(String::new, |after| format!(" → {}", number(after[at])));
        // Where the numbers are electrons themselves, those added need not be told besides.
        let more = added.filter(|_| layout.unit == Unit::Stretched);
        let more = more.map_or_else(String::new, |added| format!(" {added:+.0} e⁻"));
        (added != Some(0.0)).then(|| format!("{name} {}{to}{unit}{more}", number(before[at])))
    };
    let mut lines: Vec<String> = (0..layout.bands.len()).filter_map(line).collect();
    let more = lines.len().saturating_sub(BANDS);
    lines.truncate(BANDS);
    if let Some(last) = lines.last_mut().filter(|_| more > 0) {
        *last = format!("and {} bands more", more + 1);
    }
    if pixels > 1 {
        lines.push(if pixels == 2 { "and 1 pixel more".into() } else { format!("and {} pixels more", pixels - 1) });
    }
    lines
}

/// A label as a part of a name in SVG, another for every label.
fn safe(label: &str) -> String {
    let letter =
        |c: char| if c.is_ascii_alphanumeric() || c == '_' { c.to_string() } else { format!("-{:x}-", u32::from(c)) };
    label.chars().map(letter).collect()
}

fn caption(context: &Context<'_>, label: &str, shown: &Kept, other: Option<&Kept>) -> String {
    let column = &shown.column;
    let mut parts = vec![format!("Flipped objects, in turn from every class, the easiest first, {SHOWN} at most.")];
    parts.push("p is the probability of the class to get, or of the one to leave where any other would do.".to_owned());
    parts.push(match shown.way {
        Way::Replaced => format!(
            "From the left: `{column}`, which the model sees; the changed pixel with its surroundings and numbers, before and after; the image with it (framed)."
        ),
        Way::Added => format!(
            "From the left: `{column}`, before its stretch; the changed pixel with its surroundings and electrons, before and after; the image with it (framed)."
        ),
        Way::Unknown => {
            let missing = kept::attacked(context, label).map_or_else(String::new, |attacked| {
                format!("; the attacked image was not kept: `images: [{attacked}]` in the settings of `{label}` would keep it")
            });
            format!("The changed pixel is framed on `{column}`, as it was before the attack{missing}.")
        }
    });
    parts.extend(other.map(|other| format!("Last the same object in `{}`, which was not attacked.", other.column)));
    let weights = match channel_names(&shown.layout.bands) {
        Some([red, green, blue]) => format!(
            "Red, green and blue are {red}, {green} and {blue}, by an arcsinh that keeps hues (Lupton et al. 2004), with weights by which all \
             objects together are grey; what is as faint as noise loses its hue, and so does what is clipped in two bands."
        ),
        None => "Grey is an arcsinh of the flux.".to_owned(),
    };
    parts.push(weights);
    let scale = match Scale::of(&shown.layout) {
        Scale::OfTop if shown.layout.stretch.is_none() => {
            "All images of a row have one scale, in units of the upper clips of their stretches, which are undone; the clips are of each image."
        }
        Scale::OfTop => {
            "All images of a row have one scale, in units of the upper clips of their stretches, which are undone: so exposures compare."
        }
        Scale::Flux => "All images of a row have one scale of flux.",
        Scale::Given(_) => "Numbers are shown as they were kept, on one scale for a row.",
    };
    parts.push(scale.to_owned());
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout() -> ImageLayout {
        ImageLayout {
            bands: ["g", "r"].map(str::to_owned).to_vec(),
            height: 2,
            width: 3,
            unit: Unit::Stretched,
            pixel_scale_arcsec: None,
            stretch: None,
            electrons_per_njy: None,
        }
    }

    #[test]
    fn the_image_after_has_the_new_numbers_in_the_changed_pixels_and_no_others() {
        let before: Vec<f64> = (0..12).map(f64::from).collect();
        let replaced = after(&before, &layout(), &[(1, 2), (0, 1)], &[50.0, 60.0, 70.0, 80.0], Way::Replaced);
        let expected = [0.0, 70.0, 2.0, 3.0, 4.0, 50.0, 6.0, 80.0, 8.0, 9.0, 10.0, 60.0];
        assert_eq!(replaced, expected);
        let added = after(&before, &layout(), &[(1, 2), (1, 2)], &[50.0, 0.0, 0.5, -1.0], Way::Added);
        assert_eq!((added[5], added[11]), (55.5, 10.0), "electrons in one pixel add up");
        assert_eq!(added.iter().zip(&before).filter(|(a, b)| a != b).count(), 2);
    }

    #[test]
    fn numbers_are_told_band_by_band() {
        let before = vec![0.5; 12];
        let replaced = after(&before, &layout(), &[(0, 1)], &[1.0, 0.25], Way::Replaced);
        let told =
            |electrons: Option<&[f64]>, pixels| values(&layout(), (0, 1), &before, Some(&replaced), electrons, pixels);
        assert_eq!(told(None, 1), ["g 0.500 → 1.000", "r 0.500 → 0.250"]);
        assert_eq!(told(Some(&[8340.4, 0.0]), 1), ["g 0.50 → 1.00 +8340 e⁻"]);
        assert_eq!(told(None, 3)[2], "and 2 pixels more");
        let sky = ImageLayout { unit: Unit::Electron, ..layout() };
        let told = values(&sky, (0, 1), &before, Some(&replaced), Some(&[0.5, 0.0]), 1);
        assert_eq!(told, ["g 0.5 → 1 e⁻"]);
    }

    #[test]
    fn two_labels_never_share_a_name() {
        assert_eq!(safe("da_pixel"), "da_pixel");
        assert_eq!(safe("a\" onload=\"b"), "a-22--20-onload-3d--22-b");
        assert_ne!(safe("a-b"), safe("a_b"));
    }
}
