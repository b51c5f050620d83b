//! The class of every point of a plane through latent space, for an affine head.
//!
//! The plane is z0 + x d1 + y d2 with d1 = z1 - z0 and d2 = z2 - z0. For logits = W z + b the logits on it are exactly
//! l0 + x W d1 + y W d2, so three products with W replace an evaluation of the head at every point. The region where a
//! class has the greatest logit is convex: a rectangle whose four corners have one class has that class everywhere, so
//! only the boundaries are evaluated point by point.

use super::softmax::argmax;

/// The points of a square grid: coordinates step (i - half) for i = 0 ... 2 half, so that 0 is one of them exactly.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Grid {
    /// Points on each side of 0.
    pub half: usize,
    /// The distance between neighbours.
    pub step: f64,
}

impl Grid {
    /// The grid over [-extent, extent]; `None` unless it is an integer number of steps.
    pub fn over(extent: f64, step: f64) -> Option<Self> {
        let half = (extent / step).round();
        ((half * step - extent).abs() <= 1e-9 * extent && half >= 1.0).then_some(Self { half: half as usize, step })
    }

    /// Points along an axis.
    pub const fn side(&self) -> usize {
        2 * self.half + 1
    }

    /// The coordinate of a point along an axis.
    pub fn at(&self, i: usize) -> f64 {
        (i as f64 - self.half as f64) * self.step
    }

    /// The coordinate of the last point.
    pub fn extent(&self) -> f64 {
        self.half as f64 * self.step
    }
}

/// The logits on a plane: origin + x across + y up, by class.
#[derive(Debug, Clone, PartialEq)]
pub struct LogitPlane {
    origin: Vec<f64>,
    across: Vec<f64>,
    up: Vec<f64>,
}

impl LogitPlane {
    /// The plane of an affine head (`weights` `[class, D]`, `bias` `[class]`) through the latents z0, z1 and z2.
    pub fn of(weights: &[f32], bias: &[f32], z0: &[f32], z1: &[f32], z2: &[f32]) -> Self {
        let product = |row: &[f32], of: &dyn Fn(usize) -> f64| -> f64 {
            row.iter().enumerate().map(|(i, weight)| f64::from(*weight) * of(i)).sum()
        };
        let rows = || weights.chunks_exact(z0.len());
        let towards = |z: &[f32]| -> Vec<f64> {
            rows().map(|row| product(row, &|i| f64::from(z[i]) - f64::from(z0[i]))).collect()
        };
        let origin = rows().zip(bias).map(|(row, bias)| product(row, &|i| f64::from(z0[i])) + f64::from(*bias));
        Self { origin: origin.collect(), across: towards(z1), up: towards(z2) }
    }

    /// The number of classes.
    pub const fn classes(&self) -> usize {
        self.origin.len()
    }

    /// The class at a point; of equal logits the first.
    #[inline]
    pub fn class(&self, x: f64, y: f64) -> usize {
        let logit = |((origin, across), up): ((&f64, &f64), &f64)| origin + y * up + x * across;
        let mut logits = self.origin.iter().zip(&self.across).zip(&self.up).map(logit);
        let mut best = (0, logits.next().unwrap_or(f64::NAN));
        for (i, logit) in logits.enumerate() {
            if logit > best.1 {
                best = (i + 1, logit);
            }
        }
        best.0
    }

    /// The distance from the origin, in units of (x, y), at which another class first has the greatest logit in that
    /// direction. `None` when that never happens.
    pub fn boundary(&self, x: f64, y: f64) -> Option<f64> {
        let own = argmax(&self.origin);
        let slope = |class: usize| x * self.across[class] + y * self.up[class];
        let rivals = (0..self.classes()).filter(|class| slope(*class) > slope(own));
        let crossing = |class: usize| (self.origin[own] - self.origin[class]) / (slope(class) - slope(own));
        rivals.map(crossing).min_by(f64::total_cmp)
    }

    /// The classes on a grid, `[y, x]`; at most 255 classes.
    pub fn window(&self, grid: &Grid) -> Vec<u8> {
        let side = grid.side();
        let axis = (0..side).map(|i| grid.at(i)).collect();
        let mut canvas = Canvas { plane: self, axis, side, classes: vec![UNKNOWN; side * side] };
        canvas.fill([0, 0], [side - 1, side - 1]);
        canvas.classes
    }
}

/// The class of a point that was not evaluated yet.
const UNKNOWN: u8 = u8::MAX;

struct Canvas<'a> {
    plane: &'a LogitPlane,
    axis: Vec<f64>,
    side: usize,
    classes: Vec<u8>,
}

