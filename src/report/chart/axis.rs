//! Axes: their ranges, and how their ticks are written.

use super::{super::numbers::short, text_width};

/// An axis of a panel.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::report) struct Axis {
    /// What it shows, with its unit.
    pub(in crate::report) label: String,
    pub(in crate::report) low: f64,
    pub(in crate::report) high: f64,
    pub(in crate::report) ticks: Ticks,
}

/// What stands at the ticks.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::report) enum Ticks {
    Numbers,
    /// The data are decimal logarithms, and written as what they are logarithms of.
    Decades,
    /// Names at 0, 1, 2, ...
    Names(Vec<String>),
}

impl Axis {
    /// Over all of the values, with some room at both ends; from 0 to 1 where there are none.
    pub(in crate::report) fn over(label: &str, values: impl IntoIterator<Item = f64>) -> Self {
        let (low, high) = extent(values).unwrap_or((0.0, 1.0));
        let room = if high > low { 0.04 * (high - low) } else { low.abs().max(1.0) * 0.1 };
        Self { label: label.into(), low: low - room, high: high + room, ticks: Ticks::Numbers }
    }

    /// From exactly here to exactly there.
    pub(in crate::report) fn between(label: &str, low: f64, high: f64) -> Self {
        Self { label: label.into(), low, high, ticks: Ticks::Numbers }
    }

    /// For names at 0, 1, 2, ...
    pub(in crate::report) fn names(label: &str, names: Vec<String>) -> Self {
        let high = names.len().max(1) as f64 - 0.5;
        Self { label: label.into(), low: -0.5, high, ticks: Ticks::Names(names) }
    }

    /// What stands at a tick; nothing between names.
    pub(in crate::report) fn tick(&self, at: f64) -> String {
        match &self.ticks {
            Ticks::Numbers => short(if at.abs() < 1e-9 * (self.high - self.low) { 0.0 } else { at }),
            Ticks::Decades if (at - at.round()).abs() < 1e-9 => short(10_f64.powf(at.round())),
            Ticks::Decades => String::new(),
            Ticks::Names(names) => {
                let place = at.round();
                let name = (place >= 0.0 && (at - place).abs() < 1e-9).then(|| names.get(place as usize)).flatten();
                name.map_or_else(String::new, |name| clipped(name, 24))
            }
        }
    }

    /// How many ticks to ask for.
    pub(in crate::report) fn asked(&self, room_px: u32) -> usize {
        let fit = (room_px / 60).clamp(2, 12) as usize;
        match &self.ticks {
            Ticks::Names(names) => (2 * names.len() + 1).min(4 * (room_px / 60).max(2) as usize),
            Ticks::Decades => (self.high - self.low).ceil().max(1.0) as usize + 1,
            Ticks::Numbers => fit,
        }
    }
}

/// The least and the greatest.
pub(in crate::report) fn extent(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    let finite = values.into_iter().filter(|value| value.is_finite());
    finite.fold(None, |extent, value| {
        let (low, high) = extent.unwrap_or((value, value));
        Some((low.min(value), high.max(value)))
    })
}

/// A text of at most so many letters.
pub(in crate::report) fn clipped(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// A text of at most so many pixels.
pub(in crate::report) fn fitted(text: &str, most_px: u32, size_px: u32) -> String {
    let fits = |letters: &usize| text_width(&clipped(text, *letters), size_px) <= most_px;
    clipped(text, (1..=text.chars().count()).rev().find(fits).unwrap_or(1))
}

/// A text among others, whatever direction it is written in: marks of Unicode (UAX 9) keep it to itself.
pub(in crate::report) fn isolated(text: &str) -> String {
    format!("\u{2068}{text}\u{2069}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_holds_all_values_with_room() {
        let axis = Axis::over("x", [3.0, f64::NAN, 1.0]);
        assert!(axis.low < 1.0 && axis.high > 3.0 && axis.high < 3.2, "{axis:?}");
        let one = Axis::over("x", [5.0]);
        assert!(one.low < 5.0 && one.high > 5.0);
        assert_eq!(Axis::over("x", []).tick(0.5), "0.5");
    }

    #[test]
    fn a_text_is_clipped_to_letters_or_to_pixels() {
        assert_eq!((clipped("abcdef", 6), clipped("abcdef", 4)), ("abcdef".into(), "abc…".into()));
        assert_eq!(fitted("abcdef", text_width("abcdef", 10), 10), "abcdef");
        assert_eq!(fitted("abcdef", text_width("abcdef", 10) - 1, 10), "abcd…");
        assert_eq!((fitted("ab", 1, 10), fitted("", 9, 10)), ("…".into(), String::new()));
    }

    #[test]
    fn ticks_are_written_as_what_they_mean() {
        let decades = Axis { ticks: Ticks::Decades, ..Axis::between("p", -3.0, 0.0) };
        assert_eq!((decades.tick(-3.0).as_str(), decades.tick(-0.5).as_str()), ("0.001", ""));
        let names = Axis::names("score", vec!["da".into(), "x".repeat(30)]);
        assert_eq!(names.tick(0.0), "da");
        assert_eq!(names.tick(0.5), "");
        assert_eq!(names.tick(1.0).chars().count(), 24);
        assert_eq!(Axis::between("x", -1.0, 1.0).tick(1e-17), "0");
    }
}
