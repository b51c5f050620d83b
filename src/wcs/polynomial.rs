//! Polynomials of two variables with their gradients.

/// `sum c[p][q] x^p y^q + sum s[k] r^(2k + 1)` with `r = hypot(x, y)`.
#[derive(Debug, Clone)]
pub(super) struct Polynomial {
    degree: usize,
    /// The coefficient of `x^p y^q` is at `p * (degree + 1) + q`; those with `p + q` above the degree are 0.
    terms: Vec<f64>,
    /// The coefficients of `r`, `r^3`, `r^5` and `r^7`.
    radial: [f64; 4],
}

/// A value and its derivatives by x and y.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gradient {
    pub(super) value: f64,
    pub(super) by_x: f64,
    pub(super) by_y: f64,
}

impl Polynomial {
    /// A polynomial that is 0.
    pub(super) fn zero(degree: usize) -> Self {
        Self { degree, terms: vec![0.0; (degree + 1) * (degree + 1)], radial: [0.0; 4] }
    }

    /// Adds to the coefficient of `x^p y^q`.
    ///
    /// # Panics
    /// When `p + q` is above the degree.
    pub(super) fn add(&mut self, [p, q]: [usize; 2], coefficient: f64) {
        assert!(p + q <= self.degree, "a term of the degree {}", p + q);
        self.terms[p * (self.degree + 1) + q] += coefficient;
    }

    /// Adds to the coefficient of `r^(2k + 1)`.
    ///
    /// # Panics
    /// When k is above 3.
    pub(super) fn add_radial(&mut self, k: usize, coefficient: f64) {
        self.radial[k] += coefficient;
    }

    pub(super) fn value(&self, [x, y]: [f64; 2]) -> f64 {
        let mut value = 0.0;
        for p in (0..=self.degree).rev() {
            let row = &self.terms[p * (self.degree + 1)..][..=self.degree - p];
            value = value * x + row.iter().rev().fold(0.0, |sum, term| sum * y + term);
        }
        value + self.radial_value(x.hypot(y))
    }

    pub(super) fn gradient(&self, [x, y]: [f64; 2]) -> Gradient {
        let mut found = Gradient { value: 0.0, by_x: 0.0, by_y: 0.0 };
        for p in (0..=self.degree).rev() {
            let row = &self.terms[p * (self.degree + 1)..][..=self.degree - p];
            let (mut of_y, mut by_y) = (0.0, 0.0);
            for term in row.iter().rev() {
                by_y = by_y * y + of_y;
                of_y = of_y * y + term;
            }
            found.by_x = found.by_x * x + found.value;
            found.by_y = found.by_y * x + by_y;
            found.value = found.value * x + of_y;
        }
        let r = x.hypot(y);
        // At 0 the gradient of r is undefined; a step of Newton's method from there may leave it out.
        if self.radial != [0.0; 4] && r > 0.0 {
            let square = r * r;
            let [a, b, c, d] = self.radial;
            let slope = a + square * (3.0 * b + square * (5.0 * c + square * 7.0 * d));
            found.value += self.radial_value(r);
            found.by_x += slope * x / r;
            found.by_y += slope * y / r;
        }
        found
    }

    fn radial_value(&self, r: f64) -> f64 {
        let [a, b, c, d] = self.radial;
        let square = r * r;
        r * (a + square * (b + square * (c + square * d)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_gradients_are_those_of_the_sum_of_terms() {
        let mut polynomial = Polynomial::zero(3);
        for (at, coefficient) in [([0, 0], 0.5), ([1, 0], 2.0), ([0, 1], -1.0), ([2, 1], 0.25), ([0, 3], 0.125)] {
            polynomial.add(at, coefficient);
        }
        polynomial.add_radial(0, 1.5);
        polynomial.add_radial(1, 0.75);
        let (x, y) = (3.0_f64, 4.0_f64);
        // r = 5.
        let expected = 0.5 + 2.0 * x - y + 0.25 * x * x * y + 0.125 * y.powi(3) + 1.5 * 5.0 + 0.75 * 125.0;
        let found = polynomial.gradient([x, y]);
        let slope = 1.5 + 3.0 * 0.75 * 25.0;
        assert!((polynomial.value([x, y]) - expected).abs() < 1e-12 && (found.value - expected).abs() < 1e-12);
        assert!((found.by_x - (2.0 + 0.5 * x * y + slope * 0.6)).abs() < 1e-12);
        assert!((found.by_y - (-1.0 + 0.25 * x * x + 0.375 * y * y + slope * 0.8)).abs() < 1e-12);
    }
}
