//! Text in charts: widths, shortening, and characters that need care.

/// The estimated width of a text, pixels. Browsers and papers substitute fonts, so exact metrics would not help.
pub(in crate::report) fn text_width(text: &str, size_px: u32) -> u32 {
    (text.chars().count() as f64 * f64::from(size_px) * 0.56).ceil() as u32
}

/// The text, shortened with `…` to at most `max_chars` characters.
pub(in crate::report) fn ellipsize(text: &str, max_chars: usize) -> String {
    if text.chars().count() <= max_chars {
        return text.to_owned();
    }
    text.chars().take(max_chars.saturating_sub(1)).chain(['…']).collect()
}

/// The text, shortened with `…` to at most `max_px` pixels.
pub(in crate::report) fn ellipsize_to_width(text: &str, max_px: u32, size_px: u32) -> String {
    let fits = |chars: &usize| text_width(&ellipsize(text, *chars), size_px) <= max_px;
    ellipsize(text, (1..=text.chars().count()).rev().find(fits).unwrap_or(1))
}

/// The text between Unicode isolates (UAX 9), so that a right-to-left name does not reorder its neighbours.
pub(in crate::report) fn bidi_isolate(text: &str) -> String {
    format!("\u{2068}{text}\u{2069}")
}

/// An SVG without the characters that XML forbids, which names in tables may contain.
pub(in crate::report) fn without_forbidden_characters(svg: String) -> String {
    let is_forbidden =
        |c: char| matches!(c, '\0'..'\x20' | '\u{fffe}' | '\u{ffff}') && !matches!(c, '\t' | '\n' | '\r');
    if svg.contains(is_forbidden) { svg.replace(is_forbidden, "\u{fffd}") } else { svg }
}

#[cfg(test)]
mod tests {
    use super::{super::rasterize, *};

    #[test]
    fn ellipsizes_to_characters_or_pixels() {
        assert_eq!((ellipsize("abcdef", 6), ellipsize("abcdef", 4)), ("abcdef".into(), "abc…".into()));
        assert_eq!(ellipsize_to_width("abcdef", text_width("abcdef", 10), 10), "abcdef");
        assert_eq!(ellipsize_to_width("abcdef", text_width("abcdef", 10) - 1, 10), "abcd…");
        assert_eq!((ellipsize_to_width("ab", 1, 10), ellipsize_to_width("", 9, 10)), ("…".into(), String::new()));
    }

    #[test]
    fn replaces_characters_that_xml_forbids() {
        let svg = |name: &str| {
            format!("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"9\" height=\"9\"><text>{name}</text></svg>")
        };
        let name = "a\u{1}b\u{fffe}\tc";
        assert!(rasterize::png(&svg(name)).is_err());
        assert_eq!(without_forbidden_characters(svg(name)), svg("a\u{fffd}b\u{fffd}\tc"));
        rasterize::png(&without_forbidden_characters(svg(name))).expect("a PNG");
    }
}
