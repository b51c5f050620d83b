//! Distances between vectors.

/// The Euclidean distance |a - b|_2 of two vectors of equal length, in double precision.
pub fn l2(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legs_of_3_and_4_have_a_hypotenuse_of_5() {
        assert_eq!(l2(&[1.0, 2.0], &[4.0, 6.0]), 5.0);
    }
}
