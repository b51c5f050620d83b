//! Colours that readers with any colour vision can tell apart, and the class colours of arXiv 2112.14299.
//!
//! The theme colours are also constants in hexadecimal, which the SVG templates name.

use plotters::style::RGBColor;

/// Text and outlines.
pub(in crate::report) const INK: RGBColor = rgb(INK_HEX);
/// Axes and secondary text.
pub(in crate::report) const MUTED: RGBColor = rgb(MUTED_HEX);
/// Grid lines.
pub(in crate::report) const GRID: RGBColor = rgb(GRID_HEX);
/// The background.
pub(in crate::report) const PAPER: RGBColor = rgb(PAPER_HEX);

pub(in crate::report) const INK_HEX: &str = "#1F2328";
pub(in crate::report) const MUTED_HEX: &str = "#656D76";
pub(in crate::report) const GRID_HEX: &str = "#E3E7EB";
pub(in crate::report) const PAPER_HEX: &str = "#FFFFFF";

/// White that the page leaves white in dark mode, for text and frames on dark colours.
pub(in crate::report) const WHITE_HEX: &str = "#FEFEFE";
/// Black that the page leaves black in dark mode.
pub(in crate::report) const BLACK_HEX: &str = "#000000";

/// The theme colours and their CSS variables.
const THEME: [(&str, &str); 4] =
    [(INK_HEX, "--chart-ink"), (MUTED_HEX, "--chart-muted"), (GRID_HEX, "--chart-grid"), (PAPER_HEX, "--chart-paper")];

/// Anomalies: flips, drift, rejects. The vermilion of Okabe and Ito.
pub(in crate::report) const ALARM: RGBColor = rgb("#D55E00");

/// The colours of Okabe and Ito (2008) without black, and without the yellow, which is hard to see on white. The order makes
/// neighbours differ in lightness.
const SERIES: [RGBColor; 6] =
    [rgb("#0072B2"), rgb("#E69F00"), rgb("#009E73"), rgb("#CC79A7"), rgb("#56B4E9"), rgb("#D55E00")];

/// The classes of arXiv 2112.14299, in the colours of its church windows.
const CLASSES: [(&str, RGBColor); 3] =
    [("spiral", rgb("#FFA600")), ("elliptical", rgb("#BC5090")), ("merger", rgb("#003F5C"))];

/// The colour of the series with this index.
pub(in crate::report) const fn series(index: usize) -> RGBColor {
    SERIES[index % SERIES.len()]
}

/// The colour of a class: fixed for the classes of arXiv 2112.14299, by index for others. After the colours of series come lighter
/// and darker ones: Galaxy10 has ten classes.
pub(in crate::report) fn class(name: &str, index: usize) -> RGBColor {
    let known = CLASSES.iter().find(|(known, _)| *known == name);
    let towards = [None, Some(255), Some(0)][index / SERIES.len() % 3];
    let mix = |channel: u8, end: u8| u8::midpoint(channel, end);
    known.map_or_else(
        || match (series(index), towards) {
            (colour, None) => colour,
            (RGBColor(red, green, blue), Some(end)) => RGBColor(mix(red, end), mix(green, end), mix(blue, end)),
        },
        |(_, colour)| *colour,
    )
}

/// `#RRGGBB`.
pub(in crate::report) fn hex(RGBColor(red, green, blue): RGBColor) -> String {
    format!("#{red:02X}{green:02X}{blue:02X}")
}

const fn rgb(hex: &str) -> RGBColor {
    const fn digit(byte: u8) -> u8 {
        if byte.is_ascii_digit() { byte - b'0' } else { byte - b'A' + 10 }
    }
    let b = hex.as_bytes();
    RGBColor(16 * digit(b[1]) + digit(b[2]), 16 * digit(b[3]) + digit(b[4]), 16 * digit(b[5]) + digit(b[6]))
}

