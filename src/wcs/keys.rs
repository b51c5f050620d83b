//! Keys with indices: `PV1_3`, `A_2_0`.

use crate::fits::Header;

/// A key with indices and its value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct IndexedKey {
    pub(super) key: String,
    pub(super) indices: [usize; 2],
    pub(super) value: f64,
}

/// All keys of a header that are a prefix and two indices, in the order of the header: `PV` finds `PV1_3`, `A_` finds `A_2_0`.
///
/// # Errors
/// When the value of one is not a number.
pub(super) fn indexed_keys(header: &Header, prefix: &str) -> Result<Vec<IndexedKey>, String> {
    let mut found = Vec::new();
    for card in header.cards().filter(|card| card[8] == b'=') {
        let Some(key) = str::from_utf8(&card[..8]).ok().map(|name| name.trim_end().to_ascii_uppercase()) else {
            continue;
        };
        let Some(indices) = key.strip_prefix(prefix).and_then(two_indices) else { continue };
        if let Some(value) = header.number(&key)? {
            found.push(IndexedKey { key, indices, value });
        }
    }
    Ok(found)
}

/// The indices of `1_3`.
fn two_indices(text: &str) -> Option<[usize; 2]> {
    let (first, second) = text.split_once('_')?;
    let index = |digits: &str| {
        let all = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        if all { digits.parse().ok() } else { None }
    };
    Some([index(first)?, index(second)?])
}

/// A number that has to be there.
///
/// # Errors
/// When the key is missing or is not a number.
pub(super) fn required_number(header: &Header, key: &str) -> Result<f64, String> {
    header.number(key)?.ok_or_else(|| format!("key `{key}` is missing, expected a number"))
}
