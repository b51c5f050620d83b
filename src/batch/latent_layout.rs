//! What a latent column holds, as metadata of its field: by it, latents of two tables are compared before they are measured.

use arrow::datatypes::Field;
use serde::{Deserialize, Serialize};

use super::layout::{ImageLayout, Stretch, Unit, is_same_exposure, is_same_pixel_scale};
use crate::error::quoted_list;

/// The key in the metadata of a column.
pub(crate) const LATENT_LAYOUT: &str = "latent_layout";

/// The output that latents are, and the images that the model was shown for them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LatentLayout {
    /// The output of the model that gives the latents.
    pub output: String,
    /// The images, in the order of the model's inputs.
    pub images: Vec<ScoredImage>,
}

/// Images that a model was shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ScoredImage {
    /// Band names, in the order of the planes.
    pub bands: Vec<String>,
    /// The unit of the pixels.
    pub unit: Unit,
    /// Side of a pixel, arcsec, if known.
    pub pixel_scale_arcsec: Option<f64>,
    /// The constants of the stretch; `None` if images are not stretched, or each with constants of its own.
    pub stretch: Option<Stretch>,
    /// The domain of the model's card that has these constants.
    pub domain: Option<String>,
    /// Electrons per nJy in each band, for images in electrons of one exposure.
    pub electrons_per_njy: Option<Vec<f64>>,
}

/// How the layouts of two latent columns differ, as lines for messages. In each line the first layout is that which was asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LatentDifferences {
    /// Why distances between the latents mean nothing: other bands, units, pixel scales, other constants of one domain, or another
    /// output.
    pub(crate) conflicts: Vec<String>,
    /// What a distance between the latents may measure (domains, exposures), or what only one of the layouts says.
    pub(crate) shifts: Vec<String>,
}

impl LatentLayout {
    /// The latents of an output of a model.
    pub fn new<O: Into<String>>(output: O, images: impl IntoIterator<Item = ScoredImage>) -> Self {
        Self { output: output.into(), images: images.into_iter().collect() }
    }

    /// The entry of the metadata of a column.
    pub fn entry(&self) -> (String, String) {
        (LATENT_LAYOUT.to_owned(), serde_json::to_string(self).unwrap_or_default())
    }

    /// The layout that a field describes; `None` if it describes none, as fields of earlier versions.
    pub fn of(field: &Field) -> Option<Self> {
        serde_json::from_str(field.metadata().get(LATENT_LAYOUT)?).ok()
    }

    /// Compares latents with those that are expected.
    pub(crate) fn differences(&self, expected: &Self) -> LatentDifferences {
        let mut differences = LatentDifferences::default();
        if self.output != expected.output {
            let (found, expected) = (&self.output, &expected.output);
            differences.conflicts.push(format!("output `{found}` of the model, expected `{expected}`"));
        }
        if self.images.len() != expected.images.len() {
            let (found, expected) = (self.images.len(), expected.images.len());
            differences.conflicts.push(format!("{found} images for a latent, expected {expected}"));
        }
        for (number, (found, expected)) in self.images.iter().zip(&expected.images).enumerate() {
            let of = if number == 0 { String::new() } else { format!(" (image input {})", number + 1) };
            found.compare(expected, &of, &mut differences);
        }
        differences
    }
}

impl ScoredImage {
    /// Images of a layout; `domain` is that of the model's card with the constants of their stretch.
    pub fn new(layout: &ImageLayout, domain: impl Into<Option<String>>) -> Self {
        Self {
            bands: layout.bands.clone(),
            unit: layout.unit,
            pixel_scale_arcsec: layout.pixel_scale_arcsec,
            stretch: layout.stretch,
            domain: domain.into(),
            electrons_per_njy: layout.electrons_per_njy.clone(),
        }
    }