impl Canvas<'_> {
    fn at(&mut self, x: usize, y: usize) -> u8 {
        let point = &mut self.classes[y * self.side + x];
        if *point == UNKNOWN {
            *point = self.plane.class(self.axis[x], self.axis[y]) as u8;
        }
        *point
    }

    /// Fills a rectangle between two corners `[x, y]`, both included.
    fn fill(&mut self, low: [usize; 2], high: [usize; 2]) {
        let class = self.at(low[0], low[1]);
        let others = [self.at(high[0], low[1]), self.at(low[0], high[1]), self.at(high[0], high[1])];
        if others.iter().all(|other| *other == class) {
            for y in low[1]..=high[1] {
                self.classes[y * self.side..][low[0]..=high[0]].fill(class);
            }
            return;
        }
        let longer = usize::from(high[1] - low[1] > high[0] - low[0]);
        if high[longer] - low[longer] > 1 {
            let middle = usize::midpoint(low[longer], high[longer]);
            let (mut first, mut second) = (high, low);
            first[longer] = middle;
            second[longer] = middle;
            self.fill(low, first);
            self.fill(second, high);
        }
    }
}

/// The fraction of a window with each class.
pub fn areas(window: &[u8], classes: usize) -> Vec<f64> {
    let mut counts = [0_u64; 256];
    window.iter().for_each(|class| counts[usize::from(*class)] += 1);
    counts.iter().take(classes).map(|count| *count as f64 / window.len() as f64).collect()
}

