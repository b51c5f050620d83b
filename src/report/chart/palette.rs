//! Colours that people with any vision tell apart, and those of the paper for its classes.

use plotters::style::RGBColor;

/// Letters and outlines. The page's style sheet knows these four colours by their values.
pub(in crate::report) const INK: RGBColor = RGBColor(0x1F, 0x23, 0x28);
/// Axes.
pub(in crate::report) const MUTED: RGBColor = RGBColor(0x65, 0x6D, 0x76);
/// Lines of the grid.
pub(in crate::report) const GRID: RGBColor = RGBColor(0xE3, 0xE7, 0xEB);
/// The paper.
pub(in crate::report) const PAPER: RGBColor = RGBColor(0xFF, 0xFF, 0xFF);

/// What is wrong: a flip, a drift, a reject. Vermilion of Okabe and Ito.
pub(in crate::report) const ALARM: RGBColor = RGBColor(0xD5, 0x5E, 0x00);

/// Okabe and Ito's colours (2008), without black and the yellow that paper swallows, in an order in which neighbours differ in
/// lightness too.
const SERIES: [RGBColor; 6] = [
    RGBColor(0x00, 0x72, 0xB2),
    RGBColor(0xE6, 0x9F, 0x00),
    RGBColor(0x00, 0x9E, 0x73),
    RGBColor(0xCC, 0x79, 0xA7),
    RGBColor(0x56, 0xB4, 0xE9),
    RGBColor(0xD5, 0x5E, 0x00),
];

/// The classes of arXiv 2112.14299 in the colours of its church windows.
const CLASSES: [(&str, RGBColor); 3] = [
    ("spiral", RGBColor(0xFF, 0xA6, 0x00)),
    ("elliptical", RGBColor(0xBC, 0x50, 0x90)),
    ("merger", RGBColor(0x00, 0x3F, 0x5C)),
];

/// The colour of a series, by its place.
pub(in crate::report) const fn series(place: usize) -> RGBColor {
    SERIES[place % SERIES.len()]
}

/// The colour of a class: the paper's for its three, one by place for any other.
pub(in crate::report) fn class(name: &str, place: usize) -> RGBColor {
    let known = CLASSES.iter().find(|(known, _)| *known == name);
    known.map_or_else(|| series(place), |(_, colour)| *colour)
}

/// As SVG and CSS write it.
pub(in crate::report) fn hex(RGBColor(red, green, blue): RGBColor) -> String {
    format!("#{red:02X}{green:02X}{blue:02X}")
}

/// From paper (0) to a full colour (1): lightness falls evenly, so it reads without colour too. Stops of the map "cividis", which
/// was made for colour-blind readers (Nunez, Anderton and Renslow 2018), from its light end.
pub(in crate::report) fn shade(value: f64) -> RGBColor {
    // Not the white of the paper, which the page turns dark: letters on it stay black.
    const STOPS: [RGBColor; 5] = [
        RGBColor(0xFE, 0xFE, 0xFE),
        RGBColor(0xE8, 0xDC, 0x9B),
        RGBColor(0x9B, 0x94, 0x77),
        RGBColor(0x4F, 0x57, 0x6C),
        RGBColor(0x00, 0x22, 0x4E),
    ];
    let at = value.clamp(0.0, 1.0) * (STOPS.len() - 1) as f64;
    let below = (at.floor() as usize).min(STOPS.len() - 2);
    let part = at - below as f64;
    let (RGBColor(r0, g0, b0), RGBColor(r1, g1, b1)) = (STOPS[below], STOPS[below + 1]);
    let mix = |from: u8, to: u8| (f64::from(from) + part * (f64::from(to) - f64::from(from))).round() as u8;
    RGBColor(mix(r0, r1), mix(g0, g1), mix(b0, b1))
}

/// Black or white letters on a colour, whichever is read more easily (its relative luminance by Rec. 709).
pub(in crate::report) fn letters_on(RGBColor(red, green, blue): RGBColor) -> &'static str {
    let light = 0.2126 * f64::from(red) + 0.7152 * f64::from(green) + 0.0722 * f64::from(blue);
    if light > 140.0 { "#000000" } else { "#FEFEFE" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_classes_of_the_paper_have_its_colours() {
        let colours = ["spiral", "elliptical", "merger"].map(|name| hex(class(name, 0)).to_lowercase());
        assert_eq!(colours, ["#ffa600", "#bc5090", "#003f5c"]);
        assert_eq!(class("quasar", 1), series(1));
    }

    #[test]
    fn shades_darken_evenly_and_letters_stay_legible() {
        let light = |RGBColor(r, g, b)| 0.2126 * f64::from(r) + 0.7152 * f64::from(g) + 0.0722 * f64::from(b);
        let lights: Vec<f64> = (0..=20).map(|i| light(shade(f64::from(i) / 20.0))).collect();
        assert!(lights.windows(2).all(|pair| pair[1] < pair[0]), "{lights:?}");
        assert_eq!((letters_on(shade(0.0)), letters_on(shade(1.0))), ("#000000", "#FEFEFE"));
        assert_ne!(shade(0.0), PAPER, "the page would turn it dark under black letters");
    }
}
