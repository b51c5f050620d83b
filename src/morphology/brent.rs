//! The root of a function of one variable, by Brent's method.

/// A root between two places where the function has different signs, to `tolerance`.
///
/// Interpolates (by a line through two points, or by the inverse quadratic through three) as long as that shrinks the
/// bracket well, and halves the bracket otherwise. Brent (1973), Algorithms for Minimization without Derivatives, chapter 4.
pub(super) fn root(mut f: impl FnMut(f64) -> f64, from: f64, to: f64, tolerance: f64) -> f64 {
    // `now` is the best guess, `other` the end with the other sign, `last` the guess before.
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
        let mut halves = true;
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
                halves = false;
            }
        }
        if halves {
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
    use super::root;

    #[test]
    fn roots_of_smooth_steep_and_broken_functions_are_found() {
        let near = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-8, "{found} {expected}");
        near(root(|x| x * x - 2.0, 0.0, 3.0, 1e-10), 2f64.sqrt());
        near(root(|x| (20.0 * (x - 0.7)).tanh(), 9.0, -4.0, 1e-10), 0.7);
        near(root(|x| if x < 0.3 { -1.0 } else { 5.0 }, 0.0, 1.0, 1e-10), 0.3);
        assert_eq!(root(|x| x, 0.0, 1.0, 1e-10), 0.0);
    }

    #[test]
    fn few_evaluations_are_needed() {
        let mut calls = 0;
        let count = |x: f64| {
            calls += 1;
            x.exp() - 5.0
        };
        root(count, 0.0, 4.0, 1e-6);
        assert!(calls < 14, "{calls}");
    }
}
