//! What the YAML reader cannot read, in the words of a document instead of those of its programmers.

use serde_saphyr::{Error, budget::BudgetBreach};

use super::tree::MAX_DEPTH;

/// The message of an error without its place, and what to do.
pub(super) fn described(error: &Error) -> (String, Option<String>) {
    let plain = |message: &str| (message.to_owned(), None);
    let with_help = |message: &str, help: &str| (message.to_owned(), Some(help.to_owned()));
    match error.without_snippet() {
        Error::AliasError { error, .. } => described(error),
        Error::NullIntoString { .. } => {
            with_help("a label or key is text, found null", "put `null` in quotes if it is a name")
        }
        Error::Unexpected { expected: "string scalar", .. } => {
            with_help("a label or key is text, found a list or a map", "text that begins with `{` or `[` needs quotes")
        }
        Error::MultipleDocuments { .. } => {
            with_help("one document is expected, a second begins here", "write each pipeline into a file of its own")
        }
        Error::MergeValueNotMapOrSeqOfMaps { .. } => plain("the value of `<<` is neither a map nor a list of maps"),
        Error::UnsupportedTag { tag, .. } => {
            let message = format!("the tag `{tag}` is not known");
            (message, Some("put text that begins with `!` in quotes".into()))
        }
        Error::UnsupportedIncludeForm { .. } => plain("the tag `!include` is not known"),
        Error::InvalidBinaryBase64 { .. } => plain("the value of `!!binary` is not base64"),
        Error::BinaryNotUtf8 { .. } => plain("the value of `!!binary` is not UTF-8"),
        Error::InvalidScalar { .. } | Error::InvalidBooleanStrict { .. } => plain("the value is not what its tag says"),
        Error::NonFiniteFloat { value, .. } => {
            (format!("`{value}` is not a finite number"), Some("put it in quotes if it is text".into()))
        }
        Error::UnknownAnchor { .. } => plain("the alias has no anchor before it"),
        Error::RecursiveReferencesRequireWeakTypes { .. } => plain("the alias is within its own anchor"),
        Error::Budget { breach: BudgetBreach::Depth { .. }, .. } => {
            (format!("the document has more than {MAX_DEPTH} levels"), None)
        }
        Error::Budget { .. } => with_help("the document is too large", "aliases count as what they stand for"),
        Error::AliasReplayCounterOverflow { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => {
            plain("the document is too large, with what its aliases stand for")
        }
        // The scanner has a limit of its own for lists and maps in brackets.
        other if other.to_string().starts_with("recursion limit exceeded") => {
            (format!("the document has more than {MAX_DEPTH} levels"), None)
        }
        other => (scanned(&other.to_string()), None),
    }
}

/// A message of the scanner without the place, which is shown with a caret instead: lowercase, names in backticks.
fn scanned(message: &str) -> String {
    let message = message.lines().next().unwrap_or_default();
    let message = message.split(" at line ").next().unwrap_or(message).trim_end_matches('.');
    let message = in_backticks(message);
    // A word such as `YAML` stays.
    let mut chars = message.chars();
    match (chars.next(), chars.next()) {
        (Some(first), Some(second)) if !second.is_uppercase() => {
            first.to_lowercase().chain([second]).chain(chars).collect()
        }
        _ => message,
    }
}

/// A message whose names are quoted like `this' or 'this'.
fn in_backticks(message: &str) -> String {
    let (mut out, mut rest) = (String::new(), message);
    let opening = |text: &str| text.match_indices(['\'', '`']).map(|(at, _)| at).find(|at| text[..*at].ends_with(' '));
    while let Some(start) = opening(rest) {
        let after = &rest[start + 1..];
        // A name has a character or more, which may be a quote.
        let Some((end, _)) = after.char_indices().skip(1).find(|(_, c)| *c == '\'') else { break };
        out.push_str(&rest[..start]);
        out.push_str(&match &after[..end] {
            "`" => "a backtick".to_owned(),
            name => format!("`{name}`"),
        });
        rest = &after[end + 1..];
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::scanned;

    #[test]
    fn messages_of_the_scanner_are_in_the_style_of_the_others() {
        for (message, expected) in [
            ("unexpected character: `@' at line 1 column 6", "unexpected character: `@`"),
            ("unexpected character: ``'", "unexpected character: a backtick"),
            ("unclosed bracket '['", "unclosed bracket `[`"),
            ("A BOM must not appear.", "a BOM must not appear"),
            ("YAML is not this", "YAML is not this"),
            ("did not find expected ',' or '}'", "did not find expected `,` or `}`"),
            ("unclosed quote", "unclosed quote"),
        ] {
            assert_eq!(scanned(message), expected);
        }
    }
}