    /// Adds how these images differ from those that are expected; `of` ends each line.
    fn compare(&self, expected: &Self, of: &str, differences: &mut LatentDifferences) {
        let LatentDifferences { conflicts, shifts } = differences;
        let mut note = |is_conflict: bool, what: &str, found: String, expected: String| {
            let line = format!("{what} {found}, expected {expected}{of}");
            if is_conflict { conflicts.push(line) } else { shifts.push(line) }
        };
        if self.bands != expected.bands {
            note(true, "bands", quoted_list(&self.bands), quoted_list(&expected.bands));
        }
        if self.unit != expected.unit {
            let is_known = self.unit != Unit::Unknown && expected.unit != Unit::Unknown;
            let [found, expected] = [self, expected].map(|images| format!("`{}`", images.unit.name()));
            note(is_known, "unit", found, expected);
        }
        let scales = (self.pixel_scale_arcsec, expected.pixel_scale_arcsec);
        let is_same = scales.0.zip(scales.1).map(|(found, expected)| is_same_pixel_scale(found, expected));
        if is_same == Some(false) || scales.0.is_some() != scales.1.is_some() {
            let written =
                |scale: Option<f64>| scale.map_or_else(|| "unknown".to_owned(), |scale| format!("{scale} arcsec"));
            note(is_same.is_some(), "pixel scale", written(scales.0), written(scales.1));
        }
        if !self.has_stretch_of(expected) {
            let is_one_domain = self.domain.is_some() && self.domain == expected.domain;
            note(is_one_domain, "stretch", self.written_stretch(), expected.written_stretch());
        }
        if self.unit == Unit::Electron && expected.unit == Unit::Electron && !self.has_exposure_of(expected) {
            let [found, expected] = [self, expected].map(|images| match &images.electrons_per_njy {
                Some(electrons) => format!("{electrons:?}"),
                None => "unknown".to_owned(),
            });
            note(false, "electrons per nJy", found, expected);
        }
    }

    fn has_stretch_of(&self, other: &Self) -> bool {
        match (self.stretch, other.stretch) {
            (Some(own), Some(other)) => own.is_near(other),
            (None, None) => true,
            // Units that differ are a line already.
            _ => self.unit != other.unit,
        }
    }

    fn written_stretch(&self) -> String {
        match (self.stretch, &self.domain) {
            (Some(Stretch { lo, hi }), Some(domain)) => format!("`{domain}` (lo {lo}, hi {hi})"),
            (Some(Stretch { lo, hi }), None) => format!("lo {lo} and hi {hi}"),
            (None, _) => "image by image".to_owned(),
        }
    }

