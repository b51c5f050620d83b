//! The gallery of an attack: flipped objects before and after.

use super::{
    Context, SectionItem,
    kept_images::{self, ImageColumn, ObjectKey, PixelChange},
    quoted,
};
use crate::{
    batch::{ImageLayout, Unit},
    error::Result,
    report::{
        chart::{
            cutout::{Cutout, FluxScale, ToneMap, channel_names},
            data_url::rgb,
            flip_gallery::{ChangedPixel, Flip, GalleryHeadings, GalleryImage, flip_gallery},
            text::ellipsize,
        },
        format::significant,
        query_result::QueryResult,
    },
};

/// The most objects.
const MAX_OBJECTS: usize = 12;
/// The most bytes of all images as `data:` URLs; further objects are left out.
const MAX_BYTES: usize = 1_100_000;
/// The most bands whose values are listed.
const MAX_BANDS: usize = 4;

/// The gallery; `None` if no suitable images were kept or nothing was flipped.
pub(super) fn item(context: &Context<'_>, label: &str) -> Result<Option<SectionItem>> {
    let Some((shown, other)) = kept_images::find(context, label)? else { return Ok(None) };
    let added = kept_images::added_column(context, label)?;
    let result = context.query(&sql(label, added))?;
    let flips = FlipColumns::of(&result, added)?;
    let images = shown.images(context, &flips.keys)?;
    let other_images = match &other {
        Some(other) => other.images(context, &flips.keys)?,
        None => vec![None; flips.len()],
    };
    let predictions = match &other {
        Some(other) => kept_images::predictions(context, label, &other.column, &flips.keys)?,
        None => vec![None; flips.len()],
    };
    let cutouts: Vec<Option<Cutout>> =
        images.iter().map(|image| image.as_ref().map(|image| Cutout::of(&shown.layout, image))).collect();
    let weights = ToneMap::balance(cutouts.iter().flatten());
    let (mut rows, mut bytes) = (Vec::new(), 0);
    for i in 0..flips.len() {
        let (Some(image), Some(cutout)) = (&images[i], &cutouts[i]) else { continue };
        let positions = flips.positions(i, &shown.layout);
        if positions.is_empty() {
            continue;
        }
        let tone = ToneMap::of(cutout, weights);
        let numbers = match shown.change {
            PixelChange::Replaced => flips.values[i].as_deref(),
            PixelChange::Added => flips.added[i].as_deref(),
            PixelChange::Unknown => None,
        };
        let after = numbers.map(|numbers| image_after(image, &shown.layout, &positions, numbers, shown.change));
        let cutout_after = after.as_ref().map(|after| Cutout::of(&shown.layout, after));
        let changed = |(row, column): &(usize, usize)| ChangedPixel {
            row: *row,
            column: *column,
            colour: cutout_after.as_ref().map(|after| after.colour(*row, *column, &tone)),
        };
        let other_cutout =
            other.as_ref().zip(other_images[i].as_ref()).map(|(other, image)| Cutout::of(&other.layout, image));
        let mut lines = flips.lines(i, &positions);
        if let (Some(other), Some(prediction)) = (&other, &predictions[i]) {
            let class = ellipsize(&prediction.class, 12);
            lines.push(format!("{}: {class} ({:.2})", other.column, prediction.probability));
        }
        let values = PixelValues {
            layout: &shown.layout,
            position: positions[0],
            before: image,
            after: after.as_deref(),
            added: flips.added[i].as_deref(),
        };
        let flip = Flip {
            lines,
            before: gallery_image(cutout, &tone)?,
            other: other_cutout.map(|other| gallery_image(&other, &tone)).transpose()?,
            pixels: positions.iter().map(changed).collect(),
            values: values.lines(positions.len()),
        };
        bytes += flip.before.url.len() + flip.other.as_ref().map_or(0, |other| other.url.len());
        if bytes > MAX_BYTES && !rows.is_empty() {
            break;
        }
        rows.push(flip);
    }
    if rows.is_empty() {
        return Ok(None);
    }
    let has_after = shown.change != PixelChange::Unknown;
    let headings = GalleryHeadings {
        before: if has_after { format!("before: {}", shown.column) } else { shown.column.clone() },
        other: other.as_ref().map(|other| other.column.clone()),
        has_after,
    };
    let svg = flip_gallery(&format!("flips.{}", svg_id(label)), &headings, &rows)?;
    let caption = caption(context, label, &shown, other.as_ref());
    let (name, title) = (format!("{label}-gallery"), format!("Gallery of flips: {label}"));
    SectionItem::figure(name, title, &caption, &result, svg).map(Some)
}

