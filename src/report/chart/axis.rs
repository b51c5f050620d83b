//! Axes: their ranges and tick labels.

use super::{super::format::significant, text::ellipsize};

/// An axis of a panel.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::report) struct ChartAxis {
    /// The quantity, with its unit.
    pub(in crate::report) label: String,
    pub(in crate::report) low: f64,
    pub(in crate::report) high: f64,
    pub(in crate::report) ticks: Ticks,
}

/// How ticks are labelled.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::report) enum Ticks {
    Numbers,
    /// The data are decimal logarithms; labels show the original values.
    Decades,
    /// Names at 0, 1, 2, ...
    Names(Vec<String>),
}

impl ChartAxis {
    /// An axis over all values, with a margin at both ends; from 0 to 1 (and margins) if there are no values.
    pub(in crate::report) fn over(label: &str, values: impl IntoIterator<Item = f64>) -> Self {
        let (low, high) = range(values).unwrap_or((0.0, 1.0));
        let margin = if high > low { 0.04 * (high - low) } else { low.abs().max(1.0) * 0.1 };
        Self { label: label.into(), low: low - margin, high: high + margin, ticks: Ticks::Numbers }
    }

    /// An axis with exact limits.
    pub(in crate::report) fn between(label: &str, low: f64, high: f64) -> Self {
        Self { label: label.into(), low, high, ticks: Ticks::Numbers }
    }

    /// A categorical axis: names at 0, 1, 2, ...
    pub(in crate::report) fn names(label: &str, names: Vec<String>) -> Self {
        let high = names.len().max(1) as f64 - 0.5;
        Self { label: label.into(), low: -0.5, high, ticks: Ticks::Names(names) }
    }

    /// The label of a tick; empty between names and between decades.
    pub(in crate::report) fn tick_label(&self, at: f64) -> String {
        match &self.ticks {
            Ticks::Numbers => significant(if at.abs() < 1e-9 * (self.high - self.low) { 0.0 } else { at }),
            Ticks::Decades if (at - at.round()).abs() < 1e-9 => significant(10_f64.powf(at.round())),
            Ticks::Decades => String::new(),
            Ticks::Names(names) => {
                let index = at.round();
                let name = (index >= 0.0 && (at - index).abs() < 1e-9).then(|| names.get(index as usize)).flatten();
                name.map_or_else(String::new, |name| ellipsize(name, 24))
            }
        }
    }

    /// How many ticks to request from plotters for an axis of this length.
    pub(in crate::report) fn tick_count(&self, length_px: u32) -> usize {
        let fitting = (length_px / 60).clamp(2, 12) as usize;
        match &self.ticks {
            Ticks::Names(names) => (2 * names.len() + 1).min(4 * (length_px / 60).max(2) as usize),
            Ticks::Decades => (self.high - self.low).ceil().max(1.0) as usize + 1,
            Ticks::Numbers => fitting,
        }
    }
}

/// The minimum and the maximum of the finite values.
pub(in crate::report) fn range(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    let finite = values.into_iter().filter(|value| value.is_finite());
    finite.fold(None, |range, value| {
        let (low, high) = range.unwrap_or((value, value));
        Some((low.min(value), high.max(value)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn covers_all_finite_values_with_a_margin() {
        let axis = ChartAxis::over("x", [3.0, f64::NAN, 1.0]);
        assert!(axis.low < 1.0 && axis.high > 3.0 && axis.high < 3.2, "{axis:?}");
        let one = ChartAxis::over("x", [5.0]);
        assert!(one.low < 5.0 && one.high > 5.0);
        assert_eq!(ChartAxis::over("x", []).tick_label(0.5), "0.5");
    }

    #[test]
    fn labels_ticks_with_the_values_they_stand_for() {
        let decades = ChartAxis { ticks: Ticks::Decades, ..ChartAxis::between("p", -3.0, 0.0) };
        assert_eq!((decades.tick_label(-3.0).as_str(), decades.tick_label(-0.5).as_str()), ("0.001", ""));
        let names = ChartAxis::names("score", vec!["da".into(), "x".repeat(30)]);
        assert_eq!(names.tick_label(0.0), "da");
        assert_eq!(names.tick_label(0.5), "");
        assert_eq!(names.tick_label(1.0).chars().count(), 24);
        assert_eq!(ChartAxis::between("x", -1.0, 1.0).tick_label(1e-17), "0");
    }
}
