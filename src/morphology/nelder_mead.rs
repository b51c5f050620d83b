//! The minimum of a function of two variables, by the simplex method of Nelder and Mead (1965).

use super::Point;

/// Maximum number of steps and of function calls.
const MAX_STEPS: usize = 400;

/// The position of a minimum near `start`.
///
/// The first simplex reaches 5 % beyond the start along each axis. The search ends when the simplex is smaller than
/// `tolerance` and its values agree within `tolerance_of_value`. Steps and limits are those of `scipy.optimize.fmin`,
/// which statmorph calls.
pub(super) fn minimise(
    mut f: impl FnMut(Point) -> f64,
    start: Point,
    tolerance: f64,
    tolerance_of_value: f64,
) -> Point {
    let beside = |axis: usize| {
        let mut point = start;
        point[axis] = if point[axis] == 0.0 { 0.000_25 } else { 1.05 * point[axis] };
        point
    };
    let mut simplex = [start, beside(0), beside(1)].map(|point| Vertex { point, value: f(point) });
    simplex.sort_by(|a, b| a.value.total_cmp(&b.value));
    let mut calls = 3;
    for _ in 0..MAX_STEPS {
        let [best, middle, worst] = simplex;
        let distance = |other: Point| (other[0] - best.point[0]).abs().max((other[1] - best.point[1]).abs());
        let size = distance(middle.point).max(distance(worst.point));
        if (size <= tolerance && worst.value - best.value <= tolerance_of_value) || calls >= MAX_STEPS {
            break;
        }
        let between = [0, 1].map(|axis| f64::midpoint(best.point[axis], middle.point[axis]));
        // The point on the line from the worst vertex through the middle of the other two, `times` their distance
        // beyond it.
        let mut beyond = |times: f64| {
            calls += 1;
            let point = [0, 1].map(|axis| (1.0 + times) * between[axis] - times * worst.point[axis]);
            Vertex { point, value: f(point) }
        };
        let reflected = beyond(1.0);
        let replacement = if reflected.value < best.value {
            let expanded = beyond(2.0);
            Some(if expanded.value < reflected.value { expanded } else { reflected })
        } else if reflected.value < middle.value {
            Some(reflected)
        } else if reflected.value < worst.value {
            Some(beyond(0.5)).filter(|outside| outside.value <= reflected.value)
        } else {
            Some(beyond(-0.5)).filter(|inside| inside.value < worst.value)
        };
        if let Some(replacement) = replacement {
            simplex[2] = replacement;
        } else {
            for vertex in &mut simplex[1..] {
                vertex.point = [0, 1].map(|axis| f64::midpoint(best.point[axis], vertex.point[axis]));
                vertex.value = f(vertex.point);
                calls += 1;
            }
        }
        simplex.sort_by(|a, b| a.value.total_cmp(&b.value));
    }
    simplex[0].point
}

/// A vertex of the simplex.
#[derive(Debug, Clone, Copy)]
struct Vertex {
    point: Point,
    value: f64,
}

#[cfg(test)]
mod tests {
    use super::minimise;

    #[test]
    fn finds_the_minimum_of_a_bent_valley_and_of_a_kink() {
        let valley = |[x, y]: [f64; 2]| (1.0 - x).powi(2) + 10.0 * (y - x * x).powi(2);
        let [x, y] = minimise(valley, [3.0, 2.0], 1e-7, 1e-12);
        assert!((x - 1.0).abs() < 1e-5 && (y - 1.0).abs() < 1e-5, "{x} {y}");
        let kink = |[x, y]: [f64; 2]| (x - 4.2).abs() + (y + 0.3).abs();
        let [x, y] = minimise(kink, [5.0, 0.0], 1e-7, 1e-12);
        assert!((x - 4.2).abs() < 1e-5 && (y + 0.3).abs() < 1e-5, "{x} {y}");
    }

    #[test]
    fn a_constant_function_ends_at_the_start() {
        assert_eq!(minimise(|_| 1.0, [2.0, 2.0], 0.0, 0.0), [2.0, 2.0]);
    }

    /// The minimum, and the number of calls.
    fn counted(f: impl Fn([f64; 2]) -> f64, start: [f64; 2], tolerance: f64) -> ([f64; 2], usize) {
        let mut calls = 0;
        let count = |point: [f64; 2]| {
            calls += 1;
            f(point)
        };
        (minimise(count, start, tolerance, tolerance), calls)
    }

    #[test]
    fn points_and_calls_are_those_of_fmin_in_scipy() {
        // scipy 1.17.1, with xtol and ftol of 1e-4.
        let valley = |[x, y]: [f64; 2]| (1.0 - x).powi(2) + 10.0 * (y - x * x).powi(2);
        let (found, calls) = counted(valley, [3.0, 2.0], 1e-4);
        assert!((found[0] - 0.999_990_224_472_214_9).abs() < 1e-12 && (found[1] - 0.999_978_165_406_1).abs() < 1e-12);
        assert_eq!(calls, 116);
        let kink = |[x, y]: [f64; 2]| (x - 4.2).abs() + (y + 0.3).abs();
        let (found, calls) = counted(kink, [5.0, 0.0], 1e-4);
        assert!((found[0] - 4.200_020_600_692_369).abs() < 1e-12 && (found[1] - 9.467_897_078e-5).abs() < 1e-12);
        assert_eq!(calls, 50);
        let steps = |[x, y]: [f64; 2]| {
            (4.0 * x).floor().rem_euclid(3.0)
                + (3.0 * y).floor().rem_euclid(2.0)
                + 0.1 * (x - 1.0).powi(2)
                + 0.1 * (y - 2.0).powi(2)
        };
        let (found, calls) = counted(steps, [3.0, 5.0], 1e-4);
        assert!((found[0] - 3.000_000_698_489_325_6).abs() < 1e-12 && (found[1] - 4.666_692_662_689_414).abs() < 1e-12);
        assert_eq!(calls, 99);
    }

    #[test]
    fn a_search_that_does_not_converge_ends_after_400_calls() {
        let mut calls = 0;
        let falls = |_: [f64; 2]| {
            calls += 1;
            -f64::from(calls)
        };
        minimise(falls, [1.0, 1.0], 1e-4, 1e-4);
        assert!((400..404).contains(&calls), "{calls}");
        // A constant function shrinks the simplex in every step, but never below a negative tolerance.
        let (_, calls) = counted(|_| 1.0, [1.0, 1.0], -1.0);
        assert!((400..404).contains(&calls), "{calls}");
    }
}
