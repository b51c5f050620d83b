//! Whether a card agrees with itself.

use super::{Card, ColumnsInput, Head, ImageInput, ImageSize, UNKNOWN, class_mistake};
use crate::batch::{Stretch, Unit};

/// The most numbers of an image or a latent vector: 1 GiB.
const MAX_NUMBERS: usize = 1 << 28;
/// The keys that format 3 added.
const KEYS_OF_FORMAT_3: [&str; 12] = [
    "head",
    "questions",
    "output",
    "channels",
    "scale",
    "offset",
    "mean",
    "std",
    "images",
    "columns",
    "errors",
    "notes",
];
/// The keys of all formats.
const KEYS: [&str; 13] = [
    "format",
    "classes",
    "bands",
    "size",
    "pixel_scale_arcsec",
    "domains",
    "unit",
    "electrons_per_njy",
    "trained_on",
    "input",
    "logits",
    "latent",
    "latent_size",
];

/// Compares the keys of a card with those of its format.
pub(super) fn check_keys(format: u32, card: &serde_json::Value) -> Result<(), String> {
    let keys = || card.as_object().into_iter().flat_map(|card| card.keys().map(String::as_str));
    if format < 3 {
        // Trainers note what they like in older cards, so a key of the same name means something else.
        let mut known =
            keys().filter(|key| KEYS_OF_FORMAT_3.contains(key) && !["notes", "columns", "images"].contains(key));
        return known.next().map_or(Ok(()), |key| Err(format!("`{key}` is a key of card format 3: add `format: 3`")));
    }
    let known = || KEYS.iter().chain(&KEYS_OF_FORMAT_3).copied();
    if let Some(key) = keys().find(|key| !known().any(|known| known == *key)) {
        let near =
            crate::error::did_you_mean(key, known()).unwrap_or_else(|| "put what is for people under `notes`".into());
        return Err(format!("unknown key `{key}`: {near}"));
    }
    if keys().all(|key| key != "unit") {
        return Err(
            "`unit` is missing: the unit of the constants in `domains`, or without domains that of the pixels".into()
        );
    }
    Ok(())
}

impl Card {
    /// Compares the keys of the card with each other.
    pub(super) fn verify(&self) -> Result<(), String> {
        self.verify_names()?;
        let own = [(&self.bands, self.size, &self.mean, &self.std)];
        let further = self.images.iter().map(|ImageInput { bands, size, mean, std, .. }| (bands, *size, mean, std));
        own.into_iter().chain(further).try_for_each(|(bands, size, mean, std)| verify_image(bands, size, mean, std))?;
        for ColumnsInput { input, columns, mean, std } in &self.columns {
            if columns.is_empty() {
                return Err(format!("the input `{input}` names no column"));
            }
            verify_scaling(&format!("columns of `{input}`"), columns.len(), mean, std)?;
        }
        let of_images = self.images.iter().map(|image| (image.scale, image.offset));
        for (scale, offset) in [(self.scale, self.offset)].into_iter().chain(of_images) {
            let single = scale.unwrap_or(1.0) as f32;
            if !single.is_finite() || single == 0.0 || !(offset.unwrap_or(0.0) as f32).is_finite() {
                let (scale, offset) = (scale.unwrap_or(1.0), offset.unwrap_or(0.0));
                return Err(format!(
                    "`scale` is {scale} and `offset` {offset}, expected numbers, and a scale other than 0"
                ));
            }
        }
        if let Some(scale) = self.pixel_scale_arcsec.filter(|scale| !(scale.is_finite() && *scale > 0.0)) {
            return Err(format!("`pixel_scale_arcsec` is {scale}, expected a number above 0, or `any`"));
        }
        if let Some(length) = self.latent_size.filter(|length| !(1..=MAX_NUMBERS).contains(length)) {
            return Err(format!("`latent_size` is {length}, expected 1 to {MAX_NUMBERS}"));
        }
        if self.latent_size.is_some() && self.latent.is_none() {
            return Err("`latent_size` is given without `latent`, the name of the output".into());
        }
        if self.errors.is_some() && self.head != Head::Regression {
            return Err(format!("`errors` belongs to a `regression`, the head is `{}`", self.head.name()));
        }
        self.verify_domains()
    }