/// The easiest flip of each object, taking classes in turn.
fn sql(label: &str, added: Option<&str>) -> String {
    let added = added.map_or_else(String::new, |column| format!("{column}, "));
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
        limit {MAX_OBJECTS}",
        quoted(label)
    )
}

/// The columns of the query.
struct FlipColumns {
    keys: Vec<ObjectKey>,
    from: Vec<Option<String>>,
    into: Vec<Option<String>>,
    p_before: Vec<Option<f64>>,
    p_after: Vec<Option<f64>>,
    iterations: Vec<Option<f64>>,
    rows: Vec<Option<Vec<f64>>>,
    columns: Vec<Option<Vec<f64>>>,
    /// `[pixel, band]`.
    values: Vec<Option<Vec<f64>>>,
    /// Electrons or flux added to the pixels, `[pixel, band]`.
    added: Vec<Option<Vec<f64>>>,
}

impl FlipColumns {
    fn of(result: &QueryResult, added: Option<&str>) -> Result<Self> {
        let (ids, origins) = (result.strings("object_id")?, result.strings("origin")?);
        let key = |(id, origin): (Option<String>, Option<String>)| ObjectKey {
            id: id.unwrap_or_default(),
            origin: origin.unwrap_or_default(),
        };
        Ok(Self {
            keys: ids.into_iter().zip(origins).map(key).collect(),
            from: result.strings("label_pred")?,
            into: result.strings("label_target")?,
            p_before: result.numbers("p_before")?,
            p_after: result.numbers("p_after")?,
            iterations: result.numbers("iterations")?,
            rows: result.lists("pixel_row")?,
            columns: result.lists("pixel_column")?,
            values: result.lists("pixel_values")?,
            added: added.map_or_else(|| Ok(vec![None; result.len()]), |column| result.lists(column))?,
        })
    }

    fn len(&self) -> usize {
        self.keys.len()
    }

    /// Rows and columns of the changed pixels; empty if one of them is outside the image.
    fn positions(&self, i: usize, layout: &ImageLayout) -> Vec<(usize, usize)> {
        let (Some(rows), Some(columns)) = (&self.rows[i], &self.columns[i]) else { return Vec::new() };
        let positions: Vec<(usize, usize)> =
            rows.iter().zip(columns).map(|(row, column)| (*row as usize, *column as usize)).collect();
        let are_inside = positions.iter().all(|(row, column)| *row < layout.height && *column < layout.width);
        if are_inside { positions } else { Vec::new() }
    }

    /// The description of a flip.
    fn lines(&self, i: usize, positions: &[(usize, usize)]) -> Vec<String> {
        let class = |class: &Option<String>, unknown: &str| ellipsize(class.as_deref().unwrap_or(unknown), 11);
        let number = |p: Option<f64>| p.map_or_else(|| "?".into(), |p| format!("{p:.3}"));
        let (from, into) = (class(&self.from[i], "?"), class(&self.into[i], "any other"));
        let probabilities = format!("p {} → {}", number(self.p_before[i]), number(self.p_after[i]));
        let (row, column) = positions[0];
        let pixel = match positions.len() {
            1 => format!("row {row}, column {column}"),
            n => format!("{n} pixels, first {row}, {column}"),
        };
        let generations = match self.iterations[i] {
            Some(n) if n < 0.5 => "initial population".to_owned(),
            Some(n) if n < 1.5 => "after 1 generation".to_owned(),
            Some(n) => format!("after {n:.0} generations"),
            None => String::new(),
        };
        vec![self.keys[i].id.clone(), format!("{from} → {into}"), probabilities, pixel, generations]
    }
}

