//! Distances between vectors.

/// |a - b|_2 of two vectors of one length, in double precision.
pub fn l2(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_triangle_of_three_and_four_has_a_side_of_five() {
        assert_eq!(l2(&[1.0, 2.0], &[4.0, 6.0]), 5.0);
    }
}