    fn verify_names(&self) -> Result<(), String> {
        let classes = self.classes.len();
        let expected = match self.head {
            Head::Softmax if classes < 2 => {
                "it needs at least two classes; one number for two classes is `head: sigmoid`, with the negative class first"
            }
            Head::Sigmoid if classes != 2 => "a `sigmoid` needs two classes: the negative one, then the positive one",
            Head::Multilabel | Head::Regression if classes == 0 => "it needs at least one name in `classes`",
            Head::Dirichlet if self.questions.is_empty() => "a `dirichlet` needs `questions`",
            Head::Dirichlet | Head::Embedding if classes > 0 => "this head has no `classes`",
            Head::Embedding if self.latent.is_none() => "an `embedding` needs `latent`, the name of the output",
            _ if self.head != Head::Dirichlet && !self.questions.is_empty() => "only a `dirichlet` has `questions`",
            _ => "",
        };
        if !expected.is_empty() {
            let head = self.head.name();
            return Err(format!("{expected}; the head is `{head}` and `classes` has {classes}"));
        }
        if let Some(question) = self.questions.iter().find(|question| question.answers.len() < 2) {
            return Err(format!("the question `{}` needs at least two answers", question.name));
        }
        class_mistake(&self.names()).map_or(Ok(()), Err)
    }

    fn verify_domains(&self) -> Result<(), String> {
        let of_constants = [Unit::Electron, Unit::NanoJansky, Unit::Unknown];
        let of_pixels = [Unit::Electron, Unit::NanoJansky, Unit::Unknown, Unit::Stretched];
        let units = if self.domains.is_empty() && self.format >= 3 { &of_pixels[..] } else { &of_constants[..] };
        if !units.contains(&self.unit) {
            let names: Vec<String> = units.iter().map(|unit| format!("`{}`", unit.name())).collect();
            return Err(format!("its unit is `{}`, expected one of {}", self.unit.name(), names.join(", ")));
        }
        for (domain, electrons) in &self.electrons_per_njy {
            let are_usable =
                electrons.len() == self.bands.len() && electrons.iter().all(|one| one.is_finite() && *one > 0.0);
            if !are_usable || !self.domains.contains_key(domain) {
                let bands = self.bands.len();
                return Err(format!(
                    "`electrons_per_njy` of `{domain}` must be those of a domain, {bands} numbers above 0"
                ));
            }
        }
        if let Some((domain, _)) = self.domains.iter().find(|(_, Stretch { lo, hi })| !(lo < hi && *hi > 0.0)) {
            return Err(format!("the stretch of domain `{domain}` needs lo < hi and hi > 0"));
        }
        Ok(())
    }
}

fn verify_image(
    bands: &[String],
    size: ImageSize,
    mean: &Option<Vec<f64>>,
    std: &Option<Vec<f64>>,
) -> Result<(), String> {
    let (height, width) = (size.height(), size.width());
    if bands.iter().any(|band| band == UNKNOWN) {
        return Err(format!("a band is called `{UNKNOWN}`: fill in what the graph of the model does not tell"));
    }
    if bands.is_empty() || height == 0 || width == 0 {
        return Err("it needs at least one band and a size".into());
    }
    let numbers = height.checked_mul(width).and_then(|pixels| pixels.checked_mul(bands.len()));
    if numbers.is_none_or(|numbers| numbers > MAX_NUMBERS) {
        let bands = bands.len();
        return Err(format!(
            "images of {bands}x{height}x{width} numbers are too large, expected at most {MAX_NUMBERS}"
        ));
    }
    verify_scaling("bands", bands.len(), mean, std)
}

fn verify_scaling(what: &str, count: usize, mean: &Option<Vec<f64>>, std: &Option<Vec<f64>>) -> Result<(), String> {
    for (key, numbers) in [("mean", mean), ("std", std)] {
        let Some(numbers) = numbers else { continue };
        // The graph computes in single precision.
        let are_usable = numbers.iter().map(|n| *n as f32).all(|n| n.is_finite() && (key == "mean" || n > 0.0));
        if numbers.len() != count || !are_usable {
            let above = if key == "std" { " above 0" } else { "" };
            return Err(format!("`{key}` of the {what} must be {count} numbers{above}, found {numbers:?}"));
        }
    }
    Ok(())
}