    fn has_exposure_of(&self, other: &Self) -> bool {
        match (&self.electrons_per_njy, &other.electrons_per_njy) {
            (Some(own), Some(other)) => {
                own.len() == other.len() && own.iter().zip(other).all(|(own, other)| is_same_exposure(*own, *other))
            }
            (own, other) => own.is_some() == other.is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(change: impl Fn(&mut ScoredImage)) -> LatentLayout {
        let images = ImageLayout::new(["g", "r"], 2, 3, Unit::Stretched)
            .with_pixel_scale(0.2)
            .with_stretch(Stretch { lo: -1.5, hi: 1.0 / 3.0 });
        let mut image = ScoredImage::new(&images, "y10".to_owned());
        change(&mut image);
        LatentLayout::new("latent", [image])
    }

    /// Conflicts and shifts of a changed layout against the one that is expected.
    fn lines(found: &LatentLayout, expected: &LatentLayout) -> (String, String) {
        let LatentDifferences { conflicts, shifts } = found.differences(expected);
        (conflicts.join("; "), shifts.join("; "))
    }

    #[test]
    fn a_layout_survives_its_field() {
        let layout = layout(|image| image.electrons_per_njy = Some(vec![0.1, 1e-3]));
        let field = Field::new("a_latent", super::super::list_type(2), false);
        assert_eq!(LatentLayout::of(&field), None);
        let described =
            |value: &str| field.clone().with_metadata([(LATENT_LAYOUT.to_owned(), value.to_owned())].into());
        assert_eq!(LatentLayout::of(&described(&layout.entry().1)), Some(layout));
        assert_eq!(LatentLayout::of(&described("{}")), None);
    }

    #[test]
    fn what_cannot_be_compared_is_a_conflict() {
        let expected = layout(|_| ());
        assert_eq!(expected.differences(&expected), LatentDifferences::default());
        type Change = fn(&mut ScoredImage);
        let cases: [(Change, &str); 4] = [
            (|image| image.bands.reverse(), "bands `r`, `g`, expected `g`, `r`"),
            (
                |image| (image.unit, image.stretch, image.domain) = (Unit::NanoJansky, None, None),
                "unit `nJy`, expected `stretched`",
            ),
            (|image| image.pixel_scale_arcsec = Some(0.168), "pixel scale 0.168 arcsec, expected 0.2 arcsec"),
            (
                |image| image.stretch = Some(Stretch { lo: -1.0, hi: 2.0 }),
                "stretch `y10` (lo -1, hi 2), expected `y10` (lo -1.5, hi 0.3333333333333333)",
            ),
        ];
        for (change, expected_line) in cases {
            assert_eq!(lines(&layout(change), &expected), (expected_line.to_owned(), String::new()));
        }
        let other = LatentLayout { output: "features".into(), ..expected.clone() };
        assert_eq!(lines(&other, &expected).0, "output `features` of the model, expected `latent`");
        let two = LatentLayout::new("latent", [expected.images[0].clone(), expected.images[0].clone()]);
        assert_eq!(lines(&two, &expected).0, "2 images for a latent, expected 1");
        let mut changed = two.clone();
        changed.images[1].bands.reverse();
        assert_eq!(lines(&changed, &two).0, "bands `r`, `g`, expected `g`, `r` (image input 2)");
    }

    #[test]
    fn domains_exposures_and_what_one_side_does_not_say_are_shifts() {
        let expected = layout(|_| ());
        let shift = |change: fn(&mut ScoredImage)| lines(&layout(change), &expected);
        let other = shift(|image| {
            (image.stretch, image.domain) = (Some(Stretch { lo: -1.0, hi: 2.0 }), Some("y1".into()));
        });
        let line = "stretch `y1` (lo -1, hi 2), expected `y10` (lo -1.5, hi 0.3333333333333333)";
        assert_eq!(other, (String::new(), line.to_owned()));
        let (conflicts, shifts) = shift(|image| (image.stretch, image.domain) = (None, None));
        assert!(conflicts.is_empty() && shifts.starts_with("stretch image by image, expected "), "{shifts}");
        let (conflicts, shifts) = shift(|image| image.pixel_scale_arcsec = None);
        assert_eq!((conflicts.as_str(), shifts.as_str()), ("", "pixel scale unknown, expected 0.2 arcsec"));
        let (conflicts, shifts) = shift(|image| (image.unit, image.stretch) = (Unit::Unknown, None));
        assert_eq!((conflicts.as_str(), shifts.as_str()), ("", "unit `unknown`, expected `stretched`"));
        let electrons = |electrons: Option<[f64; 2]>| {
            layout(|image| {
                (image.unit, image.stretch, image.domain) = (Unit::Electron, None, None);
                image.electrons_per_njy = electrons.map(Vec::from);
            })
        };
        let year = electrons(Some([3.0, 4.0]));
        assert_eq!(lines(&electrons(Some([3.02, 4.0])), &year), (String::new(), String::new()));
        let line = "electrons per nJy [30.0, 40.0], expected [3.0, 4.0]";
        assert_eq!(lines(&electrons(Some([30.0, 40.0])), &year), (String::new(), line.to_owned()));
        assert_eq!(lines(&electrons(None), &year).1, "electrons per nJy unknown, expected [3.0, 4.0]");
    }
}
