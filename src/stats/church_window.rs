//! The class of every point of a plane through latent space, when the head is affine.
//!
//! The plane is z0 + x d1 + y d2 with d1 = z1 - z0 and d2 = z2 - z0. For logits = W z + b they are l0 + x W d1 + y W d2 exactly, so
//! three products with W are all that is asked of the head. A class has the greatest logit in a convex region: a rectangle whose four
//! corners are of one class is of that class, which leaves only the boundaries to be looked at point by point.

use super::softmax::argmax;

/// The points of a square: coordinates step (i - half) for i = 0 ... 2 half, so that 0 is among them exactly.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Grid {
    /// Points on each side of 0.
    pub half: usize,
    /// Distance of neighbours.
    pub step: f64,
}

impl Grid {
    /// The grid over [-extent, extent], if that is a whole number of steps.
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

/// Logits over the plane: l0 + x a + y u.
#[derive(Debug, Clone, PartialEq)]
pub struct Plane {
    origin: Vec<f64>,
    across: Vec<f64>,
    up: Vec<f64>,
}

impl Plane {
    /// The plane of an affine head (`weights` `[class, D]`, `bias` `[class]`) through an object's latent and two others.
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

    /// How many classes there are.
    pub const fn classes(&self) -> usize {
        self.origin.len()
    }

    /// The class at a point, the first of equals.
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

    /// How far one can go from the origin in the direction (x, y) before another class has the greatest logit, in units of
    /// that direction. `None` when none ever has.
    pub fn boundary(&self, x: f64, y: f64) -> Option<f64> {
        let own = argmax(&self.origin);
        let slope = |class: usize| x * self.across[class] + y * self.up[class];
        let rivals = (0..self.classes()).filter(|class| slope(*class) > slope(own));
        let crossing = |class: usize| (self.origin[own] - self.origin[class]) / (slope(class) - slope(own));
        rivals.map(crossing).min_by(f64::total_cmp)
    }

    /// The classes on a grid, `[y, x]`, of at most 255 classes.
    pub fn window(&self, grid: &Grid) -> Vec<u8> {
        let side = grid.side();
        let axis = (0..side).map(|i| grid.at(i)).collect();
        let mut canvas = Canvas { plane: self, axis, side, classes: vec![UNKNOWN; side * side] };
        canvas.fill([0, 0], [side - 1, side - 1]);
        canvas.classes
    }
}

/// A point that was not looked at yet.
const UNKNOWN: u8 = u8::MAX;

struct Canvas<'a> {
    plane: &'a Plane,
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

    /// Fills a rectangle, corners `[x, y]` included.
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

/// The fraction of a window that each class has.
pub fn areas(window: &[u8], classes: usize) -> Vec<f64> {
    let mut counts = [0_u64; 256];
    window.iter().for_each(|class| counts[usize::from(*class)] += 1);
    counts.iter().take(classes).map(|count| *count as f64 / window.len() as f64).collect()
}

/// The angle between z1 - z0 and z2 - z0, in degrees; `None` when one of them is 0.
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
    struct Golden {
        windows: Vec<Window>,
    }

    #[derive(Deserialize)]
    struct Window {
        weights: Vec<f32>,
        bias: Vec<f32>,
        z0: Vec<f32>,
        z1: Vec<f32>,
        z2: Vec<f32>,
        half: usize,
        step: f64,
        /// Runs of one class, `[y, x]` flattened: (class, length).
        runs: Vec<(u8, usize)>,
        areas: Vec<f64>,
        /// +across, -across, +up, -up, in units of the axes.
        boundaries: Vec<Option<f64>>,
        angle_deg: f64,
    }

    fn naive(plane: &Plane, grid: &Grid) -> Vec<u8> {
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
    fn windows_are_those_of_numpy() {
        let golden: Golden =
            serde_json::from_str(include_str!("../../tests/golden/latents/golden.json")).expect("golden numbers");
        assert!(golden.windows.len() >= 3);
        for window in golden.windows {
            let Window { weights, bias, z0, z1, z2, half, step, runs, areas: expected, boundaries, .. } = &window;
            let plane = Plane::of(weights, bias, z0, z1, z2);
            let grid = Grid { half: *half, step: *step };
            let drawn = plane.window(&grid);
            let numpy: Vec<u8> = runs.iter().flat_map(|(class, length)| vec![*class; *length]).collect();
            assert!(drawn == numpy, "{} points differ", drawn.iter().zip(&numpy).filter(|(a, b)| a != b).count());
            let found = areas(&drawn, plane.classes());
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
    fn a_grid_has_zero_in_its_middle_and_the_extent_at_its_ends() {
        let grid = Grid::over(1.1, 0.01).expect("a grid");
        assert_eq!((grid.side(), grid.at(110)), (221, 0.0));
        assert!((grid.at(220) - 1.1).abs() < 1e-12 && (grid.at(0) + 1.1).abs() < 1e-12);
        assert_eq!(Grid::over(1.1, 0.03), None);
    }

    #[test]
    fn three_half_planes_are_cut_where_their_logits_are_equal() {
        // Logits 0, x - 0.5 and y - 2: the class is 1 right of x = 1/2, 2 above y = 2 where nothing else is higher.
        let plane = Plane { origin: vec![0.0, -0.5, -2.0], across: vec![0.0, 1.0, 0.0], up: vec![0.0, 0.0, 1.0] };
        assert_eq!((plane.class(0.5, 0.0), plane.class(0.51, 0.0), plane.class(0.0, 2.1)), (0, 1, 2));
        assert_eq!((plane.boundary(1.0, 0.0), plane.boundary(0.0, 1.0)), (Some(0.5), Some(2.0)));
        assert_eq!((plane.boundary(-1.0, 0.0), plane.boundary(0.0, -1.0)), (None, None));
    }

    #[test]
    fn a_plane_that_is_a_point_or_a_tie_is_of_the_first_class() {
        let flat = Plane { origin: vec![1.0, 1.0], across: vec![0.0, 0.0], up: vec![0.0, 0.0] };
        assert!(flat.window(&Grid { half: 3, step: 0.5 }).iter().all(|class| *class == 0));
        assert_eq!((flat.boundary(1.0, 0.0), angle_deg(&[1.0], &[1.0], &[2.0])), (None, None));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn filling_rectangles_gives_what_looking_at_every_point_gives(
            logits in proptest::collection::vec((-3.0f64..3.0, -3.0f64..3.0, -3.0f64..3.0), 1..7), half in 1usize..24, whole: bool,
        ) {
            // Whole numbers make ties along whole lines.
            let number = |x: f64| if whole { x.round() } else { x };
            let numbers = |of: fn(&(f64, f64, f64)) -> f64| logits.iter().map(|l| number(of(l))).collect();
            let plane = Plane { origin: numbers(|l| l.0), across: numbers(|l| l.1), up: numbers(|l| l.2) };
            let grid = Grid { half, step: if whole { 0.25 } else { 1.1 / half as f64 } };
            prop_assert_eq!(plane.window(&grid), naive(&plane, &grid));
        }

        #[test]
        fn a_boundary_parts_the_class_of_the_origin_from_another(
            logits in proptest::collection::vec((-3.0f64..3.0, -3.0f64..3.0, -3.0f64..3.0), 2..6), angle in 0.0f64..6.3,
        ) {
            let numbers = |of: fn(&(f64, f64, f64)) -> f64| logits.iter().map(of).collect();
            let plane = Plane { origin: numbers(|l| l.0), across: numbers(|l| l.1), up: numbers(|l| l.2) };
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
