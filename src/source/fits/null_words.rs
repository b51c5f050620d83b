//! Words that stand for a missing value.

/// The words that mean nothing in headers and catalogues, as astropy, TOPCAT, pandas and R write them. Case counts: `none` is a class
/// of bars, `None` is Python's.
pub(super) const NULL_WORDS: [&str; 13] =
    ["", "nan", "NaN", "NAN", "null", "NULL", "Null", "None", "--", "N/A", "n/a", "NA", "<NA>"];

/// Whether a text stands for a missing value.
pub(super) fn is_null_word(text: &str) -> bool {
    NULL_WORDS.contains(&text.trim())
}