/// The image after an attack.
fn image_after(
    before: &[f64],
    layout: &ImageLayout,
    positions: &[(usize, usize)],
    numbers: &[f64],
    change: PixelChange,
) -> Vec<f64> {
    let mut image = before.to_vec();
    for ((row, column), numbers) in positions.iter().zip(numbers.chunks_exact(layout.bands.len())) {
        for (band, number) in numbers.iter().enumerate() {
            let pixel = &mut image[band * layout.plane() + row * layout.width + column];
            *pixel = if change == PixelChange::Added { *pixel + number } else { *number };
        }
    }
    image
}

fn gallery_image(cutout: &Cutout, tone: &ToneMap) -> Result<GalleryImage> {
    let url = rgb(cutout.width, &cutout.colours(tone))?;
    Ok(GalleryImage { url, width: cutout.width, height: cutout.height })
}

/// The values of a changed pixel, before and after.
struct PixelValues<'a> {
    layout: &'a ImageLayout,
    /// Row and column.
    position: (usize, usize),
    before: &'a [f64],
    after: Option<&'a [f64]>,
    /// Electrons or flux by band, if the attack added something.
    added: Option<&'a [f64]>,
}

impl PixelValues<'_> {
    /// A line for each band, and a line for the pixels that are not listed. The attack changed `pixels` pixels.
    fn lines(&self, pixels: usize) -> Vec<String> {
        let mut lines: Vec<String> = (0..self.layout.bands.len()).filter_map(|band| self.line(band)).collect();
        let more = lines.len().saturating_sub(MAX_BANDS);
        lines.truncate(MAX_BANDS);
        if let Some(last) = lines.last_mut().filter(|_| more > 0) {
            *last = format!("and {} more bands", more + 1);
        }
        match pixels {
            0 | 1 => {}
            2 => lines.push("and 1 more pixel".into()),
            n => lines.push(format!("and {} more pixels", n - 1)),
        }
        lines
    }

    /// The value in a band; `None` if the attack added nothing to it.
    fn line(&self, band: usize) -> Option<String> {
        let unit = self.layout.unit;
        let number = |value: f64| match (unit, self.added) {
            (Unit::Stretched, None) => format!("{value:.3}"),
            (Unit::Stretched, Some(_)) => format!("{value:.2}"),
            _ => significant(value),
        };
        let (row, column) = self.position;
        let at = band * self.layout.plane() + row * self.layout.width + column;
        let added = self.added.and_then(|added| added.get(band)).copied();
        if added == Some(0.0) {
            return None;
        }
        let name = &self.layout.bands[band];
        let before = number(self.before[at]);
        let after = self.after.map_or_else(String::new, |after| format!(" → {}", number(after[at])));
        let suffix = match (unit, added) {
            (Unit::Electron, _) => " e⁻".to_owned(),
            (Unit::Stretched, Some(added)) => format!(" {added:+.0} e⁻"),
            _ => String::new(),
        };
        Some(format!("{name} {before}{after}{suffix}"))
    }
}

/// A label as a part of an SVG id. Different labels give different ids.
fn svg_id(label: &str) -> String {
    let escaped =
        |c: char| if c.is_ascii_alphanumeric() || c == '_' { c.to_string() } else { format!("-{:x}-", u32::from(c)) };
    label.chars().map(escaped).collect()
}

