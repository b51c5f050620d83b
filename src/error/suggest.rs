//! "Did you mean": the known name nearest to a misspelt one.

use std::collections::BTreeSet;

/// `did you mean `r`?`, when a known name is near enough to be meant.
pub fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(name, known).map(|near| format!("did you mean `{near}`?"))
}

/// What to say of a name that is not among the known ones: the one that was probably meant, else all there are.
pub(super) fn suggestion<'a>(name: &str, known: impl IntoIterator<Item = &'a str>, what: &str) -> String {
    let mut seen = BTreeSet::new();
    let known: Vec<&str> = known.into_iter().filter(|name| seen.insert(*name)).collect();
    match (nearest(name, known.iter().copied()), known.as_slice()) {
        (Some(near), _) => format!("did you mean `{near}`?"),
        (None, []) => format!("no {what} are available here"),
        (None, known) => format!("available {what}: {}", quoted_list(known)),
    }
}

/// Names in backticks, with commas; the first twenty.
pub fn quoted_list<S: AsRef<str>>(names: &[S]) -> String {
    let shown = names.iter().take(20).map(|name| format!("`{}`", name.as_ref())).collect::<Vec<_>>().join(", ");
    if names.len() > 20 { format!("{shown} and {} more", names.len() - 20) } else { shown }
}

/// The known name that is spelt nearly like `name`.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1.max(candidate.len().min(name.len()) / 3))
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_a_near_name_and_lists_all_otherwise() {
        assert_eq!(suggestion("yeers", ["years", "image"], "keys"), "did you mean `years`?");
        assert_eq!(suggestion("x_ray", ["g", "r", "g"], "bands"), "available bands: `g`, `r`");
        assert_eq!(suggestion("g", [], "bands"), "no bands are available here");
    }
}
