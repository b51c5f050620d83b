//! The minimum of a function of two variables, by the simplex of Nelder and Mead (1965).

use super::Point;

/// Steps after which the search is over in any case.
const MOST_STEPS: usize = 400;

/// The place of a minimum near a start. The first simplex reaches 5 % beyond the start along each axis; the search ends
/// when it is smaller than `tolerance` and its values agree within `tolerance_of_value`.
pub(super) fn minimum(mut f: impl FnMut(Point) -> f64, start: Point, tolerance: f64, tolerance_of_value: f64) -> Point {
    let beside = |axis: usize| {
        let mut point = start;
        point[axis] = if point[axis] == 0.0 { 0.000_25 } else { 1.05 * point[axis] };
        point
    };
    let mut simplex = [start, beside(0), beside(1)].map(|point| (point, f(point)));
    simplex.sort_by(|a, b| a.1.total_cmp(&b.1));
    let mut calls = 3;
    for _ in 0..MOST_STEPS {
        let [best, middle, worst] = simplex;
        let far = |other: Point| (other[0] - best.0[0]).abs().max((other[1] - best.0[1]).abs());
        let size = far(middle.0).max(far(worst.0));
        if (size <= tolerance && worst.1 - best.1 <= tolerance_of_value) || calls >= MOST_STEPS {
            break;
        }
        let between = [0, 1].map(|axis| f64::midpoint(best.0[axis], middle.0[axis]));
        // From the middle of the better two, away from the worst by so much of the distance.
        let mut away = |times: f64| {
            calls += 1;
            let point = [0, 1].map(|axis| (1.0 + times) * between[axis] - times * worst.0[axis]);
            (point, f(point))
        };
        let reflected = away(1.0);
        let taken = if reflected.1 < best.1 {
            let expanded = away(2.0);
            Some(if expanded.1 < reflected.1 { expanded } else { reflected })
        } else if reflected.1 < middle.1 {
            Some(reflected)
        } else if reflected.1 < worst.1 {
            Some(away(0.5)).filter(|outside| outside.1 <= reflected.1)
        } else {
            Some(away(-0.5)).filter(|inside| inside.1 < worst.1)
        };
        if let Some(taken) = taken {
            simplex[2] = taken;
        } else {
            for vertex in &mut simplex[1..] {
                vertex.0 = [0, 1].map(|axis| f64::midpoint(best.0[axis], vertex.0[axis]));
                vertex.1 = f(vertex.0);
                calls += 1;
            }
        }
        simplex.sort_by(|a, b| a.1.total_cmp(&b.1));
    }
    simplex[0].0
}

#[cfg(test)]
mod tests {
    use super::minimum;

    #[test]
    fn the_bottom_of_a_bent_valley_and_of_a_kink_is_found() {
        let valley = |[x, y]: [f64; 2]| (1.0 - x).powi(2) + 10.0 * (y - x * x).powi(2);
        let [x, y] = minimum(valley, [3.0, 2.0], 1e-7, 1e-12);
        assert!((x - 1.0).abs() < 1e-5 && (y - 1.0).abs() < 1e-5, "{x} {y}");
        let kink = |[x, y]: [f64; 2]| (x - 4.2).abs() + (y + 0.3).abs();
        let [x, y] = minimum(kink, [5.0, 0.0], 1e-7, 1e-12);
        assert!((x - 4.2).abs() < 1e-5 && (y + 0.3).abs() < 1e-5, "{x} {y}");
    }

    #[test]
    fn a_function_without_a_slope_ends() {
        assert_eq!(minimum(|_| 1.0, [2.0, 2.0], 0.0, 0.0), [2.0, 2.0]);
    }
}
