//! Classes by the lines in the Gini-M20 plane (Lotz et al. 2008), and the distances from the lines.

/// The Gini coefficient at which the line between ellipticals and spirals crosses M20 = 0 (Lotz et al. 2008). The bulge
/// statistic of Snyder et al. (2015), with 3.85 instead of 3.96, puts it at 0.778.
pub const ELLIPTICAL_INTERCEPT: f64 = 0.80;

/// A morphological class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Below both lines.
    Spiral,
    /// Above the line of concentrated light.
    Elliptical,
    /// Above the line of light far from the centre.
    Merger,
}

impl Class {
    /// All classes, in the order of the outputs of the models.
    pub const ALL: [Self; 3] = [Self::Spiral, Self::Elliptical, Self::Merger];

    /// The name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Spiral => "spiral",
            Self::Elliptical => "elliptical",
            Self::Merger => "merger",
        }
    }

    /// Merger if G > -0.14 M20 + 0.33; else elliptical if G > 0.14 M20 + `elliptical_intercept`; else spiral.
    pub fn of(gini: f64, m20: f64, elliptical_intercept: f64) -> Self {
        if gini > -0.14 * m20 + 0.33 {
            Self::Merger
        } else if gini > 0.14 * m20 + elliptical_intercept {
            Self::Elliptical
        } else {
            Self::Spiral
        }
    }
}

/// F = -0.693 M20 + 4.95 G - 3.96: five times the distance from the line between spirals and ellipticals, positive on
/// the side of ellipticals (Snyder et al. 2015).
pub fn bulge_statistic(gini: f64, m20: f64) -> f64 {
    -0.693 * m20 + 4.95 * gini - 3.96
}

/// S = 0.139 M20 + 0.990 G - 0.327: the distance from the line of mergers, positive on their side.
pub fn merger_statistic(gini: f64, m20: f64) -> f64 {
    0.139 * m20 + 0.990 * gini - 0.327
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_lines_and_statistics_are_those_of_the_papers() {
        assert_eq!(Class::of(0.50, -1.0, 0.80), Class::Merger);
        assert_eq!(Class::of(0.56, -2.2, 0.80), Class::Elliptical);
        assert_eq!(Class::of(0.45, -1.8, 0.80), Class::Spiral);
        // Between the two lines of the literature.
        assert_eq!(Class::of(0.49, -2.1, 0.80), Class::Spiral);
        assert_eq!(Class::of(0.49, -2.1, 0.778), Class::Elliptical);
        // On a line a galaxy is a spiral: G = 0.14 M20 + 1 and G = -0.14 M20 + 0.33 at M20 = 0.
        assert_eq!((Class::of(0.25, 0.0, 0.25), Class::of(0.33, 0.0, 1.0)), (Class::Spiral, Class::Spiral));
        let m20: f64 = (0.33 - 0.80) / 0.28;
        let gini = 0.14 * m20 + 0.80;
        assert!((m20 + 1.679).abs() < 1e-3 && (gini - 0.565).abs() < 1e-3);
        // The statistics vanish near their lines; their published numbers are rounded.
        assert!(bulge_statistic(gini, m20).abs() < 0.01 && merger_statistic(gini, m20).abs() < 2e-3);
    }
}
