//! The root of a function of one variable, by Brent's method.

/// A root between two positions at which the function has different signs, to `tolerance`.
///
/// Interpolates (linearly through two points, or inverse quadratically through three) as long as that shrinks the
/// bracket fast enough, and bisects otherwise. Brent (1973), Algorithms for Minimization without Derivatives, chapter
/// 4; the variant of `scipy.optimize.brentq`, which statmorph calls.
pub(super) fn find_root(mut f: impl FnMut(f64) -> f64, from: f64, to: f64, tolerance: f64) -> f64 {
    // `now` is the best guess, `last` the guess before, `other` the end of the bracket with the other sign.
    let (mut last, mut now) = (from, to);
    let (mut f_last, mut f_now) = (f(last), f(now));
    let (mut other, mut f_other) = (last, f_last);
    let (mut step, mut step_before) = (now - last, now - last);
    if f_last == 0.0 {
        return last;
    }
    for _ in 0..100 {
        if f_last != 0.0 && f_now != 0.0 && (f_last < 0.0) != (f_now < 0.0) {
            (other, f_other) = (last, f_last);
            step = now - last;
            step_before = step;
        }
        if f_other.abs() < f_now.abs() {
            (last, now, other) = (now, other, now);
            (f_last, f_now, f_other) = (f_now, f_other, f_now);
        }
        let least = (tolerance + 4.0 * f64::EPSILON * now.abs()) / 2.0;
        let half = (other - now) / 2.0;
        if f_now == 0.0 || half.abs() < least {
            break;
        }
        let mut bisects = true;
        if step_before.abs() > least && f_now.abs() < f_last.abs() {
            let interpolated = if last == other {
                -f_now * (now - last) / (f_now - f_last)
            } else {
                let to_last = (f_last - f_now) / (last - now);
                let to_other = (f_other - f_now) / (other - now);
                -f_now * (f_other * to_other - f_last * to_last) / (to_other * to_last * (f_other - f_last))
            };
            if 2.0 * interpolated.abs() < step_before.abs().min(3.0 * half.abs() - least) {
                step_before = step;
                step = interpolated;
                bisects = false;
            }
        }
        if bisects {
            (step_before, step) = (half, half);
        }
        (last, f_last) = (now, f_now);
        now += if step.abs() > least { step } else { least.copysign(half) };
        f_now = f(now);
    }
    now
}

#[cfg(test)]
mod tests {
    use super::find_root;

    #[test]
    fn finds_roots_of_smooth_steep_and_discontinuous_functions() {
        let near = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-8, "{found} {expected}");
        near(find_root(|x| x * x - 2.0, 0.0, 3.0, 1e-10), 2f64.sqrt());
        near(find_root(|x| (20.0 * (x - 0.7)).tanh(), 9.0, -4.0, 1e-10), 0.7);
        near(find_root(|x| if x < 0.3 { -1.0 } else { 5.0 }, 0.0, 1.0, 1e-10), 0.3);
        assert_eq!(find_root(|x| x, 0.0, 1.0, 1e-10), 0.0);
        assert_eq!(find_root(|x| x - 1.0, 0.0, 1.0, 1e-10), 1.0);
    }

    /// The root, and the number of calls.
    fn counted(f: fn(f64) -> f64, from: f64, to: f64, tolerance: f64) -> (f64, u32) {
        let mut calls = 0;
        let count = |x: f64| {
            calls += 1;
            f(x)
        };
        (find_root(count, from, to, tolerance), calls)
    }

    #[test]
    fn roots_and_calls_are_those_of_brentq_in_scipy() {
        // scipy 1.17.1.
        let cube = |x: f64| x * x * x - 3.0;
        let ninth = |x: f64| {
            let cube = (x - 1.0) * (x - 1.0) * (x - 1.0);
            cube * cube * cube
        };
        let pole = |x: f64| 1.0 / (x - 0.3) - 6.0;
        let quartic = |x: f64| (x * x - 3.0) * (x * x + 0.1) - x;
        let step = |x: f64| if x < 0.3 { -1.0 } else { 5.0 };
        for (found, expected) in [
            (counted(cube, 0.0, 4.0, 1e-2), (1.442_212_861_134_198, 8)),
            (counted(cube, 4.0, 0.0, 1e-6), (1.442_249_571_863_336_4, 10)),
            (counted(cube, 0.0, 4.0, 1e-10), (1.442_249_570_307_368_8, 11)),
            (counted(ninth, -1.0, 4.0, 1e-2), (0.998_749_277_622_177_2, 17)),
            (counted(ninth, -1.0, 4.0, 1e-6), (1.000_000_135_676_355_7, 61)),
            (counted(ninth, -1.0, 4.0, 1e-10), (1.000_000_000_023_382_9, 99)),
            (counted(pole, 0.35, 2.0, 1e-2), (0.466_357_370_312_499_74, 9)),
            (counted(pole, 0.35, 2.0, 1e-10), (0.466_666_666_666_666_6, 13)),
            (counted(step, 0.0, 1.0, 1e-6), (0.299_999_715_279_669_84, 30)),
            (counted(quartic, 0.5, 7.0, 1e-2), (1.875_057_072_816_575_4, 12)),
            (counted(quartic, 0.5, 7.0, 1e-6), (1.875_737_188_421_419, 14)),
        ] {
            assert!((found.0 - expected.0).abs() < 1e-14 && found.1 == expected.1, "{found:?} {expected:?}");
        }
    }
}