fn caption(context: &Context<'_>, label: &str, shown: &ImageColumn, other: Option<&ImageColumn>) -> String {
    let column = &shown.column;
    let mut parts = vec![format!(
        "Flipped objects, taking classes in turn, the easiest flips first, at most {MAX_OBJECTS}. p is the probability of the target class, \
         or of the original class in untargeted attacks."
    )];
    parts.push(match shown.change {
        PixelChange::Replaced => format!(
            "From left to right: `{column}`, the input of the model; the changed pixel, its surroundings and its values{}, before and after; the \
             image after the attack, with the pixel framed.",
            if shown.layout.unit == Unit::NanoJansky { ", nJy" } else { "" }
        ),
        PixelChange::Added => format!(
            "From left to right: `{column}`, before its stretch; the changed pixel, its surroundings and its electrons, before and after; the \
             image after the attack, with the pixel framed."
        ),
        PixelChange::Unknown => {
            let missing = kept_images::attacked_image(context, label).map_or_else(String::new, |attacked| {
                format!(" The attacked image was not kept. Add `images: [{attacked}]` to the settings of `{label}` to keep it.")
            });
            format!("The changed pixel is framed on `{column}`, as it was before the attack.{missing}")
        }
    });
    parts.extend(
        other.map(|other| format!("Last column: the same object in `{}`, which was not attacked.", other.column)),
    );
    parts.push(match channel_names(&shown.layout.bands) {
        Some([red, green, blue]) => format!(
            "Red, green and blue are {red}, {green} and {blue}, with an arcsinh stretch that keeps hues (Lupton et al. 2004) and weights that make \
             the average of all objects grey. Pixels as faint as the noise, and pixels clipped in two bands, have no hue."
        ),
        None => "Grey levels are the arcsinh of the flux.".to_owned(),
    });
    let scale = match FluxScale::of(&shown.layout) {
        FluxScale::RelativeToClip if shown.layout.stretch.is_none() => {
            "The images of a row have one scale, relative to the upper clip of each image's own stretch, which is undone."
        }
        FluxScale::RelativeToClip => {
            "The images of a row have one scale, relative to the upper clips of their stretches, which are undone, so that exposures compare."
        }
        FluxScale::Flux => "The images of a row have one flux scale.",
        FluxScale::Stored(_) => "Values are shown as stored; the images of a row have one scale.",
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
            wcs: None,
        }
    }

    #[test]
    fn changes_only_the_attacked_pixels_of_the_image_after() {
        let before: Vec<f64> = (0..12).map(f64::from).collect();
        let numbers = [50.0, 60.0, 70.0, 80.0];
        let replaced = image_after(&before, &layout(), &[(1, 2), (0, 1)], &numbers, PixelChange::Replaced);
        let expected = [0.0, 70.0, 2.0, 3.0, 4.0, 50.0, 6.0, 80.0, 8.0, 9.0, 10.0, 60.0];
        assert_eq!(replaced, expected);
        let numbers = [50.0, 0.0, 0.5, -1.0];
        let added = image_after(&before, &layout(), &[(1, 2), (1, 2)], &numbers, PixelChange::Added);
        assert_eq!((added[5], added[11]), (55.5, 10.0), "electrons in one pixel add up");
        assert_eq!(added.iter().zip(&before).filter(|(a, b)| a != b).count(), 2);
    }

    #[test]
    fn lists_pixel_values_by_band() {
        let (layout, before) = (layout(), vec![0.5; 12]);
        let after = image_after(&before, &layout, &[(0, 1)], &[1.0, 0.25], PixelChange::Replaced);
        let values =
            |added| PixelValues { layout: &layout, position: (0, 1), before: &before, after: Some(&after), added };
        assert_eq!(values(None).lines(1), ["g 0.500 → 1.000", "r 0.500 → 0.250"]);
        assert_eq!(values(Some(&[8340.4, 0.0])).lines(1), ["g 0.50 → 1.00 +8340 e⁻"]);
        assert_eq!(values(None).lines(3)[2], "and 2 more pixels");
        let sky = ImageLayout { unit: Unit::Electron, ..layout.clone() };
        assert_eq!(PixelValues { layout: &sky, ..values(Some(&[0.5, 0.0])) }.lines(1), ["g 0.5 → 1 e⁻"]);
        let flux = ImageLayout { unit: Unit::NanoJansky, ..layout.clone() };
        assert_eq!(PixelValues { layout: &flux, ..values(Some(&[0.0, -0.25])) }.lines(1), ["r 0.5 → 0.25"]);
    }

    #[test]
    fn gives_different_labels_different_ids() {
        assert_eq!(svg_id("da_pixel"), "da_pixel");
        assert_eq!(svg_id("a\" onload=\"b"), "a-22--20-onload-3d--22-b");
        assert_ne!(svg_id("a-b"), svg_id("a_b"));
    }
}
