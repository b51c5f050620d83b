//! Lists in the metadata of columns: names of classes and bands, and numbers.
//!
//! Arrow metadata are text. A list is written as JSON, because a name may hold any character: astroNN calls a class of Galaxy10
//! `Disk, Face-on, No Spiral`. Earlier versions wrote the items with commas between them; such columns are still read.

use serde::de::DeserializeOwned;
use serde_json::Value;

/// A list as it is written in metadata.
///
/// ```
/// use lucarne::batch::{metadata_list, metadata_names};
///
/// let written = metadata_list(&["Disk, Face-on", "Smooth"]);
/// assert_eq!(written, r#"["Disk, Face-on","Smooth"]"#);
/// assert_eq!(metadata_names(&written), ["Disk, Face-on", "Smooth"]);
/// assert_eq!(metadata_names("spiral,merger"), ["spiral", "merger"]);
/// ```
pub fn metadata_list<T: Clone + Into<Value>>(items: &[T]) -> String {
    Value::from(items).to_string()
}

/// The names in a list of metadata.
pub fn metadata_names(text: &str) -> Vec<String> {
    json_list(text).unwrap_or_else(|| text.split(',').map(str::to_owned).collect())
}

/// The numbers in a list of metadata; `None` if it holds anything else.
pub fn metadata_numbers(text: &str) -> Option<Vec<f64>> {
    json_list(text).or_else(|| text.split(',').map(|number| number.parse().ok()).collect())
}

/// The items of a list that is JSON; `None` for those of earlier versions.
fn json_list<T: DeserializeOwned>(text: &str) -> Option<Vec<T>> {
    serde_json::from_str(text).ok().filter(|_| text.starts_with('['))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_with_any_character() {
        let lists: [&[&str]; 6] = [
            &["Disk, Face-on, No Spiral", "Smooth, Completely round"],
            &["a \"quoted\" name", "back\\slash", "it's"],
            &["[bracket", "[\"list\"]", "]"],
            &["galaxie lenticulaire étirée", "螺旋星系", "🌀"],
            &["", " ", "two\nlines"],
            &["one"],
        ];
        for names in lists {
            assert_eq!(metadata_names(&metadata_list(names)), names);
        }
    }

    #[test]
    fn numbers_survive_bit_for_bit() {
        let numbers = [0.1, 1.0 / 3.0, 30.0, 1e-300, f64::MAX, -0.0];
        let read = metadata_numbers(&metadata_list(&numbers)).expect("numbers");
        let bits = |numbers: &[f64]| numbers.iter().map(|number| number.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&read), bits(&numbers));
        assert_eq!(metadata_numbers("[0.5,null]"), None);
    }

    #[test]
    fn lists_of_earlier_versions_are_read() {
        assert_eq!(metadata_names("g,r,i"), ["g", "r", "i"]);
        assert_eq!(metadata_names("spiral"), ["spiral"]);
        // Not JSON, although it begins as a list does.
        assert_eq!(metadata_names("[OIII],Ha"), ["[OIII]", "Ha"]);
        assert_eq!(metadata_numbers("30.5,0.001"), Some(vec![30.5, 1e-3]));
        assert_eq!(metadata_numbers("30.5,x"), None);
    }
}