/// An SVG with the theme colours as CSS variables, for the page. Files keep the plain colours: not every reader of SVG knows
/// variables.
pub(in crate::report) fn themed(svg: &str) -> String {
    THEME.iter().fold(svg.to_owned(), |svg, (hex, variable)| {
        svg.replace(&format!("=\"{hex}\""), &format!("=\"var({variable}, {hex})\""))
    })
}

/// A colour from white (0) to dark blue (1) whose lightness decreases steadily, so that it also reads in greyscale. The stops
/// are from the light end of "cividis", made for readers with colour vision deficiency (Nunez, Anderton and Renslow 2018).
pub(in crate::report) fn shade(value: f64) -> RGBColor {
    // The first stop is not PAPER, which the page darkens in dark mode: the text on it stays black.
    const STOPS: [RGBColor; 5] = [rgb(WHITE_HEX), rgb("#E8DC9B"), rgb("#9B9477"), rgb("#4F576C"), rgb("#00224E")];
    let at = value.clamp(0.0, 1.0) * (STOPS.len() - 1) as f64;
    let below = (at.floor() as usize).min(STOPS.len() - 2);
    let fraction = at - below as f64;
    let (RGBColor(r0, g0, b0), RGBColor(r1, g1, b1)) = (STOPS[below], STOPS[below + 1]);
    let mix = |from: u8, to: u8| (f64::from(from) + fraction * (f64::from(to) - f64::from(from))).round() as u8;
    RGBColor(mix(r0, r1), mix(g0, g1), mix(b0, b1))
}

/// Black or white, whichever has more contrast with a background, by its relative luminance (Rec. 709).
pub(in crate::report) fn text_on(RGBColor(red, green, blue): RGBColor) -> &'static str {
    let luminance = 0.2126 * f64::from(red) + 0.7152 * f64::from(green) + 0.0722 * f64::from(blue);
    if luminance > 140.0 { BLACK_HEX } else { WHITE_HEX }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_the_classes_of_the_paper_its_colours() {
        let colours = ["spiral", "elliptical", "merger"].map(|name| hex(class(name, 0)).to_lowercase());
        assert_eq!(colours, ["#ffa600", "#bc5090", "#003f5c"]);
        assert_eq!(class("quasar", 1), series(1));
        let colours: std::collections::HashSet<String> = (0..18).map(|index| hex(class("quasar", index))).collect();
        assert_eq!(colours.len(), 18);
    }

    #[test]
    fn reads_and_writes_hexadecimal_colours() {
        assert_eq!((INK, hex(INK).as_str()), (RGBColor(0x1F, 0x23, 0x28), INK_HEX));
        assert_eq!(rgb("#0072B2"), RGBColor(0, 0x72, 0xB2));
    }

    #[test]
    fn shades_darken_monotonically_and_text_on_them_stays_legible() {
        let luminance = |RGBColor(r, g, b)| 0.2126 * f64::from(r) + 0.7152 * f64::from(g) + 0.0722 * f64::from(b);
        let found: Vec<f64> = (0..=20).map(|i| luminance(shade(f64::from(i) / 20.0))).collect();
        assert!(found.windows(2).all(|pair| pair[1] < pair[0]), "{found:?}");
        assert_eq!((text_on(shade(0.0)), text_on(shade(1.0))), ("#000000", "#FEFEFE"));
        assert_ne!(shade(0.0), PAPER, "dark mode would darken it under black text");
    }

    #[test]
    fn replaces_theme_colours_and_no_others_by_variables() {
        let svg = "<text fill=\"#1F2328\" stroke=\"#D55E00\">#1F2328</text><rect fill=\"#FFFFFF\"/>";
        let expected = "<text fill=\"var(--chart-ink, #1F2328)\" stroke=\"#D55E00\">#1F2328</text>\
                        <rect fill=\"var(--chart-paper, #FFFFFF)\"/>";
        assert_eq!(themed(svg), expected);
    }
}