/// The angle between z1 - z0 and z2 - z0, in degrees; `None` when one of them is zero.
pub fn angle_deg(z0: &[f32], z1: &[f32], z2: &[f32]) -> Option<f64> {
    let difference = |a: f32, b: f32| f64::from(a) - f64::from(b);
    let mut sums = [0.0; 3];
    for ((z0, z1), z2) in z0.iter().zip(z1).zip(z2) {
        let (a, b) = (difference(*z1, *z0), difference(*z2, *z0));
        sums[0] += a * a;
        sums[1] += b * b;
        sums[2] += a * b;
    }
    let [a, b, product] = sums;
    (a > 0.0 && b > 0.0).then(|| (product / (a.sqrt() * b.sqrt())).clamp(-1.0, 1.0).acos().to_degrees())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct NumpyWindows {
        windows: Vec<NumpyWindow>,
    }

    #[derive(Deserialize)]
    struct NumpyWindow {
        weights: Vec<f32>,
        bias: Vec<f32>,
        z0: Vec<f32>,
        z1: Vec<f32>,
        z2: Vec<f32>,
        half: usize,
        step: f64,
        /// Runs of one class in the flattened `[y, x]`: (class, length).
        runs: Vec<(u8, usize)>,
        areas: Vec<f64>,
        /// +across, -across, +up, -up, in units of the axes.
        boundaries: Vec<Option<f64>>,
        angle_deg: f64,
    }

    /// The same, point by point.
    fn point_by_point(plane: &LogitPlane, grid: &Grid) -> Vec<u8> {
        let points = (0..grid.side()).flat_map(|y| (0..grid.side()).map(move |x| (x, y)));
        let class = |(x, y)| {
            let (x, y) = (grid.at(x), grid.at(y));
            let logit = |k: usize| plane.origin[k] + y * plane.up[k] + x * plane.across[k];
            let logits: Vec<f64> = (0..plane.classes()).map(logit).collect();
            argmax(&logits) as u8
        };
        points.map(class).collect()
    }

    #[test]
    fn windows_boundaries_and_angles_are_those_of_numpy() {
        let golden: NumpyWindows =
            serde_json::from_str(include_str!("../../tests/golden/latents/golden.json")).expect("golden numbers");
        assert!(golden.windows.len() >= 3);
        for window in golden.windows {
            let NumpyWindow { weights, bias, z0, z1, z2, half, step, runs, areas: expected, boundaries, .. } = &window;
            let plane = LogitPlane::of(weights, bias, z0, z1, z2);
            let grid = Grid { half: *half, step: *step };
            let drawn = plane.window(&grid);
            let numpy: Vec<u8> = runs.iter().flat_map(|(class, length)| vec![*class; *length]).collect();
            assert!(drawn == numpy, "{} points differ", drawn.iter().zip(&numpy).filter(|(a, b)| a != b).count());
            let found = areas(&drawn, plane.classes());
            assert_eq!(found.len(), expected.len());
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?} {expected:?}");
            for ((x, y), expected) in [(1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.0, -1.0)].iter().zip(boundaries) {
                match (plane.boundary(*x, *y), expected) {
                    (Some(found), Some(expected)) => assert!((found - expected).abs() < 1e-9 * expected.max(1.0)),
                    (found, expected) => assert_eq!(found, *expected),
                }
            }
            let angle = angle_deg(z0, z1, z2).expect("an angle");
            assert!((angle - window.angle_deg).abs() < 1e-9, "{angle} {}", window.angle_deg);
        }
    }

    #[test]
    fn a_grid_has_zero_in_the_middle_and_the_extent_at_both_ends() {
        let grid = Grid::over(1.1, 0.01).expect("a grid");
        assert_eq!((grid.side(), grid.at(110)), (221, 0.0));
        assert!((grid.at(220) - 1.1).abs() < 1e-12 && (grid.at(0) + 1.1).abs() < 1e-12);
        assert_eq!(Grid::over(1.1, 0.03), None);
    }

    #[test]
    fn classes_change_where_logits_are_equal() {
        // Logits 0, x - 0.5 and y - 2: class 1 begins at x = 1/2, class 2 at y = 2.
        let plane = LogitPlane { origin: vec![0.0, -0.5, -2.0], across: vec![0.0, 1.0, 0.0], up: vec![0.0, 0.0, 1.0] };
        assert_eq!((plane.class(0.5, 0.0), plane.class(0.51, 0.0), plane.class(0.0, 2.1)), (0, 1, 2));
        assert_eq!((plane.boundary(1.0, 0.0), plane.boundary(0.0, 1.0)), (Some(0.5), Some(2.0)));
        assert_eq!((plane.boundary(-1.0, 0.0), plane.boundary(0.0, -1.0)), (None, None));
    }

    #[test]
    fn equal_logits_everywhere_give_the_first_class_and_no_boundary() {
        let flat = LogitPlane { origin: vec![1.0, 1.0], across: vec![0.0, 0.0], up: vec![0.0, 0.0] };
        assert!(flat.window(&Grid { half: 3, step: 0.5 }).iter().all(|class| *class == 0));
        assert_eq!(flat.boundary(1.0, 0.0), None);
    }

    #[test]
    fn a_vector_of_length_zero_has_no_angle() {
        assert_eq!((angle_deg(&[1.0], &[1.0], &[2.0]), angle_deg(&[1.0], &[2.0], &[1.0])), (None, None));
    }

    #[test]
    fn parallel_vectors_have_an_angle_of_0_or_180_degrees_whatever_rounding_does() {
        // For more than half of these vectors the cosine is rounded beyond 1, where the arc cosine is NaN.
        for i in 1..200 {
            let vector: Vec<f32> = (0..7).map(|d| ((i * 31 + d * 17) % 23) as f32 / 7.0 - 1.5).collect();
            let times = |factor: f32| vector.iter().map(|x| factor * x).collect::<Vec<_>>();
            let (zero, far, back) = (vec![0.0; 7], times(4.0), times(-2.0));
            assert!(angle_deg(&zero, &vector, &far).expect("an angle") < 1e-5, "{vector:?}");
            assert!((angle_deg(&zero, &vector, &back).expect("an angle") - 180.0).abs() < 1e-5, "{vector:?}");
        }
        assert_eq!(angle_deg(&[1.0, 1.0], &[2.0, 1.0], &[1.0, 9.0]), Some(90.0));
    }

    #[test]
    fn a_grid_needs_a_step_at_least() {
        assert_eq!(Grid::over(1.0, 1.0), Some(Grid { half: 1, step: 1.0 }));
        assert_eq!((Grid::over(0.0, 1.0), Grid::over(1.0, 3.0)), (None, None));
        assert_eq!(Grid { half: 3, step: 0.5 }.extent(), 1.5);
    }

    #[test]
    fn an_extent_is_a_number_of_steps_within_1e_minus_9_of_itself_at_any_scale() {
        for scale in [1e-6, 1.0, 1e6] {
            let of_steps = |steps: f64| Grid::over(steps * scale, scale);
            assert_eq!(of_steps(10.0 + 1e-9), Some(Grid { half: 10, step: scale }), "{scale}");
            assert_eq!(of_steps(10.0 + 1e-7), None, "{scale}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn filling_rectangles_equals_evaluating_every_point(
            logits in proptest::collection::vec((-3.0f64..3.0, -3.0f64..3.0, -3.0f64..3.0), 1..7), half in 1usize..24, integers: bool,
        ) {
            // Integers make ties along lines.
            let number = |x: f64| if integers { x.round() } else { x };
            let numbers = |of: fn(&(f64, f64, f64)) -> f64| logits.iter().map(|l| number(of(l))).collect();
            let plane = LogitPlane { origin: numbers(|l| l.0), across: numbers(|l| l.1), up: numbers(|l| l.2) };
            let grid = Grid { half, step: if integers { 0.25 } else { 1.1 / half as f64 } };
            prop_assert_eq!(plane.window(&grid), point_by_point(&plane, &grid));
        }

        #[test]
        fn a_boundary_separates_the_class_of_the_origin_from_another(
            logits in proptest::collection::vec((-3.0f64..3.0, -3.0f64..3.0, -3.0f64..3.0), 2..6), angle in 0.0f64..6.3,
        ) {
            let numbers = |of: fn(&(f64, f64, f64)) -> f64| logits.iter().map(of).collect();
            let plane = LogitPlane { origin: numbers(|l| l.0), across: numbers(|l| l.1), up: numbers(|l| l.2) };
            let (x, y) = (angle.cos(), angle.sin());
            let own = plane.class(0.0, 0.0);
            match plane.boundary(x, y) {
                Some(at) => {
                    prop_assert_eq!(plane.class(0.999_999 * at * x, 0.999_999 * at * y), own);
                    let beyond = at * 1.000_001 + 1e-9;
                    prop_assert_ne!(plane.class(beyond * x, beyond * y), own);
                }
                None => prop_assert_eq!(plane.class(1e6 * x, 1e6 * y), own),
            }
        }
    }
}
