//! What other programs write beside a model, as far as a card has a place for it. What has none, or what the file leaves open, is
//! reported, never guessed.

mod hyrax;
mod rubin;
mod timm;

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::{
    card::Head,
    error::{Error, Result, quoted_list},
};

/// The most bytes of a file: descriptions are small.
const MAX_BYTES: u64 = 16 << 20;
/// What the files are called in the folders of these programs.
const NAMES: [&str; 4] = ["meta.yaml", "runtime_config.toml", "config.json", "preprocessor_config.json"];

/// What a file says about a model.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct ImportedCard {
    /// The file.
    pub(super) file: PathBuf,
    /// What kind of file it is.
    pub(super) kind: &'static str,
    pub(super) head: Option<Head>,
    /// The classes in the order of the output.
    pub(super) classes: Option<Vec<String>>,
    /// How many classes there are.
    pub(super) class_count: Option<usize>,
    /// How many bands there are.
    pub(super) bands: Option<usize>,
    /// What is known of their order.
    pub(super) band_order: Option<String>,
    /// Rows and columns.
    pub(super) size: Option<[usize; 2]>,
    /// Of pixels from 0 to 1.
    pub(super) mean: Option<Vec<f64>>,
    pub(super) std: Option<Vec<f64>>,
    /// For people.
    pub(super) notes: Vec<(&'static str, String)>,
    /// What is not taken over, and why.
    pub(super) left_out: Vec<String>,
}

impl ImportedCard {
    /// Reads a file, or the one that a folder has. Its kind is found by its contents.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let path = if path.is_dir() { only_file(path)? } else { path.to_owned() };
        let shown = path.display();
        let unreadable = |error: std::io::Error| Error::data(format!("cannot read `{shown}`")).caused_by(error);
        let length = fs::metadata(&path).map_err(unreadable)?.len();
        if length > MAX_BYTES {
            return Err(Error::data(format!("`{shown}` has {length} bytes, expected at most {MAX_BYTES}")));
        }
        let bytes = fs::read(&path).map_err(unreadable)?;
        let text = String::from_utf8(bytes).map_err(|_| Error::data(format!("`{shown}` is not UTF-8 text")))?;
        let found = Self::of_text(&text).map_err(|reason| Error::data(format!("cannot use `{shown}`: {reason}")))?;
        Ok(Self { file: path, ..found })
    }

    fn of_text(text: &str) -> Result<Self, String> {
        // JSON is YAML too, but not its escapes.
        let value = serde_json::from_str(text).ok().or_else(|| {
            serde_saphyr::from_str_with_options(text, serde_saphyr::options! { strict_booleans: true }).ok()
        });
        let value = value.filter(Value::is_object);
        let by_value = value.and_then(|value| rubin::read(&value).or_else(|| timm::read(&value)));
        match by_value.or_else(|| hyrax::read(text).map(Ok)) {
            Some(found) => found,
            None => Err("it is not `meta.yaml` of a model package of lsst.meas.transiNet (`input_shape`, `input_scale_factor`), `config.json` of a \
                         timm model (`architecture`), `preprocessor_config.json` (`image_mean`), or `runtime_config.toml` of Hyrax"
                .into()),
        }
    }
}

fn only_file(folder: &Path) -> Result<PathBuf> {
    let found: Vec<PathBuf> = NAMES.iter().map(|name| folder.join(name)).filter(|file| file.is_file()).collect();
    match found.as_slice() {
        [only] => Ok(only.clone()),
        [] => Err(Error::data(format!("the folder `{}` has none of {}", folder.display(), quoted_list(&NAMES)))),
        several => {
            let several: Vec<String> = several.iter().map(|file| file.display().to_string()).collect();
            Err(Error::data(format!("the folder `{}` has {}: name one", folder.display(), quoted_list(&several))))
        }
    }
}

/// A list of numbers, or why the key has none.
fn numbers(value: &Value, key: &str) -> Result<Vec<f64>, String> {
    let wrong = || format!("`{key}` is `{value}`, expected a list of numbers");
    value.as_array().ok_or_else(wrong)?.iter().map(|number| number.as_f64().ok_or_else(wrong)).collect()
}

/// A list of whole numbers from 1 on, or why the key has none.
fn lengths<const N: usize>(value: &Value, key: &str) -> Result<[usize; N], String> {
    let wrong = || format!("`{key}` is `{value}`, expected {N} whole numbers above 0");
    let length = |number: &Value| number.as_u64().and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
    let lengths: Option<Vec<usize>> = value.as_array().ok_or_else(wrong)?.iter().map(length).collect();
    lengths.and_then(|lengths| lengths.try_into().ok()).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_another_kind_is_refused_with_the_kinds_that_are_read() {
        for text in ["", "a: 1\n", "{}", "[1, 2]", "name = 3\n"] {
            let error = ImportedCard::of_text(text).expect_err("refused");
            assert!(error.contains("`meta.yaml` of a model package") && error.contains("Hyrax"), "{text}: {error}");
        }
    }

    #[test]
    fn a_folder_has_one_file_that_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let read = || ImportedCard::read(folder.path());
        assert!(read().expect_err("none").to_string().contains("has none of `meta.yaml`"));
        fs::write(folder.path().join("config.json"), r#"{ "architecture": "resnet18", "num_classes": 2 }"#)
            .expect("written");
        assert_eq!(read().expect("read").class_count, Some(2));
        fs::write(folder.path().join("meta.yaml"), "input_shape: [4, 4, 3]\n").expect("written");
        assert!(read().expect_err("two").to_string().ends_with(": name one"));
    }
}
